"""How much the annotators of a workspace agree, field by field: `mimecurate annotate agreement`."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isnan
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mimecurate.annotation.agreement_details import (
    Confusion,
    PairAgreement,
    confusions,
    pair_agreements,
)
from mimecurate.annotation.agreement_statistics import (
    MEASURES,
    TRIM_MEASURES,
    AnswerPairs,
    Ratings,
    agreement_statistic,
    answer_pairs,
    interval_overlap,
    overlap_statistic,
)
from mimecurate.curation.release_rule import (
    FLAGS,
    TRIM_IOU,
    Vote,
    check_known,
    votes_by_clip,
)
from mimecurate.evaluation.bootstrap import bootstrap, percentile_interval
from mimecurate.evaluation.statistics import MIN_VIDEOS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from numpy.typing import NDArray
    from sqlite_utils import Database

FIELDS = ("verdict", "label", *FLAGS, "trim")
VERDICTS = ("yes", "no", "unsure", "unplayable")
ANSWERS = ("yes", "no", "unsure")
MAX_UNDEFINED = 0.05
"""Of the resamples: with more in which a coefficient is not defined, it gets no interval."""

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class FieldAgreement:
    """The agreement on one field; None is a coefficient that is not defined."""

    clips: int
    """Clips that two or more annotators answered."""
    annotators: int
    """Who answered any of those."""
    percent: float | None
    """Mean over clips of the share of agreeing pairs of answers; trims agree where they overlap by
    ``trim_iou`` or more."""
    kappa: float | None
    alpha: float | None
    ac1: float | None
    kappa_is: str | None = None
    """``cohen`` for two annotators, ``fleiss`` for more."""
    mean_iou: float | None = None
    """Of ``trim``: the mean over clips of the overlap of their pairs, in [0, 1]."""
    undefined: Mapping[str, str] = field(default_factory=dict)
    """Why a coefficient is None, by its name."""
    ci: Mapping[str, Interval | None] = field(default_factory=dict)
    """95% intervals; None where too few videos or too little variety allow none."""
    pairs: Sequence[PairAgreement] = ()
    """By the number of clips, most first."""
    confusions: Sequence[Confusion] = ()
    """Most frequent first."""


class _Table(NamedTuple):
    """All votes, as arrays over answers that are sorted by clip and annotator."""

    annotators: list[str]
    videos: NDArray[np.int64]
    num_videos: int
    clip_of: NDArray[np.int64]
    annotator_of: NDArray[np.int64]
    votes: list[Vote]


class _Field(NamedTuple):
    """The answers to one field, and the names of its values."""

    ratings: Ratings
    names: Sequence[str]
    pairs: AnswerPairs
    overlaps: NDArray[np.float64] | None
    """Of ``trim``: how much the intervals of each pair overlap."""
    trim_iou: float = TRIM_IOU


def agreement(
    db: Database,
    *,
    rounds: Collection[str] = (),
    annotators: Collection[str] = (),
    exclude: Collection[str] = (),
    trim_iou: float = TRIM_IOU,
    resamples: int = 1000,
    seed: int = 0,
    on_progress: Callable[[int], None] | None = None,
) -> dict[str, FieldAgreement]:
    """Measure how much annotators agree, from the latest word of each on each clip.

    ``unsure`` is a value like the others. A field left empty is missing, and a skipped clip is no
    answer. What was said in a round of adjudication does not count.

    Args:
        db: the workspace's database.
        rounds: only what was said in these; empty: in all.
        annotators: only what these said; empty: all.
        exclude: nothing that these said.
        trim_iou: from which overlap (intersection over union) on two trims agree.
        resamples: of the source videos, for the intervals; 0: no intervals.
        seed: of the resampling.
        on_progress: called with how many resamples more are done.

    Returns:
        By field, in the order of `FIELDS`.

    Raises:
        MimecurateError: a round or annotator that nobody knows.
    """
    check_known(db, "round", rounds)
    check_known(db, "annotator", [*annotators, *exclude])
    table = _read(db, rounds=rounds, annotators=annotators, exclude=exclude)
    labels = [name for (name,) in db.execute("SELECT name FROM classes ORDER BY name")]
    fields = {name: _field(table, name, labels, trim_iou) for name in FIELDS}
    statistics = [_statistic(one, table) for one in fields.values()]
    ones = np.ones((table.num_videos, 1), np.float32)
    points = [statistic(ones)[:, 0].tolist() for statistic in statistics]
    samples: Sequence[NDArray[np.float64] | None] = [None] * len(FIELDS)
    if resamples and table.num_videos >= MIN_VIDEOS:
        samples = bootstrap(
            statistics, table.num_videos, resamples=resamples, seed=seed, on_progress=on_progress
        )
    return {
        name: _describe(one, table, point, sample)
        for (name, one), point, sample in zip(fields.items(), points, samples, strict=True)
    }


def _read(db: Database, **wanted: Collection[str]) -> _Table:
    clip_names: list[str] = []
    votes: list[Vote] = []
    sizes = []
    for clip_id, said in votes_by_clip(db, **wanted):
        clip_names.append(clip_id)
        sizes.append(len(said))
        votes += sorted(said)
    annotators = sorted({vote.annotator for vote in votes})
    number = {name: i for i, name in enumerate(annotators)}
    video_of = dict(
        db.execute(
            "SELECT clip_id, video_id FROM clips WHERE clip_id IN (SELECT clip_id FROM annotations)"
        ).fetchall()
    )
    names, videos = np.unique(
        np.array([video_of[name] for name in clip_names], dtype=str), return_inverse=True
    )
    return _Table(
        annotators,
        videos.astype(np.int64),
        len(names),
        np.arange(len(sizes)).repeat(sizes),
        np.array([number[vote.annotator] for vote in votes], np.int64),
        votes,
    )


def _field(table: _Table, name: str, labels: Sequence[str], trim_iou: float) -> _Field:
    given = [getattr(vote, name) for vote in table.votes]
    chosen = np.array([i for i, value in enumerate(given) if value is not None], np.int64)
    clips, annotators = table.clip_of[chosen], table.annotator_of[chosen]
    said = [given[i] for i in chosen.tolist()]
    pairs = answer_pairs(clips)
    if name == "trim":
        starts, ends = np.array(said, np.int64).reshape(-1, 2).T
        ratings = Ratings(clips, annotators, np.zeros_like(clips), 1)
        return _Field(ratings, (), pairs, interval_overlap(starts, ends, pairs), trim_iou)
    names: Sequence[str] = VERDICTS if name == "verdict" else ANSWERS
    if name == "label":
        names = sorted({*labels, *said})
    number = {value: i for i, value in enumerate(names)}
    values = np.array([number[value] for value in said], np.int64)
    return _Field(Ratings(clips, annotators, values, len(names)), names, pairs, None)


def _statistic(one: _Field, table: _Table) -> Callable[[NDArray[np.float32]], NDArray[np.float64]]:
    if one.overlaps is None:
        return agreement_statistic(one.ratings, table.videos, table.num_videos)
    clips = one.ratings.clips[one.pairs.first]
    return overlap_statistic(one.overlaps, one.trim_iou, clips, table.videos, table.num_videos)


def _describe(
    one: _Field, table: _Table, point: Sequence[float], samples: NDArray[np.float64] | None
) -> FieldAgreement:
    first, second = one.pairs
    clips = np.unique(one.ratings.clips[first])
    people = np.unique(one.ratings.annotators[np.concatenate([first, second])])
    is_trim = one.overlaps is not None
    names = TRIM_MEASURES if is_trim else MEASURES
    values = dict(zip(names, (None if isnan(x) else x for x in point), strict=True))
    return FieldAgreement(
        len(clips),
        len(people),
        values["percent"],
        values.get("kappa"),
        values.get("alpha"),
        values.get("ac1"),
        None if is_trim or not len(people) else "cohen" if len(people) == 2 else "fleiss",
        values.get("mean_iou"),
        {m: _why_undefined(one, len(clips)) for m in MEASURES if values.get(m) is None},
        _intervals(values, samples, len(np.unique(table.videos[clips]))),
        pair_agreements(one.ratings, one.pairs, one.overlaps, one.trim_iou, table.annotators),
        () if is_trim else confusions(one.ratings, one.pairs, one.names),
    )


def _why_undefined(one: _Field, clips: int) -> str:
    if clips == 0:
        return "no clip has two answers"
    if one.overlaps is not None:
        return "intervals are no categories"
    return "one value alone" if one.ratings.num_values < 2 else "all answers are the same"


def _intervals(
    values: Mapping[str, float | None], samples: NDArray[np.float64] | None, videos: int
) -> dict[str, Interval | None]:
    """Make the intervals of what is defined, as far as resampling can tell.

    It can't with few videos, nor where all clips agree alike: every resample is the same then.
    """
    found: dict[str, Interval | None] = dict.fromkeys(values)
    if samples is None or videos < MIN_VIDEOS:
        return found
    for (name, value), sample in zip(values.items(), samples, strict=True):
        if value is None or np.isnan(sample).mean() > MAX_UNDEFINED:
            continue
        low, high = percentile_interval(sample).tolist()
        if low < high:
            found[name] = low, high
    return found
