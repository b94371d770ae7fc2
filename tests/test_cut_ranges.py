from __future__ import annotations

import random
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest
from cut_checks import check_frames, check_in_step, only_sound, opened

from mimecurate.curation.cut import cut_clip
from mimecurate.curation.file_bytes import FileBytes
from mimecurate.curation.media_source import open_media, prefetch
from mimecurate.curation.range_file import RangeFile
from mimecurate.curation.samples import VideoSpec
from mimecurate.curation.verify import verify_clip

if TYPE_CHECKING:
    from pathlib import Path

    from testbed import SampleMaker

    from mimecurate.curation.media_source import MediaSource

LONG = VideoSpec(seconds=4, repeats=4, grain=3)
REMOTE = [
    pytest.param(replace(LONG, bframes=3, audio="stereo"), ".mp4", id="progressive"),
    pytest.param(replace(LONG, layout="moov_at_end"), ".mp4", id="index_at_end"),
    pytest.param(
        replace(LONG, layout="fragmented", start_offset_frames=2), ".mp4", id="fragmented"
    ),
    pytest.param(
        replace(LONG, layout="fragmented", audio="mono"), ".mp4", id="fragmented_with_sound"
    ),
    pytest.param(replace(LONG, codec="vp9"), ".webm", id="webm"),
    pytest.param(replace(LONG, codec="vp9", audio="mono"), ".webm", id="webm_with_sound"),
    pytest.param(replace(LONG, audio="mono"), ".mkv", id="matroska"),
]
INTERVALS = [(0, 900), (7900, 9100), (11_000, 12_000), (15_200, 16_000)]


def remote(path: Path, *, need_video: bool = True) -> tuple[MediaSource, FileBytes]:
    """Open a file as if it were far away."""
    reader = FileBytes(path)
    return open_media(RangeFile(reader), name=path.name, need_video=need_video), reader


@pytest.mark.parametrize(("spec", "suffix"), REMOTE)
@pytest.mark.parametrize("mode", ["smart", "copy"])
def test_clips_of_remote_files_are_exact(
    spec: VideoSpec, suffix: str, mode: Any, sample: SampleMaker, tmp_path: Path
) -> None:
    video = sample(spec, suffix)
    draw = random.Random(repr(spec))
    media, _ = remote(video.path)
    with media:
        for start_ms, end_ms in [*INTERVALS, *((s := draw.randrange(14_000), s + 1500),)]:
            prefetch(media, [(Fraction(start_ms, 1000), Fraction(end_ms, 1000))])
            cut = cut_clip(media, None, start_ms, end_ms, tmp_path / "clip.mp4", mode=mode)
            verify_clip(tmp_path / "clip.mp4", cut)
            check_frames(video, start_ms, end_ms, tmp_path / "clip.mp4", cut)
            assert not any("before the list says" in note for note in cut.notes)
            if spec.audio:
                check_in_step(tmp_path / "clip.mp4", cut)


@pytest.mark.parametrize(("spec", "suffix"), REMOTE)
def test_a_cut_reads_little_more_than_was_fetched(
    spec: VideoSpec, suffix: str, sample: SampleMaker, tmp_path: Path
) -> None:
    media, reader = remote(sample(spec, suffix).path)
    with media:
        prefetch(media, [(Fraction(8200, 1000), Fraction(9300, 1000))])
        fetched = reader.bytes_read
        cut_clip(media, None, 8200, 9300, tmp_path / "clip.mp4")
        assert reader.bytes_read - fetched <= 64 << 10


def test_picture_and_sound_may_both_be_remote(sample: SampleMaker, tmp_path: Path) -> None:
    video = sample(replace(LONG, layout="fragmented", start_offset_frames=2))
    whole = sample(replace(LONG, audio="stereo"))
    alone = only_sound(whole.path, tmp_path / "sound.mp4")
    pictures, _ = remote(video.path)
    sound, _ = remote(alone, need_video=False)
    interval = Fraction(6100, 1000), Fraction(8700, 1000)
    with pictures, sound:
        prefetch(pictures, [interval])
        prefetch(sound, [interval])
        cut = cut_clip(pictures, sound, 6100, 8700, tmp_path / "clip.mp4")
    verify_clip(tmp_path / "clip.mp4", cut)
    check_frames(video, 6100, 8700, tmp_path / "clip.mp4", cut)
    check_in_step(tmp_path / "clip.mp4", cut)


def test_a_remote_cut_is_the_local_one(sample: SampleMaker, tmp_path: Path) -> None:
    path = sample(replace(LONG, layout="fragmented", audio="mono")).path
    media, _ = remote(path)
    with media, opened(path) as local:
        prefetch(media, [(Fraction(3), Fraction(5))])
        for name, source in [("far", media), ("near", local)]:
            cut_clip(source, None, 3200, 4900, tmp_path / name)
    assert (tmp_path / "far").read_bytes() == (tmp_path / "near").read_bytes()
