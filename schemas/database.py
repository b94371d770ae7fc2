"""Open the workspace's SQLite file: one writer, any number of readers, migrations first."""

from __future__ import annotations

import sqlite3
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mimecurate.errors import NewerDatabaseError, WorkspaceError

if TYPE_CHECKING:
    from pathlib import Path

    from sqlite_utils import Database
    from sqlite_utils.migrations import Migrations

BUSY_TIMEOUT_MS = 30_000
APPLICATION_ID = int.from_bytes(b"MIME")
"""In the file's header: what `file` and other tools tell the program by that a database is of."""
_OLDEST_SQLITE = (3, 37, 0)  # STRICT tables


def open_database(path: Path) -> Database:
    """Open the database for reading and writing, creating and migrating it as needed.

    Readers never wait for the writer nor the other way round (write-ahead log); a commit is on the
    disk when it returns (``synchronous = FULL``).

    Raises:
        NewerDatabaseError: a later version of mimecurate made it.
        WorkspaceError: it is no database or another program's, can't be opened, or SQLite is too
            old. The file is as it was then.
    """
    database_class, migrations = _sqlite_utils()
    try:
        db = database_class(path)
        db.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        _refuse_foreign(db, path)
        _refuse_newer(db, path)
        _configure(db)
        if migrations.pending(db):
            migrations.apply(db)
    except sqlite3.DatabaseError as error:
        raise WorkspaceError(_trouble(path, error)) from error
    return db


def open_database_read_only(path: Path) -> Database:
    """Open an existing database for reading alone; never waits for a writer.

    Raises:
        WorkspaceError: it doesn't exist, is no database or another program's, or a migration is
            still to be applied.
    """
    database_class, migrations = _sqlite_utils()
    if not path.is_file():
        raise WorkspaceError(f"{path}: no such database; `mimecurate init` makes one")
    try:
        db = database_class(_connect_read_only(path))
        db.execute("PRAGMA query_only = ON")
        if not _refuse_foreign(db, path):
            raise WorkspaceError(f"{path}: is empty; `mimecurate init` makes a workspace of it")
        _refuse_newer(db, path)
        pending = migrations.pending(db)
    except sqlite3.DatabaseError as error:
        raise WorkspaceError(_trouble(path, error)) from error
    if pending:
        raise WorkspaceError(f"{path}: made by an older mimecurate; any writing command updates it")
    return db


def _connect_read_only(path: Path) -> sqlite3.Connection:
    """Connect, on a disk that can't be written too, where SQLite can't make its ``-shm`` file."""
    uri = f"{path.resolve().as_uri()}?mode=ro"
    connection = sqlite3.connect(uri, uri=True)
    try:
        connection.execute("PRAGMA schema_version")
    except sqlite3.OperationalError as error:
        connection.close()
        log = path.with_name(f"{path.name}-wal")
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_CANTOPEN or log.exists():
            raise
        connection = sqlite3.connect(f"{uri}&immutable=1", uri=True)
    return connection


def now() -> str:
    """Return the time as the database writes it: UTC, ISO 8601, to the second.

    >>> len(now())
    20
    """
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _sqlite_utils() -> tuple[type[Database], Migrations]:
    """Import sqlite-utils without pandas, which it would import only to accept data frames.

    That takes most of a second, in every command, for something that is not used here.
    """
    _check_sqlite()
    is_first = "pandas" not in sys.modules
    if is_first:
        sys.modules["pandas"] = None  # type: ignore[assignment]
    try:
        from sqlite_utils import Database

        from mimecurate.schemas.migrations_discovery import migrations
    finally:
        if is_first:
            del sys.modules["pandas"]
    return Database, migrations


def _trouble(path: Path, error: sqlite3.DatabaseError) -> str:
    if "not a database" in str(error):
        return f"{path}: is no SQLite database, so not a workspace's; choose another folder"
    if "unable to open" in str(error):
        return f"{path}: {error}; its folder has to be one that can be written to"
    return f"{path}: {error}"


def _check_sqlite() -> None:
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise WorkspaceError(
            f"SQLite {sqlite3.sqlite_version} is too old; 3.37 or later is needed (Python's own)"
        )


def _configure(db: Database) -> None:
    if db.execute("PRAGMA application_id").fetchone() != (APPLICATION_ID,):
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA foreign_keys = ON")
    db.execute("PRAGMA recursive_triggers = ON")


def _refuse_foreign(db: Database, path: Path) -> bool:
    """Tell what a database is of by its application id; early ones of ours have none, but tables.

    Returns:
        Whether anything is in it.

    Raises:
        WorkspaceError: another program made it.
    """
    _, migrations = _sqlite_utils()
    (application_id,) = db.execute("PRAGMA application_id").fetchone()
    names = db.table_names()
    is_ours = application_id == APPLICATION_ID or bool(migrations.applied(db))
    if not is_ours and (application_id or names):
        held = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
        raise WorkspaceError(
            f"{path}: an SQLite database of another program (application id {application_id}; "
            f"tables: {held or 'none'}), not a workspace of mimecurate's; choose another folder"
        )
    return bool(names)


def _refuse_newer(db: Database, path: Path) -> None:
    database_class, migrations = _sqlite_utils()
    known = {m.name for m in migrations.pending(database_class(memory=True))}
    unknown = [m.name for m in migrations.applied(db) if m.name not in known]
    if unknown:
        raise NewerDatabaseError(
            f"{path}: made by a later mimecurate (it has {', '.join(unknown)}); "
            "upgrade with: pip install -U mimecurate"
        )
