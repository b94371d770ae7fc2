"""Every pair of systems on every subset: McNemar's exact test, Holm's correction, intervals."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from mimecurate.evaluation.bootstrap import Statistic, mean_statistic, percentile_interval
from mimecurate.evaluation.report import Comparison
from mimecurate.evaluation.statistics import MIN_VIDEOS, holm, mcnemar_exact

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mimecurate.evaluation.matching import Matched
    from mimecurate.evaluation.targets import Targets


def compare(
    systems: Sequence[tuple[str, Matched]], targets: Targets
) -> tuple[list[Comparison], list[Statistic]]:
    """Compare every pair of systems on every subset that has clips.

    A pair is compared on the clips that count for both.

    Args:
        systems: name and ranks of each.
        targets: the clips and their subsets.

    Returns:
        The comparisons, without intervals, and per pair the statistic for their intervals: its
        sets are the pair's comparisons in order.
    """
    found: list[Comparison] = []
    statistics: list[Statistic] = []
    for (first, a), (second, b) in combinations(systems, 2):
        counted = a.counted & b.counted
        right_a, right_b = a.rank == 1, b.rank == 1
        sets = {}
        for name, inside in targets.subsets.items():
            if (chosen := inside & counted).any():
                sets[name] = chosen
                found.append(_compared(first, second, name, right_a, right_b, chosen, targets))
        if sets:
            difference = right_a.astype(np.float64) - right_b
            statistics.append(
                mean_statistic(difference, targets.videos, targets.num_videos, list(sets.values()))
            )
    adjusted = holm([c.p_value for c in found])
    return [
        replace(c, p_adjusted=float(p)) for c, p in zip(found, adjusted, strict=True)
    ], statistics


def with_intervals(
    comparisons: Sequence[Comparison], samples: Sequence[NDArray[np.floating]]
) -> list[Comparison]:
    """Add the intervals of the differences.

    Args:
        comparisons: in the order of `compare`.
        samples: per pair ``(subsets, resamples)`` differences.
    """
    if not samples:
        return list(comparisons)
    bounds = np.concatenate([percentile_interval(s) for s in samples], axis=1)
    return [
        c if c.videos < MIN_VIDEOS else replace(c, ci=(float(low), float(high)))
        for c, (low, high) in zip(comparisons, bounds.T, strict=True)
    ]


def _compared(
    first: str,
    second: str,
    subset: str,
    right_a: NDArray[np.bool_],
    right_b: NDArray[np.bool_],
    chosen: NDArray[np.bool_],
    targets: Targets,
) -> Comparison:
    a, b = right_a[chosen], right_b[chosen]
    only_first, only_second = int((a & ~b).sum()), int((b & ~a).sum())
    p_value = mcnemar_exact(only_first, only_second)
    return Comparison(
        first,
        second,
        subset,
        len(a),
        len(np.unique(targets.videos[chosen])),
        int((a & b).sum()),
        only_first,
        only_second,
        int((~a & ~b).sum()),
        100 * (only_first - only_second) / len(a),
        None,
        p_value,
        p_value,
    )
