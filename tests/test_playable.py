"""What the pre-check says of clips, against what decoders find in the same files."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from media_variants import remux

from mimecurate.annotation.mp4_video import read_video_track
from mimecurate.annotation.playable import MAX_FRAME_ERROR, find_unplayable, frame_error
from mimecurate.curation.recheck import file_sha256
from mimecurate.curation.samples import VideoSpec
from mimecurate.errors import ClipError

if TYPE_CHECKING:
    from pathlib import Path

    from testbed import SampleMaker

PLAIN = VideoSpec(seconds=1, fps=25, width=64, height=48)
VARIABLE = replace(PLAIN, seconds=2, variable_rate=True)


def row(path: Path, **other: object) -> dict[str, object]:
    """Describe a file as the table `media` does."""
    facts = {
        "clip_id": "c",
        "path": path.name,
        "sha256": file_sha256(path),
        "bytes": path.stat().st_size,
        "video_codec": "h264",
        "verified_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    return facts | other


def problem(path: Path, **other: object) -> str:
    return find_unplayable(path.parent, row(path, **other))


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(PLAIN, id="plain"),
        pytest.param(
            VideoSpec(seconds=1, fps=Fraction(30000, 1001), width=64, height=48), id="ntsc"
        ),
        pytest.param(
            VideoSpec(seconds=1, fps=25, bframes=0, width=64, height=48), id="no B frames"
        ),
        pytest.param(VideoSpec(seconds=1, fps=60, audio="mono", width=64, height=48), id="sound"),
    ],
)
def test_plain_clips_play(sample: SampleMaker, spec: VideoSpec) -> None:
    assert problem(sample(spec).path) == ""


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        pytest.param(replace(PLAIN, codec="hevc"), "H.264", id="hevc"),
        pytest.param(replace(PLAIN, codec="av1", height=64), "H.264", id="av1"),
        pytest.param(replace(PLAIN, pix_fmt="yuv420p10le"), "yuv420p", id="10 bits"),
        pytest.param(replace(PLAIN, pix_fmt="yuv444p"), "yuv420p", id="444"),
        pytest.param(VARIABLE, "not constant", id="variable rate"),
    ],
)
def test_what_browsers_or_the_screen_can_not_do(
    sample: SampleMaker, spec: VideoSpec, words: str
) -> None:
    assert words in problem(sample(spec).path)


def test_coding_by_the_database_is_enough(sample: SampleMaker) -> None:
    assert "coded as vp9" in problem(sample(PLAIN).path, video_codec="vp9")


def test_first_frame_is_late(sample: SampleMaker, tmp_path: Path) -> None:
    late = remux(sample(PLAIN).path, tmp_path / "late.mp4", "mp4", earlier=Fraction(-1, 2))
    assert "at 0.5" in problem(late)


def test_fragments_are_refused(sample: SampleMaker, tmp_path: Path) -> None:
    flags = {"movflags": "+frag_keyframe+empty_moov"}
    path = remux(sample(PLAIN).path, tmp_path / "fragments.mp4", "mp4", options=flags)
    assert problem(path)


def test_another_file_is_refused(sample: SampleMaker, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(sample(PLAIN).path.read_bytes())
    known = row(path)
    data = bytearray(path.read_bytes())
    data[-10] ^= 1
    path.write_bytes(data)
    later = time.time() + 100
    os.utime(path, (later, later))
    assert "checksum" in find_unplayable(tmp_path, known)
    path.write_bytes(data[:-1])
    assert "bytes, not" in find_unplayable(tmp_path, known)
    path.unlink()
    assert "can't be read" in find_unplayable(tmp_path, known)


def test_copied_clip_is_known_by_its_checksum(sample: SampleMaker, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(sample(PLAIN).path.read_bytes())
    later = time.time() + 100
    os.utime(path, (later, later))
    assert problem(path) == ""


def test_header_says_what_a_decoder_finds(sample: SampleMaker, shared: Path) -> None:
    ours = [sample(PLAIN).path, sample(VARIABLE).path]
    for path in [*ours, *sorted((shared / "clips").glob("*.mp4"))]:
        track = read_video_track(path)
        with av.open(path) as container:
            video = container.streams.video[0]
            times = [float(f.time or 0) for f in container.decode(video)]
            assert track.is_yuv420p == (video.codec_context.pix_fmt in {"yuv420p", "yuvj420p"})
        assert track.times == pytest.approx(np.array(times), abs=1e-6)
        assert (frame_error(track.times) > MAX_FRAME_ERROR) == (path == ours[1])


@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_damaged_headers_end_in_a_line(
    sample: SampleMaker, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = bytearray(sample(PLAIN).path.read_bytes())
    start = content.index(b"moov")
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(start, min(len(content), start + 1500) - 1))
        content[at] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.mp4"
    path.write_bytes(content)
    try:
        track = read_video_track(path)
    except ClipError:
        return
    assert (np.diff(track.times) >= 0).all()
