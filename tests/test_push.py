"""`mimecurate annotate push` with a real Label Studio."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from itertools import count
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from click.testing import CliRunner
from killing import run_and_strike
from label_studio import FaultProxy, running_label_studio
from round_workspace import CLASSES, clip_name, decide, make_workspace

from mimecurate.annotation.connection import ServerError, connect
from mimecurate.annotation.push import PushOptions, plan_push, push
from mimecurate.annotation.round_clips import Wanted
from mimecurate.annotation.rounds import find_projects
from mimecurate.commands.root import cli
from mimecurate.curation.samples import VideoSpec
from mimecurate.errors import MimecurateError, WorkspaceBusyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from label_studio import LabelStudio
    from testbed import SampleMaker

    from mimecurate.annotation.connection import Connection
    from mimecurate.annotation.push import Pushed
    from mimecurate.curation.workspace import Workspace

_numbers = count()


@pytest.fixture
def media(sample: SampleMaker) -> Path:
    """A clip of a second that plays."""
    return sample(VideoSpec(seconds=1, fps=25)).path


@pytest.fixture
def make(
    label_studio: LabelStudio, media: Path
) -> Iterator[Callable[..., tuple[Workspace, PushOptions]]]:
    """Makes workspaces whose clips the server can show, and the options that say so."""
    opened = []

    def make(clips: int, **options: Any) -> tuple[Workspace, PushOptions]:
        name = f"push{next(_numbers)}"
        workspace = make_workspace(label_studio.media_root / name, media, clips)
        opened.append(workspace)
        seen = label_studio.document_root / "clips" / name / "clips"
        return workspace, PushOptions(**({"clips_dir": seen} | options))

    yield make
    for workspace in opened:
        workspace.close()


@pytest.fixture
def server(label_studio: LabelStudio) -> Iterator[Connection]:
    with label_studio.connect() as connection:
        yield connection


def send(workspace: Workspace, server: Connection, options: PushOptions) -> Pushed:
    return push(workspace, server, plan_push(workspace.db, options))


def tasks_of(server: Connection, project_id: int) -> list[dict[str, Any]]:
    query = {"project": project_id, "fields": "all", "resolve_uri": "false"}
    return [t for page in server.pages("/api/tasks", query, page_size=500) for t in page]


def clips_of(server: Connection, project_id: int) -> Counter[str]:
    return Counter(task["data"]["clip_id"] for task in tasks_of(server, project_id))


def test_push_and_push_again(make: Any, server: Connection, label_studio: LabelStudio) -> None:
    workspace, options = make(7)
    done = send(workspace, server, options)
    assert (done.created, done.existing, done.updated, done.refused) == (7, 0, 0, ())
    assert done.project_url == f"{server.url}/projects/{done.project_id}/data?labeling=1"
    tasks = tasks_of(server, done.project_id)
    assert {t["data"]["clip_id"] for t in tasks} == {clip_name(i) for i in range(7)}
    rows = dict(workspace.db.execute("SELECT clip_id, task_id FROM tasks"))
    assert rows == {t["data"]["clip_id"]: t["id"] for t in tasks}
    assert [t["data"]["clip_id"] for t in tasks] != sorted(rows)  # shuffled
    for task in tasks:
        assert task["data"]["fps"] == 25
        assert (
            server.size_of(task["data"]["video"])
            == workspace.db.execute(
                "SELECT bytes FROM media WHERE clip_id = ?", [task["data"]["clip_id"]]
            ).fetchone()[0]
        )
    again = send(workspace, server, options)
    assert (again.created, again.existing, again.updated) == (0, 7, 0)
    assert again.project_id == done.project_id
    assert len(server.get("/api/storages/localfiles", project=done.project_id)) == 1


def test_settings_of_the_project(make: Any, server: Connection) -> None:
    workspace, options = make(1, round="pilot", overlap=3)
    done = send(workspace, server, options)
    project = server.get(f"/api/projects/{done.project_id}")
    mark = workspace.db.execute("SELECT mark FROM rounds").fetchone()[0]
    assert project["title"] == f"round pilot [{mark[:6]}]"
    assert mark in project["description"]
    assert project["maximum_annotations"] == 3
    assert not project["enable_empty_annotation"]
    send(workspace, server, PushOptions(round="pilot", overlap=2, clips_dir=options.clips_dir))
    assert server.get(f"/api/projects/{done.project_id}")["maximum_annotations"] == 2


def test_new_clips_and_changes_are_sent(
    make: Any, server: Connection, media: Path, label_studio: LabelStudio
) -> None:
    workspace, options = make(3)
    first = send(workspace, server, options)
    make_workspace(workspace.root, media, 2, first=3).close()
    with workspace.db.atomic():
        workspace.db.execute("UPDATE classes SET definition = 'draws a bow' WHERE name = 'archery'")
    done = send(workspace, server, options)
    changed = sum(i % len(CLASSES) == 0 for i in range(3))
    assert (done.created, done.existing, done.updated) == (2, 3, changed)
    shown = {t["data"]["clip_id"]: t["data"] for t in tasks_of(server, first.project_id)}
    assert shown[clip_name(0)]["definition"] == "draws a bow"
    assert shown[clip_name(1)]["definition"] == ""


def test_decided_clips_are_left_out_until_they_were_asked(make: Any, server: Connection) -> None:
    workspace, options = make(5)
    decide(workspace, [0, 1])
    done = send(workspace, server, options)
    assert clips_of(server, done.project_id).keys() == {clip_name(i) for i in (2, 3, 4)}
    decide(workspace, [2])
    assert send(workspace, server, options).existing == 3


def test_a_project_per_annotator(make: Any, server: Connection, label_studio: LabelStudio) -> None:
    ann, bo = (user.username for user in label_studio.annotators(2))
    workspace, options = make(6, annotators=(ann, bo, "nobody@example.org"))
    done = send(workspace, server, options)
    assert done.created == 18
    assert len({project.project_id for project, _ in done.projects}) == 3
    assert [project.annotator for project, _ in done.projects] == [*options.annotators]
    assert any("nobody@example.org has no account" in line for line in done.warnings)
    assert not any(ann in line for line in done.warnings)
    orders = [
        [t["data"]["clip_id"] for t in tasks_of(server, project.project_id)]
        for project, _ in done.projects
    ]
    assert sorted(orders[0]) == sorted(orders[1])
    assert orders[0] != orders[1]
    again = send(workspace, server, PushOptions(clips_dir=options.clips_dir))
    assert (again.created, again.existing) == (0, 18)
    with pytest.raises(MimecurateError, match="a project per annotator; --overlap"):
        plan_push(workspace.db, PushOptions(overlap=2))


def test_gold_clips_can_not_be_told_from_others(make: Any, server: Connection) -> None:
    workspace, options = make(30)
    decide(workspace, range(10))
    decide(workspace, [9], "unsure")
    options = PushOptions(wanted=Wanted(gold=4), clips_dir=options.clips_dir)
    done = send(workspace, server, options)
    gold = dict(
        workspace.db.execute(
            "SELECT clip_id, gold_decision FROM tasks WHERE gold_decision IS NOT NULL"
        )
    )
    assert len(gold) == 4
    assert gold.keys() < {clip_name(i) for i in range(9)}
    for clip_id, decision in gold.items():
        row = workspace.db.execute(
            "SELECT clip_id FROM decisions WHERE decision_id = ?", [decision]
        ).fetchone()
        assert row[0] == clip_id
    tasks = tasks_of(server, done.project_id)
    assert len(tasks) == 24
    places = [n for n, t in enumerate(tasks) if t["data"]["clip_id"] in gold]
    assert places != list(range(4))
    assert places != list(range(20, 24))
    hidden = {"id", "data", "inner_id", "updated_at", "created_at"}
    as_seen = {
        json.dumps({k: v for k, v in task.items() if k not in hidden} | {"keys": [*task["data"]]})
        for task in tasks
    }
    assert len(as_seen) == 1, "something tells gold clips from the others"
    decide(workspace, [20, 21, 22])  # more to choose from changes nothing
    again = send(workspace, server, options)
    assert (again.created, again.existing) == (0, 24)


def test_refuses_what_does_not_play(make: Any, server: Connection, sample: SampleMaker) -> None:
    workspace, options = make(4)
    hevc = sample(VideoSpec(seconds=1, fps=25, codec="hevc")).path
    broken = workspace.root / "clips" / "vv" / f"{clip_name(1)}.mp4"
    broken.unlink()
    broken.write_bytes(hevc.read_bytes())
    (workspace.root / "clips" / "vv" / f"{clip_name(2)}.mp4").unlink()
    done = send(workspace, server, options)
    assert done.created == 2
    assert {r.clip_id for r in done.refused} == {clip_name(1), clip_name(2)}
    assert clips_of(server, done.project_id).keys() == {clip_name(0), clip_name(3)}


def write_predictions(path: Path, rows: object) -> Path:
    path.write_text(json.dumps(rows))
    return path


def test_prefills_the_first_class(make: Any, server: Connection, tmp_path: Path) -> None:
    scores = {
        clip_name(0): {"archery": 0.7, "bowling": 0.2, "clapping": 0.1},
        clip_name(1): {"archery": 0.2, "bowling": 0.2, "clapping": 0.1},
        clip_name(2): {"archery": 0.2, "bowling": 0.1, "clapping": 0.7},
        "unknown_000000_000001": {"archery": 1, "bowling": 0, "clapping": 0},
    }
    file = write_predictions(tmp_path / "slowfast.json", scores)
    workspace, options = make(4, predictions=file)
    done = send(workspace, server, options)
    tasks = {t["data"]["clip_id"]: t for t in tasks_of(server, done.project_id)}
    (prediction,) = tasks[clip_name(0)]["predictions"]
    assert prediction["model_version"] == "slowfast.json"
    assert prediction["score"] == pytest.approx(0.7)
    (choice,) = prediction["result"]
    assert (choice["from_name"], choice["value"]) == ("label", {"choices": ["archery"]})
    assert all(not tasks[clip_name(i)]["predictions"] for i in (1, 2, 3))
    rows = dict(workspace.db.execute("SELECT clip_id, predicted_label FROM tasks"))
    assert rows == {clip_name(0): "archery"} | {clip_name(i): None for i in (1, 2, 3)}
    project = server.get(f"/api/projects/{done.project_id}")
    assert project["model_version"] == "slowfast.json"
    assert project["show_collab_predictions"]
    (stored,) = workspace.db.execute("SELECT predictions FROM rounds").fetchone()
    assert stored.startswith("slowfast.json ")


def test_lost_answers_double_nothing(make: Any, label_studio: LabelStudio) -> None:
    workspace, options = make(12)
    with (
        FaultProxy(label_studio.url) as proxy,
        connect(proxy.url, label_studio.lead.api_key) as server,
    ):
        proxy.fail("drop", method="POST", path="/api/projects", times=1)
        proxy.fail("drop", method="POST", path="/import", times=2)
        proxy.fail("refuse", method="POST", path="/import", times=1)
        proxy.fail("error", method="POST", path="/import", times=1)
        done = send(workspace, server, options)
        assert done.created == 12
        assert set(clips_of(server, done.project_id).values()) == {1}
        mark = workspace.db.execute("SELECT mark FROM rounds").fetchone()[0]
        projects = [p for page in server.pages("/api/projects") for p in page]
        assert sum(mark in (p["description"] or "") for p in projects) == 1


def test_two_runs_in_one_workspace_are_one(make: Any, server: Connection) -> None:
    workspace, options = make(3)
    with (
        workspace.lock("annotate-push", "mimecurate annotate push"),
        pytest.raises(WorkspaceBusyError, match="annotate push"),
    ):
        send(workspace, server, options)
    assert send(workspace, server, options).created == 3


@pytest.mark.slow
def test_copies_of_a_workspace_at_once_double_nothing(
    make: Any, label_studio: LabelStudio, server: Connection
) -> None:
    workspace, options = make(60)
    plan = plan_push(workspace.db, PushOptions(wanted=Wanted(limit=1), clips_dir=options.clips_dir))
    project_id = push(workspace, server, plan).project_id
    copies = []
    for number in range(2):
        root = workspace.root.with_name(f"{workspace.root.name}-copy{number}")
        root.mkdir()
        (root / "clips").symlink_to(workspace.root / "clips")
        workspace.db.execute(f"VACUUM INTO '{root / 'mimecurate.db'}'")
        copies.append(root)
    failures: list[BaseException] = []

    def run(root: Path) -> None:
        from mimecurate.curation.workspace import open_workspace

        try:
            with open_workspace(root) as copy, label_studio.connect() as connection:
                send(copy, connection, options)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(root,)) for root in copies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not failures
    send(workspace, server, options)
    assert clips_of(server, project_id) == Counter(clip_name(i) for i in range(60))


def test_deleted_project_is_made_anew(make: Any, server: Connection) -> None:
    workspace, options = make(2)
    first = send(workspace, server, options)
    server.delete(f"/api/projects/{first.project_id}")
    second = send(workspace, server, options)
    assert second.created == 2
    (project,) = find_projects(workspace.db, "1")
    assert project.project_id == second.project_id
    gone = workspace.db.execute("SELECT count(*) FROM projects WHERE gone_at IS NOT NULL")
    assert gone.fetchone()[0] == 1


def test_project_without_the_mark_is_not_touched(make: Any, server: Connection) -> None:
    workspace, options = make(2)
    done = send(workspace, server, options)
    server.patch(f"/api/projects/{done.project_id}", {"description": "ours"})
    with pytest.raises(MimecurateError, match="lacks the mark of round '1'"):
        send(workspace, server, options)


def test_screen_follows_the_classes_while_that_is_safe(
    make: Any, server: Connection, label_studio: LabelStudio
) -> None:
    workspace, options = make(2)
    done = send(workspace, server, options)
    workspace.db.table("classes").insert({"name": "writing"})
    send(workspace, server, options)
    config = server.get(f"/api/projects/{done.project_id}")["label_config"]
    assert 'value="writing"' in config
    task = tasks_of(server, done.project_id)[0]
    answer = {
        "result": [
            {
                "from_name": "verdict",
                "to_name": "video",
                "type": "choices",
                "value": {"choices": ["yes"]},
            }
        ]
    }
    server.post(f"/api/tasks/{task['id']}/annotations", answer)
    workspace.db.execute("DELETE FROM classes WHERE name = 'writing'")
    with pytest.raises(MimecurateError, match="'writing'"):
        send(workspace, server, options)


def test_web_server_must_allow_label_studio(make: Any, server: Connection, loopback: Any) -> None:
    workspace, options = make(1, media_url=f"{loopback.url('')}".rstrip("/"))
    with pytest.raises(MimecurateError, match="404"):
        send(workspace, server, options)
    (loopback.root / "vv").mkdir()
    name = f"{clip_name(0)}.mp4"
    os.link(workspace.root / "clips" / "vv" / name, loopback.root / "vv" / name)
    with pytest.raises(MimecurateError, match="Access-Control-Allow-Origin"):
        send(workspace, server, options)


@pytest.mark.parametrize(
    ("media_url", "words"),
    [
        ("ftp://example.org/clips", "must begin with"),
        ("https://user:secret@example.org/clips", "every annotator sees it"),
        ("https://example.org/clips?token=1", "every annotator sees it"),
    ],
)
def test_bad_media_urls(make: Any, server: Connection, media_url: str, words: str) -> None:
    workspace, options = make(1, media_url=media_url)
    with pytest.raises(MimecurateError, match=words):
        send(workspace, server, options)


def test_folder_that_the_server_may_not_show(make: Any, server: Connection, tmp_path: Path) -> None:
    workspace, _ = make(1)
    with pytest.raises(MimecurateError, match="DOCUMENT_ROOT"):
        send(workspace, server, PushOptions(clips_dir=tmp_path))


def run_cli(*arguments: str | Path) -> Any:
    return CliRunner().invoke(cli, ["annotate", "push", *map(str, arguments)])


def test_command(make: Any, label_studio: LabelStudio, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace, options = make(3)
    monkeypatch.setenv("LABEL_STUDIO_URL", label_studio.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", label_studio.lead.api_key)
    common = ("-w", workspace.root, "--clips-dir", options.clips_dir)
    planned = run_cli(*common, "--dry-run", "--json")
    assert planned.exit_code == 0, planned.output
    plan = json.loads(planned.stdout)
    assert (plan["clips"], plan["created"], plan["existing"], plan["updated"]) == (3, 3, 0, None)
    assert not workspace.db.table("rounds").count
    (workspace.root / "clips" / "vv" / f"{clip_name(2)}.mp4").unlink()
    done = run_cli(*common, "--json")
    assert done.exit_code == 3, done.output
    document = json.loads(done.stdout)
    assert list(document) == list(plan)
    assert list(document)[:5] == ["project_id", "project_url", "created", "existing", "updated"]
    assert (document["created"], document["existing"], document["updated"]) == (2, 0, 0)
    assert [r["clip_id"] for r in document["refused"]] == [clip_name(2)]
    assert label_studio.lead.api_key not in done.output
    again = run_cli(*common)
    assert again.exit_code == 3
    assert "round 1 (1 answer to each clip): 0 tasks sent, 2 there before, 0 " in again.stderr
    assert document["project_url"] in again.stdout
    dry = run_cli(*common, "--dry-run", "--overlap", "2")
    assert (
        "round 1 (2 answers to each clip): 0 tasks would be sent, 2 there already, 1 refused"
        in dry.stderr
    )
    assert dry.stdout == again.stdout


def push_process(
    workspace: Workspace, options: PushOptions, label_studio: LabelStudio
) -> tuple[list[str | Path], dict[str, str]]:
    command: list[str | Path] = [sys.executable, "-m", "mimecurate", "annotate", "push"]
    command += ["-w", workspace.root, "--clips-dir", options.clips_dir or "", "--json"]
    secret = {
        "LABEL_STUDIO_URL": label_studio.url,
        "LABEL_STUDIO_API_KEY": label_studio.lead.api_key,
    }
    return command, secret


def test_killed_client_leaves_nothing_double(
    make: Any, label_studio: LabelStudio, server: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, options = make(100)
    command, secret = push_process(workspace, options, label_studio)
    for name, value in secret.items():
        monkeypatch.setenv(name, value)

    def is_sending() -> bool:
        row = workspace.db.execute("SELECT count(*) FROM tasks WHERE task_id IS NULL").fetchone()
        return bool(row[0])

    killed = run_and_strike(command, is_sending)
    assert killed.struck
    done = run_and_strike(command)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["created"] + document["existing"] == 100
    expected = Counter(clip_name(i) for i in range(100))
    assert clips_of(server, document["project_id"]) == expected
    unconfirmed = workspace.db.execute("SELECT count(*) FROM tasks WHERE task_id IS NULL")
    assert unconfirmed.fetchone()[0] == 0


@pytest.mark.slow
def test_thousand_tasks_with_kills_of_client_and_server(
    label_studio_template: Path, tmp_path: Path, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "workspace"
    expected = Counter(clip_name(i) for i in range(1000))
    with make_workspace(root, media, 1000) as workspace:
        command: list[str | Path] = [
            sys.executable,
            "-m",
            "mimecurate",
            "annotate",
            "push",
            "-w",
            root,
            "--json",
        ]
        with running_label_studio(root, label_studio_template):
            for delay_s in (0.9, 1.2, 1.5, 1.8, 2.2, 2.6):
                run_and_strike(command, delay_s)

        def is_sending() -> bool:
            row = workspace.db.execute("SELECT max(task_id IS NULL) FROM tasks").fetchone()
            return bool(row[0])

        with workspace.db.atomic():  # a new round, whose sending the server does not survive
            workspace.db.execute("UPDATE rounds SET mark = 'another'")
            workspace.db.execute("UPDATE projects SET gone_at = '2026-01-01T00:00:00Z'")
            workspace.db.execute("DELETE FROM tasks")
        with pytest.raises((ServerError, httpx.HTTPError, MimecurateError)):  # noqa: SIM117, PT012
            with running_label_studio(root) as server:
                process = subprocess.Popen(
                    [str(part) for part in command],
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                )
                while process.poll() is None and not is_sending():
                    time.sleep(0.005)
                os.killpg(server.pid, signal.SIGKILL)
                _, words = process.communicate(timeout=60)
                assert process.returncode == 1, words
                assert b"Traceback" not in words
                raise ServerError("killed")
        with running_label_studio(root) as server, server.connect() as connection:
            done = run_and_strike(command)
            assert done.returncode == 0, done.stderr
            assert clips_of(connection, json.loads(done.stdout)["project_id"]) == expected
