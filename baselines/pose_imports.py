"""Read the files of pose estimators: OpenPose, kinetics-skeleton, mmaction2 and pyskl, arrays.

Each reader gives the clips one after the other, ``(clip id, people)``, and for one that can't be
read `ClipError` in the place of the people, with all that is wrong with it. Nothing in a file is
ever executed.

Boxes that a format doesn't hold are those around the joints that were seen; a person's score that
it doesn't hold is the mean of the joints' scores, of joints not seen too. Scores a little above 1
or below 0, as heat maps give, are cut to 0 to 1.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mimecurate.baselines.joint_layouts import convert_layout
from mimecurate.baselines.people_checks import MOST_FRAMES
from mimecurate.baselines.people_npz import read_arrays
from mimecurate.baselines.pose_people import (
    MOST_PEOPLE,
    FrameFacts,
    facts_of,
    files_of,
    guarded,
    make_people,
    people_of_array,
)
from mimecurate.errors import InvalidInputError, MimecurateError, Problem, plain_words
from mimecurate.evaluation.safe_unpickle import Array, UnsafePickleError, safe_unpickle

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from mimecurate.baselines.people import People
    from mimecurate.errors import ClipError

    Imported = tuple[str, People | ClipError]

MOST_JSON_BYTES = 256 << 20
_OPENPOSE_NAME = re.compile(r"(?:(?P<clip>.+)_)?(?P<frame>\d{1,12})_keypoints\.json")


def read_openpose(folder: Path, facts: Mapping[str, FrameFacts] | FrameFacts) -> Iterator[Imported]:
    """Read OpenPose's folders of ``…_keypoints.json``, a file for each frame.

    Files lie in a folder for each clip, named as the clip, or all in one folder with the clip's
    name before the frame's number. BODY_25 becomes ``openpose18``: feet and the middle of the hips
    are left out.

    Args:
        folder: of the files, or of folders of them.
        facts: frame size and rate of each clip, or of all: the files don't hold them.

    Raises:
        MimecurateError: there is no such file.
    """
    clips: dict[str, list[tuple[int, Path]]] = {}
    for path in sorted(folder.rglob("*_keypoints.json")):
        found = _OPENPOSE_NAME.fullmatch(path.name)
        if found:
            own_folder = path.parent.name if path.parent != folder else found["clip"]
            clip_id = own_folder or folder.name
            clips.setdefault(clip_id, []).append((int(found["frame"]), path))
    if not clips:
        raise MimecurateError(f"{folder} holds no files …_000000000000_keypoints.json")
    for clip_id, files in clips.items():
        yield clip_id, guarded(clip_id, _openpose_clip, files, facts)


def _openpose_clip(
    clip_id: str, files: list[tuple[int, Path]], facts: Mapping[str, FrameFacts] | FrameFacts
) -> People:
    own = facts_of(clip_id, facts)
    frames: list[int] = []
    poses: list[NDArray[np.float32]] = []
    problems: list[Problem] = []
    for frame, path in files:
        try:
            document = _read_json(path)
            people = _list_of(document, "people", path.name)
            for person in people:
                poses.append(_openpose_pose(person, path.name))
                frames.append(frame)
        except InvalidInputError as error:
            problems += [Problem(f"{path.name}: {problem}") for problem in error.problems]
    sizes = sorted({len(pose) for pose in poses})
    if len(sizes) > 1:
        problems.append(Problem(f"people of {' and of '.join(map(str, sizes))} joints"))
    if problems:
        raise InvalidInputError(clip_id, problems)
    count = sizes[0] if sizes else 18
    made = np.stack(poses) if poses else np.zeros((0, count, 3), np.float32)
    layout = "openpose25" if count == 25 else "openpose18"
    length = max(frame for frame, _ in files) + 1
    return convert_layout(
        make_people(clip_id, own, length, layout, frames, made[:, :, :-1], made[:, :, -1]),
        "openpose18",
    )


def _openpose_pose(person: Any, name: str) -> NDArray[np.float32]:
    values = person if isinstance(person, dict) else {}
    flat = values.get("pose_keypoints_2d", values.get("pose_keypoints"))
    count = len(flat) if isinstance(flat, list) else 0
    if count not in (54, 75):
        raise InvalidInputError(
            name, [Problem(f"pose_keypoints_2d holds {count} numbers; 18 or 25 joints make 54, 75")]
        )
    return _numbers(flat, name, "pose_keypoints_2d").reshape(-1, 3)


def read_kinetics_skeleton(
    folder: Path, facts: Mapping[str, FrameFacts] | FrameFacts | None = None
) -> Iterator[Imported]:
    """Read kinetics-skeleton, a JSON file for each clip, as ST-GCN's authors published it.

    Coordinates are shares of the frame; frames are counted from 1, unless some file has a frame 0.

    Args:
        folder: of the files; or one file.
        facts: ``None``: 340 x 256 pixels at 30 frames per second, as the authors extracted them.
    """
    facts = facts or FrameFacts(340, 256, 30.0)
    for path in files_of(folder, "*.json"):
        yield path.stem, guarded(path.stem, _kinetics_clip, path, facts)


def _kinetics_clip(
    clip_id: str, path: Path, facts: Mapping[str, FrameFacts] | FrameFacts
) -> People:
    own = facts_of(clip_id, facts)
    frames: list[int] = []
    poses: list[NDArray[np.float32]] = []
    scores: list[NDArray[np.float32]] = []
    problems: list[Problem] = []
    entries = _list_of(_read_json(path), "data", path.name)
    numbers = []
    for place, entry in enumerate(entries, 1):
        frame = entry.get("frame_index") if isinstance(entry, dict) else None
        if type(frame) is not int or not 0 <= frame <= MOST_FRAMES:
            problems.append(Problem(f"entry {place}: frame_index is {str(frame)[:40]}"))
            continue
        numbers.append(frame)
        try:
            for person in _list_of(entry, "skeleton", path.name):
                pose, score = _kinetics_pose(person, path.name)
                frames.append(frame)
                poses.append(pose)
                scores.append(score)
        except InvalidInputError as error:
            problems += [Problem(f"frame {frame}: {problem}") for problem in error.problems]
    if problems:
        raise InvalidInputError(path.name, problems)
    first = 0 if 0 in numbers else 1
    size = np.array([own.width, own.height], np.float32)
    joints = np.stack(poses) * size if poses else np.zeros((0, 18, 2), np.float32)
    seen = np.stack(scores) if scores else np.zeros((0, 18), np.float32)
    length = max(numbers, default=first - 1) + 1 - first
    at = [frame - first for frame in frames]
    return make_people(clip_id, own, length, "openpose18", at, joints, seen)


def _kinetics_pose(person: Any, name: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    pose, score = (
        person.get(key) if isinstance(person, dict) else None for key in ("pose", "score")
    )
    sizes = [len(values) if isinstance(values, list) else 0 for values in (pose, score)]
    if sizes != [36, 18]:
        raise InvalidInputError(
            name, [Problem(f"pose and score hold {sizes[0]} and {sizes[1]} numbers, not 36 and 18")]
        )
    return _numbers(pose, name, "pose").reshape(18, 2), _numbers(score, name, "score")


def read_mmaction2(
    path: Path, *, layout: str | None = None, fps: float | None = None
) -> Iterator[Imported]:
    """Read a pickle of annotations as mmaction2 and pyskl use them; nothing in it is run.

    Args:
        path: of a list of annotations, or of a dictionary with ``annotations``; each has
            ``frame_dir``, ``total_frames``, ``img_shape``, ``keypoint`` (persons, frames, joints,
            2 or 3) and ``keypoint_score``.
        layout: of the joints; ``None``: 17 are ``coco17``, 18 ``openpose18``, 25 ``ntu25``.
        fps: frames per second.

    Raises:
        MimecurateError: there is no such file.
        InvalidInputError: it is no such pickle.
    """
    try:
        content = safe_unpickle(path.read_bytes())
    except UnsafePickleError as error:
        raise InvalidInputError(
            str(path), [Problem(f"is a pickle that is not read: {error}")]
        ) from error
    except OSError as error:
        raise MimecurateError(f"{path}: can't be read: {plain_words(error)}") from error
    if isinstance(content, dict):
        content = content.get("annotations")
    if not isinstance(content, list) or not content:
        raise InvalidInputError(str(path), [Problem("holds no list of annotations")])
    for number, entry in enumerate(content, 1):
        name = entry.get("frame_dir") if isinstance(entry, dict) else None
        clip_id = Path(name).name if isinstance(name, str) and name else f"annotation {number}"
        yield clip_id, guarded(clip_id, _mmaction2_clip, entry, layout, fps)


def _mmaction2_clip(clip_id: str, entry: Any, layout: str | None, fps: float | None) -> People:
    entry = entry if isinstance(entry, dict) else {}
    joints = entry.get("keypoint")
    if not isinstance(joints, Array):
        raise InvalidInputError(clip_id, [Problem("has no array keypoint")])
    name = entry.get("frame_dir")
    scores = entry.get("keypoint_score")
    shape = entry.get("img_shape", entry.get("original_shape", (0, 0)))
    total = entry.get("total_frames")
    problems = []
    whole = isinstance(shape, (tuple, list)) and len(shape) == 2
    if not whole or not all(type(n) is int for n in shape):
        problems.append(Problem(f"img_shape is {str(shape)[:40]}; it must be (height, width)"))
    if not isinstance(name, str) or not Path(name).name:
        problems.append(Problem(f"frame_dir is {str(name)[:40]!r}; it must be the clip's name"))
    if total is not None and (type(total) is not int or total < 1):
        problems.append(Problem(f"total_frames is {str(total)[:40]}; it must be 1 or more"))
    if scores is not None and not isinstance(scores, Array):
        problems.append(Problem("keypoint_score is no array"))
    values = joints.array()
    if values.size and values.dtype.kind == "f" and not np.isfinite(values).any():
        problems.append(Problem("keypoint holds no finite number"))
    if problems:
        raise InvalidInputError(clip_id, problems)
    facts = FrameFacts(shape[1], shape[0], fps, total)
    score_array = scores.array() if isinstance(scores, Array) else None
    return people_of_array(clip_id, values, "MTVC", facts, layout, scores=score_array)


def read_pose_arrays(
    folder: Path,
    facts: Mapping[str, FrameFacts] | FrameFacts,
    *,
    axes: str | None = None,
    layout: str | None = None,
) -> Iterator[Imported]:
    """Read joints in 2D or 3D from arrays of any estimator, an ``.npz`` for each clip.

    A file holds ``joints``, and may hold ``joint_scores`` and ``boxes`` (the same axes without V
    and C, and 4), ``axes`` and ``layout`` as text. A joint that is NaN was not seen.

    Args:
        folder: of the files; or one file.
        facts: of each clip, or of all.
        axes: what the dimensions of ``joints`` are, such as ``TMVC``: T frames, M persons (may be
            left out for one), V joints, C coordinates. ``None``: the file says it.
        layout: order of the joints; ``None``: the file says it.
    """
    for path in files_of(folder, "*.npz"):
        yield path.stem, guarded(path.stem, _array_clip, path, facts, axes, layout)


def _array_clip(
    clip_id: str,
    path: Path,
    facts: Mapping[str, FrameFacts] | FrameFacts,
    axes: str | None,
    layout: str | None,
) -> People:
    arrays = read_arrays(path)
    axes = axes or str(arrays.get("axes", ""))
    layout = layout or str(arrays.get("layout", ""))
    lacking = [
        name
        for name, there in (("joints", "joints" in arrays), ("axes", axes), ("layout", layout))
        if not there
    ]
    if lacking:
        raise InvalidInputError(path.name, [Problem(f"doesn't say its {name}") for name in lacking])
    return people_of_array(
        clip_id,
        arrays["joints"],
        axes,
        facts_of(clip_id, facts),
        layout,
        scores=arrays.get("joint_scores"),
        boxes=arrays.get("boxes"),
    )


def _read_json(path: Path) -> Any:
    if path.stat().st_size > MOST_JSON_BYTES:
        raise InvalidInputError(path.name, [Problem(f"is larger than {MOST_JSON_BYTES:,} bytes")])
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        words = str(error).splitlines()[0][:120]
        raise InvalidInputError(path.name, [Problem(f"is no JSON: {words}")]) from error


def _list_of(document: Any, key: str, name: str) -> list[Any]:
    found = document.get(key) if isinstance(document, dict) else None
    if not isinstance(found, list):
        raise InvalidInputError(name, [Problem(f"has no list {key}")])
    if key != "data" and len(found) > MOST_PEOPLE:
        raise InvalidInputError(name, [Problem(f"{len(found)} people in a frame")])
    return found


def _numbers(values: Any, name: str, field: str) -> NDArray[np.float32]:
    if not all(type(v) in (int, float) and abs(v) < 1e30 and not math.isnan(v) for v in values):
        raise InvalidInputError(name, [Problem(f"{field} holds something that is no number")])
    return np.array(values, np.float32)
