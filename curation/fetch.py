"""Fetch the clips of a list: plan, hand out videos, record what becomes of each clip.

Only this process writes the database; workers return values. A clip is recorded when its file has
its name, so what the database says exists is whole, whenever the run ends.
"""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING, Literal

from mimecurate import __version__
from mimecurate.curation import engine
from mimecurate.curation.fetch_plan import Plan, adopt_plan, jobs, make_plan
from mimecurate.curation.fetch_queue import GIVE_UP_AFTER, MAX_WAIT_S, SIT_OUT_S, VideoQueue
from mimecurate.curation.fetch_record import count_untried, record_result, record_untried
from mimecurate.curation.fetch_video import ClipResult, FetchOptions, fetch_video
from mimecurate.curation.media_store import remove_unfinished
from mimecurate.curation.pacing import SitePausedError
from mimecurate.errors import InvalidInputError, Reason
from mimecurate.schemas.database import now

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from sqlite_utils import Database

    from mimecurate.curation.fetch_plan import ClipJob, VideoJob
    from mimecurate.curation.pacing import Pacer
    from mimecurate.curation.url_list import ClipRequest, Notice
    from mimecurate.curation.workspace import Workspace
    from mimecurate.errors import Problem

logger = logging.getLogger(__name__)

ROOM_AFTER_FULL_BYTES = 64 << 20
"""Once the disk was full, a run goes on only with this much room."""


@dataclass(slots=True)
class FetchReport:
    """What a run did, in numbers; the clips themselves are in the database."""

    requested: int = 0
    fetched: int = 0
    skipped: int = 0
    failed: int = 0
    by_reason: Counter[str] = field(default_factory=Counter)
    not_tried: int = 0
    """Clips of sites that did not answer: left for the next run, not failed."""
    bytes_downloaded: int = 0
    seconds: float = 0.0
    run_id: int = 0
    invalid: list[Problem] = field(default_factory=list)
    """Lines that were left out, the first thousand of them."""
    invalid_count: int = 0
    """How many lines were left out; they count as ``failed``, too."""
    ran_full: bool = False
    """The disk was full, and the run ended for it."""


class StoppedError(Exception):
    """The run is to end; not an error of any clip."""


def fetch(
    workspace: Workspace,
    entries: Iterable[ClipRequest | Problem | Notice],
    options: FetchOptions,
    *,
    pacer: Pacer,
    workers: int = 2,
    where: Literal["local", "ray"] = "local",
    list_name: str = "list",
    retry_failed: bool = False,
    skip_invalid: bool = False,
    max_wait_s: float = MAX_WAIT_S,
    give_up_after: int = GIVE_UP_AFTER,
    settings: dict[str, object] | None = None,
    on_plan: Callable[[Plan], None] = lambda plan: None,
    on_result: Callable[[ClipResult], None] = lambda result: None,
    on_note: Callable[[str], None] = lambda line: None,
) -> FetchReport:
    """Fetch what a list asks for and the workspace does not have.

    Args:
        workspace: an open workspace; it is locked for fetching meanwhile.
        entries: what `read_url_list` yields.
        options: how to fetch and cut.
        pacer: spaces requests, for the whole run.
        workers: videos at a time.
        where: the engine.
        list_name: what errors call the list.
        retry_failed: ask again for what failed for good in earlier runs.
        skip_invalid: go on without the lines that are wrong; they count as failed.
        max_wait_s: how long to wait for sites that ask for a pause, with nothing else to do, since
            a clip was last fetched; what is left then is rate limited.
        give_up_after: videos in a row for which a site does not answer, before its others are left
            for the next run.
        settings: what the run was started with, kept in the table ``runs``.
        on_plan: called once the list is read.
        on_result: called with each clip as it is done or has failed.
        on_note: called with lines for the user: what is waited for, and what is left alone.

    Returns:
        The run in numbers. ``skipped`` were there already; ``failed`` counts those that failed for
        good earlier and were not asked again, too.

    Raises:
        InvalidInputError: the list has lines that are wrong; nothing was fetched.
        WorkspaceBusyError: another fetch is running here.
    """
    started_s = time.monotonic()
    db = workspace.db
    with workspace.lock("fetch", "mimecurate fetch"):
        removed = remove_unfinished(workspace.unfinished_dir)
        logger.info("removed %d unfinished files of earlier runs", removed)
        plan = plan_only(
            workspace,
            entries,
            list_name=list_name,
            retry_failed=retry_failed,
            skip_invalid=skip_invalid,
        )
        on_plan(plan)
        adopt_plan(db)
        report = _begin(db, plan, settings or {})
        pacer.sit_out_s, pacer.longest_pause_s = SIT_OUT_S, max_wait_s
        with VideoQueue(
            jobs(db), pacer, max_wait_s=max_wait_s, give_up_after=give_up_after, say=on_note
        ) as queue:
            for result in _results(queue, workspace, options, report, pacer, workers, where):
                record_result(db, report.run_id, result)
                _count(report, result)
                on_result(result)
        _close_run(db, report)
    report.seconds = time.monotonic() - started_s
    return report


def plan_only(
    workspace: Workspace,
    entries: Iterable[ClipRequest | Problem | Notice],
    *,
    list_name: str = "list",
    retry_failed: bool = False,
    skip_invalid: bool = False,
) -> Plan:
    """Say what `fetch` would do, and write nothing.

    Raises:
        InvalidInputError: the list has lines that are wrong.
    """
    plan = make_plan(workspace.db, entries, root=workspace.root, retry_failed=retry_failed)
    if plan.problems and not skip_invalid:
        more = plan.problem_count - len(plan.problems)
        hint = f"  and {more:,} more\n" if more else ""
        hint += "nothing was fetched; correct the list"
        if plan.lines:
            hint += ", or leave these lines out: --skip-invalid"
        raise InvalidInputError(list_name, plan.problems, hint)
    return plan


def _results(
    queue: VideoQueue,
    workspace: Workspace,
    options: FetchOptions,
    report: FetchReport,
    pacer: Pacer,
    workers: int,
    where: Literal["local", "ray"],
) -> Iterator[ClipResult]:
    has_room = partial(_has_room, workspace, report)
    for ready in queue.rounds():
        stop = threading.Event()
        work = partial(
            fetch_video,
            options=options,
            pacer=pacer if where == "local" else pacer.scaled(workers),
            check_stopped=partial(_check, stop) if where == "local" else _never,
        )
        todo = takewhile(has_room, ready)
        outcomes = engine.flat_map(work, todo, workers=workers, engine=where)
        with contextlib.closing(outcomes), contextlib.ExitStack() as on_exit:
            on_exit.callback(stop.set)
            yield from _results_of(outcomes, queue, report)
        if report.ran_full:
            return
    for job, words in queue.left():
        yield from _failures(job, job.clips, Reason.RATE_LIMITED, words)


def _results_of(
    outcomes: Iterable[engine.Outcome[VideoJob, ClipResult]],
    queue: VideoQueue,
    report: FetchReport,
) -> Iterator[ClipResult]:
    """Pass on what comes of each clip, and tell the queue what came of each video."""
    done: set[str] = set()  # of the videos that are being worked on
    silent: set[str] = set()
    for outcome in outcomes:
        job, result = outcome.item, outcome.value
        if result is not None:
            done.add(result.asked)
            if result.fetched is not None:
                queue.fetched()
            if result.unanswered:
                silent.add(job.video_id)
            yield result
        if not outcome.is_last:
            continue
        left = tuple(clip for clip in job.clips if clip.clip_id not in done)
        if isinstance(outcome.error, SitePausedError):
            report.bytes_downloaded += outcome.error.bytes_downloaded
            queue.put_aside(job, left, outcome.error)
        elif outcome.error is not None:
            yield from _unforeseen(job, left, outcome.error)
        else:
            queue.note(job, answered=job.video_id not in silent)
        silent.discard(job.video_id)
        done.difference_update(clip.clip_id for clip in job.clips)


def _has_room(workspace: Workspace, report: FetchReport, job: VideoJob) -> bool:
    """Whether to go on with another video; once the disk was full, only with room on it."""
    if report.by_reason[Reason.DISK_FULL]:
        report.ran_full = shutil.disk_usage(workspace.root).free < ROOM_AFTER_FULL_BYTES
    return not report.ran_full


def _unforeseen(
    job: VideoJob, clips: tuple[ClipJob, ...], error: Exception
) -> Iterator[ClipResult]:
    """Fail what is left of a video whose worker failed in a way that nobody foresaw."""
    logger.error("%s: unforeseen %r", job.url, error, exc_info=error)
    words = f"unforeseen {type(error).__name__}: {error}"
    yield from _failures(job, clips, Reason.OTHER, words)


def _failures(
    job: VideoJob, clips: tuple[ClipJob, ...], reason: Reason, message: str
) -> Iterator[ClipResult]:
    for clip in clips:
        yield ClipResult(
            clip.clip_id,
            clip.clip_id,
            job.video_id,
            job.url,
            clip.start_ms,
            clip.end_ms,
            reason=reason,
            message=message,
        )


def _check(stop: threading.Event) -> None:
    if stop.is_set():
        raise StoppedError


def _never() -> None:
    """Let the engine cancel the task."""


def _count(report: FetchReport, result: ClipResult) -> None:
    report.bytes_downloaded += result.bytes_downloaded
    if result.reason is None:
        report.fetched += 1
    else:
        report.failed += 1
        report.by_reason[result.reason] += 1


def _begin(db: Database, plan: Plan, settings: dict[str, object]) -> FetchReport:
    report = FetchReport(requested=plan.clips + plan.problem_count, skipped=plan.present)
    report.invalid = plan.problems
    report.failed = report.invalid_count = plan.problem_count
    if plan.problem_count:
        report.by_reason[Reason.UNSUPPORTED] = plan.problem_count
    for reason, count in db.execute(
        "SELECT reason, count(*) FROM temp.plan JOIN clip_status USING (clip_id) "
        "WHERE state = 'failed' GROUP BY reason"
    ):
        report.by_reason[reason] += count
        report.failed += count
    with db.atomic():
        cursor = db.execute(
            "INSERT INTO runs (command, version, settings, started_at) VALUES ('fetch', ?, ?, ?)",
            [__version__, json.dumps(settings), now()],
        )
    report.run_id = int(cursor.lastrowid or 0)
    return report


def _close_run(db: Database, report: FetchReport) -> None:
    if report.ran_full:
        untried = record_untried(
            db,
            report.run_id,
            Reason.DISK_FULL,
            "not tried: the disk is full; make room and run again",
        )
        report.failed += untried
        report.by_reason[Reason.DISK_FULL] += untried
    else:
        report.not_tried = count_untried(db, report.run_id)
    with db.atomic():
        db.execute("UPDATE runs SET finished_at = ? WHERE run_id = ?", [now(), report.run_id])
