"""Whose database it is: by its application id, or, for early ones of ours, by its tables."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from mimecurate.errors import WorkspaceError
from mimecurate.schemas.database import (
    APPLICATION_ID,
    open_database,
    open_database_read_only,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mimecurate.db"


def _execute(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def _application_id(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("PRAGMA application_id").fetchone()[0])


def test_a_new_database_says_whose_it_is(path: Path) -> None:
    open_database(path).close()
    assert _application_id(path) == APPLICATION_ID
    assert path.read_bytes()[68:72] == b"MIME"


def test_an_early_database_of_ours_is_taken_and_stamped(path: Path) -> None:
    open_database(path).close()
    _execute(path, "PRAGMA application_id = 0")
    open_database_read_only(path).close()
    assert _application_id(path) == 0
    open_database(path).close()
    assert _application_id(path) == APPLICATION_ID


@pytest.mark.parametrize(
    ("statements", "said"),
    [
        (("CREATE TABLE photos (a)", "CREATE TABLE tags (a)"), "tables: photos, tags"),
        (("PRAGMA application_id = 7",), "application id 7"),
        (
            ("CREATE TABLE _sqlite_migrations (migration_set, name, applied_at)",),
            "tables: _sqlite_migrations",
        ),
    ],
)
def test_another_program_s_database_is_named_and_left_alone(
    path: Path, statements: tuple[str, ...], said: str
) -> None:
    _execute(path, *statements)
    before = path.read_bytes()
    for opener in (open_database, open_database_read_only):
        with pytest.raises(WorkspaceError, match="another program") as caught:
            opener(path)
        assert said in str(caught.value)
    assert path.read_bytes() == before


@pytest.mark.parametrize("kind", ["no bytes", "no tables"])
def test_an_empty_file_is_made_a_database_but_not_read_as_one(path: Path, kind: str) -> None:
    path.touch()
    if kind == "no tables":
        _execute(path, "CREATE TABLE a (b)", "DROP TABLE a")
    with pytest.raises(WorkspaceError, match="is empty; `mimecurate init`"):
        open_database_read_only(path)
    open_database(path).close()
    open_database_read_only(path).close()


def test_what_is_no_database_is_said_to_be_none(path: Path) -> None:
    path.write_bytes(b"not a database at all, but long enough to be read as one" * 20)
    for opener in (open_database, open_database_read_only):
        with pytest.raises(WorkspaceError, match=r"mimecurate\.db: is no SQLite database"):
            opener(path)
