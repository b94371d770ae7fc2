from __future__ import annotations

import errno
import os
import random
import re
import resource
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import av
import pytest
from cut_checks import cut_file, cut_sample, luma_frames, opened, psnr_db

from mimecurate.curation.cut import END_SLACK_MS, cut_clip
from mimecurate.curation.sample_files import scrambled, truncated
from mimecurate.curation.samples import ColourTags, VideoSpec
from mimecurate.curation.verify import verify_clip
from mimecurate.errors import ClipError, Reason

if TYPE_CHECKING:
    from pathlib import Path

    from testbed import SampleMaker

    from mimecurate.curation.cut import CutMode

NTSC = Fraction(30000, 1001)
PLAIN = VideoSpec(seconds=4, gop=30, bframes=3)


def source(name: str, spec: VideoSpec, suffix: str = ".mp4") -> Any:
    return pytest.param(spec, suffix, id=name)


H264 = [
    source("closed_gop", PLAIN),
    source("no_bframes", VideoSpec(seconds=4, bframes=0)),
    source("8_bframes", VideoSpec(seconds=6, gop=80, bframes=8)),
    source("29.97", VideoSpec(seconds=4, fps=NTSC, gop=48)),
    source("variable_rate", VideoSpec(seconds=3, variable_rate=True, bframes=0)),
    source("variable_rate_bframes", VideoSpec(seconds=3, variable_rate=True, bframes=5)),
    source(
        "fragmented_late_start", VideoSpec(seconds=4, layout="fragmented", start_offset_frames=2)
    ),
    source("index_at_end", VideoSpec(seconds=4, layout="moov_at_end", audio="mono")),
    source("mpegts", VideoSpec(seconds=4, audio="stereo"), ".ts"),
    source("matroska", VideoSpec(seconds=4, bframes=3), ".mkv"),
    source("anamorphic", VideoSpec(seconds=3, sample_aspect_ratio=Fraction(4, 3))),
    source("full_range", VideoSpec(seconds=3, colour=ColourTags(1, 1, 1, full_range=True))),
]
WHOLE = [
    source("one_gop", VideoSpec(seconds=4, gop=250, bframes=8)),
    source("open_gop", VideoSpec(seconds=4, open_gop=True, bframes=3)),
    source("hevc_open_gop", VideoSpec(seconds=3, codec="hevc", open_gop=True)),
    source("vp9", VideoSpec(seconds=3, codec="vp9", audio="stereo"), ".webm"),
    source("vp9_variable_rate", VideoSpec(seconds=3, codec="vp9", variable_rate=True), ".webm"),
    source("vp9_odd_size", VideoSpec(seconds=2, codec="vp9", width=161, height=121), ".webm"),
    source("av1", VideoSpec(seconds=2, codec="av1")),
    source("10_bit", VideoSpec(seconds=3, pix_fmt="yuv420p10le")),
    source("4:4:4", VideoSpec(seconds=3, pix_fmt="yuv444p", width=161, height=121)),
    source("rotated_90", VideoSpec(seconds=2, rotation=90)),
    source("rotated_180", VideoSpec(seconds=2, rotation=180)),
    source("rotated_270", VideoSpec(seconds=2, rotation=270)),
]


def intervals(spec: VideoSpec, count: int) -> list[tuple[int, int]]:
    """Draw intervals of 0.1 s to nearly everything, in whole milliseconds."""
    draw = random.Random(repr(spec))
    pairs = []
    for _ in range(count):
        start_ms = draw.randrange(int(spec.seconds * 1000) - 200)
        longest = int(spec.seconds * 1000) - start_ms
        pairs.append((start_ms, start_ms + draw.randrange(100, longest)))
    return pairs


# --- which frames a clip holds


@pytest.mark.parametrize(("spec", "suffix"), H264)
def test_smart_cuts_hold_exactly_their_frames(
    spec: VideoSpec, suffix: str, sample: SampleMaker, tmp_path: Path
) -> None:
    video = sample(spec, suffix)
    modes = set()
    for start_ms, end_ms in [*intervals(spec, 3), (400, 2600)]:
        modes.add(cut_sample(video, start_ms, end_ms, tmp_path / "clip.mp4").mode)
    assert "smart" in modes


@pytest.mark.parametrize(("spec", "suffix"), WHOLE)
def test_what_cannot_be_cut_smartly_is_encoded_whole_and_exact(
    spec: VideoSpec, suffix: str, sample: SampleMaker, tmp_path: Path
) -> None:
    video = sample(spec, suffix)
    for start_ms, end_ms in intervals(spec, 2):
        cut = cut_sample(video, start_ms, end_ms, tmp_path / "clip.mp4")
        assert cut.mode == "encode"
        assert cut.notes[-1].startswith("re-encoded whole: ")


@pytest.mark.parametrize("mode", ["encode", "copy"])
@pytest.mark.parametrize(("spec", "suffix"), [*H264[:7], *WHOLE[:7]])
def test_the_other_modes_are_exact_too(
    mode: CutMode, spec: VideoSpec, suffix: str, sample: SampleMaker, tmp_path: Path
) -> None:
    ((start_ms, end_ms),) = intervals(spec, 1)
    cut = cut_sample(sample(spec, suffix), start_ms, end_ms, tmp_path / "clip.mp4", mode=mode)
    assert (cut.mode, cut.notes) == (mode, ())


@pytest.mark.parametrize("mode", ["smart", "encode"])
@pytest.mark.parametrize(
    ("start_ms", "end_ms", "first", "stop"),
    [
        pytest.param(1000, 2000, 30, 60, id="start is in, end is out"),
        pytest.param(999, 1001, 30, 31, id="one frame"),
        pytest.param(1001, 1100, 31, 33, id="between frames"),
        pytest.param(0, 4000, 0, 120, id="everything"),
        pytest.param(1000, 3000, 30, 90, id="from key frame to key frame"),
        pytest.param(1967, 3034, 60, 92, id="a little more than that"),
        pytest.param(3950, 4000, 119, 120, id="the last frame"),
    ],
)
def test_intervals_are_half_open(
    mode: CutMode,
    start_ms: int,
    end_ms: int,
    first: int,
    stop: int,
    sample: SampleMaker,
    tmp_path: Path,
) -> None:
    cut = cut_sample(sample(PLAIN), start_ms, end_ms, tmp_path / "clip.mp4", mode=mode)
    assert cut.start == Fraction(first, 30)
    assert cut.duration == Fraction(stop - first, 30)
    assert cut.frame_times == tuple(Fraction(i, 30) for i in range(stop - first))


def test_a_frame_that_goes_on_beyond_the_end_is_cut_short(
    sample: SampleMaker, tmp_path: Path
) -> None:
    video = sample(VideoSpec(seconds=3, variable_rate=True, bframes=0))
    times = [time for _, time in video.frames]
    gap, before = max((b - a, a) for a, b in pairwise(times))
    end_ms = int(before * 1000) + 40  # the average frame lasts 43 ms, this one 108
    cut = cut_sample(video, 500, end_ms, tmp_path / "clip.mp4")
    assert cut.start + cut.frame_times[-1] == before
    assert cut.duration - cut.frame_times[-1] < gap / 2


# --- what a smart cut copies


def test_frames_between_the_seams_are_those_of_the_source(
    sample: SampleMaker, tmp_path: Path
) -> None:
    video = sample(VideoSpec(seconds=4, bframes=3, grain=4))
    cut_sample(video, 500, 3450, tmp_path / "clip.mp4")
    ours, source = luma_frames(tmp_path / "clip.mp4"), luma_frames(video.path)[15:104]
    same = [bool((a == b).all()) for a, b in zip(ours, source, strict=True)]
    tail = 89 - same[15:].index(False) - 15 if False in same[15:] else 0
    assert not any(same[:15])
    assert all(same[15 : 89 - tail])
    assert tail <= 3
    assert min(psnr_db(a, b) for a, b in zip(ours, source, strict=True)) > 38


def test_a_clip_from_key_frame_to_key_frame_is_all_copied(
    sample: SampleMaker, tmp_path: Path
) -> None:
    video = sample(VideoSpec(seconds=4, bframes=3, grain=4))
    cut = cut_sample(video, 1000, 3000, tmp_path / "clip.mp4")
    assert cut.mode == "smart"
    for ours, theirs in zip(
        luma_frames(tmp_path / "clip.mp4"), luma_frames(video.path)[30:90], strict=True
    ):
        assert (ours == theirs).all()


def test_a_smart_cut_says_that_parameter_sets_change(sample: SampleMaker, tmp_path: Path) -> None:
    cut_sample(sample(PLAIN), 500, 2500, tmp_path / "clip.mp4")
    data = (tmp_path / "clip.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    assert data[data.index(b"stsd") :].count(b"avc3") == 1


def test_every_key_frame_of_a_smart_cut_can_be_sought(sample: SampleMaker, tmp_path: Path) -> None:
    cut_sample(sample(PLAIN), 500, 3400, tmp_path / "clip.mp4")
    whole = luma_frames(tmp_path / "clip.mp4")
    for number in range(0, 87, 4):
        with av.open(tmp_path / "clip.mp4") as container:
            stream = container.streams.video[0]
            assert stream.time_base is not None
            tick = round(Fraction(number, 30) / stream.time_base)
            container.seek(tick, stream=stream)
            frame = next(f for f in container.decode(stream) if f.pts is not None and f.pts >= tick)
            assert frame.pts == tick
            luma = frame.to_ndarray()[: frame.height, : frame.width]
            assert (luma == whole[number]).all()


def test_the_same_cut_gives_the_same_bytes(sample: SampleMaker, tmp_path: Path) -> None:
    video = sample(VideoSpec(seconds=4, layout="moov_at_end", audio="mono"))
    first, second = (cut_file(video.path, 300, 2800, tmp_path / f"{i}.mp4") for i in range(2))
    assert first[1].sha256 == second[1].sha256


def test_one_source_serves_many_clips(sample: SampleMaker, tmp_path: Path) -> None:
    video = sample(VideoSpec(seconds=4, layout="moov_at_end", audio="mono"))
    with opened(video.path) as open_source:
        for start_ms, end_ms in [(2000, 3500), (100, 900), (2000, 3500), (3000, 4000)]:
            cut = cut_clip(open_source, None, start_ms, end_ms, tmp_path / "clip.mp4")
            facts = verify_clip(tmp_path / "clip.mp4", cut)
            assert facts.frames == len(video.numbers_between(start_ms, end_ms))


def test_copies_start_at_the_key_frame_before(sample: SampleMaker, tmp_path: Path) -> None:
    cut = cut_sample(sample(PLAIN), 1500, 2400, tmp_path / "clip.mp4", mode="copy")
    assert cut.start == 1
    assert cut.start + cut.duration <= Fraction(2400, 1000) + Fraction(4, 30)


def test_a_copy_keeps_the_size_and_says_so(sample: SampleMaker, tmp_path: Path) -> None:
    cut = cut_sample(sample(PLAIN), 1500, 2400, tmp_path / "c.mp4", mode="copy", max_height=60)
    assert (cut.width, cut.height) == (160, 120)
    assert cut.notes == ("copied at 120 lines: a copy is not scaled",)


# --- intervals that the source doesn't hold


@pytest.mark.parametrize(
    ("start_ms", "end_ms", "message"),
    [
        (4000, 4500, "the video ends at 4.00 s"),
        (60_000, 61_000, "the video ends at 4.00 s"),
        (3000, 4000 + END_SLACK_MS, "the video ends at 4.00 s"),
        (1001, 1032, "no frame lies between 1.001 and 1.032 s"),
    ],
)
@pytest.mark.parametrize("mode", ["smart", "encode", "copy"])
def test_intervals_outside_are_refused(
    start_ms: int, end_ms: int, message: str, mode: CutMode, sample: SampleMaker, tmp_path: Path
) -> None:
    with pytest.raises(ClipError, match=message) as caught:
        cut_file(sample(PLAIN).path, start_ms, end_ms, tmp_path / "clip.mp4", mode=mode)
    assert caught.value.reason is Reason.INTERVAL_OUTSIDE
    assert not (tmp_path / "clip.mp4").exists()


@pytest.mark.parametrize(("start_ms", "end_ms"), [(-1, 1000), (1000, 1000), (1000, 900)])
def test_intervals_must_last(
    start_ms: int, end_ms: int, sample: SampleMaker, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="interval"):
        cut_file(sample(PLAIN).path, start_ms, end_ms, tmp_path / "clip.mp4")


@pytest.mark.parametrize(("spec", "suffix"), [H264[0], H264[8], H264[9], WHOLE[3]])
@pytest.mark.parametrize("mode", ["smart", "encode", "copy"])
def test_an_end_a_little_late_is_taken_as_the_end(
    mode: CutMode, spec: VideoSpec, suffix: str, sample: SampleMaker, tmp_path: Path
) -> None:
    video = sample(spec, suffix)
    end_ms = int(spec.seconds * 1000) + 400
    cut = cut_sample(video, 1500, end_ms, tmp_path / "clip.mp4", mode=mode)
    assert "ends 0.4 s before the list says: the source is over" in cut.notes
    assert cut.start + cut.frame_times[-1] == video.frames[-1][1]


# --- sources that are damaged


def test_damage_in_the_interval_is_found(sample: SampleMaker, tmp_path: Path) -> None:
    video = scrambled(sample(VideoSpec(seconds=4, grain=6)).path, tmp_path / "scrambled.mp4")
    for mode in ("smart", "encode"):
        with pytest.raises(ClipError) as caught:
            cut_file(video, 1300, 2400, tmp_path / "clip.mp4", mode=mode)
        assert caught.value.reason is Reason.CORRUPT


def test_damage_outside_the_interval_does_no_harm(sample: SampleMaker, tmp_path: Path) -> None:
    video = sample(VideoSpec(seconds=4, grain=6))
    broken = scrambled(video.path, tmp_path / "scrambled.mp4")
    cut, _ = cut_file(broken, 300, 990, tmp_path / "clip.mp4")
    assert cut.frames == len(video.numbers_between(300, 990))


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".mkv", ".ts"])
def test_a_file_that_breaks_off_is_damaged_not_short(
    suffix: str, sample: SampleMaker, tmp_path: Path
) -> None:
    spec = VideoSpec(seconds=8, grain=4, codec="vp9" if suffix == ".webm" else "h264")
    video = truncated(sample(spec, suffix).path, tmp_path / f"part{suffix}", keep=0.5)
    with pytest.raises(ClipError) as caught:
        cut_file(video, 3000, 7500, tmp_path / "clip.mp4")
    assert caught.value.reason is (
        Reason.INTERVAL_OUTSIDE if suffix == ".ts" else Reason.CORRUPT  # MPEG-TS doesn't say
    )


@pytest.mark.parametrize("mode", ["smart", "encode"])
def test_a_packet_damaged_between_the_seams_is_found_when_it_is_copied(
    mode: CutMode, sample: SampleMaker, tmp_path: Path
) -> None:
    video = sample(VideoSpec(seconds=4, bframes=0, grain=4))
    data = bytearray(video.path.read_bytes())
    with av.open(video.path) as container:
        packets = [p for p in container.demux(video=0) if p.size]
    hit = packets[45].pos
    assert hit is not None
    data[hit + 10 : hit + 250] = bytes(240)
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(data)
    with (
        opened(broken) as open_source,
        pytest.raises(ClipError, match=r"damaged|does not decode|can't be read"),
    ):
        cut_clip(open_source, None, 500, 2500, tmp_path / "clip.mp4", mode=mode)


# --- stopping, and disks


class StopError(Exception):
    pass


@pytest.mark.parametrize("mode", ["smart", "encode", "copy"])
@pytest.mark.parametrize("calls", [1, 150, 200])
def test_a_cut_stops_when_it_is_told_to(
    mode: CutMode, calls: int, sample: SampleMaker, tmp_path: Path
) -> None:
    left = iter(range(calls))

    def check_stopped() -> None:
        if next(left, None) is None:
            raise StopError

    with opened(sample(PLAIN).path) as open_source, pytest.raises(StopError):
        cut_clip(
            open_source,
            None,
            100,
            3900,
            tmp_path / "clip.mp4",
            mode=mode,
            check_stopped=check_stopped,
        )


def test_a_folder_that_is_not_there_is_an_os_error(sample: SampleMaker, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        cut_file(sample(PLAIN).path, 500, 1500, tmp_path / "nowhere" / "clip.mp4")


@pytest.mark.parametrize("mode", ["smart", "encode", "copy"])
@pytest.mark.parametrize("part", [0.02, 0.5, 0.98])  # x264 is not the same to the byte
def test_a_full_disk_is_an_os_error(
    part: float, mode: CutMode, sample: SampleMaker, tmp_path: Path
) -> None:
    path = sample(VideoSpec(seconds=4, grain=4)).path
    whole = cut_file(path, 500, 3500, tmp_path / "clip.mp4", mode=mode)[1].bytes
    (tmp_path / "clip.mp4").unlink()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with opened(path) as open_source:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(whole * part), before[1]))
        try:
            with pytest.raises(OSError, match=re.escape(os.strerror(errno.EFBIG))):
                cut_clip(open_source, None, 500, 3500, tmp_path / "clip.mp4", mode=mode)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
