"""Where shots begin: an adaptive content detector, on small pictures, with libav alone.

The method is PySceneDetect's ``AdaptiveDetector``: a frame is cut where its mean difference in hue,
saturation and value from the frame before is at least `MIN_CONTENT`, and `ADAPTIVE_RATIO` times
that of its neighbours, so that a moving camera is no cut. PySceneDetect itself needs an
``opencv-python`` that can't be installed beside ``opencv-python-headless``.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import av
import numpy as np
from PIL import Image

from mimecurate.errors import ClipError, Reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

WIDTH, HEIGHT = 64, 36
MIN_CONTENT = 15.0
"""Mean difference of hue (0 to 128), saturation and value (0 to 255) that a cut has at least."""
ADAPTIVE_RATIO = 3.0
NEIGHBOURS = 2
"""On each side, with which a frame is compared."""
MIN_SHOT_MS = 600


def find_shots(path: Path) -> list[tuple[int, int]]:
    """Decode a video and return its shots as half-open intervals in milliseconds from its start.

    Raises:
        ClipError: ``CORRUPT``: it can't be decoded, or has no picture.
    """
    times: list[int] = []
    scores: list[float] = []
    before: NDArray[np.int16] | None = None
    try:
        for time_ms, picture in _pictures(path):
            scores.append(0.0 if before is None else difference(before, picture))
            times.append(time_ms)
            before = picture
    except (av.FFmpegError, OSError) as error:
        raise ClipError(Reason.CORRUPT, f"{path.name}: {error.strerror or error}") from error
    if not times:
        raise ClipError(Reason.CORRUPT, f"{path.name}: no frame could be decoded")
    step = (times[-1] - times[0]) // max(1, len(times) - 1)
    end = times[-1] + max(step, 1) - times[0]
    starts = [0]
    for index in cuts(scores):
        at = times[index] - times[0]
        if at - starts[-1] >= MIN_SHOT_MS and end - at >= MIN_SHOT_MS:
            starts.append(at)
    return list(zip(starts, [*starts[1:], end], strict=True))


def cuts(scores: Sequence[float]) -> list[int]:
    """Return the frames that begin a shot, given each frame's difference from the one before.

    >>> cuts([0, 1, 1, 40, 1, 1]), cuts([0, 20, 22, 21, 23, 20])
    ([3], [])
    """
    found = []
    for index, score in enumerate(scores):
        around = [
            scores[i]
            for i in range(index - NEIGHBOURS, index + NEIGHBOURS + 1)
            if i != index and 0 < i < len(scores)
        ]
        usual = sum(around) / len(around) if around else 0.0
        if score >= MIN_CONTENT and score >= ADAPTIVE_RATIO * usual:
            found.append(index)
    return found


def difference(before: NDArray[np.int16], after: NDArray[np.int16]) -> float:
    """Return the mean difference of two pictures in hue, saturation and value.

    Args:
        before: ``(H, W, 3)``, each 0 to 255.
        after: the same. Hue is a circle: 255 is next to 0.
    """
    apart = np.abs(after - before)
    hue = np.minimum(apart[..., 0], 256 - apart[..., 0])
    return float((hue.mean() + apart[..., 1].mean() + apart[..., 2].mean()) / 3)


def _pictures(path: Path) -> Iterator[tuple[int, NDArray[np.int16]]]:
    with av.open(str(path), format="mp4") as container:
        if not container.streams.video:
            return
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        tick = stream.time_base or Fraction(1, 1000)
        for frame in container.decode(stream):
            if frame.pts is None:
                continue
            small = frame.reformat(WIDTH, HEIGHT, "rgb24").to_ndarray()
            picture = np.asarray(Image.fromarray(small).convert("HSV"), np.int16)
            yield round(frame.pts * tick * 1000), picture
