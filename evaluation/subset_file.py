"""Subsets that a user names in a file: comparisons of fields, and nothing that runs.

TOML (or JSON of the same shape). Each table is a subset; a clip is in it when every line holds:

    [short_mime]
    mime_artist = "yes"
    duration_s = { max = 2 }

    [brass]
    label = ["playing trumpet", "playing saxophone"]

    [not_sport]
    label = { not = ["bowling", "golf driving"] }

A value, a list of values (any of them), ``{ not = … }``, or ``{ min = …, max = … }`` for numbers,
both ends included. Several tables of one name, ``[[name]]``, make an "or".
"""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING, Any

from mimecurate.curation.class_list import normal_class_name
from mimecurate.errors import InvalidInputError, Problem
from mimecurate.schemas.release import Flag, ObjectSize

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from mimecurate.schemas.release import ReleasedClip
    from mimecurate.schemas.subsets import Predicate

Value = str | float | None

FIELDS: Mapping[str, Callable[[ReleasedClip, ObjectSize | None], Value]] = {
    "clip_id": lambda clip, size: clip.clip_id,
    "video_id": lambda clip, size: clip.video_id,
    "label": lambda clip, size: clip.label,
    "split": lambda clip, size: clip.split,
    "mime_artist": lambda clip, size: clip.mime_artist,
    "object_relevant": lambda clip, size: clip.object_relevant,
    "scene_relevant": lambda clip, size: clip.scene_relevant,
    "object_size": lambda clip, size: size,
    "start_s": lambda clip, size: clip.start_ms / 1000,
    "end_s": lambda clip, size: clip.end_ms / 1000,
    "duration_s": lambda clip, size: (clip.end_ms - clip.start_ms) / 1000,
}
"""What can be compared. A flag or size that was never annotated equals nothing."""
_NUMBERS = ("start_s", "end_s", "duration_s")
_WORDS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("mime_artist", "object_relevant", "scene_relevant"), tuple(Flag)),
    "object_size": tuple(ObjectSize),
}
_MAX_NAME = 60
_MAX_NUMBER = 1 << 53

Conditions = list[tuple[str, str, Any]]


def read_subsets(path: Path) -> dict[str, Predicate]:
    """Read the predicates of a subset file.

    Args:
        path: TOML, or JSON.

    Returns:
        A predicate per subset, in the file's order.

    Raises:
        InvalidInputError: every problem found.
    """
    document = _document(path)
    problems: list[str] = []
    subsets: dict[str, Predicate] = {}
    for name, value in document.items():
        tables = value if isinstance(value, list) else [value]
        if not (0 < len(name) <= _MAX_NAME and name.isprintable()):
            problems.append(f"{name[:60]!r} is no name: 1 to {_MAX_NAME} printable characters")
        elif not tables or not all(isinstance(table, dict) and table for table in tables):
            problems.append(f"[{name}] must be a table of comparisons")
        else:
            alternatives = [_conditions(name, table, problems) for table in tables]
            subsets[name] = _any_of(alternatives)
    if not subsets and not problems:
        problems.append("names no subset")
    if problems:
        raise InvalidInputError(
            str(path), [Problem(p) for p in problems], f"Fields: {', '.join(FIELDS)}."
        )
    return subsets


def _document(path: Path) -> dict[str, Any]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
        document = json.loads(text) if text.lstrip().startswith("{") else tomllib.loads(text)
    except OSError as error:
        raise InvalidInputError(str(path), [Problem(f"can't be read: {error.strerror}")]) from error
    except UnicodeDecodeError as error:
        raise InvalidInputError(str(path), [Problem("is not UTF-8")]) from error
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(
            str(path), [Problem(f"is neither TOML nor JSON: {str(error)[:200]}")]
        ) from error
    if not isinstance(document, dict):
        raise InvalidInputError(str(path), [Problem("must be a table of subsets")])
    return document


def _conditions(name: str, table: dict[str, Any], problems: list[str]) -> Conditions:
    """Turn ``field = …`` into ``(field, comparison, operand)``."""
    found: Conditions = []
    for field, wanted in table.items():
        if field not in FIELDS:
            problems.append(f"[{name}] {field[:60]!r} is no field")
        elif isinstance(wanted, dict) and set(wanted) == {"not"} and _are_values(wanted["not"]):
            found.append((field, "not", _values(field, wanted["not"])))
        elif isinstance(wanted, dict) and _is_range(field, wanted):
            found += [(field, end, float(bound)) for end, bound in wanted.items()]
        elif _are_values(wanted):
            found.append((field, "in", _values(field, wanted)))
        else:
            problems.append(
                f"[{name}] {field} must be a value, a list of values, {{ not = … }} or, "
                f"for {', '.join(_NUMBERS)}, {{ min = …, max = … }}"
            )
        words = _WORDS.get(field)
        for operand in (one[2] for one in found if words and one[0] == field):
            wrong = sorted(map(repr, operand - set(words or ())))
            if wrong:
                problems.append(
                    f"[{name}] {field} is never {wrong[0][:60]}; it is {', '.join(words or ())}"
                )
    return found


def _is_value(value: Any) -> bool:
    if isinstance(value, int) and abs(value) > _MAX_NUMBER:
        return False
    return isinstance(value, (str, int, float)) and not isinstance(value, bool)


def _are_values(value: Any) -> bool:
    return _is_value(value) or (
        isinstance(value, list) and bool(value) and all(map(_is_value, value))
    )


def _values(field: str, value: Any) -> frozenset[str | float]:
    values = value if isinstance(value, list) else [value]
    return (
        frozenset(normal_class_name(str(v)) for v in values)
        if field == "label"
        else frozenset(values)
    )


def _is_range(field: str, wanted: dict[str, Any]) -> bool:
    numbers = all(_is_value(v) and not isinstance(v, str) for v in wanted.values())
    return field in _NUMBERS and bool(wanted) and set(wanted) <= {"min", "max"} and numbers


def _holds(value: Value, comparison: str, operand: Any) -> bool:
    if value is None:
        return False
    if comparison == "in":
        return value in operand
    if comparison == "not":
        return value not in operand
    assert isinstance(value, float)
    return bool(value >= operand if comparison == "min" else value <= operand)


def _any_of(alternatives: list[Conditions]) -> Predicate:
    def predicate(clip: ReleasedClip, size: ObjectSize | None) -> bool:
        return any(
            all(_holds(FIELDS[field](clip, size), how, operand) for field, how, operand in one)
            for one in alternatives
        )

    return predicate
