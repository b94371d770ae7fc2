from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimecurate.curation.hls import Segment, SegmentKey, parse_playlist
from mimecurate.errors import ClipError, Reason

URL = "https://a.example/v/list.m3u8?token=1"


def parse(*lines: str) -> list[Segment]:
    return parse_playlist("\n".join(["#EXTM3U", *lines, "#EXT-X-ENDLIST"]), URL)


def test_segments_in_order_with_links_of_all_kinds() -> None:
    found = parse(
        '#EXT-X-MAP:URI="init.mp4",BYTERANGE="720@0"',
        "#EXTINF:4.004,A title, with a comma",
        "1.m4s?x=1",
        "#EXT-X-DISCONTINUITY",
        "#EXTINF:4.004,",
        "/abs/2.m4s",
        "# a comment",
        "",
        "#EXTINF:4.004,",
        "  http://b.example/3.m4s",
    )
    assert found == [
        Segment("https://a.example/v/init.mp4", (0, 720)),
        Segment("https://a.example/v/1.m4s?x=1"),
        Segment("https://a.example/abs/2.m4s"),
        Segment("http://b.example/3.m4s"),
    ]


def test_byte_ranges_go_on_where_the_last_of_the_same_file_stopped() -> None:
    found = parse(
        *("#EXT-X-BYTERANGE:100@50", "a.ts"),
        *("#EXT-X-BYTERANGE:10", "a.ts"),
        *("#EXT-X-BYTERANGE:7", "b.ts"),
        *("#EXT-X-BYTERANGE:5@400", "a.ts"),
        *("#EXT-X-BYTERANGE:5", "a.ts"),
        "c.ts",
    )
    assert [segment.byte_range for segment in found] == [
        (50, 150),
        (150, 160),
        (0, 7),
        (400, 405),
        (405, 410),
        None,
    ]


def test_keys() -> None:
    found = parse(
        "#EXT-X-MEDIA-SEQUENCE:258",
        "0.ts",
        '#EXT-X-KEY:METHOD=AES-128,URI="k?a=1,2"',
        "1.ts",
        '#EXT-X-KEY:METHOD=AES-128,URI="k",IV=0x0000000000000000000000000000002A',
        "2.ts",
        "#EXT-X-KEY:METHOD=NONE",
        "3.ts",
    )
    assert [segment.key for segment in found] == [
        None,
        SegmentKey("https://a.example/v/k?a=1,2", (259).to_bytes(16, "big")),
        SegmentKey("https://a.example/v/k", (42).to_bytes(16, "big")),
        None,
    ]


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["#EXT-X-KEY:METHOD=SAMPLE-AES,URI=x", "1.ts"], Reason.UNSUPPORTED),
        (['#EXT-X-KEY:METHOD=AES-128,URI="k",IV=0xzz', "1.ts"], Reason.UNSUPPORTED),
        (['#EXT-X-KEY:METHOD=AES-128,URI="k",IV=0x' + "f" * 40, "1.ts"], Reason.UNSUPPORTED),
        (["#EXT-X-KEY:METHOD=AES-128", "1.ts"], Reason.UNSUPPORTED),
        (["#EXT-X-BYTERANGE:all", "1.ts"], Reason.UNSUPPORTED),
        (["#EXTINF:2,"], Reason.NO_VIDEO),
    ],
)
def test_what_can_not_be_joined(lines: list[str], reason: Reason) -> None:
    with pytest.raises(ClipError) as caught:
        parse(*lines)
    assert caught.value.reason is reason


def test_a_live_playlist() -> None:
    with pytest.raises(ClipError) as caught:
        parse_playlist("#EXTM3U\n1.ts\n", URL)
    assert caught.value.reason is Reason.LIVE


_LINE = st.one_of(
    st.text(max_size=30),
    st.builds(
        "{}:{}".format,
        st.sampled_from(
            ["#EXT-X-KEY", "#EXT-X-MAP", "#EXT-X-BYTERANGE", "#EXT-X-MEDIA-SEQUENCE", "#EXTINF"]
        ),
        st.text(max_size=30),
    ),
)


@given(st.lists(_LINE, max_size=10))
def test_anything_is_read_or_refused(lines: list[str]) -> None:
    try:
        found = parse(*lines)
    except ClipError:
        return
    assert found
