"""The clips of a release that is being made, in temporary tables of the connection.

Whatever a release is made from (a file, decisions, another release) is staged first, checked
there, and then frozen in one transaction. The tables hold a million clips without holding them in
memory, and vanish with the process.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from mimecurate.schemas.digest import hash_fields, row_hash
from mimecurate.schemas.ids import clip_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sqlite_utils import Database

    from mimecurate.schemas.release import ReleasedClass, ReleasedClip

_CACHE_KIB = 131_072
_STAGE = """CREATE TEMP TABLE staged (
    clip_id TEXT PRIMARY KEY,
    row_hash BLOB NOT NULL,
    split TEXT,
    video_id TEXT,
    start_ms INTEGER,
    end_ms INTEGER,
    label TEXT,
    mime_artist TEXT,
    object_relevant TEXT,
    scene_relevant TEXT,
    url TEXT,
    place TEXT
) WITHOUT ROWID"""
_INSERT = f"INSERT INTO staged VALUES ({', '.join('?' * 12)}) ON CONFLICT DO NOTHING"


@contextlib.contextmanager
def writing(db: Database) -> Iterator[None]:
    """Run a transaction that holds the write lock from its start, so that it can't lose a race."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        db.rollback()
        raise


def open_stage(db: Database) -> None:
    """Make the stage empty, and give SQL the functions ``row_hash`` and ``make_clip_id``."""
    db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    db.execute("DROP TABLE IF EXISTS temp.staged")
    db.execute("DROP TABLE IF EXISTS temp.staged_classes")
    db.execute(_STAGE)
    db.execute(
        "CREATE TEMP TABLE staged_classes "
        "(name TEXT PRIMARY KEY, object_size TEXT, scene INTEGER) WITHOUT ROWID"
    )
    db.conn.create_function("row_hash", 8, hash_fields, deterministic=True)
    db.conn.create_function("make_clip_id", 3, clip_id, deterministic=True)


def close_stage(db: Database) -> None:
    """Drop the stage's tables."""
    db.execute("DROP TABLE IF EXISTS temp.staged")
    db.execute("DROP TABLE IF EXISTS temp.staged_classes")


def stage_clip(db: Database, clip: ReleasedClip, place: str = "") -> str | None:
    """Stage a clip, unless one with its id is there.

    Args:
        db: the connection whose stage is open.
        clip: the clip.
        place: where it was read, for messages about another of the same id.

    Returns:
        None, or what the clip contradicts: a staged clip with its id and other contents.
    """
    hashed = row_hash(clip)
    fields = (clip.clip_id, hashed, clip.split, clip.video_id, clip.start_ms, clip.end_ms)
    flags = (clip.mime_artist, clip.object_relevant, clip.scene_relevant)
    cursor = db.conn.execute(_INSERT, (*fields, clip.label, *flags, clip.url, place))
    if cursor.rowcount == 1:
        return None
    return _contradiction(db, clip.clip_id, hashed, clip.split)


def stage_withheld(db: Database, clip_id: str, hashed: bytes, split: str) -> bool:
    """Stage a clip of which only the hash is known; say whether none with its id was there."""
    return db.conn.execute(_INSERT, (clip_id, hashed, split, *(None,) * 9)).rowcount == 1


def stage_classes(db: Database, classes: Iterable[ReleasedClass]) -> None:
    """Stage the classes of the release; a class that is there is left as it is."""
    db.conn.executemany(
        "INSERT INTO staged_classes VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        ((c.name, c.object_size, c.scene) for c in classes),
    )


_LISTED = """SELECT listed.clip_id, listed.row_hash, split, video_id, start_ms, end_ms, label,
        mime_artist, object_relevant, scene_relevant, url, ''
    FROM release_clips AS listed
    LEFT JOIN release_rows AS row
        ON row.clip_id = listed.clip_id AND row.row_hash = listed.row_hash
    LEFT JOIN videos USING (video_id)
    WHERE release_id = ? ORDER BY listed.clip_id"""
_CLASSES = "SELECT name, object_size, scene FROM release_classes WHERE release_id = ?"


def stage_release(db: Database, release_id: int) -> None:
    """Stage what a release of this workspace lists, classes included."""
    db.execute(f"INSERT INTO staged {_LISTED}", [release_id])
    db.execute(f"INSERT INTO staged_classes {_CLASSES}", [release_id])


def copy_release(source: Database, release_id: int, db: Database) -> None:
    """Stage in ``db`` what a release of another database lists."""
    with db.atomic():
        db.conn.executemany(_INSERT, source.conn.execute(_LISTED, (release_id,)))
        db.conn.executemany(
            "INSERT INTO staged_classes VALUES (?, ?, ?)",
            source.conn.execute(_CLASSES, (release_id,)),
        )


def _contradiction(db: Database, clip_id: str, hashed: bytes, split: str) -> str | None:
    there_hash, there_split, label, place = db.conn.execute(
        "SELECT row_hash, split, label, place FROM staged WHERE clip_id = ?", (clip_id,)
    ).fetchone()
    if there_split != split:
        return f"clip {clip_id} is in two splits: {there_split} ({place}) and {split}"
    if there_hash != hashed:
        return f"clip {clip_id} is listed twice with different contents: {label!r} in {place}"
    return None
