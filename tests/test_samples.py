from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from testbed import frames_read

from mimecurate.curation.sample_files import disguised, make_hls, scrambled, truncated
from mimecurate.curation.sample_frames import COUNTERS, Scenery
from mimecurate.curation.sample_sound import MAX_SECONDS, clock_sound
from mimecurate.curation.samples import (
    ColourTags,
    VideoSpec,
    audio_time,
    make_video,
    read_counter,
)

if TYPE_CHECKING:
    from pathlib import Path

    from testbed import SampleMaker

    from mimecurate.curation.samples import Sample

SIZE = 160, 120
Picture = npt.NDArray[Any]


def luma_of(number: int, size: tuple[int, int] = SIZE, grain: float = 0) -> Picture:
    width, height = size
    planes = Scenery(width, height, subsampled=True, grain=grain).planes(number)
    return planes[:height]


# --- the number in a frame


@settings(max_examples=30)
@given(number=st.integers(0, COUNTERS - 1))
def test_every_number_can_be_read(number: int) -> None:
    assert read_counter(luma_of(number)) == number


@pytest.mark.parametrize("size", [(128, 96), (171, 96), (161, 121), (340, 256), (96, 160)])
@pytest.mark.parametrize("grain", [0, 12])
def test_a_number_survives_resizing_and_grain(size: tuple[int, int], grain: float) -> None:
    for number in (0, 1, 0x5555, 0xAAAA, COUNTERS - 1):
        small = cv2.resize(luma_of(number, (640, 480), grain), size, interpolation=cv2.INTER_AREA)
        assert read_counter(small) == number


@pytest.mark.parametrize(("low", "high"), [(0, 255), (64, 940), (16, 120)])
def test_a_number_is_read_in_any_range_and_depth(low: int, high: int) -> None:
    levels = low + (luma_of(4711).astype(float) - 16) / 219 * (high - low)
    assert read_counter(levels.clip(0).astype(np.uint16)) == 4711


@pytest.mark.parametrize(
    "luma",
    [
        pytest.param(np.zeros((120, 160), np.uint8), id="black"),
        pytest.param(np.full((120, 160), 16, np.uint8), id="video black"),
        pytest.param(np.full((120, 160), 235, np.uint8), id="white"),
        pytest.param(np.random.default_rng(0).integers(0, 256, (120, 160)), id="noise"),
        pytest.param(luma_of(7)[::-1], id="upside down"),
        pytest.param(luma_of(7)[:, ::-1], id="mirrored"),
        pytest.param(luma_of(4)[20:], id="cropped"),
        pytest.param(luma_of(4) // 2 + luma_of(3) // 2, id="two frames blended"),
    ],
)
def test_what_has_no_number_is_refused(luma: Picture) -> None:
    with pytest.raises(ValueError, match="no frame number"):
        read_counter(luma)


def test_most_pictures_without_a_number_are_refused() -> None:
    rng = np.random.default_rng(1)
    wrong = 0
    for _ in range(500):
        cells = np.kron(rng.integers(0, 2, (10, 14)) * 219 + 16, np.ones((12, 12)))
        try:
            read_counter(cells[:120, :160])
        except ValueError:
            continue
        wrong += 1
    assert wrong < 20


# --- the sound


@settings(max_examples=40)
@given(
    start_s=st.floats(0, MAX_SECONDS - 2),
    seconds=st.sampled_from([0.2, 0.5, 1.0]),
    rate=st.sampled_from([16_000, 44_100, 48_000]),
)
def test_any_piece_of_the_sound_tells_its_time(start_s: float, seconds: float, rate: int) -> None:
    sound = clock_sound(start_s, int(seconds * rate), rate)
    assert audio_time(sound, rate) == pytest.approx(start_s, abs=0.002)


@pytest.mark.parametrize("start_s", [7.5, 7.7, 7.74, 7.75, 7.76, 7.9, 7.99, 15.75, 8.0])
def test_the_sound_tells_the_time_where_it_starts_again(start_s: float) -> None:
    sound = clock_sound(start_s, 24_000, 48_000)
    assert audio_time(sound, 48_000) == pytest.approx(start_s, abs=0.002)


@pytest.mark.parametrize(
    ("sound", "message"),
    [
        pytest.param(np.zeros(9600), "silence", id="silence"),
        pytest.param(clock_sound(0, 400, 48_000), "too few", id="short"),
        pytest.param(np.random.default_rng(0).normal(0, 0.3, 9600), "no tone", id="noise"),
        pytest.param(np.sin(np.arange(9600) * 0.02), "no tone", id="another tone"),
    ],
)
def test_another_sound_is_refused(sound: Picture, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        audio_time(sound, 48_000)


def test_sound_does_not_tell_the_time_for_ever() -> None:
    with pytest.raises(ValueError, match="up to 960 s"):
        clock_sound(MAX_SECONDS - 0.1, 48_000, 48_000)


# --- videos

KINDS = [
    pytest.param(VideoSpec(seconds=2), ".mp4", id="plain"),
    pytest.param(VideoSpec(seconds=2, bframes=0), ".mp4", id="no B-frames"),
    pytest.param(VideoSpec(seconds=2, bframes=3, open_gop=True), ".mp4", id="open GOP"),
    pytest.param(VideoSpec(seconds=2, layout="moov_at_end"), ".mp4", id="index at the end"),
    pytest.param(VideoSpec(seconds=2, layout="fragmented", audio="mono"), ".mp4", id="fragments"),
    pytest.param(VideoSpec(seconds=2, fps=Fraction(30000, 1001)), ".mp4", id="29.97"),
    pytest.param(VideoSpec(seconds=2, variable_rate=True), ".mp4", id="variable rate"),
    pytest.param(VideoSpec(seconds=2, start_offset_frames=7), ".mp4", id="late start"),
    pytest.param(VideoSpec(seconds=2, first_number=9000), ".mp4", id="other numbers"),
    pytest.param(VideoSpec(seconds=1, repeats=3), ".mp4", id="repeated"),
    pytest.param(
        VideoSpec(seconds=1, repeats=3, layout="fragmented", start_offset_frames=2),
        ".mp4",
        id="repeated fragments",
    ),
    pytest.param(VideoSpec(seconds=1, repeats=2, codec="vp9"), ".webm", id="repeated vp9"),
    pytest.param(VideoSpec(seconds=2, audio="stereo"), ".ts", id="transport stream"),
    pytest.param(VideoSpec(seconds=2, audio="mono"), ".mkv", id="matroska"),
    pytest.param(VideoSpec(seconds=2, codec="hevc"), ".mp4", id="hevc"),
    pytest.param(VideoSpec(seconds=2, codec="vp9", audio="stereo"), ".webm", id="vp9"),
    pytest.param(VideoSpec(seconds=1, codec="av1"), ".mp4", id="av1"),
    pytest.param(VideoSpec(seconds=1, width=161, height=121, pix_fmt="yuv444p"), ".mp4", id="odd"),
    pytest.param(VideoSpec(seconds=1, width=161, height=121, codec="vp9"), ".webm", id="odd vp9"),
    pytest.param(
        VideoSpec(seconds=1, pix_fmt="yuv420p10le", colour=ColourTags.hdr10()), ".mp4", id="hdr"
    ),
    pytest.param(VideoSpec(seconds=1, grain=8, crf=30), ".mp4", id="grain"),
]


@pytest.mark.parametrize(("spec", "suffix"), KINDS)
def test_every_frame_is_where_the_sample_says(
    sample: SampleMaker, spec: VideoSpec, suffix: str
) -> None:
    made = sample(spec, suffix)
    assert frames_read(made.path) == list(made.frames)
    assert len(made.frames) == round(spec.seconds * spec.fps) * spec.repeats
    assert made.frames[0] == (spec.first_number, Fraction(0))


def test_opencv_reads_the_same_frames(sample: SampleMaker) -> None:
    made = sample(VideoSpec(seconds=2))
    capture = cv2.VideoCapture(str(made.path))
    read = []
    while (got := capture.read())[0]:
        read.append(read_counter(cv2.cvtColor(got[1], cv2.COLOR_BGR2GRAY)))
    capture.release()
    assert read == [number for number, _ in made.frames]


def test_an_interval_is_half_open(sample: SampleMaker) -> None:
    made = sample(VideoSpec(seconds=2))
    assert made.numbers_between(100, 200) == [3, 4, 5]
    assert made.numbers_between(0, 1) == [0]
    assert made.numbers_between(1, 33) == []
    assert made.numbers_between(1900, 9000) == [57, 58, 59]


def test_a_variable_rate_is_irregular(sample: SampleMaker) -> None:
    times = [time for _, time in sample(VideoSpec(seconds=2, variable_rate=True)).frames]
    steps = [later - earlier for earlier, later in pairwise(times)]
    assert min(steps) == Fraction(2, 120)
    assert max(steps) == Fraction(13, 120)
    assert len(set(steps)) == 7


def test_key_frames_lie_where_the_gop_puts_them(sample: SampleMaker) -> None:
    made = sample(VideoSpec(seconds=2, gop=20))
    with av.open(made.path) as container:
        keys = [frame.key_frame for frame in container.decode(video=0)]
    assert [i for i, key in enumerate(keys) if key] == [0, 20, 40]


def _boxes(path: Path) -> list[str]:
    """The four-letter codes of an MP4's top-level boxes."""
    data, at, found = path.read_bytes(), 0, []
    while at < len(data):
        found.append(data[at + 4 : at + 8].decode())
        at += int.from_bytes(data[at : at + 4], "big")
    return [box for box in found if box != "free"]


def test_layouts(sample: SampleMaker) -> None:
    def boxes(layout: str) -> list[str]:
        return _boxes(sample(VideoSpec(seconds=2, layout=layout)).path)  # type: ignore[arg-type]

    assert boxes("faststart") == ["ftyp", "moov", "mdat"]
    assert boxes("moov_at_end") == ["ftyp", "mdat", "moov"]
    assert boxes("fragmented") == ["ftyp", "moov", "sidx", "moof", "mdat", "moof", "mdat"]


def test_what_a_stream_declares(sample: SampleMaker) -> None:
    spec = VideoSpec(
        seconds=1,
        rotation=90,
        sample_aspect_ratio=Fraction(4, 3),
        pix_fmt="yuv420p10le",
        colour=ColourTags.hdr10(),
    )
    with av.open(sample(spec).path) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        assert stream.sample_aspect_ratio == Fraction(4, 3)
        assert (context.color_primaries, context.color_trc, context.colorspace) == (9, 16, 9)
        assert context.pix_fmt == "yuv420p10le"
        assert next(container.decode(video=0)).rotation == -90


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_player_turns_the_picture_clockwise(sample: SampleMaker, degrees: int) -> None:
    made = sample(VideoSpec(seconds=1, rotation=degrees))  # type: ignore[arg-type]
    capture = cv2.VideoCapture(str(made.path))
    _, shown = capture.read()
    capture.release()
    upright = np.rot90(cv2.cvtColor(shown, cv2.COLOR_BGR2GRAY), degrees // 90)
    assert upright.shape == (120, 160)
    assert read_counter(upright) == 0


def _sound_lag_s(made: Sample, at_s: float) -> float:
    """How much later the sound plays than the frames that belong to it."""
    with av.open(made.path) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        video_start = float((video.start_time or 0) * (video.time_base or 1))
        frames = list(container.decode(audio))
    rate = frames[0].sample_rate
    start = (frames[0].time or 0) - video_start
    left = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    first = round((at_s - start) * rate)
    return start + first / rate - audio_time(left[first : first + rate // 4], rate)


@pytest.mark.parametrize(
    ("spec", "suffix"),
    [
        pytest.param(VideoSpec(seconds=2, audio="mono"), ".mp4", id="aac"),
        pytest.param(VideoSpec(seconds=2, audio="stereo", sample_rate=44_100), ".mp4", id="44.1"),
        pytest.param(VideoSpec(seconds=2, layout="fragmented", audio="mono"), ".mp4", id="dash"),
        pytest.param(VideoSpec(seconds=2, audio="stereo"), ".ts", id="transport stream"),
        pytest.param(VideoSpec(seconds=2, audio="stereo", codec="vp9"), ".webm", id="opus"),
        pytest.param(VideoSpec(seconds=2, audio="mono", start_offset_frames=9), ".mp4", id="late"),
        pytest.param(VideoSpec(seconds=1, audio="mono", repeats=2), ".mp4", id="repeated"),
    ],
)
def test_sound_and_pictures_are_in_step(sample: SampleMaker, spec: VideoSpec, suffix: str) -> None:
    made = sample(spec, suffix)
    for at_s in (0.1, 0.9, 1.6):
        assert _sound_lag_s(made, at_s) == pytest.approx(0, abs=0.002)


def test_the_right_channel_is_half_as_loud(sample: SampleMaker) -> None:
    with av.open(sample(VideoSpec(seconds=2, audio="stereo")).path) as container:
        sound = np.concatenate([f.to_ndarray() for f in container.decode(audio=0)], axis=1)
    left, right = np.abs(sound[:, 4800:-4800]).mean(axis=1)
    assert right / left == pytest.approx(0.5, abs=0.01)


def test_a_still_and_a_black_video(sample: SampleMaker) -> None:
    frozen = sample(VideoSpec(seconds=1, picture="frozen", first_number=5))
    assert {number for number, _ in frames_read(frozen.path)} == {5}
    with av.open(sample(VideoSpec(seconds=1, picture="black")).path) as container:
        assert max(f.to_ndarray(format="gray").max() for f in container.decode(video=0)) < 5


def test_the_same_spec_gives_the_same_file(tmp_path: Path) -> None:
    spec = VideoSpec(seconds=1, grain=4)
    made = {make_video(tmp_path / "a.mp4", spec).path.read_bytes() for _ in range(6)}
    assert len(made) == 1


@pytest.mark.parametrize(
    ("name", "spec", "message"),
    [
        ("a.avi", VideoSpec(), r"suffix '.avi' must be one of .mp4, .webm, .ts, .mkv"),
        ("a.mp4", VideoSpec(seconds=0.01), "under two frames"),
        ("a.mp4", VideoSpec(seconds=1, first_number=65530), "65560 frames"),
        ("a.mp4", VideoSpec(seconds=1000, audio="mono"), "at most 960 s"),
        ("a.mp4", VideoSpec(audio="mono", seconds=90, repeats=11), "at most 960 s"),
        ("a.mp4", VideoSpec(open_gop=True, repeats=2), "closed GOPs"),
        ("a.mp4", VideoSpec(audio="mono", sample_rate=8000), "at 16000 Hz or more"),
    ],
)
def test_what_cannot_be_told_apart_is_refused(
    tmp_path: Path, name: str, spec: VideoSpec, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make_video(tmp_path / name, spec)


# --- other files


def test_a_truncated_and_a_scrambled_file(sample: SampleMaker, tmp_path: Path) -> None:
    made = sample(VideoSpec(seconds=2, grain=6))
    cut = truncated(made.path, tmp_path / "cut.mp4", keep=0.5)
    assert cut.read_bytes() == made.path.read_bytes()[: made.path.stat().st_size // 2]
    assert 0 < len(_decoded(cut)) < 60
    bad = scrambled(made.path, tmp_path / "bad.mp4")
    assert bad.stat().st_size == made.path.stat().st_size
    whole, damaged = _decoded(made.path), _decoded(bad)
    assert np.array_equal(whole[5], damaged[5])
    assert len(damaged) < 60 or any(
        not np.array_equal(one, other) for one, other in zip(whole, damaged, strict=True)
    )


def _decoded(path: Path) -> list[Picture]:
    """The frames that can be had of a damaged file."""
    frames = []
    with av.open(path) as container:
        try:
            for frame in container.decode(video=0):
                frames.append(frame.to_ndarray(format="gray"))
        except av.FFmpegError:
            pass
    return frames


@pytest.mark.parametrize("kind", ["empty", "garbage", "html"])
def test_disguised_files_are_no_videos(tmp_path: Path, kind: str) -> None:
    path = disguised(tmp_path / "a.mp4", kind)  # type: ignore[arg-type]
    with pytest.raises(av.FFmpegError):
        av.open(path)


@pytest.mark.parametrize("kind", ["m3u8", "ffconcat"])
def test_a_disguised_playlist_names_another_file(
    sample: SampleMaker, tmp_path: Path, kind: str
) -> None:
    target = sample(VideoSpec(seconds=2), ".ts").path
    path = disguised(tmp_path / "a.mp4", kind, refers_to=str(target))  # type: ignore[arg-type]
    assert str(target).encode() in path.read_bytes()
    format_name = {"m3u8": "hls", "ffconcat": "concat"}[kind]
    with av.open(
        path, format=format_name, options={"safe": "0"} if kind == "ffconcat" else {}
    ) as c:
        assert c.streams.video[0].codec_context.name == "h264"


def test_hls_holds_the_same_frames(sample: SampleMaker, tmp_path: Path) -> None:
    made = sample(VideoSpec(seconds=5, audio="mono"))
    playlist = make_hls(made.path, tmp_path / "hls", segment_s=2)
    names = sorted(path.name for path in playlist.parent.iterdir())
    assert names == ["index.m3u8", "segment000.ts", "segment001.ts", "segment002.ts"]
    assert str(tmp_path) not in playlist.read_text()
    assert [n for n, _ in frames_read(playlist)] == [n for n, _ in made.frames]
