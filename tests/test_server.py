"""The workspace's own Label Studio: started, found, kept to itself, and never left behind."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from label_studio import copy_server_data, log_in

from mimecurate.annotation import server_watcher
from mimecurate.annotation.connection import ServerError, connect
from mimecurate.annotation.server import running_server, serve
from mimecurate.annotation.server_process import HOST, check_port, find_program, make_environment
from mimecurate.errors import MimecurateError, MissingExtraError, WorkspaceBusyError, WorkspaceError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from label_studio import LabelStudio

SERVE = [sys.executable, "-m", "mimecurate", "annotate", "serve", "--json", "--port", "0", "-w"]
RECORD_CONNECTIONS = """
import os, sys
def hook(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        with open(os.environ["PYTHONPATH"] + "/said", "a") as said:
            print(event, repr(arguments[1 if event != "socket.getaddrinfo" else 0]), file=said)
sys.addaudithook(hook)
"""


class Serving:
    """A running `mimecurate annotate serve`."""

    def __init__(self, workspace: Path, **environment: str) -> None:
        self.workspace = workspace
        self._errors = workspace / "stderr.txt"
        with self._errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [*SERVE, str(workspace)],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=os.environ | environment,
            )
        assert self.process.stdout is not None
        self.line = self.process.stdout.readline()
        assert self.line, self.stderr
        self.url = json.loads(self.line)["url"]
        self.credentials = json.loads(Path(json.loads(self.line)["credentials"]).read_text())

    @property
    def stderr(self) -> str:
        return self._errors.read_text()

    def descendants(self) -> list[int]:
        return descendants(self.process.pid)


def descendants(pid: int) -> list[int]:
    found = []
    with contextlib.suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            found += [int(child), *descendants(int(child))]
    return found


def are_gone(pids: list[int], within_s: float = 15) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if not any(is_running(pid) for pid in pids):
            return True
        time.sleep(0.05)
    return False


def is_running(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    return False


@pytest.fixture
def workspace(tmp_path: Path, label_studio_template: Path) -> Path:
    """A workspace whose server has run before."""
    copy_server_data(label_studio_template, tmp_path / "w")
    return tmp_path / "w"


@pytest.fixture
def serving(workspace: Path, tmp_path: Path) -> Iterator[Serving]:
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    (hooks / "sitecustomize.py").write_text(RECORD_CONNECTIONS)
    serving = Serving(workspace, PYTHONPATH=str(hooks), HTTP_PROXY="http://proxy.invalid:1")
    yield serving
    serving.process.kill()
    serving.process.communicate()


def test_it_serves_until_it_is_told_to_stop(serving: Serving, tmp_path: Path) -> None:
    """One start, many questions: a start takes seconds."""
    state_dir = serving.workspace / ".mimecurate"
    folder = state_dir / "label-studio"
    passwords = [serving.credentials["password"], serving.credentials["api_key"]]
    assert json.loads(serving.line).keys() == {"url", "credentials"}
    assert serving.credentials.keys() == {"username", "password", "api_key"}
    assert (folder / "credentials.json").stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700

    with connect(serving.url, serving.credentials["api_key"]) as connection:
        assert connection.whoami == serving.credentials["username"]
        connection.post("/api/projects", {"title": "kept"})
        with pytest.raises(ServerError):
            connection.get("/api/nothing")
        sign_up_path = connection.get("/api/invite")["invite_url"]
    assert httpx.get(serving.url + sign_up_path).status_code == 200
    port = int(serving.url.rpartition(":")[2])
    assert listening_addresses(port) == {"0100007F"}  # 127.0.0.1 as the kernel writes it
    assert "proxy.invalid" not in (tmp_path / "hooks" / "said").read_text()
    assert outward(tmp_path / "hooks" / "said") == []

    with pytest.raises(WorkspaceBusyError, match=f"{serving.url}; .*kill {serving.process.pid}"):
        serve(serving.workspace).__enter__()
    running = running_server(state_dir)
    assert running is not None
    assert (running.url, running.pid) == (serving.url, serving.process.pid)

    pids = serving.descendants()
    assert len(pids) == 2
    shown = [Path(f"/proc/{pid}/cmdline").read_text() for pid in [serving.process.pid, *pids]]
    files = [f for f in serving.workspace.rglob("*") if f.is_file() and not f.is_symlink()]
    told = [f for f in files if f.name not in {"credentials.json", "label_studio.sqlite3"}]
    assert folder / "server.log" in told
    for secret in [*passwords, sign_up_path.rpartition("=")[2]]:
        assert not any(secret in line for line in shown)
        assert [f for f in told if secret.encode() in f.read_bytes()] == []

    serving.process.send_signal(signal.SIGTERM)
    assert serving.process.wait(20) == 0
    assert "Label Studio has stopped; its data is kept" in serving.stderr
    assert "Traceback" not in serving.stderr
    assert are_gone(pids)
    assert running_server(state_dir) is None
    assert check_port(port) == port


def listening_addresses(port: int) -> set[str]:
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state = line.split()[:4]
            address, _, number = local.rpartition(":")
            if state == "0A" and int(number, 16) == port:
                found.add(address)
    return found


def outward(said: Path) -> list[str]:
    """Return what was looked up or connected to on any other machine."""
    lines = said.read_text().splitlines()
    assert lines, "the hook recorded nothing: it is not in the server"
    near = ("'127.0.0.1'", "'localhost'", "'::1'", "None", "'0.0.0.0'", "''")
    return [line for line in lines if not line.partition(" ")[2].lstrip("(").startswith(near)]


def test_nothing_is_left_behind_or_lost_by_kill_9(workspace: Path) -> None:
    first = Serving(workspace)
    with connect(first.url, first.credentials["api_key"]) as connection:
        kept = connection.post("/api/projects", {"title": "kept"})["id"]
    pids = first.descendants()
    assert len(pids) == 2
    first.process.kill()
    first.process.communicate()
    assert are_gone(pids)

    second = Serving(workspace)
    with connect(second.url, second.credentials["api_key"]) as connection:
        assert connection.get(f"/api/projects/{kept}")["title"] == "kept"
        connection.patch(f"/api/projects/{kept}", {"title": "kept still"})
    label_studio = second.descendants()[-1]
    os.kill(label_studio, signal.SIGKILL)
    assert second.process.wait(20) == 1
    second.process.communicate()
    assert "Error: Label Studio ended by itself, with status 137; its log is " in second.stderr
    assert "Traceback" not in second.stderr

    forget_the_token(workspace)
    with serve(workspace, 0) as started:
        credentials = started.server.read_credentials()
        assert credentials.username == started.username != second.credentials["username"]
        with connect(started.server.url, credentials.api_key) as connection:
            assert connection.whoami == credentials.username
            assert connection.get(f"/api/projects/{kept}")["title"] == "kept still"


def forget_the_token(workspace: Path) -> None:
    """Leave credentials that the database doesn't know: a new user is made for them."""
    file = workspace / ".mimecurate" / "label-studio" / "credentials.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"api_key": "0" * 40}))


def test_what_is_not_label_studio_is_said_with_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "label-studio"
    program.write_text("#!/bin/sh\necho one; echo; echo no such option; exit 3\n")
    program.chmod(0o755)
    monkeypatch.setattr("mimecurate.annotation.server.find_program", lambda: program)
    expected = r"doesn't start; its log is .*server\.log, which ends: one / no such option"
    with pytest.raises(ServerError, match=expected):
        serve(tmp_path / "w", 0).__enter__()
    assert running_server(tmp_path / "w" / ".mimecurate") is None


def test_clips_are_served_and_nothing_else(label_studio: LabelStudio) -> None:
    folder = label_studio.media_root / "ab"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "a b.mp4").write_bytes(b"0123456789")
    credentials = label_studio.workspace_root / ".mimecurate" / "label-studio" / "credentials.json"
    (bob,) = label_studio.annotators(1)
    with label_studio.connect(bob) as connection, log_in(label_studio.url, bob) as browser:
        project = connection.post("/api/projects", {"title": "clips"})["id"]

        def give(path: Path) -> None:
            storage = {"project": project, "path": str(path), "use_blob_urls": True}
            connection.post("/api/storages/localfiles", storage)

        give(label_studio.document_root / "clips")
        url = "/data/local-files/?d=clips/ab/a%20b.mp4"
        assert connection.size_of(url) == 10
        answer = browser.get(url, headers={"Range": "bytes=2-4"})
        assert (answer.status_code, answer.content) == (206, b"234")
        assert httpx.get(label_studio.url + url).status_code == 401
        for forbidden in (label_studio.workspace_root, label_studio.document_root):
            with pytest.raises(ServerError, match="400: refused"):
                give(forbidden)
        for path in ("../credentials.json", "clips/../../credentials.json", str(credentials)):
            assert browser.get(f"/data/local-files/?d={path}").status_code in {404, 500}
        connection.delete(f"/api/projects/{project}")


def test_nobody_signs_up_without_the_link(label_studio: LabelStudio) -> None:
    (bob,) = label_studio.annotators(1)
    assert bob.username == "annotator1@example.org"
    with httpx.Client(base_url=label_studio.url) as stranger:
        page = stranger.get("/user/signup/")
        form = {"email": "eve@example.org", "password": "long enough 1"}
        token = {"csrfmiddlewaretoken": stranger.cookies.get("csrftoken", "")}
        assert page.status_code in {200, 403}
        assert stranger.post("/user/signup/", data=form | token).status_code == 403
        evil = stranger.get("/health", headers={"Host": "evil.example.org"})
        assert evil.status_code == 400


def test_a_taken_port_is_named() -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(MimecurateError, match=f"--port {port}: another program uses") as caught:
            check_port(port)
    other = int(str(caught.value).rpartition(" ")[2])
    assert check_port(other) == other != port


def test_a_port_that_is_bound_but_not_listening_is_taken() -> None:
    with socket.socket() as bound:
        bound.bind((HOST, 0))
        with pytest.raises(MimecurateError, match="choose another"):
            check_port(bound.getsockname()[1])


def test_a_free_port_is_found() -> None:
    port = check_port(0)
    assert check_port(port) == port


def test_it_may_not_be_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingExtraError, match=r"pip install 'mimecurate\[server\]'"):
        find_program()
    with pytest.raises(MissingExtraError):
        serve(tmp_path / "w", 0).__enter__()
    assert not (tmp_path / "w").exists()
    program = tmp_path / "label-studio"
    program.touch(mode=0o755)
    assert find_program() == program


def test_the_environment_is_not_handed_on(tmp_path: Path) -> None:
    mine = {"PORT": "1", "DEBUG": "1", "https_proxy": "x", "SENTRY_DSN": "y", "LC_ALL": "C"}
    made = make_environment(tmp_path, tmp_path / "files", mine | {"LABEL_STUDIO_HOST": "z"})
    assert made["LC_ALL"] == "C"
    assert made["SENTRY_DSN"] == ""
    assert not {"PORT", "DEBUG", "https_proxy", "LABEL_STUDIO_HOST"} & made.keys()


@pytest.mark.parametrize("record", ["", "{}", '{"url": 1', '{"url": "x", "pid": "y"}', "[]"])
def test_a_damaged_record_is_no_server(tmp_path: Path, record: str) -> None:
    assert running_server(tmp_path) is None
    (tmp_path / "label-studio").mkdir()
    (tmp_path / "label-studio" / "server.json").write_text(record)
    assert running_server(tmp_path) is None


def test_the_record_of_a_dead_process_is_no_server(tmp_path: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    (tmp_path / "label-studio").mkdir()
    file = tmp_path / "label-studio" / "server.json"
    record = {"url": "http://127.0.0.1:1", "folder": str(file.parent)}
    file.write_text(json.dumps(record | {"pid": ended.pid}))
    assert running_server(tmp_path) is None
    file.write_text(json.dumps(record | {"pid": os.getpid()}))
    assert running_server(tmp_path) is not None
    shutil.copytree(tmp_path, tmp_path / "copy")
    assert running_server(tmp_path / "copy") is None


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / ".mimecurate").mkdir()
    (tmp_path / ".mimecurate" / "label-studio").write_text("in the way")
    with pytest.raises(WorkspaceError, match=r"label-studio: can't be written: File exists"):
        serve(tmp_path, 0).__enter__()


@pytest.mark.parametrize("text", ["", "[]", '{"username": "lead"}', "\udcff"])
def test_damaged_credentials_are_said(tmp_path: Path, text: str) -> None:
    folder = tmp_path / ".mimecurate" / "label-studio"
    folder.mkdir(parents=True)
    (folder / "credentials.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(WorkspaceError, match="remove it, and a new user is made"):
        serve(tmp_path, 0).__enter__()


def watched(*command: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-I", "-S", server_watcher.__file__, *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def test_the_watcher_ends_with_its_program() -> None:
    with watched("sh", "-c", "exit 7") as watcher:
        assert watcher.wait(10) == 7
    with watched("sh", "-c", "kill -9 $$") as watcher:
        assert watcher.wait(10) == 137


def test_the_watcher_passes_on_what_is_no_request() -> None:
    words = [
        "=> Static URL is set to: /static/",
        '[2026] [django.server::log_message::213] [INFO] "GET /user/signup/?token=s3cret" 200 1',
        "[2026] [django.request::log_response::253] [WARNING] Not Found: /api/nothing",
        "the end",
    ]
    with watched("printf", r"%s\n%s\n%s\n%s", *words) as watcher:
        assert watcher.stdout is not None
        out = watcher.stdout.read()
        assert watcher.wait(10) == 0
    assert out.decode().splitlines() == [words[0], words[2], words[3]]


def test_the_watcher_ends_its_program_with_whoever_started_it() -> None:
    with watched("sh", "-c", "echo $$; exec sleep 100") as watcher:
        assert watcher.stdout is not None
        assert watcher.stdin is not None
        program = int(watcher.stdout.readline())
        watcher.send_signal(signal.SIGINT)  # as Ctrl-C sends to all of a terminal's processes
        assert is_running(program)
        watcher.stdin.close()
        assert watcher.wait(10) == 143
        assert not is_running(program)


def test_the_watcher_kills_what_does_not_heed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_watcher, "GRACE_S", 0.2)
    read, write = os.pipe()
    program = subprocess.Popen(
        ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done"],
        stdout=subprocess.PIPE,
    )
    assert program.stdout is not None
    program.stdout.readline()
    os.close(write)
    server_watcher._end_with(program, read)
    os.close(read)
    assert program.wait(5) == -signal.SIGKILL
    program.stdout.close()


@pytest.mark.slow
def test_a_first_start_that_was_killed_is_taken_up_again(tmp_path: Path) -> None:
    database = tmp_path / ".mimecurate" / "label-studio" / "data" / "label_studio.sqlite3"
    for least_bytes in (1, 300_000, 900_000):
        process = subprocess.Popen(
            [*SERVE, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        while not (database.exists() and database.stat().st_size >= least_bytes):
            assert process.poll() is None
            time.sleep(0.02)
        pids = [process.pid, *descendants(process.pid)]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        process.communicate()
        assert are_gone(pids)
    with serve(tmp_path, 0) as started:
        credentials = started.server.read_credentials()
        assert credentials.username == "lead@localhost"
        with connect(started.server.url, credentials.api_key) as connection:
            assert connection.post("/api/projects", {"title": "works"})["id"] == 1
