"""The people of one clip: boxes, joints and features, detection by detection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class People:
    """What a detector or pose estimator found in one clip: N detections, in order of frames.

    Attributes:
        clip_id: the clip.
        frames: frames of the clip, also those without a person.
        width: of the frames, in pixels.
        height: of the frames, in pixels.
        fps: frames per second; ``None`` if unknown.
        layout: name of the joints' order: ``coco17``, ``openpose18``, ``lcrnet13``, …
        frame: int32[N], the frame of each detection, counted from 0, never falling.
        boxes: float32[N, 4], x1, y1, x2, y2 in pixels.
        scores: float32[N], of each detection, 0 to 1.
        joints: float32[N, V, D], D = 2 (x, y in pixels) or 3 (the estimator's own units).
        joint_scores: float32[N, V], 0 to 1; 0: not seen.
        features: float32[N, F] of each person, or ``None``.
    """

    clip_id: str
    frames: int
    width: int
    height: int
    fps: float | None
    layout: str
    frame: NDArray[np.int32]
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    joints: NDArray[np.float32]
    joint_scores: NDArray[np.float32]
    features: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True)
class Tube:
    """One person followed through a clip: T consecutive frames, gaps filled in.

    Attributes:
        start: the first frame, counted from 0.
        score: the sum of the scores of the detections that were linked.
        boxes: float32[T, 4], x1, y1, x2, y2 in pixels.
        scores: float32[T]; 0 where a frame was filled in.
        joints: float32[T, V, D].
        joint_scores: float32[T, V].
        features: float32[T, F], or ``None``.
        detection: int32[T], row in the `People` that it came from; -1 where filled in.
    """

    start: int
    score: float
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    joints: NDArray[np.float32]
    joint_scores: NDArray[np.float32]
    features: NDArray[np.float32] | None
    detection: NDArray[np.int32]
