"""Settling disagreements: the rule, decisions that are only added, and the way to a release."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from labelling import record_round
from release_lists import CLIPS, annotate, know, know_classes

from mimecurate.annotation.adjudicate import (
    Settled,
    Standing,
    disputed_fields,
    find_standing,
    rule_outcome,
    settle_by_rule,
    take_over_answers,
)
from mimecurate.annotation.adjudicate_answers import answers_html, shown_answers
from mimecurate.annotation.adjudicate_decisions import (
    check_decider,
    current_decision,
    record_decision,
    retract_decision,
)
from mimecurate.commands.root import cli
from mimecurate.curation.class_changes import apply_change, drop, rename, split
from mimecurate.curation.release_rule import Outcome, Undecided, Vote, decide, votes_by_clip
from mimecurate.curation.workspace import open_workspace
from mimecurate.errors import MimecurateError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlite_utils import Database

    from mimecurate.curation.workspace import Workspace

AGREED, SPLIT, FLAGGED, ALONE = CLIPS
NO_FLAGS = {"mime_artist": "no", "object_relevant": "no", "scene_relevant": "no"}


@pytest.fixture
def space(tmp_path: Path) -> Iterator[Workspace]:
    """A workspace with a clip all agree on, one in dispute, a flag in dispute, one answer alone."""
    with open_workspace(tmp_path) as space:
        db = space.db
        know_classes(db)
        for person in ("ann", "bob"):
            annotate(db, AGREED, person, label="archery", **NO_FLAGS)
            annotate(db, SPLIT, person, verdict="yes" if person == "ann" else "no", note="<hm>")
            mime = "yes" if person == "ann" else "no"
            annotate(db, FLAGGED, person, label="drinking", **NO_FLAGS | {"mime_artist": mime})
        annotate(db, ALONE, "ann")
        yield space


def _run(space: Workspace, *arguments: str, input: str | bytes = "") -> Result:
    return CliRunner().invoke(
        cli, ["annotate", "adjudicate", "-w", str(space.root), *arguments], input=input
    )


def _ids(standing: Standing) -> list[str]:
    return [dispute.clip_id for dispute in standing.disputes]


def _settle(db: Database, **options: object) -> Settled:
    return settle_by_rule(db, by="lead", **{"min_annotators": 2} | options)  # type: ignore[arg-type]


def _decisions(db: Database) -> list[tuple[Any, ...]]:
    return db.execute(
        "SELECT clip_id, verdict, method, decided_by, why FROM current_decisions ORDER BY clip_id"
    ).fetchall()


def test_the_rule_decides_what_it_can_and_leaves_the_rest(space: Workspace) -> None:
    assert _settle(space.db) == Settled(decided=1)
    why = (
        "2 annotators: verdict 2 yes; label 2 archery; mime_artist 2 no; object_relevant 2 no; "
        "scene_relevant 2 no"
    )
    assert _decisions(space.db) == [(AGREED.clip_id, "yes", "rule", "lead", why)]
    standing = find_standing(space.db, min_annotators=2)
    assert (standing.settled, standing.agreed, standing.too_few) == (1, 0, 1)
    assert {d.clip_id: d.why for d in standing.disputes} == {
        SPLIT.clip_id: "no majority for a verdict",
        FLAGGED.clip_id: "no majority for mime_artist",
    }


def test_again_changes_nothing(space: Workspace) -> None:
    _settle(space.db)
    before = list(space.db.conn.iterdump())
    assert _settle(space.db) == Settled(unchanged=1)
    assert take_over_answers(space.db) == 0
    assert list(space.db.conn.iterdump()) == before


def test_a_dry_run_writes_nothing(space: Workspace) -> None:
    before = list(space.db.conn.iterdump())
    assert _settle(space.db, dry_run=True) == Settled(decided=1)
    assert list(space.db.conn.iterdump()) == before


def test_later_votes_change_or_take_back_what_the_rule_said(space: Workspace) -> None:
    db = space.db
    _settle(db)
    for number, (person, verdict) in enumerate([("eve", "no"), ("dan", "no")]):
        annotate(db, AGREED, person, verdict=verdict, at=f"2026-02-0{number + 1}T00:00:00Z")
    assert _settle(db) == Settled(retracted=1)
    assert AGREED.clip_id in _ids(find_standing(db, min_annotators=2))
    assert _decisions(db) == []
    annotate(db, AGREED, "kim", verdict="no")
    assert _settle(db) == Settled(decided=1)
    annotate(db, AGREED, "ann", verdict="unplayable", at="2026-03-01T00:00:00Z")
    annotate(db, AGREED, "bob", verdict="unplayable", at="2026-03-01T00:00:00Z")
    annotate(db, AGREED, "kim", verdict="unplayable", at="2026-03-01T00:00:00Z")
    assert _settle(db) == Settled(changed=1)
    assert [row[1] for row in _decisions(db)] == ["unplayable"]
    annotate(db, AGREED, "kim", verdict="no", at="2026-03-02T00:00:00Z")
    for person in ("bob", "eve"):
        annotate(db, AGREED, person, verdict="yes", at="2026-03-02T00:00:00Z")
    assert _settle(db) == Settled(retracted=1)
    assert _decisions(db) == []  # and not what the rule had said before that


def test_no_rule_overrules_a_person(space: Workspace) -> None:
    db = space.db
    record_decision(db, AGREED.clip_id, Outcome("no"), method="adjudicated", by="Ada", why="a prop")
    assert _settle(db) == Settled()
    assert _decisions(db) == [(AGREED.clip_id, "no", "adjudicated", "Ada", "a prop")]


def test_taking_back_restores_what_was_before(space: Workspace) -> None:
    db = space.db
    _settle(db)
    before = current_decision(db, AGREED.clip_id)
    made = record_decision(db, AGREED.clip_id, Outcome("no"), method="adjudicated", by="A", why="")
    assert current_decision(db, AGREED.clip_id) != before
    for _ in range(2):
        retract_decision(db, made, by="A")
    assert current_decision(db, AGREED.clip_id) == before
    assert db.execute("SELECT count(*) FROM decisions").fetchone() == (2,)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        db.execute("DELETE FROM retractions")


def test_the_rule_can_need_more_annotators_or_look_at_one_round(space: Workspace) -> None:
    db = space.db
    assert _settle(db, min_annotators=3) == Settled()
    annotate(db, SPLIT, "eve", verdict="no", round="2")
    annotate(db, SPLIT, "bob", verdict="no", round="2", at="2026-02-01T00:00:00Z")
    assert _settle(db, rounds=["2"]) == Settled(decided=1)
    assert [row[:2] for row in _decisions(db)] == [(SPLIT.clip_id, "no")]
    with pytest.raises(MimecurateError, match=r"round '3'; there are: '', '2'"):
        _settle(db, rounds=["3"])


def _adjudicated(db: Database, at: str, annotation_id: int = 1000, **fields: Any) -> None:
    db.execute(
        "INSERT INTO rounds (round, kind, mark, made_at) VALUES ('settle', 'adjudication', 'm', '')"
        " ON CONFLICT DO NOTHING"
    )
    row = {"round": "settle", "at": at, "annotation_id": annotation_id} | fields
    annotate(db, SPLIT, "Ada", **row)


def test_answers_of_an_adjudication_become_decisions_once(space: Workspace) -> None:
    db = space.db
    _adjudicated(db, "2026-02-01T00:00:00Z", verdict="no", note="a real bow")
    assert take_over_answers(db) == 1
    assert take_over_answers(db) == 0
    decision = current_decision(db, SPLIT.clip_id)
    assert decision is not None
    assert (decision.decided_by, decision.decided_at) == ("Ada", "2026-02-01T00:00:00Z")
    assert (decision.why, decision.method) == ("a real bow", "adjudicated")
    later = {"verdict": "yes", "label": "archery", "start_ms": 4000, "end_ms": 6000}
    _adjudicated(db, "2026-02-02T00:00:00Z", 1001, supersedes=1000, **later)
    assert take_over_answers(db) == 1
    decision = current_decision(db, SPLIT.clip_id)
    assert decision is not None
    assert decision.outcome == Outcome("yes", "archery", None, None, None, (4000, 6000))
    retract_decision(db, decision.decision_id, by="Ada")
    assert take_over_answers(db) == 0


def test_classes_are_decided_on_by_the_names_they_have_now(space: Workspace) -> None:
    db = space.db
    annotate(db, SPLIT, "ann", label="archery")
    annotate(db, SPLIT, "bob", label="archery")
    _adjudicated(db, "2026-02-01T00:00:00Z", verdict="yes", label="archery")
    apply_change(db, rename(db, "archery", "bow shooting"), who="lead", reason="")
    assert take_over_answers(db) == 1
    assert current_decision(db, SPLIT.clip_id).outcome.label == "bow shooting"  # type: ignore[union-attr]
    votes = dict(votes_by_clip(db))
    assert decide(votes[SPLIT.clip_id], 2) == Outcome("yes", "bow shooting")


def test_no_majority_brings_a_class_back_that_was_dropped_or_split(space: Workspace) -> None:
    db = space.db
    _settle(db)
    apply_change(db, drop(db, "archery"), who="lead", reason="too few")
    assert _settle(db) == Settled()
    decision = current_decision(db, AGREED.clip_id)
    assert decision is not None
    assert decision.outcome.verdict == "no"
    assert AGREED.clip_id not in _ids(find_standing(db, min_annotators=2))


def test_a_clip_whose_class_was_split_is_left_to_people(space: Workspace) -> None:
    db = space.db
    _settle(db)
    change = split(db, "archery", ["archery indoors", "field archery"], {})
    apply_change(db, change, who="lead", reason="")
    assert _settle(db) == Settled()
    disputes = {d.clip_id: d for d in find_standing(db, min_annotators=2).disputes}
    dispute = disputes[AGREED.clip_id]
    assert "split 'archery'" in dispute.why
    assert dispute.votes


def test_an_answer_does_not_supersede_a_later_decision(space: Workspace) -> None:
    db = space.db
    record_decision(db, SPLIT.clip_id, Outcome("yes"), method="imported", by="Bea", why="")
    _adjudicated(db, "2026-02-01T00:00:00.5Z", verdict="no")
    assert take_over_answers(db) == 0
    _adjudicated(db, "2999-01-01T00:00:00Z", 1001, verdict="no", supersedes=1000)
    said: list[str] = []
    assert take_over_answers(db, said.append) == 1
    assert len(said) == 1
    assert "Ada answered in round settle takes the place of what Bea decided" in said[0]


def test_an_adjudicators_answer_is_no_vote(space: Workspace) -> None:
    _adjudicated(space.db, "2026-02-01T00:00:00Z", verdict="no")
    assert SPLIT.clip_id in _ids(find_standing(space.db, min_annotators=2))


votes_strategy = st.lists(
    st.builds(
        Vote,
        st.sampled_from("abcdefg"),
        st.sampled_from(["yes", "yes", "no", "unsure", "unplayable"]),
        st.sampled_from([None, "x", "y"]),
        *[st.sampled_from([None, "yes", "no", "unsure"])] * 3,
        trim=st.sampled_from([None, (0, 1), (1, 2)]),
    ),
    max_size=6,
)


@given(votes_strategy)
def test_who_agrees_in_all_is_not_sent_to_people(votes: list[Vote]) -> None:
    """Without a field in dispute the rule decides, and what it leaves has one."""
    result = rule_outcome(votes, 2)
    if isinstance(result, Outcome):
        assert result == decide(votes, 2)
    elif len(votes) >= 2:
        assert disputed_fields(votes)
        assert result.check == "no-majority"
    if len(votes) >= 2 and not disputed_fields(votes):
        assert not isinstance(result, Undecided)


def test_open_tasks_of_settled_clips_are_named(space: Workspace) -> None:
    tasks = {clip.clip_id: number for number, clip in enumerate(CLIPS, 1)}
    record_round(space, tasks, round_name="one")
    record_round(space, tasks, round_name="settle", project_id=2)
    space.db.execute("UPDATE rounds SET kind = 'adjudication' WHERE round = 'settle'")
    annotate(space.db, AGREED, "eve", round="one")
    for clip in (AGREED, SPLIT):
        record_decision(space.db, clip.clip_id, Outcome("yes"), method="imported", by="Ada", why="")
    result = CliRunner().invoke(cli, ["annotate", "adjudicate", "-w", str(space.root)])
    assert result.stderr.splitlines()[-3:] == [
        f"round one: 1 decided clip still open; an answer there is not needed: {SPLIT.clip_id}",
        "round settle: 2 decided clips still open; an answer there supersedes the decision: "
        f"{', '.join(sorted(c.clip_id for c in (AGREED, SPLIT)))}",
        "next: decide with --terminal here, --push in Label Studio, or --export FILE in a "
        "spreadsheet",
    ]


def test_names_can_be_hidden_and_html_is_escaped(space: Workspace) -> None:
    dispute = next(
        d for d in find_standing(space.db, min_annotators=2).disputes if d.clip_id == SPLIT.clip_id
    )
    open_html = answers_html(shown_answers(space.db, dispute))
    assert "<b>ann</b>" in open_html
    assert "&lt;hm&gt;" in open_html
    hidden = answers_html(shown_answers(space.db, dispute, anonymous=True))
    assert "<b>A</b>" in hidden
    assert "ann" not in hidden
    assert "bob" not in hidden


def test_hidden_names_are_not_in_the_order_of_the_names(space: Workspace) -> None:
    """Else A would always be the same person."""
    first = set()
    for number in range(20):
        dispute = find_standing(space.db, min_annotators=2).disputes[0]
        clip_id = f"{dispute.clip_id}{number}"
        shown = shown_answers(space.db, dispute._replace(clip_id=clip_id), anonymous=True)
        first.add(shown[0].vote.annotator)
    assert first == {"ann", "bob"}


@pytest.mark.parametrize("name", ["", "  ", "x" * 201, "a\nb", "\x1b[31m"])
def test_who_decides_has_a_name(name: str) -> None:
    with pytest.raises(MimecurateError, match="--by"):
        check_decider(name)


def test_command_lists_what_is_in_dispute_and_changes_nothing(space: Workspace) -> None:
    before = list(space.db.conn.iterdump())
    result = _run(space)
    assert result.exit_code == 0, result.output
    assert f"{SPLIT.clip_id}  verdict: ann yes, bob no" in result.stdout
    assert "mime_artist: ann yes, bob no" in result.stdout
    assert "0 clips decided, 2 in dispute, 1 that --rule majority would decide, 1 with" in (
        result.stderr
    )
    assert list(space.db.conn.iterdump()) == before


def test_command_applies_the_rule_and_says_it_in_json(space: Workspace) -> None:
    result = _run(space, "--rule", "majority", "--by", "Ada", "--anonymous", "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["rule"] == asdict(Settled(decided=1))
    assert document["settled"] == 1
    by_clip = {dispute["clip_id"]: dispute for dispute in document["disputes"]}
    answers = by_clip[SPLIT.clip_id]["answers"]
    assert {answer["annotator"] for answer in answers} == {"A", "B"}
    assert {answer["verdict"] for answer in answers} == {"yes", "no"}
    assert list(answers[0])[-3:] == ["start_ms", "end_ms", "note"]
    assert _decisions(space.db)[0][3] == "Ada"


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["--dry-run", "--terminal"], id="dry-run-terminal"),
        pytest.param(["--dry-run", "--export", "x"], id="dry-run-export"),
        pytest.param(["--terminal", "--import", "-"], id="two-readers"),
        pytest.param(["--json", "--export", "-"], id="two-writers"),
        pytest.param(["--rule", "coin"], id="no-such-rule"),
        pytest.param(["--min-annotators", "1"], id="one-annotator"),
    ],
)
def test_wrong_usage(space: Workspace, arguments: list[str]) -> None:
    assert _run(space, *arguments).exit_code == 2
    assert _decisions(space.db) == []


def test_from_annotations_to_a_release(space: Workspace) -> None:
    """The whole path: what people say is settled by rule and in the terminal, then released."""
    runner = CliRunner()
    where = ["-w", str(space.root)]
    create = ["release", "create", "--name", "mimes", "--version", "1.0.0", *where]
    allow = [f"--allow={name}" for name in ("missing-flags", "class-without-clips")]
    early = runner.invoke(cli, create)
    assert early.exit_code == 1
    assert "`mimecurate annotate adjudicate`" in early.output
    assert _run(space, "--rule", "majority").exit_code == 0
    decided = _run(space, "--terminal", "--by", "Ada", input="fy1")  # the flag, then the verdict
    assert decided.exit_code == 0, decided.output
    assert "3 clips decided, 0 in dispute" in decided.stderr
    done = runner.invoke(cli, [*create, *allow])
    assert done.exit_code == 0, done.output
    shown = runner.invoke(cli, ["release", "show", "mimes@1.0.0", "--json", *where])
    document = json.loads(shown.stdout)
    assert document["clips"] == 3
    assert document["per_class"]["drinking"] == 2
    assert document["subsets"]["mime_artist"] == 1


def test_a_clip_without_annotations_can_be_decided_too(space: Workspace) -> None:
    """Decisions need no votes: they may come from a file."""
    know(space.db, ALONE)
    record_decision(space.db, ALONE.clip_id, Outcome("no"), method="imported", by="A", why="")
    standing = find_standing(space.db, min_annotators=2)
    assert (standing.settled, standing.too_few) == (1, 0)
