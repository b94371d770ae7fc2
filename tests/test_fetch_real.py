"""Real videos of real actions, served over loopback and cut at many intervals, frame by frame."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest
from fetching import fetch

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from mimecurate.curation.loopback import LoopbackServer

CLIPS = ("arm_wrestling", "clean_and_jerk", "cleaning_pool", "tai_chi")
INTERVALS = ("0 1", "0.5 3.25", "2 7", "3.333 4.777", "6.02 9.98", "8 10")


def _frames(path: Path) -> list[tuple[Fraction, NDArray[np.int16]]]:
    """Decode a video: the time of each frame from the first, and its brightness."""
    with av.open(str(path)) as container:
        decoded = [
            (frame.pts * frame.time_base, frame.to_ndarray(format="gray").astype(np.int16))
            for frame in container.decode(video=0)
            if frame.pts is not None and frame.time_base is not None
        ]
    return [(time - decoded[0][0], luma) for time, luma in decoded]


def _display_aspect(path: Path) -> Fraction:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return Fraction(stream.width, stream.height) * (stream.sample_aspect_ratio or 1)


@pytest.mark.parametrize("name", CLIPS)
def test_every_frame_of_a_real_clip_is_the_source_s(
    name: str, shared: Path, loopback: LoopbackServer, tmp_path: Path
) -> None:
    source = shared / "clips" / f"{name}.mp4"
    (loopback.root / source.name).symlink_to(source)
    urls = tmp_path / "list.txt"
    urls.write_text("".join(f"{loopback.url(source.name)} {i}\n" for i in INTERVALS))
    done = fetch(tmp_path / "w", urls)
    assert done.report["fetched"] == len(INTERVALS), done.stderr
    whole = _frames(source)
    for clip in done.report["clips"]:
        path = tmp_path / "w" / clip["path"]
        start, end = (Fraction(part) for part in clip["clip_id"].split("_")[-2:])
        wanted = [(time, luma) for time, luma in whole if start <= time < end]
        got = _frames(path)
        assert len(got) == len(wanted)
        for (time, luma), (source_time, source_luma) in zip(got, wanted, strict=True):
            assert abs(time - (source_time - wanted[0][0])) < Fraction(1, 1000)
            assert np.square(luma - source_luma).mean() < 255**2 / 10**3.6  # 36 dB
        assert _display_aspect(path) == _display_aspect(source)
