"""Pulls that are killed, and whose server is: the next one ends where a whole one would have."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from killing import run_until_done
from label_studio import running_label_studio
from labelling import Annotator, add_clips, push_round

from mimecurate.annotation.connection import ServerError
from mimecurate.annotation.pull import pull
from mimecurate.curation.workspace import open_workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from label_studio import LabelStudio

PULL = [sys.executable, "-m", "mimecurate", "annotate", "pull"]
WAIT_S = 60


def rows(root: Path, query: str = "SELECT * FROM annotations ORDER BY annotation_id") -> list[Any]:
    with contextlib.closing(sqlite3.connect(root / "mimecurate.db", timeout=30)) as db:
        return db.execute(query).fetchall()


def wait_for(what: Callable[[], object], why: str) -> None:
    until_s = time.monotonic() + WAIT_S
    while not what():
        if time.monotonic() > until_s:
            pytest.fail(f"waited {WAIT_S} s for {why}")
        time.sleep(0.05)


def test_a_pull_that_is_killed_again_and_again_ends_as_a_whole_one_does(
    label_studio: LabelStudio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [ann] = label_studio.annotators(1)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    with label_studio.connect() as connection:
        with open_workspace(whole) as space:
            push_round(space, connection, add_clips(space, 250), answered_by=ann)
        shutil.copytree(whole, killed)
        with open_workspace(whole) as space:
            assert pull(space, connection).new == 250
    monkeypatch.setenv("LABEL_STUDIO_URL", label_studio.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", label_studio.lead.api_key)

    def holds(number: int) -> Callable[[], bool]:
        return lambda: len(rows(killed)) >= number

    command = [*PULL, "--json", "-w", str(killed)]
    runs = run_until_done(command, [holds(1), holds(201)])
    assert runs[0].struck
    assert runs[-1].returncode == 0, runs[-1].stderr
    done = json.loads(runs[-1].stdout)
    assert done["new"] + done["unchanged"] == 250
    assert rows(killed) == rows(whole)
    watermark = "SELECT pulled_until FROM projects"
    assert rows(killed, watermark) == rows(whole, watermark)
    [again] = run_until_done(command, [])
    assert json.loads(again.stdout) == done | {"new": 0, "unchanged": 250}


@contextlib.contextmanager
def watching(root: Path) -> Iterator[tuple[subprocess.Popen[str], Callable[[], str]]]:
    """Run ``annotate pull --watch`` on the workspace's own server; what it said, so far."""
    with (root / "err").open("w+") as err, (root / "out").open("w+") as out:
        command = [*PULL, "--watch", "1", "--json", "-w", str(root)]
        process = subprocess.Popen(command, stdout=out, stderr=err, text=True)
        try:
            yield process, lambda: (root / "err").read_text("utf-8")
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()


@pytest.mark.slow
def test_a_server_that_is_killed_loses_nothing_and_watching_goes_on(
    label_studio_template: Path, tmp_path: Path
) -> None:
    root = tmp_path / "ws"
    with running_label_studio(root, label_studio_template) as server:
        [user] = server.annotators(1)

        def kill(tasks: int) -> None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)

        with server.connect() as connection, open_workspace(root) as space:
            push_round(space, connection, add_clips(space, 250), answered_by=user)
            with pytest.raises(ServerError):
                pull(space, connection, progress=kill)
    assert rows(root, "SELECT count(*) FROM annotations") == [(200,)]
    assert rows(root, "SELECT pulled_until FROM projects") == [(None,)]
    with contextlib.ExitStack() as stack:
        with running_label_studio(root) as server:
            process, said = stack.enter_context(watching(root))
            wait_for(lambda: len(rows(root)) == 250, f"the rest: {said()}")
            os.killpg(server.pid, signal.SIGKILL)
            wait_for(lambda: "trying again every 1 s" in said(), "word of the server's end")
        with running_label_studio(root) as server, Annotator(server, user) as ann:
            ann.say(rows(root, "SELECT task_id FROM tasks")[0][0])
            wait_for(lambda: len(rows(root)) == 251, f"the new answer: {said()}")
            wait_for(lambda: "the server answers again" in said(), "word of its return")
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
    assert f"{user.username}  yes archery" in said()
    assert "stopped watching" in said()
    done = json.loads((root / "out").read_text("utf-8"))
    assert (done["new"], done["unchanged"], done["annotators"]) == (51, 200, 1)
