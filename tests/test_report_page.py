"""The report page in a real browser."""

from __future__ import annotations

import itertools
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect, sync_playwright
from scoring import CLASSES, make_predictions, make_release

from mimecurate.curation.samples import VideoSpec
from mimecurate.evaluation.details import confusion, top_classes
from mimecurate.evaluation.evaluate import build_report
from mimecurate.evaluation.matching import Policy
from mimecurate.evaluation.metrics import METRICS
from mimecurate.evaluation.predictions import Predictions
from mimecurate.evaluation.report_html import report_page, write_report
from mimecurate.schemas.release import Flag, ObjectSize, Release, ReleasedClass, ReleasedClip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from playwright.sync_api import Browser, ConsoleMessage, Locator, Page
    from testbed import SampleMaker

    from mimecurate.evaluation.report import Report

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
PAGE_CLIPS = 20
EVIL = (
    "</script><script>window.evil = 1</script>",
    "<img src=x onerror='window.evil = 2'>",
    '" onmouseover="window.evil = 3" x="',
    "<!--<script>",
    "&lt;b&gt; ${window.evil = 4} `$data` $data {{ 7 * 7 }}",
    "עברית قبل (x) 12",
)


@dataclass
class Visits:
    """Opens pages and keeps what they ask for and complain of."""

    browser: Browser
    pages: list[Page] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def __call__(self, path: Path, **options: Any) -> Page:
        options.setdefault("viewport", {"width": 1280, "height": 900})
        page = self.browser.new_page(**options)
        self.pages.append(page)
        page.set_default_timeout(20_000)
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.goto(path.as_uri())
        return page

    def check(self) -> None:
        """Fail if a page complained, or asked for anything but files."""
        complaints, requests = list(self.complaints), list(self.requests)
        self.complaints.clear()
        self.requests.clear()
        assert complaints == []
        assert [url for url in requests if not url.startswith("file:///")] == []

    def _hear(self, message: ConsoleMessage) -> None:
        self.complaints.append(f"{message.type}: {message.text}")


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
        yield opened
        opened.close()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visits]:
    """Opens pages of their own."""
    visits = Visits(browser)
    yield visits
    for page in visits.pages:
        page.close()
    visits.check()


@pytest.fixture(scope="module")
def shared_page(browser: Browser, path: Path) -> tuple[Visits, Page]:
    visits = Visits(browser)
    return visits, visits(path)


@pytest.fixture
def page(shared_page: tuple[Visits, Page]) -> Iterator[Page]:
    """The report's page, as if just opened."""
    visits, page = shared_page
    page.reload()
    yield page
    visits.check()


@pytest.fixture(scope="module")
def report() -> Report:
    """Three systems: one misses clips, one is much better; some subsets are small."""
    release = make_release(160, videos=70, seed=3)
    a = make_predictions(release, "first <b>", ways=120, skill=1.5, seed=1)
    b = make_predictions(release, "second", ways=120, skill=4.0, seed=2)
    c = make_predictions(release, "third & last", ways=50, skill=2.0, seed=3)
    short = Predictions(c.name, c.clip_ids[12:], c.class_names, c.scores[12:])
    return build_report([a, b, short], release, resamples=200)


@pytest.fixture(scope="module")
def path(report: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    written = tmp_path_factory.mktemp("page") / "report.html"
    write_report(report, written)
    return written


def texts(cells: Locator) -> list[str]:
    return [text.strip() for text in cells.all_text_contents()]


def column(table: Locator, place: int) -> list[str]:
    """The texts of a column, visible rows only."""
    return texts(table.locator(f"tbody tr:visible > :nth-child({place})"))


def written(value: float | None, interval: tuple[float, float] | None = None) -> str:
    if value is None:
        return "–"  # noqa: RUF001
    text = f"{value:.1f}" + (f" [{interval[0]:.1f}, {interval[1]:.1f}]" if interval else "")
    return text.replace("-", "−")  # noqa: RUF001


def main_table(page: Page) -> Locator:
    return page.locator("table", has_text="Accuracy (%) on all clips")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_fetched_and_nothing_complained_of(
    visit: Visits, path: Path, scheme: Any
) -> None:
    page = visit(path, color_scheme=scheme)
    page.mouse.wheel(0, 50_000)
    assert visit.requests == [path.as_uri()]
    assert visit.complaints == []
    expect(page).to_have_title("small@1.0.0: first <b>, second, third & last")


def test_a_script_that_is_not_the_pages_own_does_not_run(visit: Visits, path: Path) -> None:
    page = visit(path)
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


def test_a_table_is_sorted_by_mouse_and_one_column_at_a_time(page: Page, report: Report) -> None:
    table = main_table(page)
    table.get_by_role("button", name="mAP").click()
    table.get_by_role("button", name="System").click()
    assert column(table, 1) == sorted(system.name for system in report.systems)
    assert table.locator('th[aria-sort$="ending"]').count() == 1


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


# --- classes and confusions ------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["top1", "top5", "ap"])
def test_every_class_has_its_values_as_c_prints_them(
    page: Page, report: Report, metric: str
) -> None:
    page.locator("#class-filters select").select_option(metric)
    table = page.locator("#class-table")
    assert column(table, 1) == list(report.targets.class_names)
    for place, system in enumerate(report.systems):
        expected = [
            f"{getattr(system.per_class[name], metric):.1f}" for name in report.targets.class_names
        ]
        assert column(table, 3 + place) == expected
    assert "6.2" in f"{6.25:.1f}"  # C rounds a tie to even; JavaScript's toFixed gives 6.3


def test_one_sixteenth_is_rounded_as_in_the_tables(visit: Visits, tmp_path: Path) -> None:
    clips = tuple(
        ReleasedClip(f"v{i:02d}_000000_000001", f"v{i:02d}", 0, 1000, "archery", "test")
        for i in range(16)
    )
    release = Release("r", "1.0.0", "0" * 64, clips, (ReleasedClass("archery"),))
    scores = np.zeros((16, 2), np.float32)
    scores[:, 1] = 1
    scores[0] = 1, 0
    found = Predictions("m", tuple(c.clip_id for c in clips), ("archery", "bowling"), scores)
    write_report(build_report([found], release, resamples=0), tmp_path / "r.html")
    page = visit(tmp_path / "r.html")
    assert column(page.locator("#class-table"), 3) == [f"{100 / 16:.1f}"] == ["6.2"]
    assert not page.locator("a", has_text="Comparisons").count()


def test_classes_are_filtered_and_stay_sorted(page: Page, report: Report) -> None:
    table = page.locator("#class-table")
    table.get_by_role("button", name="second").click()
    values = [float(value) for value in column(table, 4)]
    assert values == sorted(values, reverse=True)
    page.locator("#class-filters input").fill(" B")
    names = column(table, 1)
    assert sorted(names) == [n for n in report.targets.class_names if "b" in n]
    values = [float(value) for value in column(table, 4)]
    assert values == sorted(values, reverse=True)
    expect(page.locator("#class-filters output")).to_have_text(f"{len(names)} of 5 classes")


@pytest.mark.parametrize(("by", "place"), [*itertools.product(("label", "answer"), (0, 2))])
def test_confusions_are_counted_as_the_report_counts_them(
    page: Page, report: Report, by: str, place: int
) -> None:
    counts = confusion(report.systems[place])
    form, table = page.locator("#confusion-filters"), page.locator("#confusion-table")
    form.locator("[name=system]").select_option(str(place))
    form.locator("[name=by]").select_option(by)
    rows = table.evaluate(
        """table => [...table.tBodies[0].rows].map((row) => [
            ...[...row.cells].slice(0, 3).map((cell) => cell.textContent),
            row.querySelector("li:not(.rest)")?.textContent ?? "",
        ])"""
    )
    assert sorted(row[0] for row in rows) == sorted({pair[by == "answer"] for pair in counts})
    for name, clips, hits, first in rows:
        mine = {pair: n for pair, n in counts.items() if pair[by == "answer"] == name}
        assert int(clips) == sum(mine.values())
        assert int(hits) == counts.get((name, name), 0)
        wrong = {pair[by == "label"]: n for pair, n in mine.items() if pair[0] != pair[1]}
        other, _, count = first.rpartition(" ")
        assert (wrong[other] == int(count) == max(wrong.values())) if wrong else first == ""


def test_confusions_are_searched_on_both_sides(page: Page, report: Report) -> None:
    counts = confusion(report.systems[0])
    wanted = next(predicted for _, predicted in counts if predicted.startswith("other"))
    page.locator("#confusion-filters input").fill(wanted.upper())
    table = page.locator("#confusion-table")
    expected = sorted({true for true, predicted in counts if wanted in predicted})
    assert column(table, 1) == expected
    assert all(wanted in text for text in column(table, 4))


def test_a_confusion_leads_to_its_clips(page: Page, report: Report) -> None:
    row = page.locator("#confusion-table tbody tr").first
    true = texts(row.locator("th"))[0]
    predicted, _, count = texts(row.locator("li"))[0].rpartition(" ")
    row.locator("li button").first.click()
    best = top_classes(report.systems[0], 1)
    clips = [
        clip.clip_id
        for clip, top in zip(report.targets.clips, best, strict=True)
        if clip.label == true and top[0][0] == predicted
    ]
    assert len(clips) == int(count)
    assert shown_clips(page) == clips


def test_the_map_has_a_cell_for_every_confusion_that_fits(page: Page, report: Report) -> None:
    counts = confusion(report.systems[0])
    often = {name: 0 for _, name in counts}
    for (_, name), n in counts.items():
        often[name] += n
    cells = page.locator("#map .cell").all()
    told = [cell.locator("title").text_content() or "" for cell in cells]
    clips = {name: sum(n for (true, _), n in counts.items() if true == name) for name in CLASSES}
    expected = [f"{a}: {b} {n} of {clips[a]}" for (a, b), n in counts.items()]
    if len(often) <= 60:
        assert set(expected) <= set(told)
    assert {t for t in told if " 0 of " not in t} <= set(expected)


# --- clips -----------------------------------------------------------------------------------


def shown_clips(page: Page) -> list[str]:
    return texts(page.locator(".clip h3 code"))


def right(report: Report, place: int) -> NDArray[np.bool_]:
    return np.equal(report.systems[place].matched.rank, 1)


FILTERS: dict[str, tuple[dict[str, str], Callable[[Report], Any]]] = {
    "any wrong": ({}, lambda r: ~(right(r, 0) & right(r, 1) & right(r, 2))),
    "every wrong": ({"first": "every"}, lambda r: ~(right(r, 0) | right(r, 1) | right(r, 2))),
    "one right": ({"first": "1", "firstIs": "right"}, lambda r: right(r, 1)),
    "one right, the other wrong": (
        {"first": "0", "firstIs": "right", "second": "1", "secondIs": "wrong"},
        lambda r: right(r, 0) & ~right(r, 1),
    ),
    "not in the top 5": (
        {"first": "0", "firstIs": "outside"},
        lambda r: r.systems[0].matched.rank > 5,
    ),
    "without scores": (
        {"first": "2", "firstIs": "silent"},
        lambda r: r.systems[2].matched.missing,
    ),
    "subset": (
        {"firstIs": "", "subset": "1"},
        lambda r: r.targets.subsets["mime_artist"],
    ),
    "class": ({"firstIs": "", "label": "2"}, lambda r: r.targets.labels == 2),
    "search by id": (
        {"firstIs": "", "text": "_000007_"},
        lambda r: np.array(["_000007_" in c.clip_id for c in r.targets.clips]),
    ),
}


@pytest.mark.parametrize("name", FILTERS)
def test_clips_are_filtered(page: Page, report: Report, name: str) -> None:
    values, expected = FILTERS[name]
    form = page.locator("#clip-filters")
    for key, value in values.items():
        control = form.locator(f"[name={key}]")
        control.fill(value) if key == "text" else control.select_option(value)
    clips = [report.targets.clips[i].clip_id for i in np.flatnonzero(expected(report))]
    assert clips
    expect(page.locator("#clip-count")).to_contain_text(f"{len(clips)} of 160 clips")
    assert shown_clips(page) == clips[:PAGE_CLIPS]


def test_answers_are_searched_too(page: Page, report: Report) -> None:
    best = top_classes(report.systems[1], 1)
    wanted = next(top[0][0] for top in best if top[0][0].startswith("other"))
    form = page.locator("#clip-filters")
    form.locator("[name=firstIs]").select_option("")
    form.locator("[name=text]").fill(wanted)
    said = [[top and top[0][0] for top in top_classes(s, 1)] for s in report.systems]
    hits = [i for i in range(160) if any(row[i] and wanted in row[i] for row in said)]
    assert shown_clips(page) == [report.targets.clips[i].clip_id for i in hits[:PAGE_CLIPS]]


@pytest.mark.parametrize("order", ["close", "far", "label"])
def test_clips_are_ordered(page: Page, report: Report, order: str) -> None:
    form = page.locator("#clip-filters")
    form.locator("[name=firstIs]").select_option("")
    form.locator("[name=order]").select_option(order)
    ranks = np.stack([s.matched.rank for s in report.systems]).astype(float)
    ranks[ranks == 0] = np.inf
    keys = report.targets.labels if order == "label" else ranks.min(axis=0)
    if order == "far":
        keys = -keys
    first = np.argsort(keys, kind="stable")[:PAGE_CLIPS]
    assert shown_clips(page) == [report.targets.clips[i].clip_id for i in first]


CARDS = """
() => [...document.querySelectorAll(".clip")].map((card) => ({
  label: card.querySelector("h3 bdi").textContent,
  flags: [...card.querySelectorAll("dd")].map((e) => e.textContent),
  answers: [...card.querySelectorAll(".answer")].map((answer) => ({
    verdict: answer.querySelector(".verdict").textContent,
    said: [...answer.querySelectorAll("li bdi")].map((e) => e.textContent),
    scores: [...answer.querySelectorAll(".score")].map((e) => e.textContent.replace("\u2212", "-")),
    marked: [...answer.querySelectorAll("li")].findIndex((e) => e.textContent.includes("true")),
  })),
}))
"""


def test_a_clip_says_what_the_data_says(page: Page, report: Report) -> None:
    page.locator("#clip-filters").get_by_role("button", name="All clips").click()
    cards = page.evaluate(CARDS)
    assert len(cards) == PAGE_CLIPS
    words = {Flag.YES: "yes", Flag.NO: "no", Flag.UNSURE: "unsure", None: "not annotated"}
    tops = [top_classes(system) for system in report.systems]
    sizes = report.release.object_sizes
    for i, card in enumerate(cards):
        clip = report.targets.clips[i]
        assert card["label"] == clip.label
        flags = [words[f] for f in (clip.mime_artist, clip.object_relevant, clip.scene_relevant)]
        assert card["flags"] == [*flags, sizes[clip.label], clip.split]
        for answer, top, system in zip(card["answers"], tops, report.systems, strict=True):
            rank = int(system.matched.rank[i])
            assert answer["said"] == [name for name, _ in top[i]]
            assert [float(s) for s in answer["scores"]] == pytest.approx(
                [score for _, score in top[i]], rel=0.006
            )
            assert answer["marked"] == (rank - 1 if 0 < rank <= 5 else -1)
            wrong = f"✗ wrong: rank {rank} of {system.ways}"
            expected = {0: "no scores: counts as wrong", 1: "✓ right"}.get(rank, wrong)
            assert answer["verdict"] == expected


def test_pages_are_turned_by_keyboard_and_number(page: Page, report: Report) -> None:
    page.locator("#clip-filters").get_by_role("button", name="All clips").click()
    ids = [clip.clip_id for clip in report.targets.clips]
    pager = page.get_by_role("navigation", name="Pages of clips")
    expect(pager.get_by_role("button", name="Previous")).to_be_disabled()
    pager.get_by_role("button", name="Next").press("Enter")
    assert shown_clips(page) == ids[PAGE_CLIPS : 2 * PAGE_CLIPS]
    pager.get_by_label("Page").fill("999")
    pager.get_by_label("Page").press("Enter")
    assert shown_clips(page) == ids[140:]
    expect(pager.get_by_role("button", name="Next")).to_be_disabled()
    expect(page.locator("#clip-count")).to_have_text("160 of 160 clips, 141 to 160 shown")


def test_left_out_and_invalid_clips_say_so(visit: Visits, tmp_path: Path) -> None:
    release = make_release(8, seed=1)
    given = make_predictions(release, ways=10)
    scores = given.scores[:-2].copy()
    scores[0, 0] = np.nan
    found = Predictions("m", given.clip_ids[:-2], given.class_names, scores)
    ids = [clip.clip_id for clip in release.clips]
    report = build_report(
        [found],
        release,
        policy=Policy(missing="exclude", nan="wrong"),
        available=frozenset(ids[:-1]),
        resamples=0,
    )
    write_report(report, tmp_path / "r.html")
    page = visit(tmp_path / "r.html")
    page.locator("#clip-filters").get_by_role("button", name="All clips").click()
    verdicts = texts(page.locator(".verdict"))
    assert verdicts[0] == "scores are no numbers: counts as wrong"
    assert verdicts[-2:] == ["no scores: left out", "not available any more: left out"]
    page.locator("#clip-filters [name=firstIs]").select_option("wrong")
    assert not {ids[-1], ids[-2]} & set(shown_clips(page))
    expect(page.locator("table", has_text="What the full release")).to_have_count(1)


# --- media -----------------------------------------------------------------------------------


def test_a_clip_plays_and_nothing_is_loaded_before(
    visit: Visits, report: Report, sample: SampleMaker, tmp_path: Path
) -> None:
    clips = report.targets.clips
    video = sample(VideoSpec(seconds=2, gop=10)).path
    media = tmp_path / "50% of #clips?"
    for place, clip in enumerate(clips[:3]):
        folder = media / (clip.clip_id[:2] if place < 2 else clip.label)
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(video, folder / f"{clip.clip_id}.mp4")
    pages = tmp_path / "pages"
    pages.mkdir()
    write_report(report, pages / "report.html", media)
    page = visit(pages / "report.html")
    expect(page.locator("#media-line")).to_contain_text("3 of 160 clips have a file to play")
    page.locator("#clip-filters").get_by_role("button", name="All clips").click()
    assert page.locator(".player").count() == PAGE_CLIPS
    assert texts(page.locator(".player.absent"))[0] == "no file of this clip"
    assert visit.requests == [(pages / "report.html").as_uri()]
    for place in (0, 2):
        player = page.locator("video").nth(place)
        expect(player).to_have_attribute("preload", "none")
        assert player.get_attribute("aria-label") == f"{clips[place].label}, {clips[place].clip_id}"
        player.evaluate("video => { video.muted = true; return video.play(); }")
        page.wait_for_function(
            "place => document.querySelectorAll('video')[place].currentTime > 0.2", arg=place
        )
    assert page.evaluate("document.querySelectorAll('video')[0].paused")
    assert any(url.endswith(".mp4") for url in visit.requests)
    page.locator("#clip-filters [name=media]").select_option("there")
    assert shown_clips(page) == [clip.clip_id for clip in clips[:3]]
    page.locator("#clip-filters [name=media]").select_option("absent")
    expect(page.locator("#clip-count")).to_contain_text("157 of 160")


def test_a_file_that_is_gone_is_said_to_be(visit: Visits, report: Report, tmp_path: Path) -> None:
    links = {report.targets.clips[0].clip_id: "gone.mp4"}
    (tmp_path / "r.html").write_text(report_page(report, links), "utf-8")
    page = visit(tmp_path / "r.html")
    page.locator("#clip-filters [name=media]").select_option("there")
    page.locator("#clip-filters [name=firstIs]").select_option("")
    page.locator("video").evaluate("video => { video.play().catch(() => {}); }")
    expect(page.get_by_role("alert")).to_contain_text("be played: it is gone")
    visit.complaints.clear()


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
        for i in range(36)
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


@pytest.mark.parametrize("width", [1280, 800, 390, 320])
@pytest.mark.parametrize("which", ["path", "evil_path"])
def test_a_page_never_scrolls_sideways(
    visit: Visits, request: pytest.FixtureRequest, which: str, width: int
) -> None:
    page = visit(request.getfixturevalue(which), viewport={"width": width, "height": 844})
    widest = page.evaluate("document.documentElement.scrollWidth")
    assert widest == width
    page.evaluate("window.scrollTo(500, 0)")
    assert page.evaluate("window.scrollX") == 0


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_screenshots(visit: Visits, path: Path, tmp_path: Path, width: int, scheme: Any) -> None:
    page = visit(path, viewport={"width": width, "height": 900}, color_scheme=scheme)
    shot = tmp_path / f"{width}-{scheme}.png"
    page.screenshot(path=shot, full_page=True)
    with Image.open(shot) as image:
        assert image.width == width
        assert len(image.convert("RGB").getcolors(1 << 24) or []) > 100
        corner = image.convert("L").getpixel((0, image.height - 1))
    assert isinstance(corner, (int, float))
    assert (corner > 200) == (scheme == "light")


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
def test_all_text_has_contrast(visit: Visits, path: Path, scheme: Any) -> None:
    page = visit(path, color_scheme=scheme)
    ratios: dict[str, float] = page.evaluate(CONTRAST)
    assert len(ratios) > 20
    assert {key: ratio for key, ratio in ratios.items() if ratio < 4.5} == {}


def test_the_page_prints_without_controls(visit: Visits, path: Path) -> None:
    page = visit(path)
    page.emulate_media(media="print")
    expect(page.locator("body > nav")).to_be_hidden()
    for control in page.locator("form, .pager, .filters").all():
        expect(control).to_be_hidden()
    assert main_table(page).locator("tbody tr").first.is_visible()
    boxes = page.locator(".scroll").evaluate_all(
        "boxes => boxes.filter(b => b.scrollHeight > b.clientHeight + 1).length"
    )
    assert boxes == 0
    assert page.pdf(format="A4").startswith(b"%PDF")


def test_results_are_there_without_a_script(visit: Visits, path: Path, report: Report) -> None:
    page = visit(path, java_script_enabled=False)
    expect(main_table(page).locator("tbody tr")).to_have_count(len(report.systems))
    expect(page.locator("#comparison-table tbody tr")).to_have_count(len(report.comparisons))
    expect(page.get_by_text("are shown by a script")).to_be_visible()
    expect(page.locator("#clips")).to_be_hidden()
    assert page.locator("button:visible").count() == 0
