"""The workspace's database, step by step.

Each function is one migration, applied once and in this order, in one transaction with the record
that it was applied. A migration that has been released is never edited: add another one.

All tables are STRICT. Times are UTC in ISO 8601, intervals are integer milliseconds. Tables that
hold history (`attempts`) only grow: triggers refuse to change or delete their rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlite_utils.migrations import Migrations

if TYPE_CHECKING:
    from sqlite_utils import Database

migrations = Migrations("mimecurate")


def _execute(db: Database, *statements: str) -> None:
    """Run statements one by one: `executescript` would end the migration's transaction."""
    for statement in statements:
        db.execute(statement)


def append_only(table: str) -> tuple[str, str]:
    """Make the triggers that keep a table's rows as they were written.

    `INSERT OR REPLACE` deletes before it inserts, and fires the delete trigger because
    connections set `recursive_triggers`.
    """
    return tuple(  # type: ignore[return-value]
        f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
        f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        for verb in ("UPDATE", "DELETE")
    )


@migrations()
def m001_clips(db: Database) -> None:
    """Videos, the clips wanted of them, the media we have, and every attempt to get it."""
    _execute(
        db,
        """CREATE TABLE classes (
            name TEXT PRIMARY KEY,
            object_size TEXT CHECK (object_size IN ('none', 'small', 'medium', 'large')),
            scene INTEGER CHECK (scene IN (0, 1)),
            definition TEXT
        ) STRICT""",
        """CREATE TABLE videos (
            video_id TEXT PRIMARY KEY,
            url TEXT,
            title TEXT,
            extractor TEXT,
            duration_ms INTEGER,
            added_at TEXT NOT NULL
        ) STRICT""",
        """CREATE TABLE clips (
            clip_id TEXT PRIMARY KEY,
            video_id TEXT NOT NULL REFERENCES videos,
            start_ms INTEGER NOT NULL CHECK (start_ms >= 0),
            end_ms INTEGER CHECK (end_ms > start_ms),
            to_the_end INTEGER NOT NULL DEFAULT 0 CHECK (to_the_end IN (0, 1)),
            label TEXT,
            split TEXT,
            added_at TEXT NOT NULL,
            CHECK (end_ms IS NOT NULL OR to_the_end = 1)
        ) STRICT""",
        "CREATE UNIQUE INDEX clips_interval ON clips (video_id, start_ms, end_ms)",
        "CREATE UNIQUE INDEX clips_to_the_end ON clips (video_id, start_ms) WHERE to_the_end = 1",
        "CREATE INDEX clips_label ON clips (label)",
        """CREATE TABLE runs (
            run_id INTEGER PRIMARY KEY,
            command TEXT NOT NULL,
            version TEXT NOT NULL,
            settings TEXT NOT NULL,
            started_at TEXT NOT NULL,
            finished_at TEXT
        ) STRICT""",
        """CREATE TABLE attempts (
            attempt_id INTEGER PRIMARY KEY,
            run_id INTEGER NOT NULL REFERENCES runs,
            video_id TEXT NOT NULL,
            clip_id TEXT NOT NULL,
            at TEXT NOT NULL,
            status TEXT NOT NULL CHECK (status IN ('fetched', 'failed')),
            reason TEXT,
            message TEXT,
            bytes_downloaded INTEGER NOT NULL DEFAULT 0,
            seconds REAL NOT NULL DEFAULT 0,
            CHECK ((status = 'failed') = (reason IS NOT NULL))
        ) STRICT""",
        "CREATE INDEX attempts_clip ON attempts (clip_id, attempt_id)",
        *append_only("attempts"),
        """CREATE TABLE media (
            clip_id TEXT PRIMARY KEY REFERENCES clips ON UPDATE CASCADE,
            path TEXT NOT NULL UNIQUE,
            sha256 TEXT NOT NULL,
            bytes INTEGER NOT NULL,
            duration_ms INTEGER NOT NULL,
            width INTEGER NOT NULL,
            height INTEGER NOT NULL,
            fps REAL NOT NULL,
            frames INTEGER NOT NULL,
            video_codec TEXT NOT NULL,
            audio_codec TEXT,
            cut TEXT NOT NULL CHECK (cut IN ('smart', 'encode', 'copy')),
            start_ms INTEGER NOT NULL,
            format_id TEXT,
            notes TEXT NOT NULL DEFAULT '',
            frame_hashes BLOB NOT NULL,
            fetched_at TEXT NOT NULL,
            verified_at TEXT NOT NULL
        ) STRICT""",
        "CREATE INDEX media_sha256 ON media (sha256)",
        """CREATE VIEW clip_status AS
            SELECT clips.clip_id, clips.video_id, clips.start_ms, clips.end_ms, clips.label,
                clips.split, videos.url, videos.title,
                CASE WHEN media.clip_id IS NOT NULL THEN 'fetched'
                     WHEN last.attempt_id IS NOT NULL THEN 'failed'
                     ELSE 'open' END AS status,
                CASE WHEN media.clip_id IS NULL THEN last.reason END AS reason,
                CASE WHEN media.clip_id IS NULL THEN last.message END AS message,
                last.at AS last_attempt_at,
                media.path, media.sha256, media.bytes, media.duration_ms, media.width,
                media.height, media.fps, media.frames, media.audio_codec, media.cut, media.notes
            FROM clips
            JOIN videos USING (video_id)
            LEFT JOIN media ON media.clip_id = clips.clip_id
            LEFT JOIN attempts AS last ON last.attempt_id = (
                SELECT max(attempt_id) FROM attempts WHERE attempts.clip_id = clips.clip_id)""",
    )
