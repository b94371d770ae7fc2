"""The paper's metrics, from ranks: Mimetics paper, Section 5.2, Tables 6 to 8, 11 and 12.

All in percent. *Global* top-k is the share of clips whose true class is among the k best; *mean*
top-k is the mean over classes of the share in each class. Averages over classes run over the
classes that have clips in the subset at hand, and over no other: a class that is only ever
predicted has no accuracy. The average precision of a class is the mean of 1 / rank over its clips;
with one true label per clip that is what label-ranking average precision gives. It is not the
area under a precision-recall curve.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

METRICS = ("top1", "top5", "mean_class_top1", "mean_class_top5", "mean_ap")


@dataclass(frozen=True, slots=True)
class Scores:
    """The five metrics over a set of clips, in percent; None where the set is empty."""

    clips: int
    videos: int
    """How many source videos the clips come from."""
    classes: int
    """How many classes have clips in the set."""
    top1: float | None
    """Global."""
    top5: float | None
    mean_class_top1: float | None
    mean_class_top5: float | None
    mean_ap: float | None
    ci: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """95 % interval by metric; empty when the set comes from too few videos to say anything."""


@dataclass(frozen=True, slots=True)
class ClassScores:
    """One class, in percent."""

    clips: int
    top1: float
    top5: float
    ap: float


@dataclass(frozen=True, slots=True, eq=False)
class Hits:
    """What each clip contributes; every array is ``(n,)``."""

    top1: NDArray[np.float64]
    """1 where the true class is the best, else 0."""
    top5: NDArray[np.float64]
    reciprocal: NDArray[np.float64]
    """1 / rank; 0 for a clip without a rank."""

    @staticmethod
    def from_ranks(rank: NDArray[np.integer]) -> Hits:
        """Turn ranks into contributions; rank 0 is a wrong answer at infinity.

        >>> import numpy as np
        >>> Hits.from_ranks(np.array([1, 4, 0])).reciprocal.tolist()
        [1.0, 0.25, 0.0]
        """
        ranked = rank > 0
        reciprocal = np.divide(1.0, rank, out=np.zeros(len(rank)), where=ranked)
        return Hits(
            (rank == 1).astype(np.float64), (ranked & (rank <= 5)).astype(np.float64), reciprocal
        )


def score(
    hits: Hits,
    labels: NDArray[np.integer],
    videos: NDArray[np.integer],
    inside: NDArray[np.bool_],
) -> Scores:
    """Average over a set of clips.

    Args:
        hits: of all clips.
        labels: ``(n,)``, the class of each clip, a number from 0.
        videos: ``(n,)``, the source video of each clip, a number from 0.
        inside: ``(n,)``, which clips are in the set.

    Returns:
        The metrics, without intervals.

    >>> import numpy as np
    >>> hits = Hits.from_ranks(np.array([1, 2, 2, 10]))
    >>> zeros = np.zeros(4, int)
    >>> found = score(hits, np.array([0, 1, 1, 1]), zeros, np.ones(4, bool))
    >>> found.top1, found.mean_class_top1, round(found.mean_ap, 2)
    (25.0, 50.0, 68.33)
    """
    chosen = np.flatnonzero(inside)
    clips = len(chosen)
    if clips == 0:
        return Scores(0, 0, 0, None, None, None, None, None)
    label = labels[chosen]
    counts = np.bincount(label)
    present = counts > 0

    def class_mean(values: NDArray[np.float64]) -> float:
        sums = np.bincount(label, weights=values[chosen])
        return float(100 * (sums[present] / counts[present]).mean())

    return Scores(
        clips,
        int(np.count_nonzero(np.bincount(videos[chosen]))),
        int(present.sum()),
        float(100 * hits.top1[chosen].mean()),
        float(100 * hits.top5[chosen].mean()),
        class_mean(hits.top1),
        class_mean(hits.top5),
        class_mean(hits.reciprocal),
    )


def score_classes(
    hits: Hits, labels: NDArray[np.integer], inside: NDArray[np.bool_], names: Sequence[str]
) -> dict[str, ClassScores]:
    """Average over each class that has clips in a set, by name."""
    label = labels[inside]
    counts = np.bincount(label, minlength=len(names))
    means = [
        100
        * np.bincount(label, weights=values[inside], minlength=len(names))
        / np.maximum(counts, 1)
        for values in (hits.top1, hits.top5, hits.reciprocal)
    ]
    return {
        name: ClassScores(int(counts[i]), *(float(mean[i]) for mean in means))
        for i, name in enumerate(names)
        if counts[i]
    }
