"""The database, step by step, continued: finding candidates, and shaping the classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mimecurate.schemas.migrations import execute, frozen
from mimecurate.schemas.migrations_rounds import migrations

if TYPE_CHECKING:
    from sqlite_utils import Database

__all__ = ["migrations"]


@migrations()
def m006_discovery(db: Database) -> None:
    """Queries, what each search gave, the candidates, and what was said of them by hand.

    A query is kept apart from the classes that it is asked for: `query_classes`. A row of
    `searches` is one answered page, or one that failed for good, written together with its
    `finds`; `spendings` are written before a request goes out, so that neither a crash nor a
    failure hides a cost. What the YouTube Data API said of a candidate is to be refreshed or
    deleted by `refresh_by`; `gone_at` is when it no longer knew the video. A candidate whose clip
    is withdrawn loses its link and metadata, and gets none again.
    """
    execute(
        db,
        """CREATE TABLE queries (
            query_id INTEGER PRIMARY KEY,
            text TEXT NOT NULL,
            language TEXT NOT NULL,
            added_at TEXT NOT NULL,
            UNIQUE (text, language)
        ) STRICT""",
        """CREATE TABLE query_classes (
            query_id INTEGER NOT NULL REFERENCES queries (query_id),
            label TEXT NOT NULL,
            template TEXT NOT NULL DEFAULT '',
            phrase TEXT NOT NULL DEFAULT '',
            PRIMARY KEY (query_id, label, template, phrase)
        ) STRICT, WITHOUT ROWID""",
        "CREATE INDEX query_classes_label ON query_classes (label, query_id)",
        """CREATE TABLE spendings (
            spending_id INTEGER PRIMARY KEY,
            source TEXT NOT NULL,
            kind TEXT NOT NULL CHECK (kind IN ('search', 'details')),
            day TEXT NOT NULL,
            at TEXT NOT NULL,
            query_id INTEGER REFERENCES queries (query_id)
        ) STRICT""",
        "CREATE INDEX spendings_day ON spendings (source, kind, day)",
        *frozen("spendings", "spending_id"),
        """CREATE TABLE searches (
            search_id INTEGER PRIMARY KEY,
            query_id INTEGER NOT NULL REFERENCES queries (query_id),
            source TEXT NOT NULL,
            page INTEGER NOT NULL CHECK (page >= 1),
            at TEXT NOT NULL,
            first_rank INTEGER NOT NULL,
            found INTEGER NOT NULL DEFAULT 0,
            new INTEGER NOT NULL DEFAULT 0,
            next_page TEXT,
            reason TEXT,
            message TEXT
        ) STRICT""",
        "CREATE INDEX searches_query ON searches (query_id, source, search_id)",
        *frozen("searches", "search_id"),
        """CREATE TABLE candidates (
            candidate_id INTEGER PRIMARY KEY,
            video_id TEXT NOT NULL UNIQUE,
            url TEXT,
            title TEXT,
            channel TEXT,
            duration_ms INTEGER,
            published_at TEXT,
            source TEXT NOT NULL,
            found_at TEXT NOT NULL,
            refresh_by TEXT,
            gone_at TEXT
        ) STRICT""",
        "CREATE INDEX candidates_refresh ON candidates (refresh_by) WHERE refresh_by IS NOT NULL",
        *_withdrawn_with_their_clips(),
        """CREATE TABLE finds (
            search_id INTEGER NOT NULL REFERENCES searches (search_id),
            candidate_id INTEGER NOT NULL REFERENCES candidates (candidate_id),
            rank INTEGER NOT NULL CHECK (rank >= 1),
            PRIMARY KEY (search_id, candidate_id)
        ) STRICT, WITHOUT ROWID""",
        "CREATE INDEX finds_candidate ON finds (candidate_id, rank)",
        *frozen("finds", "search_id", "candidate_id"),
        """CREATE TABLE manual_finds (
            find_id INTEGER PRIMARY KEY,
            candidate_id INTEGER NOT NULL REFERENCES candidates (candidate_id),
            label TEXT,
            start_ms INTEGER CHECK (start_ms >= 0),
            end_ms INTEGER CHECK (end_ms > start_ms),
            note TEXT NOT NULL DEFAULT '',
            found_by TEXT NOT NULL,
            at TEXT NOT NULL
        ) STRICT""",
        "CREATE INDEX manual_finds_candidate ON manual_finds (candidate_id)",
        "CREATE INDEX manual_finds_label ON manual_finds (label)",
        *frozen("manual_finds", "find_id"),
        """CREATE TABLE rejections (
            rejection_id INTEGER PRIMARY KEY,
            candidate_id INTEGER NOT NULL REFERENCES candidates (candidate_id),
            label TEXT,
            why TEXT NOT NULL,
            rejected_by TEXT NOT NULL,
            at TEXT NOT NULL
        ) STRICT""",
        "CREATE INDEX rejections_candidate ON rejections (candidate_id)",
        *frozen("rejections", "rejection_id"),
        "CREATE INDEX release_rows_video ON release_rows (video_id)",
        """CREATE VIEW clip_verdicts AS
            SELECT clip_id, verdict, label FROM current_decisions
            UNION ALL
            SELECT clip_id, CASE WHEN sum(verdict = 'yes') * 2 > count(*) THEN 'yes'
                WHEN sum(verdict = 'no') * 2 > count(*) THEN 'no' ELSE 'unsure' END,
                max(label) FILTER (WHERE verdict = 'yes')
            FROM current_annotations WHERE skipped = 0 AND verdict IS NOT NULL
                AND clip_id NOT IN (SELECT clip_id FROM current_decisions) GROUP BY clip_id""",
        """CREATE VIEW candidate_finds AS
            SELECT candidates.video_id, candidates.title, queries.text AS query, queries.language,
                (SELECT group_concat(DISTINCT label) FROM query_classes
                    WHERE query_classes.query_id = queries.query_id) AS labels,
                finds.rank, searches.source, searches.at, NULL AS start, '' AS note
            FROM finds JOIN candidates USING (candidate_id) JOIN searches USING (search_id)
                JOIN queries USING (query_id)
            UNION ALL
            SELECT video_id, title, NULL, NULL, label, NULL, 'by hand, ' || found_by, at,
                start_ms / 1000.0, note
            FROM manual_finds JOIN candidates USING (candidate_id)""",
    )


def _withdrawn_with_their_clips(*later: str) -> tuple[str, ...]:
    columns = ("title", "channel", "duration_ms", "published_at", "refresh_by", *later)
    forget = f"UPDATE candidates SET url = NULL, {', '.join(f'{c} = NULL' for c in columns)} WHERE "
    any_known = f"coalesce({', '.join(f'NEW.{c}' for c in columns)}) IS NOT NULL "
    return (
        "CREATE TRIGGER withdrawals_forget_candidates AFTER INSERT ON withdrawals BEGIN "
        f"{forget} video_id = {_video_of('NEW.clip_id')}; END",
        "CREATE TRIGGER candidates_not_of_withdrawn AFTER INSERT ON candidates WHEN EXISTS "
        "(SELECT 1 FROM withdrawals WHERE clip_id >= NEW.video_id || '_' "
        f"AND clip_id < NEW.video_id || '`' AND {_video_of('clip_id')} = NEW.video_id) "
        f"BEGIN {forget} candidate_id = NEW.candidate_id; END",
        "CREATE TRIGGER candidates_stay_withdrawn AFTER UPDATE ON candidates "
        f"WHEN NEW.url IS NULL AND {any_known}"
        f"BEGIN {forget} candidate_id = NEW.candidate_id; END",
    )


def _video_of(clip_id: str) -> str:
    """Write the SQL for the video of a clip id; a withdrawn clip may be in no table but its own."""
    for _ in ("end", "start"):
        without = f"rtrim({clip_id}, '0123456789.')"
        clip_id = f"substr({without}, 1, length({without}) - 1)"
    return clip_id


@migrations()
def m007_class_maps(db: Database) -> None:
    """The list of classes as it was after each change; a release keeps the one it was made with."""
    execute(
        db,
        "ALTER TABLE classes ADD COLUMN superclass TEXT",
        """CREATE TABLE class_names (
            name TEXT NOT NULL REFERENCES classes (name) ON DELETE CASCADE ON UPDATE CASCADE,
            vocabulary TEXT NOT NULL
                CHECK (vocabulary IN ('alias', 'kinetics400', 'kinetics600', 'kinetics700')),
            other TEXT NOT NULL,
            PRIMARY KEY (vocabulary, other, name)
        ) STRICT, WITHOUT ROWID""",
        "CREATE INDEX class_names_name ON class_names (name)",
        """CREATE TABLE class_maps (
            version INTEGER PRIMARY KEY,
            at TEXT NOT NULL,
            changed_by TEXT NOT NULL,
            change TEXT NOT NULL,
            reason TEXT NOT NULL DEFAULT '',
            map TEXT NOT NULL,
            effects TEXT NOT NULL DEFAULT '{}'
        ) STRICT""",
        *frozen("class_maps", "version"),
        """CREATE TABLE release_class_maps (
            release_id INTEGER PRIMARY KEY REFERENCES releases (release_id),
            version INTEGER NOT NULL REFERENCES class_maps (version)
        ) STRICT""",
        *frozen("release_class_maps", "release_id"),
        "CREATE TRIGGER releases_keep_their_class_map AFTER INSERT ON releases "
        "WHEN EXISTS (SELECT 1 FROM class_maps) AND NEW.origin NOT LIKE 'import%' BEGIN "
        "INSERT INTO release_class_maps SELECT NEW.release_id, max(version) FROM class_maps; END",
    )


@migrations()
def m008_parts_and_dates(db: Database) -> None:
    """Parts know the class they were split from; a length has a date of its own.

    `class_called` says which classes a name means that none has any more: of what was said before a
    class was split nobody knows to which part it belongs.
    `search.list` doesn't say how long a video is, so what it says anew moves `refresh_by` and not
    `duration_refresh_by`. A withdrawal takes the list of classes of the release that it is made of.
    """
    execute(
        db,
        "ALTER TABLE class_names RENAME TO class_names_before",
        """CREATE TABLE class_names (
            name TEXT NOT NULL REFERENCES classes (name) ON DELETE CASCADE ON UPDATE CASCADE,
            vocabulary TEXT NOT NULL CHECK (vocabulary IN
                ('alias', 'split_from', 'kinetics400', 'kinetics600', 'kinetics700')),
            other TEXT NOT NULL,
            PRIMARY KEY (vocabulary, other, name)
        ) STRICT, WITHOUT ROWID""",
        "INSERT INTO class_names SELECT * FROM class_names_before",
        "DROP TABLE class_names_before",
        "CREATE INDEX class_names_name ON class_names (name)",
        """CREATE VIEW class_called AS
            SELECT DISTINCT other, name FROM class_names
            WHERE vocabulary IN ('alias', 'split_from')
                AND other NOT IN (SELECT name FROM classes)""",
        "DROP TRIGGER releases_keep_their_class_map",
        "CREATE TRIGGER releases_keep_their_class_map AFTER INSERT ON releases "
        "WHEN EXISTS (SELECT 1 FROM class_maps) AND NEW.origin NOT LIKE 'import%' "
        "AND NEW.origin <> 'withdrawal' BEGIN "
        "INSERT INTO release_class_maps SELECT NEW.release_id, max(version) FROM class_maps; END",
        "CREATE TRIGGER withdrawals_keep_their_class_map AFTER INSERT ON releases "
        "WHEN NEW.origin = 'withdrawal' BEGIN "
        "INSERT INTO release_class_maps SELECT NEW.release_id, release_class_maps.version "
        "FROM release_class_maps JOIN releases USING (release_id) "
        "WHERE name || '@' || releases.version = NEW.parent; END",
        "ALTER TABLE candidates ADD COLUMN duration_refresh_by TEXT",
        "UPDATE candidates SET duration_refresh_by = refresh_by WHERE duration_ms IS NOT NULL",
        "CREATE INDEX candidates_refresh_duration ON candidates (duration_refresh_by) "
        "WHERE duration_refresh_by IS NOT NULL",
        "DROP TRIGGER withdrawals_forget_candidates",
        "DROP TRIGGER candidates_not_of_withdrawn",
        "DROP TRIGGER candidates_stay_withdrawn",
        *_withdrawn_with_their_clips("duration_refresh_by"),
    )
