"""Frozen releases: the digest, the triggers, and what no program can change any more."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from release_lists import CLASSES, CLIPS, NO, YES, clip, release

from mimecurate.curation.release_freeze import ReleaseExistsError, is_frozen, staged_digest
from mimecurate.curation.release_read import load_release
from mimecurate.curation.release_stage import (
    open_stage,
    stage_classes,
    stage_clip,
    stage_release,
    writing,
)
from mimecurate.curation.workspace import Workspace, open_workspace
from mimecurate.schemas.database import open_database
from mimecurate.schemas.digest import release_digest, row_hash
from mimecurate.schemas.migrations_discovery import migrations

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mimecurate.schemas.release import ReleasedClip

FROZEN = {
    "annotations": {"update", "delete", "replace"},
    "decisions": {"update", "delete", "replace"},
    "releases": {"update", "delete", "replace", "second"},
    "release_clips": {"update", "delete", "insert"},
    "release_classes": {"update", "delete", "insert"},
    "release_rows": {"update", "delete", "replace"},
    "withdrawals": {"update", "delete", "replace"},
    "link_checks": {"update", "delete", "replace"},
    "attempts": {"update", "delete"},
    "screens": {"update", "delete", "replace"},
    "retractions": {"update", "delete", "replace"},
}
DIGEST = "cb9ec2fc4599747478ce4e313846b20c52034e0ecca6fd99226b4312572f9eeb"


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with open_workspace(tmp_path / "ws") as opened:
        yield opened


def test_after_every_migration_the_guards_stand(tmp_path: Path) -> None:
    """`table.transform()` drops triggers without a word: each step must leave all of them."""
    from sqlite_utils import Database

    names = [m.name for m in migrations.pending(Database(memory=True))]
    db = Database(tmp_path / "a.db")
    for following in [*names[1:], None]:
        migrations.apply(db, stop_before=following)
        tables = {table.name for table in db.tables}
        guards: dict[str, set[str]] = {}
        for trigger in (t for t in db.triggers if t.table in FROZEN and "_no_" in t.name):
            guards.setdefault(trigger.table, set()).add(trigger.name.rpartition("_no_")[2])
        assert guards == {table: kinds for table, kinds in FROZEN.items() if table in tables}
    db.close()


def _frozen_rows(workspace: Workspace) -> dict[str, list[object]]:
    """Put a row into every guarded table, and return what they all hold."""
    db = workspace.db
    for statement in (
        "INSERT INTO annotations (annotation_id, clip_id, annotator, at) "
        "SELECT 1, clip_id, 'ann', 'x' FROM clips LIMIT 1",
        "INSERT INTO decisions (decision_id, clip_id, verdict, method, decided_by, decided_at) "
        "SELECT 1, clip_id, 'yes', 'rule', 'ann', 'x' FROM clips LIMIT 1",
        "INSERT INTO retractions VALUES (1, 'ann', 'x', 'a slip')",
        "INSERT INTO screens VALUES ('s', '<View/>', 'x')",
        "INSERT INTO withdrawals VALUES ('gone', 'x', 'asked', 'ann')",
        "INSERT INTO link_checks SELECT 1, video_id, 'x', 'ok', NULL, NULL FROM videos LIMIT 1",
    ):
        db.execute(statement)
    return _contents(db.conn)


def _contents(conn: sqlite3.Connection) -> dict[str, list[object]]:
    return {table: conn.execute(f"SELECT * FROM {table}").fetchall() for table in FROZEN}


@pytest.mark.parametrize("table", sorted(set(FROZEN) - {"attempts"}))
@pytest.mark.parametrize("careless", [False, True], ids=["ours", "any-program"])
def test_no_statement_changes_a_frozen_row(
    workspace: Workspace, table: str, careless: bool
) -> None:
    release(workspace.db, "m@1.0.0")
    before = _frozen_rows(workspace)
    conn = workspace.db.conn
    if careless:  # as any program that doesn't set recursive_triggers
        conn = sqlite3.connect(workspace.root / "mimecurate.db")
    columns = [row[1] for row in conn.execute(f"PRAGMA table_info({table})")]
    for statement in (
        f"UPDATE {table} SET {columns[-1]} = {columns[-1]}",
        f"DELETE FROM {table}",
        f"INSERT OR REPLACE INTO {table} SELECT * FROM {table}",
        f"REPLACE INTO {table} SELECT * FROM {table}",
        f"UPDATE OR REPLACE {table} SET {columns[0]} = {columns[0]}",
    ):
        with pytest.raises(sqlite3.IntegrityError, match=r"append-only|frozen"):
            conn.execute(statement)
    conn.rollback()
    assert _contents(conn) == before


def test_nothing_is_added_to_a_frozen_release(workspace: Workspace) -> None:
    release(workspace.db, "m@1.0.0")
    with pytest.raises(sqlite3.IntegrityError, match="the release is frozen"):
        workspace.db.execute("INSERT INTO release_clips VALUES (1, 'x', zeroblob(32), 'test')")
    with pytest.raises(sqlite3.IntegrityError, match="the release is frozen"):
        workspace.db.execute("INSERT INTO release_classes VALUES (1, 'x', NULL, NULL)")


def test_a_second_release_cannot_take_a_name_and_version(workspace: Workspace) -> None:
    release(workspace.db, "m@1.0.0")
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        workspace.db.execute(
            "INSERT OR REPLACE INTO releases SELECT 2, name, version, major, minor, patch, digest, "
            "parent, created_at, origin, settings, findings, changes, counts, card, made_by "
            "FROM releases"
        )
    open_stage(workspace.db)
    from mimecurate.curation.release_freeze import Header
    from mimecurate.schemas.versions import Version

    header = Header("m", Version(1, 0, 0), "x", "test")
    with pytest.raises(ReleaseExistsError, match="choose another version"):
        is_frozen(workspace.db, header, "0" * 64)


def test_rows_of_an_unwritten_release_do_not_stay(workspace: Workspace) -> None:
    db = workspace.db
    with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"), writing(db):
        db.execute("INSERT INTO release_clips VALUES (7, 'x', zeroblob(32), 'test')")
    assert db.execute("SELECT count(*) FROM release_clips").fetchone() == (0,)


def test_what_two_releases_share_is_stored_once(workspace: Workspace) -> None:
    release(workspace.db, "m@1.0.0")
    release(workspace.db, "m@1.1.0", [*CLIPS, clip("vid-0000009", 3, 5)])
    release(workspace.db, "m@2.0.0", [replace(c, split="train") for c in CLIPS])
    counted = "SELECT (SELECT count(*) FROM release_rows), (SELECT count(*) FROM release_clips)"
    assert workspace.db.execute(counted).fetchone() == (5, 4 + 5 + 4)


def test_the_digest_is_the_same_whatever_the_order_or_the_machine(tmp_path: Path) -> None:
    digests = set()
    for number, clips in enumerate([CLIPS, CLIPS[::-1]]):
        with open_workspace(tmp_path / str(number)) as opened:
            digests.add(release(opened.db, "m@1.0.0", clips))
            digests.add(release(opened.db, "other@3.1.4", clips))
            loaded = load_release("m@1.0.0", opened.root)
    entries = sorted((c.clip_id, row_hash(c), c.split) for c in loaded.clips)
    digests.add(release_digest(CLASSES, entries))
    assert digests == {DIGEST}


def test_the_digest_is_what_the_documentation_says() -> None:
    def line(*fields: object) -> bytes:
        return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()

    lines = [line("mimecurate release", 1)]
    lines += [line("class", c.name, c.object_size, c.scene) for c in CLASSES]
    for c in sorted(CLIPS, key=lambda c: c.clip_id):
        flags = c.mime_artist, c.object_relevant, c.scene_relevant
        row = line(c.clip_id, c.video_id, c.start_ms, c.end_ms, c.label, *flags)
        lines.append(line("clip", c.clip_id, hashlib.sha256(row).hexdigest(), c.split))
    assert hashlib.sha256(b"".join(text + b"\n" for text in lines)).hexdigest() == DIGEST


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(replace(CLIPS[0], label="drinking"), id="label"),
        pytest.param(replace(CLIPS[0], split="train"), id="split"),
        pytest.param(replace(CLIPS[0], mime_artist=NO), id="mime_artist"),
        pytest.param(replace(CLIPS[0], object_relevant=YES), id="object_relevant"),
        pytest.param(replace(CLIPS[0], scene_relevant=None), id="scene_relevant"),
        pytest.param(clip(start_s=1.5), id="trim"),
    ],
)
def test_every_field_is_in_the_digest(tmp_path: Path, changed: ReleasedClip) -> None:
    db = open_database(tmp_path / "a.db")
    assert release(db, "m@1.0.0") != release(db, "m@2.0.0", [changed, *CLIPS[1:]])
    db.close()


def test_the_link_is_not_in_the_digest(tmp_path: Path) -> None:
    db = open_database(tmp_path / "a.db")
    moved = [replace(c, url="https://example.org/moved") for c in CLIPS]
    assert release(db, "m@1.0.0") == release(db, "m@1.0.1", moved)
    db.close()


def test_classes_are_in_the_digest(tmp_path: Path) -> None:
    db = open_database(tmp_path / "a.db")
    other = (replace(CLASSES[0], scene=None), *CLASSES[1:])
    assert release(db, "m@1.0.0") != release(db, "m@2.0.0", classes=other)
    db.close()


def test_staging_a_release_gives_its_digest(workspace: Workspace) -> None:
    digest = release(workspace.db, "m@1.0.0")
    open_stage(workspace.db)
    stage_release(workspace.db, 1)
    assert staged_digest(workspace.db) == digest


def test_contradicting_clips_are_told(workspace: Workspace) -> None:
    open_stage(workspace.db)
    stage_classes(workspace.db, CLASSES)
    assert stage_clip(workspace.db, CLIPS[0], "line 2") is None
    assert stage_clip(workspace.db, CLIPS[0], "line 3") is None
    told = stage_clip(workspace.db, replace(CLIPS[0], label="drinking"), "line 4")
    assert told is not None
    assert "'archery' in line 2" in told


@given(
    first=st.tuples(st.text(max_size=5), st.text(max_size=5)),
    second=st.tuples(st.text(max_size=5), st.text(max_size=5)),
)
def test_no_two_rows_have_one_hash(first: tuple[str, str], second: tuple[str, str]) -> None:
    """Quoting keeps fields apart: ('a,b', 'c') and ('a', 'b,c') differ."""
    one, other = (
        row_hash(replace(CLIPS[0], video_id=video, label=label)) if _encodes(video + label) else b""
        for video, label in (first, second)
    )
    assert (one == other) == (first == second) or not one or not other


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def test_unsorted_entries_are_refused() -> None:
    entries = [("b", b"", "test"), ("a", b"", "test")]
    with pytest.raises(ValueError, match="clip 'a' is not after 'b'"):
        release_digest([], entries)
    with pytest.raises(ValueError, match="class 'archery' is not after 'archery'"):
        release_digest([CLASSES[0], CLASSES[0]], [])
