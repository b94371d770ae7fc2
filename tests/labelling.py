"""A round of small clips on a real Label Studio, and people who answer it through its API."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mimecurate.annotation.rounds import project_mark, store_round, store_screen
from mimecurate.annotation.screen import ScreenClass, build_screen
from mimecurate.annotation.task_data import task_data
from mimecurate.schemas.database import now

if TYPE_CHECKING:
    from collections.abc import Sequence

    from label_studio import LabelStudio, User

    from mimecurate.annotation.connection import Connection
    from mimecurate.curation.workspace import Workspace

CLASSES = ("archery", "drinking", "punching person (boxing)")
FPS = 25.0
FRAMES = 100
START_MS, END_MS = 6000, 10_000
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Labelling:
    """A round that was pushed: task ids by clip, on one project."""

    space: Workspace
    round: str
    project_key: int
    project_id: int
    tasks: dict[str, int]


def add_clips(space: Workspace, count: int, prefix: str = "vid") -> list[str]:
    """Make clips known, with media that nobody looks at; their classes take turns."""
    clip_ids = []
    with space.db.atomic():
        for number in range(count):
            video, label = f"{prefix}{number:08d}", CLASSES[number % len(CLASSES)]
            clip_id = f"{video}_000006_000010"
            space.db.execute("INSERT INTO videos (video_id, added_at) VALUES (?, 'x')", [video])
            space.db.execute(
                "INSERT INTO clips (clip_id, video_id, start_ms, end_ms, label, added_at) "
                "VALUES (?, ?, ?, ?, ?, 'x')",
                [clip_id, video, START_MS, END_MS, label],
            )
            space.db.execute(
                "INSERT INTO media VALUES (?, ?, 'x', 1, ?, 16, 16, ?, ?, 'h264', NULL, 'smart', "
                "?, NULL, '', x'00', 'x', 'x')",
                [clip_id, f"{clip_id}.mp4", END_MS - START_MS, FPS, FRAMES, START_MS],
            )
            clip_ids.append(clip_id)
    return clip_ids


def push_round(
    space: Workspace,
    connection: Connection,
    clip_ids: Sequence[str],
    *,
    annotator: str | None = None,
    round_name: str = "1",
    overlap: int = 1,
    answered_by: User | None = None,
) -> Labelling:
    """Push clips without looking at their media: in one request, and write down their tasks.

    With ``answered_by``, each has an answer of that user from the start.
    """
    round_ = store_round(space.db, round_name, overlap=overlap)
    screen = build_screen([ScreenClass(name) for name in CLASSES])
    store_screen(space.db, screen)
    project = connection.post(
        "/api/projects",
        {
            "title": f"round {next(_numbers)}",
            "description": project_mark(round_.mark, annotator),
            "label_config": screen.config,
            "maximum_annotations": overlap,
        },
    )
    clips = [
        {"clip_id": c, "url": None, "start_ms": START_MS, "end_ms": END_MS, "label": None,
         "fps": FPS}
        for c in clip_ids
    ]  # fmt: skip
    given: dict[str, object] = {}
    if answered_by is not None:
        said = {"result": YES, "completed_by": answered_by.user_id, "ground_truth": False}
        given = {"annotations": [said | {"lead_time": 9.0}]}
    data = [{"data": task_data(clip, video_url="/data/a.mp4"), **given} for clip in clips]
    path = f"/api/projects/{project['id']}/import"
    ids = connection.post(path, data, return_task_ids="true")["task_ids"]
    return record_round(
        space, dict(zip(clip_ids, ids, strict=True)), server=connection.url,
        project_id=project["id"], annotator=annotator, round_name=round_name, overlap=overlap,
    )  # fmt: skip


def record_round(
    space: Workspace,
    tasks: dict[str, int],
    *,
    server: str = "http://127.0.0.1:8080",
    project_id: int = 1,
    annotator: str | None = None,
    round_name: str = "1",
    overlap: int = 1,
) -> Labelling:
    """Write down that clips were pushed as these tasks."""
    store_round(space.db, round_name, overlap=overlap)
    screen = build_screen([ScreenClass(name) for name in CLASSES])
    store_screen(space.db, screen)
    with space.db.atomic():
        key = space.db.execute(
            "INSERT INTO projects (round, server, project_id, annotator, title, screen, made_at) "
            "VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING project_key",
            [round_name, server, project_id, annotator, "a title", screen.screen, now()],
        ).fetchone()[0]
        for clip_id, task_id in tasks.items():
            space.db.execute(
                "INSERT INTO tasks (project_key, clip_id, task_id, pushed_at, fps) "
                "VALUES (?, ?, ?, ?, ?)",
                [key, clip_id, task_id, now(), FPS],
            )
    return Labelling(space, round_name, key, project_id, tasks)


def answer(**fields: str | tuple[int, int]) -> list[dict[str, Any]]:
    """Make what the screen's editor sends: ``answer(verdict="yes", trim=(10, 20), note="x")``."""
    parts: list[dict[str, Any]] = []
    for name, value in fields.items():
        kind, content = "choices", {"choices": [value]}
        if isinstance(value, tuple):
            ranges = [{"start": value[0], "end": value[1]}]
            kind, content = "timelinelabels", {"ranges": ranges, "timelinelabels": ["keep"]}  # type: ignore[dict-item]
        elif name == "note":
            kind, content = "textarea", {"text": [value]}
        parts.append({"from_name": name, "to_name": "video", "type": kind, "value": content})
    return parts


YES = answer(
    verdict="yes",
    label="archery",
    mime_artist="yes",
    object_relevant="no",
    scene_relevant="unsure",
)


class Annotator:
    """Answers as a person does, through the API; ``with`` closes the connection."""

    def __init__(self, server: LabelStudio, user: User) -> None:
        self.user, self.connection = user, server.connect(user)

    def __enter__(self) -> Annotator:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def say(
        self, task_id: int, result: object = YES, *, seconds: float = 12.5, **more: object
    ) -> int:
        """Answer a task; return the annotation's id."""
        body = {"result": result, "lead_time": seconds, **more}
        return int(self.connection.post(f"/api/tasks/{task_id}/annotations/", body)["id"])

    def skip(self, task_id: int) -> int:
        """Skip a task."""
        return self.say(task_id, [], was_cancelled=True)

    def edit(self, annotation_id: int, result: object, **more: object) -> None:
        """Change an annotation, anybody's."""
        self.connection.patch(f"/api/annotations/{annotation_id}", {"result": result, **more})

    def draft(self, task_id: int) -> int:
        """Begin an answer and don't submit it."""
        body = {"result": YES, "lead_time": 1.0}
        return int(self.connection.post(f"/api/tasks/{task_id}/drafts", body)["id"])
