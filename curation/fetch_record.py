"""Write what became of a clip to the database, and read it back for the report."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from mimecurate.curation.media_store import media_path
from mimecurate.schemas.database import now

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlite_utils import Database

    from mimecurate.curation.fetch_video import ClipResult, Fetched
    from mimecurate.errors import Reason


def record_result(db: Database, run_id: int, result: ClipResult) -> None:
    """Record one clip, fetched or failed, in one transaction."""
    with db.atomic():
        if result.fetched is not None:
            if result.clip_id != result.asked:
                _settle_end(db, result)
            _insert_media(db, result, result.fetched)
        _insert_attempt(db, run_id, result)


_UNTRIED = (
    "FROM temp.plan WHERE state = 'todo' "
    "AND clip_id NOT IN (SELECT clip_id FROM attempts WHERE run_id = ?)"
)
"""The clips of the plan that a run did not get to."""


def record_untried(db: Database, run_id: int, reason: Reason, message: str) -> int:
    """Record a failure for each clip of the plan that the run did not get to; return how many."""
    with db.atomic():
        cursor = db.execute(
            "INSERT INTO attempts (run_id, video_id, clip_id, at, status, reason, message) "
            f"SELECT ?, video_id, clip_id, ?, 'failed', ?, ? {_UNTRIED}",
            [run_id, now(), reason, message, run_id],
        )
    return int(cursor.rowcount)


def count_untried(db: Database, run_id: int) -> int:
    """Count the clips of the plan that the run did not get to."""
    return int(db.execute(f"SELECT count(*) {_UNTRIED}", [run_id]).fetchone()[0])


def report_clips(db: Database, run_id: int) -> Iterator[dict[str, object]]:
    """Yield each clip of the list as `fetch --json` shows it, in the list's order."""
    rows = db.execute(
        """SELECT s.clip_id, s.reason, s.message, s.path, s.sha256, s.bytes, s.duration_ms, s.width,
            s.height, s.fps, s.frames, s.status,
            state, (SELECT max(status) FROM attempts WHERE attempts.clip_id = s.clip_id
                AND attempts.run_id = ?) AS in_this_run
        FROM temp.plan JOIN clip_status AS s USING (clip_id) ORDER BY temp.plan.line""",
        [run_id],
    )
    names = [d[0] for d in rows.description]
    for row in rows:
        clip = dict(zip(names, row, strict=True))
        in_this_run, state = clip.pop("in_this_run"), clip.pop("state")
        if clip["status"] == "fetched" and in_this_run != "fetched":
            clip["status"] = "present"
        elif in_this_run is None and state == "todo":  # what an earlier run met is no news
            clip |= {"status": "open", "reason": None, "message": None}
        yield clip


def _settle_end(db: Database, result: ClipResult) -> None:
    """Name a clip that goes to the end of its video, now that the end is known."""
    known = db.execute("SELECT 1 FROM clips WHERE clip_id = ?", [result.clip_id]).fetchone()
    if known:
        db.execute("DELETE FROM clips WHERE clip_id = ?", [result.asked])
        db.execute("UPDATE clips SET to_the_end = 1 WHERE clip_id = ?", [result.clip_id])
    else:
        db.execute(
            "UPDATE clips SET clip_id = ?, end_ms = ? WHERE clip_id = ?",
            [result.clip_id, result.end_ms, result.asked],
        )
    db.execute(
        "UPDATE OR REPLACE temp.plan SET clip_id = ?, end_ms = ? WHERE clip_id = ?",
        [result.clip_id, result.end_ms, result.asked],
    )


def _insert_attempt(db: Database, run_id: int, result: ClipResult) -> None:
    db.execute(
        "INSERT INTO attempts (run_id, video_id, clip_id, at, status, reason, message, "
        "bytes_downloaded, seconds) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            run_id,
            result.video_id,
            result.clip_id,
            now(),
            "fetched" if result.reason is None else "failed",
            result.reason,
            result.message or None,
            result.bytes_downloaded,
            result.seconds,
        ],
    )


def _insert_media(db: Database, result: ClipResult, fetched: Fetched) -> None:
    facts = fetched.facts
    db.execute(
        "INSERT OR REPLACE INTO media (clip_id, path, sha256, bytes, duration_ms, width, height, "
        "fps, frames, video_codec, audio_codec, cut, start_ms, format_id, notes, frame_hashes, "
        "fetched_at, verified_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            result.clip_id,
            media_path(result.clip_id).as_posix(),
            facts.sha256,
            facts.bytes,
            facts.duration_ms,
            facts.width,
            facts.height,
            facts.fps,
            facts.frames,
            facts.video_codec,
            facts.audio_codec,
            fetched.cut.mode,
            round(fetched.cut.start * 1000),
            fetched.format_id,
            "; ".join(fetched.notes),
            pack_hashes(facts.frame_hashes),
            now(),
            now(),
        ],
    )
    db.execute(
        "UPDATE videos SET title = coalesce(?, title), extractor = ? WHERE video_id = ?",
        [fetched.title, fetched.extractor, result.video_id],
    )


def pack_hashes(hashes: tuple[int, ...]) -> bytes:
    """Write 64-bit perceptual hashes as big-endian bytes.

    >>> pack_hashes((1, 2)).hex()
    '00000000000000010000000000000002'
    """
    return struct.pack(f">{len(hashes)}Q", *hashes)
