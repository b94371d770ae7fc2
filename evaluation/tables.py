"""The tables of a report, as the Mimetics paper lays them out.

Numbers have one decimal; brackets hold the 95 % interval.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mimecurate.evaluation.metrics import METRICS
from mimecurate.evaluation.prediction_manifest import manifest_line
from mimecurate.evaluation.statistics import MIN_VIDEOS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mimecurate.evaluation.metrics import Scores
    from mimecurate.evaluation.report import Report, System

SUBSET_WORDS: Mapping[str, str] = {
    "all": "all clips",
    "mime_artist": "mime artist",
    "not_mime_artist": "not a mime artist",
    "object_relevant": "an object is relevant",
    "no_relevant_object": "no object is relevant",
    "scene_relevant": "scene is relevant",
    "scene_not_relevant": "scene is not relevant",
    "no_relevant_object_and_scene_not_relevant": "no object is relevant, and scene is not relevant",
    "object_relevant_and_scene_relevant": "an object is relevant, and scene is relevant",
    "object_none_or_small": "no/small object",
    "object_medium_or_large": "medium/large object",
}
"""The paper's words for its subsets."""
_BY_SIZE = ("object_none_or_small", "object_medium_or_large")
_GAP_WORDS = {
    "object": "object relevant minus not",
    "scene": "scene relevant minus not",
    "context": "object or scene relevant minus neither",
}
NOTHING = "-"
SIGNIFICANT = 0.05


@dataclass(frozen=True, slots=True)
class Table:
    """A table of texts, ready to be laid out."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    text_columns: int = 1
    """How many columns, from the left, hold words."""
    repeated: int = 1
    """How many columns, from the left, stand in each block of a table split to fit a terminal."""
    whole: bool = False
    """Whether intervals go on lines of their own before the table is split."""


def report_tables(report: Report) -> list[Table]:
    """Make the tables of a report, those that have something to say."""
    tables = [_means(report), _subsets(report), _sizes(report)]
    tables += [_splits(report), _superclasses(report), _gaps(report), _range(report)]
    tables.append(_comparisons(report))
    return [table for table in tables if table.rows]


def class_table(report: Report) -> Table:
    """Make the table of every class: top-1 and, in parentheses, AP."""
    return Table(
        "Per class: top-1 (AP) in %, as Table 11 of the paper",
        ("class", "#clips", *_names(report)),
        tuple(
            (
                name,
                _span(_class_clips(system, name) for system in report.systems),
                *(_class_cell(system, name) for system in report.systems),
            )
            for name in report.targets.class_names
        ),
    )


def policy_lines(report: Report) -> list[str]:
    """Say in words how clips were counted and intervals made."""
    missing = {
        "wrong": "missing clips count as wrong",
        "exclude": "missing clips are left out",
        "error": "missing clips are refused",
    }[report.policy.missing]
    duplicates = {"error": "duplicates are refused", "average": "duplicates are averaged"}
    nan = {"error": "NaN is refused", "wrong": "NaN counts as wrong"}
    lines = [
        f"Policy: {missing}; ties count against the model; "
        f"{duplicates[report.policy.duplicates]}; {nan[report.policy.nan]}; "
        "averages are over the classes that have clips in the subset."
    ]
    if report.availability:
        lines.append(
            f"Clips that were not available any more ({report.availability}) are left out."
        )
    summed: dict[str, list[str]] = {}
    for system in report.systems:
        if system.superclasses is not None:
            summed.setdefault(system.superclasses.probabilities, []).append(system.name)
    if summed:
        every = "; ".join(
            what + (f" ({', '.join(names)})" if len(summed) > 1 else "")
            for what, names in summed.items()
        )
        lines.append(f"Summed over the classes of a superclass: {every}.")
    if report.resamples:
        lines.append(
            "Intervals: 95 %, clustered by source video: Wilson at the effective sample size for "
            f"global top-k, {report.resamples:,} bootstrap resamples (seed {report.seed}) for the "
            f"rest; none under {MIN_VIDEOS} videos."
        )
    return lines


def coverage_lines(report: Report) -> list[str]:
    """Say per system how many clips it scored, among how many classes, and what made scores."""
    lines = []
    for system in report.systems:
        c = system.coverage
        rest = [
            f"{count} {what}"
            for count, what in (
                (c.missing, "missing"),
                (c.unavailable, "not available"),
                (c.extra, "rows not in the release"),
                (c.tied, "tied"),
                (c.invalid, "NaN"),
            )
            if count
        ]
        scored = f"{system.name}: {system.ways}-way, {c.scored} of {c.expected} clips scored"
        lines.append("; ".join([scored, *rest]))
        if system.manifest is not None:
            lines.append(f"{system.name}: made by {manifest_line(system.manifest)}")
    return lines


def head_line(report: Report) -> str:
    """Name the release that the numbers are of."""
    targets = report.targets
    split = f", split {report.split}" if report.split else ""
    return (
        f"{report.reference}{split}: {len(targets.clips)} clips from {targets.num_videos} videos, "
        f"{len(targets.class_names)} classes; digest {report.release.digest[:12]}"
    )


def cell(scores: Scores, metric: str) -> str:
    """Write a metric with its interval: ``8.6 [6.9, 10.5]``, or ``-`` where there is no clip."""
    return _number(getattr(scores, metric), scores.ci.get(metric))


def _span(counts: Iterable[int]) -> str:
    """Write what the systems' numbers are over: ``713``, or ``690-713`` where they differ."""
    found = set(counts)
    low, high = min(found), max(found)
    return str(low) if low == high else f"{low}-{high}"


def _class_clips(system: System, name: str) -> int:
    one = system.per_class.get(name)
    return 0 if one is None else one.clips


def _class_cell(system: System, name: str) -> str:
    one = system.per_class.get(name)
    return NOTHING if one is None else f"{one.top1:.1f} ({one.ap:.1f})"


def _number(value: float | None, interval: tuple[float, float] | None) -> str:
    if value is None:
        return NOTHING
    return f"{value:.1f}" + (f" [{interval[0]:.1f}, {interval[1]:.1f}]" if interval else "")


def _means(report: Report) -> Table:
    return Table(
        "Mean over classes (%), as Table 6 of the paper",
        ("", "top-1", "top-5", "mAP"),
        tuple((s.name, *(cell(s.overall, m) for m in METRICS[2:])) for s in report.systems),
    )


def _names(report: Report) -> tuple[str, ...]:
    return tuple(system.name for system in report.systems)


def _row(report: Report, name: str) -> tuple[str, ...]:
    return tuple(cell(system.subsets[name], "top1") for system in report.systems)


def _subsets(report: Report) -> Table:
    names = [name for name in report.targets.subsets if name not in _BY_SIZE]
    rows = []
    for name in names:
        videos = max(s.subsets[name].videos for s in report.systems)
        words = SUBSET_WORDS.get(name, name) + (" (too few)" if videos < MIN_VIDEOS else "")
        clips = _span(s.subsets[name].clips for s in report.systems)
        spread = _span(s.subsets[name].videos for s in report.systems)
        rows.append((words, clips, spread, *_row(report, name)))
    return Table(
        "Global top-1 (%), as Table 7 of the paper",
        ("", "#clips", "#videos", *_names(report)),
        tuple(row for row in rows if row[1] != "0"),
        repeated=3,
    )


def _sizes(report: Report) -> Table:
    rows = [
        (
            "all classes" if name == "all" else SUBSET_WORDS[name],
            _span(s.subsets[name].classes for s in report.systems),
            _span(s.subsets[name].clips for s in report.systems),
            *_row(report, name),
        )
        for name in ("all", *_BY_SIZE)
    ]
    known = any(row[2] != "0" for row in rows[1:])
    return Table(
        "Global top-1 (%) by the size of a class's object, as Table 8 of the paper",
        ("", "#cls.", "#clips", *_names(report)),
        tuple(rows) if known else (),
        repeated=3,
    )


def _splits(report: Report) -> Table:
    splits = report.systems[0].splits
    return Table(
        "Global top-1 (%) by split",
        ("", "#clips", *_names(report)),
        tuple(
            (
                name,
                _span(system.splits[name].clips for system in report.systems),
                *(cell(system.splits[name], "top1") for system in report.systems),
            )
            for name in splits
        ),
        repeated=2,
    )


def _superclasses(report: Report) -> Table:
    rows = []
    for system in report.systems:
        found = system.superclasses
        if found is not None:
            rows += [
                (system.name, f"{scores.classes} {what}", *(cell(scores, m) for m in METRICS[2:]))
                for scores, what in (
                    (found.by_class, "classes"),
                    (found.by_superclass, "superclasses"),
                )
            ]
    return Table(
        "Ranked by superclass, mean (%), as Table 12 of the paper",
        ("", "mean over", "top-1", "top-5", "mAP"),
        tuple(rows),
        text_columns=2,
        repeated=2,
    )


def _gaps(report: Report) -> Table:
    rows = []
    for name, words in _GAP_WORDS.items():
        gaps = [system.gaps.get(name) for system in report.systems]
        counts = [(g.clips_inside, g.clips_outside) for g in gaps if g]
        if counts:
            cells = [_number(g.top1, g.ci.get("top1")) if g else NOTHING for g in gaps]
            rows.append((words, *map(str, max(counts)), *cells))
    return Table(
        "In context minus out of context, global top-1 (points)",
        ("", "#in", "#out", *_names(report)),
        tuple(rows),
        repeated=3,
    )


def _range(report: Report) -> Table:
    def span(system: System, metric: str) -> str:
        low, high = (
            getattr(scores, metric) if scores else None
            for scores in (system.lowest, system.highest)
        )
        return NOTHING if low is None or high is None else f"{low:.1f} to {high:.1f}"

    metrics = ("top1", *METRICS[2:])
    return Table(
        "What the full release could have given (%): unavailable clips all wrong to all right",
        ("", "#unavailable", "global top-1", "mean top-1", "mean top-5", "mAP"),
        tuple(
            (s.name, str(s.coverage.unavailable), *(span(s, metric) for metric in metrics))
            for s in report.systems
            if s.lowest is not None
        ),
        repeated=2,
    )


def _comparisons(report: Report) -> Table:
    """All subsets for few systems; else the whole and what is significant."""
    shown = [
        c
        for c in report.comparisons
        if len(report.systems) == 2 or c.subset == "all" or c.p_adjusted < SIGNIFICANT
    ]
    hidden = len(report.comparisons) - len(shown)
    rest = f"; {hidden} with p >= {SIGNIFICANT} not shown" if hidden else ""
    return Table(
        f"Pairs, global top-1: exact McNemar, Holm over {len(report.comparisons)} tests{rest}",
        ("", "subset", "only first", "only second", "difference", "p", "adjusted p"),
        tuple(
            (
                f"{c.first} - {c.second}",
                SUBSET_WORDS.get(c.subset, c.subset),
                str(c.only_first),
                str(c.only_second),
                _number(c.difference, c.ci)
                + ("" if c.videos >= MIN_VIDEOS else f" ({c.videos} videos: too few)"),
                _p_value(c.p_value),
                _p_value(c.p_adjusted),
            )
            for c in shown
        ),
        text_columns=2,
        repeated=2,
        whole=True,
    )


def _p_value(p: float) -> str:
    return "<0.001" if p < 0.001 else f"{p:.3f}"
