"""How much annotators agree: percent, Cohen's and Fleiss' kappa, Krippendorff's alpha, Gwet's AC1.

All are for values without an order, and allow for clips that not everybody answered. With
``r_ik`` the number of annotators who gave clip i the value k, and ``r_i`` who gave it any, each is
a function of sums over clips of ``r_ik``, ``r_ik / r_i`` and the share of agreeing pairs of
answers. So the bootstrap over source videos takes one product of a sparse matrix with the weights
of the videos, as in `mimecurate.evaluation.bootstrap`.

The libraries that have these (krippendorff, statsmodels) take one whole matrix at a time,
and are slower by the number of resamples; the tests compare each function here with theirs.

Papers:
    Cohen, "A coefficient of agreement for nominal scales", Educ. Psychol. Meas. 20 (1960).
    Fleiss, "Measuring nominal scale agreement among many raters", Psychol. Bull. 76 (1971).
    Krippendorff, "Computing Krippendorff's alpha-reliability" (2011).
    Gwet, "Computing inter-rater reliability and its variance in the presence of high agreement",
    Br. J. Math. Stat. Psychol. 61 (2008); with missing answers as in his *Handbook of Inter-Rater
    Reliability*, 4th edition (2014), which extends Fleiss' kappa in the same way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.sparse import csr_array

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

MEASURES = ("percent", "kappa", "alpha", "ac1")
TRIM_MEASURES = ("percent", "mean_iou")


@dataclass(frozen=True, slots=True, eq=False)
class Ratings:
    """Who gave which clip which value of a field: three arrays with an item per answer.

    Nobody answers a clip twice.
    """

    clips: NDArray[np.int64]
    """``(n,)`` numbers of clips, ascending."""
    annotators: NDArray[np.int64]
    """``(n,)`` numbers of annotators, ascending within a clip."""
    values: NDArray[np.int64]
    """``(n,)`` numbers of values, from 0."""
    num_values: int
    """How many values the field can take, used or not: Gwet's AC1 depends on it."""


class AnswerPairs(NamedTuple):
    """All pairs of answers to the same clip, as indices into the arrays of `Ratings`."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]


class Measured(NamedTuple):
    """The coefficients; each an array over resamples, NaN where it is not defined."""

    percent: NDArray[np.float64]
    kappa: NDArray[np.float64]
    """Cohen's of two annotators, Fleiss' of more."""
    alpha: NDArray[np.float64]
    ac1: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class AgreementStatistic:
    """What each video adds to the sums, and how the coefficients follow from the sums.

    Rows of ``sums``: clips with an answer; clips with two or more; the share of agreeing pairs;
    Krippendorff's agreeing pairs; then per value the shares ``r_ik / r_i``, the answers to clips
    with two or more, and with ``is_cohen`` those answers of the first annotator.
    """

    sums: csr_array
    num_values: int
    is_cohen: bool

    def __call__(self, weights: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return ``(4, resamples)``: percent, kappa, alpha and AC1, NaN where not defined.

        Args:
            weights: ``(videos, resamples)`` how often each video counts.
        """
        sums = self.sums @ weights.astype(np.float64)
        answered, compared, agreeing, coincident = sums[:4]
        shares, pairable, *first = sums[4:].reshape(-1, self.num_values, weights.shape[1])
        with np.errstate(divide="ignore", invalid="ignore"):
            observed = agreeing / compared
            shares = shares / answered
            chance = (shares**2).sum(axis=0)
            if self.is_cohen:
                by_first, by_second = first[0] / compared, (pairable - first[0]) / compared
                kappa = _over_chance(observed, (by_first * by_second).sum(axis=0))
            else:
                kappa = _over_chance(observed, chance)
            ac1 = _over_chance(observed, (1 - chance) / (self.num_values - 1))
            total = pairable.sum(axis=0)
            disagreeing = total**2 - (pairable**2).sum(axis=0)
            alpha = 1 - (total - 1) * (total - coincident) / disagreeing
        return np.stack([100 * observed, kappa, alpha, ac1])


def agreement_statistic(
    ratings: Ratings, videos: NDArray[np.int64], num_videos: int
) -> AgreementStatistic:
    """Sum up what the videos add to the coefficients.

    Kappa is Cohen's where two annotators gave all answers to clips with two or more, else Fleiss'.

    Args:
        ratings: the answers.
        videos: for each clip's number, the number of its source video.
        num_videos: how many videos there are.
    """
    clips, q = ratings.clips, ratings.num_values
    answers = np.bincount(clips, minlength=len(videos))
    is_pairable = answers[clips] >= 2
    people = np.unique(ratings.annotators[is_pairable])
    places = clips * q + ratings.values
    cells, counts = np.unique(places, return_counts=True)
    cell_clips, cell_values = cells // q, cells % q
    others = np.maximum(answers[cell_clips] - 1, 1)
    agreeing = counts * (counts - 1) / others  # 0 where the clip has one answer
    found, compared = np.flatnonzero(answers), np.flatnonzero(answers >= 2)
    blocks = [
        (np.zeros_like(found), found, np.ones(len(found))),
        (np.ones_like(compared), compared, np.ones(len(compared))),
        (np.full_like(cells, 2), cell_clips, agreeing / answers[cell_clips]),
        (np.full_like(cells, 3), cell_clips, agreeing),
        (4 + cell_values, cell_clips, counts / answers[cell_clips]),
        (4 + q + cell_values, cell_clips, counts * (answers[cell_clips] >= 2)),
    ]
    if is_cohen := len(people) == 2:
        chosen = np.flatnonzero(is_pairable & (ratings.annotators == people[0]))
        blocks.append((4 + 2 * q + ratings.values[chosen], clips[chosen], np.ones(len(chosen))))
    rows, columns, data = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    shape = (4 + (3 if is_cohen else 2) * q, num_videos)
    return AgreementStatistic(csr_array((data, (rows, videos[columns])), shape), q, is_cohen)


def measure(ratings: Ratings) -> tuple[float, float, float, float]:
    """Compute percent agreement, kappa, alpha and AC1; NaN where one is not defined.

    Percent is the mean over clips of the share of agreeing pairs of answers. Kappa is not defined
    where chance alone would give full agreement, alpha where all answers are the same value.

    The paradox of kappa, with the example of Feinstein and Cicchetti, "High agreement but low
    kappa: I", J. Clin. Epidemiol. 43 (1990): two pairs of annotators agree on 85 of 100 clips, the
    one with as many "yes" as "no", the other with few "no".

    >>> even, uneven = ([[40, 9], [6, 45]], [[80, 10], [5, 5]])
    >>> for table in (even, uneven):
    ...     percent, kappa, alpha, ac1 = measure(ratings_of_table(table))
    ...     print(f"{percent:.0f} %  kappa {kappa:.2f}  alpha {alpha:.2f}  AC1 {ac1:.2f}")
    85 %  kappa 0.70  alpha 0.70  AC1 0.70
    85 %  kappa 0.32  alpha 0.32  AC1 0.81
    """
    num_clips = int(ratings.clips.max(initial=-1)) + 1
    statistic = agreement_statistic(ratings, np.arange(num_clips), num_clips)
    percent, kappa, alpha, ac1 = statistic(np.ones((num_clips, 1), np.float32))[:, 0].tolist()
    return percent, kappa, alpha, ac1


def ratings_of_table(table: list[list[int]]) -> Ratings:
    """Make the ratings of two annotators from how often the first said i and the second j."""
    counts = np.asarray(table)
    first, second = np.indices(counts.shape).reshape(2, -1).repeat(counts.ravel(), axis=1)
    clips = np.arange(len(first)).repeat(2)
    people = np.tile([0, 1], len(first))
    return Ratings(clips, people, np.stack([first, second], axis=1).ravel(), len(counts))


def answer_pairs(clips: NDArray[np.int64]) -> AnswerPairs:
    """Find all pairs of answers to the same clip.

    Args:
        clips: ``(n,)`` the clip of each answer, ascending.

    >>> import numpy as np
    >>> first, second = answer_pairs(np.array([0, 1, 1, 1]))
    >>> sorted(zip(first.tolist(), second.tolist()))
    [(1, 2), (1, 3), (2, 3)]
    """
    firsts: list[NDArray[np.int64]] = [np.zeros(0, np.int64)]
    step = 1
    while len(same := np.flatnonzero(clips[step:] == clips[:-step])):
        firsts.append(same)
        step += 1
    steps = np.arange(len(firsts)).repeat([len(part) for part in firsts])
    first = np.concatenate(firsts)
    return AnswerPairs(first, first + steps)


def interval_overlap(
    starts: NDArray[np.int64], ends: NDArray[np.int64], pairs: AnswerPairs
) -> NDArray[np.float64]:
    """Compute the intersection over union of half-open intervals, in [0, 1], for each pair.

    Args:
        starts: ``(n,)`` start of the interval in each answer.
        ends: ``(n,)`` its end, after the start.
        pairs: of answers.
    """
    latest_start = np.maximum(starts[pairs.first], starts[pairs.second])
    first_end = np.minimum(ends[pairs.first], ends[pairs.second])
    common = np.maximum(first_end - latest_start, 0)
    length = ends - starts
    union = length[pairs.first] + length[pairs.second] - common
    return np.asarray(common / union, np.float64)


def overlap_statistic(
    overlaps: NDArray[np.float64],
    least: float,
    clips: NDArray[np.int64],
    videos: NDArray[np.int64],
    num_videos: int,
) -> Callable[[NDArray[np.float32]], NDArray[np.float64]]:
    """Make the statistic of how intervals agree, each a mean over clips of the mean of their pairs.

    What it makes is ``(2, resamples)``, the `TRIM_MEASURES`: the percentage of pairs that overlap
    by ``least`` or more (and at all), and the overlap.

    Args:
        overlaps: ``(n,)`` of each pair of answers, in [0, 1].
        least: from which overlap on a pair agrees.
        clips: ``(n,)`` the clip of each pair.
        videos: for each clip's number, the number of its source video.
        num_videos: how many videos there are.
    """
    compared, place = np.unique(clips, return_inverse=True)
    pairs = np.bincount(place)
    per_clip = (
        np.bincount(place, weights=100 * agrees(overlaps, least)) / pairs,
        np.bincount(place, weights=overlaps) / pairs,
        np.ones(len(compared)),
    )
    sums = np.stack(
        [np.bincount(videos[compared], weights=w, minlength=num_videos) for w in per_clip]
    )

    def means(weights: NDArray[np.float32]) -> NDArray[np.float64]:
        *totals, clips = sums @ weights.astype(np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.stack(totals) / clips)

    return means


def agrees(overlaps: NDArray[np.float64], least: float) -> NDArray[np.bool_]:
    """Say which pairs of intervals agree: they overlap, and by ``least`` or more."""
    return (overlaps > 0) & (overlaps >= least)


def _over_chance(observed: NDArray[np.float64], chance: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(chance < 1, (observed - chance) / (1 - chance), np.nan)
