"""The figures of the report page: tables whose rows hold a bar or a dot with its 95 % interval."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mimecurate.evaluation.metrics import METRICS
from mimecurate.evaluation.report_data import shown_subsets, subset_words
from mimecurate.evaluation.report_elements import append, bdi, element
from mimecurate.evaluation.statistics import MIN_VIDEOS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from xml.etree.ElementTree import Element

    from mimecurate.evaluation.report import Gap, Report

METRIC_WORDS = {
    "top1": "Global top-1",
    "top5": "Global top-5",
    "mean_class_top1": "Mean top-1",
    "mean_class_top5": "Mean top-5",
    "mean_ap": "mAP",
}
GAP_WORDS = {
    "object": "object relevant minus not relevant",
    "scene": "scene relevant minus not relevant",
    "context": "object or scene relevant minus neither",
}
COLOURS = 8
"""Of systems, before they start again."""
_ROW_PX = 26
_INSET_PX = 7
_MAX_TICKS = 6

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Axis:
    """A scale with round ends."""

    ticks: tuple[float, ...]

    @staticmethod
    def around(values: Iterable[float]) -> Axis:
        """Make the axis that holds 0 and all values.

        >>> Axis.around([3.2, 11.5]).ticks
        (0.0, 5.0, 10.0, 15.0)
        """
        kept = [0.0, *values]
        low, high = min(kept), max(kept)
        span = max(high - low, 1.0)
        power = 10.0 ** math.floor(math.log10(span / (_MAX_TICKS - 1)))
        step = next(
            m * power for m in (1, 2, 5, 10, 20) if span / (m * power) <= _MAX_TICKS - 2 or m == 20
        )
        first, last = math.floor(low / step), math.ceil(high / step)
        return Axis(tuple(step * i for i in range(first, max(last, first + 1) + 1)))

    def place(self, value: float) -> str:
        """Say where a value is, from the left."""
        low, high = self.ticks[0], self.ticks[-1]
        return f"{100 * (min(max(value, low), high) - low) / (high - low):.2f}%"

    def width(self, low: float, high: float) -> str:
        """Say how wide a range is."""
        return f"{100 * (high - low) / (self.ticks[-1] - self.ticks[0]):.2f}%"


def colour(place: int) -> str:
    """Return the class that gives the system at this place its colour."""
    return f"s{place % COLOURS}"


def number(value: float | None, interval: Interval | None) -> str:
    """Write a value with its interval: ``8.6 [6.9, 10.5]``; ``-`` where there is none."""
    if value is None:
        return "–"  # noqa: RUF001
    text = f"{value:.1f}" + (f" [{interval[0]:.1f}, {interval[1]:.1f}]" if interval else "")
    return text.replace("-", "\N{MINUS SIGN}")


def number_cell(value: float | None, interval: Interval | None, **attributes: object) -> Element:
    """Make a table cell of a value with its interval."""
    shown, _, bracket = number(value, interval).partition(" ")
    cell = element("td", element("b", shown), class_="number", **attributes)
    if bracket:
        append(cell, " ", element("small", bracket))
    return cell


def subset_figure(report: Report, metric: str) -> Element:
    """Show a metric of every system on every subset that has clips."""
    names = shown_subsets(report)
    scores = [s.subsets[name] for s in report.systems for name in names]
    values = [v for s in scores for v in (getattr(s, metric), *s.ci.get(metric, ())) if v]
    axis = Axis.around(values)
    table = _table(f"{METRIC_WORDS[metric]} (%) by subset", axis)
    for place, name in enumerate(names):
        videos = max(system.subsets[name].videos for system in report.systems)
        clips = int(report.targets.subsets[name].sum())
        size = f"{clips} clips, {videos} videos"
        body = element(
            "tbody", _group(subset_words(name), size, few=videos < MIN_VIDEOS, subset=place)
        )
        for i, system in enumerate(report.systems):
            found = system.subsets[name]
            value, interval = getattr(found, metric), found.ci.get(metric)
            body.append(_row(system.name, i, axis, value, interval))
        table.append(body)
    return table


def gap_figure(report: Report, metric: str) -> Element | None:
    """Show how much better every system is in context; None where nothing can be compared."""
    gaps = [gap for system in report.systems for gap in system.gaps.values()]
    if not gaps:
        return None
    axis = Axis.around(v for g in gaps for v in (getattr(g, metric), *g.ci.get(metric, ())))
    table = _table(f"{METRIC_WORDS[metric]}, in context minus out of context (points)", axis)
    for name, words in GAP_WORDS.items():
        rows = [(i, s.name, s.gaps[name]) for i, s in enumerate(report.systems) if name in s.gaps]
        if not rows:
            continue
        body = element("tbody", _group(words, _gap_size([gap for _, _, gap in rows])))
        for i, system, gap in rows:
            body.append(_row(system, i, axis, getattr(gap, metric), gap.ci.get(metric), dot=True))
        table.append(body)
    return table


def bar(axis: Axis, value: float, interval: Interval | None, *, dot: bool = False) -> Element:
    """Draw a bar from 0, or a dot, with its interval; the numbers must stand beside it."""
    middle = _ROW_PX // 2
    parts = [
        element("line", class_="zero" if tick == 0 else "grid", x1=x, x2=x, y1=0, y2=_ROW_PX)
        for tick, x in ((tick, axis.place(tick)) for tick in axis.ticks)
    ]
    top, bottom = _INSET_PX, _ROW_PX - _INSET_PX
    if not dot:
        ground = {"x": axis.place(0), "width": axis.width(0, value)}
        parts.append(element("rect", class_="ground", y=top, height=bottom - top, **ground))
        end = axis.place(value)
        parts.append(element("line", class_="end", x1=end, x2=end, y1=top, y2=bottom))
    if interval:
        low, high = (axis.place(bound) for bound in interval)
        parts.append(element("line", class_="whisker", x1=low, x2=high, y1=middle, y2=middle))
        parts += [
            element("line", class_="whisker", x1=x, x2=x, y1=middle - 3, y2=middle + 3)
            for x in (low, high)
        ]
    if dot:
        parts.append(element("circle", class_="dot", cx=axis.place(value), cy=middle, r=4))
    return element("svg", *parts, class_="bar", width="100%", height=_ROW_PX, aria_hidden="true")


def figures(report: Report) -> dict[str, Element]:
    """Make the figures of subsets, one per metric."""
    return {metric: subset_figure(report, metric) for metric in METRICS}


def _table(caption: str, axis: Axis) -> Element:
    return element(
        "table",
        element("caption", caption),
        element(
            "thead",
            element(
                "tr",
                element("th", "System", scope="col"),
                element("th", _scale(axis), scope="col", class_="axis", aria_label="Bar"),
                element("th", "[95 %]", scope="col", class_="number"),
            ),
        ),
        class_="figure",
    )


def _scale(axis: Axis) -> Element:
    """Write the ticks' labels; the first and the last stay inside."""
    labels = []
    for i, tick in enumerate(axis.ticks):
        anchor = "start" if i == 0 else "end" if i == len(axis.ticks) - 1 else "middle"
        text = f"{tick:g}".replace("-", "\N{MINUS SIGN}")
        labels.append(element("text", text, x=axis.place(tick), y=_ROW_PX - 8, text_anchor=anchor))
    return element("svg", *labels, class_="scale", width="100%", height=_ROW_PX, aria_hidden="true")


def _group(words: str, size: str, *, few: bool = False, subset: int | None = None) -> Element:
    head = element("th", words, " ", colspan=3, scope="rowgroup")
    show = {} if subset is None else {"data_show": True, "data_subset": subset}
    head.append(element("span", size, class_="size", **show))
    if few:
        head.append(element("strong", "too few to say anything", class_="few"))
    return element("tr", head, class_="group")


def _row(
    system: str,
    place: int,
    axis: Axis,
    value: float | None,
    interval: Interval | None,
    *,
    dot: bool = False,
) -> Element:
    drawing = "" if value is None else bar(axis, value, interval, dot=dot)
    return element(
        "tr",
        element("th", bdi(system), scope="row"),
        element("td", drawing, class_="axis"),
        number_cell(value, interval),
        class_=colour(place),
    )


def _gap_size(gaps: list[Gap]) -> str:
    inside, outside = max((g.clips_inside, g.clips_outside) for g in gaps)
    return f"{inside} and {outside} clips"
