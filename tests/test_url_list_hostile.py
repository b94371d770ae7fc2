"""Lists that are wrong on purpose or by accident, and the exact words for each."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from mimecurate.curation.url_list import ClipRequest, read_url_list
from mimecurate.curation.url_list_fields import shown

if TYPE_CHECKING:
    from pathlib import Path

NO_LINK = "is not an http(s) link; begin it with https://, or give an 11-character YouTube id"
NO_HOST = "has no host, or a wrong one; give https://HOST/PATH"
NO_FILES = "is a local file; those need --allow-files"
MISSING = "is missing; give an http(s) link or an 11-character YouTube id"
PASSWORD = "holds a user name or password; remove the password from the link; use --cookies"
NO_TIME = (
    "is not a time; give seconds from 0 to 999999999 (12.5), "
    "MM:SS or HH:MM:SS.mmm, with SS below 60"
)
NO_QUOTE = (
    "no quote and ',' end this quoted cell within 64 lines; write a quote inside it as '\"\"'"
)


def say(data: bytes, *, allow_files: bool = False, base: Path | None = None) -> list[str]:
    items = read_url_list(io.BytesIO(data), name="list.csv", allow_files=allow_files, base=base)
    return ["ok" if isinstance(item, ClipRequest) else str(item) for item in items]


def message_for(cell: str, *, allow_files: bool = False) -> str:
    """Return what is said of a link in a TSV, where it may hold commas."""
    (text,) = say(f"url\tstart\tend\n{cell}\t1\t5\n".encode(), allow_files=allow_files)
    return text.removeprefix("line 2, column 1: url ")


@pytest.mark.parametrize(
    ("link", "message"),
    [
        ("", MISSING),
        ("nonsense", f"'nonsense' {NO_LINK}"),
        ("--exec=id", f"'--exec=id' {NO_LINK}"),
        ("-o/x", f"'-o/x' {NO_LINK}"),
        ("concat:a|b", f"'concat:a|b' {NO_LINK}"),
        ("ytsearch2:cats", f"'ytsearch2:cats' {NO_LINK}"),
        ("javascript:alert(1)", f"'javascript:alert(1)' {NO_LINK}"),
        ("data:video/mp4;base64,AA", f"'data:video/mp4;base64,AA' {NO_LINK}"),
        ("=HYPERLINK(1)", f"'=HYPERLINK(1)' {NO_LINK}"),
        ("www.youtube.com/watch?v=0zFbEjoGlhc", f"'www.youtube.com/watch?v=0zFbEjoGlhc' {NO_LINK}"),
        ("http:/a.example/", f"'http:/a.example/' {NO_LINK}"),
        ("ftp://me:secret@a.example/", f"'ftp://***@a.example/' {NO_LINK}"),
        ("file:///etc/passwd", f"'file:///etc/passwd' {NO_FILES}"),
        ("File:/etc/passwd", f"'File:/etc/passwd' {NO_FILES}"),
        ("/etc/passwd", f"'/etc/passwd' {NO_FILES}"),
        ("../../x.mp4", f"'../../x.mp4' {NO_FILES}"),
        ("https://me:secret@a.example/", f"'https://***@a.example/' {PASSWORD}"),
        ("https://me@a.example/", f"'https://***@a.example/' {PASSWORD}"),
        ("https://a.example\\@b.example/", f"'https://***@b.example/' {PASSWORD}"),
        ("https://me:se/cret@a.example/", f"'https://***@a.example/' {NO_HOST}"),
        ("https://", f"'https://' {NO_HOST}"),
        ("https:///x", f"'https:///x' {NO_HOST}"),
        ("https://:80/x", f"'https://:80/x' {NO_HOST}"),
        ("https://a.example:99999/", f"'https://a.example:99999/' {NO_HOST}"),
        ("https://a.example:0/", f"'https://a.example:0/' {NO_HOST}"),
        ("https://a.example:x/", f"'https://a.example:x/' {NO_HOST}"),
        ("https://[::1/", f"'https://[::1/' {NO_HOST}"),
        ("https://\u2100.example/", f"'https://\u2100.example/' {NO_HOST}"),
        (
            "https://a.example/\x1b[2J",
            r"'https://a.example/\x1b[2J' holds '\x1b'; remove it or percent-encode it",
        ),
        (
            "https://a.example/a b",
            "'https://a.example/a b' holds ' '; remove it or percent-encode it",
        ),
        (
            "https://a.example/\u200b",
            r"'https://a.example/\u200b' holds '\u200b'; remove it or percent-encode it",
        ),
        (
            "https://a.example\\b",
            r"'https://a.example\\b' holds '\\'; remove it or percent-encode it",
        ),
        (
            "https://a.example/#__youtubedl_smuggle=%7B%7D",
            "'https://a.example/#__youtubedl_smuggle=%7B%7D' holds hidden yt-dlp data; "
            "cut it off at the '#'",
        ),
        (
            "https://a.example/" + "a" * 2_031,
            f"'https://a.example/{'a' * 59}…' has 2049 characters; at most 2048 will do",
        ),
    ],
)
def test_links_that_are_refused(link: str, message: str) -> None:
    assert message_for(link) == message


@pytest.mark.parametrize(
    "link",
    [
        "https://münchen.example/v.mp4",
        "https://www.tiktok.com/@user/video/1",
        "https://a.example/?mail=me@b.example",
        "https://[::1]:8080/a,b;c'd",
        "HTTP://a.example",
        "--no-config",  # eleven characters: YouTube's alphabet has '-'
        "https://a.example/" + "a" * 2_030,
    ],
)
def test_links_that_are_taken(link: str) -> None:
    assert message_for(link) == "ok"


@pytest.mark.parametrize(
    ("link", "message"),
    [
        ("-x.mp4", f"'-x.mp4' {NO_LINK}"),
        ("concat:a|b", f"'concat:a|b' {NO_LINK}"),
        ("a.mp4", "'a.mp4' is relative to no folder; give the whole path"),
        ("/a\x1b", r"'/a\x1b' holds the control character '\x1b'; remove it"),
        (
            "file://nas/a.mp4",
            "'file://nas/a.mp4' names no file of this machine; give file:///PATH",
        ),
        ("file:a.mp4", "'file:a.mp4' names no file of this machine; give file:///PATH"),
        ("file://[/a", "'file://[/a' is not a file link; give file:///PATH"),
        ("file:///a#b", "'file:///a#b' has a '?' or '#'; write %3F or %23 for those"),
        ("file:///a%00", "'file:///a%00' holds a NUL; remove it"),
    ],
)
def test_files_that_are_refused_even_when_files_are_allowed(link: str, message: str) -> None:
    assert message_for(link, allow_files=True) == message


@pytest.mark.parametrize("scheme", ["https", "ftp", "file", "x"])
@pytest.mark.parametrize(
    "user", ["me:SECRET", "SECRET", "me:SE/SECRET", "SECRET@SECRET", ":SECRET"]
)
def test_no_message_tells_a_password(scheme: str, user: str) -> None:
    for rest in ["a.example/", "a.example:x/", "a b", "\x1b", "", "a" * 3_000]:
        for allow_files in (False, True):
            message = message_for(f"{scheme}://{user}@{rest}", allow_files=allow_files)
            assert "SECRET" not in message
            assert message != "ok"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        pytest.param(b"", ["list.csv lists no clip; give at least one link"], id="empty"),
        pytest.param(
            b"\xef\xbb\xbf# x\n\n", ["list.csv lists no clip; give at least one link"], id="comment"
        ),
        pytest.param(
            b"label,youtube_id,time_start,time_end,split\r\n",
            ["list.csv lists no clip; give at least one link"],
            id="only-header",
        ),
        pytest.param(
            b"who,youtube_id,time_start,time_end\n",
            ["line 1: columns not used: 'who'", "list.csv lists no clip; give at least one link"],
            id="only-header-and-notice",
        ),
        pytest.param(
            b"label,Label,YOUTUBE_ID,url,start\nx,0zFbEjoGlhc,1,2\n",
            [
                "line 1, column 7: column 'Label' is a second 'label'; keep one",
                "line 1, column 24: column 'url' is a second 'YOUTUBE_ID'; keep one",
                "line 1: the header has no column 'end' or 'time_end'; add it",
            ],
            id="header",
        ),
        pytest.param(
            b"label,start,end,video_id\n",
            ["line 1: the header has no column 'url' or 'youtube_id'; add it"],
            id="header-without-link",
        ),
        pytest.param(
            b"\narchery,0zFbEjoGlhc,6,10,test\nbow,0zFbEjoGlhc,6,10,test\n",
            [
                "line 2, column 1: the first line is no header; begin with "
                "label,youtube_id,time_start,time_end,split or url,start,end"
            ],
            id="no-header",
        ),
        pytest.param(
            b'"https://a.example/";"1";"5"\n',
            [
                "line 1, column 1: the first line is no header; begin with "
                "label,youtube_id,time_start,time_end,split or url,start,end"
            ],
            id="no-header-quoted",
        ),
        pytest.param(
            '[{"url": "0zFbEjoGlhc"}]'.encode("utf-16"),
            ["line 1: the list is UTF-16, not UTF-8; save it as UTF-8"],
            id="utf-16",
        ),
        pytest.param(
            "url".encode("utf-16-be"),
            ["line 1: the list is UTF-16, not UTF-8; save it as UTF-8"],
            id="utf-16-without-mark",
        ),
        pytest.param(
            b"PK\x03\x04\n\n",
            [
                "line 1: the list is a zip archive or a spreadsheet, not text; "
                "save it as CSV in UTF-8"
            ],
            id="xlsx",
        ),
        pytest.param(
            b"\x1f\x8b\x08", ["line 1: the list is gzip, not text; unpack it first"], id="gzip"
        ),
        pytest.param(
            b'[{"url": "0zFbEjoGlhc"}]\n',
            ["line 1, column 1: a JSON array; write one object per line (JSON Lines)"],
            id="json-array",
        ),
    ],
)
def test_whole_files(data: bytes, said: list[str]) -> None:
    assert say(data) == said


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (
            b"A,1",
            ["line 3: row has 2 cells, the header 6; add those that are missing, if only empty"],
        ),
        (
            b"A,1,5,,,,,\xc3\xa9",
            [
                "line 3, column 20: row has 8 cells, the header 6; "
                "put a cell that holds ',' into quotes"
            ],
        ),
        (
            b'"A","1",5,"a,\nb",,,7',
            [
                "line 4, column 6: row has 7 cells over 2 lines, the header 6; "
                "put a cell that holds ',' into quotes"
            ],
        ),
        (b"A,-1,5,,,", [f"line 3, column 13: start '-1' {NO_TIME}"]),
        (
            b'"A",1:75,10000000000,,,',
            [
                f"line 3, column 15: start '1:75' {NO_TIME}",
                f"line 3, column 20: end '10000000000' {NO_TIME}",
            ],
        ),
        (
            b"A,nan,1e3,,,",
            [
                f"line 3, column 13: start 'nan' {NO_TIME}",
                f"line 3, column 17: end '1e3' {NO_TIME}",
            ],
        ),
        (b"A,1," + b"5" * 33 + b",,,", [f"line 3, column 15: end '{'5' * 33}' {NO_TIME}"]),
        (b"A,5,,,,", ["line 3, column 15: end is missing; give both times or neither"]),
        (b"A,,5,,,", ["line 3, column 13: start is missing; give both times or neither"]),
        (
            b"A,6,6.000,,,",
            ["line 3, column 15: end '6.000' is not after the start '6'; give a later one"],
        ),
        (
            b"x,9,4,,,",
            [
                f"line 3, column 1: url 'x' {NO_LINK}",
                "line 3, column 5: end '4' is not after the start '9'; give a later one",
            ],
        ),
        (b'A,1,5,=cmd|"/c calc"!A1,+1,', ["ok"]),
        (
            b"A,1,5,\x1b]0;x\x07,,",
            [
                r"line 3, column 17: label '\x1b]0;x\x07' holds the control character '\x1b'; "
                "remove it"
            ],
        ),
        (
            "A,1,5,,\u202etset,".encode(),
            [
                r"line 3, column 18: split '\u202etset' holds the control character '\u202e'; "
                "remove it"
            ],
        ),
        (
            b"A,1,5," + b"x" * 201 + b",,",
            [f"line 3, column 17: label '{'x' * 77}…' has 201 characters; at most 200 will do"],
        ),
        (
            b'A,1,5,"a\nb",,',
            ["line 3, column 17: label runs over 2 lines; look for a stray quote"],
        ),
        (
            b"https://a.example/,1,5,,,../../x",
            [
                "line 3, column 26: video_id '../../x' must be 1 to 80 letters, digits, '_', '-' "
                "or inner '.'"
            ],
        ),
        (
            b"A,1,5,,,BBBBBBBBBBB",
            [
                "line 3, column 19: video_id 'BBBBBBBBBBB' is not the link's own, '0zFbEjoGlhc'; "
                "leave it out"
            ],
        ),
        (b"A,1,5,,,0zFbEjoGlhc", ["ok"]),
        (
            b"A,1,5,Fran\xe7ais,,",
            ["line 3, column 21: byte 0xE7 is not UTF-8; save the list as UTF-8"],
        ),
        (
            b"\xc3\xa9,1,5,\xff,,",
            ["line 3, column 7: byte 0xFF is not UTF-8; save the list as UTF-8"],
        ),
        (b"A,1,5,\0,,", ["line 3, column 17: line holds a NUL byte; remove it"]),
        (
            b'"a\nb\xff"',
            [
                f"line 3, column 1: {NO_QUOTE}",
                "line 4, column 2: byte 0xFF is not UTF-8; save the list as UTF-8",
            ],
        ),
        (b"A,1.%s,5,,," % (b"0" * 31), [f"line 3, column 13: start '1.{'0' * 31}' {NO_TIME}"]),
        (
            b"x,-1,-02,\x1b,,",
            [
                f"line 3, column 1: url 'x' {NO_LINK}",
                f"line 3, column 3: start '-1' {NO_TIME}",
                f"line 3, column 6: end '-02' {NO_TIME}",
                r"line 3, column 10: label '\x1b' holds the control character '\x1b'; remove it",
            ],
        ),
        (b'"A,1,5,,,', [f"line 3, column 1: {NO_QUOTE}"]),
        (b'A,"1"0,5,,,', [f"line 3, column 13: {NO_QUOTE}"]),
    ],
)
def test_rows(row: bytes, said: list[str]) -> None:
    row = row.replace(b"A", b"0zFbEjoGlhc", 1) if b"A" in row[:2] else row
    header = b"# hostile\nurl,start,end,label,split,video_id\n"
    lines = say(header + row + b"\n0zFbEjoGlhc,1,5,,,\n")
    assert lines == [*said, "ok"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            b"[]",
            ['line 2, column 1: not a JSON object; write {"url": …, "start": …, "end": …}'],
        ),
        (
            b"{",
            [
                "line 2, column 2: not JSON: Expecting property name enclosed in double quotes; "
                "write one object"
            ],
        ),
        (b"# no comments here", ["line 2, column 1: not JSON: Expecting value; write one object"]),
        (
            b'{"x": ' + b"[" * 60_000,
            ["line 2, column 1: JSON is nested too deeply; write one flat object"],
        ),
        (b"{}", [f"line 2: url {MISSING}"]),
        (b'{ "url" : null }', [f"line 2, column 11: url {MISSING}"]),
        (b'{"youtube_id": ""}', [f"line 2, column 16: youtube_id {MISSING}"]),
        (
            b'{"x": {"url": 1}, "url": 1, "start": true, "end": NaN, "label": [1], "split": {}}',
            [
                "line 2, column 26: url is a number; give text",
                "line 2, column 38: start is true or false; give a number or text",
                "line 2, column 51: end is not a number; give a number or text",
                "line 2, column 65: label is an array; give text",
                "line 2, column 79: split is an object; give text",
                "line 2: keys not used: 'x'",
            ],
        ),
        (b'{"url": "x", "URL": "A"}', ["line 2, column 21: URL is given twice; keep one"]),
        (b'{"url": "A", "URL": "A"}', ["line 2, column 31: URL is given twice; keep one"]),
        (
            b'{"url": "A", "start": 1, "time_start": 2}',
            ["line 2, column 50: time_start is given twice; keep one"],
        ),
        (b'{"url": "A", "start": 1e1, "end": 20}', [f"line 2, column 33: start '1e1' {NO_TIME}"]),
        (b'{"url": "A", "start": -1, "end": 5}', [f"line 2, column 33: start '-1' {NO_TIME}"]),
        (b'{"url": "A", "end": 5}', ["line 2: start is missing; give both times or neither"]),
        (
            b'{"url": "A", "label": "\\ud800"}',
            [r"line 2, column 33: label '\ud800' holds the control character '\ud800'; remove it"],
        ),
        (
            b'{"url": "https://a.example/\\ud800"}',
            [
                r"line 2, column 9: url 'https://a.example/\ud800' holds '\ud800'; "
                "remove it or percent-encode it"
            ],
        ),
    ],
)
def test_json_lines(line: bytes, said: list[str]) -> None:
    good = b'{"url": "0zFbEjoGlhc"}\n'
    lines = say(good + line.replace(b'"A"', b'"0zFbEjoGlhc"') + b"\n\n" + good)
    assert lines == ["ok", *said, "ok"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"0zFbEjoGlhc 5", "line 2: end is missing; give both times or neither"),
        (
            b"0zFbEjoGlhc 5 8  x",
            "line 2, column 18: 'x' is one word too many; write URL or URL START END",
        ),
        (b" x\t5 8", f"line 2, column 2: url 'x' {NO_LINK}"),
        (b"https://a.example/ x 8", f"line 2, column 20: start 'x' {NO_TIME}"),
    ],
)
def test_text_lines(line: bytes, said: str) -> None:
    good = b"0zFbEjoGlhc\n"
    assert say(good + line + b"\n" + good) == ["ok", said, "ok"]


def test_a_shown_value_is_short_and_cannot_act() -> None:
    for value in ("\x1b" * 80, "'\"" * 50, "é" * 81, "\ud800\u202e\n", "x" * 78, "x" * 79):
        assert len(shown(value)) <= 80
        assert shown(value).isprintable()
    assert shown("x" * 78) == f"'{'x' * 78}'"
