"""What `mimecurate fetch` shows: the plan, progress, and the summary by reason."""

from __future__ import annotations

import contextlib
import json
import time
from collections import Counter
from typing import TYPE_CHECKING

import click

from mimecurate.console import counted, print_json, print_table, progress, say
from mimecurate.errors import Reason

if TYPE_CHECKING:
    from mimecurate.console import Progress
    from mimecurate.curation.fetch import FetchReport
    from mimecurate.curation.fetch_plan import Plan
    from mimecurate.curation.fetch_video import ClipResult
    from mimecurate.curation.workspace import Workspace

ADVICE = {
    "unavailable": "gone or wrong link; --retry-failed asks again",
    "private": "ask its owner; --cookies of an account that may see it",
    "removed": "gone for good; look for another copy",
    "age_restricted": "--cookies of a signed-in adult account",
    "geo_blocked": "--proxy in a country where it is shown",
    "members_only": "--cookies of a member's account",
    "live": "run again when the broadcast is over",
    "rate_limited": "run again later, with --sleep 5 or fewer --workers",
    "login_required": "--cookies, or run again later from another address",
    "network": "run again",
    "timeout": "run again; a longer --timeout if the line is slow",
    "no_video": "nothing there to cut",
    "interval_outside": "correct the times in the list",
    "corrupt": "the source is broken; look for another copy",
    "disk_full": "make room and run again",
    "unsupported": "see the message: `mimecurate clips list --status failed`",
    "other": "see the message; run again with -v",
}


class FetchView:
    """Progress of one run, on stderr."""

    def __init__(self) -> None:
        """Show nothing yet."""
        self._stack = contextlib.ExitStack()
        self._bar: Progress | None = None
        self._failed = self._fetched = self._bytes = 0
        self._started_s = time.monotonic()

    def __enter__(self) -> FetchView:
        """Return the view itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Take the bar away."""
        self.close()

    def plan(self, plan: Plan) -> None:
        """Say what is wrong or doubtful in the list, and start the bar."""
        show_doubts(plan)
        say(plan_line(plan))
        if plan.to_fetch:
            self._started_s = time.monotonic()
            self._bar = self._stack.enter_context(progress("fetching", plan.to_fetch))

    def result(self, result: ClipResult) -> None:
        """Count one clip; say why it failed, if it did."""
        assert self._bar is not None
        self._bytes += result.bytes_downloaded
        if result.reason is None:
            self._fetched += 1
        else:
            self._failed += 1
            self._bar.say(f"{result.clip_id}: {result.reason}: {result.message} ({result.url})")
        per_s = (self._fetched + self._failed) / max(1e-3, time.monotonic() - self._started_s)
        self._bar.advance(
            note=f"{self._failed} failed, {size_text(self._bytes)}, {per_s:.1f} clips/s"
        )

    def close(self) -> None:
        """Take the bar away."""
        self._stack.close()

    def paused(self, host: str, seconds: float) -> None:
        """Say that a site is left alone for a while."""
        self.note(f"{host} asks us to wait {seconds:.0f} s")

    def note(self, line: str) -> None:
        """Say something of the run."""
        (self._bar.say if self._bar else say)(line)


def show_doubts(plan: Plan) -> None:
    """Say what is doubtful in the list, and what is wrong if the run goes on without it."""
    for notice in plan.notices[:20]:
        say(f"note: {notice}")
    if plan.notice_count > 20:
        say(f"note: and {plan.notice_count - 20:,} more of the kind")
    for problem in plan.problems:
        say(f"left out: {problem}")
    if plan.duplicates:
        say(f"{counted(plan.duplicates, 'line')} merged: the same clip as an earlier one")
    if plan.withdrawn:
        say(f"{counted(plan.withdrawn, 'clip')} left out: withdrawn from a release")


def plan_line(plan: Plan) -> str:
    """Sum up a plan in one line."""
    parts = [f"{counted(plan.clips, 'clip')} of {counted(plan.videos, 'video')}"]
    if plan.present:
        parts.append(f"{plan.present:,} there already")
    if plan.failed_before:
        parts.append(f"{plan.failed_before:,} failed for good before (--retry-failed asks again)")
    parts.append(f"{plan.to_fetch:,} to fetch from {counted(plan.to_fetch_videos, 'video')}")
    return "; ".join(parts)


def show_dry_run(plan: Plan, *, as_json: bool) -> None:
    """Show what a run would do."""
    numbers = {
        "requested": plan.clips,
        "videos": plan.videos,
        "duplicates": plan.duplicates,
        "present": plan.present,
        "failed_before": plan.failed_before,
        "withdrawn": plan.withdrawn,
        "to_fetch": plan.to_fetch,
        "to_fetch_videos": plan.to_fetch_videos,
        "notices": plan.notice_count,
        "invalid": plan.problem_count,
    }
    show_doubts(plan)
    if as_json:
        print_json({"dry_run": True, **numbers})
    else:
        say(plan_line(plan))


def show_report(report: FetchReport) -> None:
    """Print the summary by reason on stdout."""
    rows: list[list[object]] = [["fetched", report.fetched, ""]]
    rows.append(["there already", report.skipped, ""])
    if report.invalid_count:
        rows.append(["lines left out", report.invalid_count, "correct the list"])
    by_reason = Counter(report.by_reason)
    by_reason[Reason.UNSUPPORTED] -= report.invalid_count
    rows += [[reason, n, ADVICE[reason]] for reason, n in by_reason.most_common() if n > 0]
    if report.not_tried:
        rows.append(["not tried", report.not_tried, "nobody answered: run again later"])
    print_table(["outcome", "clips", "what would help"], rows)
    rate = f", {report.fetched / report.seconds:.1f} clips/s" if report.fetched else ""
    say(
        f"{counted(report.requested, 'clip')} asked for, "
        f"{size_text(report.bytes_downloaded)} downloaded in {report.seconds:.1f} s{rate}"
    )
    if report.failed:
        say("each failure with the source's own words: mimecurate clips list --status failed")


def print_report_json(workspace: Workspace, report: FetchReport) -> None:
    """Print the report as one JSON document, a clip at a time: a list may be long."""
    from mimecurate.curation.fetch_record import report_clips

    head = {
        "requested": report.requested,
        "fetched": report.fetched,
        "skipped": report.skipped,
        "failed": report.failed,
        "not_tried": report.not_tried,
        "by_reason": dict(sorted(report.by_reason.items())),
        "bytes_downloaded": report.bytes_downloaded,
        "seconds": round(report.seconds, 3),
    }
    click.echo(json.dumps(head, indent=2)[:-2] + ',\n  "clips": [', nl=False)
    separator = "\n    "
    for clip in report_clips(workspace.db, report.run_id):
        click.echo(separator + json.dumps(clip), nl=False)
        separator = ",\n    "
    for problem in report.invalid:
        clip = {"clip_id": None, "status": "failed", "reason": "unsupported", "line": problem.line}
        click.echo(separator + json.dumps({**clip, "message": problem.message}), nl=False)
        separator = ",\n    "
    click.echo("\n  ]\n}")


def size_text(count: float) -> str:
    """Write a number of bytes for people.

    >>> size_text(512), size_text(34_500_000)
    ('512 B', '34.5 MB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            break
        count /= 1000
    return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
