"""The page of economics, opened in a real browser."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from report_pages import browser, visit

from mimecurate.curation.discover_economics import Row
from mimecurate.curation.discover_next import NextQuery
from mimecurate.evaluation.discovery_page import economics_page, write_page

if TYPE_CHECKING:
    from pathlib import Path

    from report_pages import Visits

__all__ = ["browser", "visit"]

ROWS = [
    Row("playing bass guitar", 12, 1_234, 60_000, 5_000, 400, 30, 2_000, 0.015, 0.011, 0.02, 0.02),
    Row("archery", 1, 1, 50, 50, 0, 0, 0, None, None, None, None),
]
RANKED = [
    NextQuery(1, "miming playing a bass guitar, invisible and long", "zh-Hant",
              ("archery", "playing bass guitar"), 15, 2, 0, 1, 0.02, 0.0, 0.09, 30.0, 1.0, ""),
]  # fmt: skip


def test_a_caption_says_what_it_counts() -> None:
    page = economics_page({"class": ROWS, "query": ROWS[:1]}, RANKED)
    assert "<caption>2 classes</caption>" in page
    assert "<caption>1 query</caption>" in page
    many = [replace(ROWS[1], key=f"mime {n}") for n in range(201)]
    page = economics_page({"query": many}, [])
    assert "<caption>201 queries; the 200 with most yes and most found</caption>" in page


@pytest.mark.parametrize("width", [400, 1200])
def test_tables_scroll_in_their_own_box_and_break_no_word(
    visit: Visits, tmp_path: Path, width: int
) -> None:
    path = tmp_path / "page.html"
    write_page(path, {"class": ROWS, "query": ROWS}, RANKED)
    page = visit(path, viewport={"width": width, "height": 900})
    root = "document.documentElement"
    assert page.evaluate(f"{root}.scrollWidth <= {root}.clientWidth"), "the page is wider"
    lines = "cells => cells.map(c => Math.round(c.getBoundingClientRect().height))"
    heads = page.locator("thead th").evaluate_all(lines)
    assert max(heads) < 40, "a head is on more lines than one"
    same_line = "cells => cells.every(c => c.lastChild.offsetTop < c.firstChild.offsetTop + 9)"
    assert page.locator("td.number:has(small)").evaluate_all(same_line), "an interval is below"
    for box in page.locator(".scroll").all():
        cut = box.evaluate(
            "b => { b.scrollLeft = 1e6; return b.querySelector('tbody tr td:last-child')"
            ".getBoundingClientRect().right > b.getBoundingClientRect().right + 1 }"
        )
        assert not cut
    widths = "cells => cells.map(c => c.getBoundingClientRect().width)"
    assert min(page.locator("th[scope=row]").evaluate_all(widths)) >= 130
    wider = page.locator(".scroll").evaluate_all("l => l.map(b => b.scrollWidth > b.clientWidth)")
    assert wider == [width == 400] * 3
