"""The status of rounds as tables for a terminal, and as a JSON document."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mimecurate.annotation.pace import IDLE_S
from mimecurate.annotation.status_tally import GOLD_FIELDS
from mimecurate.evaluation.report_elements import visible
from mimecurate.evaluation.tables import NOTHING, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mimecurate.annotation.pace import Pace
    from mimecurate.annotation.status import AnnotatorStatus, Right, RoundStatus

NO_CLASS = "(no class)"
_MOST_REFUSALS = 20


def status_tables(status: RoundStatus) -> list[Table]:
    """Lay out a round: its classes, its annotators, and what else there is to say of them."""
    tables = [_classes(status), _annotators(status)]
    if any(row.gold for row in status.annotators):
        tables.append(_gold(status))
    if status.prefilled.clips:
        tables.append(_prefilled(status))
    if status.refusals:
        tables.append(_refusals(status))
    return tables


def notes(status: RoundStatus) -> list[str]:
    """Say what the numbers alone don't: the estimate, and what became of the server."""
    said = [status.done_words, status.estimate.words]
    for project in status.projects:
        where = f"project {project.project_id} on {project.server}"
        if project.gone_at is not None:
            said.append(f"{where} was deleted there; what was pulled stays.")
        elif project.pulled_at is None:
            said.append(f"{where} was never pulled; begin with: mimecurate annotate pull")
    edited = sum(row.edited_by_others for row in status.annotators)
    for number, words in (
        (status.deleted, "answers were deleted on the server; they stand here."),
        (status.gone_tasks, "clips are no longer on the server."),
        (edited, "answers were last written by somebody else than their annotator."),
    ):
        if number:
            said.append(f"{number:,} {words}")
    return said


def title(status: RoundStatus) -> str:
    """Name a round and say how far it is.

    The words count clips; a clip is done once as many people as wanted have answered.
    """
    clips, done = status.total("clips"), status.total("done")
    kind = "" if status.kind == "annotation" else f" ({status.kind})"
    return f"Round {status.round}{kind}: {done:,} of {clips:,} clips done, {share(done, clips)}"


def share(part: int, whole: int) -> str:
    """Say a share in percent, without rounding to all or to nothing.

    >>> share(1, 2), share(0, 0), share(999, 1000), share(1, 1000)
    ('50%', '-', '>99%', '<1%')
    """
    if whole == 0:
        return NOTHING
    percent = round(100 * part / whole)
    if percent == 100 and part < whole:
        return ">99%"
    return "<1%" if percent == 0 and part > 0 else f"{percent}%"


def right_words(right: Right | None) -> str:
    """Say how many were right.

    >>> from mimecurate.annotation.status import Right
    >>> right_words(Right(9, 12)), right_words(None)
    ('9/12 75%', '-')
    """
    if right is None or right.clips == 0:
        return NOTHING
    return f"{right.right:,}/{right.clips:,} {share(right.right, right.clips)}"


def pulled_at(status: RoundStatus) -> str | None:
    """When the project that was pulled longest ago was; None if one never was."""
    times = [project.pulled_at for project in status.projects if project.gone_at is None]
    times = times or [project.pulled_at for project in status.projects]
    return None if None in times else min(filter(None, times), default=None)


def status_document(rounds: Sequence[RoundStatus]) -> dict[str, object]:
    """Make the JSON document; numbers that nobody knows are null."""
    return {"idle_after_s": IDLE_S, "rounds": [_document(status) for status in rounds]}


def _document(status: RoundStatus) -> dict[str, object]:
    columns = ("clips", "done", "open", "skipped", "drafts")
    left = status.estimate
    return {
        "round": status.round,
        "kind": status.kind,
        "overlap": status.overlap,
        **{name: status.total(name) for name in columns},
        "answers": status.answers,
        "refused": len(status.refusals),
        "deleted": status.deleted,
        "gone_tasks": status.gone_tasks,
        "estimate": {
            "answers_left": left.answers_left,
            "hours": left.hours,
            "seconds_per_answer": left.seconds_per_answer,
            "based_on_answers": left.based_on,
            "annotators": left.annotators,
            "words": left.words,
        },
        "prefilled": _prefilled_document(status.prefilled),
        "classes": [
            {"class": row.label, **{name: getattr(row, name) for name in columns}}
            for row in status.classes
        ],
        "annotators": [_annotator_document(row) for row in status.annotators],
        "projects": [
            {
                "server": p.server,
                "project_id": p.project_id,
                "annotator": p.annotator,
                "pulled_at": p.pulled_at,
                "gone_at": p.gone_at,
            }
            for p in status.projects
        ],
        "refusals": [
            {"clip_id": r.clip_id, "annotator": r.annotator, "why": r.why} for r in status.refusals
        ],
    }


def _annotator_document(row: AnnotatorStatus) -> dict[str, object]:
    return {
        "annotator": row.annotator,
        "answers": row.answers,
        "skipped": row.skipped,
        "open": row.open,
        "drafts": row.drafts,
        "edited_by_others": row.edited_by_others,
        "clips_per_hour": row.pace.per_hour,
        "active_seconds": row.pace.active_s,
        "median_seconds": row.pace.median_s,
        "idle_answers": row.pace.idle,
        "gold": {name: {"right": g.right, "clips": g.clips} for name, g in row.gold.items()},
        "prefilled": _prefilled_document(row.prefilled),
    }


def _prefilled_document(prefilled: Right) -> dict[str, int]:
    return {
        "answers": prefilled.clips,
        "accepted": prefilled.right,
        "changed": prefilled.clips - prefilled.right,
    }


def _classes(status: RoundStatus) -> Table:
    columns = ("clips", "done", "open", "skipped", "drafts")
    rows = [
        (visible(row.label or NO_CLASS), *(f"{getattr(row, name):,}" for name in columns))
        for row in status.classes
    ]
    if len(rows) > 1:
        rows.append(("all", *(f"{status.total(name):,}" for name in columns)))
    return Table("Clips by class", ("class", *columns), tuple(rows))


def _annotators(status: RoundStatus) -> Table:
    header = ("annotator", "answers", "skipped", "open", "drafts", "clips/h", "median s")
    rows = [
        (
            visible(row.annotator),
            f"{row.answers:,}",
            f"{row.skipped:,}",
            f"{row.open:,}",
            f"{row.drafts:,}",
            *pace_words(row.pace),
        )
        for row in status.annotators
    ]
    idle = sum(row.pace.idle for row in status.annotators)
    note = f"; breaks over {IDLE_S / 60:.0f} min left out" if rows else ""
    if idle:
        note += f", and {idle:,} clips open for longer than that from the median"
    return Table(f"Annotators{note}", header, tuple(rows))


def pace_words(pace: Pace) -> tuple[str, str]:
    """Say a pace: answers in an hour of work, and the median seconds of one."""
    return (
        NOTHING if pace.per_hour is None else f"{pace.per_hour:,.0f}",
        NOTHING if pace.median_s is None else f"{pace.median_s:,.0f}",
    )


def _gold(status: RoundStatus) -> Table:
    fields = [n for n in GOLD_FIELDS if any(n in row.gold for row in status.annotators)]
    rows = [
        (visible(row.annotator), *(right_words(row.gold.get(name)) for name in fields))
        for row in status.annotators
        if row.gold
    ]
    return Table(
        "Right answers on clips whose answer is known", ("annotator", *fields), tuple(rows)
    )


def _prefilled(status: RoundStatus) -> Table:
    rows = [
        (
            visible(row.annotator),
            f"{row.prefilled.clips:,}",
            f"{row.prefilled.right:,}",
            f"{row.prefilled.clips - row.prefilled.right:,}",
            share(row.prefilled.right, row.prefilled.clips),
        )
        for row in status.annotators
        if row.prefilled.clips
    ]
    header = ("annotator", "answers", "accepted", "changed", "accepted %")
    return Table("Classes that were filled in beforehand", header, tuple(rows))


def _refusals(status: RoundStatus) -> Table:
    shown = status.refusals[:_MOST_REFUSALS]
    more = len(status.refusals) - len(shown)
    rows = [
        tuple(visible(text or NOTHING) for text in (r.clip_id, r.annotator, r.why)) for r in shown
    ]
    words = f" (the first {len(shown)} of {len(status.refusals):,})" if more else ""
    header = ("clip", "annotator", "why")
    return Table(f"Can't be taken over{words}", header, tuple(rows), text_columns=3)
