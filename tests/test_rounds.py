"""Rounds, the choice of their clips, and pre-filled classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from round_workspace import clip_name, decide, make_workspace

from mimecurate.annotation.prefill import make_prefill
from mimecurate.annotation.push import PushOptions, find_refused, plan_push
from mimecurate.annotation.round_clips import Wanted, choose_clips, read_gold_file, shuffled
from mimecurate.annotation.rounds import (
    MAX_ROUND,
    MAX_TITLE,
    check_annotators,
    check_round_name,
    find_round,
    project_title,
    store_round,
)
from mimecurate.annotation.screen import ScreenClass, build_screen
from mimecurate.commands.root import cli
from mimecurate.curation.samples import VideoSpec
from mimecurate.errors import InvalidInputError, MimecurateError
from mimecurate.evaluation.predictions import Predictions
from mimecurate.schemas.database import now

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from testbed import SampleMaker

    from mimecurate.curation.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path, sample: SampleMaker) -> Iterator[Workspace]:
    """Ten fetched clips, of which the first four are decided."""
    media = sample(VideoSpec(seconds=1, fps=25, width=64, height=48)).path
    with make_workspace(tmp_path / "w", media, 10) as space:
        decide(space, range(4))
        yield space


def names(*numbers: int) -> set[str]:
    return {clip_name(i) for i in numbers}


def put_into_round(space: Workspace, clips: set[str], gold: dict[str, int] | None = None) -> None:
    """Write down tasks as a push does."""
    mark = store_round(space.db, "1").mark
    with space.db.atomic():
        space.db.execute("INSERT OR IGNORE INTO screens VALUES ('s', '<View/>', '')")
        space.db.execute(
            "INSERT INTO projects (round, server, project_id, title, screen, made_at) "
            "VALUES ('1', 'http://x', 1, ?, 's', '')",
            [mark],
        )
        for clip in clips:
            space.db.execute(
                "INSERT INTO tasks (project_key, clip_id, task_id, pushed_at, fps, gold_decision) "
                "VALUES (1, ?, 1, '', 25, ?)",
                [clip, (gold or {}).get(clip)],
            )


def test_fetched_and_undecided_clips_are_asked(workspace: Workspace) -> None:
    workspace.db.execute("DELETE FROM media WHERE clip_id = ?", [clip_name(9)])
    workspace.db.table("withdrawals").insert(
        {"clip_id": clip_name(8), "withdrawn_at": now(), "reason": "asked"}
    )
    chosen = choose_clips(workspace.db, "1", Wanted())
    assert set(chosen.asked) == names(4, 5, 6, 7)
    assert chosen.gold == {}


def test_filters(workspace: Workspace) -> None:
    chosen = choose_clips(workspace.db, "1", Wanted(label="archery"))
    assert set(chosen.asked) == names(6, 9)
    assert choose_clips(workspace.db, "1", Wanted(split="test")).asked == ()
    assert choose_clips(workspace.db, "1", Wanted(video_id="other")).asked == ()


def test_limit_keeps_what_the_round_has(workspace: Workspace) -> None:
    first = set(choose_clips(workspace.db, "1", Wanted(limit=3)).asked)
    assert first == set(choose_clips(workspace.db, "1", Wanted(limit=3)).asked)
    assert first != set(choose_clips(workspace.db, "2", Wanted(limit=3)).asked)
    others = names(*range(4, 10)) - first
    put_into_round(workspace, others)
    assert set(choose_clips(workspace.db, "1", Wanted(limit=3)).asked) == others
    assert len(choose_clips(workspace.db, "1", Wanted(limit=4)).asked) == 4


def test_clip_decided_after_it_was_asked_stays(workspace: Workspace) -> None:
    put_into_round(workspace, names(4, 5))
    decide(workspace, [4])
    assert set(choose_clips(workspace.db, "1", Wanted()).asked) == names(*range(4, 10))
    assert set(choose_clips(workspace.db, "2", Wanted()).asked) == names(*range(5, 10))


def test_gold_clips_have_a_decision_and_stay(workspace: Workspace) -> None:
    decide(workspace, [3], "unplayable")
    chosen = choose_clips(workspace.db, "1", Wanted(gold=2))
    assert len(chosen.gold) == 2
    assert chosen.gold.keys() <= names(0, 1, 2)
    assert not chosen.gold.keys() & set(chosen.asked)
    put_into_round(workspace, set(chosen.gold), chosen.gold)
    decide(workspace, [5, 6, 7])
    assert choose_clips(workspace.db, "1", Wanted(gold=2)).gold == chosen.gold
    assert choose_clips(workspace.db, "1", Wanted()).gold == chosen.gold
    assert choose_clips(workspace.db, "1", Wanted(gold=3)).gold.items() > chosen.gold.items()
    with pytest.raises(MimecurateError, match="--gold 9: only 6"):
        choose_clips(workspace.db, "1", Wanted(gold=9))


def test_named_gold_clips(workspace: Workspace) -> None:
    chosen = choose_clips(workspace.db, "1", Wanted(gold=(clip_name(2),)))
    assert chosen.gold.keys() == names(2)
    put_into_round(workspace, names(4))
    decide(workspace, [4])
    with pytest.raises(InvalidInputError) as refused:
        choose_clips(workspace.db, "1", Wanted(gold=(clip_name(4), clip_name(5), "nothing")))
    assert len(refused.value.problems) == 3


def test_gold_file(tmp_path: Path) -> None:
    file = tmp_path / "gold.txt"
    file.write_text("# known\na\n\n b \n")
    assert read_gold_file(file) == ("a", "b")
    file.write_text("a\nb\na\nb\n")
    with pytest.raises(InvalidInputError, match="line 3: 'a' is already in line 1") as refused:
        read_gold_file(file)
    assert len(refused.value.problems) == 2
    for content in (b"", b"\xff\xfe\x00"):
        file.write_bytes(content)
        with pytest.raises(InvalidInputError):
            read_gold_file(file)


@given(st.sets(st.text(max_size=8), max_size=30), st.text(max_size=8))
def test_shuffling_is_stable(clips: set[str], seed: str) -> None:
    order = shuffled(clips, seed)
    assert sorted(order) == sorted(clips)
    some = set(list(clips)[::2])
    assert shuffled(some, seed) == [c for c in order if c in some]


@given(
    st.text(min_size=1, max_size=MAX_ROUND),
    st.none() | st.emails(),
    st.text("0123456789abcdef", min_size=16, max_size=16),
)
def test_titles_fit(name: str, annotator: str | None, mark: str) -> None:
    title = project_title(name, mark, annotator)
    assert 3 <= len(title) <= MAX_TITLE
    assert title.endswith(f" [{mark[:6]}]")


@pytest.mark.parametrize("name", ["", " 1", "a\nb", "x" * 41, "\u202e1"])
def test_bad_round_names(name: str) -> None:
    with pytest.raises(MimecurateError, match="must be 1 to 40 printable"):
        check_round_name(name)


@pytest.mark.parametrize(
    "annotators", [["ann"], ["a b@x"], ["a@x", "A@X"], ["a]@x"], [f"a@{'x' * 300}"]]
)
def test_bad_annotators(annotators: list[str]) -> None:
    with pytest.raises(MimecurateError, match="annotator"):
        check_annotators(annotators)


def test_round_keeps_its_mark(workspace: Workspace) -> None:
    first = store_round(workspace.db, "1", overlap=2)
    second = store_round(workspace.db, "1", predictions="p.json 00")
    assert (second.mark, second.overlap, second.predictions) == (first.mark, 2, "p.json 00")
    assert find_round(workspace.db, "2") is None
    with pytest.raises(MimecurateError, match="is of kind annotation"):
        store_round(workspace.db, "1", kind="adjudication")


def predictions(rows: list[list[float]], names: tuple[str, ...] | None) -> Predictions:
    ids = tuple(f"c{i}" for i in range(len(rows)))
    return Predictions("model", ids, names, np.array(rows), file="model.npz", sha256="00")


def test_prefill_takes_the_first_class_only() -> None:
    screen = build_screen([ScreenClass("punching person (boxing)"), ScreenClass("archery")])
    scores = [[0.1, 0.8, 0.1], [0.5, 0.5, 0], [0.1, 0.2, 0.7], [np.nan] * 3, [np.nan, 0.1, 0.3]]
    scores += [[np.inf, 0, 0], [-1, -2, -3]]
    system = predictions(scores, ("archery", "punching person (boxing)", "clapping"))
    ids = [f"c{i}" for i in range(7)]
    prefill = make_prefill(system, screen, clip_ids=ids)
    assert prefill.labels == {"c0": ("punching person (boxing)", 0.8), "c6": ("archery", -1.0)}
    assert prefill.elsewhere == 5
    assert prefill.predictions("c1") == ()
    (prediction,) = prefill.predictions("c0")
    assert prediction["model_version"] == "model.npz"
    assert "score" not in prediction  # Label Studio takes 0 to 1 only, and these are logits
    assert make_prefill(system, screen, clip_ids=["c1"]).labels == {}


@pytest.mark.parametrize(
    ("names", "words"), [(None, "names no classes"), (("clapping",), "none of its 1 classes")]
)
def test_prefill_needs_the_screens_classes(names: tuple[str, ...] | None, words: str) -> None:
    with pytest.raises(MimecurateError, match=words):
        make_prefill(predictions([[0.5]], names), build_screen([ScreenClass("a")]), clip_ids=["c0"])


def test_plan_refuses_contradictions(workspace: Workspace) -> None:
    with pytest.raises(MimecurateError, match="--overlap is for a project that all share"):
        plan_push(workspace.db, PushOptions(annotators=("a@x.org",), overlap=2))
    put_into_round(workspace, names(4))
    with pytest.raises(MimecurateError, match="is one project for all"):
        plan_push(workspace.db, PushOptions(annotators=("a@x.org",)))


def test_plan_without_clips(workspace: Workspace) -> None:
    decide(workspace, range(10))
    with pytest.raises(MimecurateError, match="no clip to label"):
        plan_push(workspace.db, PushOptions())


@pytest.mark.parametrize("option", ["--label", "--split", "--video"])
def test_an_argument_that_is_not_utf8_is_named_in_one_line(
    workspace: Workspace, option: str
) -> None:
    arguments = ["annotate", "push", "-w", str(workspace.root), "--dry-run", option, "a\udcff"]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 1
    assert result.stderr == "Error: 'a\\udcff' is not UTF-8; give it as UTF-8\n"


@pytest.mark.parametrize(
    ("clips", "score", "says"),
    [((4, 5), 1.0, "2 of 6 clips"), ((4, 5), np.nan, "0 of 6 clips"), ((0,), 1.0, "0 of 6 clips")],
)
def test_predictions_that_pre_fill_little_are_said(
    workspace: Workspace, tmp_path: Path, clips: tuple[int, ...], score: float, says: str
) -> None:
    file = tmp_path / "model.csv"
    rows = [f"{clip_name(number)},{score},{0 * score}" for number in clips]
    file.write_text("\n".join(["clip_id,archery,bowling", *rows]), "utf-8")
    [remark] = plan_push(workspace.db, PushOptions(predictions=file)).remarks
    assert f" pre-fills {says}: " in remark


def test_plan_writes_nothing(workspace: Workspace) -> None:
    before = workspace.db.execute("SELECT total_changes()").fetchone()
    plan = plan_push(workspace.db, PushOptions(annotators=("a@x.org", "b@x.org")))
    assert plan.total == 12
    assert find_refused(workspace, plan) == []
    assert workspace.db.execute("SELECT total_changes()").fetchone() == before
