"""Intervals for shares and tests for pairs of systems, at a few hundred clips.

SciPy's special functions are used directly: importing `scipy.stats` or statsmodels takes longer
than the whole evaluation. The tests compare each function here with theirs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import bdtr, ndtri

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

CONFIDENCE = 0.95
MIN_VIDEOS = 10
"""Under this many source videos no interval is given: neither method holds with so few clusters."""


def design_effect(hits: NDArray[np.floating], clusters: NDArray[np.integer]) -> float:
    """How much larger the variance of a share is because clips of a video resemble each other.

    The variance of the ratio ``sum(hits) / n`` over clusters (linearised, with the factor
    m / (m - 1) for m clusters) over that of n independent clips, ``p (1 - p) / n``: Kish, *Survey
    Sampling* (1965), Sections 5.4 and 8.2.

    Args:
        hits: ``(n,)`` 0 or 1.
        clusters: ``(n,)`` the cluster of each, a number from 0.

    Returns:
        The design effect; 1 where it can't be estimated: one cluster, or all hits alike.

    >>> import numpy as np
    >>> design_effect(np.array([1, 1, 0, 0]), np.array([0, 1, 2, 3]))  # m / (m - 1)
    1.3333333333333333
    >>> design_effect(np.array([1, 1, 0, 0]), np.array([0, 0, 1, 1]))
    4.0
    """
    share = float(hits.mean())
    sizes = np.bincount(clusters)
    residuals = np.bincount(clusters, weights=hits) - share * sizes
    num_clusters = int((sizes > 0).sum())
    if num_clusters < 2 or share in {0.0, 1.0}:
        return 1.0
    between = num_clusters / (num_clusters - 1) * float((residuals**2).sum()) / len(hits)
    return between / (share * (1 - share))


def wilson_interval(share: float, effective_n: float) -> tuple[float, float]:
    """Wilson's score interval of a share at ``CONFIDENCE``.

    Args:
        share: 0 to 1.
        effective_n: the number of clips over the design effect; need not be whole.

    Returns:
        Lowest and highest share, within 0 to 1.

    >>> [round(bound, 4) for bound in wilson_interval(0.1, 50)]
    [0.0435, 0.2136]
    """
    z = float(ndtri(0.5 + CONFIDENCE / 2))
    centre = (share + z * z / (2 * effective_n)) / (1 + z * z / effective_n)
    spread = share * (1 - share) / effective_n + z * z / (4 * effective_n**2)
    half = z / (1 + z * z / effective_n) * spread**0.5
    return max(0.0, centre - half), min(1.0, centre + half)


def mcnemar_exact(only_first: int, only_second: int) -> float:
    """P-value of McNemar's exact test: are two systems right equally often on the same clips?

    Two-sided binomial test of the clips that exactly one system got right, against a fair coin.
    It takes clips as independent, which clips of one video are not.

    >>> round(mcnemar_exact(3, 12), 4)
    0.0352
    >>> mcnemar_exact(0, 0)
    1.0
    """
    discordant = only_first + only_second
    if discordant == 0:
        return 1.0
    return min(1.0, 2 * float(bdtr(min(only_first, only_second), discordant, 0.5)))


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Adjust p-values for their number, by Holm's step-down method (1979).

    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, np.float64)
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(steps, 1.0)
    return adjusted
