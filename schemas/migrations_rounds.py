"""The database, step by step, continued: rounds of annotation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mimecurate.schemas.migrations import execute, frozen, migrations

if TYPE_CHECKING:
    from sqlite_utils import Database

__all__ = ["migrations"]


@migrations()
def m005_rounds(db: Database) -> None:
    """Rounds of annotation: the projects on a server that make a round, and the tasks in them.

    A round has one project, or one per annotator where nobody may see another's answer. The round's
    `mark` stands in each project's description, so that an id that a server gave to something else
    is noticed. What people said is in `annotations`. What was last seen on the server is in `tasks`
    and `drafts`, in `refusals` (answers that can't be taken over, and with annotation 0 tasks that
    aren't ours) and in `deletions` (annotations that are no longer there; what they say stands).
    """
    execute(
        db,
        """CREATE TABLE screens (
            screen TEXT PRIMARY KEY,
            config TEXT NOT NULL,
            made_at TEXT NOT NULL
        ) STRICT""",
        *frozen("screens", "screen"),
        """CREATE TABLE rounds (
            round TEXT PRIMARY KEY,
            kind TEXT NOT NULL CHECK (kind IN ('annotation', 'adjudication')),
            mark TEXT NOT NULL UNIQUE,
            overlap INTEGER NOT NULL DEFAULT 1 CHECK (overlap >= 1),
            predictions TEXT,
            made_at TEXT NOT NULL
        ) STRICT""",
        """CREATE TABLE projects (
            project_key INTEGER PRIMARY KEY,
            round TEXT NOT NULL REFERENCES rounds,
            server TEXT NOT NULL,
            project_id INTEGER NOT NULL,
            annotator TEXT,
            title TEXT NOT NULL,
            screen TEXT NOT NULL REFERENCES screens,
            made_at TEXT NOT NULL,
            pulled_until TEXT,
            settled_until TEXT,
            marked_until TEXT,
            marked_at TEXT,
            pulled_at TEXT,
            gone_at TEXT,
            tasks_there INTEGER,
            UNIQUE (server, project_id, round)
        ) STRICT""",
        "CREATE UNIQUE INDEX projects_of_a_round ON projects (round, server, "
        "coalesce(annotator, '')) WHERE gone_at IS NULL",
        """CREATE TABLE tasks (
            project_key INTEGER NOT NULL REFERENCES projects (project_key),
            clip_id TEXT NOT NULL REFERENCES clips,
            task_id INTEGER,
            pushed_at TEXT NOT NULL,
            fps REAL NOT NULL,
            predicted_label TEXT,
            gold_decision INTEGER REFERENCES decisions,
            drafts INTEGER NOT NULL DEFAULT 0,
            answers INTEGER NOT NULL DEFAULT 0,
            skips INTEGER NOT NULL DEFAULT 0,
            changed_at TEXT,
            gone_at TEXT,
            PRIMARY KEY (project_key, clip_id)
        ) STRICT, WITHOUT ROWID""",
        "CREATE INDEX tasks_clip ON tasks (clip_id)",
        "CREATE INDEX tasks_on_server ON tasks (project_key, task_id)",
        "CREATE INDEX annotations_round ON annotations (round, clip_id)",
        """CREATE TABLE drafts (
            project_key INTEGER NOT NULL,
            clip_id TEXT NOT NULL,
            annotator TEXT NOT NULL,
            PRIMARY KEY (project_key, clip_id, annotator),
            FOREIGN KEY (project_key, clip_id) REFERENCES tasks
        ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE refusals (
            project_key INTEGER NOT NULL REFERENCES projects (project_key),
            task_id INTEGER NOT NULL,
            server_annotation_id INTEGER NOT NULL,
            clip_id TEXT,
            annotator TEXT,
            why TEXT NOT NULL,
            seen_at TEXT NOT NULL,
            PRIMARY KEY (project_key, task_id, server_annotation_id)
        ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE deletions (
            annotation_id INTEGER PRIMARY KEY REFERENCES annotations,
            noticed_at TEXT NOT NULL
        ) STRICT""",
        """CREATE TABLE retractions (
            decision_id INTEGER PRIMARY KEY REFERENCES decisions,
            retracted_by TEXT NOT NULL,
            retracted_at TEXT NOT NULL,
            why TEXT NOT NULL DEFAULT ''
        ) STRICT""",
        *frozen("retractions", "decision_id"),
        "DROP VIEW current_decisions",
        """CREATE VIEW current_decisions AS
            SELECT * FROM decisions WHERE decision_id = (
                SELECT max(decision_id) FROM decisions AS every
                WHERE every.clip_id = decisions.clip_id AND NOT EXISTS (
                    SELECT 1 FROM retractions WHERE decision_id = every.decision_id))""",
    )
