"""The parts of the report page that need no script: identity, policies, tables, comparisons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mimecurate.evaluation.metrics import METRICS
from mimecurate.evaluation.prediction_manifest import manifest_line
from mimecurate.evaluation.report_data import shown_subsets, subset_words
from mimecurate.evaluation.report_elements import Child, append, bdi, element, spread
from mimecurate.evaluation.report_figures import (
    METRIC_WORDS,
    colour,
    figures,
    gap_figure,
    number_cell,
)
from mimecurate.evaluation.statistics import MIN_VIDEOS
from mimecurate.evaluation.tables import SIGNIFICANT, policy_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from xml.etree.ElementTree import Element

    from mimecurate.evaluation.metrics import Scores
    from mimecurate.evaluation.report import Comparison, Report

    Row = tuple[Sequence[str], int, Scores]
    """Words in the first columns, the place of the system, its scores."""

_COVERAGE = {
    "missing": "Missing",
    "unavailable": "Not available",
    "extra": "Rows not in release",
    "tied": "Tied",
    "invalid": "NaN",
}


def title(report: Report) -> str:
    """Name the page."""
    return f"{report.reference}: {', '.join(system.name for system in report.systems)}"


def head(report: Report) -> Element:
    """Say which release the numbers are of."""
    release, targets = report.release, report.targets
    facts: list[tuple[str, Child]] = [
        ("Clips", f"{len(targets.clips):,}"),
        ("Source videos", f"{targets.num_videos:,}"),
        ("Classes", f"{len(targets.class_names):,}"),
        ("Split", bdi(report.split) if report.split else "all"),
        ("Status", bdi(release.status)),
    ]
    if release.withheld:
        facts.append(("Withdrawn clips", f"{len(release.withheld):,}"))
    facts.append(("Digest (SHA-256)", element("code", release.digest)))
    return element(
        "header",
        element("p", "Evaluation report", class_="kicker"),
        element("h1", bdi(report.reference)),
        element(
            "dl",
            *(element("div", element("dt", name), element("dd", value)) for name, value in facts),
            class_="facts",
        ),
    )


def policies(report: Report) -> Element:
    """Say how clips were counted."""
    return element(
        "div", *(element("p", line, class_="note") for line in policy_lines(report)), id="policies"
    )


def warnings(report: Report) -> Element | None:
    """List what to keep in mind, each thing once with the systems that it is of."""
    systems_of: dict[str, list[str]] = {}
    for system in report.systems:
        for warning in system.warnings:
            systems_of.setdefault(warning, []).append(system.name)
    if not systems_of:
        return None
    items = []
    for warning, names in systems_of.items():
        everybody = len(names) == len(report.systems) > 1
        who = ["every system"] if everybody else spread(map(bdi, names), ", ")
        items.append(element("li", element("strong", *who), ": ", warning))
    return element(
        "section",
        element("h2", "Warnings", id="warnings"),
        element("ul", *items),
        class_="warnings",
        aria_labelledby="warnings",
    )


def coverage(report: Report) -> Element:
    """Show how each system's file meets the release."""
    shown = {
        key: words
        for key, words in _COVERAGE.items()
        if key == "missing" or any(getattr(s.coverage, key) for s in report.systems)
    }
    rows = []
    for i, system in enumerate(report.systems):
        found = system.coverage
        cells = [found.scored, *(getattr(found, key) for key in shown)]
        rows.append(
            element(
                "tr",
                _system_cell(system.name, i),
                _cell(f"{system.ways}-way", system.ways),
                *(_cell(f"{count:,}", count) for count in cells),
                element("td", found.ranked_by, class_="words"),
            )
        )
    heads = [_head("System", "text"), _head("Ranked among"), _head("Scored")]
    heads += [_head(words) for words in shown.values()]
    expected = report.systems[0].coverage.expected
    caption = f"Clips with scores, of {expected:,} in the {'split' if report.split else 'release'}"
    return _table(caption, [*heads, element("th", "Ranked by", scope="col", class_="words")], rows)


def files(report: Report) -> Element:
    """Name the files that were scored."""
    items = []
    for system in report.systems:
        name: Child = bdi(system.file) if system.file else "made in memory"
        digest = [element("code", system.sha256)] if system.sha256 else []
        made = [] if system.manifest is None else _manifest(system.manifest)
        facts = element("dd", name, " ", *digest, *made)
        items.append(element("div", element("dt", bdi(system.name)), facts))
    return element("dl", *items, class_="files")


def _manifest(manifest: Mapping[str, Any]) -> list[Element]:
    """Say in a line how scores came to be, and all of it when asked."""
    facts = element("dl")
    for key, value in manifest.items():
        inner = value.items() if isinstance(value, dict) else [("", value)]
        for name, shown in inner:
            words = " ".join(filter(None, [key, name]))
            append(facts, element("dt", bdi(words)), element("dd", bdi(str(shown))))
    summary = element("summary", bdi(manifest_line(manifest)))
    return [element("details", summary, facts, class_="manifest")]


def results(report: Report) -> list[Element]:
    """Show the metrics of every system, and whatever else the report holds of them."""
    systems = list(enumerate(report.systems))
    tables = [
        scores_table(
            "Accuracy (%) on all clips, with 95 % intervals",
            ["System"],
            [((s.name,), i, s.overall) for i, s in systems],
        )
    ]
    if report.systems[0].splits:
        tables.append(
            scores_table(
                "By split (%)",
                ["System", "Split"],
                [((s.name, split), i, m) for i, s in systems for split, m in s.splits.items()],
            )
        )
    supers = [(i, s.name, s.superclasses) for i, s in systems if s.superclasses]
    if supers:
        rows: list[Row] = []
        for i, name, found in supers:
            rows.append(((name, f"{found.by_class.classes} classes"), i, found.by_class))
            count = found.by_superclass.classes
            rows.append(((name, f"{count} superclasses"), i, found.by_superclass))
        words = f"Ranked by superclass (%), as Table 12 of the paper; {supers[0][2].probabilities}"
        tables.append(scores_table(words, ["System", "Mean over"], rows))
    ranges = [
        ((s.name, f"all {s.coverage.unavailable} {what}"), i, m)
        for i, s in systems
        for m, what in ((s.lowest, "wrong"), (s.highest, "right"))
        if m is not None
    ]
    if ranges:
        words = "What the full release could have given (%), if its unavailable clips were"
        tables.append(scores_table(words, ["System", "Unavailable clips"], ranges))
    return tables


def scores_table(caption: str, names: Sequence[str], rows: Iterable[Row]) -> Element:
    """Lay out the five metrics, a row per system and whatever else the rows are of."""
    made = []
    for words, place, scores in rows:
        first, *rest = words
        cells = [element("td", bdi(word), class_="words", data_sort=word) for word in rest]
        for metric in METRICS:
            value, interval = getattr(scores, metric), scores.ci.get(metric)
            cells.append(number_cell(value, interval, data_sort=value))
        made.append(element("tr", _system_cell(first, place), *cells))
    heads = [_head(name, "text") for name in names]
    return _table(caption, [*heads, *(_head(METRIC_WORDS[m]) for m in METRICS)], made)


def subsets(report: Report) -> Element:
    """Show every metric by subset; the script lets one be chosen."""
    return _choices(figures(report), "Metric of the figure by subset")


def gaps(report: Report) -> Element | None:
    """Show what context is worth to every system."""
    found = {metric: gap_figure(report, metric) for metric in ("top1", "top5")}
    drawn = {metric: figure for metric, figure in found.items() if figure is not None}
    return _choices(drawn, "Metric of the figure of gaps") if drawn else None


def comparisons(report: Report) -> Element | None:
    """Show the test of every pair of systems on every subset."""
    if not report.comparisons:
        return None
    place = {system.name: i for i, system in enumerate(report.systems)}
    subset = {name: i for i, name in enumerate(shown_subsets(report))}
    rows = [_comparison(c, place, subset[c.subset]) for c in report.comparisons]
    heads = [
        _head("First \N{MINUS SIGN} second", "text"),
        _head("Subset", "text"),
        *(_head(w) for w in ("Both", "Only first", "Only second", "Neither")),
        *(_head(w) for w in ("Difference", "p", "Adjusted p")),
        _head(f"At {SIGNIFICANT:.0%}".replace("%", " %"), "text"),
    ]
    count = len(report.comparisons)
    caption = f"Clips right at rank 1: exact McNemar tests, adjusted by Holm over all {count}"
    holder = _table(caption, heads, rows)
    holder.set("class", "scroll tall")
    holder[0].set("id", "comparison-table")
    return holder


def _comparison(c: Comparison, place: Mapping[str, int], subset: int) -> Element:
    first, second = place[c.first], place[c.second]
    significant = c.p_adjusted < SIGNIFICANT
    better = "first" if c.difference > 0 else "second"
    verdict = f"\N{BLACK CIRCLE} {better} better" if significant else "no difference shown"
    if c.videos < MIN_VIDEOS:
        verdict += f" ({c.videos} videos: too few)"

    def count(clips: int, first_is: str, second_is: str) -> Element:
        shown = element(
            "span",
            f"{clips:,}",
            data_show=True,
            data_subset=subset,
            data_first=first,
            data_first_is=first_is,
            data_second=second,
            data_second_is=second_is,
        )
        return element("td", shown, class_="number", data_sort=clips)

    return element(
        "tr",
        element(
            "th",
            element("span", bdi(c.first), class_=colour(first)),
            element("span", "\N{MINUS SIGN} ", bdi(c.second), class_=colour(second)),
            scope="row",
            class_="pair",
            data_sort=f"{c.first} {c.second}",
        ),
        element("td", subset_words(c.subset), class_="words", data_sort=subset_words(c.subset)),
        count(c.both, "right", "right"),
        count(c.only_first, "right", "wrong"),
        count(c.only_second, "wrong", "right"),
        count(c.neither, "wrong", "wrong"),
        number_cell(c.difference, c.ci, data_sort=c.difference),
        _cell(_p_value(c.p_value), c.p_value),
        _cell(_p_value(c.p_adjusted), c.p_adjusted),
        element("td", verdict, class_="words", data_sort=verdict),
        class_="significant" if significant else None,
    )


def _p_value(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _choices(figures: Mapping[str, Element], label: str) -> Element:
    parts = [
        element("div", figure, data_title=METRIC_WORDS[metric])
        for metric, figure in figures.items()
    ]
    return element("div", *parts, class_="choices", data_label=label)


def _table(caption: str, heads: Sequence[Element], rows: Iterable[Element]) -> Element:
    """Make a table that scrolls on its own where it is wider than the page."""
    table = element(
        "table",
        element("caption", caption),
        element("thead", element("tr", *heads)),
        element("tbody", *rows),
        class_="sortable",
    )
    return element("div", table, class_="scroll", tabindex=0, role="region", aria_label=caption)


def _head(words: str, kind: str = "number") -> Element:
    style = "number" if kind == "number" else "words"
    return element("th", words, scope="col", class_=style, data_sort=kind)


def _cell(text: str, value: float) -> Element:
    return element("td", text, class_="number", data_sort=value)


def _system_cell(name: str, place: int) -> Element:
    return element("th", bdi(name), scope="row", class_=f"system {colour(place)}", data_sort=name)
