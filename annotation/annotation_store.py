"""Keep in the workspace what a page of a project's tasks says: only ever adding, never twice."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

from mimecurate.annotation.changed_tasks import format_server_time, parse_server_time
from mimecurate.annotation.connection import ServerError
from mimecurate.annotation.results import Refused, Said, Shown, lead_time_s, read_annotation
from mimecurate.annotation.screen import fields_of
from mimecurate.curation.class_list import normal_class_name
from mimecurate.curation.release_stage import writing
from mimecurate.schemas.database import now

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from sqlite_utils import Database

    from mimecurate.annotation.changed_tasks import Page, People
    from mimecurate.annotation.rounds import Project

_COLUMNS = (
    "verdict", "label", "mime_artist", "object_relevant", "scene_relevant", "note", "start_ms",
    "end_ms",
)  # fmt: skip
_MAX_FPS_DENOMINATOR = 1001
_MAX_WHY = 2000
_UNREADABLE = "the server fails to give this task's answers (its log says why); mend or delete them"


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that a pull brought."""

    kind: Literal["new", "superseded", "refused", "deleted"]
    clip_id: str | None
    annotator: str | None
    said: Said | None = None
    why: str = ""


class AnnotationStore:
    """Takes over the tasks of one project."""

    def __init__(
        self,
        db: Database,
        project: Project,
        people: People,
        on_change: Callable[[Change], None] = lambda change: None,
    ) -> None:
        """Keep what ``project`` says; ``on_change`` is told of each thing that is new."""
        self._db, self._project, self._people, self._on_change = db, project, people, on_change
        self._classes = _classes(db, project.screen)
        mark = db.execute("SELECT mark FROM rounds WHERE round = ?", [project.round]).fetchone()[0]
        self._origin = f"label-studio/{mark}/{project.project_id}/"
        self.counts: Counter[str] = Counter()
        """How many changes there were of each kind."""
        self.newest: datetime | None = None
        """When the task that changed last did, by the server's clock."""
        self.drafted: dict[str, int] = {}
        """The tasks that have drafts, by clip."""
        self._refused: set[int] = set()

    def take(self, page: Page) -> None:
        """Keep a page, whole or not at all."""
        for answer in (answer for task in page.tasks for answer in _answers_of(task)):
            self._annotator_of(answer)
            self._people.email_of(answer.get("updated_by"))  # may ask the server: not while writing
        told: list[Change] = []
        with writing(self._db):
            for task in page.unreadable:
                self._see(task)
                told += self._refuse_alone(task["id"], _clip_of(task), _UNREADABLE)
            for task in page.tasks:
                told += self._take_task(task)
        self._tell(told)

    def take_listed(self, tasks: list[dict[str, Any]]) -> list[tuple[int, str]]:
        """Note tasks that were listed without their annotations, and refuse those not ours.

        Returns:
            Those that are ours: ids and clips.
        """
        ours: list[tuple[int, str]] = []
        told: list[Change] = []
        with writing(self._db):
            for task in tasks:
                task_id, clip_id = task["id"], _clip_of(task)
                why = self._mismatch(task_id, clip_id)
                if clip_id is None or why is not None:
                    told += self._refuse_alone(task_id, clip_id, why or "")
                else:
                    self._note_task(task_id, clip_id)
                    ours.append((task_id, clip_id))
        self._tell(told)
        return ours

    def _tell(self, changes: list[Change]) -> None:
        for change in changes:
            self.counts[change.kind] += 1
            self._on_change(change)

    def _take_task(self, task: Mapping[str, Any]) -> list[Change]:
        task_id, clip_id = task["id"], _clip_of(task)
        self._see(task)
        why = self._mismatch(task_id, clip_id)
        if clip_id is None or why is not None:
            return self._refuse_alone(task_id, clip_id, why or "")
        self._note_task(task_id, clip_id)
        if task.get("draft_exists"):
            self.drafted[clip_id] = task_id
        answers = _answers_of(task)
        self._refused.clear()
        changes = []
        for answer in answers:
            changes += self._take_answer(task_id, clip_id, answer)
        self._forget_refusals(task_id)
        skips = sum(answer.get("was_cancelled") is True for answer in answers)
        self._db.execute(
            "UPDATE tasks SET answers = ?, skips = ? WHERE project_key = ? AND clip_id = ?",
            [len(answers) - skips, skips, self._project.project_key, clip_id],
        )
        return changes + self._note_deleted(task_id, clip_id, {a.get("id") for a in answers})

    def _take_answer(self, task_id: int, clip_id: str, answer: Mapping[str, Any]) -> list[Change]:
        """Keep one annotation, unless it is kept already; say what that changed."""
        number = answer.get("id")
        if not isinstance(number, int):
            return self._refuse(task_id, 0, clip_id, None, "an annotation without an id")
        annotator = self._annotator_of(answer)
        try:
            changed = parse_server_time(answer.get("updated_at"))
        except ValueError as error:
            return self._refuse(task_id, number, clip_id, annotator, f"updated_at: {error}")
        prefix = f"{self._origin}{number}@"
        origin = prefix + format_server_time(changed)
        kept = self._db.execute(
            "SELECT annotation_id FROM annotations WHERE origin = ?", [origin]
        ).fetchone()
        if kept is not None:
            self._db.execute("DELETE FROM deletions WHERE annotation_id = ?", kept)
            return []
        if annotator is None:
            why = "nobody is named as its author (completed_by is empty)"
            return self._refuse(task_id, number, clip_id, None, why)
        said = read_annotation(answer, self._shown(clip_id))
        if isinstance(said, Refused):
            return self._refuse(task_id, number, clip_id, annotator, "; ".join(said.problems))
        earlier = self._earlier(prefix, clip_id, answer)
        row = {
            "clip_id": clip_id,
            "annotator": annotator,
            "round": self._project.round,
            "at": changed.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "skipped": int(said.skipped),
            **{column: getattr(said, column) for column in _COLUMNS},
            "seconds": lead_time_s(answer),
            "screen": self._project.screen,
            "origin": origin,
            "details": self._details(task_id, answer, annotator, said),
            "supersedes": earlier,
        }
        self._db.execute(
            f"INSERT INTO annotations ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})",
            list(row.values()),
        )
        kind: Literal["new", "superseded"] = "new" if earlier is None else "superseded"
        return [Change(kind, clip_id, annotator, said)]

    def _annotator_of(self, answer: Mapping[str, Any]) -> str | None:
        return self._people.email_of(answer.get("completed_by"), answer.get("created_username"))

    def _details(self, task_id: int, answer: Mapping[str, Any], annotator: str, said: Said) -> str:
        details: dict[str, object] = {
            "server": self._project.server,
            "project_id": self._project.project_id,
            "project_key": self._project.project_key,
            "task_id": task_id,
            "server_annotation_id": answer["id"],
            "created_at": _time_or_none(answer.get("created_at")),
            "updated_at": _time_or_none(answer.get("updated_at")),
        }
        editor = self._people.email_of(answer.get("updated_by"))
        if editor is not None and editor != annotator:
            details["updated_by"] = editor
        for name in ("frames", "label_origin", "hidden"):
            if value := getattr(said, name):
                details[name] = value
        return json.dumps(details, ensure_ascii=False)

    def _earlier(self, prefix: str, clip_id: str, answer: Mapping[str, Any]) -> int | None:
        """Find what was kept of an annotation before it was changed.

        A server whose database was lost gives its numbers again, to other people's annotations;
        the time of making, which no edit changes, tells those apart.
        """
        row = self._db.execute(
            "SELECT annotation_id FROM current_annotations WHERE origin >= ? AND origin < ? "
            "AND clip_id = ? AND json_extract(details, '$.project_key') = ? "
            "AND json_extract(details, '$.created_at') IS ? "
            "ORDER BY annotation_id DESC LIMIT 1",
            [
                prefix,
                _end_of(prefix),
                clip_id,
                self._project.project_key,
                _time_or_none(answer.get("created_at")),
            ],
        ).fetchone()
        return None if row is None else int(row[0])

    def _mismatch(self, task_id: int, clip_id: str | None) -> str | None:
        """Say why a task is not what was pushed, None if it is."""
        if clip_id is None:
            return f"task {task_id} names no clip: it was not pushed from here"
        ours = self._task(clip_id)
        if ours is None:
            return f"task {task_id} is of clip {clip_id[:80]!r}, which was not pushed to it"
        if ours[0] == task_id:
            return None
        other = self._db.execute(
            "SELECT clip_id FROM tasks WHERE project_key = ? AND task_id = ? AND gone_at IS NULL",
            [self._project.project_key, task_id],
        ).fetchone()
        if other is None:
            return None
        return f"task {task_id} was pushed with clip {other[0]}, and now says {clip_id}"

    def _task(self, clip_id: str) -> tuple[Any, ...] | None:
        row = self._db.execute(
            "SELECT task_id FROM tasks WHERE project_key = ? AND clip_id = ?",
            [self._project.project_key, clip_id],
        ).fetchone()
        return None if row is None else tuple(row)

    def _note_task(self, task_id: int, clip_id: str) -> None:
        self._db.execute(
            "UPDATE tasks SET task_id = coalesce(task_id, ?), gone_at = NULL "
            "WHERE project_key = ? AND clip_id = ?",
            [task_id, self._project.project_key, clip_id],
        )

    def _note_deleted(self, task_id: int, clip_id: str, there: set[Any]) -> list[Change]:
        """Note which answers of a task that were taken over are no longer on the server."""
        rows = self._db.execute(
            "SELECT annotation_id, annotator, json_extract(details, '$.server_annotation_id') "
            "FROM current_annotations WHERE clip_id = ? AND origin >= ? AND origin < ? "
            "AND json_extract(details, '$.project_key') = ? "
            "AND json_extract(details, '$.task_id') = ? "
            "AND annotation_id NOT IN (SELECT annotation_id FROM deletions)",
            [clip_id, self._origin, _end_of(self._origin), self._project.project_key, task_id],
        ).fetchall()
        gone = [row for row in rows if row[2] not in there]
        for row in gone:
            self._db.execute("INSERT INTO deletions VALUES (?, ?)", [row[0], now()])
        return [Change("deleted", clip_id, row[1]) for row in gone]

    def _shown(self, clip_id: str) -> Shown:
        fps, start_ms, end_ms, first_ms, frames, duration_ms = self._db.execute(
            "SELECT tasks.fps, clips.start_ms, clips.end_ms, media.start_ms, media.frames, "
            "media.duration_ms FROM tasks JOIN clips USING (clip_id) LEFT JOIN media "
            "USING (clip_id) WHERE project_key = ? AND clip_id = ?",
            [self._project.project_key, clip_id],
        ).fetchone()
        rate = Fraction(fps).limit_denominator(_MAX_FPS_DENOMINATOR)
        if end_ms is None:
            end_ms = start_ms + (duration_ms or 1)
        if frames is None:
            frames = round((end_ms - start_ms) * rate / 1000)
        return Shown(
            self._classes,
            start_ms,
            end_ms,
            start_ms if first_ms is None else first_ms,
            frames,
            rate,
        )

    def _refuse_alone(self, task_id: int, clip_id: str | None, why: str) -> list[Change]:
        """Refuse a task as a whole."""
        self._refused.clear()
        changes = self._refuse(task_id, 0, clip_id, None, why)
        self._forget_refusals(task_id)
        return changes

    def _refuse(
        self, task_id: int, number: int, clip_id: str | None, annotator: str | None, why: str
    ) -> list[Change]:
        """Note why an annotation is not taken over; no change where that was known."""
        why = why if len(why) <= _MAX_WHY else why[: _MAX_WHY - 1] + "…"
        self._refused.add(number)
        key = [self._project.project_key, task_id, number]
        known = self._db.execute(
            "SELECT why FROM refusals WHERE project_key = ? AND task_id = ? "
            "AND server_annotation_id = ?",
            key,
        ).fetchone()
        if known is not None and known[0] == why:
            return []
        self._db.execute(
            "INSERT OR REPLACE INTO refusals (project_key, task_id, server_annotation_id, clip_id, "
            "annotator, why, seen_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
            [*key, clip_id, annotator, why, now()],
        )
        return [Change("refused", clip_id, annotator, why=why)]

    def _forget_refusals(self, task_id: int) -> None:
        """Forget what was wrong with a task and no longer is."""
        still = ", ".join(str(number) for number in self._refused)
        self._db.execute(
            "DELETE FROM refusals WHERE project_key = ? AND task_id = ? "
            f"AND server_annotation_id NOT IN ({still})",
            [self._project.project_key, task_id],
        )

    def _see(self, task: Mapping[str, Any]) -> None:
        try:
            time = parse_server_time(task.get("updated_at"))
        except ValueError as error:
            raise ServerError(
                f"{self._project.server}: task {task['id']}: updated_at: {error}"
            ) from error
        if self.newest is None or time > self.newest:
            self.newest = time
        self._db.execute(
            "UPDATE tasks SET changed_at = ? WHERE project_key = ? AND clip_id = ?",
            [format_server_time(time), self._project.project_key, _clip_of(task)],
        )

    def is_kept(self, task: Mapping[str, Any]) -> bool:
        """Whether a task that was listed is as it was when it was last read."""
        row = self._db.execute(
            "SELECT changed_at FROM tasks WHERE project_key = ? AND clip_id = ?",
            [self._project.project_key, _clip_of(task)],
        ).fetchone()
        return row is not None and row[0] == _time_or_none(task.get("updated_at"))


def said_words(said: Said) -> str:
    """Say an answer in a few words.

    >>> said_words(Said(verdict="yes", label="archery", start_ms=6500, end_ms=9000))
    'yes archery trimmed'
    """
    if said.skipped:
        return "skipped"
    words = [said.verdict, said.label, "trimmed" if said.start_ms is not None else None]
    return " ".join(word for word in words if word)


def _answers_of(task: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = task.get("annotations")
    return [a for a in found if isinstance(a, dict)] if isinstance(found, list) else []


def _clip_of(task: Mapping[str, Any]) -> str | None:
    data = task.get("data")
    clip_id = data.get("clip_id") if isinstance(data, dict) else None
    return clip_id if isinstance(clip_id, str) and clip_id.isprintable() else None


def _time_or_none(text: object) -> str | None:
    try:
        return format_server_time(parse_server_time(text))
    except ValueError:
        return None


def _classes(db: Database, screen: str) -> dict[str, str]:
    """Return the classes that a screen offers, by their normal names."""
    row = db.execute("SELECT config FROM screens WHERE screen = ?", [screen]).fetchone()
    return {normal_class_name(name): name for name in fields_of(row[0]).get("label", ())}


def _end_of(prefix: str) -> str:
    """Return the least text behind all that begin with ``prefix``."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)
