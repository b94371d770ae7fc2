"""The tasks of one project on a server, as far as sending them needs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from mimecurate.annotation.connection import LostAnswerError, ServerError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

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

    def answered(self, clip_ids: Mapping[int, str]) -> dict[int, bool]:
        """Say of tasks whether somebody annotated them or began to.

        Args:
            clip_ids: the tasks, and the clip that each is thought to be of.

        Returns:
            Nothing of a task that is gone, or is another clip's.
        """
        ...

    def update(self, task_id: int, data: dict[str, object]) -> None:
        """Replace a task's data."""
        ...

    def delete(self, task_ids: Sequence[int]) -> None:
        """Delete tasks; one that is gone is deleted."""
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
        query = {"ids": self._project_id, "include": "id,task_number"}
        answer = self._connection.get("/api/projects/counts", **query)
        found = [int(project["task_number"]) for project in answer["results"]]
        if not found:
            raise ServerError(f"project {self._project_id} is gone", 404)
        return found[0]

    def send(self, tasks: Sequence[dict[str, object]]) -> list[int]:
        """Add tasks, all or none; return their ids in the same order."""
        answer = self._connection.post(
            f"/api/projects/{self._project_id}/import", tasks, return_task_ids="true"
        )
        return [int(task_id) for task_id in answer["task_ids"]]

    def answered(self, clip_ids: Mapping[int, str]) -> dict[int, bool]:
        """Say of tasks whether somebody annotated them or began to."""
        wanted = {
            "filter": "filter:tasks:id",
            "operator": "in_list",
            "type": "Number",
            "value": list(clip_ids),
        }
        query = {
            "project": self._project_id,
            "fields": "all",
            "query": json.dumps({"filters": {"conjunction": "and", "items": [wanted]}}),
        }
        return {
            task["id"]: any(task.get(key) for key in _BUSY)
            for page in self._connection.pages("/api/tasks", query, page_size=PAGE)
            for task in page
            if task["data"].get("clip_id") == clip_ids.get(task["id"])
        }

    def update(self, task_id: int, data: dict[str, object]) -> None:
        """Replace a task's data."""
        try:
            self._connection.patch(f"/api/tasks/{task_id}", {"data": data})
        except LostAnswerError:  # to replace it once more changes nothing
            self._connection.patch(f"/api/tasks/{task_id}", {"data": data})

    def delete(self, task_ids: Sequence[int]) -> None:
        """Delete tasks; one that is gone is deleted."""
        chosen = {"selectedItems": {"all": False, "included": list(task_ids)}}
        self._connection.post(
            "/api/dm/actions/", chosen, id="delete_tasks", project=self._project_id
        )
