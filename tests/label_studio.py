"""A real Label Studio for tests: one a session, its users, and a proxy that fails on order."""

from __future__ import annotations

import contextlib
import json
import shutil
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Literal, Self

import httpx

from mimecurate.annotation.connection import Connection, connect
from mimecurate.annotation.server import serve
from mimecurate.annotation.server_accounts import form_token, sign_up

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

PASSWORD = "correct horse 1"
Fault = Literal["drop", "refuse", "stall", "error", "page", "redirect"]
"""Do it and lose the answer; hang up before it; do it and answer nothing; 500; a web page; 302."""


@dataclass(frozen=True, slots=True)
class User:
    """An account, and a legacy token of it."""

    username: str
    password: str
    api_key: str
    user_id: int


@dataclass(frozen=True)
class LabelStudio:
    """A running server."""

    url: str
    lead: User
    document_root: Path
    """Holds a link to the workspace's clips."""
    workspace_root: Path
    sign_up_url: str
    pid: int
    """Of the process group that holds the server."""
    _users: dict[str, User] = field(default_factory=dict)

    @property
    def media_root(self) -> Path:
        """Where to put clips: what is below is served after it was given to a project."""
        return self.workspace_root / "clips"

    def connect(self, user: User | None = None) -> Connection:
        """Connect as a user; the lead if None."""
        return connect(self.url, (user or self.lead).api_key)

    def annotators(self, count: int) -> list[User]:
        """Return so many annotators, each made once by the team's sign-up link."""
        return [self._annotator(f"annotator{i + 1}@example.org") for i in range(count)]

    def personal_token(self, user: User | None = None) -> str:
        """Make a personal access token; an earlier one of the user ends."""
        user = user or self.lead
        with log_in(self.url, user) as client:
            for old in client.get("/api/token/").json():
                client.post("/api/token/blacklist/", json={"refresh": old["token"]})
            return str(client.post("/api/token/").raise_for_status().json()["token"])

    def _annotator(self, email: str) -> User:
        if email not in self._users:
            self._users[email] = make_account(self.url, self.sign_up_url, email)
        return self._users[email]


def make_account(url: str, sign_up_url: str, email: str) -> User:
    """Make an account as somebody who got the link does."""
    token = sign_up(sign_up_url, email, PASSWORD)
    with connect(url, token) as connection:
        return User(email, PASSWORD, token, connection.user_id)


@contextlib.contextmanager
def log_in(url: str, user: User) -> Iterator[httpx.Client]:
    """Log in with a password, as a browser does; writes carry the form token."""
    with httpx.Client(base_url=url, timeout=60) as client:
        page = client.get("/user/login/")
        form = {
            "csrfmiddlewaretoken": form_token(page),
            "email": user.username,
            "password": user.password,
        }
        answer = client.post("/user/login/", data=form)
        assert answer.status_code == 302, "not logged in"
        client.headers["X-CSRFToken"] = client.cookies["csrftoken"]
        yield client


@contextlib.contextmanager
def running_label_studio(
    workspace_root: Path, template: Path | None = None
) -> Iterator[LabelStudio]:
    """Run the workspace's own server on a free port.

    Args:
        workspace_root: the workspace's folder; made when missing.
        template: a workspace whose server ran before: its database is copied, which saves the half
            minute that a first start takes.
    """
    if template is not None:
        copy_server_data(template, workspace_root)
    with serve(workspace_root, 0) as started:
        credentials = started.server.read_credentials()
        with connect(started.server.url, credentials.api_key) as connection:
            user_id = connection.user_id
        yield LabelStudio(
            started.server.url,
            User(credentials.username, credentials.password, credentials.api_key, user_id),
            started.server.document_root,
            workspace_root,
            started.sign_up_url,
            started.process.pid,
        )


def copy_server_data(template: Path, workspace_root: Path) -> None:
    """Copy what a server keeps (accounts, projects) to a workspace that has none."""
    source = template / ".mimecurate" / "label-studio"
    target = workspace_root / ".mimecurate" / "label-studio"
    target.mkdir(parents=True)
    shutil.copytree(source / "data", target / "data")
    shutil.copy2(source / "credentials.json", target / "credentials.json")


class FaultProxy:
    """Stands before a server and fails on order; what it isn't told to fail, it passes on.

    >>> with FaultProxy("http://127.0.0.1:8080") as proxy:
    ...     proxy.fail("drop", method="POST", times=2)
    ...     proxy.seen
    []
    """

    def __init__(self, target: str) -> None:
        self.target = target
        self.seen: list[tuple[str, str]] = []
        """Method and path of every request that came."""
        self._orders: list[_Order] = []
        self._lock = threading.Lock()
        self._ends = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def url(self) -> str:
        """Its own address."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def fail(
        self,
        how: Fault,
        *,
        method: str = "",
        path: str = "",
        times: int = 1,
        status: int = 500,
        detail: str = "on order",
    ) -> None:
        """Fail the next ``times`` requests of this method whose path holds ``path``.

        Args:
            how: what to do to them.
            method: GET, POST, …; empty: any.
            path: a part of the path; empty: any.
            times: how many.
            status: for ``how="error"``.
            detail: the same.
        """
        with self._lock:
            self._orders.append(_Order(how, method, path, times, status, detail))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ends.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _order_for(self, method: str, path: str) -> _Order | None:
        with self._lock:
            self.seen.append((method, path))
            for order in self._orders:
                if order.left and order.method in {"", method} and order.path in path:
                    order.left -= 1
                    return order
        return None

    def _stall(self) -> None:
        self._ends.wait()


@dataclass
class _Order:
    how: Fault
    method: str
    path: str
    left: int
    status: int
    detail: str


def _handler_of(proxy: FaultProxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        close_connection = True

        def _handle(self) -> None:
            self.close_connection = True
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            order = proxy._order_for(self.command, self.path)
            how = order.how if order else None
            if how == "refuse":
                return
            if order and how == "error":
                body = json.dumps({"detail": order.detail}).encode()
                self._answer(order.status, body, "application/json")
            elif how == "page":
                self._answer(200, b"<html>Please log in to this wifi</html>", "text/html")
            elif how == "redirect":
                self._answer(302, b"", "text/html")
            else:
                self._pass_on(body, how)

        def _pass_on(self, body: bytes, how: Fault | None) -> None:
            headers = {
                k: v
                for k, v in self.headers.items()
                if k.lower() not in {"host", "connection", "content-length", "accept-encoding"}
            }
            with httpx.Client(timeout=120) as client:
                answer = client.request(
                    self.command, proxy.target + self.path, content=body, headers=headers
                )
            if how == "drop":
                return
            if how == "stall":
                proxy._stall()
                return
            kind = answer.headers.get("content-type", "text/plain")
            self._answer(answer.status_code, answer.content, kind)

        def _answer(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Connection", "close")
            if status == 302:
                self.send_header("Location", "https://elsewhere.example.org/")
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _handle

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    return Handler
