"""Add intervals to scores: Wilson's for global top-k, the cluster bootstrap's for the rest."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mimecurate.evaluation.bootstrap import (
    Statistic,
    bootstrap,
    metric_statistic,
    percentile_interval,
)
from mimecurate.evaluation.comparisons import with_intervals
from mimecurate.evaluation.metrics import METRICS, Hits, Scores
from mimecurate.evaluation.statistics import MIN_VIDEOS, design_effect, wilson_interval

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from mimecurate.evaluation.report import Comparison, Gap, System
    from mimecurate.evaluation.targets import Targets

Place = tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One table of a system: sets of clips with their scores, and what these were made from."""

    sets: Mapping[str, NDArray[np.bool_]]
    """By name, ``(n,)``: the clips of the set that count."""
    hits: Hits
    labels: NDArray[np.int64]
    scores: dict[str, Scores]


def split_key(name: str) -> str:
    """Name the set of a split apart from the subsets."""
    return f"split {name}"


def add_intervals(
    systems: Sequence[System],
    parts: Sequence[Sequence[Part]],
    comparisons: Sequence[Comparison],
    differences: Sequence[Statistic],
    targets: Targets,
    *,
    resamples: int,
    seed: int,
    on_progress: Callable[[int], None] | None = None,
) -> tuple[list[System], list[Comparison]]:
    """Resample once for everything, and add the intervals.

    Args:
        systems: without intervals.
        parts: per system: its subsets, then by class and by superclass where it has superclasses.
        comparisons: without intervals.
        differences: what their intervals are made from, per pair of systems.
        targets: the clips.
        resamples: how many.
        seed: of the generator.
        on_progress: called with how many resamples more are done.

    Returns:
        Systems and comparisons in the same order.
    """
    groups = _groups(parts)
    metrics = [_statistic([parts[i][j] for i, j in group], targets) for group in groups]
    samples = bootstrap(
        [*metrics, *differences],
        targets.num_videos,
        resamples=resamples,
        seed=seed,
        on_progress=on_progress,
    )
    by_part: dict[Place, NDArray[np.float32]] = {}
    for group, values in zip(groups, samples, strict=False):
        by_part.update(zip(group, values, strict=True))
    done = [
        _with_intervals(system, one, [by_part[i, j] for j in range(len(one))], targets)
        for i, (system, one) in enumerate(zip(systems, parts, strict=True))
    ]
    return done, with_intervals(comparisons, samples[len(metrics) :])


def _groups(parts: Sequence[Sequence[Part]]) -> list[list[Place]]:
    """Put together the parts that count the same clips in the same classes: they share sums."""
    groups: defaultdict[tuple[int, bytes, bytes], list[Place]] = defaultdict(list)
    for i, one in enumerate(parts):
        for j, part in enumerate(one):
            groups[j, part.sets["all"].tobytes(), part.labels.tobytes()].append((i, j))
    return list(groups.values())


def _statistic(parts: Sequence[Part], targets: Targets) -> Statistic:
    return metric_statistic(
        [part.hits for part in parts],
        parts[0].labels,
        targets.videos,
        targets.num_videos,
        list(parts[0].sets.values()),
    )


def _with_intervals(
    system: System,
    parts: Sequence[Part],
    samples: Sequence[NDArray[np.float32]],
    targets: Targets,
) -> System:
    main = _intervals(parts[0], samples[0], targets)
    supers = system.superclasses
    if supers is not None:
        by_class, by_superclass = (
            _intervals(part, values, targets)["all"]
            for part, values in zip(parts[1:], samples[1:], strict=True)
        )
        supers = replace(supers, by_class=by_class, by_superclass=by_superclass)
    place = {name: i for i, name in enumerate(parts[0].sets)}
    gaps = {name: _gap_interval(gap, samples[0], place, main) for name, gap in system.gaps.items()}
    return replace(
        system,
        overall=main["all"],
        subsets={name: main[name] for name in system.subsets},
        splits={name: main[split_key(name)] for name in system.splits},
        gaps=gaps,
        superclasses=supers,
    )


def _intervals(part: Part, samples: NDArray[np.float32], targets: Targets) -> dict[str, Scores]:
    """Add intervals: Wilson's for global top-k, the bootstrap's for means over classes."""
    low, high = percentile_interval(samples[2:])
    found = {}
    for s, (name, scores) in enumerate(part.scores.items()):
        ci: dict[str, tuple[float, float]] = {}
        if scores.videos >= MIN_VIDEOS:
            inside = part.sets[name]
            for metric, values in (("top1", part.hits.top1), ("top5", part.hits.top5)):
                ci[metric] = _share_interval(values[inside], targets.videos[inside])
            for m, metric in enumerate(METRICS[2:]):
                ci[metric] = float(low[m, s]), float(high[m, s])
        found[name] = replace(scores, ci=ci)
    return found


def _share_interval(hits: NDArray[np.float64], videos: NDArray[np.int64]) -> tuple[float, float]:
    effective_n = len(hits) / max(1.0, design_effect(hits, videos))
    low, high = wilson_interval(float(hits.mean()), effective_n)
    return 100 * low, 100 * high


def _gap_interval(
    gap: Gap, samples: NDArray[np.float32], place: Mapping[str, int], scores: Mapping[str, Scores]
) -> Gap:
    if min(scores[gap.inside].videos, scores[gap.outside].videos) < MIN_VIDEOS:
        return gap
    difference = samples[:2, place[gap.inside]] - samples[:2, place[gap.outside]]
    low, high = percentile_interval(difference)
    return replace(
        gap,
        ci={"top1": (float(low[0]), float(high[0])), "top5": (float(low[1]), float(high[1]))},
    )
