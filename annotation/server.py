"""The workspace's own Label Studio: on this machine alone, with its data in the workspace.

.mimecurate/label-studio/
    credentials.json    who may log in: {"username", "password", "api_key"}, mode 0600
    data/               its database, settings and secret key: what a backup needs, beside the above
    files/              its document root: links to the folders whose files it may show, the clips
    server.json         address and process while it runs
    server.log          its words since the last start

The document root is not the workspace itself: every user of Label Studio's free edition may open
any folder below the document root to himself, and the workspace holds this server's token.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mimecurate.annotation.connection import ServerError, connect
from mimecurate.annotation.server_credentials import (
    FIRST_USER,
    Credentials,
    another_user,
    make_credentials,
    read_credentials,
)
from mimecurate.annotation.server_process import (
    HOST,
    ServerProcess,
    check_port,
    find_program,
    first_user,
    is_listening,
    make_environment,
)
from mimecurate.curation.workspace import open_workspace
from mimecurate.errors import WorkspaceBusyError, WorkspaceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mimecurate.curation.workspace import Workspace

DEFAULT_PORT = 8080
START_LIMIT_S = 600
_POLL_S = 0.1
_ANSWER_S = 30
"""From listening to answering, on a busy machine."""


@dataclass(frozen=True, slots=True)
class LocalServer:
    """A Label Studio of this workspace, running or starting."""

    url: str
    credentials: Path
    """A JSON file, mode 0600: ``{"username", "password", "api_key"}``."""
    document_root: Path
    """Holds a link for each folder whose files the server may show."""
    pid: int
    """Of the `mimecurate annotate serve` that holds it."""

    @property
    def clips_path(self) -> Path:
        """The clips as the server sees them: the path of a local files storage.

        A clip's URL is ``/data/local-files/?d=`` and its path from the document root.
        """
        return self.document_root / "clips"

    def read_credentials(self) -> Credentials:
        """Read who may log in.

        Raises:
            WorkspaceError: the file is gone or damaged.
        """
        credentials = read_credentials(self.credentials)
        if credentials is None:
            raise WorkspaceError(
                f"{self.credentials}: gone; start `mimecurate annotate serve` anew"
            )
        return credentials


@dataclass(frozen=True, slots=True)
class StartedServer:
    """A server that this process holds."""

    server: LocalServer
    username: str
    sign_up_url: str
    """Where the team makes accounts; nobody can without it."""
    process: ServerProcess

    def wait(self) -> None:
        """Wait until the server ends, which it should not by itself.

        Raises:
            ServerError: it has ended; the message has the end of its log.
        """
        status = self.process.wait()
        raise ServerError(
            _ended(self.process, f"Label Studio ended by itself, with status {status}")
        )


def server_folder(state_dir: Path) -> Path:
    """Return where the workspace's Label Studio keeps everything."""
    return state_dir / "label-studio"


def running_server(state_dir: Path) -> LocalServer | None:
    """Find the server that `serve` runs in this workspace, also while it is still starting.

    Only the process is looked at; that what answers there is ours shows when it accepts the token.

    Args:
        state_dir: the workspace's ``.mimecurate``.
    """
    folder = server_folder(state_dir).resolve()
    try:
        record = json.loads((folder / "server.json").read_text("utf-8"))
        url, pid = str(record["url"]), int(record["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if record.get("folder") != str(folder) or not is_alive(pid):
        return None  # a copy of a workspace has its own server
    return LocalServer(url, folder / "credentials.json", folder / "files", pid)


@contextmanager
def serve(
    workspace_root: Path,
    port: int = DEFAULT_PORT,
    *,
    on_wait: Callable[[float, bool], None] | None = None,
) -> Iterator[StartedServer]:
    """Run Label Studio on 127.0.0.1 for as long as the ``with`` block lasts.

    The first start makes its database and the lead's account, which takes a good while. It ends
    with this process, however that ends.

    Args:
        workspace_root: the workspace's folder.
        port: where to listen; 0 chooses a free one.
        on_wait: told while it starts: the seconds so far, and whether it is the first start.

    Raises:
        WorkspaceBusyError: the workspace has a running server; the message says where.
        WorkspaceError: its folder can't be written.
        MissingExtraError: Label Studio is not installed.
        MimecurateError: the port is taken.
        ServerError: it doesn't start; the message has the end of its log.
    """
    program = find_program()
    with open_workspace(workspace_root) as space:
        state_dir = space.state_dir.resolve()
    folder = server_folder(state_dir)
    with _only_one(space, state_dir):
        server = LocalServer(
            f"http://{HOST}:{check_port(port)}",
            folder / "credentials.json",
            folder / "files",
            os.getpid(),
        )
        record = folder / "server.json"
        told = {"url": server.url, "pid": server.pid, "folder": str(folder)}
        with _writing_to(folder):
            _make(folder)
            record.write_text(json.dumps(told), "utf-8")
        try:
            with _started(program, server, on_wait) as started:
                yield started
        finally:
            record.unlink(missing_ok=True)


@contextmanager
def _only_one(space: Workspace, state_dir: Path) -> Iterator[None]:
    with ExitStack() as stack:
        try:
            stack.enter_context(space.lock("annotate-serve", "annotate serve"))
        except WorkspaceBusyError as error:
            running = running_server(state_dir)
            if running is None:
                raise
            raise WorkspaceBusyError(
                f"{space.root}: its Label Studio already runs at {running.url}; use that, or stop "
                f"it with: kill {running.pid}"
            ) from error
        yield


@contextmanager
def _writing_to(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WorkspaceError(f"{folder}: can't be written: {error.strerror or error}") from error


def _make(folder: Path) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)
    for name in ("data", "files", "home"):
        (folder / name).mkdir(exist_ok=True)
    clips = folder / "files" / "clips"
    if not clips.is_symlink():
        clips.symlink_to("../../../clips", target_is_directory=True)


@contextmanager
def _started(
    program: Path, server: LocalServer, on_wait: Callable[[float, bool], None] | None
) -> Iterator[StartedServer]:
    """Start Label Studio; where its database doesn't know our token, once more with a new user."""
    folder = server.credentials.parent
    ready_once = folder / "data" / "ready"
    with _writing_to(folder):
        credentials, is_new = _who_leads(server.credentials, is_first=not ready_once.exists())
    for last in (False, True):
        environment = make_environment(folder, server.document_root, os.environ)
        if is_new:
            environment |= first_user(credentials)
        port = urlsplit(server.url).port or 0
        with _writing_to(folder):
            process = ServerProcess(program, port, environment, folder / "server.log")
        try:
            _await_listening(server, process, not ready_once.exists(), on_wait)
            try:
                with connect(server.url, credentials.api_key, wait_s=_ANSWER_S) as connection:
                    invitation = connection.get("/api/invite")
            except ServerError as error:
                if last or error.status != 401:
                    raise
                credentials = make_credentials(server.credentials, username=another_user())
                is_new = True
                continue
            ready_once.touch()
            sign_up_url = server.url + str(invitation["invite_url"])
            yield StartedServer(server, credentials.username, sign_up_url, process)
            return
        finally:
            process.stop()


def _who_leads(path: Path, *, is_first: bool) -> tuple[Credentials, bool]:
    """Return the lead's credentials, and whether Label Studio has yet to make that user."""
    known = read_credentials(path)
    if known is not None:
        return known, is_first
    username = FIRST_USER if is_first else another_user()
    return make_credentials(path, username=username), True


def _await_listening(
    server: LocalServer,
    process: ServerProcess,
    is_first: bool,
    on_wait: Callable[[float, bool], None] | None,
) -> None:
    began = time.monotonic()
    while not is_listening(server.url):
        elapsed_s = time.monotonic() - began
        if process.has_ended:
            raise ServerError(_ended(process, "Label Studio doesn't start"))
        if elapsed_s > START_LIMIT_S:
            raise ServerError(_ended(process, f"Label Studio isn't ready after {elapsed_s:.0f} s"))
        if on_wait is not None:
            on_wait(elapsed_s, is_first)
        time.sleep(_POLL_S)


def _ended(process: ServerProcess, what: str) -> str:
    words = process.last_words()
    return f"{what}; its log is {process.log}" + (f", which ends: {words}" if words else "")


def is_alive(pid: int) -> bool:
    """Whether there is a process of this number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
