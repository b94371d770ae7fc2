"""How far the rounds of a workspace are: `mimecurate annotate status`. Read from it alone."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mimecurate.annotation.pace import Answer, Estimate, Pace, estimate, pace_of
from mimecurate.annotation.status_tally import GOLD_FIELDS, tally_round
from mimecurate.errors import MimecurateError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlite_utils import Database

    from mimecurate.annotation.status_tally import Tally

_WEEK_S = 7 * 86_400
_COLUMNS = ("clips", "done", "open", "skipped", "drafts")
_TIMES = """SELECT annotator, coalesce(json_extract(details, '$.created_at'), at), seconds
    FROM annotations WHERE round = ? AND supersedes IS NULL AND skipped = 0"""


@dataclass(frozen=True, slots=True)
class ClassStatus:
    """How far the clips of a class are. Done and open make all clips."""

    label: str | None
    """The class that the clips were listed with."""
    clips: int
    done: int
    """As many people have answered as are wanted."""
    open: int
    skipped: int
    """Open clips that somebody skipped."""
    drafts: int
    """Open clips that somebody began and did not submit."""


@dataclass(frozen=True, slots=True)
class Right:
    """How many answers were right, of how many that could be compared."""

    right: int
    clips: int


@dataclass(frozen=True, slots=True)
class AnnotatorStatus:
    """What one person did in a round."""

    annotator: str
    answers: int
    skipped: int
    open: int
    """Clips that still want an answer, and on which this person neither answered nor skipped."""
    drafts: int
    edited_by_others: int
    pace: Pace
    gold: Mapping[str, Right]
    """By field, on the clips whose right answer is known; only fields with any."""
    prefilled: Right
    """Answers where a class was filled in, and how many left it as it was."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer or a task on the server that can't be taken over."""

    clip_id: str | None
    annotator: str | None
    why: str


@dataclass(frozen=True, slots=True)
class ProjectStatus:
    """Where a round is, and when it was pulled."""

    server: str
    project_id: int
    annotator: str | None
    pulled_at: str | None
    gone_at: str | None


@dataclass(frozen=True, slots=True)
class RoundStatus:
    """How far a round is."""

    round: str
    kind: str
    overlap: int
    answers: int
    estimate: Estimate
    classes: Sequence[ClassStatus]
    annotators: Sequence[AnnotatorStatus]
    projects: Sequence[ProjectStatus]
    refusals: Sequence[Refusal]
    deleted: int
    """Answers that stand although they were deleted on the server."""
    gone_tasks: int

    @property
    def done_words(self) -> str:
        """When a clip of this round is done."""
        if any(project.annotator is not None for project in self.projects):
            return "A clip is done once everyone whose project has it answered."
        answers = "an answer" if self.overlap == 1 else f"{self.overlap:,} people's answers"
        return f"A clip is done with {answers}."

    def total(self, name: str) -> int:
        """Add a column of `classes` up."""
        return sum(getattr(row, name) for row in self.classes)

    @property
    def prefilled(self) -> Right:
        """Of all annotators."""
        rows = [row.prefilled for row in self.annotators]
        return Right(sum(row.right for row in rows), sum(row.clips for row in rows))


def read_status(db: Database, rounds: Sequence[str] | None = None) -> list[RoundStatus]:
    """Read how far rounds are.

    Args:
        db: the workspace's database.
        rounds: their names; None: all.

    Raises:
        MimecurateError: there is no such round, or none at all.
    """
    rows = db.execute("SELECT round, kind, overlap FROM rounds ORDER BY made_at, round").fetchall()
    known = [row[0] for row in rows]
    for name in rounds or ():
        if name not in known:
            listed = ", ".join(map(repr, known)) or "none"
            raise MimecurateError(f"there is no round {name!r}; there is: {listed}")
    if not rows:
        raise MimecurateError("there is no round yet; begin with: mimecurate annotate push")
    return [_round_status(db, *row) for row in rows if rounds is None or row[0] in rounds]


def _round_status(db: Database, name: str, kind: str, overlap: int) -> RoundStatus:
    tally = tally_round(db, name)
    answers: dict[str, list[Answer]] = defaultdict(list)
    for annotator, at, seconds in db.execute(_TIMES, [name]):
        answers[annotator].append(Answer(_seconds_of(at), seconds))
    people = [
        _annotator(annotator, tally, answers.get(annotator, []))
        for annotator in sorted(tally.people)
    ]
    last_s = max((a.at_s for told in answers.values() for a in told), default=0.0)
    active = sum(max(a.at_s for a in told) > last_s - _WEEK_S for told in answers.values())
    return RoundStatus(
        round=name,
        kind=kind,
        overlap=overlap,
        answers=tally.answers,
        estimate=estimate(tally.answers_left, [p.pace for p in people], active),
        classes=[
            ClassStatus(label, *(tally.classes[label][column] for column in _COLUMNS))
            for label in sorted(tally.classes, key=lambda label: (label is None, label or ""))
        ],
        annotators=people,
        projects=_projects(db, name),
        refusals=_refusals(db, name),
        deleted=_number(
            db,
            "SELECT count(*) FROM current_annotations WHERE round = ? "
            "AND annotation_id IN (SELECT annotation_id FROM deletions)",
            name,
        ),
        gone_tasks=_number(
            db,
            "SELECT count(*) FROM tasks JOIN projects USING (project_key) WHERE round = ? "
            "AND tasks.gone_at IS NOT NULL",
            name,
        ),
    )


def _annotator(annotator: str, tally: Tally, answers: list[Answer]) -> AnnotatorStatus:
    found = tally.people[annotator]
    counts = found.counts
    return AnnotatorStatus(
        annotator,
        answers=counts["answers"],
        skipped=counts["skipped"],
        open=tally.open_for(annotator),
        drafts=counts["drafts"],
        edited_by_others=counts["edited"],
        pace=pace_of(answers),
        gold={
            name: Right(found.right[name], found.gold[name])
            for name in GOLD_FIELDS
            if found.gold[name]
        },
        prefilled=Right(counts["kept"], counts["shown"]),
    )


def _projects(db: Database, name: str) -> list[ProjectStatus]:
    rows = db.execute(
        "SELECT server, project_id, annotator, pulled_at, gone_at FROM projects WHERE round = ? "
        "ORDER BY project_key",
        [name],
    )
    return [ProjectStatus(*row) for row in rows]


def _refusals(db: Database, name: str) -> list[Refusal]:
    rows = db.execute(
        "SELECT clip_id, refusals.annotator, why FROM refusals JOIN projects USING (project_key) "
        "WHERE round = ? ORDER BY clip_id, server_annotation_id",
        [name],
    )
    return [Refusal(*row) for row in rows]


def _number(db: Database, query: str, name: str) -> int:
    return int(db.execute(query, [name]).fetchone()[0])


def _seconds_of(text: str) -> float:
    time = datetime.fromisoformat(text)
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
