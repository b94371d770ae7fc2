"""The workspace's database, step by step.

Each function is one migration, applied once and in this order, in one transaction with the record
that it was applied. A migration that has been released is never edited: add another one.

All tables are STRICT. Times are UTC in ISO 8601, intervals are integer milliseconds. Tables that
hold history (`attempts`, `annotations`, `decisions`, `withdrawals`, `link_checks`) only grow, and
releases are frozen: triggers refuse to change or delete their rows. `migrations_rounds` and
`migrations_discovery` go on from here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlite_utils.migrations import Migrations

if TYPE_CHECKING:
    from sqlite_utils import Database

migrations = Migrations("mimecurate")


def execute(db: Database, *statements: str) -> None:
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


def frozen(table: str, *key: str) -> tuple[str, ...]:
    """Make the triggers of `append_only`, and one against `INSERT OR REPLACE` by any program.

    Args:
        table: the table.
        key: the columns of its primary key; other connections may lack `recursive_triggers`.
    """
    same = " AND ".join(f"{column} = NEW.{column}" for column in key)
    return (
        *append_only(table),
        f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} "
        f"WHEN EXISTS (SELECT 1 FROM {table} WHERE {same}) "
        f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END",
    )


@migrations()
def m001_clips(db: Database) -> None:
    """Videos, the clips wanted of them, the media we have, and every attempt to get it."""
    execute(
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
            video_id TEXT NOT NULL REFERENCES videos (video_id),
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


_VERDICT = "CHECK (verdict IN ('yes', 'no', 'unsure', 'unplayable'))"
_FLAGS = ",\n            ".join(
    f"{flag} TEXT CHECK ({flag} IN ('yes', 'no', 'unsure'))"
    for flag in ("mime_artist", "object_relevant", "scene_relevant")
)


@migrations()
def m002_annotations(db: Database) -> None:
    """What each person said of a clip, and what was decided of it.

    A trim is in milliseconds of the source video, like the clip's own interval. The current
    annotations are those that no other supersedes; a skipped clip is no vote. `origin` names an
    answer where it was given (server, id, time of its last change), so that it is taken over once.
    The current decision on a clip is its latest.
    """
    trim = """start_ms INTEGER CHECK (start_ms >= 0),
            end_ms INTEGER CHECK (end_ms > start_ms),
            CHECK ((start_ms IS NULL) = (end_ms IS NULL))"""
    execute(
        db,
        f"""CREATE TABLE annotations (
            annotation_id INTEGER PRIMARY KEY,
            clip_id TEXT NOT NULL REFERENCES clips,
            annotator TEXT NOT NULL,
            round TEXT NOT NULL DEFAULT '',
            at TEXT NOT NULL,
            skipped INTEGER NOT NULL DEFAULT 0 CHECK (skipped IN (0, 1)),
            verdict TEXT {_VERDICT},
            label TEXT,
            {_FLAGS},
            note TEXT,
            seconds REAL,
            screen TEXT,
            origin TEXT UNIQUE,
            details TEXT NOT NULL DEFAULT '{{}}',
            supersedes INTEGER UNIQUE REFERENCES annotations,
            {trim}
        ) STRICT""",
        "CREATE INDEX annotations_clip ON annotations (clip_id)",
        *frozen("annotations", "annotation_id"),
        """CREATE VIEW current_annotations AS
            SELECT * FROM annotations WHERE NOT EXISTS (
                SELECT 1 FROM annotations AS later
                WHERE later.supersedes = annotations.annotation_id)""",
        f"""CREATE TABLE decisions (
            decision_id INTEGER PRIMARY KEY,
            clip_id TEXT NOT NULL REFERENCES clips,
            verdict TEXT NOT NULL {_VERDICT},
            label TEXT,
            {_FLAGS},
            method TEXT NOT NULL CHECK (method IN ('adjudicated', 'rule', 'imported')),
            decided_by TEXT NOT NULL,
            decided_at TEXT NOT NULL,
            why TEXT NOT NULL DEFAULT '',
            {trim}
        ) STRICT""",
        "CREATE INDEX decisions_clip ON decisions (clip_id, decision_id)",
        *frozen("decisions", "decision_id"),
        """CREATE VIEW current_decisions AS
            SELECT * FROM decisions WHERE decision_id = (
                SELECT max(decision_id) FROM decisions AS every
                WHERE every.clip_id = decisions.clip_id)""",
    )


@migrations()
def m003_releases(db: Database) -> None:
    """Releases: frozen lists of clips; what they say of a clip is stored once, by its hash.

    A release's row in `releases` is written last, so nothing can be added to it later. A row of
    `release_rows` can be deleted only when its clip was withdrawn, and can't come back then:
    the release still lists its hash, so its digest still verifies. `purges` lists media files of
    withdrawn clips that are still to be deleted.
    """
    execute(
        db,
        """CREATE TABLE releases (
            release_id INTEGER PRIMARY KEY,
            name TEXT NOT NULL,
            version TEXT NOT NULL,
            major INTEGER NOT NULL,
            minor INTEGER NOT NULL,
            patch INTEGER NOT NULL,
            digest TEXT NOT NULL,
            parent TEXT,
            created_at TEXT NOT NULL,
            origin TEXT NOT NULL,
            settings TEXT NOT NULL DEFAULT '{}',
            findings TEXT NOT NULL DEFAULT '{}',
            changes TEXT NOT NULL DEFAULT '{}',
            counts TEXT NOT NULL,
            card TEXT NOT NULL DEFAULT '{}',
            made_by TEXT NOT NULL,
            UNIQUE (name, major, minor, patch)
        ) STRICT""",
        *frozen("releases", "release_id"),
        "CREATE TRIGGER releases_no_second BEFORE INSERT ON releases "
        "WHEN EXISTS (SELECT 1 FROM releases WHERE name = NEW.name AND major = NEW.major "
        "AND minor = NEW.minor AND patch = NEW.patch) "
        "BEGIN SELECT RAISE(ABORT, 'releases is append-only'); END",
        """CREATE TABLE release_clips (
            release_id INTEGER NOT NULL
                REFERENCES releases (release_id) DEFERRABLE INITIALLY DEFERRED,
            clip_id TEXT NOT NULL,
            row_hash BLOB NOT NULL CHECK (length(row_hash) = 32),
            split TEXT NOT NULL,
            PRIMARY KEY (release_id, clip_id)
        ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE release_classes (
            release_id INTEGER NOT NULL
                REFERENCES releases (release_id) DEFERRABLE INITIALLY DEFERRED,
            name TEXT NOT NULL,
            object_size TEXT CHECK (object_size IN ('none', 'small', 'medium', 'large')),
            scene INTEGER CHECK (scene IN (0, 1)),
            PRIMARY KEY (release_id, name)
        ) STRICT, WITHOUT ROWID""",
        *_closed_with_the_release("release_clips"),
        *_closed_with_the_release("release_classes"),
        """CREATE TABLE withdrawals (
            clip_id TEXT PRIMARY KEY,
            withdrawn_at TEXT NOT NULL,
            reason TEXT NOT NULL,
            decided_by TEXT NOT NULL DEFAULT ''
        ) STRICT, WITHOUT ROWID""",
        *frozen("withdrawals", "clip_id"),
        f"""CREATE TABLE release_rows (
            clip_id TEXT NOT NULL,
            row_hash BLOB NOT NULL CHECK (length(row_hash) = 32),
            video_id TEXT NOT NULL,
            start_ms INTEGER NOT NULL,
            end_ms INTEGER NOT NULL,
            label TEXT NOT NULL,
            {_FLAGS},
            PRIMARY KEY (clip_id, row_hash)
        ) STRICT, WITHOUT ROWID""",
        "CREATE TRIGGER release_rows_no_update BEFORE UPDATE ON release_rows "
        "BEGIN SELECT RAISE(ABORT, 'release_rows is frozen'); END",
        "CREATE TRIGGER release_rows_no_delete BEFORE DELETE ON release_rows "
        "WHEN NOT EXISTS (SELECT 1 FROM withdrawals WHERE clip_id = OLD.clip_id) "
        "BEGIN SELECT RAISE(ABORT, 'release_rows is frozen; only a withdrawal removes'); END",
        "CREATE TRIGGER release_rows_no_replace BEFORE INSERT ON release_rows "
        "WHEN EXISTS (SELECT 1 FROM release_rows "
        "WHERE clip_id = NEW.clip_id AND row_hash = NEW.row_hash) "
        "OR EXISTS (SELECT 1 FROM withdrawals WHERE clip_id = NEW.clip_id) "
        "BEGIN SELECT RAISE(ABORT, 'release_rows is frozen, or the clip was withdrawn'); END",
        """CREATE TABLE purges (
            path TEXT PRIMARY KEY,
            clip_id TEXT NOT NULL REFERENCES withdrawals
        ) STRICT, WITHOUT ROWID""",
        """CREATE VIEW release_contents AS
            SELECT releases.name || '@' || releases.version AS release, release_clips.clip_id,
                release_rows.video_id, release_clips.split, release_rows.label,
                release_rows.start_ms / 1000.0 AS start, release_rows.end_ms / 1000.0 AS "end",
                release_rows.mime_artist, release_rows.object_relevant,
                release_rows.scene_relevant, withdrawals.reason AS withdrawn_because,
                lower(hex(release_clips.row_hash)) AS row_hash
            FROM release_clips
            JOIN releases USING (release_id)
            LEFT JOIN release_rows ON release_rows.clip_id = release_clips.clip_id
                AND release_rows.row_hash = release_clips.row_hash
            LEFT JOIN withdrawals ON withdrawals.clip_id = release_clips.clip_id""",
    )


def _closed_with_the_release(table: str) -> tuple[str, ...]:
    return (
        *append_only(table),
        f"CREATE TRIGGER {table}_no_insert BEFORE INSERT ON {table} "
        "WHEN EXISTS (SELECT 1 FROM releases WHERE release_id = NEW.release_id) "
        f"BEGIN SELECT RAISE(ABORT, '{table} is append-only: the release is frozen'); END",
    )


@migrations()
def m004_link_checks(db: Database) -> None:
    """Whether the source of a video was still there, each time somebody asked.

    `link_evidence` adds what attempts to fetch met. What keeps us out (rate limits, bot checks) is
    `blocked_us`, and says nothing of the video.
    """
    execute(
        db,
        """CREATE TABLE link_checks (
            check_id INTEGER PRIMARY KEY,
            video_id TEXT NOT NULL REFERENCES videos (video_id),
            at TEXT NOT NULL,
            outcome TEXT NOT NULL
                CHECK (outcome IN ('ok', 'gone', 'restricted', 'blocked_us', 'unknown')),
            reason TEXT,
            message TEXT
        ) STRICT""",
        "CREATE INDEX link_checks_video ON link_checks (video_id, check_id)",
        *frozen("link_checks", "check_id"),
        "CREATE INDEX attempts_video ON attempts (video_id, at)",
        """CREATE VIEW link_evidence AS
            SELECT video_id, at, outcome, reason, message FROM link_checks
            UNION ALL
            SELECT video_id, at,
                CASE WHEN status = 'fetched' OR reason = 'interval_outside' THEN 'ok'
                    WHEN reason IN ('unavailable', 'private', 'removed') THEN 'gone'
                    WHEN reason IN ('age_restricted', 'geo_blocked', 'members_only')
                        THEN 'restricted'
                    WHEN reason IN ('rate_limited', 'login_required') THEN 'blocked_us'
                    ELSE 'unknown' END,
                reason, message FROM attempts""",
    )
