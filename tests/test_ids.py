"""Names of videos and clips."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimecurate.schemas.ids import check_video_id, clip_id, video_id_from_url, youtube_id
from mimecurate.schemas.times import format_seconds, parse_time_ms


@pytest.mark.parametrize(
    "link",
    [
        "https://www.youtube.com/watch?v=0zFbEjoGlhc",
        "http://m.youtube.com/watch?app=desktop&v=0zFbEjoGlhc#t=3",
        "https://youtu.be/0zFbEjoGlhc?si=x",
        "https://www.youtube.com/shorts/0zFbEjoGlhc",
        "https://www.youtube-nocookie.com/embed/0zFbEjoGlhc",
        "https://music.youtube.com/watch?v=0zFbEjoGlhc",
        "https://WWW.YouTube.com/live/0zFbEjoGlhc",
    ],
)
def test_every_spelling_of_a_youtube_link_is_one_video(link: str) -> None:
    assert youtube_id(link) == video_id_from_url(link) == "0zFbEjoGlhc"


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example/watch?v=0zFbEjoGlhc",
        "https://youtube.com.evil.example/watch?v=0zFbEjoGlhc",
        "https://www.youtube.com/watch?v=../../etc",
        "https://www.youtube.com/playlist?list=PL0zFbEjoGlhc",
        "ftp://youtu.be/0zFbEjoGlhc",
    ],
)
def test_what_is_no_youtube_video(link: str) -> None:
    assert youtube_id(link) is None
    assert video_id_from_url(link).endswith("-url")


def test_ids_made_of_links_spread_over_folders_and_are_no_youtube_ids() -> None:
    names = {video_id_from_url(f"https://example.org/{n}.mp4") for n in range(1000)}
    assert len(names) == 1000
    assert len({name[:2] for name in names}) > 200
    assert all(check_video_id(name) and len(name) == 20 for name in names)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/b", "a.", ".a", "a b", "é", "x" * 81, "a\0"]
)
def test_unsafe_video_ids_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="video id"):
        check_video_id(name)


@pytest.mark.parametrize("name", ["0zFbEjoGlhc", "-abc", "a.b", "_", "x" * 80])
def test_safe_video_ids(name: str) -> None:
    assert check_video_id(name) == name


@given(
    st.tuples(st.integers(0, 10**8), st.integers(1, 10**6)),
    st.tuples(st.integers(0, 10**8), st.integers(1, 10**6)),
)
def test_different_intervals_have_different_names(a: tuple[int, int], b: tuple[int, int]) -> None:
    names = [clip_id("v", start, start + length) for start, length in (a, b)]
    assert (names[0] == names[1]) == (a == b)


@given(st.integers(0, 10**10))
def test_seconds_read_back(ms: int) -> None:
    assert parse_time_ms(format_seconds(ms)) == ms


@pytest.mark.parametrize("text", ["", "-1", "1:60", "1:60:00", "1e3", "nan", "1:2:3:4", "\uff11"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match="time"):
        parse_time_ms(text)
