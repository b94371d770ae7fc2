"""The JSON document of `mimecurate evaluate --json`; its schema is `evaluation.schema.json`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mimecurate.evaluation.metrics import METRICS

if TYPE_CHECKING:
    from mimecurate.evaluation.metrics import Scores
    from mimecurate.evaluation.report import Comparison, Gap, Report, Superclasses, System

Document = dict[str, Any]
_SUPERCLASS_KEYS = {
    "mean_class_top1": "mean_superclass_top1",
    "mean_class_top5": "mean_superclass_top5",
    "mean_ap": "mean_superclass_ap",
}


def report_json(report: Report) -> Document:
    """Make the document: percent, unrounded; null where there is nothing to say.

    Args:
        report: what `build_report` gives.
    """
    return {
        "release": {
            "name": report.release.name,
            "version": report.release.version,
            "digest": report.release.digest,
            "split": report.split,
        },
        "policy": {
            "missing": report.policy.missing,
            "ties": "against",
            "nan": report.policy.nan,
            "average": "classes with clips in the subset",
            "duplicates": report.policy.duplicates,
            "available": report.availability,
            "resamples": report.resamples,
            "seed": report.seed,
        },
        "systems": [_system(system) for system in report.systems],
        "comparisons": [_comparison(c) for c in report.comparisons],
    }


def _system(system: System) -> Document:
    coverage = system.coverage
    return {
        "name": system.name,
        "file": system.file,
        "sha256": system.sha256,
        "ways": system.ways,
        "coverage": {
            "expected": coverage.expected,
            "scored": coverage.scored,
            "missing": coverage.missing,
            "extra": coverage.extra,
            "unavailable": coverage.unavailable,
            "tied": coverage.tied,
            "invalid": coverage.invalid,
            "ranked_by": coverage.ranked_by,
        },
        "overall": _scores(system.overall),
        "subsets": {name: _scores(s) for name, s in system.subsets.items()},
        "splits": {name: _scores(s) for name, s in system.splits.items()},
        "per_class": {
            name: {"clips": c.clips, "top1": c.top1, "top5": c.top5, "ap": c.ap}
            for name, c in system.per_class.items()
        },
        "superclasses": _superclasses(system.superclasses),
        "gaps": {name: _gap(gap) for name, gap in system.gaps.items()},
        "full_release": None
        if system.lowest is None or system.highest is None
        else {"lowest": _scores(system.lowest), "highest": _scores(system.highest)},
        "warnings": list(system.warnings),
        "manifest": None if system.manifest is None else dict(system.manifest),
    }


def _scores(scores: Scores) -> Document:
    return {
        "clips": scores.clips,
        "videos": scores.videos,
        "classes": scores.classes,
        **{metric: getattr(scores, metric) for metric in METRICS},
        "ci": {metric: list(interval) for metric, interval in scores.ci.items()},
    }


def _superclasses(found: Superclasses | None) -> Document | None:
    """The metrics by class, and beside them the means over superclasses."""
    if found is None:
        return None
    by_class, by_superclass = _scores(found.by_class), _scores(found.by_superclass)
    return {
        **by_class,
        "superclasses": found.by_superclass.classes,
        **{new: by_superclass[old] for old, new in _SUPERCLASS_KEYS.items()},
        "ci": {
            **by_class["ci"],
            **{
                _SUPERCLASS_KEYS[m]: interval
                for m, interval in by_superclass["ci"].items()
                if m in _SUPERCLASS_KEYS
            },
        },
        "probabilities": found.probabilities,
    }


def _gap(gap: Gap) -> Document:
    return {
        "inside": gap.inside,
        "outside": gap.outside,
        "clips_inside": gap.clips_inside,
        "clips_outside": gap.clips_outside,
        "top1": gap.top1,
        "top5": gap.top5,
        "ci": {metric: list(interval) for metric, interval in gap.ci.items()},
    }


def _comparison(comparison: Comparison) -> Document:
    return {
        "first": comparison.first,
        "second": comparison.second,
        "subset": comparison.subset,
        "clips": comparison.clips,
        "videos": comparison.videos,
        "both": comparison.both,
        "only_first": comparison.only_first,
        "only_second": comparison.only_second,
        "neither": comparison.neither,
        "difference": comparison.difference,
        "ci": None if comparison.ci is None else list(comparison.ci),
        "p_value": comparison.p_value,
        "p_adjusted": comparison.p_adjusted,
    }
