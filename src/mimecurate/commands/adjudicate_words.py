"""What `mimecurate annotate adjudicate` says: what was done, where clips stand, what comes next."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from mimecurate.console import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mimecurate.annotation.adjudicate import OpenTask, Settled, Standing
    from mimecurate.annotation.adjudicate_csv import Imported
    from mimecurate.annotation.push import Pushed

_MOST_NAMED = 5


@dataclass(slots=True)
class Done:
    """What a run did."""

    taken_over: int = 0
    """Answers given in a round of adjudication that became decisions."""
    imported: Imported | None = None
    rule: Settled | None = None
    in_terminal: int | None = None
    pushed: Pushed | None = None


def lines_of(done: Done) -> list[str]:
    """Say what a run did."""
    lines = []
    if done.taken_over:
        what = "a decision" if done.taken_over == 1 else "decisions"
        lines.append(f"{counted(done.taken_over, 'answer')} from Label Studio became {what}")
    if done.imported is not None:
        lines.append(
            f"imported: {done.imported.decided:,} decided, {done.imported.changed:,} changed, "
            f"{done.imported.unchanged:,} as before, {done.imported.left_open:,} left open"
        )
    if done.rule is not None:
        lines.append(
            f"by the rule: {done.rule.decided:,} decided, {done.rule.changed:,} changed, "
            f"{done.rule.retracted:,} taken back, {done.rule.unchanged:,} as before"
        )
    if done.in_terminal is not None:
        lines.append(f"decided here: {done.in_terminal:,}")
    if done.pushed is not None:
        lines += [f"not sent: {one.clip_id}: {one.problem}" for one in done.pushed.refused]
        lines.append(
            f"{counted(done.pushed.created, 'clip')} sent, {done.pushed.existing:,} there before; "
            f"decide at {done.pushed.project_url}, then run `mimecurate annotate pull`"
        )
    return lines


def standing_line(standing: Standing) -> str:
    """Say where the clips stand."""
    return (
        f"{counted(standing.settled, 'clip')} decided, {len(standing.disputes):,} in dispute, "
        f"{standing.agreed:,} that --rule majority would decide, "
        f"{standing.too_few:,} with too few answers"
    )


def open_lines(tasks: Sequence[OpenTask]) -> list[str]:
    """Say which tasks still ask for answers on clips that are settled."""
    lines = []
    for (round_, kind), group in groupby(tasks, key=lambda task: (task.round, task.kind)):
        clip_ids = [task.clip_id for task in group]
        more = len(clip_ids) - _MOST_NAMED
        names = ", ".join(clip_ids[:_MOST_NAMED]) + (f" and {more:,} more" if more > 0 else "")
        then = "supersedes the decision" if kind == "adjudication" else "is not needed"
        number = counted(len(clip_ids), "decided clip")
        lines.append(f"round {round_}: {number} still open; an answer there {then}: {names}")
    return lines


def next_steps(standing: Standing) -> list[str]:
    """Name the commands that bring the rest further, those first that need least work."""
    if standing.agreed:
        return ["next: mimecurate annotate adjudicate --rule majority"]
    if standing.disputes:
        return [
            "next: decide with --terminal here, --push in Label Studio, or --export FILE in a "
            "spreadsheet"
        ]
    if standing.too_few:
        return ["next: more answers (mimecurate annotate status), then mimecurate annotate pull"]
    if standing.settled:
        return ["next: mimecurate release create --name NAME"]
    return ["next: mimecurate annotate push, then mimecurate annotate pull"]
