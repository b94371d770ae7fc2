"""Who agrees with whom, and which values are confused with which."""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mimecurate.annotation.agreement_statistics import Ratings, agrees, measure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mimecurate.annotation.agreement_statistics import AnswerPairs


class PairAgreement(NamedTuple):
    """How much two annotators agree, on the clips that both answered."""

    first: str
    second: str
    clips: int
    percent: float
    """Clips on which both say the same; for ``trim`` those whose intervals overlap enough."""
    kappa: float | None
    """Cohen's; None where it is not defined, and for ``trim``."""
    mean_iou: float | None = None
    """Of ``trim``: how much their intervals overlap, in [0, 1]."""


class Confusion(NamedTuple):
    """Two values that different annotators gave to the same clip."""

    first: str
    second: str
    clips: int
    """On how many clips."""
    pairs: int
    """How many pairs of answers."""


def pair_agreements(
    ratings: Ratings,
    pairs: AnswerPairs,
    overlaps: NDArray[np.float64] | None,
    trim_iou: float,
    annotators: Sequence[str],
) -> list[PairAgreement]:
    """Compare every two annotators who share a clip; those who share most come first.

    Args:
        ratings: the answers.
        pairs: of answers to the same clip.
        overlaps: per pair, where the values are intervals: how much they overlap.
        trim_iou: from which overlap on they agree.
        annotators: their names.
    """
    first, second = ratings.annotators[pairs.first], ratings.annotators[pairs.second]
    keys, place = np.unique(first * len(annotators) + second, return_inverse=True)
    ends = np.cumsum(np.bincount(place, minlength=len(keys)))
    groups = np.split(np.argsort(place, kind="stable"), ends[:-1])
    found = []
    for key, chosen in zip(keys.tolist(), groups, strict=False):
        numbers: tuple[float, float | None, float | None]
        if overlaps is None:
            numbers = *_compare(ratings, pairs.first[chosen], pairs.second[chosen]), None
        else:
            percent = 100 * float(agrees(overlaps[chosen], trim_iou).mean())
            numbers = percent, None, float(overlaps[chosen].mean())
        one, other = (annotators[number] for number in divmod(key, len(annotators)))
        found.append(PairAgreement(one, other, len(chosen), *numbers))
    return sorted(found, key=lambda pair: (-pair.clips, pair.first, pair.second))


def confusions(ratings: Ratings, pairs: AnswerPairs, names: Sequence[str]) -> list[Confusion]:
    """Count how often two annotators gave each two values to a clip; the most frequent first.

    Args:
        ratings: the answers.
        pairs: of answers to the same clip.
        names: of the values.
    """
    one, other = ratings.values[pairs.first], ratings.values[pairs.second]
    differ = one != other
    keys = np.minimum(one, other)[differ] * ratings.num_values + np.maximum(one, other)[differ]
    found, place, answers = np.unique(keys, return_inverse=True, return_counts=True)
    clips = ratings.clips[pairs.first][differ]
    per_clip = np.unique(np.stack([place, clips], axis=1), axis=0)
    on_clips = np.bincount(per_clip[:, 0], minlength=len(found))
    counted = [
        Confusion(*(names[value] for value in divmod(key, ratings.num_values)), *numbers)
        for key, *numbers in zip(found.tolist(), on_clips.tolist(), answers.tolist(), strict=True)
    ]
    return sorted(counted, key=lambda c: (-c.clips, -c.pairs, c.first, c.second))


def _compare(
    ratings: Ratings, first: NDArray[np.int64], second: NDArray[np.int64]
) -> tuple[float, float | None]:
    """Return percent agreement and Cohen's kappa of the answers of two annotators."""
    clips = np.arange(len(first)).repeat(2)
    values = ratings.values[np.stack([first, second], axis=1).ravel()]
    people = np.tile([0, 1], len(first))
    percent, kappa, _, _ = measure(Ratings(clips, people, values, ratings.num_values))
    return percent, None if isnan(kappa) else kappa
