from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from youtube_answers import NO_PAGE, PLAYABLE, URL, answer_with

from mimecurate.curation.pacing import Pacer
from mimecurate.curation.source_formats import choose_formats
from mimecurate.curation.sources import SourceOptions, resolve


def fmt(name: str, height: int | None = None, **more: Any) -> dict[str, Any]:
    """Make a format as yt-dlp lists it; by default H.264 without sound, by ranges."""
    made = {
        "format_id": name,
        "protocol": "https",
        "vcodec": "avc1.64001f",
        "acodec": "none",
        "height": height,
    }
    return made | more


def sound(name: str, codec: str = "mp4a.40.2", **more: Any) -> dict[str, Any]:
    return fmt(name, vcodec="none", acodec=codec, **more)


def chosen(formats: list[dict[str, Any]], max_height: int | None = None) -> str | None:
    found = choose_formats(formats, max_height)
    return found and "+".join(f["format_id"] for f in found if f is not None)


YOUTUBE = [
    sound("249", "opus"),
    sound("139"),
    sound("251", "opus"),
    sound("140"),
    fmt("278", 144, vcodec="vp9"),
    fmt("160", 144),
    fmt("18", 360, acodec="mp4a.40.2"),
    fmt("134", 360),
    fmt("135", 480),
    fmt("136", 720),
    fmt("248", 1080, vcodec="vp9"),
    fmt("137", 1080),
    fmt("313", 2160, vcodec="vp9"),
    fmt("401", 2160, vcodec="av01.0.12M.08"),
]


@pytest.mark.parametrize(
    ("max_height", "expected"),
    [
        (None, "137+140"),
        (1080, "137+140"),
        (1079, "136+140"),
        (720, "136+140"),
        (480, "135+140"),
        (360, "18"),  # with its sound, in one file
        (256, "160+140"),
        (100, "160+140"),  # all have more: the smallest
        (2160, "401+140"),  # H.264 has not half the height
    ],
)
def test_heights(max_height: int | None, expected: str) -> None:
    assert chosen(YOUTUBE, max_height) == expected


@pytest.mark.parametrize(
    ("formats", "expected"),
    [
        pytest.param(
            [fmt("hls", 1080, protocol="m3u8_native"), fmt("https", 1080)], "https", id="ranges"
        ),
        pytest.param(
            [fmt("https", 720), fmt("hls", 1080, protocol="m3u8_native")], "https", id="2/3"
        ),
        pytest.param(
            [fmt("https", 360), fmt("hls", 1080, protocol="m3u8_native")], "hls", id="too small"
        ),
        pytest.param(
            [fmt("vp9", 1080, vcodec="vp9"), fmt("hls", 1080, protocol="m3u8_native")],
            "vp9",
            id="ranges before codec",
        ),
        pytest.param([fmt("avc", 1080), fmt("vp9", 1080, vcodec="vp9")], "avc", id="codec"),
        pytest.param([fmt("low", 720), fmt("high", 720)], "high", id="yt-dlp's order"),
        pytest.param([fmt("0", None, vcodec=None, acodec=None)], "0", id="nothing known"),
        pytest.param([fmt("good", 720), fmt("bad", 1080, preference=-10)], "good", id="damaged"),
        pytest.param([fmt("bad", 1080, preference=-10)], "bad", id="only damaged"),
        pytest.param([fmt("drm", 1080, has_drm=True), fmt("free", 360)], "free", id="DRM"),
        pytest.param([fmt("rtmp", 1080, protocol="rtmp"), fmt("https", 360)], "https", id="rtmp"),
        pytest.param([sound("140")], None, id="sound only"),
        pytest.param([], None, id="nothing"),
        pytest.param([fmt("v", 720), sound("a", "opus")], "v+a", id="opus if there is no AAC"),
        pytest.param([fmt("v", 720)], "v", id="silent"),
        pytest.param(
            [sound("a1"), sound("a2", protocol="m3u8_native"), fmt("v", 720)], "v+a1", id="sound"
        ),
    ],
)
def test_choices(formats: list[dict[str, Any]], expected: str | None) -> None:
    assert chosen(formats) == expected


@given(heights=st.lists(st.integers(1, 4000), min_size=1, max_size=8), limit=st.integers(1, 4000))
def test_the_tallest_that_fits(heights: list[int], limit: int) -> None:
    found = choose_formats([fmt(str(h), h) for h in heights], limit)
    assert found is not None
    fitting = [h for h in heights if h <= limit]
    assert found[0]["height"] == (max(fitting) if fitting else min(heights))


@pytest.mark.parametrize(
    ("max_height", "format_id", "height"),
    [(None, "137+140", 1080), (720, "136+140", 720), (360, "18", 360), (240, "160+140", 144)],
)
def test_yt_dlp_takes_the_choice_for_a_youtube_video(
    monkeypatch: pytest.MonkeyPatch, max_height: int | None, format_id: str, height: int
) -> None:
    answer_with(monkeypatch, PLAYABLE)
    options = SourceOptions(max_height, yt_dlp_options={"extractor_args": NO_PAGE})
    resolved = resolve(URL, options, Pacer(), lambda: None)
    assert (resolved.format_id, resolved.height) == (format_id, height)
    assert (resolved.extractor, resolved.title) == ("youtube", "Mime")
    assert resolved.duration_ms == 600_000
    assert resolved.video.url.endswith(f"videoplayback?itag={format_id.partition('+')[0]}")
    assert (resolved.audio is not None) == ("+" in format_id)
    assert resolved.video.protocol == "https"
    assert "User-Agent" in resolved.video.headers
