"""Which Label Studio a command talks to, and that its token is not on show."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from label_studio import FaultProxy
from labelling import add_clips, push_round

from mimecurate.annotation.connection import ServerError
from mimecurate.commands.server_options import open_connection
from mimecurate.curation.workspace import open_workspace
from mimecurate.errors import MimecurateError, WorkspaceError

if TYPE_CHECKING:
    from pathlib import Path

    from label_studio import LabelStudio

COMMAND = """
import sys
import click
from mimecurate.commands.server_options import server_options

@click.command()
@server_options
@click.option("--round")
def command(url, token, round):
    print(url, token, round, open("/proc/self/cmdline").read().split("\\0")[1:-1], sep="|")

command()
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    (tmp_path / "command.py").write_text(COMMAND)
    return tmp_path / "command.py"


@pytest.mark.parametrize(
    "token", [["--token", "s3cret"], ["--token=s3cret"], ["--token", "old", "--token", "s3cret"]]
)
def test_a_token_in_the_arguments_is_moved_where_nobody_sees_it(
    script: Path, token: list[str]
) -> None:
    arguments = [str(script), "--url", "http://x", *token, "--round", "2 b"]
    done = subprocess.run(
        [sys.executable, "-W", "error", *arguments], capture_output=True, text=True, check=True
    )
    url, given, round_, shown = done.stdout.strip().split("|")
    assert (url, given, round_) == ("http://x", "s3cret", "2 b")
    assert shown == str(["-W", "error", str(script), "--url", "http://x", "--round", "2 b"])


def test_both_may_come_from_the_environment(script: Path) -> None:
    environment = os.environ | {"LABEL_STUDIO_URL": "http://y", "LABEL_STUDIO_API_KEY": "k"}
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.startswith("http://y|k|None|")


def test_a_token_without_its_value_is_wrong_usage(script: Path) -> None:
    done = subprocess.run([sys.executable, str(script), "--token"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "'--token' requires an argument" in done.stderr


def test_an_address_needs_its_token(tmp_path: Path) -> None:
    with pytest.raises(MimecurateError, match=r"no token; .*LABEL_STUDIO_API_KEY"):
        open_connection(tmp_path, "http://127.0.0.1:1", None)


def test_a_token_needs_its_address(tmp_path: Path) -> None:
    with pytest.raises(MimecurateError, match="add --url") as caught:
        open_connection(tmp_path, None, "s3cret")
    assert "s3cret" not in str(caught.value)


def test_no_server_runs_here(tmp_path: Path) -> None:
    with pytest.raises(MimecurateError, match="start one with `mimecurate annotate serve`"):
        open_connection(tmp_path, None, None)


def test_another_server_by_address_and_token(label_studio: LabelStudio, tmp_path: Path) -> None:
    (bob,) = label_studio.annotators(1)
    with open_connection(tmp_path, label_studio.url, bob.api_key) as connection:
        assert connection.whoami == bob.username


def test_the_own_server_is_found(label_studio: LabelStudio) -> None:
    for url in (None, label_studio.url, f"{label_studio.url}/projects/3/"):
        with open_connection(label_studio.workspace_root, url, None) as connection:
            assert connection.whoami == label_studio.lead.username


def pretend_to_serve(workspace: Path, url: str, username: str, api_key: str) -> None:
    folder = workspace / ".mimecurate" / "label-studio"
    folder.mkdir(parents=True)
    record = {"url": url, "pid": os.getpid(), "folder": str(folder)}
    (folder / "server.json").write_text(json.dumps(record))
    credentials = {"username": username, "password": "p", "api_key": api_key}
    (folder / "credentials.json").write_text(json.dumps(credentials))


def test_the_own_server_may_be_starting(
    label_studio: LabelStudio, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lead = label_studio.lead
    with FaultProxy(label_studio.url) as proxy:
        pretend_to_serve(tmp_path, proxy.url, lead.username, lead.api_key)
        proxy.fail("refuse", times=3)
        with open_connection(tmp_path, None, None) as connection:
            assert connection.whoami == lead.username
    assert capsys.readouterr().err.startswith("waiting for Label Studio to start: ")


def test_a_server_that_ends_while_it_starts_is_not_waited_for(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as starting:
        pretend_to_serve(tmp_path, "http://127.0.0.1:9", "lead", "k" * 40)
        record = tmp_path / ".mimecurate" / "label-studio" / "server.json"
        record.write_text(json.dumps(json.loads(record.read_text()) | {"pid": starting.pid}))
        threading.Timer(1, starting.communicate).start()
        with pytest.raises(ServerError, match=f"ended .process {starting.pid}.; start it again"):
            open_connection(tmp_path, None, None)


def test_another_server_in_its_place_is_noticed(label_studio: LabelStudio, tmp_path: Path) -> None:
    pretend_to_serve(tmp_path, label_studio.url, "somebody@else", label_studio.lead.api_key)
    with pytest.raises(ServerError, match="another Label Studio than the workspace's own"):
        open_connection(tmp_path, None, None)


def test_the_own_credentials_may_be_gone(label_studio: LabelStudio, tmp_path: Path) -> None:
    pretend_to_serve(tmp_path, label_studio.url, "", "")
    (tmp_path / ".mimecurate" / "label-studio" / "credentials.json").unlink()
    with pytest.raises(WorkspaceError, match="start `mimecurate annotate serve` anew"):
        open_connection(tmp_path, None, None)


@pytest.mark.parametrize(("command", "extra"), [("serve", "server"), ("pull", "annotation")])
def test_what_is_not_installed_is_named(tmp_path: Path, command: str, extra: str) -> None:
    program = f"""
import sys
from mimecurate.annotation import server_process
sys.modules["httpx"] = None
server_process.sys.executable = "/nowhere/python"
sys.argv = ["mimecurate", "annotate", "{command}", "-w", {str(tmp_path)!r}]
from mimecurate.cli import main
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env=os.environ | {"PATH": str(tmp_path)},
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith(f"pip install 'mimecurate[{extra}]'")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("kind", ["legacy", "personal"])
def test_a_token_stays_out_of_the_workspace_and_of_what_is_said(
    label_studio: LabelStudio, tmp_path: Path, kind: str
) -> None:
    """Push and pull with it, and be refused with it; then look everywhere."""
    (bob,) = label_studio.annotators(1)
    token = bob.api_key if kind == "legacy" else label_studio.personal_token(bob)
    root = tmp_path / "w"
    with open_workspace(root) as space, label_studio.connect(bob) as connection:
        (clip_id,) = add_clips(space, 1)
        labelling = push_round(space, connection, [clip_id], answered_by=bob)

    def run(command: str) -> str:
        arguments = ["annotate", command, "-v", "-w", str(root), "--url", label_studio.url]
        done = subprocess.run(
            [sys.executable, "-m", "mimecurate", *arguments, "--token", token],
            capture_output=True,
            text=True,
        )
        assert "Traceback (most recent call last)" not in done.stdout
        return f"{done.returncode} {done.stdout} {done.stderr}"

    said = [run("pull"), run("push")]
    assert "1 new" in said[0]
    with label_studio.connect() as connection:
        connection.delete(f"/api/projects/{labelling.project_id}")
    said.append(run("pull"))
    written = [file.read_bytes() for file in root.rglob("*") if file.is_file()]
    assert (root / "mimecurate.db").stat().st_size
    assert not any(token in text for text in said)
    assert not any(token.encode() in content for content in written)
