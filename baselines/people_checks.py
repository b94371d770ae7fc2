"""What people read from a file must be: the checks that every reader and the writer share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mimecurate.errors import Problem

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mimecurate.baselines.people import People

MOST_FRAMES = 216_000
"""Of a clip: an hour at 60 frames per second."""
MOST_PIXELS = 1 << 16
"""Of a side of a frame."""
MOST_FAR = 1_000_000
"""Of a coordinate, from the origin: pixels, or metres."""
MOST_LISTED = 20
"""Problems of one kind that are listed one by one."""


def clip_problems(
    clip_id: str, frames: int, width: int, height: int, fps: float | None
) -> list[str]:
    """Say what can't be in the facts of a clip.

    >>> clip_problems("a_000001_000002", 30, 320, 240, 29.97)
    []
    >>> clip_problems("a_000001_000002", -1, 320, 240, None)
    ['frames is -1; it must be 0 to 216000']
    """
    problems = []
    if not clip_id or len(clip_id) > 500 or not clip_id.isprintable():
        problems.append(f"clip_id is {clip_id[:80]!r}; it must be 1 to 500 printable characters")
    if not 0 <= frames <= MOST_FRAMES:
        problems.append(f"frames is {frames}; it must be 0 to {MOST_FRAMES}")
    for name, pixels in (("width", width), ("height", height)):
        if not 0 <= pixels <= MOST_PIXELS:
            problems.append(f"{name} is {pixels} pixels; it must be 0 (unknown) to {MOST_PIXELS}")
    if fps is not None and not 1 <= fps <= 1000:
        problems.append(f"fps is {fps}; it must be 1 to 1000, or nothing if unknown")
    return problems


def people_problems(people: People, *, first_row: int = 1) -> list[Problem]:
    """Find everything wrong with the people of a clip.

    Args:
        people: as read, or about to be written.
        first_row: number of the first detection in its file, for the messages.

    Returns:
        Nothing if all is well.
    """
    problems = clip_problems(people.clip_id, people.frames, people.width, people.height, people.fps)
    problems += _shape_problems(people)
    if problems:
        return [Problem(problem) for problem in problems]
    found: list[tuple[Any, str]] = [
        (
            (people.frame < 0) | (people.frame >= people.frames),
            f"frame is not 0 to {people.frames - 1}, the clip's",
        ),
        (
            np.diff(people.frame, prepend=people.frame[:1]) < 0,
            "frame is lower than in the row before",
        ),
        (~np.isfinite(people.boxes).all(axis=1), "box is not finite"),
        ((people.boxes[:, 2:] < people.boxes[:, :2]).any(axis=1), "box ends before it starts"),
        (~_is_share(people.scores), "score is not from 0 to 1"),
        (~_is_share(people.joint_scores).all(axis=1), "joint score is not from 0 to 1"),
        (_unknown_joints(people), "joint has a score, and no finite place"),
        (_far(people.boxes[:, None]), f"box is over {MOST_FAR:,} pixels away"),
        (_far(people.joints), f"joint is over {MOST_FAR:,} pixels or metres away"),
    ]
    if people.features is not None:
        found.append((~np.isfinite(people.features).all(axis=1), "features are not finite"))
    return [
        problem
        for wrong, words in found
        for problem in _listed(np.flatnonzero(wrong), words, first_row)
    ]


def _shape_problems(people: People) -> list[str]:
    n = len(people.frame)
    joints = people.joints.shape[1] if people.joints.ndim == 3 else 0
    wanted: list[tuple[str, NDArray[np.float32], tuple[int, ...]]] = [
        ("boxes", people.boxes, (n, 4)),
        ("scores", people.scores, (n,)),
        ("joint_scores", people.joint_scores, (n, joints)),
    ]
    problems = [
        f"{name} have shape {array.shape}; with {n} detections it must be {shape}"
        for name, array, shape in wanted
        if array.shape != shape
    ]
    if people.joints.ndim != 3 or len(people.joints) != n or people.joints.shape[2] not in {2, 3}:
        problems.append(
            f"joints have shape {people.joints.shape}; it must be ({n}, joints, 2 or 3)"
        )
    if people.features is not None and (people.features.ndim != 2 or len(people.features) != n):
        problems.append(f"features have shape {people.features.shape}; it must be ({n}, numbers)")
    return problems


def _is_share(values: NDArray[np.float32]) -> NDArray[np.bool_]:
    return (values >= 0) & (values <= 1)


def _unknown_joints(people: People) -> NDArray[np.bool_]:
    """Which detections have a joint that was seen and lies nowhere."""
    lost = (people.joint_scores > 0) & ~np.isfinite(people.joints).all(axis=2)
    return np.asarray(lost.any(axis=1))


def _far(places: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which detections have finite coordinates that no picture and no room has."""
    return np.asarray((np.isfinite(places) & (np.abs(places) > MOST_FAR)).any(axis=(1, 2)))


def _listed(rows: NDArray[np.int64], words: str, first_row: int) -> list[Problem]:
    problems = [Problem(f"row {first_row + int(row)}: {words}") for row in rows[:MOST_LISTED]]
    if len(rows) > MOST_LISTED:
        problems.append(Problem(f"{len(rows) - MOST_LISTED:,} more rows: {words}"))
    return problems
