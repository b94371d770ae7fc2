"""Takedowns: what is gone, what stays, and that old digests still verify."""

from __future__ import annotations

import contextlib
import random
import sqlite3
from typing import TYPE_CHECKING

import pytest
from release_lists import CLIPS, clip, decide, know, release

from mimecurate.curation.release_compare import compare_releases
from mimecurate.curation.release_create import Recipe, create_release
from mimecurate.curation.release_freeze import staged_digest
from mimecurate.curation.release_purges import finish_purges
from mimecurate.curation.release_read import (
    NoSuchReleaseError,
    find_release,
    load_release,
    show_release,
)
from mimecurate.curation.release_stage import open_stage, stage_release
from mimecurate.curation.release_withdraw import withdraw
from mimecurate.curation.workspace import Workspace, open_workspace
from mimecurate.errors import InvalidInputError
from mimecurate.schemas.versions import Version

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VIDEO = "vid-0000001"
SECRETS = (f"watch?v={VIDEO}".encode(), f"The title of {VIDEO}".encode())


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with open_workspace(tmp_path / "ws") as opened:
        for one in CLIPS:
            know(opened.db, one)
            media = opened.clips_dir / one.clip_id[:2] / f"{one.clip_id}.mp4"
            media.parent.mkdir(exist_ok=True)
            media.write_bytes(b"media of " + one.clip_id.encode())
        release(opened.db, "m@1.0.0")
        release(opened.db, "m@1.1.0", [*CLIPS, clip("vid-0000009")])
        yield opened


def _media(workspace: Workspace) -> set[str]:
    return {path.stem for path in workspace.clips_dir.rglob("*.mp4")}


def test_a_video_is_taken_down(workspace: Workspace) -> None:
    before = {ref: load_release(ref, workspace.root).digest for ref in ("m@1.0.0", "m@1.1.0")}
    done = withdraw(workspace, "m", "asked by the owner", video_ids=[VIDEO], decided_by="ann")
    assert (done.reference, done.clips, done.files_removed) == ("m@2.0.0", 2, 2)
    gone = {CLIPS[0].clip_id, CLIPS[1].clip_id}
    now = load_release("m@2.0.0", workspace.root)
    assert now.parent == "m@1.1.0"
    assert {c.clip_id for c in now.clips}.isdisjoint(gone)
    assert now.withheld == {}
    assert [c.name for c in now.classes] == ["archery", "drinking", "punching person (boxing)"]
    for ref, digest in before.items():
        old = load_release(ref, workspace.root)
        assert (old.digest, old.status) == (digest, "withheld")
        assert old.withheld == dict.fromkeys(gone, "asked by the owner")
        assert not gone & {c.clip_id for c in old.clips}
        row = find_release(workspace.db, ref)
        open_stage(workspace.db)
        stage_release(workspace.db, row["release_id"])
        assert staged_digest(workspace.db) == digest
        assert show_release(workspace.db, row)["withheld"] == 2
    assert _media(workspace) == {CLIPS[2].clip_id, CLIPS[3].clip_id}
    assert workspace.db.execute(
        "SELECT url, title FROM videos WHERE video_id = ?", [VIDEO]
    ).fetchone() == (None, None)


def test_nothing_of_it_is_left_in_the_files(workspace: Workspace) -> None:
    files = list(workspace.root.glob("mimecurate.db*"))
    assert all(any(secret in path.read_bytes() for path in files) for secret in SECRETS)
    withdraw(workspace, "m", "asked", video_ids=[VIDEO])
    for path in workspace.root.glob("mimecurate.db*"):
        assert not any(secret in path.read_bytes() for secret in SECRETS), path


def test_nothing_is_left_where_rows_moved_between_pages(workspace: Workspace) -> None:
    db, ids = workspace.db, [f"video-{n:05d}" for n in range(1500)]
    db.execute("PRAGMA secure_delete = OFF")
    random.seed(1)
    with db.atomic():
        for video in ids:
            know(db, clip(video), fetched=False)
    for _ in range(2):
        with db.atomic():
            for video in random.sample(ids, len(ids)):
                title = f"secret of {video} " + "." * random.randrange(200)
                db.execute("UPDATE videos SET title = ? WHERE video_id = ?", [title, video])
    gone = ids[::2]
    withdraw(workspace, "m", "asked", video_ids=gone)
    for path in workspace.root.glob("mimecurate.db*"):
        left = path.read_bytes()
        assert not [video for video in gone if f"secret of {video} ".encode() in left], path


def test_a_reader_that_keeps_traces_in_the_log_is_told_of(workspace: Workspace) -> None:
    workspace.db.execute("PRAGMA busy_timeout = 100")
    with contextlib.closing(sqlite3.connect(workspace.root / "mimecurate.db")) as reader:
        reader.execute("BEGIN").execute("SELECT count(*) FROM videos").fetchone()
        done = withdraw(workspace, "m", "asked", video_ids=[VIDEO])
    assert (done.clips, done.traces) == (2, "another program is reading it")
    assert withdraw(workspace, "m", "asked", video_ids=[VIDEO]).traces == ""


@pytest.mark.parametrize("reason", ["", "two\nlines", "x" * 501, "\x1b[2J"])
def test_reasons_that_cannot_be_published(workspace: Workspace, reason: str) -> None:
    with pytest.raises(ValueError, match="must be one line of 1 to 500 printable characters"):
        withdraw(workspace, "m", reason, video_ids=[VIDEO])
    assert len(_media(workspace)) == 4


def test_one_clip_leaves_the_video_of_the_others(workspace: Workspace) -> None:
    done = withdraw(workspace, "m", "asked", clip_ids=[CLIPS[0].clip_id])
    assert (done.reference, done.clips, done.files_removed) == ("m@2.0.0", 1, 1)
    assert CLIPS[1].clip_id in _media(workspace)
    url = workspace.db.execute("SELECT url FROM videos WHERE video_id = ?", [VIDEO]).fetchone()
    assert url == (CLIPS[0].url,)


def test_doing_it_again_changes_nothing(workspace: Workspace) -> None:
    withdraw(workspace, "m", "asked", video_ids=[VIDEO])
    again = withdraw(workspace, "m", "asked again", video_ids=[VIDEO])
    assert (again.reference, again.clips, again.files_removed) == (None, 0, 0)
    assert workspace.db.execute("SELECT count(*) FROM releases").fetchone() == (3,)
    reasons = workspace.db.execute("SELECT DISTINCT reason FROM withdrawals").fetchall()
    assert reasons == [("asked",)]


def test_media_that_a_killed_run_left_are_removed(workspace: Workspace) -> None:
    clip_id = CLIPS[3].clip_id
    workspace.db.execute("INSERT INTO withdrawals VALUES (?, 'x', 'y', '')", [clip_id])
    path = f"clips/{clip_id[:2]}/{clip_id}.mp4"
    workspace.db.execute("INSERT INTO purges VALUES (?, ?)", [path, clip_id])
    assert finish_purges(workspace) == 1
    assert clip_id not in _media(workspace)
    assert finish_purges(workspace) == 0


def test_a_withdrawn_clip_cannot_be_released_again(workspace: Workspace) -> None:
    withdraw(workspace, "m", "asked", clip_ids=[CLIPS[0].clip_id])
    decide(workspace.db, CLIPS[0])
    decide(workspace.db, clip("vid-0000010"))
    create_release(
        workspace, "m", Version(2, 1, 0), Recipe(), allow=["missing-flags", "unverified-media"]
    )
    made = load_release("m@2.1.0", workspace.root)
    assert CLIPS[0].clip_id not in {c.clip_id for c in made.clips}
    release(workspace.db, "other@1.0.0")
    assert set(load_release("other@1.0.0", workspace.root).withheld) == {CLIPS[0].clip_id}


def test_other_releases_that_list_it_are_named(workspace: Workspace) -> None:
    release(workspace.db, "k@4.0.0")
    release(workspace.db, "n@1.0.0")
    release(workspace.db, "n@2.0.0", CLIPS[1:])
    done = withdraw(workspace, "m", "asked", clip_ids=[CLIPS[0].clip_id])
    assert done.also_listed_by == ("k@4.0.0",)
    assert withdraw(workspace, "k", "asked", clip_ids=[CLIPS[0].clip_id]).reference == "k@5.0.0"


def test_the_last_clip_of_a_class_takes_the_class_with_it(workspace: Workspace) -> None:
    withdraw(workspace, "m", "asked", clip_ids=[CLIPS[3].clip_id])
    names = [c.name for c in load_release("m@2.0.0", workspace.root).classes]
    assert names == ["archery", "drinking"]


def test_a_diff_says_what_is_withheld(workspace: Workspace) -> None:
    release(workspace.db, "m@3.0.0", [clip(flags=(None, None, None)), *CLIPS[1:]])
    withdraw(workspace, "m", "asked", clip_ids=[CLIPS[0].clip_id])
    assert compare_releases("m@1.0.0", "m@3.0.0", workspace.root).withheld == [CLIPS[0].clip_id]


def test_unknown_clips_and_videos_are_all_named(workspace: Workspace) -> None:
    with pytest.raises(InvalidInputError) as caught:
        withdraw(workspace, "m", "x", clip_ids=["a", CLIPS[0].clip_id], video_ids=["b"])
    assert [str(p) for p in caught.value.problems] == [
        "no version of m lists a clip 'a'",
        "this workspace has no clip of a video 'b'",
    ]
    assert workspace.db.execute("SELECT count(*) FROM withdrawals").fetchone() == (0,)
    assert len(_media(workspace)) == 4
    with pytest.raises(NoSuchReleaseError):
        withdraw(workspace, "nobody", "x", clip_ids=["a"])
