"""Decide straight from annotations: a majority of at least so many annotators, field by field."""

from __future__ import annotations

import json
from collections import Counter
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from mimecurate.curation.classes import class_of_alias
from mimecurate.errors import MimecurateError

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Iterable, Iterator, Sequence

    from sqlite_utils import Database

FLAGS = ("mime_artist", "object_relevant", "scene_relevant")
TOO_FEW, NO_MAJORITY = "too-few-annotators", "no-majority"


class Vote(NamedTuple):
    """What one annotator said of a clip."""

    annotator: str
    verdict: str
    label: str | None
    mime_artist: str | None
    object_relevant: str | None
    scene_relevant: str | None
    trim: tuple[int, int] | None


class Outcome(NamedTuple):
    """What the rule makes of the votes on a clip."""

    verdict: str
    label: str | None = None
    mime_artist: str | None = None
    object_relevant: str | None = None
    scene_relevant: str | None = None
    trim: tuple[int, int] | None = None


class Undecided(NamedTuple):
    """Why the rule makes nothing of the votes on a clip."""

    check: str
    why: str


def decide(votes: Sequence[Vote], min_annotators: int) -> Outcome | Undecided:
    """Decide on one clip.

    The verdict needs more than half of all votes. Of those who said yes, more than half must
    agree on the label (nobody naming one keeps the clip's own) and on the trim (none is an answer
    too). A flag is what more than half of those who answered it said, else ``unsure``; None if
    nobody answered.

    >>> yes = Vote("ann", "yes", "archery", "no", None, "no", None)
    >>> decide([yes, yes._replace(annotator="bob", mime_artist="yes")], 2)
    Outcome(verdict='yes', label='archery', mime_artist='unsure', object_relevant=None, \
scene_relevant='no', trim=None)
    >>> decide([yes], 2).why
    '1 of 2 annotators'
    """
    if len(votes) < min_annotators:
        return Undecided(TOO_FEW, f"{len(votes)} of {min_annotators} annotators")
    verdict = majority(vote.verdict for vote in votes)
    if verdict is None:
        return Undecided(NO_MAJORITY, "no majority for a verdict")
    if verdict != "yes":
        return Outcome(verdict)
    agreeing = [vote for vote in votes if vote.verdict == "yes"]
    labels = [vote.label for vote in agreeing if vote.label is not None]
    label = majority(labels)
    if labels and label is None:
        return Undecided(NO_MAJORITY, "no majority for a label")
    trim = majority(vote.trim or () for vote in agreeing)
    if trim is None:
        return Undecided(NO_MAJORITY, "no majority for a trim")
    mime, thing, scene = (_flag(getattr(vote, flag) for vote in agreeing) for flag in FLAGS)
    return Outcome("yes", label, mime, thing, scene, trim or None)


def majority(values: Iterable[Hashable]) -> Any:
    """Return what more than half of the values are, or None.

    >>> majority(["a", "b", "a"]), majority(["a", "b"]), majority([])
    ('a', None, None)
    """
    counts = Counter(values)
    if not counts:
        return None
    value, number = counts.most_common(1)[0]
    return value if 2 * number > counts.total() else None


def _flag(answers: Iterable[str | None]) -> str | None:
    given = [answer for answer in answers if answer is not None]
    return (majority(given) or "unsure") if given else None


def votes_by_clip(
    db: Database,
    *,
    rounds: Collection[str] = (),
    annotators: Collection[str] = (),
    exclude: Collection[str] = (),
) -> Iterator[tuple[str, list[Vote]]]:
    """Read the latest current annotation of each annotator, clip by clip.

    Skipped clips are no votes, nor is what was said in a round of adjudication, where people saw
    the answers of others. Classes have the names that they have now.

    Args:
        db: the workspace's database.
        rounds: only what was said in these; empty: in all.
        annotators: only what these said; empty: all.
        exclude: nothing that these said.
    """
    rows = db.execute(
        "SELECT clip_id, annotator, verdict, label, mime_artist, object_relevant, scene_relevant, "
        "start_ms, end_ms FROM current_annotations WHERE skipped = 0 AND verdict IS NOT NULL "
        "AND round NOT IN (SELECT round FROM rounds WHERE kind = 'adjudication') "
        "AND (:rounds = '[]' OR round IN (SELECT value FROM json_each(:rounds))) "
        "AND (:annotators = '[]' OR annotator IN (SELECT value FROM json_each(:annotators))) "
        "AND annotator NOT IN (SELECT value FROM json_each(:exclude)) "
        "ORDER BY clip_id, at, annotation_id",
        {
            "rounds": json.dumps(sorted(rounds)),
            "annotators": json.dumps(sorted(annotators)),
            "exclude": json.dumps(sorted(exclude)),
        },
    )
    now_called = class_of_alias(db)
    for clip_id, group in groupby(rows, key=itemgetter(0)):
        latest: dict[str, Vote] = {}
        for _, annotator, verdict, label, *flags, start_ms, end_ms in group:
            trim = None if start_ms is None else (start_ms, end_ms)
            label = now_called.get(label, label)
            latest[annotator] = Vote._make([annotator, verdict, label, *flags, trim])
        yield clip_id, list(latest.values())


def check_known(db: Database, column: str, names: Collection[str]) -> None:
    """Check that there are annotations of every ``round`` or ``annotator`` in ``names``.

    Raises:
        MimecurateError: one is unknown; the message lists those that there are.
    """
    if not names:
        return
    known = {name for (name,) in db.execute(f"SELECT DISTINCT {column} FROM annotations")}
    if unknown := sorted(set(names) - known):
        there = ", ".join(map(repr, sorted(known))) or "none yet"
        raise MimecurateError(f"no annotations of {column} {unknown[0]!r}; there are: {there}")
