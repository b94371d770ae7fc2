"""Cluster bootstrap: resample the source videos, and with each video all its clips.

A resample gives each video a weight, how often it was drawn. Every statistic here is a function
of weighted sums over clips, so all resamples of all statistics are one product of a sparse matrix
(sums by videos) with the weights (videos by resamples), taken in blocks.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import csr_array

from mimecurate.evaluation.metrics import METRICS
from mimecurate.evaluation.statistics import CONFIDENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from mimecurate.evaluation.metrics import Hits

_BLOCK_ITEMS = 1 << 20


@dataclass(frozen=True, slots=True, eq=False)
class Statistic:
    """Weighted sums over clips, and what is made of them."""

    sums: csr_array
    """``(rows, videos)``: what each video adds to each sum."""
    shape: tuple[int, ...]
    """The sums' rows, unfolded: ``(1 + 3 systems, sets, classes)`` or ``(2, sets)``."""

    def __call__(self, weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what one block of resamples gives, in percent.

        ``(systems, 5, sets, resamples)`` metrics, or ``(sets, resamples)`` means.
        """
        sums = (self.sums @ weights).reshape(*self.shape, weights.shape[1])
        with np.errstate(divide="ignore", invalid="ignore"):  # a set that a resample left empty
            return _metrics(sums) if len(self.shape) == 3 else 100 * sums[1] / sums[0]


def metric_statistic(
    systems: Sequence[Hits],
    labels: NDArray[np.integer],
    videos: NDArray[np.integer],
    num_videos: int,
    sets: Sequence[NDArray[np.bool_]],
) -> Statistic:
    """Make the statistic of all five metrics of several systems over several sets of clips.

    Args:
        systems: what each clip contributes, per system.
        labels: ``(n,)`` class of each clip.
        videos: ``(n,)`` source video of each clip.
        num_videos: how many there are.
        sets: for each set, ``(n,)`` which clips are in it.
    """
    values: list[NDArray[np.float64]] = [np.ones(len(labels))]
    for hits in systems:
        values += [hits.top1, hits.top5, hits.reciprocal]
    classes = int(labels.max()) + 1
    sums = _sums_by_video(values, labels, classes, videos, num_videos, sets)
    return Statistic(sums, (len(values), len(sets), classes))


def mean_statistic(
    values: NDArray[np.float64],
    videos: NDArray[np.integer],
    num_videos: int,
    sets: Sequence[NDArray[np.bool_]],
) -> Statistic:
    """Make the statistic of the mean of a value over several sets of clips."""
    labels = np.zeros(len(values), np.int64)
    sums = _sums_by_video([np.ones(len(values)), values], labels, 1, videos, num_videos, sets)
    return Statistic(sums, (2, len(sets)))


def bootstrap(
    statistics: Sequence[Callable[[NDArray[np.float32]], NDArray[Any]]],
    num_videos: int,
    *,
    resamples: int,
    seed: int,
    on_progress: Callable[[int], None] | None = None,
) -> list[NDArray[Any]]:
    """Compute statistics on the same resamples of the source videos.

    Args:
        statistics: each gives its values, the resamples along the last axis, of a block of
            ``(videos, resamples)`` weights.
        num_videos: how many videos there are; each resample draws as many, with replacement.
        resamples: how many times.
        seed: of the random generator; the same seed gives the same draws on any machine.
        on_progress: called with how many resamples more are done.

    Returns:
        For each statistic its values, the resamples along the last axis; NaN where a resample
        holds no clip of a set.
    """
    # By the videos alone: a system's intervals must not depend on what else is computed.
    width = max(16, min(250, _BLOCK_ITEMS // max(num_videos, 1)))
    widths = [min(width, resamples - first) for first in range(0, resamples, width)]
    seeds = np.random.SeedSequence(seed).spawn(len(widths))

    def block(place: int) -> list[NDArray[Any]]:
        weights = _weights(num_videos, widths[place], np.random.default_rng(seeds[place]))
        return [statistic(weights) for statistic in statistics]

    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        blocks = []
        for width, found in zip(widths, pool.map(block, range(len(widths))), strict=True):
            blocks.append(found)
            if on_progress is not None:
                on_progress(width)
    return [np.concatenate(parts, axis=-1) for parts in zip(*blocks, strict=True)]


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
    num_videos: int, resamples: int, generator: np.random.Generator
) -> NDArray[np.float32]:
    """Return ``(videos, resamples)`` counts of how often each video was drawn."""
    drawn = generator.integers(0, num_videos, size=(resamples, num_videos))
    drawn = drawn * resamples + np.arange(resamples)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=num_videos * resamples)
    return counts.reshape(num_videos, resamples).astype(np.float32)


def _metrics(sums: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn ``(1 + 3 systems, sets, classes, resamples)`` sums into percent."""
    counts = sums[0]
    total = counts.sum(axis=1)
    share = np.divide(1, counts, out=np.zeros_like(counts), where=counts > 0)
    present = np.count_nonzero(counts, axis=1).astype(np.float32)
    found = np.empty((len(sums) // 3, len(METRICS), *total.shape), np.float32)
    for row in range(1, len(sums)):
        system, value = divmod(row - 1, 3)
        if value < 2:
            found[system, value] = 100 * sums[row].sum(axis=1) / total
        means = np.einsum("scr,scr->sr", sums[row], share)
        found[system, 2 + value] = 100 * means / present
    return found


def _sums_by_video(
    values: Sequence[NDArray[np.float64]],
    labels: NDArray[np.integer],
    classes: int,
    videos: NDArray[np.integer],
    num_videos: int,
    sets: Sequence[NDArray[np.bool_]],
) -> csr_array:
    """Make the sparse matrix of (value, set, class) by video."""
    rows, columns, data = [], [], []
    for v, value in enumerate(values):
        for s, inside in enumerate(sets):
            chosen = np.flatnonzero(inside & (value != 0))
            rows.append((v * len(sets) + s) * classes + labels[chosen])
            columns.append(videos[chosen])
            data.append(value[chosen])
    where = np.concatenate(rows), np.concatenate(columns)
    shape = (len(values) * len(sets) * classes, num_videos)
    return csr_array((np.concatenate(data).astype(np.float32), where), shape)
