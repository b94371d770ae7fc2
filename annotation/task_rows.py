"""The rows of `tasks`: what was sent to a project, and which task it became.

A row without a task's id is of a task that was about to be sent; whether it was, a look shows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mimecurate.schemas.database import now

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlite_utils import Database

    from mimecurate.annotation.send_tasks import NewTask
    from mimecurate.annotation.task_store import StoredTask


def has_unconfirmed(db: Database, project_key: int) -> bool:
    """Whether a run ended, or is, between sending tasks and knowing that they arrived."""
    row = db.execute(
        "SELECT 1 FROM tasks WHERE project_key = ? AND task_id IS NULL LIMIT 1", [project_key]
    ).fetchone()
    return row is not None


def announce(db: Database, project_key: int, tasks: Sequence[NewTask]) -> None:
    """Write down what is about to be sent."""
    at = now()
    with db.atomic():
        db.conn.executemany(
            "INSERT INTO tasks (project_key, clip_id, pushed_at, fps, predicted_label, "
            "gold_decision) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (project_key, clip_id) DO UPDATE "
            "SET task_id = NULL, pushed_at = excluded.pushed_at, fps = excluded.fps, "
            "predicted_label = excluded.predicted_label, gold_decision = excluded.gold_decision, "
            "drafts = 0, answers = 0, skips = 0, gone_at = NULL",
            [
                (project_key, t.clip_id, at, t.clip["fps"], t.predicted_label, t.gold_decision)
                for t in tasks
            ],
        )


def confirm(db: Database, project_key: int, tasks: Iterable[StoredTask]) -> None:
    """Write down the ids of tasks that were seen on the server, known before or not.

    Of a task that this workspace did not send only the clip, the id and the rate are known.
    """
    at = now()
    with db.atomic():
        db.conn.executemany(
            "INSERT INTO tasks (project_key, clip_id, task_id, pushed_at, fps) "
            "VALUES (?, ?, ?, ?, coalesce(?, (SELECT fps FROM media WHERE clip_id = ?), 0)) "
            "ON CONFLICT (project_key, clip_id) DO UPDATE "
            "SET task_id = excluded.task_id, gone_at = NULL "
            "WHERE tasks.task_id IS NOT excluded.task_id OR tasks.gone_at IS NOT NULL",
            [
                (project_key, t.clip_id, t.task_id, at, _number(t.data.get("fps")), t.clip_id)
                for t in tasks
            ],
        )


def pushed_as(db: Database, project_key: int, tasks: Iterable[StoredTask]) -> dict[int, str]:
    """Return the clip that a task was pushed as, where it says another one now.

    A task that is recorded for the clip that it names is none of these: servers use ids again.
    """
    found = {}
    for task in tasks:
        clips = {
            clip_id
            for (clip_id,) in db.execute(
                "SELECT clip_id FROM tasks WHERE project_key = ? AND task_id = ? "
                "AND gone_at IS NULL",
                [project_key, task.task_id],
            )
        }
        if clips and task.clip_id not in clips:
            found[task.task_id] = min(clips)
    return found


def set_ids(db: Database, project_key: int, pairs: Sequence[tuple[str, int]]) -> None:
    """Write down which tasks clips became."""
    with db.atomic():
        db.conn.executemany(
            "UPDATE tasks SET task_id = ? WHERE project_key = ? AND clip_id = ?",
            [(task_id, project_key, clip_id) for clip_id, task_id in pairs],
        )


def sent_clips(db: Database, project_key: int) -> set[str]:
    """Return the clips whose task was seen on the server and is not known to be gone."""
    rows = db.execute(
        "SELECT clip_id FROM tasks WHERE project_key = ? AND task_id IS NOT NULL "
        "AND gone_at IS NULL",
        [project_key],
    )
    return {clip_id for (clip_id,) in rows}


def set_fps(db: Database, project_key: int, task: NewTask) -> None:
    """Write down a task's new frame rate."""
    with db.atomic():
        db.execute(
            "UPDATE tasks SET fps = ? WHERE project_key = ? AND clip_id = ?",
            [task.clip["fps"], project_key, task.clip_id],
        )


def forget_unconfirmed(db: Database, project_key: int) -> None:
    """Remove what was announced and is not on the server: it never arrived."""
    with db.atomic():
        db.execute("DELETE FROM tasks WHERE project_key = ? AND task_id IS NULL", [project_key])


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
