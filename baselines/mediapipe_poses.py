"""Find people with MediaPipe's Pose Landmarker: 33 joints in 2D, or in 3D in metres.

MediaPipe (Grishchenko et al. 2022, "BlazePose GHUM Holistic") is optional: it brings an OpenCV of
its own, so install it in another environment if both are wanted. Its model, a ``.task`` file, is
given by the user.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mimecurate.baselines.people import People
from mimecurate.baselines.pose_people import around
from mimecurate.errors import MimecurateError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mimecurate.baselines.decode import Video

LAYOUT = "mediapipe33"
JOINTS = 33
_CHUNK = 16


def find_poses(
    video: Video,
    clip_id: str,
    model: Path,
    *,
    dimensions: Literal[2, 3] = 2,
    max_people: int = 5,
    every: int = 1,
) -> People:
    """Find the people of a clip.

    Boxes are those around the joints in the frame, also for joints in 3D; the score of a joint is
    its visibility, that of a person the mean of them.

    Args:
        video: the clip.
        clip_id: its name.
        model: a Pose Landmarker, ``.task``.
        dimensions: 2: pixels; 3: metres from the middle of the hips.
        max_people: of a frame.
        every: only each so many frames are looked at.

    Raises:
        ClipError: the clip can't be decoded.
        MimecurateError: MediaPipe is not installed, or the model can't be read.
    """
    try:
        mediapipe: Any = import_module("mediapipe")
        tasks: Any = import_module("mediapipe.tasks.python")
    except ImportError as error:
        raise MimecurateError(
            f"mediapipe can't be imported ({error}); get it with: pip install mediapipe"
        ) from error
    vision = tasks.vision
    options = vision.PoseLandmarkerOptions(
        base_options=tasks.BaseOptions(model_asset_path=str(model)),
        running_mode=vision.RunningMode.VIDEO,
        num_poses=max_people,
    )
    try:
        landmarker = vision.PoseLandmarker.create_from_options(options)
    except (RuntimeError, ValueError, OSError) as error:
        words = str(error).splitlines()[0][:200]
        raise MimecurateError(f"{model}: is no Pose Landmarker: {words}") from error
    numbers = list(range(0, video.frames, every))
    results = []
    with landmarker:
        for first in range(0, len(numbers), _CHUNK):
            chosen = numbers[first : first + _CHUNK]
            frames = video.read(chosen).permute(0, 2, 3, 1).contiguous().cpu().numpy()
            for number, frame in zip(chosen, frames, strict=True):
                image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=frame)
                time_ms = round(number * 1000 / video.fps)
                results.append(landmarker.detect_for_video(image, time_ms))
    size = (video.width, video.height)
    return people_of_results(
        clip_id, numbers, results, size, video.frames, video.fps, dimensions=dimensions
    )


def people_of_results(
    clip_id: str,
    numbers: Sequence[int],
    results: Sequence[Any],
    size: tuple[int, int],
    frames: int,
    fps: float | None,
    *,
    dimensions: Literal[2, 3],
) -> People:
    """Make people of what the landmarker gave.

    Args:
        clip_id: the clip.
        numbers: the frame of each result.
        results: each with ``pose_landmarks``, x and y as shares of the frame, and
            ``pose_world_landmarks`` in metres: for each person 33, with a ``visibility``.
        size: width and height of the frames, in pixels.
        frames: of the clip.
        fps: frames per second.
        dimensions: which of the two.
    """
    frame: list[int] = []
    flat: list[list[tuple[float, float]]] = []
    world: list[list[tuple[float, float, float]]] = []
    seen: list[list[float]] = []
    for number, result in zip(numbers, results, strict=True):
        both = zip(result.pose_landmarks, result.pose_world_landmarks, strict=True)
        for marks, world_marks in both:
            frame.append(number)
            flat.append([(mark.x * size[0], mark.y * size[1]) for mark in marks])
            world.append([(mark.x, mark.y, mark.z) for mark in world_marks])
            seen.append([1.0 if m.visibility is None else m.visibility for m in marks])
    pixels = np.array(flat, np.float32).reshape(-1, JOINTS, 2)
    metres = np.array(world, np.float32).reshape(-1, JOINTS, 3)
    scores = np.array(seen, np.float32).reshape(-1, JOINTS).clip(0, 1)
    return People(
        clip_id=clip_id,
        frames=frames,
        width=size[0],
        height=size[1],
        fps=fps,
        layout=LAYOUT,
        frame=np.array(frame, np.int32),
        boxes=around(pixels, scores),
        scores=scores.mean(axis=1) if len(scores) else np.zeros(0, np.float32),
        joints=pixels if dimensions == 2 else metres,
        joint_scores=scores,
    )
