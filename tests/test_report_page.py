"""The report page in a real browser: results, hostile names, access, screens and paper."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect
from report_pages import (
    PAGE_CLIPS,
    VIEWPORT,
    Visits,
    browser,
    column,
    page,
    page_path,
    reloaded,
    report,
    shared_page,
    shown_clips,
    texts,
    visit,
    written,
)

from mimecurate.evaluation.evaluate import build_report
from mimecurate.evaluation.metrics import METRICS
from mimecurate.evaluation.predictions import Predictions
from mimecurate.evaluation.report_html import report_page
from mimecurate.schemas.release import Flag, ObjectSize, Release, ReleasedClass, ReleasedClip

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Locator, Page

    from mimecurate.evaluation.report import Report

__all__ = ["browser", "page", "page_path", "reloaded", "report", "shared_page", "visit"]  # fixtures

EVIL = (
    "</script><script>window.evil = 1</script>",
    "<img src=x onerror='window.evil = 2'>",
    '" onmouseover="window.evil = 3" x="',
    "<!--<script>",
    "&lt;b&gt; ${window.evil = 4} `$data` $data {{ 7 * 7 }}",
    "עברית قبل (x) 12",
)


def main_table(page: Page) -> Locator:
    return page.locator("table", has_text="Accuracy (%) on all clips")


def test_nothing_is_fetched_and_nothing_complained_of(visit: Visits, page_path: Path) -> None:
    page = visit(page_path)
    page.mouse.wheel(0, 50_000)
    page.emulate_media(color_scheme="dark")
    assert visit.requests == [page_path.as_uri()]
    assert visit.complaints == []
    expect(page).to_have_title("small@1.0.0: first <b>, second, third & last")


def test_a_script_that_is_not_the_pages_own_does_not_run(visit: Visits, page_path: Path) -> None:
    page = visit(page_path)
    page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "window.evil = 1";
            document.body.append(script);
            document.body.insertAdjacentHTML("beforeend", "<img src=x onerror='evil = 2'>");
        }"""
    )
    page.wait_for_timeout(100)
    assert page.evaluate("window.evil") is None
    assert any("Content Security Policy" in said for said in visit.complaints)
    visit.complaints.clear()


# --- results ---------------------------------------------------------------------------------


def test_the_main_table_has_every_metric_with_its_interval(page: Page, report: Report) -> None:
    rows = main_table(page).locator("tbody tr")
    for row, system in zip(rows.all(), report.systems, strict=True):
        expected = [written(getattr(system.overall, m), system.overall.ci[m]) for m in METRICS]
        assert texts(row.locator("> *")) == [system.name, *expected]


@pytest.mark.parametrize("key", ["Enter", "Space"])
@pytest.mark.usefixtures("reloaded")
def test_a_table_is_sorted_by_keyboard(page: Page, report: Report, key: str) -> None:
    table = main_table(page)
    head = table.locator("th", has_text="mAP")
    best = sorted(report.systems, key=lambda s: s.overall.mean_ap or 0, reverse=True)
    names = [system.name for system in best]
    table.locator("th button").first.focus()
    for _ in range(5):  # from System to mAP
        page.keyboard.press("Tab")
    expect(head.locator("button")).to_be_focused()
    expect(head).to_have_attribute("aria-sort", "none")
    page.keyboard.press(key)
    expect(head).to_have_attribute("aria-sort", "descending")
    assert column(table, 1) == names
    page.keyboard.press(key)
    expect(head).to_have_attribute("aria-sort", "ascending")
    assert column(table, 1) == names[::-1]


@pytest.mark.usefixtures("reloaded")
def test_a_table_is_sorted_by_mouse_and_one_column_at_a_time(page: Page, report: Report) -> None:
    table = main_table(page)
    table.get_by_role("button", name="mAP").click()
    table.get_by_role("button", name="System").click()
    assert column(table, 1) == sorted(system.name for system in report.systems)
    assert table.locator('th[aria-sort$="ending"]').count() == 1


@pytest.mark.usefixtures("reloaded")
def test_the_figure_of_subsets_shows_the_chosen_metric(page: Page, report: Report) -> None:
    chosen = page.get_by_label("Metric of the figure by subset")
    for label, metric in (("Global top-1", "top1"), ("mAP", "mean_ap")):
        chosen.select_option(label=label)
        figure = page.locator(".choices table:visible", has_text="by subset")
        expect(figure).to_have_count(1)
        shown = [name for name, inside in report.targets.subsets.items() if inside.any()]
        expected = [
            written(getattr(s.subsets[name], metric), s.subsets[name].ci.get(metric))
            for name in shown
            for s in report.systems
        ]
        assert texts(figure.locator("tbody td:last-child")) == expected
        assert figure.locator(".group").count() == len(shown)


def test_bars_are_as_long_as_their_values(page: Page, report: Report) -> None:
    figure = page.locator(".choices table:visible", has_text="by subset")
    limit = float(texts(figure.locator(".scale text"))[-1])
    rows = figure.locator("tbody").first.locator("tr:not(.group)")
    for row, system in zip(rows.all(), report.systems, strict=True):
        whole = row.locator("svg").bounding_box()
        bar, whisker = (row.locator(f".{c}").first.bounding_box() for c in ("ground", "whisker"))
        low, high = system.overall.ci["top1"]
        assert whole is not None
        assert bar is not None
        assert whisker is not None
        assert bar["width"] / whole["width"] == pytest.approx(
            (system.overall.top1 or 0) / limit, abs=0.005
        )
        assert whisker["width"] / whole["width"] == pytest.approx((high - low) / limit, abs=0.01)


def test_gaps_are_shown_with_their_intervals(page: Page, report: Report) -> None:
    figure = page.locator("section", has_text="In and out of context").locator("table:visible")
    expected = [
        written(s.gaps[gap].top1, s.gaps[gap].ci.get("top1"))
        for gap in ("object", "scene", "context")
        for s in report.systems
    ]
    assert texts(figure.locator("tbody td:last-child")) == expected


# --- comparisons -----------------------------------------------------------------------------


@pytest.mark.usefixtures("reloaded")
def test_comparisons_say_in_words_which_are_significant(page: Page, report: Report) -> None:
    table = page.locator("#comparison-table")
    rows = table.locator("tbody tr").all()
    verdicts = set()
    for row, c in zip(rows, report.comparisons, strict=True):
        cells = texts(row.locator("> *"))
        assert cells[2:6] == [str(n) for n in (c.both, c.only_first, c.only_second, c.neither)]
        assert cells[6] == written(c.difference, c.ci)
        better = "first better" if c.difference > 0 else "second better"
        assert (better if c.p_adjusted < 0.05 else "no difference shown") in cells[9]
        assert ("too few" in cells[9]) == (c.videos < 10)
        verdicts.add(cells[9])
    assert len(verdicts) >= 2
    page.get_by_label("significant only").check()
    significant = sum(c.p_adjusted < 0.05 for c in report.comparisons)
    assert 0 < significant < len(rows)
    assert table.locator("tbody tr:visible").count() == significant
    page.get_by_label("System or subset contains").fill("MIME artist")
    assert all("mime artist" in subset for subset in column(table, 2))


@pytest.mark.usefixtures("reloaded")
def test_the_counts_of_a_comparison_lead_to_exactly_these_clips(page: Page, report: Report) -> None:
    a, b = (system.matched.rank == 1 for system in report.systems[:2])
    place, comparison = next(
        (i, c)
        for i, c in enumerate(report.comparisons)
        if c.subset == "no_relevant_object" and c.only_second > 1
    )
    page.locator("#comparison-table tbody tr").nth(place).locator("button").nth(2).click()
    expect(page.get_by_role("heading", name="Clips", exact=True)).to_be_focused()
    chosen = np.flatnonzero(report.targets.subsets["no_relevant_object"] & ~a & b)
    assert len(chosen) == comparison.only_second
    assert shown_clips(page) == [report.targets.clips[i].clip_id for i in chosen[:PAGE_CLIPS]]


# --- hostile names ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def evil_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report whose every name is an attack, or very long."""
    sizes = itertools.cycle(ObjectSize)
    clips = tuple(
        ReleasedClip(
            f"{EVIL[i % len(EVIL)]}{i:03d}\u202e{'W' * 60}",
            f"video{i}",
            0,
            1000,
            f"{EVIL[i % len(EVIL)]} class",
            "test",
            Flag.YES,
            Flag.NO,
        )
        for i in range(12)
    )
    classes = tuple(ReleasedClass(f"{name} class", next(sizes)) for name in EVIL)
    release = Release(EVIL[0], EVIL[1], EVIL[2], clips, classes, status=EVIL[0])
    names = [*(c.name for c in classes), *(f"{name} other" for name in EVIL), "x" * 300]
    scores = np.random.default_rng(0).random((len(clips), len(names)))
    systems = [
        Predictions(
            name + suffix, tuple(c.clip_id for c in clips), tuple(names), scores, file=EVIL[0]
        )
        for name, suffix in ((EVIL[0], "\u202e\x00\udc80"), (EVIL[1], "M" * 200), (EVIL[5], ""))
    ]
    subsets = {f"{EVIL[1]} subset": lambda clip, size: True}
    found = build_report(systems, release, predicates=subsets, resamples=20)
    written = tmp_path_factory.mktemp("evil") / "report.html"
    written.write_bytes(report_page(found, {clips[0].clip_id: "%3Cimg.mp4"}).encode())
    return written


def test_hostile_names_are_only_text(visit: Visits, evil_path: Path) -> None:
    page = visit(evil_path)
    for select in page.locator("#clip-filters select, #confusion-filters select").all():
        if select.is_visible():
            select.select_option(index=1)
    page.locator("#clip-filters").get_by_role("button", name="All clips").click()
    page.locator("#confusion-table button.show").first.click()
    assert page.evaluate("window.evil") is None
    assert page.locator("img, iframe, object, embed, script:not(#report-data)").count() == 1
    assert page.locator("[onerror], [onmouseover]").count() == 0
    shown = page.locator("main").inner_text()
    for name in EVIL:
        assert f"{name} class" in shown
    assert "\u202e" not in shown
    assert "\\u202e\\x00\\udc80" in shown
    assert len(visit.requests) == 1


# --- the page as such ------------------------------------------------------------------------


WIDTHS = (1280, 800, 390, 320)


@pytest.fixture
def screen(page: Page) -> Iterator[Page]:
    """The report's page, whose screen or paper may be changed."""
    yield page
    page.set_viewport_size(VIEWPORT)
    page.emulate_media(media="null", color_scheme="null")


def widths(page: Page) -> list[int]:
    """How wide a page is at each width of the screen."""
    found = []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 844})
        found.append(page.evaluate("document.documentElement.scrollWidth"))
        page.evaluate("window.scrollTo(500, 0)")
        assert page.evaluate("window.scrollX") == 0
    return found


def test_the_page_never_scrolls_sideways(screen: Page) -> None:
    assert widths(screen) == list(WIDTHS)


def test_long_names_do_not_make_the_page_scroll_sideways(visit: Visits, evil_path: Path) -> None:
    assert widths(visit(evil_path)) == list(WIDTHS)


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_screenshots(screen: Page, tmp_path: Path, width: int, scheme: Any) -> None:
    screen.set_viewport_size({"width": width, "height": 900})
    screen.emulate_media(color_scheme=scheme)
    shot = tmp_path / f"{width}-{scheme}.png"
    screen.screenshot(path=shot, full_page=True)
    with Image.open(shot) as image:
        assert image.width == width
        assert len(image.convert("RGB").getcolors(1 << 24) or []) > 100
        corner = image.convert("L").getpixel((0, image.height - 1))
    assert isinstance(corner, (int, float))
    assert (corner > 200) == (scheme == "light")


@pytest.mark.usefixtures("reloaded")
def test_the_page_can_be_used_by_keyboard(page: Page) -> None:
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the results")).to_be_focused()
    expect(page.get_by_role("link", name="Skip to the results")).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    for _ in range(8):
        page.keyboard.press("Tab")
        style = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert style != "none"


def test_headings_tables_and_controls_have_names(page: Page) -> None:
    levels = page.evaluate(
        "[...document.querySelectorAll('h1,h2,h3,h4')].map(h => Number(h.tagName[1]))"
    )
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert page.locator("table:not(:has(caption))").count() == 0
    unnamed = page.evaluate(
        """[...document.querySelectorAll('input, select')].filter(
            control => !control.labels.length && !control.getAttribute('aria-label')
        ).length"""
    )
    assert unnamed == 0
    assert page.locator("th:not([scope])").count() == 0
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))


CONTRAST = """
() => {
  const light = (text) => {
    const [r, g, b] = text.match(/[\\d.]+/g).map((v) => {
      const c = v / 255;
      return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = getComputedStyle(e).backgroundColor;
      if (colour !== "rgba(0, 0, 0, 0)") return colour;
    }
    return getComputedStyle(document.body).backgroundColor;
  };
  const worst = {};
  for (const e of document.querySelectorAll("body *")) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !e.checkVisibility() || e.closest("script, style, option, :disabled")) continue;
    const svg = e.namespaceURI.endsWith("svg");
    const ink = svg ? getComputedStyle(e).fill : getComputedStyle(e).color;
    const [a, b] = [light(ink), light(ground(e))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    const key = e.tagName + "." + e.getAttribute("class");
    worst[key] = Math.min(worst[key] ?? 99, ratio);
  }
  return worst;
}
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_contrast(screen: Page, scheme: Any) -> None:
    screen.emulate_media(color_scheme=scheme)
    ratios: dict[str, float] = screen.evaluate(CONTRAST)
    assert len(ratios) > 20
    assert {key: ratio for key, ratio in ratios.items() if ratio < 4.5} == {}


def test_the_page_prints_without_controls(screen: Page) -> None:
    screen.emulate_media(media="print")
    expect(screen.locator("body > nav")).to_be_hidden()
    hidden = screen.locator("form, .pager, .filters").evaluate_all(
        "parts => parts.every(part => !part.checkVisibility())"
    )
    assert hidden
    assert main_table(screen).locator("tbody tr").first.is_visible()
    clipped = screen.locator(".scroll").evaluate_all(
        "boxes => boxes.filter(b => b.scrollHeight > b.clientHeight + 1).length"
    )
    assert clipped == 0
    assert screen.pdf(format="A4").startswith(b"%PDF")


def test_results_are_there_without_a_script(visit: Visits, page_path: Path, report: Report) -> None:
    page = visit(page_path, java_script_enabled=False)
    expect(main_table(page).locator("tbody tr")).to_have_count(len(report.systems))
    expect(page.locator("#comparison-table tbody tr")).to_have_count(len(report.comparisons))
    expect(page.get_by_text("are shown by a script")).to_be_visible()
    expect(page.locator("#clips")).to_be_hidden()
    assert page.locator("button:visible").count() == 0
