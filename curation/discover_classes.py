"""Which classes a workspace knows: those of its list, of queries, of finds and of wanted clips."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mimecurate.curation.class_list import normal_class_name
from mimecurate.curation.classes import classes_called, find_class, no_class
from mimecurate.errors import MimecurateError

if TYPE_CHECKING:
    from sqlite_utils import Database

_EMPTY = (
    "the workspace knows no class yet: load a list with `mimecurate classes load`, or search with "
    "queries that say their class"
)


def known_class(db: Database, label: str) -> str:
    """Return a class as it is spelt here, given its name or an alias, or as queries spell it.

    Raises:
        MimecurateError: neither the list nor a query, a find or a clip has it; says what is near.
            Or it was split; says into what.
    """
    if _has(db, "query_classes", label):
        return label
    name = normal_class_name(label)
    known = _of_list_and_queries(db)
    if name in known:
        return name
    if name in classes_called(db):
        return find_class(db, name)
    if any(_has(db, table, name) for table in ("manual_finds", "clips")):
        return name
    words = no_class(name, known) if known else f"no class {name[:60]!r}; {_EMPTY}"
    raise MimecurateError(words)


def doubt_of_class(db: Database, label: str) -> str:
    """Say that neither the list nor a query has a class, where some are known; else nothing."""
    known = _of_list_and_queries(db)
    return no_class(label, known) if known and label not in known else ""


def _of_list_and_queries(db: Database) -> list[str]:
    rows = db.execute("SELECT name FROM classes UNION SELECT label FROM query_classes")
    return [name for (name,) in rows]


def _has(db: Database, table: str, label: str) -> bool:
    row = db.execute(f"SELECT 1 FROM {table} WHERE label = ? LIMIT 1", [label]).fetchone()
    return row is not None
