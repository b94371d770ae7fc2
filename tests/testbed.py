"""What test modules import: the types of shared fixtures, and skipping that can be forbidden."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import av
import pytest

from mimecurate.curation.samples import read_counter

if TYPE_CHECKING:
    from mimecurate.curation.samples import Sample, VideoSpec

REPOSITORY = Path(__file__).resolve().parents[1]


class SampleMaker(Protocol):
    """The `sample` fixture: makes each video once a session. Samples are read-only."""

    def __call__(self, spec: VideoSpec, suffix: str = ".mp4") -> Sample: ...


def need(part: str, present: object, why: str) -> None:
    """Skip the test unless ``part`` is ``present``, or fail where it was promised.

    ``MIMECURATE_REQUIRE`` promises parts, as in ``shared,chromium,ray``: a test that needs one of
    them then fails instead of being skipped.

    Args:
        part: a short name: shared, chromium, gpu, ray, torch, root, ...
        present: whether the part is there, by its truth.
        why: what is missing and how to get it, for the report.
    """
    if present:
        return
    promised = os.environ.get("MIMECURATE_REQUIRE", "").split(",")
    if part in (name.strip() for name in promised):
        pytest.fail(f"{part} is required by MIMECURATE_REQUIRE: {why}", pytrace=False)
    pytest.skip(f"{part}: {why}", allow_module_level=True)


def frames_read(path: Path) -> list[tuple[int, Fraction]]:
    """Decode a sample or a clip of one with PyAV and read every frame.

    Returns:
        Number and presentation time of each frame, in seconds from the first: comparable with
        ``Sample.frames``.

    Raises:
        ValueError: a frame has no number.
    """
    with av.open(path) as container:
        frames = list(container.decode(video=0))
    times = [(frame.pts or 0) * (frame.time_base or Fraction(1)) for frame in frames]
    return [
        (read_counter(frame.to_ndarray(format="gray")), time - times[0])
        for frame, time in zip(frames, times, strict=True)
    ]
