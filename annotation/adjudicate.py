"""Settle what annotators disagree on: by a stated rule, and what is left by people.

A person's decision outweighs the rule. Answers that were given in a round of adjudication are
decisions of those who gave them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from mimecurate.annotation.adjudicate_decisions import (
    Decision,
    current_decisions,
    record_decision,
    retract_rule_decisions,
)
from mimecurate.curation.classes import class_of_alias
from mimecurate.curation.release_rule import (
    FLAGS,
    NO_MAJORITY,
    TRIM_IOU,
    Outcome,
    Undecided,
    Vote,
    check_known,
    decide,
    majority,
    votes_by_clip,
)
from mimecurate.curation.release_stage import writing
from mimecurate.schemas.ids import interval_text

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from sqlite_utils import Database

FIELDS = ("verdict", "label", *FLAGS, "trim")
_OPEN_THOUGH_DECIDED = """SELECT round, kind, tasks.clip_id, task_id
    FROM tasks JOIN projects USING (project_key) JOIN rounds USING (round)
    WHERE tasks.clip_id IN (SELECT clip_id FROM current_decisions) AND gold_decision IS NULL
        AND task_id IS NOT NULL AND tasks.gone_at IS NULL AND projects.gone_at IS NULL
        AND (SELECT count(DISTINCT annotator) FROM current_annotations AS said
            WHERE said.clip_id = tasks.clip_id AND said.round = projects.round AND skipped = 0
            AND (projects.annotator IS NULL OR said.annotator = projects.annotator)
        ) < CASE WHEN projects.annotator IS NULL THEN overlap ELSE 1 END
    ORDER BY round, tasks.clip_id"""


class Dispute(NamedTuple):
    """A clip that people must decide on."""

    clip_id: str
    votes: Sequence[Vote]
    """What each annotator said last, by their names."""
    why: str
    """What is in dispute."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a workspace's clips stand."""

    settled: int
    """Clips with a decision that holds, and that later votes don't put in doubt."""
    agreed: int
    """Clips without a decision that a majority would settle."""
    too_few: int
    """Clips without a decision that too few annotators answered."""
    disputes: Sequence[Dispute]


@dataclass(frozen=True, slots=True)
class Settled:
    """What the rule did, or would do."""

    decided: int = 0
    """Clips that had no decision."""
    changed: int = 0
    """Clips on which the rule says something else than it said before."""
    retracted: int = 0
    """Clips on which the rule had decided, and now leaves it to people."""
    unchanged: int = 0


class _Finding(NamedTuple):
    clip_id: str
    votes: list[Vote]
    result: Outcome | Undecided
    current: Decision | None


def settle_by_rule(
    db: Database,
    *,
    min_annotators: int,
    by: str,
    rounds: Collection[str] = (),
    trim_iou: float = TRIM_IOU,
    dry_run: bool = False,
) -> Settled:
    """Decide by majority wherever there is one in every field.

    A decision is written only where the outcome differs from what holds; what a person decided
    stays, and what became of a clip whose class was dropped or split. Where later votes undo a
    majority, the rule's decision is taken back.

    Args:
        db: the workspace's database.
        min_annotators: how many annotators a decision needs.
        by: who applies the rule.
        rounds: only what was said in these; empty: in all.
        trim_iou: from which overlap on two trims agree.
        dry_run: only count.
    """
    counts: Counter[str] = Counter()
    with writing(db):
        for clip_id, votes, result, current in _findings(db, min_annotators, rounds, trim_iou):
            if current is not None and (current.is_by_a_person or current.is_by_the_list):
                continue
            if isinstance(result, Undecided):
                if current is not None and result.check == NO_MAJORITY:
                    counts["retracted"] += 1
                    if not dry_run:
                        retract_rule_decisions(db, clip_id, by=by, why=result.why)
            elif current is not None and current.outcome == result:
                counts["unchanged"] += 1
            else:
                counts["decided" if current is None else "changed"] += 1
                if not dry_run:
                    why = votes_in_words(votes)
                    record_decision(db, clip_id, result, method="rule", by=by, why=why)
    return Settled(**counts)


def find_standing(
    db: Database,
    *,
    min_annotators: int,
    rounds: Collection[str] = (),
    trim_iou: float = TRIM_IOU,
) -> Standing:
    """Find the clips that people must decide on, and count the others.

    Args:
        db: the workspace's database.
        min_annotators: with fewer a clip waits for more.
        rounds: only what was said in these; empty: in all.
        trim_iou: from which overlap on two trims agree.
    """
    agreed = too_few = doubted = 0
    disputes = []
    for clip_id, votes, result, current in _findings(db, min_annotators, rounds, trim_iou):
        if current is not None and current.is_by_a_person:
            continue
        if current is not None and current.is_by_the_list:
            if current.outcome.verdict == "unsure":
                disputes.append(Dispute(clip_id, sorted(votes, key=_annotator), current.why))
                doubted += 1
            continue
        if isinstance(result, Undecided) and result.check == NO_MAJORITY:
            disputes.append(Dispute(clip_id, sorted(votes, key=_annotator), result.why))
            doubted += current is not None
        elif current is None:
            too_few += isinstance(result, Undecided)
            agreed += isinstance(result, Outcome)
    decided = db.execute("SELECT count(*) FROM current_decisions").fetchone()[0]
    return Standing(decided - doubted, agreed, too_few, disputes)


class OpenTask(NamedTuple):
    """A task that still asks for an answer on a clip that is settled."""

    round: str
    kind: str
    """Of the round: in one of adjudication, an answer supersedes the decision."""
    clip_id: str
    task_id: int


def find_open_tasks(db: Database, standing: Standing) -> list[OpenTask]:
    """Find the tasks that ask for answers on clips that have been settled meanwhile.

    Gold clips are none of them. What was answered and not pulled yet counts as open.
    """
    disputed = {dispute.clip_id for dispute in standing.disputes}
    found = (OpenTask._make(row) for row in db.execute(_OPEN_THOUGH_DECIDED))
    return [task for task in found if task.clip_id not in disputed]


def rule_outcome(
    votes: Sequence[Vote], min_annotators: int, trim_iou: float = TRIM_IOU
) -> Outcome | Undecided:
    """Apply the majority rule, and leave a clip to people where any field has no majority.

    >>> yes = Vote("ann", "yes", "archery", "no", None, "no", None)
    >>> rule_outcome([yes, yes._replace(annotator="bob", mime_artist="yes")], 2).why
    'no majority for mime_artist'
    """
    result = decide(votes, min_annotators, trim_iou=trim_iou)
    if isinstance(result, Undecided) or result.verdict != "yes":
        return result
    agreeing = [vote for vote in votes if vote.verdict == "yes"]
    open_flags = []
    for flag in FLAGS:
        given = [getattr(vote, flag) for vote in agreeing if getattr(vote, flag) is not None]
        if given and majority(given) is None:
            open_flags.append(flag)
    if open_flags:
        return Undecided(NO_MAJORITY, f"no majority for {', '.join(open_flags)}")
    return result


def disputed_fields(votes: Sequence[Vote]) -> list[str]:
    """Name the fields in which answers differ; a field left empty is no answer, no trim is one.

    >>> yes = Vote("ann", "yes", "archery", "no", None, "no", None)
    >>> disputed_fields([yes, yes._replace(annotator="bob", label=None, scene_relevant="yes")])
    ['scene_relevant']
    """
    agreeing = [vote for vote in votes if vote.verdict == "yes"]
    differ = ["verdict"] if len({vote.verdict for vote in votes}) > 1 else []
    for name in FIELDS[1:]:
        given = {getattr(vote, name) for vote in agreeing}
        if len(given if name == "trim" else given - {None}) > 1:
            differ.append(name)
    return differ


def votes_in_words(votes: Sequence[Vote]) -> str:
    """Say how many annotators said what, field by field.

    >>> yes = Vote("ann", "yes", "archery", "no", None, "no", (0, 1500))
    >>> votes_in_words([yes, yes._replace(annotator="bob", label="bow")])
    '2 annotators: verdict 2 yes; label 1 archery, 1 bow; mime_artist 2 no; scene_relevant 2 no; \
trim 2 0-1.5 s'
    """
    parts = []
    for name in FIELDS:
        given = [getattr(vote, name) for vote in votes if getattr(vote, name) is not None]
        if given:
            words = (interval_text(*value) if name == "trim" else value for value in given)
            parts.append(f"{name} {_counted(words)}")
    return f"{len(votes)} annotators: {'; '.join(parts)}"


def take_over_answers(db: Database, say: Callable[[str], object] = lambda line: None) -> int:
    """Make decisions of what people answered in rounds of adjudication.

    Of each clip the latest answer counts, unless a person decided on it later. An answer that was
    taken over once is not taken over again, even if the decision was taken back.

    Args:
        db: the workspace's database.
        say: told of each decision of another person that an answer takes the place of.

    Returns:
        How many decisions were made.
    """
    if not db.execute("SELECT 1 FROM rounds WHERE kind = 'adjudication'").fetchone():
        return 0
    with writing(db):
        return _take_over(db, say)


def _take_over(db: Database, say: Callable[[str], object]) -> int:
    rows = db.execute(
        "SELECT said.clip_id, annotator, at, round, note, verdict, said.label, mime_artist, "
        "object_relevant, scene_relevant, start_ms, end_ms FROM current_annotations AS said "
        "JOIN rounds USING (round) WHERE kind = 'adjudication' AND skipped = 0 "
        "AND verdict IS NOT NULL AND NOT EXISTS (SELECT 1 FROM decisions WHERE "
        "decisions.clip_id = said.clip_id AND decided_by = annotator AND decided_at = at) "
        "ORDER BY at, annotation_id"
    ).fetchall()
    latest = {row[0]: row for row in rows}
    holding = current_decisions(db) if latest else {}
    now_called = class_of_alias(db)
    made = 0
    for clip_id, annotator, at, round_, note, *said, start_ms, end_ms in latest.values():
        current = holding.get(clip_id)
        if current and current.is_by_a_person and _time(current.decided_at) >= _time(at):
            continue
        verdict, label, *flags = said
        trim = None if start_ms is None else (start_ms, end_ms)
        outcome = Outcome._make([verdict, now_called.get(label, label), *flags, trim])
        if current and current.is_by_a_person and current.decided_by != annotator:
            say(
                f"{clip_id}: what {annotator} answered in round {round_} takes the place of what "
                f"{current.decided_by} decided on {current.decided_at[:10]}"
            )
        why = note or f"answered in round {round_}"
        record_decision(db, clip_id, outcome, method="adjudicated", by=annotator, why=why, at=at)
        made += 1
    return made


def _findings(
    db: Database, min_annotators: int, rounds: Collection[str], trim_iou: float
) -> Iterable[_Finding]:
    check_known(db, "round", rounds)
    holding = current_decisions(db)
    for clip_id, votes in votes_by_clip(db, rounds=rounds):
        result = rule_outcome(votes, min_annotators, trim_iou)
        yield _Finding(clip_id, votes, result, holding.get(clip_id))


def _counted(words: Iterable[str]) -> str:
    return ", ".join(f"{number} {word}" for word, number in Counter(words).most_common())


def _annotator(vote: Vote) -> str:
    return vote.annotator


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
