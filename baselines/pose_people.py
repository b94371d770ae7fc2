"""Make people of what pose estimators give: what all readers of their files share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mimecurate.baselines.joint_layouts import names_of
from mimecurate.baselines.people import People
from mimecurate.baselines.people_checks import MOST_FRAMES, people_problems
from mimecurate.errors import (
    ClipError,
    InvalidInputError,
    MimecurateError,
    Problem,
    Reason,
    SettingError,
    plain_words,
)
from mimecurate.evaluation.safe_unpickle import UnsafePickleError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

MOST_PEOPLE = 1000
"""Of a frame."""
_SLACK = 0.5
"""How far outside 0 to 1 a score may lie and still be taken for one."""
_LAYOUT_OF_JOINTS = {17: "coco17", 18: "openpose18", 25: "ntu25", 13: "lcrnet13"}


@dataclass(frozen=True, slots=True)
class FrameFacts:
    """What a format leaves out of a clip.

    Attributes:
        width: of the frames, in pixels.
        height: of the frames, in pixels.
        fps: frames per second; ``None`` if unknown.
        frames: of the clip; ``None``: up to the last that the file knows of.
    """

    width: int
    height: int
    fps: float | None = None
    frames: int | None = None


def people_of_array(
    clip_id: str,
    joints: NDArray[Any],
    axes: str,
    facts: FrameFacts,
    layout: str | None,
    *,
    scores: NDArray[Any] | None = None,
    boxes: NDArray[Any] | None = None,
) -> People:
    """Make people of an array of joints.

    Args:
        clip_id: the clip.
        joints: numbers with the dimensions ``axes``.
        axes: T, V and C in any order, and M if there are several persons.
        facts: of the frames.
        layout: order of the joints; ``None``: by their number.
        scores: of the joints: the same dimensions without C; else 1 where a joint is a number.
        boxes: the same dimensions without V, 4 for C.

    Raises:
        InvalidInputError: it can't be; says all that is wrong.
    """
    problems = []
    if sorted(axes) not in (sorted("TVC"), sorted("MTVC")):
        problems.append(f"axes are {axes[:20]!r}; they must be T, V, C and perhaps M")
    elif joints.ndim != len(axes) or joints.dtype.kind not in "fiu":
        problems.append(f"joints are {joints.dtype}{joints.shape}; axes are {axes}")
    else:
        flat = _in_order(joints, axes, "TMVC")
        layout = layout or _LAYOUT_OF_JOINTS.get(flat.shape[2], "")
        problems += _layout_problems(layout, flat.shape)
        for name, array, own in (
            ("joint_scores", scores, axes.replace("C", "")),
            ("boxes", boxes, axes.replace("V", "")),
        ):
            shape = tuple(4 if a == "C" else flat.shape["TMVC".index(a)] for a in own)
            if array is not None and (array.shape != shape or array.dtype.kind not in "fiu"):
                problems.append(f"{name} are {array.dtype}{array.shape}; they must be {shape}")
    if problems:
        raise InvalidInputError(clip_id, [Problem(problem) for problem in problems])
    known = np.isfinite(flat).all(axis=3)
    if scores is None:
        seen = (known & (flat != 0).any(axis=3)).astype(np.float32)
    else:
        seen = np.where(known, _in_order(scores, axes.replace("C", ""), "TMV"), 0)
    frame, person = np.nonzero((seen > 0).any(axis=2))
    own_boxes = None
    if boxes is not None:
        own_boxes = _in_order(boxes, axes.replace("V", ""), "TMC")[frame, person]
    return make_people(
        clip_id,
        facts,
        len(flat),
        str(layout),
        frame.tolist(),
        flat[frame, person],
        seen[frame, person],
        own_boxes,
    )


def _in_order(array: NDArray[Any], axes: str, wanted: str) -> NDArray[np.float32]:
    """Bring the dimensions in order; one of a single person is put in."""
    if "M" not in axes:
        array, axes = array[None], "M" + axes
    made: NDArray[np.float32] = array.transpose([axes.index(a) for a in wanted]).astype(np.float32)
    return made


def _layout_problems(layout: str, shape: tuple[int, ...]) -> list[str]:
    problems = []
    if shape[3] not in (2, 3):
        problems.append(f"joints have {shape[3]} coordinates, not 2 or 3")
    if shape[0] > MOST_FRAMES or shape[1] > MOST_PEOPLE:
        problems.append(f"{shape[0]} frames of {shape[1]} people are too many")
    try:
        count = len(names_of(layout))
    except SettingError as error:
        return [*problems, str(error)]
    if count != shape[2]:
        problems.append(f"{shape[2]} joints; the layout {layout} has {count}")
    return problems


def make_people(
    clip_id: str,
    facts: FrameFacts,
    length: int,
    layout: str,
    frame: list[int],
    joints: NDArray[np.float32],
    scores: NDArray[np.float32],
    boxes: NDArray[np.float32] | None = None,
) -> People:
    """Put it together, and check it."""
    outside = (scores < -_SLACK) | (scores > 1 + _SLACK) | ~np.isfinite(scores)
    if outside.any():
        value = float(scores[outside][0])
        raise InvalidInputError(
            clip_id, [Problem(f"{int(outside.sum())} joint scores are none, such as {value:g}")]
        )
    scores = scores.clip(0, 1).astype(np.float32)
    order = np.argsort(np.array(frame, np.int64), kind="stable")
    joints, scores = joints[order].astype(np.float32), scores[order]
    boxes = around(joints, scores) if boxes is None else boxes[order].astype(np.float32)
    people = People(
        clip_id=clip_id,
        frames=max(length, facts.frames or 0),
        width=facts.width,
        height=facts.height,
        fps=facts.fps,
        layout=layout,
        frame=np.array(frame, np.int32)[order],
        boxes=boxes,
        scores=scores.mean(axis=1) if len(scores) else np.zeros(0, np.float32),
        joints=joints,
        joint_scores=scores,
    )
    if problems := people_problems(people):
        raise InvalidInputError(clip_id, problems)
    return people


def around(joints: NDArray[np.float32], scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give the boxes around the joints that were seen.

    >>> around(np.array([[[1, 2], [5, 9], [0, 0]]], "f"), np.array([[0.5, 1, 0]], "f")).tolist()
    [[1.0, 2.0, 5.0, 9.0]]
    """
    seen = (scores > 0)[:, :, None]
    low = np.where(seen, joints[:, :, :2], np.inf).min(axis=1, initial=np.inf)
    high = np.where(seen, joints[:, :, :2], -np.inf).max(axis=1, initial=-np.inf)
    boxes = np.concatenate([low, high], axis=1)
    return np.where(np.isfinite(boxes), boxes, 0).astype(np.float32)


def guarded(clip_id: str, read: Any, *arguments: Any) -> People | ClipError:
    """Read a clip, or say why it can't be read, without its name."""
    try:
        people: People = read(clip_id, *arguments)
    except (InvalidInputError, UnsafePickleError, SettingError) as error:
        return ClipError(Reason.CORRUPT, str(error).removeprefix(f"{clip_id}: "))
    except (MimecurateError, OSError) as error:
        return ClipError(Reason.UNAVAILABLE, plain_words(error))
    return people


def facts_of(clip_id: str, facts: Mapping[str, FrameFacts] | FrameFacts) -> FrameFacts:
    """Find a clip's frame size.

    Raises:
        InvalidInputError: it isn't known.
    """
    if isinstance(facts, FrameFacts):
        return facts
    if clip_id not in facts:
        raise InvalidInputError(clip_id, [Problem("the size of its frames is not known")])
    return facts[clip_id]


def files_of(folder: Path, pattern: str) -> Iterable[Path]:
    """List the files of a folder in order; a file is its own list.

    Raises:
        MimecurateError: there are none.
    """
    if folder.is_file():
        return [folder]
    files = sorted(folder.glob(pattern))
    if not files:
        raise MimecurateError(f"{folder} holds no {pattern}")
    return files
