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
TRIM_IOU = 0.5
"""Temporal overlap (intersection over union) from which two trims agree: the lowest threshold of
ActivityNet's challenge in temporal localisation, which averages over 0.5 to 0.95."""
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


def decide(
    votes: Sequence[Vote], min_annotators: int, *, trim_iou: float = TRIM_IOU
) -> Outcome | Undecided:
    """Decide on one clip.

    The verdict needs more than half of all votes. Of those who said yes, more than half must
    agree on the label (nobody naming one keeps the clip's own) and on the trim (`common_trim`; none
    is an answer too). A flag is what more than half of those who answered it said, else
    ``unsure``; None if nobody answered.

    Args:
        votes: of different annotators.
        min_annotators: with fewer nothing is decided.
        trim_iou: from which overlap on two trims agree.

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
    trim: tuple[int, int] | None = None
    if 2 * sum(vote.trim is None for vote in agreeing) <= len(agreeing):
        trim = common_trim([vote.trim for vote in agreeing], trim_iou)
        if trim is None:
            return Undecided(NO_MAJORITY, "no majority for a trim")
    mime, thing, scene = (_flag(getattr(vote, flag) for vote in agreeing) for flag in FLAGS)
    return Outcome("yes", label, mime, thing, scene, trim)


def common_trim(
    trims: Sequence[tuple[int, int] | None], trim_iou: float = TRIM_IOU
) -> tuple[int, int] | None:
    """Return the trim that more than half of some annotators mean, None if there is none.

    The largest group that overlaps with one of its trims by at least ``trim_iou``, if it is more
    than half of all; its trim is from the median of the starts to the median of the ends (of an
    even number the middle of both, rounded down). A single bound that is far off changes nothing
    then, unlike in a mean, an intersection or a union.

    Args:
        trims: start and end in milliseconds; None of those who did not trim.
        trim_iou: in [0, 1]; 1: only equal trims agree.

    >>> common_trim([(0, 2000), (200, 2100), None])
    (100, 2050)
    >>> common_trim([(0, 2000), (1500, 4000)]) is None
    True
    """
    given = sorted(trim for trim in trims if trim is not None)
    best: tuple[int, float, list[tuple[int, int]]] = 0, 0.0, []
    for middle in given:
        overlaps = [interval_iou(middle, trim) for trim in given]
        group = [t for t, iou in zip(given, overlaps, strict=True) if iou and iou >= trim_iou]
        best = max(best, (len(group), sum(overlaps), group))
    if 2 * best[0] <= len(trims):
        return None
    starts, ends = zip(*best[2], strict=True)
    return _median(starts), _median(ends)


def interval_iou(one: tuple[int, int], other: tuple[int, int]) -> float:
    """Return the intersection over union of two half-open intervals, in [0, 1].

    >>> interval_iou((0, 2000), (1000, 3000))
    0.3333333333333333
    """
    common = min(one[1], other[1]) - max(one[0], other[0])
    return max(common, 0) / (one[1] - one[0] + other[1] - other[0] - max(common, 0))


def _median(values: Sequence[int]) -> int:
    ordered, half = sorted(values), len(values) // 2
    return (ordered[half] + ordered[~half]) // 2


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
