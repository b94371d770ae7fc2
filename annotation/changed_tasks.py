"""What changed in a project on a Label Studio server, read a page of tasks at a time.

Pages follow each other by task id: what others add or delete in the meantime moves nothing from a
page still to come into one that was read.

One annotation can make the server fail on every list that holds it (half a Unicode character, an
infinite time); such a task is found by halving its page, and left out by name.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from mimecurate.annotation.connection import ServerError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from mimecurate.annotation.connection import Connection

PAGE = 200
"""Tasks in a page: more are no faster."""
MAX_UNREADABLE = 20
"""More tasks of one page that the server can't give mean that the server is broken."""
_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"
_NAMED = re.compile(r"(\S+@\S+), (\d+)\Z")


@dataclass(frozen=True, slots=True)
class Page:
    """Some tasks, by id, and those that the server fails to give with their annotations."""

    tasks: list[dict[str, Any]] = field(default_factory=list)
    unreadable: list[dict[str, Any]] = field(default_factory=list)


def changed_tasks(connection: Connection, project_id: int, since: str | None) -> Iterator[Page]:
    """Yield the tasks that changed, with all their annotations, and every task with a draft.

    Args:
        connection: to the server.
        project_id: the project's id there.
        since: a time of the server, as `format_server_time` writes it; what changed then and before
            does not come. None: every task that has an annotation.

    Raises:
        ServerError: also with status 404, if the project is gone.
    """
    last = 0
    while True:
        query = {"project": project_id, "page_size": PAGE, "resolve_uri": "false"}
        filters = [_after(_changed(since), last), _after(_HAS_DRAFT, last)]
        page, length = _read_page(connection, query, filters)
        yield page
        if length < PAGE:
            return
        last = max(task["id"] for task in [*page.tasks, *page.unreadable])


def listed_tasks(
    connection: Connection, project_id: int, between: tuple[str, str] | None = None
) -> Iterator[list[dict[str, Any]]]:
    """Yield the tasks of a project without their annotations, which is much quicker.

    Args:
        connection: to the server.
        project_id: the project's id there.
        between: two times of the server; only tasks that have annotations and changed after the
            first, and not after the second.
    """
    wanted = []
    if between is not None:
        wanted = [
            _changed(None),
            _filter("updated_at", "greater", "Datetime", between[0]),
            _filter("updated_at", "less_or_equal", "Datetime", between[1]),
        ]
    last, most = 0, PAGE * 5
    while True:
        query = {"project": project_id, "page_size": most, "resolve_uri": "false"}
        tasks = _get(connection, query, [*wanted, _with_id_over(last)], conjunction="and")
        if tasks:
            yield tasks
            last = max(task["id"] for task in tasks)
        if len(tasks) < most:
            return


def read_tasks(
    connection: Connection, project_id: int, listed: Sequence[dict[str, Any]]
) -> Iterator[Page]:
    """Yield tasks that were listed, with their annotations."""
    query = {"project": project_id, "page_size": PAGE, "resolve_uri": "false"}
    for start in range(0, len(listed), PAGE):
        yield _read_parts(connection, query, list(listed[start : start + PAGE]))


def draft_authors(connection: Connection, task_id: int) -> list[str]:
    """Return who has begun and not submitted an answer to a task."""
    drafts = connection.get(f"/api/tasks/{task_id}/drafts")
    if not isinstance(drafts, list):
        raise ServerError(f"{connection.url}: it answered no list of drafts of task {task_id}")
    return sorted({str(d["user"]) for d in drafts if isinstance(d, dict) and d.get("user")})


def read_projects(
    connection: Connection, project_ids: Iterable[int]
) -> Mapping[int, dict[str, Any]]:
    """Read projects by id: description and number of tasks; those not there are left out."""
    ids = ",".join(map(str, project_ids))
    query = {"ids": ids, "include": "id,description,task_number"}
    found: dict[int, dict[str, Any]] = {}
    for page in connection.pages("/api/projects", query):
        found |= {project["id"]: project for project in page}
    return found


class People:
    """Who is who on a server, asked for once and only where an annotation doesn't say it."""

    def __init__(self, connection: Connection) -> None:
        """Ask over ``connection``."""
        self._connection = connection
        self._known: dict[int, str] = {}
        self._asked = False

    def email_of(self, who: object, named: object = None) -> str | None:
        """Return a user's e-mail address.

        Args:
            who: the user's id, or an object with it.
            named: the server's words for them: ``First Last a@example.org, 3``.

        Returns:
            The address, ``user 3`` where the server no longer knows it; None for nobody.
        """
        user = who.get("id") if isinstance(who, dict) else who
        if not isinstance(user, int) or isinstance(user, bool):
            return None
        match = _NAMED.search(named) if isinstance(named, str) else None
        if match and user not in self._known and match[2] == str(user):
            self._known[user] = match[1]
        if user not in self._known and not self._asked:
            self._ask()
        return self._known.get(user, f"user {user}")

    def _ask(self) -> None:
        self._asked = True
        for page in self._connection.pages("/api/users"):
            self._known |= {
                user["id"]: user["email"] for user in page if isinstance(user.get("email"), str)
            }


def parse_server_time(text: object) -> datetime:
    """Read a time as the server writes it.

    Raises:
        ValueError: it is none.

    >>> parse_server_time("2026-11-21T03:35:22.107566Z")
    datetime.datetime(2026, 11, 21, 3, 35, 22, 107566, tzinfo=datetime.timezone.utc)
    """
    if not isinstance(text, str):
        raise ValueError(f"{text!r} is no time")
    time = datetime.fromisoformat(text)
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def format_server_time(time: datetime) -> str:
    """Write a time as the server wants it in a filter: any other form makes it fail."""
    return time.astimezone(UTC).strftime(_FORMAT)


def _changed(since: str | None) -> dict[str, object]:
    if since is None:
        return _filter("annotations_ids", "empty", "String", "false")
    return _filter("updated_at", "greater", "Datetime", since)


def _filter(column: str, operator: str, kind: str, value: object) -> dict[str, object]:
    return {"filter": f"filter:tasks:{column}", "operator": operator, "type": kind, "value": value}


_HAS_DRAFT = _filter("draft_exists", "equal", "Boolean", "true")


def _with_id_over(task_id: int) -> dict[str, object]:
    return _filter("id", "greater", "Number", task_id)


def _after(one: dict[str, object], task_id: int) -> dict[str, object]:
    return {**one, "child_filter": _with_id_over(task_id)}


def _read_page(
    connection: Connection, query: dict[str, object], filters: list[dict[str, object]]
) -> tuple[Page, int]:
    """Read a page, and how many the server listed in it."""
    try:
        tasks = _get(connection, {**query, "fields": "all"}, filters)
    except ServerError as error:
        if error.status != 500:
            raise
        listed = _get(connection, query, filters)
        return _read_parts(connection, query, listed), len(listed)
    return Page(_by_id(tasks)), len(tasks)


def _read_parts(
    connection: Connection, query: dict[str, object], listed: list[dict[str, Any]]
) -> Page:
    page = Page()
    parts = [_by_id(listed)] if listed else []
    while parts:
        part = parts.pop()
        ids = [task["id"] for task in part]
        try:
            found = _get(connection, {**query, "fields": "all"}, included=ids)
        except ServerError as error:
            if error.status != 500:
                raise
            if len(part) == 1:
                page.unreadable.append(part[0])
                if len(page.unreadable) > MAX_UNREADABLE:
                    raise
            else:
                middle = len(part) // 2
                parts += [part[middle:], part[:middle]]
        else:
            page.tasks.extend(_by_id(found))
    return page


def _get(
    connection: Connection,
    query: dict[str, object],
    filters: list[dict[str, object]] | None = None,
    included: list[int] | None = None,
    conjunction: Literal["and", "or"] = "or",
) -> list[dict[str, Any]]:
    asked: dict[str, object] = {"ordering": ["tasks:id"]}
    if filters is not None:
        asked["filters"] = {"conjunction": conjunction, "items": filters}
    if included is not None:
        asked["selectedItems"] = {"all": False, "included": included}
    answer = connection.get("/api/tasks", **query, query=json.dumps(asked))
    tasks = answer.get("tasks") if isinstance(answer, dict) else None
    if not isinstance(tasks, list) or not all(
        isinstance(task, dict) and isinstance(task.get("id"), int) for task in tasks
    ):
        raise ServerError(f"{connection.url}: it answered no list of tasks")
    return tasks


def _by_id(tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return list({task["id"]: task for task in tasks}.values())
