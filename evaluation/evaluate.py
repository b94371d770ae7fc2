"""Score prediction files against a release."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mimecurate.errors import MimecurateError
from mimecurate.evaluation.comparisons import compare
from mimecurate.evaluation.intervals import Part, add_intervals, split_key
from mimecurate.evaluation.matching import Matched, Policy, match, true_column_of_each_row
from mimecurate.evaluation.metrics import Hits, Scores, score, score_classes
from mimecurate.evaluation.report import (
    USUAL_WAYS,
    Coverage,
    Gap,
    Report,
    Superclasses,
    System,
)
from mimecurate.evaluation.statistics import MIN_VIDEOS
from mimecurate.evaluation.superclasses import (
    count_probabilities,
    group_columns,
    rank_true_superclass,
)
from mimecurate.evaluation.targets import Targets
from mimecurate.evaluation.warning_lines import too_few

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

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
    on_progress: Callable[[int], None] | None = None,
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
        on_progress: called with how many resamples more are done.

    Returns:
        The report.

    Raises:
        MimecurateError: what the policy refuses; no or equal names; no clip of that split.
    """
    targets = Targets.from_release(release, split=split, predicates=predicates)
    could_be_had = None
    if available is not None:
        could_be_had = np.array([clip.clip_id in available for clip in targets.clips])
    policy = policy or Policy()
    systems: list[System] = []
    parts: list[list[Part]] = []
    for one in predictions:
        if one.name in {system.name for system in systems}:
            raise MimecurateError(f"two systems are called {one.name!r}; tell them apart by --name")
        matched = match(one, targets, policy, could_be_had)
        system, system_parts = _score(matched, targets, superclasses, could_be_had is not None)
        empty = [name for name in predicates or () if not targets.subsets[name].any()]
        if empty:
            note = f"no clip is in {', '.join(map(repr, empty))}: look at the comparisons"
            system = replace(system, warnings=(*system.warnings, note))
        systems.append(_with_withheld(system, len(release.withheld)))
        parts.append(system_parts)
    if not systems:
        raise MimecurateError("no predictions are given")
    comparisons, differences = compare([(s.name, s.matched) for s in systems], targets)
    if resamples:
        work = (systems, parts, comparisons, differences, targets)
        systems, comparisons = add_intervals(
            *work, resamples=resamples, seed=seed, on_progress=on_progress
        )
    return Report(
        release=release,
        split=split,
        targets=targets,
        policy=policy,
        availability=None if available is None else availability or "given",
        resamples=resamples,
        seed=seed,
        systems=tuple(systems),
        comparisons=tuple(comparisons),
    )


def _with_withheld(system: System, withheld: int) -> System:
    if not withheld:
        return system
    note = f"{withheld} clips of the release were withdrawn: their class is not known"
    return replace(system, warnings=(*system.warnings, note))


def _score(
    matched: Matched,
    targets: Targets,
    superclasses: Mapping[str, str] | None,
    availability_known: bool,
) -> tuple[System, list[Part]]:
    """Score one system, all but the intervals."""
    predictions = matched.predictions
    hits = Hits.from_ranks(matched.rank)
    splits = targets.splits if len(targets.splits) > 1 else {}
    subsets = targets.subsets
    context = subsets["object_relevant"] | subsets["scene_relevant"]
    main = _part(
        {
            **subsets,
            **{split_key(name): inside for name, inside in splits.items()},
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
        {name: main.scores[split_key(name)] for name in splits},
        score_classes(hits, targets.labels, matched.counted, targets.class_names),
        _gaps(main),
        grouped[0] if grouped else None,
        lowest,
        highest,
        (
            *matched.warnings,
            *_notes(matched, main.scores, superclasses),
            *(grouped[2] if grouped else []),
        ),
        matched,
    )
    return system, [main, *(grouped[1] if grouped else [])]


def _part(
    sets: Mapping[str, NDArray[np.bool_]],
    hits: Hits,
    labels: NDArray[np.int64],
    targets: Targets,
    matched: Matched,
) -> Part:
    counted = {name: inside & matched.counted for name, inside in sets.items()}
    scores = {name: score(hits, labels, targets.videos, inside) for name, inside in counted.items()}
    return Part(counted, hits, labels, scores)


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
) -> tuple[Superclasses, list[Part], list[str]] | None:
    if mapping is None:
        return None
    predictions = matched.predictions
    grouping = group_columns(predictions.class_names or (), mapping)
    used = np.zeros(len(predictions.scores), bool)
    used[matched.rows[(matched.rows >= 0) & ~matched.invalid]] = True
    probable, other = count_probabilities(predictions.scores, used)
    softmax = probable <= other
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
    warnings = []
    if probable and other:
        warnings.append(
            f"{probable} rows are probabilities and {other} are not: superclasses are ranked by "
            f"{found.probabilities}, in every row"
        )
    return found, [by_class, by_superclass], warnings


def _range(matched: Matched, targets: Targets) -> tuple[Scores, Scores]:
    """Score the full release with its unavailable clips all wrong, and all right."""
    counted = matched.counted | matched.unavailable
    right = np.where(matched.unavailable, 1, matched.rank)
    lowest, highest = (
        score(Hits.from_ranks(rank), targets.labels, targets.videos, counted)
        for rank in (matched.rank, right)
    )
    return lowest, highest


def _gaps(main: Part) -> dict[str, Gap]:
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
        too_few(name, s)
        for name, s in scores.items()
        if 0 < s.videos < MIN_VIDEOS and name != _IN_CONTEXT
    ]
    return notes
