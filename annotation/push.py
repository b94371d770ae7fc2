"""Send the clips of a round to Label Studio: `mimecurate annotate push`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mimecurate.annotation.media_urls import MediaPlace, place_media
from mimecurate.annotation.playable import find_unplayable
from mimecurate.annotation.prefill import Prefill, make_prefill
from mimecurate.annotation.round_clips import RoundClips, Wanted, choose_clips
from mimecurate.annotation.round_projects import ProjectSettings, open_project
from mimecurate.annotation.rounds import (
    Project,
    check_annotators,
    check_round_name,
    find_projects,
    find_round,
    store_round,
)
from mimecurate.annotation.screen import Screen, build_screen, workspace_classes
from mimecurate.annotation.send_tasks import NewTask, RefusedClip, Sent, send_tasks
from mimecurate.annotation.task_data import task_data
from mimecurate.annotation.task_rows import sent_clips
from mimecurate.annotation.task_store import ProjectTasks
from mimecurate.errors import MimecurateError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from sqlite_utils import Database

    from mimecurate.annotation.connection import Connection
    from mimecurate.annotation.rounds import Round
    from mimecurate.curation.workspace import Workspace

_CLIPS = """SELECT clips.clip_id, videos.url, clips.start_ms, clips.end_ms, clips.label, media.fps,
        media.path, media.sha256, media.bytes, media.video_codec, media.verified_at,
        classes.definition
    FROM clips JOIN videos USING (video_id) JOIN media USING (clip_id)
    LEFT JOIN classes ON classes.name = clips.label
    WHERE clips.clip_id IN (SELECT value FROM json_each(?))
        AND clips.clip_id NOT IN (SELECT clip_id FROM withdrawals)"""


@dataclass(frozen=True, slots=True)
class PushOptions:
    """What to push, and how."""

    round: str = "1"
    wanted: Wanted = field(default_factory=Wanted)
    overlap: int | None = None
    """Answers that a clip gets; None: as the round has it, 1 for a new one."""
    annotators: tuple[str, ...] = ()
    """E-mail addresses that get a project each; none: as the round has it."""
    predictions: Path | None = None
    media_url: str | None = None
    """Where else the content of ``clips/`` is; None: Label Studio serves it from this host."""
    clips_dir: Path | None = None
    """The folder of the clips as the server sees it; None: as we do."""


@dataclass(frozen=True, slots=True)
class PushPlan:
    """What a push would do, from the workspace alone."""

    options: PushOptions
    screen: Screen
    clips: RoundClips
    annotators: tuple[str | None, ...]
    """Whose projects; one None for a project that all share."""
    prefill: Prefill | None
    kind: str = "annotation"
    """Of the round: ``annotation``, or ``adjudication``, which shows what others said."""
    answers: Mapping[str, str] = field(default_factory=dict)
    """What others said of each clip, as HTML; for adjudication."""
    overlap: int = 1
    """Answers that a clip gets, from all projects together."""

    @property
    def total(self) -> int:
        """How many tasks there are in the end."""
        return len(self.annotators) * (len(self.clips.asked) + len(self.clips.gold))

    @property
    def remarks(self) -> list[str]:
        """What a person should know of the plan."""
        clips = len(self.clips.asked) + len(self.clips.gold)
        if self.prefill is None or len(self.prefill.labels) == clips:
            return []
        return [
            f"{self.prefill.version} pre-fills {len(self.prefill.labels):,} of {clips:,} clips: it "
            "lacks the others, or has no single first class for them that the screen offers"
        ]


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push did."""

    projects: tuple[tuple[Project, Sent], ...]
    refused: tuple[RefusedClip, ...]
    warnings: tuple[str, ...]

    @property
    def project_id(self) -> int:
        """Of the only project, or the first annotator's."""
        return self.projects[0][0].project_id

    @property
    def project_url(self) -> str:
        """Where its annotators label."""
        return self.projects[0][0].url

    @property
    def created(self) -> int:
        """Tasks that are new, in all projects."""
        return sum(sent.created for _, sent in self.projects)

    @property
    def existing(self) -> int:
        """Tasks that were there, in all projects."""
        return sum(sent.existing for _, sent in self.projects)

    @property
    def updated(self) -> int:
        """Of these, tasks whose data changed."""
        return sum(sent.updated for _, sent in self.projects)


def plan_push(db: Database, options: PushOptions) -> PushPlan:
    """Choose what a push sends, without writing anything or asking a server.

    Raises:
        MimecurateError: there is nothing to ask, or the round is of another form.
        InvalidInputError: the prediction file or the gold clips are wrong.
    """
    annotators = _annotators(db, options)
    screen = build_screen(workspace_classes(db))
    clips = choose_clips(db, check_round_name(options.round), options.wanted)
    if not clips.asked and not clips.gold:
        raise MimecurateError(
            "no clip to label: none that was chosen is fetched and without a decision; "
            "see `mimecurate clips list --status fetched`"
        )
    prefill = None
    if options.predictions is not None:
        from mimecurate.evaluation.predictions import load_predictions

        wanted = {*clips.asked, *clips.gold}
        prefill = make_prefill(load_predictions(options.predictions), screen, clip_ids=wanted)
    round_ = find_round(db, options.round)
    overlap = options.overlap or (round_.overlap if round_ else 1)
    if None not in annotators:
        overlap = len(annotators)
    return PushPlan(options, screen, clips, annotators, prefill, overlap=overlap)


def planned_projects(
    db: Database, plan: PushPlan, refused: Sequence[RefusedClip]
) -> list[tuple[str | None, Project | None, Sent]]:
    """Say of each project of a plan what a push would do, as far as the workspace knows.

    Args:
        db: the workspace's database.
        plan: what `plan_push` chose.
        refused: what `find_refused` found of it.

    Returns:
        Whose each is; the project, None where it is yet to be made; and what would become of its
        tasks. Which of them changed, only the server knows.
    """
    wanted = {*plan.clips.asked, *plan.clips.gold}
    projects = {p.annotator: p for p in find_projects(db, plan.options.round)}
    planned = []
    for annotator in plan.annotators:
        project = projects.get(annotator)
        there = wanted & sent_clips(db, project.project_key) if project else set()
        new = wanted - there - {clip.clip_id for clip in refused}
        planned.append((annotator, project, Sent(created=len(new), existing=len(there))))
    return planned


def push(
    workspace: Workspace,
    connection: Connection,
    plan: PushPlan,
    *,
    advance: Callable[[int], object] = lambda done: None,
    say: Callable[[str], object] = lambda line: None,
) -> Pushed:
    """Bring a round's clips to its project, or to each annotator's; each clip once.

    Done again it sends what is missing and brings up to date what changed, whatever happened the
    first time.

    Args:
        workspace: an open workspace; other pushes from it are kept out meanwhile.
        connection: to the server.
        plan: what `plan_push` chose.
        advance: told how many more tasks are settled.
        say: told what a person should know at once.

    Raises:
        WorkspaceBusyError: another push runs in this workspace.
        ServerError: the server refuses, or is gone; what arrived is kept.
        MimecurateError: annotators would not see the clips, or the screen can't change any more.
    """
    options = plan.options
    with workspace.lock("annotate-push", "mimecurate annotate push"):
        prefilled = f"{plan.prefill.version} {plan.prefill.sha256}" if plan.prefill else None
        round_ = store_round(
            workspace.db,
            options.round,
            kind=plan.kind,
            overlap=options.overlap,
            predictions=prefilled,
        )
        warnings = dict.fromkeys(_without_account(connection, plan.annotators))
        warnings |= dict.fromkeys(plan.remarks)
        problems: dict[str, str] = {}
        done = []
        for annotator in plan.annotators:
            project, place = _open(workspace, connection, round_, plan, annotator)
            warnings |= dict.fromkeys(place.warnings)
            source = _Source(workspace, place, plan, problems)
            sent = send_tasks(
                workspace.db,
                project.project_key,
                ProjectTasks(connection, project.project_id),
                plan.clips.ordered(f"{round_.round}\0{annotator or ''}"),
                source,
                advance=advance,
            )
            warnings |= dict.fromkeys(_remarks(project, sent))
            done.append((project, sent))
        for line in warnings:
            say(line)
    refused = {clip.clip_id: clip for _, sent in done for clip in sent.refused}
    return Pushed(tuple(done), tuple(refused.values()), tuple(warnings))


def find_refused(workspace: Workspace, plan: PushPlan) -> list[RefusedClip]:
    """Return the clips of a plan that a browser can't be trusted to play."""
    source = _Source(workspace, MediaPlace(""), plan, {})
    clip_ids = plan.clips.ordered(plan.options.round)
    refused = []
    for start in range(0, len(clip_ids), 1000):
        for task in source.describe(clip_ids[start : start + 1000]).values():
            if problem := source.find_problem(task):
                refused.append(RefusedClip(task.clip_id, problem))
    return refused


def _annotators(db: Database, options: PushOptions) -> tuple[str | None, ...]:
    given = check_annotators(options.annotators)
    if given and (options.overlap or 1) > 1:
        raise MimecurateError(
            "--overlap is for a project that all share; with --annotator each has an own one, and "
            "a clip gets as many answers as there are annotators"
        )
    round_ = find_round(db, options.round)
    old = [p.annotator for p in find_projects(db, options.round)] if round_ else []
    if given and None in old:
        raise MimecurateError(
            f"round {options.round!r} is one project for all; begin another round with --round for "
            "a project per annotator"
        )
    if old and options.overlap and None not in old:
        raise MimecurateError(
            f"round {options.round!r} has a project per annotator; --overlap is for a shared one"
        )
    return tuple(dict.fromkeys([*old, *given])) or (None,)


def _without_account(connection: Connection, annotators: Sequence[str | None]) -> list[str]:
    """Say which annotators can't log in yet."""
    named = [a for a in annotators if a is not None]
    if not named:
        return []
    there = {str(user.get("email")).casefold() for user in connection.get("/api/users/")}
    return [
        f"{annotator} has no account on {connection.url} yet; invite them (Organization, Invite)"
        for annotator in named
        if annotator.casefold() not in there
    ]


def _open(
    workspace: Workspace,
    connection: Connection,
    round_: Round,
    plan: PushPlan,
    annotator: str | None,
) -> tuple[Project, MediaPlace]:
    settings = ProjectSettings(plan.screen, annotator, plan.prefill.version if plan.prefill else "")
    project = open_project(workspace.db, connection, round_, settings)
    example = _example(workspace, plan)
    if example is None:
        return project, MediaPlace("")
    options = plan.options
    place = place_media(
        connection,
        project.project_id,
        options.clips_dir or clips_as_seen(workspace, connection),
        example,
        media_url=options.media_url,
    )
    return project, place


def clips_as_seen(workspace: Workspace, connection: Connection) -> Path:
    """Return the folder of the clips as the server sees it, if it is on this host."""
    from mimecurate.annotation.server import running_server

    own = running_server(workspace.state_dir)
    is_own = own is not None and own.url == connection.url
    return own.clips_path if own is not None and is_own else workspace.clips_dir.resolve()


def _example(workspace: Workspace, plan: PushPlan) -> Mapping[str, object] | None:
    """Find a clip that plays, to try whether annotators will see it."""
    source = _Source(workspace, MediaPlace(""), plan, {})
    for clip_id in (*plan.clips.asked, *plan.clips.gold):
        for task in source.describe([clip_id]).values():
            if not source.find_problem(task):
                return task.clip
    return None


def _remarks(project: Project, sent: Sent) -> list[str]:
    where = f"project {project.project_id}"
    remarks = []
    if sent.removed:
        remarks.append(f"{where}: removed {sent.removed} second tasks of clips, none answered")
    if sent.doubled:
        remarks.append(
            f"{where}: {len(sent.doubled)} clips have two tasks, both answered; they stay: "
            + ", ".join(sent.doubled[:5])
        )
    for task_id, (was, says) in sent.renamed.items():
        remarks.append(
            f"{where}: task {task_id} was sent as {was}, is answered, and says {says} now; left "
            "alone: delete it there to send that clip anew"
        )
    if sent.foreign:
        remarks.append(f"{where}: {sent.foreign} tasks there are of no fetched clip; left alone")
    return remarks


class _Source:
    """The tasks of a round's clips."""

    def __init__(
        self, workspace: Workspace, place: MediaPlace, plan: PushPlan, problems: dict[str, str]
    ) -> None:
        self._workspace, self._place, self._plan = workspace, place, plan
        self._problems = problems
        """What was found of clips that were looked at: nothing is looked at twice."""

    def describe(self, clip_ids: Sequence[str]) -> dict[str, NewTask]:
        """Return the task of each clip that is fetched and was not withdrawn."""
        cursor = self._workspace.db.execute(_CLIPS, [json.dumps(list(clip_ids))])
        names = [column[0] for column in cursor.description]
        clips = [dict(zip(names, row, strict=True)) for row in cursor]
        return {clip["clip_id"]: self._task(clip) for clip in clips}

    def find_problem(self, task: NewTask) -> str:
        """Say why a browser can't be trusted to play a clip."""
        if task.clip_id not in self._problems:
            self._problems[task.clip_id] = find_unplayable(self._workspace.root, task.clip)
        return self._problems[task.clip_id]

    def _task(self, clip: dict[str, object]) -> NewTask:
        clip_id, definition = str(clip["clip_id"]), clip["definition"]
        prefill = self._plan.prefill
        data = task_data(
            clip,
            video_url=self._place.url(str(clip["path"])),
            definition=str(definition) if definition else None,
            answers_html=self._plan.answers.get(clip_id, ""),
        )
        return NewTask(
            clip,
            data,
            prefill.predictions(clip_id) if prefill else (),
            prefill.labels.get(clip_id, (None,))[0] if prefill else None,
            self._plan.clips.gold.get(clip_id),
        )
