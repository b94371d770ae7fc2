"""The list of classes after each change: what differs, and which one a release was made with."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from mimecurate.curation.classes import OTHER_NAMES, ClassEntry, load_classes
from mimecurate.curation.release_read import find_release
from mimecurate.errors import MimecurateError
from mimecurate.schemas.database import now

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlite_utils import Database

HISTORY_COLUMNS = ("version", "at", "by", "change", "reason", "releases")


@dataclass(frozen=True, slots=True)
class MapDiff:
    """How two lists of classes differ."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[tuple[str, str, object, object], ...]
    """Class, property, before, after."""


def as_document(entries: Iterable[ClassEntry]) -> list[dict[str, Any]]:
    """Write a list as JSON."""
    return [asdict(entry) for entry in sorted(entries, key=lambda e: e.name)]


def from_document(document: Iterable[Mapping[str, Any]]) -> list[ClassEntry]:
    """Read what `as_document` wrote."""
    return [
        ClassEntry(
            str(item["name"]),
            item["definition"],
            item["object_size"],
            item["scene"],
            item["superclass"],
            *(tuple(item.get(kind, ())) for kind in OTHER_NAMES),
        )
        for item in document
    ]


def map_version(db: Database, version: int | None = None) -> list[ClassEntry]:
    """Return the list as it was after a change; None: as it is.

    Raises:
        MimecurateError: there is no such version.
    """
    if version is None:
        return load_classes(db)
    row = db.execute("SELECT map FROM class_maps WHERE version = ?", [version]).fetchone()
    if row is None:
        raise MimecurateError(
            f"no version {version} of the classes; see `mimecurate classes history`"
        )
    return from_document(json.loads(row[0]))


def record_map(db: Database, change: str, *, who: str, reason: str, effects: object) -> int:
    """Keep the list as it is now; call it within the transaction of the change."""
    cursor = db.execute(
        "INSERT INTO class_maps (at, changed_by, change, reason, map, effects) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        [
            now(),
            who,
            change,
            reason,
            _as_json(load_classes(db)),
            json.dumps(effects, ensure_ascii=False),
        ],
    )
    return int(cursor.lastrowid or 0)


def record_found(db: Database, *, who: str) -> None:
    """Keep a list that came about otherwise than by a recorded change; within a transaction."""
    row = db.execute("SELECT map FROM class_maps ORDER BY version DESC LIMIT 1").fetchone()
    entries = load_classes(db)
    if entries if row is None else from_document(json.loads(row[0])) != entries:
        record_map(db, "as it was found", who=who, reason="", effects={})


def _as_json(entries: Iterable[ClassEntry]) -> str:
    return json.dumps(as_document(entries), ensure_ascii=False)


def diff_classes(before: Iterable[ClassEntry], after: Iterable[ClassEntry]) -> MapDiff:
    """Say how two lists differ.

    >>> diff_classes([ClassEntry("a")], [ClassEntry("a", scene=True), ClassEntry("b")])
    MapDiff(added=('b',), removed=(), changed=(('a', 'scene', None, True),))
    """
    old, new = ({e.name: asdict(e) for e in entries} for entries in (before, after))
    changed = tuple(
        (name, key, old[name][key], value)
        for name in sorted(old.keys() & new.keys())
        for key, value in new[name].items()
        if old[name][key] != value
    )
    return MapDiff(
        tuple(sorted(new.keys() - old.keys())), tuple(sorted(old.keys() - new.keys())), changed
    )


def names_of_dropped(db: Database) -> dict[str, frozenset[str]]:
    """Return, of each class that was dropped and not added again, the names that meant it.

    Those are its own, its aliases, and the names of classes that it was a part of.
    """
    dropped: dict[str, frozenset[str]] = {}
    if not db.execute("SELECT 1 FROM class_maps WHERE change LIKE 'drop %' LIMIT 1").fetchone():
        return dropped
    before: list[ClassEntry] = []
    for change, text in db.execute("SELECT change, map FROM class_maps ORDER BY version"):
        entries = from_document(json.loads(text))
        names = {entry.name for entry in entries}
        if str(change).startswith("drop "):
            dropped |= {
                e.name: frozenset({e.name, *e.aliases, *e.split_from})
                for e in before
                if e.name not in names
            }
        for name in names & dropped.keys():
            del dropped[name]
        before = entries
    for (name,) in db.execute("SELECT name FROM classes"):
        dropped.pop(name, None)
    return dropped


def list_changes(db: Database) -> list[tuple[object, ...]]:
    """List every change, oldest first, with the releases that were made with the list it left."""
    return db.execute(
        "SELECT version, at, changed_by, change, reason, coalesce((SELECT "
        "group_concat(name || '@' || releases.version, ', ') FROM release_class_maps "
        "JOIN releases USING (release_id) "
        "WHERE release_class_maps.version = class_maps.version), '') "
        "FROM class_maps ORDER BY version"
    ).fetchall()


def version_of_release(db: Database, reference: str) -> int:
    """Return the version of the list that ``NAME@VERSION`` was made with.

    Raises:
        MimecurateError: there is no such release, or no list was kept with it: it was imported, or
            made while there was none.
    """
    release_id = find_release(db, reference)["release_id"]
    row = db.execute(
        "SELECT version FROM release_class_maps WHERE release_id = ?", [release_id]
    ).fetchone()
    if row is None:
        raise MimecurateError(
            f"{reference} was imported, or made without a list of classes: none was kept with it"
        )
    return int(row[0])
