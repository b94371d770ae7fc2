"""Take clips down: `mimecurate release withdraw`.

What a frozen release says of a withdrawn clip, the link and title of its video, and its media are
deleted; its id, the hash of its row and the reason stay. Old digests therefore still verify, and
reading an old release names the clip as withheld.
"""

from __future__ import annotations

import sqlite3
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from mimecurate.curation.release_cards import card_of
from mimecurate.curation.release_diff import summarize_staged
from mimecurate.curation.release_freeze import Header, freeze, staged_contents
from mimecurate.curation.release_problems import Problems
from mimecurate.curation.release_purges import finish_purges
from mimecurate.curation.release_read import find_release, latest_release, version_of
from mimecurate.curation.release_stage import close_stage, open_stage, stage_release, writing
from mimecurate.errors import Problem, plain_words
from mimecurate.schemas.database import now
from mimecurate.schemas.release import check_reason
from mimecurate.schemas.versions import Change

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlite_utils import Database

    from mimecurate.curation.release_read import Row
    from mimecurate.curation.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """What a takedown did."""

    reference: str | None
    """The release without the clips; None if the latest one didn't list any of them."""
    digest: str | None
    clips: int
    """Clips withdrawn now; those that were before are not counted."""
    files_removed: int
    also_listed_by: tuple[str, ...]
    """Latest releases of other names that list one of the clips, and should do without."""
    traces: str
    """Why traces of what was deleted may still be in the database file; empty: there are none."""


def withdraw(
    workspace: Workspace,
    name: str,
    reason: str,
    *,
    clip_ids: Iterable[str] = (),
    video_ids: Iterable[str] = (),
    decided_by: str = "",
) -> Withdrawal:
    """Take clips down, and freeze the release without them as the next MAJOR version.

    Doing it again changes nothing, but finishes what a killed run left undone.

    Args:
        workspace: the workspace.
        name: the release whose next version does without the clips.
        reason: why, for everybody who reads the release later.
        clip_ids: clips of a version of the release.
        video_ids: videos whose every clip goes, released or not.
        decided_by: who decided it.

    Raises:
        NoSuchReleaseError: there is no release of that name.
        InvalidInputError: no version of the release lists such a clip or video.
        ValueError: the reason is none that can be published.
    """
    check_reason(reason)
    db = workspace.db
    with workspace.lock("release", f"release withdraw {name}"):
        latest = latest_release(db, name) or find_release(db, f"{name}@1.0.0")
        db.execute("PRAGMA secure_delete = ON")
        open_stage(db)
        with db.atomic():
            _collect(db, name, clip_ids, video_ids)
            stage_release(db, latest["release_id"])
        made = _take_down(db, latest, reason, decided_by)
        close_stage(db)
        files = finish_purges(workspace)
        others = _also_listed_by(db, name)
        traces = _overwrite(db)
    reference, digest, clips = made
    return Withdrawal(reference, digest, clips, files, others, traces)


def _overwrite(db: Database) -> str:
    """Write the database file anew, without what was deleted, and empty the write-ahead log.

    Overwriting freed pages is not enough: rows that moved from page to page left copies behind.

    Returns:
        Why that could not be done, if so.
    """
    try:
        db.execute("VACUUM")
        busy, *_ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.OperationalError as error:
        return plain_words(error)
    return "another program is reading it" if busy else ""


def _collect(db: Database, name: str, clip_ids: Iterable[str], video_ids: Iterable[str]) -> None:
    """Put the clips to withdraw into the temporary table ``doomed``."""
    db.execute("DROP TABLE IF EXISTS temp.doomed")
    db.execute("CREATE TEMP TABLE doomed (clip_id TEXT PRIMARY KEY) WITHOUT ROWID")
    problems = Problems()
    for clip_id in clip_ids:
        listed = db.execute(
            "SELECT 1 FROM release_clips JOIN releases USING (release_id) "
            "WHERE name = ? AND clip_id = ? LIMIT 1",
            [name, clip_id],
        ).fetchone()
        if listed is None:
            problems.add(Problem(f"no version of {name} lists a clip {clip_id!r}"))
        db.execute("INSERT INTO doomed VALUES (?) ON CONFLICT DO NOTHING", [clip_id])
    for video_id in video_ids:
        found = db.execute(
            "INSERT INTO doomed SELECT clip_id FROM clips WHERE video_id = ?1 UNION "
            "SELECT clip_id FROM release_rows WHERE video_id = ?1 ON CONFLICT DO NOTHING",
            [video_id],
        )
        if found.rowcount == 0:
            problems.add(Problem(f"this workspace has no clip of a video {video_id!r}"))
    problems.raise_if_any("release withdraw", "nothing was withdrawn")


def _take_down(
    db: Database, latest: Row, reason: str, decided_by: str
) -> tuple[str | None, str | None, int]:
    listed = db.execute("DELETE FROM staged WHERE clip_id IN doomed").rowcount
    db.execute(
        "DELETE FROM staged_classes WHERE name NOT IN (SELECT label FROM staged WHERE label IS NOT "
        "NULL) AND name IN (SELECT label FROM release_rows WHERE clip_id IN doomed)"
    )
    contents = staged_contents(db)
    changes = summarize_staged(db, latest["release_id"])
    header = Header(
        latest["name"],
        version_of(latest).after(Change.MAJOR),
        now(),
        "withdrawal",
        f"{latest['name']}@{latest['version']}",
        {"withdrawn": listed, "reason": reason},
        {},
        asdict(changes),
        card_of(latest),
    )
    with writing(db):
        withdrawn = db.execute(
            "INSERT INTO withdrawals SELECT clip_id, ?, ?, ? FROM doomed "
            "WHERE clip_id NOT IN (SELECT clip_id FROM withdrawals)",
            [header.created_at, reason, decided_by],
        ).rowcount
        _purge_database(db)
        if listed:
            freeze(db, header, contents)
    return (header.reference, contents.digest, withdrawn) if listed else (None, None, withdrawn)


def _purge_database(db: Database) -> None:
    db.execute("DELETE FROM release_rows WHERE clip_id IN doomed")
    db.execute(
        "INSERT INTO purges SELECT path, clip_id FROM media WHERE clip_id IN doomed "
        "ON CONFLICT DO NOTHING"
    )
    db.execute("DELETE FROM media WHERE clip_id IN doomed")
    db.execute("UPDATE clips SET label = NULL, split = NULL WHERE clip_id IN doomed")
    db.execute(
        "UPDATE videos SET url = NULL, title = NULL WHERE video_id IN "
        "(SELECT video_id FROM clips WHERE clip_id IN doomed) AND video_id NOT IN "
        "(SELECT video_id FROM clips WHERE clip_id NOT IN (SELECT clip_id FROM withdrawals))"
    )


def _also_listed_by(db: Database, name: str) -> tuple[str, ...]:
    rows = db.execute(
        "SELECT name || '@' || version FROM releases AS latest WHERE name <> ? AND "
        "(major, minor, patch) = (SELECT major, minor, patch FROM releases AS other WHERE "
        "other.name = latest.name ORDER BY major DESC, minor DESC, patch DESC LIMIT 1) AND EXISTS "
        "(SELECT 1 FROM doomed JOIN release_clips USING (clip_id) "
        "WHERE release_clips.release_id = latest.release_id) ORDER BY 1",
        [name],
    )
    return tuple(ref for (ref,) in rows)
