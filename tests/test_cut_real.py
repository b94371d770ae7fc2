from __future__ import annotations

import random
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

import av
import pytest
from cut_checks import Pixels, cut_file, luma_frames, psnr_db

if TYPE_CHECKING:
    from fractions import Fraction
    from pathlib import Path

    from mimecurate.curation.cut import CutMode

CLIPS = ["arm_wrestling", "clean_and_jerk", "cleaning_pool", "tai_chi"]
MODES: list[CutMode] = ["smart", "encode", "copy"]


@cache
def source_frames(path: Path) -> tuple[list[Pixels], list[Fraction]]:
    with av.open(path) as container:
        stream = container.streams.video[0]
        assert stream.time_base is not None
        times = [(frame.pts or 0) * stream.time_base for frame in container.decode(stream)]
    return luma_frames(path), times


@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize("mode", MODES)
def test_every_frame_is_the_source_frame(
    name: str, mode: CutMode, shared: Path, tmp_path: Path
) -> None:
    source = shared / "clips" / f"{name}.mp4"
    pictures, times = source_frames(source)
    draw = random.Random(f"{name}{mode}")
    for _ in range(2):
        start_ms = draw.randrange(0, 9000)
        end_ms = min(draw.randrange(start_ms + 400, start_ms + 3000), 10_000)
        cut, facts = cut_file(source, start_ms, end_ms, tmp_path / "clip.mp4", mode=mode)
        numbers = [i for i, time in enumerate(times) if start_ms <= time * 1000 < end_ms]
        if mode == "copy":
            assert cut.start <= times[numbers[0]]
            assert cut.start + cut.duration > times[numbers[-1]]
            first = times.index(cut.start)
            numbers = list(range(first, first + cut.frames))
        ours = luma_frames(tmp_path / "clip.mp4")
        assert facts.frames == len(ours) == len(numbers)
        assert cut.frame_times == tuple(times[i] - times[numbers[0]] for i in numbers)
        for mine, number in zip(ours, numbers, strict=True):
            quality_db = psnr_db(mine, pictures[number])
            assert quality_db > (99 if cut.mode == "copy" else 38)
            for other in pictures[max(0, number - 1) : number + 2 : 2]:
                if psnr_db(pictures[number], other) < 38:  # else coding blurs the difference
                    assert quality_db > psnr_db(mine, other) + 2


@pytest.mark.parametrize("name", CLIPS)
def test_smart_cuts_copy_what_lies_between_the_seams(
    name: str, shared: Path, tmp_path: Path
) -> None:
    source = shared / "clips" / f"{name}.mp4"
    pictures, times = source_frames(source)
    with av.open(source) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    keys = [(packet.pts or 0) * packet.time_base for packet in packets if packet.is_keyframe]
    start_ms = int(keys[1] * 1000) - 200
    cut, _ = cut_file(source, start_ms, 9900, tmp_path / "clip.mp4")
    assert cut.mode == "smart"
    first = times.index(cut.start)
    seam = times.index(keys[1]) - first
    same = [
        bool((mine == pictures[first + i]).all())
        for i, mine in enumerate(luma_frames(tmp_path / "clip.mp4"))
    ]
    assert all(same[seam:-4])
    assert not all(same[:seam])


@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize("mode", MODES)
def test_the_display_aspect_stays(name: str, mode: CutMode, shared: Path, tmp_path: Path) -> None:
    source = shared / "clips" / f"{name}.mp4"
    cut_file(source, 1000, 1500, tmp_path / "clip.mp4", mode=mode)
    with av.open(source) as theirs, av.open(tmp_path / "clip.mp4") as ours:
        before, after = theirs.streams.video[0], ours.streams.video[0]
        assert after.display_aspect_ratio == before.display_aspect_ratio
        assert (after.width, after.height) == (before.width, before.height)


def test_neighbouring_clips_share_no_frame_and_miss_none(shared: Path, tmp_path: Path) -> None:
    source = shared / "clips" / "tai_chi.mp4"
    _, times = source_frames(source)
    draw = random.Random(7)
    borders = [0, *sorted(draw.sample(range(100, 9900), 5)), 10_010]
    found = []
    for start_ms, end_ms in pairwise(borders):
        cut, _ = cut_file(source, start_ms, end_ms, tmp_path / "clip.mp4")
        found += [cut.start + time for time in cut.frame_times]
    assert found == times
