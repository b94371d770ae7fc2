"""Talking to a Label Studio: who we are, pages, both kinds of token, and every way it fails."""

from __future__ import annotations

import base64
import json
import logging
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest
from label_studio import FaultProxy

from mimecurate.annotation.connection import Connection, LostAnswerError, ServerError, connect
from mimecurate.annotation.server_accounts import sign_up
from mimecurate.annotation.server_url import ServerUrlError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from label_studio import Fault, LabelStudio

    from mimecurate.curation.loopback import LoopbackServer

CONFIG = '<View><Text name="t" value="$t"/><TextArea name="note" toName="t"/></View>'
NOBODY = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def proxy(label_studio: LabelStudio) -> Iterator[FaultProxy]:
    with FaultProxy(label_studio.url) as proxy:
        yield proxy


@pytest.fixture
def through(proxy: FaultProxy, label_studio: LabelStudio) -> Iterator[Connection]:
    """A connection by way of the proxy, whose list of requests is empty."""
    with connect(proxy.url, label_studio.lead.api_key, timeout_s=20) as connection:
        proxy.seen.clear()
        yield connection


@pytest.fixture
def project(label_studio: LabelStudio) -> Iterator[int]:
    with label_studio.connect() as connection:
        made = connection.post("/api/projects", {"title": "a test", "label_config": CONFIG})
        yield made["id"]
        connection.delete(f"/api/projects/{made['id']}")


def count_tasks(label_studio: LabelStudio, project: int) -> int:
    with label_studio.connect() as connection:
        return sum(len(page) for page in connection.pages("/api/tasks", {"project": project}))


def test_who_we_are(label_studio: LabelStudio) -> None:
    with label_studio.connect() as connection:
        assert connection.whoami == "lead@localhost"
        assert connection.version.startswith("1.")
    bob, carol = label_studio.annotators(2)
    with label_studio.connect(bob) as connection:
        assert (connection.whoami, connection.user_id) == (bob.username, bob.user_id)
    assert bob.user_id != carol.user_id


def test_a_personal_token_is_exchanged_and_renewed(label_studio: LabelStudio) -> None:
    token = label_studio.personal_token(label_studio.annotators(1)[0])
    with FaultProxy(label_studio.url) as proxy, connect(proxy.url, token) as connection:
        assert connection.whoami == "annotator1@example.org"
        refreshes = [path for _, path in proxy.seen if path == "/api/token/refresh/"]
        assert len(refreshes) == 1
        connection._client.auth._ends_s = 0  # type: ignore[union-attr]
        assert connection.sdk.users.whoami().email == "annotator1@example.org"
        assert proxy.seen[-2:] == [
            ("POST", "/api/token/refresh/"),
            ("GET", "/api/current-user/whoami"),
        ]


def test_an_account_that_is_there_is_not_made_again(label_studio: LabelStudio) -> None:
    [bob] = label_studio.annotators(1)
    with pytest.raises(ServerError, match=r"annotator1@example\.org: no account was made"):
        sign_up(label_studio.sign_up_url, bob.username, "another password 1")


def test_pages_are_whole_and_none_is_empty(label_studio: LabelStudio, project: int) -> None:
    with label_studio.connect() as connection:
        list_tasks = {"project": project}
        assert list(connection.pages("/api/tasks", list_tasks)) == []
        connection.post(f"/api/projects/{project}/import", [{"t": str(i)} for i in range(5)])
        pages = list(connection.pages("/api/tasks", list_tasks, page_size=2))
        assert [len(page) for page in pages] == [2, 2, 1]
        assert {task["data"]["t"] for page in pages for task in page} == set("01234")
        assert project in {p["id"] for page in connection.pages("/api/projects") for p in page}
        with pytest.raises(ServerError, match="it answered no list"):
            next(connection.pages("/api/current-user/whoami"))


@pytest.mark.parametrize("through_sdk", [False, True])
def test_a_write_whose_answer_is_lost_was_sent_once(
    label_studio: LabelStudio,
    proxy: FaultProxy,
    through: Connection,
    project: int,
    through_sdk: bool,
) -> None:
    proxy.fail("drop", method="POST", path="/import")
    task: Any = {"t": "a"}

    def send() -> None:
        if through_sdk:
            through.sdk.projects.import_tasks(id=project, request=[task])
        else:
            through.post(f"/api/projects/{project}/import", [task])

    with pytest.raises(LostAnswerError, match="may have been done all the same") as caught:
        send()
    assert caught.value.status is None
    assert len(proxy.seen) == 1
    assert count_tasks(label_studio, project) == 1


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("refuse", "ended without an answer"),
        ("error", "500: the server failed; its log says why (on order)"),
        ("page", "a web page where JSON belongs"),
    ],
)
def test_a_write_that_may_have_been_done_says_so(
    proxy: FaultProxy, through: Connection, project: int, how: Fault, words: str
) -> None:
    proxy.fail(how, method="PATCH")
    with pytest.raises(LostAnswerError) as caught:
        through.patch(f"/api/projects/{project}", {"title": "another name"})
    assert words in str(caught.value)
    assert "all the same" in str(caught.value)
    assert [method for method, _ in proxy.seen] == ["PATCH"]


@pytest.mark.parametrize("how", ["drop", "refuse", "error"])
def test_a_read_is_tried_again(proxy: FaultProxy, through: Connection, how: Fault) -> None:
    proxy.fail(how)
    assert through.get("/api/current-user/whoami")["email"] == "lead@localhost"
    assert len(proxy.seen) == 2


@pytest.mark.parametrize(
    ("how", "status", "words"),
    [
        ("refuse", None, "the connection ended without an answer"),
        ("error", 500, "500: the server failed; its log says why"),
    ],
)
def test_a_read_is_given_up_after_a_few_tries(
    monkeypatch: pytest.MonkeyPatch,
    proxy: FaultProxy,
    through: Connection,
    how: Fault,
    status: int | None,
    words: str,
) -> None:
    monkeypatch.setattr("mimecurate.annotation.connection.READ_WAITS_S", (0.0, 0.0, 0.0))
    proxy.fail(how, times=99)
    with pytest.raises(ServerError) as caught:
        through.get("/api/current-user/whoami")
    assert words in str(caught.value)
    assert caught.value.status == status
    assert len(proxy.seen) == 4


def test_a_refusal_is_not_tried_again(proxy: FaultProxy, through: Connection) -> None:
    with pytest.raises(ServerError, match="404: no such thing there") as caught:
        through.get("/api/projects/99999999")
    assert caught.value.status == 404
    assert len(proxy.seen) == 1


@pytest.mark.parametrize("method", ["get", "post"])
def test_silence_ends_in_time(
    proxy: FaultProxy, label_studio: LabelStudio, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setattr("mimecurate.annotation.connection.READ_WAITS_S", (0.0,))
    connection = Connection(proxy.url, label_studio.lead.api_key, timeout_s=0.3)
    proxy.fail("stall", path="/api/invite", times=2)
    expected = ServerError if method == "get" else LostAnswerError
    with connection, pytest.raises(expected, match=r"no answer in 0\.3 s"):
        getattr(connection, method)("/api/invite")


def test_a_refused_write_says_what_is_wrong(label_studio: LabelStudio) -> None:
    with (
        label_studio.connect() as connection,
        pytest.raises(ServerError, match=r"400: refused .*label_config") as caught,
    ):
        connection.post("/api/projects", {"title": "a test", "label_config": "<View><Oops/></View"})
    assert not isinstance(caught.value, LostAnswerError)
    assert len(str(caught.value)) < 600


def test_the_words_of_a_server_are_one_safe_line(proxy: FaultProxy, through: Connection) -> None:
    proxy.fail("error", status=400, detail="a\x1b[2Jb\n\u202ec " + "long " * 200)
    with pytest.raises(ServerError) as caught:
        through.get("/api/invite")
    assert "400: refused (a?[2Jb ?c long long" in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


def test_a_token_exchange_that_fails_loses_no_write(
    proxy: FaultProxy, label_studio: LabelStudio
) -> None:
    token = label_studio.personal_token(label_studio.annotators(1)[0])
    with connect(proxy.url, token) as connection:
        connection._client.auth._ends_s = 0  # type: ignore[union-attr]
        proxy.seen.clear()
        proxy.fail("error", path="/api/token/refresh/", status=503)
        with pytest.raises(ServerError, match=r"no access token in exchange .*503") as caught:
            connection.post("/api/projects", {"title": "never sent"})
        assert not isinstance(caught.value, LostAnswerError)
        assert proxy.seen == [("POST", "/api/token/refresh/")]
        proxy.fail("error", path="/api/token/refresh/", status=503)
        assert connection.get("/api/invite")


def test_what_the_free_edition_lacks_is_forbidden(label_studio: LabelStudio, project: int) -> None:
    with label_studio.connect() as connection:
        connection.post(f"/api/projects/{project}/import", [{"t": "a"}])
        task = next(connection.pages("/api/tasks", {"project": project}))[0]["id"]
        with pytest.raises(ServerError, match="403: this user may not do that"):
            connection.get(f"/api/tasks/{task}/agreement/")


def jwt(**claims: object) -> str:
    part = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"{part}.{part}.bm90IGEgc2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("token", "words"),
    [
        pytest.param(NOBODY, "401: the token is not accepted", id="unknown"),
        pytest.param(jwt(token_type="refresh"), "personal access token is not accepted", id="jwt"),
        pytest.param(jwt(token_type="refresh", exp=1), "token has expired", id="expired"),
        pytest.param(jwt(token_type="access"), "good for 5 minutes", id="access"),
        pytest.param("", "the token is empty", id="empty"),
        pytest.param("abc\r\nHost: evil", "a character that no token has", id="header"),
        pytest.param("tokén", "a character that no token has", id="not-ascii"),
    ],
)
def test_a_token_that_is_not_accepted(label_studio: LabelStudio, token: str, words: str) -> None:
    with pytest.raises(ServerError, match=words) as caught:
        connect(label_studio.url, token)
    assert not token or token not in str(caught.value)


def test_legacy_tokens_may_be_switched_off(label_studio: LabelStudio) -> None:
    personal = label_studio.personal_token()
    switch = {"api_tokens_enabled": True, "legacy_api_tokens_enabled": False}
    with connect(label_studio.url, personal) as connection:
        connection.post("/api/jwt/settings", switch)
        try:
            with pytest.raises(ServerError, match="legacy token authentication has been disabled"):
                connect(label_studio.url, label_studio.lead.api_key)
        finally:
            connection.post("/api/jwt/settings", switch | {"legacy_api_tokens_enabled": True})


def test_no_token_is_logged_or_shown(
    label_studio: LabelStudio, proxy: FaultProxy, caplog: pytest.LogCaptureFixture
) -> None:
    tokens = [label_studio.lead.api_key, label_studio.personal_token()]
    said = []
    with caplog.at_level(logging.DEBUG):
        for token in tokens:
            with connect(proxy.url, token) as connection:
                proxy.fail("drop", path="/api/invite")
                connection.get("/api/invite")
                for status in (400, 404, 418):
                    proxy.fail("error", status=status, detail=f"Authorization: Token {token}")
                    with pytest.raises(ServerError, match=r"Token \[token\]") as caught:
                        connection.get("/api/invite")
                    said.append(str(caught.value))
            said.append(repr(connection))
    access = connection._client.auth._access  # type: ignore[union-attr]
    assert caplog.records
    for token in [*tokens, access]:
        assert len(token) > 20
        assert token not in caplog.text
        assert token not in "\n".join(said)


def test_a_token_of_a_letter_or_two_leaves_what_is_said_readable() -> None:
    with pytest.raises(ServerError, match=r"^http://127.0.0.1:\d+: can't be reached: .*refused$"):
        connect(f"http://127.0.0.1:{free_port()}", "e", wait_s=0)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_nobody_answers() -> None:
    with pytest.raises(ServerError, match=r"can't be reached: .*refused") as caught:
        connect(f"http://127.0.0.1:{free_port()}", NOBODY, wait_s=0)
    assert caught.value.status is None


def test_a_server_that_starts_is_waited_for(label_studio: LabelStudio, proxy: FaultProxy) -> None:
    proxy.fail("error", status=503, times=2)
    said: list[str] = []
    with connect(
        proxy.url, label_studio.lead.api_key, wait_s=30, on_wait=said.append
    ) as connection:
        assert connection.whoami == "lead@localhost"
    assert len(said) == 1
    assert "503" in said[0]
    assert "waiting up to 30 s" in said[0]


def test_a_failing_server_is_not_waited_for(label_studio: LabelStudio, proxy: FaultProxy) -> None:
    proxy.fail("error", times=99)
    with pytest.raises(ServerError, match="500: the server failed"):
        connect(proxy.url, label_studio.lead.api_key)
    assert len(proxy.seen) == 1


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("page", "a web page is answered there; is it the address of a Label Studio?"),
        ("redirect", "redirected to https://elsewhere.example.org/; give the final address"),
    ],
)
def test_something_stands_before_the_server(proxy: FaultProxy, how: Fault, words: str) -> None:
    proxy.fail(how, times=99)
    with pytest.raises(ServerError) as caught:
        connect(proxy.url, NOBODY)
    assert words in str(caught.value)


def test_another_web_server(loopback: LoopbackServer) -> None:
    with pytest.raises(ServerError, match="is it the address of a Label Studio"):
        connect(loopback.address, NOBODY)


def test_what_speaks_no_http() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            client, _ = listener.accept()
            with client:
                client.recv(1000)
                client.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        port = listener.getsockname()[1]
        with pytest.raises(ServerError, match=f"127.0.0.1:{port}"):
            connect(f"http://127.0.0.1:{port}", NOBODY, wait_s=0)
        thread.join()


def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(
    label_studio: LabelStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    with label_studio.connect() as connection:
        assert connection.whoami


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:8080",
        "ftp://example.org",
        "http://",
        "http://user:secret@example.org",
        "http://example.org:99999",
        "http://[::1",
    ],
)
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(ServerUrlError) as caught:
        connect(url, NOBODY)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
        (" https://ls.example.org/projects/ ", "https://ls.example.org"),
        ("https://example.org/label-studio/projects/3?tab=1#x", "https://example.org/label-studio"),
        ("http://[::1]:8080/user/login/?next=/", "http://[::1]:8080"),
    ],
)
def test_an_address_as_it_is_pasted(url: str, address: str) -> None:
    connection = Connection(url, NOBODY)
    connection.close()
    assert connection.url == address
