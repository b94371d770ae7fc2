"""What queries cost and gave, as one self-contained page: `mimecurate discover economics --html`.

The page has no script, fetches nothing, and escapes every name.
"""

from __future__ import annotations

from importlib import resources
from string import Template
from typing import TYPE_CHECKING

import mimecurate
from mimecurate.errors import MimecurateError
from mimecurate.evaluation.report_elements import bdi, element, markup, policy_hash
from mimecurate.evaluation.report_figures import Axis, bar, number_cell

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path
    from xml.etree.ElementTree import Element

    from mimecurate.curation.discover_economics import Row
    from mimecurate.curation.discover_next import NextQuery

MOST_ROWS = 200
"""Of a table, those with most yes and most found."""
_YIELD = "yield % [90 %]"
_PLURALS = {"class": "classes", "query": "queries"}
_NUMBERS = frozenset({"need", "searches", "found", "new", "fetched", "yes", "no", "queries"}) | {
    _YIELD
}
_COUNTS = ("queries", "searches", "found", "new", "fetched", "yes", "no")
_STYLE = """
main { padding-top: 1.5rem }
table.figure { table-layout: auto; overflow-wrap: break-word }
table.figure :is(thead th, .number) { width: auto; white-space: nowrap }
table.figure th[scope="row"] { min-width: 9rem }
table.figure th.number { text-align: right }
table.figure td.axis { width: 14rem; min-width: 8rem }
"""
_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; style-src $digest; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="color-scheme" content="light dark">
<title>Economics of queries</title>
<style>$style</style>
</head>
<body>
<nav aria-label="Parts of the page"><ul>$links</ul></nav>
<main>
<h1>Economics of queries</h1>
<p class="note">Found counts answers, new counts videos for the query that found them first, yes and
no count verified videos. The yield is yes among verified; bars end at the mean of its posterior
under the Jeffreys prior, lines span its middle 90 %.</p>
$sections
</main>
<footer><p>Made by mimecurate $version. This page needs no network.</p></footer>
</body>
</html>
""")


def write_page(
    path: Path, tables: Mapping[str, Sequence[Row]], ranked: Sequence[NextQuery]
) -> None:
    """Write the page; a file that is there is replaced.

    Args:
        path: where.
        tables: by what a line is of, as `economics` gives them.
        ranked: as `rank_queries` gives them.

    Raises:
        MimecurateError: it can't be written.
    """
    try:
        path.write_bytes(economics_page(tables, ranked).encode())
    except OSError as error:
        raise MimecurateError(f"{path} can't be written: {error.strerror}") from error


def economics_page(tables: Mapping[str, Sequence[Row]], ranked: Sequence[NextQuery]) -> str:
    """Lay out tables of economics and a ranking of queries as an HTML page."""
    style = "\n".join([*map(_resource, ("report.css", "report_parts.css")), _STYLE])
    sections = [_section("next", "What to ask next", _next_table(ranked))]
    sections += [_section(name, f"By {name}", _table(name, rows)) for name, rows in tables.items()]
    names = [("next", "Next"), *((name, name.capitalize()) for name in tables)]
    return _PAGE.substitute(
        digest=policy_hash(style),
        style=style,
        links=markup(*(element("li", element("a", w, href=f"#{n}")) for n, w in names)),
        sections=markup(*sections),
        version=mimecurate.__version__,
    )


def _table(name: str, rows: Sequence[Row]) -> Element:
    shown = sorted(rows, key=lambda r: (-r.yes, -r.found, r.key))[:MOST_ROWS]
    axis = Axis.around(100 * r.yield_high for r in shown if r.yield_high is not None)
    lines = []
    for row in shown:
        mean, interval = _percent(row.yield_mean), _interval(row.yield_low, row.yield_high)
        dropped = (" ", element("small", "dropped")) if row.dropped else ()
        cells = [element("th", bdi(row.key), *dropped, scope="row")]
        cells += [element("td", f"{getattr(row, c):,}", class_="number") for c in _COUNTS]
        cells.append(
            element("td", "" if mean is None else bar(axis, mean, interval), class_="axis")
        )
        cells.append(number_cell(mean, interval))
        lines.append(element("tr", *cells, class_="s0"))
    caption = _count(len(rows), name)
    if len(shown) < len(rows):
        caption += f"; the {len(shown):,} with most yes and most found"
    return _layout(caption, [name, *_COUNTS, f"0 to {axis.ticks[-1]:g} %", _YIELD], lines)


def _next_table(ranked: Sequence[NextQuery]) -> Element:
    shown = [r for r in ranked if not r.exhausted][:50]
    axis = Axis.around(100 * r.high for r in shown)
    lines = [
        element(
            "tr",
            element("th", bdi(r.text), scope="row"),
            element("td", r.language),
            element("td", bdi("; ".join(r.labels))),
            *(element("td", f"{n:,}", class_="number") for n in (r.need, r.searches)),
            element("td", bar(axis, 100 * r.mean, (100 * r.low, 100 * r.high)), class_="axis"),
            number_cell(100 * r.mean, (100 * r.low, 100 * r.high)),
            class_="s1",
        )
        for r in shown
    ]
    head = ["query", "language", "class", "need", "searches", f"0 to {axis.ticks[-1]:g} %", _YIELD]
    spent = sum(bool(r.exhausted) for r in ranked)
    caption = f"{_count(len(shown), 'query')}, with the yield to expect; exhausted: {spent:,}"
    return _layout(caption, head, lines)


def _count(count: int, name: str) -> str:
    return f"{count:,} {name if count == 1 else _PLURALS.get(name, name + 's')}"


def _layout(caption: str, head: Iterable[str], lines: Iterable[Element]) -> Element:
    cells = (
        element("th", name, scope="col", class_="number" if name in _NUMBERS else None)
        for name in head
    )
    table = element(
        "table",
        element("caption", caption),
        element("thead", element("tr", *cells)),
        element("tbody", *lines),
        class_="figure",
    )
    return element("div", table, class_="scroll", tabindex=0, role="region", aria_label=caption)


def _section(name: str, words: str, content: Element) -> Element:
    return element("section", element("h2", words, id=name), content, aria_labelledby=name)


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _interval(low: float | None, high: float | None) -> tuple[float, float] | None:
    return None if low is None or high is None else (100 * low, 100 * high)


def _resource(name: str) -> str:
    return resources.files("mimecurate.evaluation").joinpath(name).read_text("utf-8")
