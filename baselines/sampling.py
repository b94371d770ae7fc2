"""Which frames of a video a model sees: test-time clips ("views"), as its authors chose them.

Frame numbers count from 0. The functions that follow one published code say which; `view_frames`
follows a `Protocol`, and gives at least one view of any video: none is too short.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mimecurate.baselines.protocol import Protocol


def view_frames(protocol: Protocol, frames: int, fps: float) -> NDArray[np.int64]:
    """Choose the frames of every test-time view of a video.

    Args:
        protocol: of the model.
        frames: of the video, at least 1.
        fps: of the video, frames per second.

    Returns:
        int64[V, T], frame numbers; V is 1 where the video is no longer than one view.

    >>> from mimecurate.baselines.protocol import Protocol
    >>> two = Protocol(4, 2, (8, 8), (0.5,), (0.5,), views=2)
    >>> view_frames(two, 10, 25.0).tolist()
    [[0, 2, 4, 6], [3, 5, 7, 9]]
    >>> view_frames(two, 3, 25.0).tolist()
    [[0, 2, 1, 0]]
    """
    order: NDArray[np.int64] = np.array(resampled(frames, fps, protocol.fps), np.int64)
    length, stride = protocol.frames, protocol.stride
    reach = (length - 1) * stride + 1
    if protocol.views is None:
        return order.take(_consecutive(protocol, len(order)))
    if len(order) < reach:
        return order.take([_filled(protocol, range(len(order)))])
    starts = even_starts(len(order) - reach + 1, protocol.views)
    return order.take([list(range(start, start + reach, stride)) for start in starts])


def resampled(frames: int, fps: float, target: float | None) -> list[int]:
    """Pick frames so that they pass at another rate, as torchvision's published evaluation does.

    Each is the last frame shown by its time; at a higher rate frames are repeated. The same numbers
    as `torchvision.datasets.video_utils.VideoClips`, single precision and all.

    Args:
        frames: of the video, at least 1.
        fps: of the video, frames per second.
        target: frames per second wanted; ``None``: the video's own.

    >>> resampled(10, 30.0, 15.0), resampled(4, 25.0, 10.0), resampled(3, 10.0, 20.0)
    ([0, 2, 4, 6, 8], [0], [0, 0, 1, 1, 2, 2])
    """
    if target is None:
        return list(range(frames))
    step = fps / target
    if step.is_integer():
        return list(range(0, frames, int(step)))
    count = max(1, math.floor(frames * target / fps))
    picked = np.floor(np.arange(count, dtype=np.float32) * np.float32(step))
    return [min(int(place), frames - 1) for place in picked]


def even_starts(count: int, views: int) -> list[int]:
    """Spread views evenly over ``count`` possible starts, as torchvision's `UniformClipSampler`.

    >>> even_starts(135, 5), even_starts(2, 3)
    ([0, 33, 67, 100, 134], [0, 0, 1])
    """
    starts: list[int] = torch.linspace(0, count - 1, steps=views).floor().long().tolist()
    return starts


def consecutive_clips(frames: int, length: int) -> list[list[int]]:
    """Cut a video into clips without overlap; the last is filled by repeating itself.

    As 3D-ResNets-PyTorch tests in its release of 2018: a clip that would begin at the last frame
    is not made, so a video of one frame has none.

    >>> consecutive_clips(5, 3), consecutive_clips(4, 3), consecutive_clips(1, 3)
    ([[0, 1, 2], [3, 4, 3]], [[0, 1, 2]], [])
    """
    return [
        looped(range(start, min(start + length, frames)), length)
        for start in range(0, frames - 1, length)
    ]


def sliding_windows(frames: int, length: int, stride: int) -> list[list[int]]:
    """Cut clips every ``stride`` frames; the first that is filled by repeating itself is the last.

    As 3D-ResNets-PyTorch infers since 2020.

    >>> sliding_windows(4, 3, 2), sliding_windows(4, 3, 1)
    ([[0, 1, 2], [2, 3, 2]], [[0, 1, 2], [1, 2, 3], [2, 3, 2]])
    """
    return _until_filled(range(0, frames, stride), frames, length)


def even_clips(frames: int, length: int, count: int) -> list[list[int]]:
    """Spread up to ``count`` clips over a video; the first that is filled is the last.

    As 3D-ResNets-PyTorch validates since 2020.

    >>> even_clips(9, 3, 3), even_clips(4, 3, 3)
    ([[0, 1, 2], [3, 4, 5], [6, 7, 8]], [[0, 1, 2], [1, 2, 3], [2, 3, 2]])
    """
    step = max(1, math.ceil((frames - 1 - length) / (count - 1)))
    return _until_filled(range(0, frames, step)[:count], frames, length)


def centre_clip(frames: int, length: int) -> list[int]:
    """Take the clip in the middle, as 3D-ResNets-PyTorch since 2020.

    >>> centre_clip(9, 4), centre_clip(3, 4)
    ([2, 3, 4, 5], [0, 1, 2, 0])
    """
    start = max(0, frames // 2 - length // 2)
    return looped(range(start, min(start + length, frames)), length)


def looped(frames: Sequence[int], length: int) -> list[int]:
    """Repeat frames from their first on until there are ``length``.

    >>> looped([7, 8], 5)
    [7, 8, 7, 8, 7]
    """
    return [frames[i % len(frames)] for i in range(length)]


def held(frames: Sequence[int], length: int) -> list[int]:
    """Repeat the last frame until there are ``length``.

    >>> held([7, 8], 5)
    [7, 8, 8, 8, 8]
    """
    return [frames[min(i, len(frames) - 1)] for i in range(length)]


def _consecutive(protocol: Protocol, frames: int) -> NDArray[np.int64]:
    """Cut into clips as `consecutive_clips`, with the protocol's stride and way of filling."""
    reach = protocol.frames * protocol.stride
    starts = range(0, max(1, frames - 1), reach)
    if protocol.partial == "drop":
        starts = range(0, max(1, frames - reach + 1), reach)
    clips = [_filled(protocol, range(start, min(start + reach, frames))) for start in starts]
    return np.array(clips, np.int64)


def _until_filled(starts: range, frames: int, length: int) -> list[list[int]]:
    clips: list[list[int]] = []
    for start in starts:
        clips.append(looped(range(start, min(start + length, frames)), length))
        if start + length > frames:
            break
    return clips


def _filled(protocol: Protocol, frames: range) -> list[int]:
    fill = looped if protocol.short == "loop" else held
    return fill(frames, protocol.frames * protocol.stride)[:: protocol.stride]
