"""How far a round is: counts, pace, gold, pre-filled answers; tables, JSON and the page."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from labelling import Labelling, add_clips, record_round

from mimecurate.annotation.pace import IDLE_S, Answer, Pace, estimate, pace_of
from mimecurate.annotation.status import ClassStatus, Right, read_status
from mimecurate.annotation.status_page import status_page
from mimecurate.annotation.status_tables import status_document, status_tables, title
from mimecurate.commands.root import cli
from mimecurate.curation.workspace import Workspace, open_workspace
from mimecurate.errors import MimecurateError
from mimecurate.evaluation.text_tables import text_table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click.testing import Result

ANN, BOB, CAROL = "ann@example.org", "bob@example.org", "carol@example.org"
_numbers = itertools.count()


@pytest.fixture
def space(tmp_path: Path) -> Iterator[Workspace]:
    with open_workspace(tmp_path / "ws") as opened:
        yield opened


@pytest.fixture
def labelling(space: Workspace) -> Labelling:
    """Six clips, two of each class, two answers wanted."""
    clips = add_clips(space, 6)
    return record_round(space, {c: i for i, c in enumerate(clips, 1)}, overlap=2)


def say(labelling: Labelling, clip: int, who: str, **fields: Any) -> int:
    """Keep an answer to the clip at this place, a minute after the one before."""
    number = next(_numbers)
    at = f"2026-11-21T{10 + number // 60 % 10:02d}:{number % 60:02d}:00Z"
    details = {"project_key": labelling.project_key} | fields.pop("details", {})
    row = {
        "clip_id": list(labelling.tasks)[clip],
        "annotator": who,
        "round": labelling.round,
        "at": at,
        "verdict": None if fields.get("skipped") else "yes",
        "origin": f"origin {number}",
        "details": json.dumps(details),
    } | fields
    with labelling.space.db.atomic():
        labelling.space.db.table("annotations").insert(row)
    query = "SELECT max(annotation_id) FROM annotations"
    return int(labelling.space.db.execute(query).fetchone()[0])


def set_tasks(labelling: Labelling, clip: int, **fields: Any) -> None:
    changes = ", ".join(f"{name} = ?" for name in fields)
    with labelling.space.db.atomic():
        labelling.space.db.execute(
            f"UPDATE tasks SET {changes} WHERE clip_id = ?",
            [*fields.values(), list(labelling.tasks)[clip]],
        )


def status_of(labelling: Labelling) -> Any:
    [status] = read_status(labelling.space.db)
    return status


def test_done_and_open_make_all_clips_of_each_class(labelling: Labelling) -> None:
    say(labelling, 0, ANN)
    say(labelling, 0, BOB)
    say(labelling, 3, ANN)
    say(labelling, 3, BOB, skipped=1)
    say(labelling, 1, CAROL, skipped=1)
    set_tasks(labelling, 2, drafts=1)
    set_tasks(labelling, 0, drafts=1)
    status = status_of(labelling)
    assert list(status.classes) == [
        ClassStatus("archery", 2, done=1, open=1, skipped=1, drafts=0),
        ClassStatus("drinking", 2, done=0, open=2, skipped=1, drafts=0),
        ClassStatus("punching person (boxing)", 2, done=0, open=2, skipped=0, drafts=1),
    ]
    assert (status.answers, status.estimate.answers_left) == (3, 9)
    rows = {a.annotator: (a.answers, a.skipped, a.open) for a in status.annotators}
    assert rows == {ANN: (2, 0, 4), BOB: (1, 1, 4), CAROL: (0, 1, 4)}


def test_a_person_counts_once_for_a_clip_however_often_they_answer(labelling: Labelling) -> None:
    first = say(labelling, 0, ANN)
    say(labelling, 0, ANN, supersedes=first, verdict="no")
    say(labelling, 0, ANN)
    say(labelling, 0, ANN, skipped=1)
    status = status_of(labelling)
    assert (status.answers, status.total("done")) == (1, 0)
    assert (status.annotators[0].answers, status.annotators[0].skipped) == (1, 0)


def test_more_answers_than_wanted_leave_nothing_negative(labelling: Labelling) -> None:
    for who in (ANN, BOB, CAROL):
        say(labelling, 0, who)
    status = status_of(labelling)
    assert (status.total("done"), status.estimate.answers_left) == (1, 10)


def test_with_a_project_each_a_clip_wants_everyones_answer(space: Workspace) -> None:
    clips = add_clips(space, 2)
    for number, who in enumerate((ANN, BOB)):
        tasks = {clip: i for i, clip in enumerate(clips, 1)}
        labelling = record_round(space, tasks, annotator=who, project_id=number)
    say(labelling, 0, ANN)
    status = status_of(labelling)
    assert (status.total("done"), status.estimate.answers_left) == (0, 3)
    assert {a.annotator: a.open for a in status.annotators} == {ANN: 1, BOB: 2}
    say(labelling, 0, BOB)
    assert status_of(labelling).total("done") == 1
    assert "everyone whose project has it" in status.done_words


def test_what_is_gone_is_no_longer_wanted_and_what_was_said_counts(labelling: Labelling) -> None:
    say(labelling, 0, ANN)
    for clip in (0, 1):
        set_tasks(labelling, clip, gone_at="2026-11-21T00:00:00Z")
    status = status_of(labelling)
    assert (status.total("clips"), status.total("done"), status.gone_tasks) == (5, 1, 2)
    with labelling.space.db.atomic():
        labelling.space.db.execute("UPDATE projects SET gone_at = '2026-11-21T00:00:00Z'")
    status = status_of(labelling)
    assert (status.total("clips"), status.total("open")) == (1, 0)


def test_other_rounds_do_not_count(labelling: Labelling) -> None:
    say(labelling, 0, ANN, round="")
    say(labelling, 0, BOB, round="2")
    assert status_of(labelling).answers == 0


def test_drafts_have_an_author_until_they_are_submitted(labelling: Labelling) -> None:
    clips = list(labelling.tasks)
    with labelling.space.db.atomic():
        for clip in clips[:2]:
            labelling.space.db.execute(
                "INSERT INTO drafts VALUES (?, ?, ?)", [labelling.project_key, clip, ANN]
            )
    say(labelling, 0, ANN)
    [row] = status_of(labelling).annotators
    assert (row.drafts, row.answers) == (1, 1)


def test_gold_answers_are_compared_field_by_field(labelling: Labelling) -> None:
    decision = {"verdict": "yes", "label": "archery", "mime_artist": "no", "object_relevant": "yes"}
    row = {"method": "imported", "decided_by": "x", "decided_at": "x"} | decision
    with labelling.space.db.atomic():
        row["clip_id"] = next(iter(labelling.tasks))
        labelling.space.db.table("decisions").insert(row)
    set_tasks(labelling, 0, gold_decision=1)
    set_tasks(labelling, 1, gold_decision=1)
    say(labelling, 0, ANN, label="archery", mime_artist="yes", scene_relevant="yes")
    say(labelling, 1, ANN, verdict="unplayable")
    say(labelling, 2, ANN, label="drinking")
    say(labelling, 0, BOB, skipped=1)
    status = status_of(labelling)
    assert status.annotators[0].gold == {
        "verdict": Right(1, 2),
        "label": Right(1, 1),
        "mime_artist": Right(0, 1),
    }
    assert status.annotators[1].gold == {}
    assert "1/2 50%" in "\n".join(map(text_table, status_tables(status)))


def test_prefilled_classes_are_accepted_or_changed(labelling: Labelling) -> None:
    for clip in range(3):
        set_tasks(labelling, clip, predicted_label="archery")
    say(labelling, 0, ANN, label="archery")
    say(labelling, 1, ANN, label="drinking")
    say(labelling, 2, ANN, verdict="no")
    say(labelling, 3, ANN, label="archery")
    status = status_of(labelling)
    assert status.prefilled == Right(1, 2)
    document: Any = status_document([status])
    assert document["rounds"][0]["prefilled"] == {"answers": 2, "accepted": 1, "changed": 1}


def test_a_class_that_was_renamed_is_still_right_and_accepted(labelling: Labelling) -> None:
    db = labelling.space.db
    with db.atomic():
        db.execute("INSERT INTO classes (name) VALUES ('bow shooting')")
        db.execute("INSERT INTO class_names VALUES ('bow shooting', 'alias', 'bow')")
        row = {"clip_id": next(iter(labelling.tasks)), "verdict": "yes", "label": "bow"}
        db.table("decisions").insert(
            row | {"method": "imported", "decided_by": "x", "decided_at": "x"}
        )
    set_tasks(labelling, 0, gold_decision=1, predicted_label="bow")
    say(labelling, 0, ANN, label="bow shooting")
    status = status_of(labelling)
    assert status.prefilled == Right(1, 1)
    assert status.annotators[0].gold["label"] == Right(1, 1)


def test_pace_leaves_breaks_out_and_says_how_many_clips_were_idle() -> None:
    answers = [Answer(at, 20) for at in (0, 30, 60, 90)]
    pace = pace_of([*answers, Answer(90 + IDLE_S + 1, 4000)])
    assert pace == Pace(5, 20 + 3 * 30 + IDLE_S, 20.0, 1)
    assert pace.per_hour == pytest.approx(5 * 3600 / (110 + IDLE_S))


def test_too_few_answers_or_no_time_at_all_give_no_pace() -> None:
    assert pace_of([]).per_hour is None
    assert pace_of([Answer(0, 10)] * 4).per_hour is None
    assert pace_of([Answer(0, None)] * 9).per_hour is None
    assert pace_of([Answer(0, None)]).median_s is None


@given(
    st.lists(
        st.builds(Answer, st.floats(0, 1e6), st.none() | st.floats(0, 1e7, exclude_max=True)),
        max_size=30,
    )
)
def test_time_of_work_is_never_longer_than_a_gap_and_a_break_allow(answers: list[Answer]) -> None:
    assert 0 <= pace_of(answers).active_s <= len(answers) * IDLE_S + 1e-6


def test_the_estimate_says_what_it_rests_on() -> None:
    assert estimate(0, [], 0).words == "All answers are there."
    unknown = estimate(3, [Pace(4, 100, 25, 0)], 1)
    assert unknown.hours is None
    assert unknown.words == (
        "3 answers are left; 5 answers must be there before the rest can be estimated."
    )
    assert estimate(360, [Pace(10, 200, 20, 0)], 1).words == (
        "360 answers are left: about 2.0 h of work, at 20 s an answer "
        "(mean of 10; breaks over 5 min left out)."
    )


def test_only_the_first_form_of_an_answer_tells_the_pace(labelling: Labelling) -> None:
    first = say(labelling, 0, ANN, seconds=10, details={"created_at": "2026-11-21T09:00:00Z"})
    say(labelling, 0, ANN, seconds=900, supersedes=first)
    pace = status_of(labelling).annotators[0].pace
    assert (pace.answers, pace.median_s, pace.idle) == (1, 10, 0)


def test_unknown_rounds_are_refused_with_those_there_are(labelling: Labelling) -> None:
    with pytest.raises(MimecurateError, match="there is no round '9'; there is: '1'"):
        read_status(labelling.space.db, ["9"])


HOSTILE = '"><script>alert(1)</script>\u202e\x1b[31m'


@pytest.fixture
def hostile(labelling: Labelling) -> Labelling:
    """A round with names that want to be more than names."""
    db = labelling.space.db
    say(labelling, 0, HOSTILE)
    with db.atomic():
        db.execute("UPDATE clips SET label = ?", [HOSTILE])
        db.execute(
            "INSERT INTO refusals VALUES (?, 1, 2, ?, ?, ?, 'x')",
            [labelling.project_key, HOSTILE, HOSTILE, HOSTILE],
        )
    return labelling


def run(space: Workspace, *arguments: str) -> Result:
    return CliRunner().invoke(
        cli, ["annotate", "status", "-w", str(space.root), *arguments], env={"COLUMNS": "80"}
    )


def test_tables_fit_80_columns_and_hide_nothing(hostile: Labelling) -> None:
    for number in range(7):
        long = f"somebody.with.a.long.name.{number}@department.university.example.org"
        say(hostile, 1, long, label="archery", seconds=30)
    result = run(hostile.space)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0] == "Round 1: 1 of 6 clips done, 17%"
    assert all(line.isprintable() for line in lines)
    assert "\\u202e" in result.stdout


def test_json_is_the_whole_status(hostile: Labelling) -> None:
    document = json.loads(run(hostile.space, "--json", "--round", "1").stdout)
    [status] = document["rounds"]
    columns = ("clips", "done", "open", "skipped", "drafts", "answers", "refused")
    assert {name: status[name] for name in columns} == {
        "clips": 6, "done": 0, "open": 6, "skipped": 0, "drafts": 0, "answers": 1, "refused": 1,
    }  # fmt: skip
    assert status["annotators"][0]["annotator"] == HOSTILE
    assert status["estimate"]["hours"] is None
    assert document["idle_after_s"] == IDLE_S


def test_the_page_is_escaped_and_the_same_each_time(hostile: Labelling) -> None:
    status = read_status(hostile.space.db)
    page = status_page(status)
    assert page == status_page(status)
    assert "<script" not in page
    assert "\u202e" not in page
    assert "\\u202e" in page
    assert title(status[0]) == "Round 1: 0 of 6 clips done, 0%"


def test_a_page_that_cannot_be_written_is_one_line(labelling: Labelling) -> None:
    result = run(labelling.space, "--html", str(labelling.space.root / "none" / "a.html"))
    assert result.exit_code == 1
    assert "can't be written" in result.stderr


def test_a_workspace_without_rounds_says_what_to_do(space: Workspace) -> None:
    result = run(space)
    assert result.exit_code == 1
    assert "there is no round yet; begin with: mimecurate annotate push" in result.stderr


@pytest.mark.parametrize("width", [1440, 400])
def test_the_page_shows_its_bars_in_a_browser(
    hostile: Labelling, tmp_path: Path, chromium: str, width: int
) -> None:
    from playwright.sync_api import sync_playwright

    say(hostile, 0, ANN)
    path = tmp_path / "status.html"
    assert run(hostile.space, "--html", str(path)).exit_code == 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": 900})
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("request", lambda request: said.append(request.url))
        page.goto(path.as_uri())
        assert said == [path.as_uri()]
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("h1").inner_text() == "1 of 6 clips done"
        whole = page.locator("figure .bar")
        done, open_ = (whole.locator(f"rect.{name}").bounding_box() for name in ("done", "open"))
        assert done is not None
        assert open_ is not None
        assert done["width"] * 5 == pytest.approx(open_["width"], rel=0.05)
        assert page.locator("tbody tr").count() == 4
        browser.close()


def test_a_large_round_is_read_in_time(space: Workspace) -> None:
    clips = add_clips(space, 2000)
    labelling = record_round(space, {c: i for i, c in enumerate(clips, 1)}, overlap=2)
    people = [f"p{number}@example.org" for number in range(10)]
    rows = [
        (c, who, "1", f"2026-11-{1 + i % 28:02d}T10:00:00Z", "yes", f"{i}/{who}", "{}")
        for i, c in enumerate(clips)
        for who in people[i % 9 : i % 9 + 2]
    ]
    with space.db.atomic():
        space.db.conn.executemany(
            "INSERT INTO annotations (clip_id, annotator, round, at, verdict, origin, details) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            rows,
        )
    import time

    began_s = time.monotonic()
    status = status_of(labelling)
    assert time.monotonic() - began_s < 5
    assert (status.total("done"), len(status.annotators)) == (2000, 10)
