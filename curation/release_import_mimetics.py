"""Read Mimetics v1.0 as its authors publish it: one CSV and two annotation files.

Weinzaepfel and Rogez, "Mimetics: Towards Understanding Human Actions Out of Context", IJCV 2021,
Section 5.1. The files come from https://europe.naverlabs.com/research/computer-vision/mimetics/.
Clips are keyed by (video, start, end): 77 of the 560 videos carry several labels.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mimecurate.curation.class_list import normal_class_name
from mimecurate.curation.release_import_kinetics import read_kinetics
from mimecurate.curation.url_list_lines import read_lines
from mimecurate.errors import InvalidInputError, Problem
from mimecurate.schemas.release import Flag, ObjectSize, ReleasedClass

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from mimecurate.curation.release_import_kinetics import Listed
    from mimecurate.curation.release_problems import Problems

_FILES = {"list": "*.csv", "classes": "*clsannot*.txt", "flags": "*objectsceneannot*.txt"}
_CLASS_COLUMNS = ("label", "object", "scene")
_FLAG_COLUMNS = ("video", "object", "scene", "mime")
_SIZES = {"no": ObjectSize.NONE, **{str(size): size for size in ObjectSize}}
_FLAGS = {str(flag): flag for flag in Flag}
_SCENES = {"yes": True, "no": False}


def mimetics_files(folder: Path) -> dict[str, Path]:
    """Find the three files in the folder.

    Raises:
        InvalidInputError: one is missing, or there are several of a kind.
    """
    found, problems = {}, []
    for kind, pattern in _FILES.items():
        paths = sorted(folder.glob(pattern))
        if len(paths) == 1:
            found[kind] = paths[0]
        else:
            problems.append(Problem(f"needs one file {pattern}, and has {len(paths)}"))
    if problems:
        raise InvalidInputError(str(folder), problems, "give the folder of the official files")
    return found


def read_mimetics(files: Mapping[str, Path], problems: Problems) -> Iterator[Listed]:
    """Read the clips with their flags."""
    flags = dict(_read_flags(files["flags"], problems))
    for place, clip in read_kinetics([files["list"]], problems):
        found = flags.pop(clip.clip_id, None)
        if found is None:
            problems.add(Problem(f"clip {clip.clip_id} has no flags"), file=files["flags"].name)
            continue
        object_relevant, scene_relevant, mime_artist = found
        yield (
            place,
            replace(
                clip,
                mime_artist=mime_artist,
                object_relevant=object_relevant,
                scene_relevant=scene_relevant,
            ),
        )
    for clip_id in flags:
        problems.add(Problem(f"clip {clip_id[:80]!r} is not in the list"), file=files["flags"].name)


def read_mimetics_classes(files: Mapping[str, Path], problems: Problems) -> list[ReleasedClass]:
    """Read the classes with object size and scene, sorted by name."""
    path = files["classes"]
    classes: dict[str, ReleasedClass] = {}
    for line, (label, size, scene) in _read_columns(path, _CLASS_COLUMNS, problems):
        name = normal_class_name(label)
        if name in classes:
            problems.add(Problem(f"class {name!r} is there twice", line), file=path.name)
        elif size not in _SIZES or scene not in _SCENES:
            text = f"{size[:20]!r} and {scene[:20]!r} must be no, small, medium or large; yes or no"
            problems.add(Problem(text, line), file=path.name)
        else:
            classes[name] = ReleasedClass(name, _SIZES[size], _SCENES[scene])
    return sorted(classes.values(), key=lambda c: c.name)


def _read_flags(path: Path, problems: Problems) -> Iterator[tuple[str, list[Flag]]]:
    for line, (video, *words) in _read_columns(path, _FLAG_COLUMNS, problems):
        try:
            yield video.removesuffix(".mp4"), [_FLAGS[word] for word in words]
        except KeyError as error:
            message = f"{str(error.args[0])[:20]!r} must be yes or no"
            problems.add(Problem(message, line), file=path.name)


def _read_columns(
    path: Path, columns: tuple[str, ...], problems: Problems
) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Read blank-padded columns; a line that begins with ``#`` has to name just these."""
    with path.open("rb") as stream:
        for item in read_lines(stream):
            if isinstance(item, Problem):
                problems.add(item, file=path.name)
                continue
            line, text = item
            cells = tuple(text.removeprefix("#").split())
            if text.startswith("#"):
                if cells != columns:
                    message = f"heading must be: #{' '.join(columns)}"
                    problems.add(Problem(message, line), file=path.name)
            elif len(cells) == len(columns):
                yield line, cells
            elif cells:
                message = f"has {len(cells)} columns instead of {len(columns)}"
                problems.add(Problem(message, line), file=path.name)
