"""Ordering candidates by a model's scores, without ever dropping one for them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from click.testing import CliRunner
from discovering import judge, want

from mimecurate.commands.root import cli
from mimecurate.curation.classes import ClassEntry, save_classes
from mimecurate.curation.discover_record import record_page, store_queries
from mimecurate.curation.discover_sources import Found, Page
from mimecurate.curation.query_sets import Query
from mimecurate.curation.workspace import Workspace, open_workspace
from mimecurate.evaluation.candidate_ranking import REMINDER, By, CandidateRanking, rank_candidates
from mimecurate.evaluation.predictions import Predictions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAMES = ("archery", "bowling", "tying necktie")


@pytest.fixture
def space(tmp_path: Path) -> Iterator[Workspace]:
    with open_workspace(tmp_path / "w") as opened:
        yield opened


def rank(
    space: Workspace, rows: dict[str, list[float]], by: By, label: str | None = None
) -> CandidateRanking:
    scores = np.array(list(rows.values()), float)
    return rank_candidates(space.db, Predictions("m", tuple(rows), NAMES, scores), by, label=label)


def test_score_and_disagreement_order_all_that_is_open(space: Workspace) -> None:
    a, b, c, d = (want(space.db, f"vid-000000{n}", "archery") for n in range(4))
    judge(space.db, "vid-0000003", "no", "archery")
    rows = {
        a: [0.7, 0.2, 0.1],
        b: [0.1, 0.8, 0.1],
        c: [0.4, 0.35, 0.25],
        d: [1.0, 0.0, 0.0],
        "stranger": [0.9, 0.05, 0.05],
    }
    by_score = rank(space, rows, "score")
    assert [r.clip_id for r in by_score.ranked] == [a, c, b]
    assert (by_score.unknown, by_score.settled) == (1, 1)
    found = rank(space, rows, "disagreement")
    assert [r.clip_id for r in found.ranked] == [b, c, a]
    first = found.ranked[0]
    assert (first.says, first.wanted) == ("bowling", "archery")
    assert first.disagreement == pytest.approx(0.7)
    assert len(found.ranked) == len(by_score.ranked), "nothing is discarded"


def test_logits_become_probabilities(space: Workspace) -> None:
    a = want(space.db, "vid-0000001", "archery")
    (only,) = rank(space, {a: [5.0, -2.0, 0.0]}, "score").ranked
    assert only.score == pytest.approx(np.exp(5) / (np.exp(5) + np.exp(-2) + 1))


def test_rows_may_be_whole_candidates_with_the_classes_they_were_found_for(
    space: Workspace,
) -> None:
    class Source:
        name = "s"
        refresh_days = None

    queries = [Query("q1", label="archery"), Query("q2", label="bowling")]
    for query_id, _ in store_queries(space.db, queries):
        page = Page((Found("vid-0000001", "https://x.org/"),))
        record_page(space.db, query_id, Source(), page=1, first_rank=1, answer=page)  # type: ignore[arg-type]
    (only,) = rank(space, {"vid-0000001": [0.3, 0.6, 0.1]}, "score").ranked
    assert only.wanted == "bowling"
    assert only.score == pytest.approx(0.6)
    (as_archery,) = rank(space, {"vid-0000001": [0.3, 0.6, 0.1]}, "score", "archery").ranked
    assert as_archery.score == pytest.approx(0.3)


def test_a_class_is_found_by_its_names_in_kinetics(space: Workspace) -> None:
    with space.db.atomic():
        entries = [ClassEntry("tying tie", kinetics700=("tying necktie",)), ClassEntry("smoking")]
        save_classes(space.db, entries)
    a = want(space.db, "vid-0000001", "tying tie")
    b = want(space.db, "vid-0000002", "smoking")
    c = want(space.db, "vid-0000003", "archery")
    found = rank(space, {a: [0.1, 0.1, 0.8], b: [0.1, 0.1, 0.8], c: [np.nan] * 3}, "score")
    assert [(r.clip_id, r.says) for r in found.ranked] == [(a, "tying tie")]
    assert found.without_column == ("smoking",)
    assert found.without_scores == 1


def test_the_command_reminds(space: Workspace, tmp_path: Path) -> None:
    a = want(space.db, "vid-0000001", "archery")
    path = tmp_path / "rgb.csv"
    path.write_text(f"clip_id,archery,bowling\n{a},0.25,0.75\n")
    line = ["discover", "rank", str(path), "-w", str(space.root)]
    done = CliRunner().invoke(cli, [*line, "--json"])
    assert done.exit_code == 0, done.output
    assert REMINDER in done.stderr
    assert json.loads(done.stdout)[0]["says"] == "bowling"
    assert "0.5" in CliRunner().invoke(cli, line).stdout


def test_a_class_may_be_named_as_it_was_called_before(space: Workspace, tmp_path: Path) -> None:
    with space.db.atomic():
        save_classes(space.db, [ClassEntry("shooting a bow", aliases=("archery",))])
    clip_id = want(space.db, "vid-0000000", "archery")
    path = tmp_path / "p.npz"
    np.savez(path, clip_ids=[clip_id], class_names=NAMES, scores=[[0.7, 0.2, 0.1]])
    for name in ("archery", "shooting a bow"):
        line = ["discover", "rank", str(path), "--class", name, "--json", "-w", str(space.root)]
        done = CliRunner().invoke(cli, line)
        (row,) = json.loads(done.stdout)
        assert (row["wanted"], row["score"]) == ("shooting a bow", pytest.approx(0.7))
