"""Filters over the clips of a release that is being made: SQL conditions, and nothing but that."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from mimecurate.errors import MimecurateError

if TYPE_CHECKING:
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


class WhereError(MimecurateError):
    """A condition is not SQL, or reaches for something it may not."""


def open_where(db: Database) -> None:
    """Make the view that conditions are asked of; the stage must be open."""
    db.execute("DROP VIEW IF EXISTS temp.clip")
    db.execute(_VIEW)


def matching(db: Database, where: str) -> str:
    """Check a condition, and return the SELECT of the clip ids that it holds for.

    It may use the columns of `COLUMNS` and SQLite's functions, e.g. ``label = 'archery' AND
    duration_s < 8``; no other table, and nothing that writes.

    Raises:
        WhereError: it can't be used; the message says why.
    """
    query = f"SELECT clip_id FROM temp.clip WHERE ({where}\n)"
    db.conn.set_authorizer(_authorize)
    try:
        db.conn.execute(query + " LIMIT 0").fetchall()
    except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
        raise WhereError(f"condition {where!r}: {error}; columns: {', '.join(COLUMNS)}") from error
    finally:
        db.conn.set_authorizer(None)
    return query


def _authorize(
    action: int, table: str | None, column: str | None, database: str | None, view: str | None
) -> int:
    if action in {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_FUNCTION}:
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_READ and "clip" in {table, view}:
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY
