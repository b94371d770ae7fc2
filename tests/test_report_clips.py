"""Classes, confusions and clips of the report page, in a real browser."""

from __future__ import annotations

import itertools
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from playwright.sync_api import expect
from report_pages import (
    PAGE_CLIPS,
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
)
from scoring import CLASSES, make_predictions, make_release

from mimecurate.curation.samples import VideoSpec
from mimecurate.evaluation.details import confusion, top_classes
from mimecurate.evaluation.evaluate import build_report
from mimecurate.evaluation.matching import Policy
from mimecurate.evaluation.predictions import Predictions
from mimecurate.evaluation.report_html import report_page, write_report
from mimecurate.schemas.release import Flag, Release, ReleasedClass, ReleasedClip

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray
    from playwright.sync_api import Page
    from testbed import SampleMaker

    from mimecurate.evaluation.report import Report

__all__ = ["browser", "page", "page_path", "reloaded", "report", "shared_page", "visit"]  # fixtures

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


@pytest.mark.usefixtures("reloaded")
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


@pytest.mark.usefixtures("reloaded")
def test_confusions_are_searched_on_both_sides(page: Page, report: Report) -> None:
    counts = confusion(report.systems[0])
    wanted = next(predicted for _, predicted in counts if predicted.startswith("other"))
    page.locator("#confusion-filters input").fill(wanted.upper())
    table = page.locator("#confusion-table")
    expected = sorted({true for true, predicted in counts if wanted in predicted})
    assert column(table, 1) == expected
    assert all(wanted in text for text in column(table, 4))


@pytest.mark.usefixtures("reloaded")
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
    "not in the top 5, or without scores": (
        {"first": "2", "firstIs": "outside"},
        lambda r: (r.systems[2].matched.rank == 0) | (r.systems[2].matched.rank > 5),
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


@pytest.mark.usefixtures("reloaded")
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
