"""`mimecurate discover economics|next`: what queries gave, and which to spend next."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mimecurate.commands.options import json_option, workspace_option
from mimecurate.console import counted, print_json, print_table, say

_COLUMNS = ("searches", "found", "new", "fetched", "yes", "no")
_CHOICES = ("class", "language", "template", "phrase", "source", "query")

target_option = click.option(
    "--target",
    type=click.IntRange(min=1),
    default=15,
    show_default=True,
    metavar="N",
    help="Good clips wanted of each class.",
)


@click.command("economics")
@click.option(
    "--by",
    type=click.Choice(_CHOICES),
    default="class",
    show_default=True,
    help="What a line is of.",
)
@click.option(
    "--html",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write a page with all tables and plots.",
)
@target_option
@workspace_option
@json_option
def economics(by: Any, html: Path | None, target: int, workspace: Path, as_json: bool) -> None:
    """Show what queries cost and gave: found, new, fetched, verified.

    The yield is the share of verified videos that were accepted, with the middle 90 % of its
    posterior: wide where little was verified.

    \b
    Example:
      mimecurate discover economics --by language
      mimecurate discover economics --html economics.html
    """
    from dataclasses import asdict

    from mimecurate.curation.discover_economics import GROUPINGS, economics, read_ledger
    from mimecurate.curation.workspace import open_workspace

    with open_workspace(workspace, read_only=True) as space:
        ledger = read_ledger(space.db)
        if html is not None:
            from mimecurate.curation.discover_next import rank_queries
            from mimecurate.evaluation.discovery_page import write_page

            tables = {str(name): economics(ledger, name) for name in GROUPINGS}
            write_page(html, tables, rank_queries(space.db, target=target, ledger=ledger))
            say(f"written: {html}")
    rows = economics(ledger, by)
    if as_json:
        print_json([asdict(row) for row in rows])
        return
    cells = [
        (
            f"{row.key} (dropped)" if row.dropped else row.key,
            *(getattr(row, name) for name in _COLUMNS),
            _yield(row.yield_mean, row.yield_low, row.yield_high),
            row.yes_per_search,
        )
        for row in rows
    ]
    print_table((by, *_COLUMNS, "yield % [90 %]", "yes/search"), cells)


@click.command("next")
@target_option
@click.option(
    "--thompson",
    type=click.IntRange(min=0),
    metavar="SEED",
    help="Draw from the posteriors instead.",
)
@click.option("--exhausted", "show_exhausted", is_flag=True, help="Show only exhausted queries.")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, metavar="N")
@workspace_option
@json_option
def next_(
    target: int,
    thompson: int | None,
    show_exhausted: bool,
    limit: int,
    workspace: Path,
    as_json: bool,
) -> None:
    """Rank the queries that have something left to ask.

    Classes furthest from their target come first, by the good videos that a search may bring. A
    query is exhausted when the last 40 verified gave no yes, or the last 40 found were all known.

    \b
    Example:
      mimecurate discover next --limit 10
      mimecurate discover --queries queries.csv --order best --max-queries 100
    """
    from dataclasses import asdict

    from mimecurate.curation.discover_next import rank_queries
    from mimecurate.curation.workspace import open_workspace

    with open_workspace(workspace, read_only=True) as space:
        ranked = rank_queries(space.db, target=target, seed=thompson)
    shown = [r for r in ranked if bool(r.exhausted) == show_exhausted][:limit]
    if as_json:
        print_json([asdict(row) for row in shown])
        return
    rows = [
        (
            r.text,
            r.language,
            "; ".join(r.labels),
            r.need,
            r.searches,
            _yield(r.mean, r.low, r.high),
            r.new_per_search,
            r.exhausted or r.score,
        )
        for r in shown
    ]
    last = "why" if show_exhausted else "score"
    columns = ("query", "language", "class", "need", "searches", "yield % [90 %]", "new", last)
    print_table(columns, rows)
    open_ = counted(sum(not r.exhausted for r in ranked), "query")
    say(f"{open_} may be asked, of {len(ranked):,}")
    if not ranked:
        say("every query is answered; `mimecurate discover --older-than DAYS` asks again")


def _yield(mean: float | None, low: float | None, high: float | None) -> str:
    if mean is None or low is None or high is None:
        return ""
    return f"{_percent(mean)} [{_percent(low)}, {_percent(high)}]"


def _percent(share: float) -> str:
    """Write a share in per cent; below one with a decimal, unless that is 0.

    >>> _percent(0.214), _percent(0.0049), _percent(1e-9), _percent(0.00999)
    ('21', '0.5', '0', '1')
    """
    return f"{100 * share:.0f}" if share >= 0.01 else f"{100 * share:.1f}".removesuffix(".0")
