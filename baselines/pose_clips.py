"""Which frames of a sequence of joints or features a model sees, when testing and training.

A sequence is float32[C, L, V, M] or float32[F, L], with the frames second (see `pose_inputs`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mimecurate.baselines.protocol import PoseProtocol

    Floats = NDArray[np.float32]
    Indices = NDArray[np.int64]

SEED = 255
"""Of the frames drawn from segments at test time (pyskl's UniformSampleFrames)."""


def at_rate(sequence: Floats, fps: float | None, wanted: float | None) -> Floats:
    """Pick the frames of a sequence that lie nearest to ``wanted`` frames per second.

    >>> at_rate(np.arange(6, dtype=np.float32)[None], 60, 30)
    array([[0., 2., 4.]], dtype=float32)
    """
    if fps is None or wanted is None or fps == wanted:
        return sequence
    length = sequence.shape[1]
    times = np.arange(max(1, round(length * wanted / fps))) / wanted
    return sequence[:, np.minimum(np.rint(times * fps).astype(np.int64), length - 1)]


def views(sequence: Floats, protocol: PoseProtocol) -> list[Floats]:
    """Cut a sequence into what the model sees at test time.

    Returns:
        Views of T frames each; for ``"whole"`` one of at least T. Windows without a person are
        left out.
    """
    length, frames = sequence.shape[1], protocol.frames
    if protocol.clips == "segments":
        return [sequence[:, at] for at in segment_frames(length, frames, protocol.views)]
    if length <= frames:
        return [filled(sequence, protocol)]
    if protocol.clips == "whole":
        return [sequence]
    windows = [sequence[:, start : start + frames] for start in window_starts(length, frames)]
    return [window for window in windows if window.any()] or windows[:1]


def random_view(
    sequence: Floats, protocol: PoseProtocol, random: np.random.Generator, frames: int = 0
) -> Floats:
    """Draw what the model sees in training: T consecutive frames, or one of each segment.

    Args:
        sequence: of one tube or clip.
        protocol: of the model.
        random: where the numbers come from.
        frames: T; 0: the protocol's. ST-GCN trains on 150 frames of Kinetics and is tested on 300.

    Returns:
        The sequence with T frames; a short one is filled as in testing.
    """
    frames = frames or protocol.frames
    length = sequence.shape[1]
    if protocol.clips == "segments":
        if length < frames:
            at = (random.integers(length) + np.arange(frames)) % length
        else:
            edges = np.arange(frames + 1) * length // frames
            at = edges[:-1] + random.integers(np.diff(edges))
        return sequence[:, at]
    if length <= frames:
        return filled(sequence, protocol, frames)
    start = int(random.integers(length - frames + 1))
    return sequence[:, start : start + frames]


def filled(sequence: Floats, protocol: PoseProtocol, frames: int = 0) -> Floats:
    """Bring a sequence shorter than T to T frames: with zeros, or from its start again."""
    frames = frames or protocol.frames
    length = sequence.shape[1]
    if protocol.short == "loop":
        return sequence[:, np.arange(max(length, frames)) % length]
    missing = max(0, frames - length)
    return np.pad(sequence, [(0, 0), (0, missing)] + [(0, 0)] * (sequence.ndim - 2))


def window_starts(length: int, frames: int) -> list[int]:
    """Spread as few windows as cover the sequence evenly over it.

    >>> window_starts(300, 300), window_starts(301, 300), window_starts(900, 300)
    ([0], [0, 1], [0, 300, 600])
    """
    count = max(1, -(-length // frames))
    last = max(0, length - frames)
    return [index * last // max(1, count - 1) for index in range(count)]


def segment_frames(length: int, frames: int, count: int, seed: int = SEED) -> list[Indices]:
    """Draw the frames of ``count`` views: one from each of T equal parts.

    As pyskl's UniformSampleFrames does at test time, draw for draw: with fewer than T frames the
    views start evenly spread and loop; with fewer than 2 T each skips frames at random.

    Args:
        length: L, frames of the sequence.
        frames: T.
        count: views.
        seed: theirs.
    """
    random = np.random.RandomState(seed)
    drawn: list[Indices] = []
    for index in range(count):
        random.rand()  # theirs draws how much of the clip to use, and uses all of it
        random.randint(1)
        if length < frames:
            start = index if length < count else index * length // count
            at: Indices = np.arange(start, start + frames, dtype=np.int64)
        elif length < 2 * frames:
            skipped = np.zeros(frames + 1, np.int64)
            skipped[random.choice(frames + 1, length - frames, replace=False)] = 1
            at = np.arange(frames, dtype=np.int64) + np.cumsum(skipped)[:-1]
        else:
            edges = np.arange(frames + 1, dtype=np.int64) * length // frames
            at = edges[:-1] + random.randint(np.diff(edges))
        drawn.append(at % length)
    return drawn
