"""Open the workspace's SQLite file: one writer, any number of readers, migrations first."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mimecurate.errors import NewerDatabaseError, WorkspaceError

if TYPE_CHECKING:
    from pathlib import Path

    from sqlite_utils import Database

BUSY_TIMEOUT_MS = 30_000
_OLDEST_SQLITE = (3, 37, 0)  # STRICT tables


def open_database(path: Path) -> Database:
    """Open the database for reading and writing, creating and migrating it as needed.

    Readers never wait for the writer nor the other way round (write-ahead log); a commit is on the
    disk when it returns (``synchronous = FULL``).

    Raises:
        NewerDatabaseError: a later version of mimecurate made it.
        WorkspaceError: it is no database, can't be opened, or SQLite is too old.
    """
    from sqlite_utils import Database

    from mimecurate.schemas.migrations import migrations

    _check_sqlite()
    try:
        db = Database(path)
        _configure(db)
        _refuse_newer(db, path)
        if migrations.pending(db):
            migrations.apply(db)
    except sqlite3.DatabaseError as error:
        raise WorkspaceError(f"{path}: {error}; is it a mimecurate database?") from error
    return db


def open_database_read_only(path: Path) -> Database:
    """Open an existing database for reading alone; never waits for a writer.

    Raises:
        WorkspaceError: it doesn't exist, is no database, or a migration is still to be applied.
    """
    from sqlite_utils import Database

    from mimecurate.schemas.migrations import migrations

    _check_sqlite()
    if not path.is_file():
        raise WorkspaceError(f"{path}: no such database; `mimecurate init` makes one")
    try:
        db = Database(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True))
        db.execute("PRAGMA query_only = ON")
        _refuse_newer(db, path)
        pending = migrations.pending(db)
    except sqlite3.DatabaseError as error:
        raise WorkspaceError(f"{path}: {error}; is it a mimecurate database?") from error
    if pending:
        raise WorkspaceError(f"{path}: made by an older mimecurate; any writing command updates it")
    return db


def now() -> str:
    """Return the time as the database writes it: UTC, ISO 8601, to the second.

    >>> len(now())
    20
    """
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _check_sqlite() -> None:
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise WorkspaceError(
            f"SQLite {sqlite3.sqlite_version} is too old; 3.37 or later is needed (Python's own)"
        )


def _configure(db: Database) -> None:
    db.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA foreign_keys = ON")
    db.execute("PRAGMA recursive_triggers = ON")


def _refuse_newer(db: Database, path: Path) -> None:
    from sqlite_utils import Database

    from mimecurate.schemas.migrations import migrations

    known = {m.name for m in migrations.pending(Database(memory=True))}
    unknown = [m.name for m in migrations.applied(db) if m.name not in known]
    if unknown:
        raise NewerDatabaseError(
            f"{path}: made by a later mimecurate (it has {', '.join(unknown)}); "
            "upgrade with: pip install -U mimecurate"
        )
