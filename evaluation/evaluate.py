"""Score prediction files against a release."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mimecurate.errors import MimecurateError
from mimecurate.evaluation.bootstrap import (
    Statistic,
    bootstrap,
    metric_statistic,
    percentile_interval,
)
from mimecurate.evaluation.comparisons import compare, with_intervals
from mimecurate.evaluation.matching import Matched, Policy, match, true_column_of_each_row
from mimecurate.evaluation.metrics import METRICS, Hits, Scores, score, score_classes
from mimecurate.evaluation.report import (
    USUAL_WAYS,
    Coverage,
    Gap,
    Report,
    Superclasses,
    System,
)
from mimecurate.evaluation.statistics import MIN_VIDEOS, design_effect, wilson_interval
from mimecurate.evaluation.superclasses import (
    are_probabilities,
    group_columns,
    rank_true_superclass,
)
from mimecurate.evaluation.targets import Targets

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from mimecurate.evaluation.predictions import Predictions
    from mimecurate.schemas.release import Release
    from mimecurate.schemas.subsets import Predicate

RESAMPLES = 10_000
_IN_CONTEXT = "object_or_scene_relevant"
GAPS: Mapping[str, tuple[str, str]] = {
    "object": ("object_relevant", "no_relevant_object"),
    "scene": ("scene_relevant", "scene_not_relevant"),
    "context": (_IN_CONTEXT, "no_relevant_object_and_scene_not_relevant"),
}
"""In context minus out of context: by the object, by the scene, by either."""


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """One table of a system on its way: sets of clips, their scores, and the statistic."""

    sets: Mapping[str, NDArray[np.bool_]]
    hits: Hits
    labels: NDArray[np.int64]
    scores: dict[str, Scores]
    statistic: Statistic


def build_report(
    predictions: Iterable[Predictions],
    release: Release,
    *,
    policy: Policy | None = None,
    available: frozenset[str] | None = None,
    availability: str | None = None,
    superclasses: Mapping[str, str] | None = None,
    predicates: Mapping[str, Predicate] | None = None,
    split: str | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Report:
    """Score one or more systems against a release.

    Args:
        predictions: the systems; their names must differ.
        release: the release.
        policy: what to do with missing clips, duplicates and NaN; None: the defaults.
        available: the clip ids that could be had; a clip that is not among them and has no row is
            left out of the averages, and the range that it could have made is given. None: all.
        availability: in words, where that is known from.
        superclasses: the superclass of each class that is in one.
        predicates: more subsets, by name.
        split: score one split; None: all clips.
        resamples: of the cluster bootstrap; 0: no intervals and no resampling.
        seed: of the resampling.

    Returns:
        The report.

    Raises:
        MimecurateError: what the policy refuses; no or equal names; no clip of that split.
    """
    policy = policy or Policy()
    targets = Targets.from_release(release, split=split, predicates=predicates)
    could_be_had = None
    if available is not None:
        could_be_had = np.array([clip.clip_id in available for clip in targets.clips])
        availability = availability or "given"
    systems: list[System] = []
    parts: list[list[_Part]] = []
    for one in predictions:
        if one.name in {system.name for system in systems}:
            raise MimecurateError(f"two systems are called {one.name!r}; tell them apart by --name")
        matched = match(one, targets, policy, could_be_had)
        system, system_parts = _score(matched, targets, superclasses, could_be_had is not None)
        if withheld := len(release.withheld):
            note = f"{withheld} clips of the release were withdrawn: their class is not known"
            system = replace(system, warnings=(*system.warnings, note))
        systems.append(system)
        parts.append(system_parts)
    if not systems:
        raise MimecurateError("no predictions are given")
    comparisons, differences = compare([(s.name, s.matched) for s in systems], targets)
    if resamples:
        statistics = [part.statistic for one in parts for part in one]
        samples = bootstrap(
            [*statistics, *differences], targets.num_videos, resamples=resamples, seed=seed
        )
        of_systems = iter(samples)
        systems = [
            _with_intervals(system, one, [next(of_systems) for _ in one], targets)
            for system, one in zip(systems, parts, strict=True)
        ]
        comparisons = list(with_intervals(comparisons, samples[len(statistics) :]))
    return Report(
        release,
        split,
        targets,
        policy,
        availability if available is not None else None,
        resamples,
        seed,
        tuple(systems),
        tuple(comparisons),
    )


def _score(
    matched: Matched,
    targets: Targets,
    superclasses: Mapping[str, str] | None,
    availability_known: bool,
) -> tuple[System, list[_Part]]:
    """Score one system, all but the intervals."""
    predictions = matched.predictions
    hits = Hits.from_ranks(matched.rank)
    splits = targets.splits if len(targets.splits) > 1 else {}
    subsets = targets.subsets
    context = subsets["object_relevant"] | subsets["scene_relevant"]
    main = _part(
        {
            **subsets,
            **{_split_key(name): inside for name, inside in splits.items()},
            _IN_CONTEXT: context,
        },
        hits,
        targets.labels,
        targets,
        matched,
    )
    grouped = _superclass_parts(matched, targets, superclasses)
    lowest = highest = None
    if availability_known:
        lowest, highest = _range(matched, targets)
    system = System(
        predictions.name,
        predictions.file,
        predictions.sha256,
        predictions.ways,
        _coverage(matched),
        main.scores["all"],
        {name: main.scores[name] for name in subsets},
        {name: main.scores[_split_key(name)] for name in splits},
        score_classes(hits, targets.labels, matched.counted, targets.class_names),
        _gaps(main),
        grouped[0] if grouped else None,
        lowest,
        highest,
        (*matched.warnings, *_notes(matched, main.scores, superclasses)),
        matched,
    )
    return system, [main, *(grouped[1] if grouped else [])]


def _split_key(name: str) -> str:
    return f"split {name}"


def _part(
    sets: Mapping[str, NDArray[np.bool_]],
    hits: Hits,
    labels: NDArray[np.int64],
    targets: Targets,
    matched: Matched,
) -> _Part:
    counted = {name: inside & matched.counted for name, inside in sets.items()}
    scores = {name: score(hits, labels, targets.videos, inside) for name, inside in counted.items()}
    statistic = metric_statistic(
        hits, labels, targets.videos, targets.num_videos, list(counted.values())
    )
    return _Part(counted, hits, labels, scores, statistic)


def _coverage(matched: Matched) -> Coverage:
    scored = matched.rows >= 0
    return Coverage(
        len(matched.rows),
        int(scored.sum()),
        int(matched.missing.sum()),
        int(matched.unavailable.sum()),
        matched.extra,
        int(matched.tied.sum()),
        int(matched.invalid.sum()),
        f"{matched.predictions.scores.dtype} scores as given",
    )


def _superclass_parts(
    matched: Matched, targets: Targets, mapping: Mapping[str, str] | None
) -> tuple[Superclasses, list[_Part]] | None:
    if mapping is None:
        return None
    predictions = matched.predictions
    grouping = group_columns(predictions.class_names or (), mapping)
    used = np.zeros(len(predictions.scores), bool)
    used[matched.rows[(matched.rows >= 0) & ~matched.invalid]] = True
    softmax = not are_probabilities(predictions.scores, used)
    columns = true_column_of_each_row(matched)
    ranks = rank_true_superclass(predictions.scores, columns, grouping, softmax=softmax)
    valid = (matched.rank > 0) & ~ranks.invalid[matched.rows]
    hits = Hits.from_ranks(np.where(valid, ranks.rank[matched.rows], 0))
    everything = {"all": np.ones(len(matched.rows), bool)}
    _, supers = np.unique(grouping.groups[matched.columns], return_inverse=True)
    by_class = _part(everything, hits, targets.labels, targets, matched)
    by_superclass = _part(everything, hits, supers.astype(np.int64), targets, matched)
    found = Superclasses(
        by_class.scores["all"],
        by_superclass.scores["all"],
        "softmax of the scores" if softmax else "the scores as given",
    )
    return found, [by_class, by_superclass]


def _range(matched: Matched, targets: Targets) -> tuple[Scores, Scores]:
    """Score the full release with its unavailable clips all wrong, and all right."""
    counted = matched.counted | matched.unavailable
    right = np.where(matched.unavailable, 1, matched.rank)
    lowest, highest = (
        score(Hits.from_ranks(rank), targets.labels, targets.videos, counted)
        for rank in (matched.rank, right)
    )
    return lowest, highest


def _gaps(main: _Part) -> dict[str, Gap]:
    gaps = {}
    for name, (inside, outside) in GAPS.items():
        a, b = main.scores[inside], main.scores[outside]
        if a.top1 is None or b.top1 is None or a.top5 is None or b.top5 is None:
            continue
        gaps[name] = Gap(inside, outside, a.clips, b.clips, a.top1 - b.top1, a.top5 - b.top5)
    return gaps


def _notes(
    matched: Matched, scores: Mapping[str, Scores], superclasses: Mapping[str, str] | None
) -> list[str]:
    predictions = matched.predictions
    notes = []
    if predictions.ways != USUAL_WAYS:
        notes.append(
            f"{predictions.ways}-way: clips are ranked among {predictions.ways} classes; not "
            f"comparable with {USUAL_WAYS}-way numbers"
        )
    if tied := int(matched.tied.sum()):
        notes.append(f"{tied} clips tie with another class: counted against the model")
    if invalid := int(matched.invalid.sum()):
        notes.append(f"{invalid} clips have NaN or infinite scores: counted as wrong")
    if unavailable := int(matched.unavailable.sum()):
        notes.append(f"{unavailable} clips were not available any more: left out of the averages")
    if superclasses:
        unknown = group_columns(predictions.class_names or (), superclasses).unknown
        if unknown:
            notes.append(
                f"{len(unknown)} classes of the superclass file have no column, "
                f"such as {unknown[0]!r}"
            )
    notes += [
        f"subset {name}: {s.clips} clips from {s.videos} videos are too few to say anything"
        for name, s in scores.items()
        if 0 < s.videos < MIN_VIDEOS and name != _IN_CONTEXT
    ]
    return notes


def _with_intervals(
    system: System,
    parts: Sequence[_Part],
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
        splits={name: main[_split_key(name)] for name in system.splits},
        gaps=gaps,
        superclasses=supers,
    )


def _intervals(part: _Part, samples: NDArray[np.float32], targets: Targets) -> dict[str, Scores]:
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
