"""Bring what annotators said from a Label Studio server into the workspace.

Each pull asks every project for the tasks that changed since the last, and keeps what is new: an
edit supersedes what was there before, nothing is changed or deleted here. A page of tasks is kept
whole or not at all, and the time up to which a project was pulled only moves once all of it was: a
pull that is killed is finished by the next.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mimecurate.annotation.annotation_store import AnnotationStore, Change
from mimecurate.annotation.changed_tasks import (
    People,
    changed_tasks,
    draft_authors,
    listed_tasks,
    read_projects,
    read_tasks,
)
from mimecurate.annotation.connection import ServerError
from mimecurate.annotation.pull_marks import read_marks, store_marks
from mimecurate.annotation.round_projects import find_on_server
from mimecurate.annotation.rounds import Project, find_round, project_mark
from mimecurate.errors import MimecurateError
from mimecurate.schemas.database import now

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlite_utils import Database

    from mimecurate.annotation.changed_tasks import Page
    from mimecurate.annotation.connection import Connection
    from mimecurate.curation.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Pulled:
    """What a pull brought, and what then stands of the rounds that were pulled."""

    new: int
    """Annotations that were not known, skipped clips included."""
    unchanged: int
    """Annotations that stand as they were pulled before."""
    superseded: int
    """Annotations that were edited since; the earlier form is kept as history."""
    annotators: int
    """Who has answered in these rounds."""
    cancelled: int
    """Skipped clips among the annotations that stand; a skip is no vote."""
    refused: int
    """Annotations and tasks on the server that can't be taken over; the table `refusals`."""
    drafts: int
    """Answers that were begun and not submitted."""
    deleted: int
    """Annotations that are no longer on the server; what they say stands."""
    gone_tasks: int
    """Clips whose task is no longer on the server."""
    edited_by_others: int
    """Annotations that somebody else than their annotator wrote last."""
    problems: tuple[str, ...]
    """Projects that could not be pulled, a line for each."""


def pull(
    workspace: Workspace,
    connection: Connection,
    *,
    rounds: Sequence[str] | None = None,
    progress: Callable[[int], None] = lambda tasks: None,
    on_change: Callable[[Change], None] = lambda change: None,
) -> Pulled:
    """Pull what changed on a server.

    Args:
        workspace: open for writing.
        connection: to the server.
        rounds: their names; None: all that were pushed to this server.
        progress: told how many tasks each page had.
        on_change: told of each annotation that is new, edited, refused or deleted, once it is kept.

    Raises:
        MimecurateError: no such round was pushed to this server.
        ServerError: the server fails; what was kept stays, and the next pull goes on from there.
        WorkspaceBusyError: another pull is running in this workspace.
    """
    with workspace.lock("pull", "mimecurate annotate pull"):
        db = workspace.db
        chosen = _projects(db, connection, rounds)
        descriptions = read_projects(connection, [entry.project.project_id for entry in chosen])
        people = People(connection)
        problems: list[str] = []
        counts: Counter[str] = Counter()
        for entry in chosen:
            there = descriptions.get(entry.project.project_id)
            described = None if there is None else str(there.get("description") or "")
            problem = _why_not(db, connection, entry, described)
            if problem is None:
                store = AnnotationStore(db, entry.project, people, on_change)
                total = int((there or {}).get("task_number") or 0)
                _pull_project(db, connection, entry, store, total, progress)
                counts += store.counts
            elif problem:
                problems.append(problem)
        return _result(db, [e.project.project_key for e in chosen], counts, problems)


@dataclass(frozen=True, slots=True)
class _Entry:
    project: Project
    mark: str
    tasks_there: int | None
    is_gone: bool


def _projects(db: Database, connection: Connection, rounds: Sequence[str] | None) -> list[_Entry]:
    server = connection.url
    rows = db.execute(
        "SELECT project_key, round, server, project_id, annotator, title, screen, mark, "
        "tasks_there, gone_at IS NOT NULL FROM projects JOIN rounds USING (round) "
        "ORDER BY project_key"
    ).fetchall()
    wanted = [row for row in rows if rounds is None or row[1] in rounds]
    for name in rounds or ():
        if all(row[1] != name for row in rows):
            known = ", ".join(sorted({repr(row[1]) for row in rows})) or "none was"
            raise MimecurateError(f"round {name!r} was never pushed; pushed: {known}")
    if not wanted:
        raise MimecurateError("nothing was pushed yet; begin with: mimecurate annotate push")
    entries = [
        _Entry(Project(*row[:7]), mark, there, bool(is_gone))
        for row in wanted
        for mark, there, is_gone in [row[7:]]
    ]
    here = [entry for entry in entries if entry.project.server == server]
    here = here or [moved for entry in entries if (moved := _moved(db, connection, entry))]
    if not here:
        where = ", ".join(sorted({entry.project.server for entry in entries}))
        raise MimecurateError(
            f"{server}: nothing was pushed there, but to {where}; give that as --url"
        )
    if all(entry.is_gone for entry in here) and rounds is not None:
        raise MimecurateError(
            f"round {', '.join(rounds)}: its projects on {server} were deleted there; "
            "what was pulled stays"
        )
    return here


def _moved(db: Database, connection: Connection, entry: _Entry) -> _Entry | None:
    """Find a project under another address than it was pushed to, by its mark."""
    project = entry.project
    round_ = find_round(db, project.round)
    assert round_ is not None
    found = find_on_server(connection, round_, project.annotator)
    if found is None:
        return None
    moved = replace(project, server=connection.url, project_id=int(found["id"]))
    with db.atomic():
        db.execute(
            "UPDATE projects SET server = ?, project_id = ? WHERE project_key = ?",
            [moved.server, moved.project_id, moved.project_key],
        )
    return replace(entry, project=moved)


def _why_not(
    db: Database, connection: Connection, entry: _Entry, description: str | None
) -> str | None:
    """Say why a project can't be pulled; "" for one that is known to be gone."""
    project = entry.project
    where = f"round {project.round}: project {project.project_id} on {project.server}"
    if description is None:
        if entry.is_gone:
            return ""
        if not _is_gone(connection, project.project_id):
            return f"{where} is not listed there; may {connection.whoami} see it?"
        _note_gone(db, project)
        return f"{where} was deleted there; what was pulled stays"
    mark = project_mark(entry.mark, project.annotator)
    if mark not in description:
        return (
            ""
            if entry.is_gone
            else (f"{where} is not the one that was pushed: its description lacks {mark}")
        )
    if entry.is_gone:
        with db.atomic():
            db.execute(
                "UPDATE OR IGNORE projects SET gone_at = NULL WHERE project_key = ?",
                [project.project_key],
            )
    return None


def _is_gone(connection: Connection, project_id: int) -> bool:
    try:
        connection.get(f"/api/projects/{project_id}")
    except ServerError as error:
        if error.status == 404:
            return True
        raise
    return False


def _note_gone(db: Database, project: Project) -> None:
    with db.atomic():
        db.execute(
            "UPDATE projects SET gone_at = ? WHERE project_key = ?", [now(), project.project_key]
        )


def _pull_project(
    db: Database,
    connection: Connection,
    entry: _Entry,
    store: AnnotationStore,
    total: int,
    progress: Callable[[int], None],
) -> None:
    project = entry.project
    marks, began = read_marks(db, project.project_key), datetime.now(UTC)

    def take(page: Page) -> None:
        store.take(page)
        progress(len(page.tasks) + len(page.unreadable))

    for page in changed_tasks(connection, project.project_id, marks.pulled_until):
        take(page)
    if between := marks.to_check(began):
        for listed in listed_tasks(connection, project.project_id, between):
            late = [task for task in listed if not store.is_kept(task)]
            for page in read_tasks(connection, project.project_id, late):
                take(page)
    ended = datetime.now(UTC)
    _note_drafts(db, connection, project, store.drafted)
    known = db.execute(
        "SELECT count(*) FROM tasks WHERE project_key = ? AND task_id IS NOT NULL "
        "AND gone_at IS NULL",
        [project.project_key],
    ).fetchone()[0]
    if total not in {known, entry.tasks_there}:
        _compare_tasks(db, connection, project, store)
    with db.atomic():
        store_marks(db, project.project_key, marks.after(store.newest, began, ended))
        db.execute(
            "UPDATE projects SET pulled_at = ?, tasks_there = ? WHERE project_key = ?",
            [now(), total, project.project_key],
        )


def _note_drafts(
    db: Database, connection: Connection, project: Project, drafted: dict[str, int]
) -> None:
    """Keep who has begun which clips; asked for once for each, as drafts are many requests."""
    key = project.project_key
    kept = {row[0] for row in db.execute("SELECT clip_id FROM drafts WHERE project_key = ?", [key])}
    fresh = {
        clip_id: draft_authors(connection, task_id)
        for clip_id, task_id in drafted.items()
        if clip_id not in kept
    }
    with db.atomic():
        for clip_id in kept - drafted.keys():
            db.execute("DELETE FROM drafts WHERE project_key = ? AND clip_id = ?", [key, clip_id])
        for clip_id, authors in fresh.items():
            for author in authors:
                db.execute("INSERT INTO drafts VALUES (?, ?, ?)", [key, clip_id, author])
        db.execute(
            "UPDATE tasks SET drafts = (SELECT count(*) FROM drafts "
            "WHERE drafts.project_key = tasks.project_key AND drafts.clip_id = tasks.clip_id) "
            "WHERE project_key = ? AND (drafts > 0 OR clip_id IN "
            "(SELECT clip_id FROM drafts WHERE drafts.project_key = ?))",
            [key, key],
        )


def _compare_tasks(
    db: Database, connection: Connection, project: Project, store: AnnotationStore
) -> None:
    """Find out which tasks are gone from the server, and which were added by somebody else."""
    db.execute("CREATE TEMP TABLE IF NOT EXISTS there (task_id INTEGER, clip_id TEXT PRIMARY KEY)")
    with db.atomic():
        db.execute("DELETE FROM temp.there")
    key = project.project_key
    ids: set[int] = set()
    for tasks in listed_tasks(connection, project.project_id):
        ids |= {task["id"] for task in tasks}
        ours = store.take_listed(tasks)
        with db.atomic():
            db.conn.executemany("INSERT OR IGNORE INTO temp.there VALUES (?, ?)", ours)
    with db.atomic():
        db.execute(
            "UPDATE tasks SET gone_at = ? WHERE project_key = ? AND task_id IS NOT NULL "
            "AND gone_at IS NULL AND clip_id NOT IN (SELECT clip_id FROM temp.there)",
            [now(), key],
        )
        refused = db.execute("SELECT task_id FROM refusals WHERE project_key = ?", [key])
        for task_id in {row[0] for row in refused} - ids:
            db.execute("DELETE FROM refusals WHERE project_key = ? AND task_id = ?", [key, task_id])


def _result(
    db: Database, project_keys: Sequence[int], counts: Counter[str], problems: Sequence[str]
) -> Pulled:
    keys = ", ".join(map(str, project_keys))
    standing = (
        "FROM current_annotations WHERE round IN (SELECT round FROM projects WHERE project_key IN "
        f"({keys})) AND json_extract(details, '$.project_key') IN ({keys})"
    )

    kept, annotators, skipped, edited = db.execute(
        "SELECT count(*), count(DISTINCT annotator), coalesce(sum(skipped), 0), "
        f"count(json_extract(details, '$.updated_by')) {standing}"
    ).fetchone()

    def number(where: str) -> int:
        return int(db.execute(f"SELECT count(*) FROM {where}").fetchone()[0])

    new, superseded = counts["new"], counts["superseded"]
    return Pulled(
        new=new,
        unchanged=kept - new - superseded,
        superseded=superseded,
        annotators=annotators,
        cancelled=skipped,
        refused=number(f"refusals WHERE project_key IN ({keys})"),
        drafts=number(f"drafts WHERE project_key IN ({keys})"),
        deleted=number(f"deletions WHERE annotation_id IN (SELECT annotation_id {standing})"),
        gone_tasks=number(f"tasks WHERE project_key IN ({keys}) AND gone_at IS NOT NULL"),
        edited_by_others=edited,
        problems=tuple(problems),
    )
