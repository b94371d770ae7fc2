"""The tasks of one project on a server, as far as sending them needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from mimecurate.annotation.connection import LostAnswerError, ServerError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mimecurate.annotation.connection import Connection

PAGE = 1000
_BUSY = frozenset({"annotations", "drafts"})


@dataclass(frozen=True, slots=True)
class StoredTask:
    """A task on the server."""

    task_id: int
    data: dict[str, Any]

    @property
    def clip_id(self) -> str | None:
        """The clip it is of; None for what somebody else put there."""
        found = self.data.get("clip_id")
        return found if isinstance(found, str) else None


class TaskStore(Protocol):
    """What `mimecurate.annotation.send_tasks` needs of a project.

    Raises:
        LostAnswerError: by what writes: sent, and nobody knows whether it was done.
        ServerError: anything else is wrong with the server.
    """

    def pages(self) -> Iterator[list[StoredTask]]:
        """Yield all tasks by their id, a page at a time."""
        ...

    def count(self) -> int:
        """Count the tasks."""
        ...

    def send(self, tasks: Sequence[dict[str, object]]) -> list[int]:
        """Add tasks, all or none; return their ids in the same order."""
        ...

    def is_answered(self, task_id: int, clip_id: str) -> bool | None:
        """Whether somebody annotated it or began to; None if it is gone, or another clip's."""
        ...

    def update(self, task_id: int, data: dict[str, object]) -> None:
        """Replace a task's data."""
        ...

    def delete(self, task_id: int) -> None:
        """Delete a task; one that is gone is deleted."""
        ...


class ProjectTasks:
    """The tasks of a project of Label Studio."""

    def __init__(self, connection: Connection, project_id: int) -> None:
        """Talk about the project ``project_id``."""
        self._connection = connection
        self._project_id = project_id
        self._query = {
            "project": project_id,
            "fields": "task_only",
            "include": "id,data",
            "resolve_uri": "false",
        }

    def pages(self) -> Iterator[list[StoredTask]]:
        """Yield all tasks by their id, a page at a time."""
        for page in self._connection.pages("/api/tasks", self._query, page_size=PAGE):
            yield [StoredTask(int(task["id"]), task["data"]) for task in page]

    def count(self) -> int:
        """Count the tasks."""
        answer = self._connection.get("/api/tasks", **self._query, page_size=1)
        return int(answer["total"])

    def send(self, tasks: Sequence[dict[str, object]]) -> list[int]:
        """Add tasks, all or none; return their ids in the same order."""
        answer = self._connection.post(
            f"/api/projects/{self._project_id}/import", tasks, return_task_ids="true"
        )
        return [int(task_id) for task_id in answer["task_ids"]]

    def is_answered(self, task_id: int, clip_id: str) -> bool | None:
        """Whether somebody annotated it or began to; None if it is gone, or another clip's."""
        try:
            task = self._connection.get(f"/api/tasks/{task_id}")
        except ServerError as error:
            if error.status == 404:
                return None
            raise
        if task.get("project") != self._project_id or task["data"].get("clip_id") != clip_id:
            return None
        return any(task.get(key) for key in _BUSY)

    def update(self, task_id: int, data: dict[str, object]) -> None:
        """Replace a task's data."""
        try:
            self._connection.patch(f"/api/tasks/{task_id}", {"data": data})
        except LostAnswerError:  # to replace it once more changes nothing
            self._connection.patch(f"/api/tasks/{task_id}", {"data": data})

    def delete(self, task_id: int) -> None:
        """Delete a task; one that is gone is deleted."""
        try:
            self._connection.delete(f"/api/tasks/{task_id}")
        except ServerError as error:
            if error.status != 404:
                raise
