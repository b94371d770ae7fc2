"""Pulling from a real Label Studio: what people said, once, with its history."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from labelling import YES, Annotator, Labelling, add_clips, answer, push_round

from mimecurate.annotation.changed_tasks import format_server_time
from mimecurate.annotation.pull import Pulled, pull
from mimecurate.annotation.pull_marks import Marks
from mimecurate.commands.root import cli
from mimecurate.curation.workspace import Workspace, open_workspace
from mimecurate.errors import MimecurateError, WorkspaceBusyError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click.testing import Result
    from label_studio import LabelStudio

    from mimecurate.annotation.annotation_store import Change
    from mimecurate.annotation.connection import Connection


@pytest.fixture
def space(tmp_path: Path) -> Iterator[Workspace]:
    with open_workspace(tmp_path / "ws") as opened:
        yield opened


@pytest.fixture
def lead(label_studio: LabelStudio) -> Iterator[Connection]:
    with label_studio.connect() as connection:
        yield connection


@pytest.fixture
def team(label_studio: LabelStudio) -> Iterator[list[Annotator]]:
    people = [Annotator(label_studio, user) for user in label_studio.annotators(3)]
    yield people
    for person in people:
        person.connection.close()


@pytest.fixture
def labelling(space: Workspace, lead: Connection) -> Labelling:
    return push_round(space, lead, add_clips(space, 4), overlap=2)


def current(space: Workspace, columns: str = "clip_id, annotator, verdict") -> list[Any]:
    query = f"SELECT {columns} FROM current_annotations ORDER BY clip_id, annotator"
    return space.db.execute(query).fetchall()


def table(space: Workspace, name: str) -> list[Any]:
    return space.db.execute(f"SELECT * FROM {name} ORDER BY 1, 2").fetchall()


def counts(pulled: Pulled) -> tuple[int, int, int]:
    return pulled.new, pulled.unchanged, pulled.superseded


def test_each_annotation_arrives_once_with_who_when_and_where(
    labelling: Labelling, lead: Connection, team: list[Annotator]
) -> None:
    space, (first, second, *_) = labelling.space, labelling.tasks
    ann, bob, _ = team
    made = ann.say(labelling.tasks[first], [*YES, *answer(trim=(26, 50), note="=cmd()\x00\u202e")])
    bob.say(labelling.tasks[first], answer(verdict="unplayable", label="drinking"), seconds=3)
    bob.skip(labelling.tasks[second])
    pulled = pull(space, lead)
    assert counts(pulled) == (3, 0, 0)
    assert (pulled.annotators, pulled.cancelled, pulled.refused, pulled.drafts) == (2, 1, 0, 0)
    row = space.db.query("SELECT * FROM annotations WHERE annotator = ? ", [ann.user.username])
    [said] = list(row)
    details = json.loads(said.pop("details"))
    assert said | {"at": "", "origin": "", "screen": ""} == {
        "annotation_id": said["annotation_id"],
        "clip_id": first,
        "annotator": ann.user.username,
        "round": "1",
        "at": "",
        "skipped": 0,
        "verdict": "yes",
        "label": "archery",
        "mime_artist": "yes",
        "object_relevant": "no",
        "scene_relevant": "unsure",
        "note": "=cmd()\x00\u202e",
        "seconds": 12.5,
        "screen": "",
        "origin": "",
        "supersedes": None,
        "start_ms": 7000,
        "end_ms": 8000,
    }
    screen = space.db.execute("SELECT screen FROM projects").fetchone()[0]
    assert said["screen"] == screen
    assert details["server_annotation_id"] == made
    assert details["task_id"] == labelling.tasks[first]
    assert details["frames"] == [26, 50]
    assert said["at"][:16] == details["updated_at"][:16]
    hidden = current(space, "verdict, label, skipped, seconds, json_extract(details, '$.hidden')")
    assert hidden[1:] == [("unplayable", None, 0, 3.0, '["label"]'), (None, None, 1, 12.5, None)]
    assert counts(pull(space, lead)) == (0, 3, 0)


def test_an_edit_supersedes_and_history_stays(
    labelling: Labelling, lead: Connection, team: list[Annotator]
) -> None:
    space, task = labelling.space, next(iter(labelling.tasks.values()))
    ann, bob, _ = team
    made = ann.say(task)
    assert counts(pull(space, lead)) == (1, 0, 0)
    ann.edit(made, answer(verdict="no"))
    assert counts(pull(space, lead)) == (0, 0, 1)
    bob.edit(made, answer(verdict="unsure", label="drinking"))
    pulled = pull(space, lead)
    assert counts(pulled) == (0, 0, 1)
    assert pulled.edited_by_others == 1
    assert current(space, "annotator, verdict") == [(ann.user.username, "unsure")]
    rows = space.db.execute(
        "SELECT verdict, supersedes, json_extract(details, '$.updated_by') FROM annotations "
        "ORDER BY annotation_id"
    ).fetchall()
    assert rows == [("yes", None, None), ("no", 1, None), ("unsure", 2, bob.user.username)]


def test_a_forged_author_is_kept_beside_who_wrote_it(
    labelling: Labelling, lead: Connection, team: list[Annotator]
) -> None:
    ann, bob, _ = team
    bob.say(next(iter(labelling.tasks.values())), completed_by=ann.user.user_id)
    assert pull(labelling.space, lead).edited_by_others == 1
    [(annotator, details)] = current(labelling.space, "annotator, details")
    assert annotator == ann.user.username
    assert json.loads(details)["updated_by"] == bob.user.username


def test_a_skip_can_become_an_answer_and_an_answer_a_skip(
    labelling: Labelling, lead: Connection, team: list[Annotator]
) -> None:
    space, (one, two, *_) = labelling.space, labelling.tasks.values()
    skipped, said = team[0].skip(one), team[0].say(two)
    assert pull(space, lead).cancelled == 1
    team[0].edit(skipped, YES, was_cancelled=False)
    team[0].edit(said, [], was_cancelled=True)
    pulled = pull(space, lead)
    assert (counts(pulled), pulled.cancelled) == ((0, 0, 2), 1)
    assert current(space, "verdict, skipped") == [("yes", 0), (None, 1)]


def test_drafts_are_counted_with_who_began_them_and_are_no_answers(
    labelling: Labelling, lead: Connection, team: list[Annotator]
) -> None:
    space, (one, two, *_) = labelling.space, labelling.tasks
    ann, bob, _ = team
    draft = ann.draft(labelling.tasks[one])
    bob.draft(labelling.tasks[two])
    pulled = pull(space, lead)
    assert (pulled.new, pulled.drafts) == (0, 2)
    assert table(space, "drafts") == [
        (labelling.project_key, one, ann.user.username),
        (labelling.project_key, two, bob.user.username),
    ]
    ann.connection.delete(f"/api/drafts/{draft}/")
    assert pull(space, lead).drafts == 1
    assert space.db.execute("SELECT sum(drafts) FROM tasks").fetchone() == (1,)


def test_what_was_deleted_on_the_server_stays_and_is_marked(
    labelling: Labelling, lead: Connection, team: list[Annotator]
) -> None:
    space, (one, two, *_) = labelling.space, labelling.tasks
    made = team[0].say(labelling.tasks[one])
    team[1].say(labelling.tasks[two])
    pull(space, lead)
    team[1].connection.delete(f"/api/annotations/{made}/")
    lead.delete(f"/api/tasks/{labelling.tasks[two]}")
    told: list[Change] = []
    pulled = pull(space, lead, on_change=told.append)
    assert counts(pulled) == (0, 2, 0)
    assert (pulled.deleted, pulled.gone_tasks) == (1, 1)
    assert [(c.kind, c.clip_id, c.annotator) for c in told] == [
        ("deleted", one, team[0].user.username)
    ]
    assert len(current(space)) == 2
    again = pull(space, lead)
    assert (again.deleted, again.gone_tasks) == (1, 1)


def test_a_task_that_was_deleted_and_came_back_is_not_gone(
    labelling: Labelling, lead: Connection
) -> None:
    space, clip_id = labelling.space, next(iter(labelling.tasks))
    task = lead.get(f"/api/tasks/{labelling.tasks[clip_id]}")
    lead.delete(f"/api/tasks/{labelling.tasks[clip_id]}")
    assert pull(space, lead).gone_tasks == 1
    lead.post(f"/api/projects/{labelling.project_id}/import", [{"data": task["data"]}])
    assert pull(space, lead).gone_tasks == 0


HOSTILE: tuple[tuple[list[dict[str, Any]], str], ...] = (
    ([], "verdict: not answered"),
    (answer(verdict="maybe"), "verdict: 'maybe' must be one of yes, no, unsure, unplayable"),
    (answer(verdict="yes", label="jousting"), "label: 'jousting' is none of the screen's 3"),
    (answer(verdict="yes", colour="red"), "control 'colour' is not on the screen"),
    ([*YES, *answer(trim=(9, 3))], "trim: ends at frame 3, before it begins at 9"),
    ([*answer(verdict="yes"), {"x": 1}], "result: an object of 1 names no control"),
)


def test_hostile_results_are_refused_with_their_reason_and_counted(
    labelling: Labelling, lead: Connection, team: list[Annotator]
) -> None:
    space, (one, two, *_) = labelling.space, labelling.tasks.values()
    ids = [team[0].say(one, result) for result, _ in HOSTILE]
    team[1].say(two)
    told: list[Change] = []
    pulled = pull(space, lead, on_change=told.append)
    assert (counts(pulled), pulled.refused) == ((1, 0, 0), len(HOSTILE))
    reasons = [change.why for change in told if change.kind == "refused"]
    assert sorted(reasons) == sorted(c.why for c in told if c.why)
    for (_, reason), said in zip(HOSTILE, reasons, strict=True):
        assert said.startswith(reason)
    told.clear()
    assert pull(space, lead, on_change=told.append).refused == len(HOSTILE)
    assert told == []
    for made in ids[1:]:
        team[0].connection.delete(f"/api/annotations/{made}/")
    team[0].edit(ids[0], YES)
    pulled = pull(space, lead)
    assert (counts(pulled), pulled.refused) == ((1, 1, 0), 0)


def test_an_edit_that_is_refused_leaves_what_was_said_before(
    labelling: Labelling, lead: Connection, team: list[Annotator]
) -> None:
    made = team[0].say(next(iter(labelling.tasks.values())))
    pull(labelling.space, lead)
    team[0].edit(made, answer(verdict="perhaps"))
    pulled = pull(labelling.space, lead)
    assert (counts(pulled), pulled.refused) == ((0, 1, 0), 1)
    assert current(labelling.space, "verdict") == [("yes",)]


@pytest.mark.parametrize(
    "poison",
    [
        pytest.param('{"result": [{"a": "\\ud800"}]}', id="half a character"),
        pytest.param('{"result": [], "lead_time": 1e400}', id="an infinite time"),
    ],
)
def test_an_answer_that_breaks_the_server_costs_its_own_task_alone(
    labelling: Labelling,
    lead: Connection,
    team: list[Annotator],
    monkeypatch: pytest.MonkeyPatch,
    poison: str,
) -> None:
    monkeypatch.setattr("mimecurate.annotation.connection.READ_WAITS_S", ())
    tasks = list(labelling.tasks.values())
    for task in tasks:
        team[0].say(task)
    client = team[1].connection._client
    headers = {"Content-Type": "application/json"}
    url = f"{lead.url}/api/tasks/{tasks[1]}/annotations/"
    with pytest.raises(MimecurateError):
        client.post(url, content=poison, headers=headers)
    pulled = pull(labelling.space, lead)
    assert (pulled.new, pulled.refused) == (3, 1)
    [(_, task, number, clip_id, _, why, _)] = table(labelling.space, "refusals")
    assert (task, number, clip_id) == (tasks[1], 0, list(labelling.tasks)[1])
    assert "the server fails to give this task's answers" in why


def test_a_task_of_another_clip_is_refused(
    labelling: Labelling, lead: Connection, team: list[Annotator]
) -> None:
    space, (one, two, *_) = labelling.space, labelling.tasks
    data = lead.get(f"/api/tasks/{labelling.tasks[one]}")["data"]
    lead.patch(f"/api/tasks/{labelling.tasks[one]}", {"data": data | {"clip_id": two}})
    added = [{"data": data | {"clip_id": clip}} for clip in ("stranger", "a\u202eb")]
    path = f"/api/projects/{labelling.project_id}/import"
    ids = lead.post(path, added, return_task_ids="true")["task_ids"]
    for task in (labelling.tasks[one], *ids):
        team[0].say(task)
    pulled = pull(space, lead)
    assert (pulled.new, pulled.refused) == (0, 3)
    reasons = [row[0] for row in space.db.execute("SELECT why FROM refusals ORDER BY task_id")]
    assert reasons == [
        f"task {labelling.tasks[one]} was pushed with clip {one}, and now says {two}",
        f"task {ids[0]} is of clip 'stranger', which was not pushed to it",
        f"task {ids[1]} names no clip: it was not pushed from here",
    ]


def test_a_second_task_of_a_clip_counts_for_the_clip(
    labelling: Labelling, lead: Connection, team: list[Annotator]
) -> None:
    clip_id, task = next(iter(labelling.tasks.items()))
    data = lead.get(f"/api/tasks/{task}")["data"]
    path = f"/api/projects/{labelling.project_id}/import"
    twin = lead.post(path, [{"data": data}], return_task_ids="true")["task_ids"][0]
    team[0].say(task)
    team[1].say(twin)
    pulled = pull(labelling.space, lead)
    assert (pulled.new, pulled.refused, pulled.deleted) == (2, 0, 0)
    assert {row[0] for row in current(labelling.space)} == {clip_id}
    assert pull(labelling.space, lead).deleted == 0


def test_a_task_whose_id_was_lost_is_known_by_its_clip(
    labelling: Labelling, lead: Connection, team: list[Annotator]
) -> None:
    space, (clip_id, task) = labelling.space, next(iter(labelling.tasks.items()))
    space.db.execute("UPDATE tasks SET task_id = NULL WHERE clip_id = ?", [clip_id])
    team[0].say(task)
    assert pull(space, lead).new == 1
    query = "SELECT task_id FROM tasks WHERE clip_id = ?"
    assert space.db.execute(query, [clip_id]).fetchone() == (task,)


def test_a_project_that_was_deleted_is_said_once_and_what_was_pulled_stays(
    labelling: Labelling, lead: Connection, team: list[Annotator]
) -> None:
    space = labelling.space
    team[0].say(next(iter(labelling.tasks.values())))
    pull(space, lead)
    lead.delete(f"/api/projects/{labelling.project_id}")
    pulled = pull(space, lead)
    assert pulled.problems == (
        f"round 1: project {labelling.project_id} on {lead.url} was deleted there; "
        "what was pulled stays",
    )
    assert len(current(space)) == 1
    with pytest.raises(MimecurateError, match=r"its projects on .* were deleted there; what was"):
        pull(space, lead, rounds=["1"])


def test_a_project_without_the_rounds_mark_is_refused(
    labelling: Labelling, lead: Connection, team: list[Annotator]
) -> None:
    space, path = labelling.space, f"/api/projects/{labelling.project_id}"
    team[0].say(next(iter(labelling.tasks.values())))
    marked = lead.get(path)["description"]
    lead.patch(path, {"description": "somebody else's"})
    pulled = pull(space, lead)
    assert pulled.new == 0
    assert pulled.problems[0].endswith(
        f"is not the one that was pushed: its description lacks {marked}"
    )
    lead.patch(path, {"description": f"ours again {marked}"})
    assert (pulled := pull(space, lead)).problems == ()
    assert pulled.new == 1


def test_a_project_under_another_address_is_found_by_its_mark(
    labelling: Labelling, lead: Connection, team: list[Annotator], label_studio: LabelStudio
) -> None:
    from mimecurate.annotation.connection import connect

    space, task = labelling.space, next(iter(labelling.tasks.values()))
    made = team[0].say(task)
    pull(space, lead)
    team[0].edit(made, answer(verdict="no"))
    elsewhere = label_studio.url.replace("127.0.0.1", "localhost")
    with connect(elsewhere, label_studio.lead.api_key) as other:
        assert counts(pull(space, other)) == (0, 0, 1)
    assert space.db.execute("SELECT server FROM projects").fetchone() == (elsewhere,)


def test_rounds_are_pulled_by_name_and_unknown_ones_refused(
    labelling: Labelling, lead: Connection, team: list[Annotator], space: Workspace
) -> None:
    second = push_round(space, lead, list(labelling.tasks)[:1], round_name="2")
    team[0].say(next(iter(labelling.tasks.values())))
    team[1].say(next(iter(second.tasks.values())))
    assert pull(space, lead, rounds=["2"]).new == 1
    assert current(space, "round, annotator") == [("2", team[1].user.username)]
    assert counts(pull(space, lead)) == (1, 1, 0)
    with pytest.raises(MimecurateError, match="round '3' was never pushed; pushed: '1', '2'"):
        pull(space, lead, rounds=["1", "3"])


def test_nothing_to_pull_is_said_with_what_to_do(space: Workspace, lead: Connection) -> None:
    with pytest.raises(MimecurateError, match="nothing was pushed yet; begin with: mimecurate"):
        pull(space, lead)


def test_a_second_pull_at_the_same_time_is_refused(labelling: Labelling, lead: Connection) -> None:
    with (
        labelling.space.lock("pull", "mimecurate annotate pull"),
        pytest.raises(WorkspaceBusyError, match="annotate pull"),
    ):
        pull(labelling.space, lead)


def test_the_next_pull_asks_only_for_what_changed(
    labelling: Labelling, lead: Connection, team: list[Annotator]
) -> None:
    seen: list[int] = []
    tasks = list(labelling.tasks.values())
    for task in tasks[:3]:
        team[0].say(task)
    pull(labelling.space, lead, progress=seen.append)
    team[1].say(tasks[3])
    pull(labelling.space, lead, progress=seen.append)
    pull(labelling.space, lead, progress=seen.append)
    assert seen == [3, 1, 0]


def test_a_change_that_could_not_be_read_in_its_time_comes_later(
    labelling: Labelling, lead: Connection, team: list[Annotator], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a transaction that began before the newest change ends after the pull."""
    space, tasks = labelling.space, list(labelling.tasks.values())
    for task in tasks[:3]:
        team[0].say(task)
    pull(space, lead)
    with space.db.atomic():
        space.db.execute("UPDATE tasks SET changed_at = 'x' WHERE task_id = ?", [tasks[0]])
    seen: list[int] = []
    pull(space, lead, progress=seen.append)
    assert seen == [0], "not yet: it would have to be looked at again"
    monkeypatch.setattr("mimecurate.annotation.pull_marks.LATEST", timedelta(0))
    pull(space, lead, progress=seen.append)
    assert seen == [0, 0, 1]
    pull(space, lead, progress=seen.append)
    assert seen == [0, 0, 1, 0], "settled"


def test_marks_settle_what_is_old_enough_and_no_sooner() -> None:
    def at(seconds: float) -> datetime:
        return datetime(2026, 11, 21, 12, tzinfo=UTC) + timedelta(seconds=seconds)

    marks = Marks().after(None, at(0), at(1))
    assert marks == Marks()
    hour = timedelta(hours=1)  # the server's clock is wrong
    marks = marks.after(at(5) - hour, at(10), at(40))
    assert marks.settled_until == format_server_time(at(5 - 30 - 60) - hour)
    assert marks.marked_until == marks.pulled_until == format_server_time(at(5) - hour)
    assert marks.to_check(at(99)) is None
    later = marks.after(at(90) - hour, at(95), at(96))
    assert later.pulled_until == format_server_time(at(90) - hour)
    assert later.marked_until == marks.marked_until
    assert later.to_check(at(101)) == (marks.settled_until, marks.marked_until)
    settled = later.after(None, at(101), at(102))
    assert settled.settled_until == marks.marked_until
    assert settled.marked_until == later.pulled_until
    end = settled.after(None, at(200), at(201))
    assert end.settled_until == end.pulled_until
    assert end.to_check(at(999)) is None


def test_many_tasks_come_page_by_page(
    labelling: Labelling, lead: Connection, team: list[Annotator], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mimecurate.annotation.changed_tasks.PAGE", 2)
    seen: list[int] = []
    for task in labelling.tasks.values():
        team[0].say(task)
    assert pull(labelling.space, lead, progress=seen.append).new == 4
    assert seen == [2, 2, 0]


def run(space: Workspace, server: LabelStudio, *arguments: str) -> Result:
    environment = {"LABEL_STUDIO_URL": server.url, "LABEL_STUDIO_API_KEY": server.lead.api_key}
    command = ["annotate", "pull", "-w", str(space.root), *arguments]
    return CliRunner().invoke(cli, command, env=environment)


def test_the_command_prints_one_document_and_says_what_was_refused(
    labelling: Labelling, team: list[Annotator], label_studio: LabelStudio
) -> None:
    space, (one, two, *_) = labelling.space, labelling.tasks.values()
    team[0].say(one)
    made = team[1].say(two, answer(verdict="maybe\u202e"))
    result = run(space, label_studio, "--json")
    assert result.exit_code == 3
    document = json.loads(result.stdout)
    assert list(document)[:5] == ["new", "unchanged", "superseded", "annotators", "cancelled"]
    assert list(document.values())[:6] == [1, 0, 0, 1, 0, 1]
    clip_id = list(labelling.tasks)[1]
    assert (
        f"{clip_id}  {team[1].user.username}  refused: verdict: 'maybe\\u202e' must be one of"
        in result.stderr
    )
    assert label_studio.lead.api_key not in result.output
    team[1].edit(made, YES)
    again = run(space, label_studio)
    assert (again.exit_code, again.stdout) == (0, "")
    assert "1 new answer, 0 changed, 1 as before; 2 annotators" in again.stderr
    unknown = run(space, label_studio, "--round", "nine")
    assert unknown.exit_code == 1
    assert "round 'nine' was never pushed; pushed: '1'" in unknown.stderr


@pytest.mark.slow
def test_a_thousand_tasks_arrive_and_a_second_pull_reads_none(
    space: Workspace, lead: Connection, team: list[Annotator]
) -> None:
    clips = add_clips(space, 1000)
    labelling = push_round(space, lead, clips, answered_by=team[0].user, overlap=2)
    seen: list[int] = []
    assert pull(space, lead, progress=seen.append).new == 1000
    assert seen == [200, 200, 200, 200, 200, 0]
    for task in list(labelling.tasks.values())[::20]:
        team[1].say(task)
    pulled = pull(space, lead, progress=seen.append)
    assert (counts(pulled), seen[6:]) == ((50, 1000, 0), [50])
    dump = sorted(current(space, "clip_id, annotator, verdict, label"))
    assert len(dump) == len(set(dump)) == 1050
