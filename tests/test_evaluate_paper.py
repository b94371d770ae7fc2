"""The Mimetics paper and its published files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from mimecurate.curation.release_import_mimetics import (
    mimetics_files,
    read_mimetics,
    read_mimetics_classes,
)
from mimecurate.curation.release_problems import Problems
from mimecurate.evaluation.evaluate import build_report
from mimecurate.evaluation.paper_check import (
    check_paper,
    paper_ranks,
    paper_release,
    self_check_lines,
)
from mimecurate.evaluation.paper_results import SYSTEMS, TABLE_6, TABLE_11
from mimecurate.evaluation.predictions import Predictions
from mimecurate.evaluation.table_formats import as_text
from mimecurate.schemas.release import Release

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def mimetics(shared: Path) -> Release:
    problems = Problems()
    files = mimetics_files(shared / "mimetics-v1.0")
    clips = [clip for _, clip in read_mimetics(files, problems)]
    classes = tuple(read_mimetics_classes(files, problems))
    problems.raise_if_any("mimetics")
    clips.sort(key=lambda clip: clip.clip_id)
    return Release("mimetics", "1.0.0", "0" * 64, tuple(clips), classes)


def as_predictions(release: Release, system: str) -> Predictions:
    """Make scores whose ranks are right as often, in each class, as Table 11 prints."""
    right = {}
    column = SYSTEMS.index(system)
    for row in TABLE_11:
        right[row.name] = round(row.clips * row.top1[column] / 100)
    names = [row.name for row in TABLE_11] + [f"other {i}" for i in range(350)]
    scores = np.zeros((len(release.clips), 400), np.float32)
    scores[:, 399] = 1
    for i, clip in enumerate(release.clips):
        right[clip.label] -= 1
        scores[i, names.index(clip.label)] = 2 if right[clip.label] >= 0 else -1
    return Predictions(system, tuple(c.clip_id for c in release.clips), tuple(names), scores)


def test_all_figures_but_one_agree() -> None:
    checks = check_paper()
    assert [c.what for c in checks if not c.agrees] == ["Table 6, mAP, STGCN"]
    (stgcn,) = (c for c in checks if not c.agrees)
    assert stgcn.is_known
    assert stgcn.rebuilt == pytest.approx(20.64)
    assert sum("DIFFERS" in line for line in self_check_lines(checks)) == 0


def test_table_11_is_whole() -> None:
    assert len(TABLE_11) == 50
    assert sum(row.clips for row in TABLE_11) == 713
    for row in TABLE_11:
        for top1, ap in zip(row.top1, row.ap, strict=True):
            assert top1 <= ap + 0.05  # a clip that is right adds 1 to its class's AP
            assert f"{100 * round(row.clips * top1 / 100) / row.clips:.1f}" == f"{top1:.1f}"


def test_a_changed_figure_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    printed = {**TABLE_6, "top-1": (8.7, *TABLE_6["top-1"][1:])}
    monkeypatch.setattr("mimecurate.evaluation.paper_check.TABLE_6", printed)
    assert "Table 6, top-1, RGB" in [c.what for c in check_paper() if not c.agrees]


@pytest.mark.parametrize("system", SYSTEMS)
def test_score_files_with_the_papers_hits_give_the_papers_numbers(system: str) -> None:
    release = paper_release()
    report = build_report([as_predictions(release, system)], release, resamples=0)
    found = report.systems[0]
    assert found.matched.rank.tolist().count(1) == (paper_ranks(system) == 1).sum()
    printed = TABLE_6["top-1"][SYSTEMS.index(system)]
    assert f"{found.overall.mean_class_top1:.1f}" == f"{printed:.1f}"


def test_the_published_files_have_the_papers_subsets_but_two(mimetics: Release) -> None:
    report = build_report([as_predictions(mimetics, "RGB")], mimetics, resamples=0)
    subsets = report.systems[0].subsets
    counts = {name: (s.clips, s.classes) for name, s in subsets.items()}
    assert report.targets.num_videos == 560
    assert counts["all"] == (713, 50)
    assert counts["mime_artist"][0] == 203
    assert counts["not_mime_artist"][0] == 510
    assert counts["scene_not_relevant"][0] == 644
    assert counts["object_none_or_small"] == (268, 19)
    assert counts["object_medium_or_large"] == (445, 31)
    assert counts["no_relevant_object"][0] == 671  # the paper prints 644
    assert counts["no_relevant_object_and_scene_not_relevant"][0] == 610  # the paper prints 584
    few = subsets["object_relevant_and_scene_relevant"]
    assert (few.clips, few.videos) == (8, 2)


def test_table_8_comes_out_of_the_published_files(mimetics: Release) -> None:
    systems = [as_predictions(mimetics, name) for name in ("RGB", "Flow", "SIP-Net")]
    text = as_text(build_report(systems, mimetics, resamples=0))
    (table,) = (block for block in text.split("\n\n") if "Table 8" in block)
    rows = [line.split()[-5:] for line in table.splitlines()[2:]]
    assert rows == [
        ["50", "713", "8.4", "11.5", "14.3"],
        ["19", "268", "11.2", "12.3", "9.0"],
        ["31", "445", "6.7", "11.0", "17.5"],
    ]


def test_eight_clips_of_two_videos_say_nothing(mimetics: Release) -> None:
    systems = [as_predictions(mimetics, name) for name in ("RGB", "SIP-Net")]
    report = build_report(systems, mimetics, resamples=50)
    few = report.systems[0].subsets["object_relevant_and_scene_relevant"]
    assert few.ci == {}
    assert "8 clips from 2 videos are too few to say anything" in " ".join(
        report.systems[0].warnings
    )
    assert "an object is relevant, and scene is relevant (too few)" in as_text(report)
