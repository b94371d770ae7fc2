"""The projects of a round on a server: found by the round's mark, or made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mimecurate.annotation.connection import LostAnswerError, ServerError
from mimecurate.annotation.rounds import (
    Project,
    Round,
    find_projects,
    project_mark,
    project_title,
    store_screen,
)
from mimecurate.annotation.screen import check_change, hash_of
from mimecurate.errors import MimecurateError
from mimecurate.schemas.database import now

if TYPE_CHECKING:
    from sqlite_utils import Database

    from mimecurate.annotation.connection import Connection
    from mimecurate.annotation.screen import Screen

_PAGE = 100
_READ = (
    "id,title,description,label_config,maximum_annotations,show_collab_predictions,model_version"
)
"""Fields of a project: all others are left out of the list when some are asked for."""


@dataclass(frozen=True, slots=True)
class ProjectSettings:
    """How a project should be."""

    screen: Screen
    annotator: str | None = None
    """Whose it is, where each annotator has one."""
    model_version: str = ""
    """What its clips are pre-filled from; nothing is shown where empty."""
    about: str = "Clips to label."
    """First line of the description, which annotators may see."""


def open_project(
    db: Database, connection: Connection, round_: Round, settings: ProjectSettings
) -> Project:
    """Find the project of a round on a server, or make it; bring its settings up to date.

    Args:
        db: the workspace's database.
        connection: to the server.
        round_: the round.
        settings: how the project should be.

    Raises:
        MimecurateError: the screen can't change any more; or the recorded project carries another
            mark now.
        ServerError: the server refuses, or is gone.
    """
    store_screen(db, settings.screen)
    known = _known(db, connection.url, round_, settings.annotator)
    found = _find(connection, round_, settings.annotator, known)
    if found is None:
        if known is not None:
            _strike(db, known)
        found = _make(connection, round_, settings)
        return _record(db, connection.url, round_, settings, found)
    _bring_up_to_date(db, connection, round_, settings, found)
    return _record(db, connection.url, round_, settings, found)


def find_on_server(
    connection: Connection, round_: Round, annotator: str | None = None
) -> dict[str, Any] | None:
    """Return the project that carries a round's mark, the oldest if there are several."""
    mark = project_mark(round_.mark, annotator)
    found = [
        project
        for page in connection.pages("/api/projects", {"include": _READ}, page_size=_PAGE)
        for project in page
        if mark in (project.get("description") or "")
    ]
    return min(found, key=lambda project: int(project["id"]), default=None)


def _known(db: Database, server: str, round_: Round, annotator: str | None) -> Project | None:
    """Return the recorded project, on this server if there is one, else under another address."""
    same = [p for p in find_projects(db, round_.round) if p.annotator == annotator]
    return min(same, key=lambda p: p.server != server, default=None)


def _find(
    connection: Connection, round_: Round, annotator: str | None, known: Project | None
) -> dict[str, Any] | None:
    project: dict[str, Any] | None = None
    if known is not None and known.server == connection.url:
        try:
            project = connection.get(f"/api/projects/{known.project_id}")
        except ServerError as error:
            if error.status != 404:
                raise
    mark = project_mark(round_.mark, annotator)
    if project is not None and mark in (project.get("description") or ""):
        return project
    found = find_on_server(connection, round_, annotator)
    if found is None and project is not None and known is not None:
        raise MimecurateError(
            f"{connection.url}/projects/{known.project_id} ({project.get('title')!r}) lacks the "
            f"mark of round {round_.round!r} in its description: put {mark} back there if it is "
            "that round's project; if the server was set up anew, begin another round with --round"
        )
    return found


def _make(connection: Connection, round_: Round, settings: ProjectSettings) -> dict[str, Any]:
    body = {
        "title": project_title(round_.round, round_.mark, settings.annotator),
        "description": f"{settings.about}\n{project_mark(round_.mark, settings.annotator)}",
        "label_config": settings.screen.config,
        "sampling": "Sequential sampling",
        "enable_empty_annotation": False,
        "show_annotation_history": False,
        **_changing(round_, settings),
    }
    try:
        made = connection.post("/api/projects", body)
    except LostAnswerError:
        made = find_on_server(connection, round_, settings.annotator)
        if made is None:
            raise
    assert isinstance(made, dict)
    return made


def _changing(round_: Round, settings: ProjectSettings) -> dict[str, Any]:
    """Settings that a later push may change."""
    prefills = {"show_collab_predictions": True, "model_version": settings.model_version}
    return {
        "maximum_annotations": round_.overlap,
        **(prefills if settings.model_version else {}),
    }


def _bring_up_to_date(
    db: Database,
    connection: Connection,
    round_: Round,
    settings: ProjectSettings,
    found: dict[str, Any],
) -> None:
    path = f"/api/projects/{found['id']}"
    wanted = _changing(round_, settings)
    old = str(found.get("label_config") or "")
    if hash_of(old) != settings.screen.screen:
        check_change(old, settings.screen.config, answered=_is_answered(connection, found))
        wanted["label_config"] = settings.screen.config
    changes = {name: value for name, value in wanted.items() if found.get(name) != value}
    if changes:
        connection.patch(path, changes)


def _is_answered(connection: Connection, found: dict[str, Any]) -> bool:
    query = {"project": found["id"], "fields": "task_only", "include": "id", "page_size": 1}
    answer = connection.get("/api/tasks", **query)
    return int(answer.get("total_annotations") or 0) > 0


def _strike(db: Database, project: Project) -> None:
    """Write down that a project is gone; what was pulled from it stays."""
    with db.atomic():
        db.execute(
            "UPDATE projects SET gone_at = ? WHERE project_key = ?", [now(), project.project_key]
        )


def _record(
    db: Database,
    server: str,
    round_: Round,
    settings: ProjectSettings,
    found: dict[str, Any],
) -> Project:
    """Write down where a round's project is, and which screen it has."""
    project_id, title = int(found["id"]), str(found["title"])
    known = _known(db, server, round_, settings.annotator)
    with db.atomic():
        if known is not None:
            db.execute(
                "UPDATE projects SET server = ?, project_id = ?, title = ?, screen = ? "
                "WHERE project_key = ?",
                [server, project_id, title, settings.screen.screen, known.project_key],
            )
        else:
            row = [round_.round, server, project_id, settings.annotator, title]
            _forget_namesake(db, server, project_id, round_)
            db.execute(
                "INSERT INTO projects (round, server, project_id, annotator, title, screen, "
                "made_at) VALUES (?, ?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (server, project_id, round) DO UPDATE SET "
                "annotator = excluded.annotator, title = excluded.title, screen = excluded.screen, "
                "made_at = excluded.made_at, pulled_until = NULL, settled_until = NULL, "
                "marked_until = NULL, marked_at = NULL, tasks_there = NULL, gone_at = NULL",
                [*row, settings.screen.screen, now()],
            )
    recorded = _known(db, server, round_, settings.annotator)
    assert recorded is not None
    return recorded


def _forget_namesake(db: Database, server: str, project_id: int, round_: Round) -> None:
    """Note that the tasks of an earlier project with the same number are gone.

    A server whose database was lost, or set up anew, counts from 1 again.
    """
    db.execute(
        "UPDATE tasks SET gone_at = ? WHERE gone_at IS NULL AND project_key IN (SELECT project_key "
        "FROM projects WHERE server = ? AND project_id = ? AND round = ?)",
        [now(), server, project_id, round_.round],
    )
