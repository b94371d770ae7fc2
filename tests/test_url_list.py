from __future__ import annotations

import csv
import io
import json
import re
import tracemalloc
from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, Literal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from testbed import REPOSITORY

from mimecurate.curation.url_list import ClipRequest, Notice, read_url_list
from mimecurate.curation.url_list_csv import MAX_RECORD_LINES, _cell_starts
from mimecurate.curation.url_list_lines import MAX_LINE_BYTES, read_lines
from mimecurate.errors import Problem
from mimecurate.schemas.ids import check_video_id, video_id_from_url, youtube_url
from mimecurate.schemas.times import format_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

Item = ClipRequest | Problem | Notice


def read(
    data: bytes, *, allow_files: bool = False, base: Path | None = None, strict: bool = False
) -> list[Item]:
    stream = io.BytesIO(data)
    items = read_url_list(
        stream, name="list.csv", allow_files=allow_files, base=base, strict_length=strict
    )
    return list(items)


def requests(items: Iterable[Item]) -> list[ClipRequest]:
    items = list(items)
    assert [item for item in items if isinstance(item, Problem)] == []
    return [item for item in items if isinstance(item, ClipRequest)]


class Pieces(io.RawIOBase):
    """A stream made of pieces, none of which is kept, at most ``limit`` bytes at once."""

    def __init__(self, pieces: Iterable[bytes], limit: int = 1 << 30) -> None:
        self.pieces = iter(pieces)
        self.limit = limit
        self.rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        self.rest = self.rest or next(self.pieces, b"")
        size = min(len(buffer), self.limit, len(self.rest))
        buffer[:size], self.rest = self.rest[:size], self.rest[size:]
        return size


# --- the forms --------------------------------------------------------------------------------

ARCHERY = ClipRequest(
    2, youtube_url("0zFbEjoGlhc"), "0zFbEjoGlhc", 6_000, 10_000, "shooting arrow", "test"
)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            "label,youtube_id,time_start,time_end,split,is_cc\n"
            "shooting_arrow,0zFbEjoGlhc,6,10,test,0\n",
            id="kinetics",
        ),
        pytest.param(
            "Time_End,SPLIT,Label,YouTube_ID,time_start\n10,test,shooting arrow,0zFbEjoGlhc,6\n",
            id="kinetics-any-order-and-case",
        ),
        pytest.param(
            "label,split,url,start,end\n shooting arrow ,test, https://youtu.be/0zFbEjoGlhc?t=6 "
            ",0:06,00:00:10.000\n",
            id="url-csv",
        ),
        pytest.param(
            "url\tstart\tend\tlabel\tsplit\n0zFbEjoGlhc\t6\t10.0\tshooting_arrow\ttest\n", id="tsv"
        ),
        pytest.param(
            '"url";"start";"end";"label";"split"\n"0zFbEjoGlhc";"6";"10";"shooting arrow";test\n',
            id="semicolons",
        ),
        pytest.param(
            '# mine\n{"url": "http://m.youtube.com/shorts/0zFbEjoGlhc", "start": 6, "end": "10", '
            '"label": "shooting_arrow", "split": "test", "video_id": null}\n',
            id="jsonl",
        ),
        pytest.param(
            '\n{"YouTube_id": "0zFbEjoGlhc", "time_start": 6.0, "time_end": 10, '
            '"label": "shooting arrow", "split": "test", "is_cc": {"a": [1]}}\n',
            id="jsonl-kinetics",
        ),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_each_form(text: str, end: str) -> None:
    for bom in (b"", b"\xef\xbb\xbf"):
        assert read(bom + text.replace("\n", end).encode()) == [ARCHERY]
        assert read(bom + text.replace("\n", end).encode().rstrip()) == [ARCHERY]


def test_text_with_and_without_times() -> None:
    items = read(
        b"  # a comment\n\nhttps://example.org/a.mp4#t=1\n"
        b"\t0zFbEjoGlhc  6\t 0:10 \n#https://example.org/no\n"
    )
    assert items == [
        ClipRequest(
            3,
            "https://example.org/a.mp4#t=1",
            video_id_from_url("https://example.org/a.mp4#t=1"),
            *(None,) * 4,
        ),
        ClipRequest(4, youtube_url("0zFbEjoGlhc"), "0zFbEjoGlhc", 6_000, 10_000, None, None),
    ]


def test_text_whose_links_look_like_rows() -> None:
    for link in ("https://a.example/,1,5", "https://a.example/a;0;1;b"):
        assert requests(read(f"{link} 0:01 0:05\n".encode()))[0].url == link
    assert len(requests(read(b"https://a.example/news,0,1234.html\n"))) == 1


def test_the_mimetics_list(shared: Path) -> None:
    path = shared / "mimetics-v1.0" / "mimetics_v1.0.csv"
    with path.open("rb") as stream:
        clips = requests(read_url_list(stream, name=path.name))
    with path.open(newline="") as text:
        rows = list(csv.DictReader(text))
    assert len(clips) == 713
    assert len({clip.video_id for clip in clips}) == 560
    for clip, row in zip(clips, rows, strict=True):
        assert (clip.video_id, clip.label) == (row["youtube_id"], row["label"].replace("_", " "))
        times = (float(row["time_start"]) * 1000, float(row["time_end"]) * 1000)
        assert (clip.start_ms, clip.end_ms) == times


def test_an_id_of_ones_own_for_a_link_that_is_not_youtubes() -> None:
    (clip,) = requests(read(b"url,video_id,start,end\nhttps://a.example/1.mp4,0zFbEjoGlhc,6,10\n"))
    assert (clip.url, clip.video_id) == ("https://a.example/1.mp4", "0zFbEjoGlhc")


def test_unused_columns_are_said_once() -> None:
    rows = b"1,0zFbEjoGlhc,6,10,ann,,0\n" * 3
    items = read(b",youtube_id,time_start,time_end,who,\x1b[2J,is_cc\n" + rows)
    assert [str(item) for item in items if isinstance(item, Notice)] == [
        r"line 1: columns not used: '', 'who', '\x1b[2J'"
    ]
    assert len(requests(items)) == 3


def test_unused_keys_are_said_once_each() -> None:
    items = read(b'{"url":"0zFbEjoGlhc","lable":"x"}\n' * 2 + b'{"url":"0zFbEjoGlhc","w":1}\n')
    assert [item for item in items if isinstance(item, Notice)] == [
        Notice(1, "keys not used: 'lable'"),
        Notice(3, "keys not used: 'w'"),
    ]


def test_many_unused_columns_are_counted() -> None:
    names = ",".join(f"c{number}" for number in range(20))
    notice = read(f"url,start,end,{names}\n".encode())[0]
    assert str(notice).endswith("'c6', 'c7' and 12 more")


@pytest.mark.parametrize(
    ("start", "end", "said"),
    [
        ("1", "2", None),
        ("1", "11", None),
        ("1", "1.999", "interval 1-1.999 s of 0.999 s, not 1 to 10 s"),
        ("1", "11.001", "interval 1-11.001 s of 10.001 s, not 1 to 10 s"),
    ],
)
def test_unusual_lengths(start: str, end: str, said: str | None) -> None:
    data = f"0zFbEjoGlhc {start} {end}\n".encode()
    clip, *notices = read(data)
    assert isinstance(clip, ClipRequest)
    assert notices == ([Notice(1, said)] if said else [])
    wrong = f"end '{end}' makes an {said}; correct it or leave out --strict-length"
    assert read(data, strict=True) == ([Problem(wrong, 1, 15)] if said else [clip])


def test_blank_rows_and_long_ignored_cells_of_a_spreadsheet() -> None:
    text = 'url,start,end,about\n,,,\n \t\n0zFbEjoGlhc,1,5,"two\nlines, ""quoted"""\nnone,1,5,\n'
    notice, clip, problem = read(text.encode())
    assert isinstance(notice, Notice)
    assert isinstance(clip, ClipRequest)
    assert clip.line == 4
    assert isinstance(problem, Problem)
    assert (problem.line, problem.column) == (6, 1)


def test_local_files_when_allowed(tmp_path: Path) -> None:
    lines = [b"a b/\xc3\xa9#1.mp4", b"./-x", b"/abs/../c", b"file:///d%20e", b"FILE://localhost/f"]
    data = b"url,start,end\n" + b"".join(line + b",1,5\n" for line in lines)
    clips = requests(read(data, allow_files=True, base=tmp_path))
    assert [clip.url for clip in clips] == [
        (tmp_path / "a b" / "é#1.mp4").as_uri(),
        (tmp_path / "-x").as_uri(),
        "file:///c",
        "file:///d%20e",
        "file:///f",
    ]
    assert len({clip.video_id for clip in clips}) == 5


def test_the_examples_in_the_docs_are_lists() -> None:
    page = (REPOSITORY / "docs" / "reference" / "url-lists.md").read_text(encoding="utf-8")
    examples = re.findall(r"^```(?:csv|jsonl|text)\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert [len(requests(read(example.encode()))) for example in examples] == [2, 3, 2, 2]


# --- properties -------------------------------------------------------------------------------

NAMES = st.text(
    st.characters(exclude_categories=["C", "Zl", "Zp"], exclude_characters="_"), max_size=30
).map(str.strip)
LINKS = st.one_of(
    st.from_regex(r"[A-Za-z0-9_-]{11}", fullmatch=True).map(youtube_url),
    st.from_regex(r"https?://[a-z][a-z0-9]{0,9}\.example/[a-z0-9,;\"'?&=%.~@:/-]*", fullmatch=True),
)


@st.composite
def clips(draw: st.DrawFn) -> ClipRequest:
    url = draw(LINKS)
    video_id = video_id_from_url(url)
    if url != youtube_url(video_id):
        video_id = draw(st.sampled_from([video_id, "a.b-c_D"]))
    start = draw(st.integers(0, 3_600_000))
    end = start + draw(st.integers(1_000, 10_000))
    return ClipRequest(0, url, video_id, start, end, draw(NAMES) or None, draw(NAMES) or None)


def clock(ms: int) -> str:
    seconds, rest = divmod(ms, 1000)
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{rest:03d}"


def fields(clip: ClipRequest, time: Callable[[int], str]) -> dict[str, str]:
    assert clip.start_ms is not None
    assert clip.end_ms is not None
    return {
        "url": clip.url,
        "start": time(clip.start_ms),
        "end": time(clip.end_ms),
        "video_id": clip.video_id,
        "label": (clip.label or "").replace(" ", "_"),
        "split": clip.split or "",
    }


def without_lines(items: Iterable[Item]) -> list[tuple[object, ...]]:
    return [(c.url, c.video_id, c.start_ms, c.end_ms, c.label, c.split) for c in requests(items)]


@settings(deadline=None)
@given(
    st.lists(clips(), min_size=1, max_size=5),
    st.permutations(["url", "start", "end", "video_id", "label", "split"]),
    st.sampled_from(",;\t"),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.sampled_from([format_seconds, clock]),
)
def test_any_form_gives_the_same_requests(
    given_clips: list[ClipRequest],
    columns: list[str],
    delimiter: str,
    quoting: Literal[0, 1],
    time: Callable[[int], str],
) -> None:
    rows = [fields(clip, time) for clip in given_clips]
    table = io.StringIO()
    writer = csv.DictWriter(table, columns, delimiter=delimiter, quoting=quoting)
    writer.writeheader()
    writer.writerows(rows)
    expected = without_lines(given_clips)
    assert without_lines(read(table.getvalue().encode())) == expected
    lines = [json.dumps(row, ensure_ascii=quoting == csv.QUOTE_ALL) for row in rows]
    assert without_lines(read("\n".join(lines).encode())) == expected
    words = [f"{row['url']} {row['start']}\t{row['end']}\n" for row in rows]
    texts = [(c.url, video_id_from_url(c.url), c.start_ms, c.end_ms) for c in given_clips]
    assert [item[:4] for item in without_lines(read("".join(words).encode()))] == texts


TOKENS = st.sampled_from(
    [
        *(
            b'"',
            b",",
            b"\n",
            b"\r",
            b"\t",
            b" ",
            b"{",
            b"}",
            b"[",
            b":",
            b"#",
            b"\0",
            b"\xff",
            b"\\",
        ),
        *(b"url,start,end\n", b"label,youtube_id,time_start,time_end\n", b'{"url":', b'"start":1'),
        *(
            b"https://a.example/",
            b"0zFbEjoGlhc",
            b"6",
            b"10",
            b'""',
            b"file://",
            b"\xc3\xa9",
            b"null",
        ),
        *(b'{"url":"0zFbEjoGlhc"}', b"\nx,1,2,3\n", b'"a\nb"', b"\xed\xa0\x80", b"\xe2\x80\xa8"),
    ]
)
HOSTILE = st.one_of(st.binary(max_size=200), st.lists(TOKENS, max_size=40).map(b"".join))


@settings(deadline=None)
@given(HOSTILE, st.integers(1, 7))
@example(b'"a"x,url,url\n1', 1)
@example(b"{}", 1)
def test_any_bytes_give_problems_and_nothing_worse(data: bytes, limit: int) -> None:
    items = read(data)
    assert items
    lengths = [len(line) for line in split_lines(data)]
    last = 0
    for item in items:
        if isinstance(item, ClipRequest):
            assert item.url.startswith(("http://", "https://"))
            assert check_video_id(item.video_id)
            assert (item.start_ms is None) == (item.end_ms is None)
        else:
            assert len(str(item)) < 500
            assert str(item).isprintable()
        if isinstance(item, Problem) and item.line and item.column:
            assert item.column <= lengths[item.line - 1] + 1
        assert (item.line or 1 << 30) >= last
        last = item.line or last
    pieces = Pieces([data], limit)
    assert list(read_url_list(pieces, name="list.csv")) == items  # type: ignore[arg-type]


def split_lines(data: bytes) -> list[bytes]:
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")


@settings(deadline=None)
@given(st.text("ab\r\n", max_size=60), st.integers(1, 5))
def test_lines_are_those_of_universal_newlines(text: str, limit: int) -> None:
    pieces = Pieces([text.encode()], limit)
    lines = list(read_lines(pieces))  # type: ignore[arg-type]
    expected = io.TextIOWrapper(io.BytesIO(text.encode()), newline=None).read().split("\n")
    assert lines == list(enumerate(expected if expected[-1] else expected[:-1], 1))


@settings(deadline=None)
@given(st.text('",a', min_size=1, max_size=12))
def test_cells_are_found_where_csv_finds_them(text: str) -> None:
    starts = list(_cell_starts(text, ","))
    try:
        (cells,) = csv.reader([text], strict=True)
    except csv.Error:
        assert text[starts[-1]] == '"'
    else:
        for start, cell in zip(starts, cells, strict=True):
            assert text[start:].startswith(('"', cell))


# --- size -------------------------------------------------------------------------------------


def peak_bytes(pieces: Iterator[bytes]) -> tuple[int, Counter[str]]:
    tracemalloc.start()
    try:
        items = read_url_list(Pieces(pieces), name="big")  # type: ignore[arg-type]
        kinds = Counter(type(item).__name__ for item in items)
        return tracemalloc.get_traced_memory()[1], kinds
    finally:
        tracemalloc.stop()


def kinetics(rows: int) -> Iterator[bytes]:
    yield b"label,youtube_id,time_start,time_end,split\n"
    for number in range(rows):
        yield b"playing guitar,abc%08d,%d,%d,train\n" % (number, number % 300, number % 300 + 10)


def test_memory_does_not_grow_with_the_list() -> None:
    peak, kinds = peak_bytes(kinetics(5_000))
    assert kinds == {"ClipRequest": 5_000}
    assert peak < 500_000


def test_an_endless_line_is_skipped_in_bounded_memory() -> None:
    line = [b"a" * MAX_LINE_BYTES] * 1_000 + [b"a" * (MAX_LINE_BYTES - 1) + b"\r"]
    peak, kinds = peak_bytes(iter([*line, b"\n0zFbEjoGlhc\n"]))
    assert kinds == {"Problem": 1, "ClipRequest": 1}
    assert peak < 1_000_000
    too_long, clip = read(b"".join(line[-2:]) + b"0zFbEjoGlhc\n")
    assert (too_long.line, clip.line) == (1, 2)
    assert len(read(b"".join(line[:2]))) == 1


@pytest.mark.parametrize("extra", [0, 1])
def test_the_longest_line(extra: int) -> None:
    line = b"#" * (MAX_LINE_BYTES - 1 + extra) + b"\n"
    items = read(line + b"0zFbEjoGlhc\n" + line)
    assert len(items) == 1 + 2 * extra
    if extra:
        assert str(items[0]) == "line 1: line is over 64 KiB; a clip needs far less"
        assert items[2].line == 3


def test_an_open_quote_costs_one_row() -> None:
    rows = [b"0zFbEjoGlhc,%d,%d\n" % (number, number + 5) for number in range(500)]
    rows[7] = b'"' + rows[7]
    items = read(b"url,start,end\n" + b"".join(rows))
    assert [item.line for item in items if isinstance(item, Problem)] == [9]
    assert [item.line for item in items if isinstance(item, ClipRequest)] == [
        *range(2, 9),
        *range(10, 502),
    ]


def test_quotes_that_never_close_are_not_looked_for_far_ahead() -> None:
    taken = 0

    def pieces() -> Iterator[bytes]:
        nonlocal taken
        yield b"url,start,end\n"
        for taken in range(1, 1_001):  # noqa: B007
            yield b'a","\n'

    items = read_url_list(Pieces(pieces()), name="x")  # type: ignore[arg-type]
    for line, item in enumerate(islice(items, 1_000), 2):
        assert (item.line, type(item)) == (line, Problem)
        assert taken <= line + MAX_RECORD_LINES


def test_a_cell_may_run_over_so_many_lines_and_no_more() -> None:
    def listed(lines: int) -> bytes:
        return b'url,start,end,about\n0zFbEjoGlhc,1,5,"' + b"\n" * (lines - 1) + b'"\n'

    assert len(requests(read(listed(MAX_RECORD_LINES)))) == 1
    problem = read(listed(MAX_RECORD_LINES + 1))[1]
    assert isinstance(problem, Problem)
    assert (problem.line, problem.column) == (2, 17)


def test_a_cell_may_hold_so_many_characters_and_no_more() -> None:
    row = b'0zFbEjoGlhc,1,5,"' + (b"x" * (MAX_LINE_BYTES // 2) + b"\n") * 3 + b'"\n'
    items = read(b"url,start,end,about\n" + row)
    assert [item.line for item in items if isinstance(item, Problem)] == [2, 3, 4, 5]


def test_only_so_many_unused_keys_are_said() -> None:
    lines = b"".join(b'{"url": "0zFbEjoGlhc", "k%d": 1}\n' % number for number in range(200))
    assert Counter(map(type, read(lines))) == {ClipRequest: 200, Notice: 64}


def test_nesting_near_the_limit_of_recursion() -> None:
    for depth in range(700, 1_001):
        line = b'{"x": ' + b"[" * depth + b"]" * depth + b', "start": 5}\n'
        assert any(isinstance(item, Problem) for item in read(line))
