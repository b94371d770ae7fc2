"""Cluster bootstrap: resample the source videos, and with each video all its clips.

A resample gives each video a weight, how often it was drawn. Every statistic here is a function
of weighted sums over clips, so all resamples of all statistics are one product of a sparse matrix
(sums by videos) with the weights (videos by resamples), taken in blocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array

from mimecurate.evaluation.metrics import METRICS
from mimecurate.evaluation.statistics import CONFIDENCE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from mimecurate.evaluation.metrics import Hits

_BLOCK_ITEMS = 1 << 22
_VALUES = 4
"""Sums per class and set: clips, top-1 hits, top-5 hits, reciprocal ranks."""


@dataclass(frozen=True, slots=True, eq=False)
class Statistic:
    """Weighted sums over clips, and what is made of them."""

    sums: csr_array
    """``(rows, videos)``: what each video adds to each sum."""
    shape: tuple[int, ...]
    """The sums' rows, unfolded: ``(4, sets, classes)`` for metrics, ``(2, sets)`` for ratios."""

    def __call__(self, weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return ``(5, sets, resamples)`` metrics or ``(sets, resamples)`` ratios, in percent."""
        sums = (self.sums @ weights).reshape(*self.shape, weights.shape[1])
        with np.errstate(divide="ignore", invalid="ignore"):  # a set that a resample left empty
            return _metrics(sums) if len(self.shape) == 3 else 100 * sums[1] / sums[0]


def metric_statistic(
    hits: Hits,
    labels: NDArray[np.integer],
    videos: NDArray[np.integer],
    num_videos: int,
    sets: Sequence[NDArray[np.bool_]],
) -> Statistic:
    """Make the statistic of all five metrics over several sets of clips.

    Args:
        hits: what each clip contributes.
        labels: ``(n,)`` class of each clip.
        videos: ``(n,)`` source video of each clip.
        num_videos: how many there are.
        sets: for each set, ``(n,)`` which clips are in it.
    """
    classes = int(labels.max()) + 1
    values = (np.ones(len(labels)), hits.top1, hits.top5, hits.reciprocal)
    rows, columns, data = [], [], []
    for v, value in enumerate(values):
        for s, inside in enumerate(sets):
            chosen = np.flatnonzero(inside & (value != 0))
            rows.append((v * len(sets) + s) * classes + labels[chosen])
            columns.append(videos[chosen])
            data.append(value[chosen])
    shape = (_VALUES, len(sets), classes)
    return Statistic(_sparse(rows, columns, data, _VALUES * len(sets) * classes, num_videos), shape)


def mean_statistic(
    values: NDArray[np.float64],
    videos: NDArray[np.integer],
    num_videos: int,
    sets: Sequence[NDArray[np.bool_]],
) -> Statistic:
    """Make the statistic of the mean of a value over several sets of clips."""
    rows, columns, data = [], [], []
    for v, value in enumerate((np.ones(len(values)), values)):
        for s, inside in enumerate(sets):
            chosen = np.flatnonzero(inside & (value != 0))
            rows.append(np.full(len(chosen), v * len(sets) + s))
            columns.append(videos[chosen])
            data.append(value[chosen])
    return Statistic(_sparse(rows, columns, data, 2 * len(sets), num_videos), (2, len(sets)))


def bootstrap(
    statistics: Sequence[Statistic], num_videos: int, *, resamples: int, seed: int
) -> list[NDArray[np.float32]]:
    """Compute statistics on the same resamples of the source videos.

    Args:
        statistics: what to compute.
        num_videos: how many videos there are; each resample draws as many, with replacement.
        resamples: how many times.
        seed: of the random generator; the same seed gives the same draws.

    Returns:
        For each statistic its values, the resamples along the last axis; NaN where a resample
        holds no clip of a set.
    """
    widest = max((s.sums.shape[0] for s in statistics), default=1)
    block = max(16, min(500, _BLOCK_ITEMS // max(num_videos, widest, 1)))
    parts: list[list[NDArray[np.float32]]] = [[] for _ in statistics]
    for weights in _weights(num_videos, resamples, seed, block):
        for statistic, found in zip(statistics, parts, strict=True):
            found.append(statistic(weights))
    return [np.concatenate(found, axis=-1) for found in parts]


def percentile_interval(samples: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return ``(2, …)`` lowest and highest of the middle ``CONFIDENCE`` of the last axis.

    Resamples that are NaN are passed over.
    """
    bounds = [0.5 - CONFIDENCE / 2, 0.5 + CONFIDENCE / 2]
    flat = samples.reshape(-1, samples.shape[-1])
    found = np.full((2, len(flat)), np.nan)
    whole = ~np.isnan(flat).any(axis=1)
    if whole.any():
        found[:, whole] = np.quantile(flat[whole], bounds, axis=1)
    for row in np.flatnonzero(~whole):
        valid = flat[row][~np.isnan(flat[row])]
        if valid.size:
            found[:, row] = np.quantile(valid, bounds)
    return found.reshape(2, *samples.shape[:-1])


def _weights(
    num_videos: int, resamples: int, seed: int, block: int
) -> Iterator[NDArray[np.float32]]:
    """Yield ``(videos, block)`` counts of how often each video was drawn."""
    generator = np.random.default_rng(seed)
    for first in range(0, resamples, block):
        width = min(block, resamples - first)
        drawn = generator.integers(0, num_videos, size=(width, num_videos))
        drawn = drawn * width + np.arange(width)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=num_videos * width)
        yield counts.reshape(num_videos, width).astype(np.float32)


def _metrics(sums: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn ``(4, sets, classes, resamples)`` sums into ``(5, sets, resamples)`` percent."""
    counts = sums[0]
    total = counts.sum(axis=1)
    share = np.divide(1, counts, out=np.zeros_like(counts), where=counts > 0)
    present = np.count_nonzero(counts, axis=1).astype(np.float32)
    found = np.empty((len(METRICS), *total.shape), np.float32)
    found[:2] = 100 * sums[1:3].sum(axis=2) / total
    for v in range(1, _VALUES):
        found[1 + v] = 100 * np.einsum("scr,scr->sr", sums[v], share) / present
    return found


def _sparse(
    rows: list[NDArray[np.integer]],
    columns: list[NDArray[np.integer]],
    data: list[NDArray[np.float64]],
    num_rows: int,
    num_videos: int,
) -> csr_array:
    where = np.concatenate(rows), np.concatenate(columns)
    return csr_array((np.concatenate(data).astype(np.float32), where), (num_rows, num_videos))
