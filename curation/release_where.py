"""Filters over the clips of a release that is being made: SQL conditions, and nothing but that."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from mimecurate.errors import MimecurateError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlite_utils import Database

COLUMNS = (
    "clip_id",
    "video_id",
    "label",
    "split",
    "start_s",
    "end_s",
    "duration_s",
    "mime_artist",
    "object_relevant",
    "scene_relevant",
    "object_size",
    "scene",
    "source",
    "has_media",
)
"""What a condition may name; flags, `scene` and `has_media` are 'yes' or 'no'."""

_VIEW = """CREATE TEMP VIEW clip AS
    SELECT clip_id, video_id, label, split, start_ms / 1000.0 AS start_s, end_ms / 1000.0 AS end_s,
        (end_ms - start_ms) / 1000.0 AS duration_s, mime_artist, object_relevant, scene_relevant,
        class.object_size, CASE class.scene WHEN 1 THEN 'yes' WHEN 0 THEN 'no' END AS scene,
        place AS source,
        CASE WHEN clip_id IN (SELECT clip_id FROM media) THEN 'yes' ELSE 'no' END AS has_media
    FROM staged LEFT JOIN main.classes AS class ON class.name = staged.label"""


_QUERY = ":query"


class WhereError(MimecurateError):
    """A condition is not SQL, or reaches for something it may not."""


def open_where(db: Database) -> None:
    """Make the view that conditions are asked of; the stage must be open."""
    db.execute("DROP VIEW IF EXISTS temp.clip")
    db.execute(_VIEW)


def keep_matching(db: Database, where: str) -> None:
    """Take off the stage what a condition does not hold for.

    A condition may use the columns of `COLUMNS` and SQLite's functions, e.g. ``label = 'archery'
    AND duration_s < 8``; no other table, and nothing that writes.

    Raises:
        WhereError: it can't be used; the message says why.
    """
    _execute(db, where, f"DELETE FROM staged WHERE clip_id NOT IN ({_QUERY})")


def insert_matching(db: Database, where: str, table: str, value: str) -> None:
    """Insert (clip id, ``value``) into a temporary table for the clips that a condition holds for.

    Raises:
        WhereError: it can't be used; the message says why.
    """
    _execute(db, where, f"INSERT INTO temp.{table} SELECT clip_id, ? FROM ({_QUERY})", [value])


def _execute(db: Database, where: str, statement: str, values: Sequence[str] = ()) -> None:
    query = f"SELECT clip_id FROM temp.clip WHERE ({where}\n)"
    try:
        db.conn.set_authorizer(_authorize)
        try:
            db.conn.execute(query + " LIMIT 0").fetchall()
        finally:
            db.conn.set_authorizer(None)
        db.execute(statement.replace(_QUERY, query), values)
    except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
        raise WhereError(f"condition {where!r}: {error}; columns: {', '.join(COLUMNS)}") from error


def _authorize(
    action: int, table: str | None, column: str | None, database: str | None, view: str | None
) -> int:
    if action == sqlite3.SQLITE_SELECT:
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_FUNCTION and column != "load_extension":
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_READ and "clip" in {table, view}:
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY
