"""Class lists: the actions that a workspace collects."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from mimecurate.errors import InvalidInputError, Problem
from mimecurate.schemas.release import ObjectSize, ReleasedClass

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from sqlite_utils import Database

COLUMNS = ("name", "object_size", "scene", "definition")
_MAX_NAME = 100
_SCENE = {"": None, "yes": True, "no": False}


def normal_class_name(text: str) -> str:
    """Write a class name as Kinetics spells it: spaces for ``_``, single and trimmed.

    >>> normal_class_name("playing_bass_guitar ")
    'playing bass guitar'
    """
    return " ".join(text.replace("_", " ").split())


def read_class_list(path: Path) -> list[tuple[ReleasedClass, str | None]]:
    """Read a class list: a name per line, or CSV whose header has ``name``.

    Args:
        path: the file, UTF-8.

    Returns:
        Each class with its definition, in the file's order.

    Raises:
        InvalidInputError: every problem found, with line and column.
    """
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise InvalidInputError(str(path), [Problem("not UTF-8", line)]) from error
    except OSError as error:
        raise InvalidInputError(str(path), [Problem(f"can't be read: {error.strerror}")]) from error
    problems: list[Problem] = []
    seen: dict[str, int] = {}
    entries = []
    for line, row in _rows(text):
        name = normal_class_name(row.get("name") or "")
        message = _name_problem(name, seen.get(name))
        size, scene = (row.get(key) or "" for key in ("object_size", "scene"))
        if size and size not in ObjectSize.__members__.values():
            message = f"object_size {size!r} must be one of {', '.join(ObjectSize)}"
        if scene not in _SCENE:
            message = f"scene {scene!r} must be yes or no"
        if message:
            problems.append(Problem(message, line))
            continue
        seen[name] = line
        record = ReleasedClass(name, ObjectSize(size) if size else None, _SCENE[scene])
        entries.append((record, row.get("definition") or None))
    if not entries and not problems:
        problems.append(Problem("names no class"))
    if problems:
        raise InvalidInputError(str(path), problems)
    return entries


def store_classes(db: Database, entries: Iterable[tuple[ReleasedClass, str | None]]) -> None:
    """Add classes to the workspace, or replace what is known of them."""
    with db.atomic():
        for record, definition in entries:
            db.execute(
                "INSERT INTO classes (name, object_size, scene, definition) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (name) DO UPDATE SET object_size = excluded.object_size, "
                "scene = excluded.scene, definition = excluded.definition",
                [record.name, record.object_size, record.scene, definition],
            )


def _name_problem(name: str, earlier_line: int | None) -> str:
    if not name:
        return "the class has no name"
    if len(name) > _MAX_NAME or not name.isprintable():
        return f"class name {name[:40]!r} must be at most {_MAX_NAME} printable characters"
    return f"class {name!r} is already in line {earlier_line}" if earlier_line else ""


def _rows(text: str) -> Iterator[tuple[int, dict[str, str]]]:
    header = [cell.strip().lower() for cell in text.partition("\n")[0].split(",")]
    if "name" not in header:
        for line, name in enumerate(text.splitlines(), 1):
            if name.strip() and not name.startswith("#"):
                yield line, {"name": name}
        return
    reader = csv.reader(io.StringIO(text))
    next(reader)
    for row in reader:
        if any(row):
            cells = [cell.strip() for cell in row]
            yield reader.line_num, dict(zip(header, cells, strict=False))
