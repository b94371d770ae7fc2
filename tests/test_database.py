"""The database: migrations, triggers, concurrent reading, refusals."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from typing import TYPE_CHECKING

import pytest

from mimecurate.errors import NewerDatabaseError, WorkspaceError
from mimecurate.schemas.database import now, open_database, open_database_read_only

if TYPE_CHECKING:
    from pathlib import Path

    from sqlite_utils import Database

APPEND_ONLY = {
    "attempts",
    "annotations",
    "decisions",
    "releases",
    "release_clips",
    "release_classes",
    "release_rows",
    "withdrawals",
    "link_checks",
    "screens",
    "retractions",
    "spendings",
    "searches",
    "finds",
    "manual_finds",
    "rejections",
    "class_maps",
    "release_class_maps",
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mimecurate.db"


def _a_clip_with_an_attempt(db: Database) -> None:
    with db.atomic():
        db.execute("INSERT INTO videos (video_id, url, added_at) VALUES ('v', 'u', ?)", [now()])
        db.execute(
            "INSERT INTO clips (clip_id, video_id, start_ms, end_ms, added_at) "
            "VALUES ('c', 'v', 0, 1000, ?)",
            [now()],
        )
        db.execute(
            "INSERT INTO runs (run_id, command, version, settings, started_at) "
            "VALUES (1, 'fetch', '0', '{}', ?)",
            [now()],
        )
        db.execute(
            "INSERT INTO attempts (attempt_id, run_id, video_id, clip_id, at, status, reason) "
            "VALUES (1, 1, 'v', 'c', ?, 'failed', 'timeout')",
            [now()],
        )


def test_every_table_is_strict_and_foreign_keys_hold(path: Path) -> None:
    db = open_database(path)
    loose = [
        t.name for t in db.tables if not t.name.startswith("_") and "STRICT" not in t.schema.upper()
    ]
    assert loose == []
    with pytest.raises(sqlite3.IntegrityError):
        db.execute(
            "INSERT INTO clips (clip_id, video_id, start_ms, end_ms, added_at) "
            "VALUES ('c', 'nobody', 0, 1, 'x')"
        )
    db.close()


def test_append_only_tables_keep_their_triggers(path: Path) -> None:
    db = open_database(path)
    guarded = {(t.table, t.name.rsplit("_", 1)[1]) for t in db.triggers}
    assert {(t, v) for t in APPEND_ONLY for v in ("update", "delete")} <= guarded
    db.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE attempts SET reason = 'private'",
        "DELETE FROM attempts",
        "INSERT OR REPLACE INTO attempts (attempt_id, run_id, video_id, clip_id, at, status) "
        "VALUES (1, 1, 'v', 'c', 'x', 'fetched')",
    ],
)
def test_history_cannot_be_rewritten(path: Path, statement: str) -> None:
    db = open_database(path)
    _a_clip_with_an_attempt(db)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        db.execute(statement)
    db.close()


def test_status_follows_the_last_attempt_and_the_media(path: Path) -> None:
    db = open_database(path)
    _a_clip_with_an_attempt(db)
    row = next(iter(db.query("SELECT * FROM clip_status")))
    assert (row["status"], row["reason"]) == ("failed", "timeout")
    with db.atomic():
        db.execute(
            "INSERT INTO media VALUES ('c','clips/c/c.mp4','0',1,1000,16,16,30.0,30,'h264',NULL,"
            "'smart',0,NULL,'',x'00','x','x')"
        )
    row = next(iter(db.query("SELECT * FROM clip_status")))
    assert (row["status"], row["reason"]) == ("fetched", None)
    db.close()


def test_a_database_of_a_later_version_is_refused(path: Path) -> None:
    db = open_database(path)
    with db.atomic():
        db.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) "
            "VALUES ('mimecurate', 'm999_future', 'x')"
        )
    db.close()
    for opener in (open_database, open_database_read_only):
        with pytest.raises(NewerDatabaseError, match="m999_future"):
            opener(path)


def test_what_is_no_database_is_named(path: Path) -> None:
    path.write_bytes(b"not a database at all, but long enough to be read as one" * 20)
    for opener in (open_database, open_database_read_only):
        with pytest.raises(WorkspaceError, match=r"mimecurate\.db"):
            opener(path)


def test_readers_do_not_wait_for_a_writer(path: Path) -> None:
    writer = open_database(path)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("INSERT INTO videos (video_id, added_at) VALUES ('v', 'x')")
    seen: list[int] = []

    def read() -> None:
        reader = open_database_read_only(path)
        seen.append(reader.execute("SELECT count(*) FROM videos").fetchone()[0])
        reader.close()

    thread = threading.Thread(target=read)
    thread.start()
    thread.join(5)
    assert seen == [0]
    writer.execute("ROLLBACK")
    writer.close()


def test_a_reader_cannot_write(path: Path) -> None:
    open_database(path).close()
    reader = open_database_read_only(path)
    with pytest.raises(sqlite3.OperationalError):
        reader.execute("INSERT INTO videos (video_id, added_at) VALUES ('v', 'x')")
    reader.close()


def test_what_cannot_be_written_beside_can_be_read(tmp_path: Path) -> None:
    """As on a disk that is mounted for reading: SQLite can't make the file of shared memory."""
    path = tmp_path / "a.db"
    open_database(path).close()
    (tmp_path / "a.db-shm").mkdir()
    with contextlib.closing(open_database_read_only(path)) as reader:
        assert reader.execute("SELECT count(*) FROM clips").fetchone() == (0,)
    with pytest.raises(WorkspaceError, match="has to be one that can be written to"):
        open_database(tmp_path / "none" / "a.db")
