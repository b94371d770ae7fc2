"""People in NumPy's ``.npz``: arrays of one's own, without a library for Parquet."""

from __future__ import annotations

import math
import zipfile
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from mimecurate.baselines.people import People
from mimecurate.baselines.people_checks import people_problems
from mimecurate.errors import InvalidInputError, MimecurateError, Problem, plain_words
from mimecurate.evaluation.score_table import FREE_BYTES, MAX_EXPANSION

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

MOST_BYTES = 4 << 30
"""Of the arrays of a file: they are all in memory."""
_CLIP = {"clip_id": "U", "frames": "iu", "width": "iu", "height": "iu", "detections": "iu"}
_ROWS = {"frame": "iu", "boxes": "f", "scores": "f", "joints": "f", "joint_scores": "f"}
_HINT = "`mimecurate baseline people detect` and `import` make people files."


def read_people_npz(path: Path) -> dict[str, People]:
    """Read all people of an ``.npz``.

    Returns:
        By clip id, in the file's order.

    Raises:
        InvalidInputError: it is no such file; holds all that is wrong with it.
    """
    arrays = read_arrays(path)
    problems = _array_problems(arrays)
    if problems:
        raise InvalidInputError(str(path), problems, _HINT)
    rows = np.concatenate([[0], np.cumsum(arrays["detections"].astype(np.int64))])
    fps = arrays.get("fps", np.full(len(arrays["clip_id"]), np.nan))
    features = arrays.get("features")
    made: dict[str, People] = {}
    for index, clip_id in enumerate(arrays["clip_id"].tolist()):
        own = slice(rows[index], rows[index + 1])
        people = People(
            clip_id=clip_id,
            frames=int(arrays["frames"][index]),
            width=int(arrays["width"][index]),
            height=int(arrays["height"][index]),
            fps=None if np.isnan(fps[index]) else float(fps[index]),
            layout=str(arrays["layout"]),
            frame=arrays["frame"][own].astype(np.int32),
            **{n: arrays[n][own].astype(np.float32) for n, kind in _ROWS.items() if kind == "f"},
            features=None if features is None else features[own].astype(np.float32),
        )
        if clip_id in made:
            problems.append(Problem(f"clip {clip_id[:80]!r} comes more than once"))
        problems += people_problems(people, first_row=1 + int(rows[index]))
        made[clip_id] = people
    if problems:
        raise InvalidInputError(str(path), problems)
    return made


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read the arrays of an ``.npz`` by their names; nothing is unpickled.

    What a header declares is compared with what the archive holds before any memory is given.

    Raises:
        MimecurateError: there is no such file.
        InvalidInputError: it is no archive of plain arrays.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            total = sum(member.file_size for member in members)
            most = min(MOST_BYTES, max(FREE_BYTES, MAX_EXPANSION * path.stat().st_size))
            if total > most:
                raise ValueError(f"it asks for {total:,} bytes; at most {most:,} are given")
            return {m.filename.removesuffix(".npy"): _read_array(archive, m) for m in members}
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, LookupError) as error:
        words = (str(error) or type(error).__name__).splitlines()[0][:200]
        raise InvalidInputError(str(path), [Problem(f"is no .npz of arrays: {words}")]) from error
    except (NotImplementedError, RuntimeError) as error:  # packed or encrypted otherwise
        raise InvalidInputError(str(path), [Problem(f"is packed otherwise: {error}")]) from error
    except OSError as error:
        raise MimecurateError(f"{path}: can't be read: {plain_words(error)}") from error


def _read_array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version)
        if read is None:
            raise ValueError(f"{member.filename} is of an unknown version")
        shape, _, dtype = read(file)  # type: ignore[no-untyped-call]
        if dtype.hasobject:
            raise ValueError(f"{member.filename} holds objects, not numbers or text")
        if math.prod(shape) * dtype.itemsize != member.file_size - file.tell():
            raise ValueError(f"{member.filename} declares another size than it has")
    with archive.open(member) as file:
        array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    return array


def _array_problems(arrays: dict[str, NDArray[Any]]) -> list[Problem]:
    wanted = {"layout": "U", **_CLIP, **_ROWS}
    optional = dict.fromkeys({"fps", "features"} & arrays.keys(), "f")
    problems = [f"has no array {name}" for name in wanted if name not in arrays]
    problems += [
        f"{name} holds {arrays[name].dtype}"
        for name, kinds in {**wanted, **optional}.items()
        if name in arrays and arrays[name].dtype.kind not in kinds
    ]
    if problems:
        return [Problem(problem) for problem in problems]
    clips, n = arrays["clip_id"].shape, arrays["frame"].shape[:1]
    problems += [
        f"{name} has shape {arrays[name].shape}, clip_id {clips}"
        for name in (*_CLIP, *(["fps"] if "fps" in arrays else []))
        if arrays[name].shape != clips or len(clips) != 1
    ]
    problems += [
        f"{name} has {arrays[name].shape[:1]} rows, frame {n}"
        for name in (*_ROWS, *(["features"] if "features" in arrays else []))
        if arrays[name].shape[:1] != n or len(n) != 1
    ]
    if not problems and (
        arrays["detections"].min(initial=0) < 0 or arrays["detections"].sum() != n[0]
    ):
        problems.append(f"detections adds up to {arrays['detections'].sum()}, frame holds {n[0]}")
    return [Problem(problem) for problem in problems]
