"""Read the JSON of an exported release, and trust nothing in it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from mimecurate.errors import Problem
from mimecurate.schemas.versions import parse_version

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mimecurate.curation.release_bundle_files import BundleFiles
    from mimecurate.curation.release_problems import Problems

_MAX_BYTES = 16 << 20
_MAX_NUMBER = 1 << 53
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}:\d{2}Z)?", re.ASCII)
_DIGEST = re.compile(r"[0-9a-f]{64}")
_COUNTED = ("annotations", "annotators", "clips_annotated", "clips_fetched", "clips_failed")
_SECONDS = ("shortest", "mean", "longest", "total")


def read_json(bundle: BundleFiles, name: str, problems: Problems) -> object:
    """Read a JSON file of at most 16 MiB; None if it is of no use.

    An object with one key twice is of no use: another reader would take the other value.
    """
    if bundle.sizes[name] > _MAX_BYTES:
        problems.add(Problem(f"is over {_MAX_BYTES >> 20} MiB"), file=name)
        return None
    with bundle.open(name) as stream:
        raw = stream.read(_MAX_BYTES + 1)
    try:
        document: object = json.loads(raw.decode(), object_pairs_hook=_without_doubles)
        json.dumps(document, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        problems.add(Problem(f"not JSON: {error.msg}", error.lineno, error.colno), file=name)
    except UnicodeEncodeError:
        problems.add(Problem("not usable JSON: half of a surrogate pair in a text"), file=name)
    except (ValueError, RecursionError) as error:
        problems.add(Problem(f"not usable JSON: {str(error)[:120]}"), file=name)
    else:
        return document
    return None


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"key {twice[:40]!r} is there twice")
    return document


def line_of(fields: Mapping[str, Any], key: str, most: int = 100) -> str:
    """Return a text of one printable line.

    Raises:
        KeyError: it isn't there.
        TypeError: it is no such text.
    """
    value = fields[key]
    if not isinstance(value, str):
        raise TypeError(f"{key} must be a string")
    if len(value) > most or not value.isprintable():
        raise TypeError(f"{key} {value[:40]!r} must be at most {most} printable characters")
    return value


def time_of(fields: Mapping[str, Any], key: str) -> str:
    """Return a time as the database writes it, or a date.

    Raises:
        KeyError: it isn't there.
        TypeError: it is no time.
    """
    value = line_of(fields, key)
    if _TIME.fullmatch(value) is None:
        raise TypeError(f"{key} {value[:40]!r} must be a time such as 2026-01-31T12:00:00Z")
    return value


def digest_of(fields: Mapping[str, Any], key: str = "digest") -> str:
    """Return a SHA-256.

    Raises:
        KeyError: it isn't there.
        TypeError: it is none.
    """
    value = line_of(fields, key)
    if _DIGEST.fullmatch(value) is None:
        raise TypeError(f"{key} {value[:80]!r} must be 64 hexadecimal digits")
    return value


def objects_of(entries: object, key: str) -> list[dict[str, Any]]:
    """Return a list of objects.

    Raises:
        TypeError: it is something else.
    """
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise TypeError(f"{key} must be a list of objects")
    return entries


def counts_of(value: object, key: str) -> dict[str, int]:
    """Return an object that holds whole numbers.

    Raises:
        TypeError: it is something else.
    """
    if not isinstance(value, dict):
        raise TypeError(f"{key} must be an object")
    for name, number in value.items():
        if type(number) is not int or not 0 <= number < _MAX_NUMBER or not name.isprintable():
            raise TypeError(f"{key} must hold whole numbers; {name[:40]!r} does not")
    return value


def checked_history(entries: object) -> Sequence[Mapping[str, Any]]:
    """Return the versions up to this one.

    Raises:
        KeyError: an entry lacks something.
        TypeError: an entry holds something else than it should.
        ValueError: a version is none.
    """
    return [
        {
            "version": str(parse_version(line_of(entry, "version"))),
            "created": time_of(entry, "created"),
            "origin": line_of(entry, "origin", 200),
            "digest": digest_of(entry),
            "changes": counts_of(entry["changes"], "changes"),
            "clips": counts_of({"clips": entry["clips"]}, "history")["clips"],
        }
        for entry in objects_of(entries, "history")
    ]


def checked_facts(value: object) -> dict[str, Any]:
    """Return what is known of how a release came about; what is not said is 0 or None.

    Raises:
        TypeError: it holds something else than it should.
    """
    if not isinstance(value, dict):
        raise TypeError("facts must be an object")
    seconds = value.get("seconds", {})
    if not isinstance(seconds, dict):
        raise TypeError("seconds must be an object")
    for key in _SECONDS:
        if not _is_length(seconds.get(key)):
            raise TypeError(f"seconds: {key} must be a number of seconds")
    checked = value.get("links_last_checked")
    return {
        **counts_of({key: value.get(key, 0) for key in _COUNTED}, "facts"),
        "links_last_checked": None if checked is None else time_of(value, "links_last_checked"),
        "decisions": counts_of(value.get("decisions", {}), "decisions"),
        "seconds": {key: seconds.get(key) for key in _SECONDS},
    }


def _is_length(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value is None
    return 0 <= value < _MAX_NUMBER
