"""Talk to a Label Studio: who we are, JSON in and out, and one clear line for what goes wrong.

    ServerError            the server can't be reached, refuses, or answers what it should not
    └── LostAnswerError    a write was sent and its answer lost: it may have been done

Reads are tried again a few times. Writes never are: Label Studio knows no way to send the same
write twice safely, so whoever sent it looks at what is there first.
"""

from __future__ import annotations

import logging
import time
from functools import cached_property
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mimecurate.annotation.server_url import normalize_server_url
from mimecurate.errors import MimecurateError, MissingExtraError

try:
    import httpx
except ModuleNotFoundError as error:
    raise MissingExtraError("label-studio-sdk", "annotation") from error

from mimecurate.annotation.server_token import TokenExchangeError, make_auth
from mimecurate.annotation.server_words import kind_of, network_words, refusal, time_limit_s
from mimecurate.schemas.closing import Closing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from label_studio_sdk import LabelStudio

SHORTEST_SECRET = 8
"""Characters: what is shorter is no token of a Label Studio, and stands in ordinary words."""
READ_WAITS_S = (0.3, 1.0, 2.5)
"""Waits before a read is tried again."""
POLL_S = 0.25
_NOT_YET = {502, 503, 504}
"""What a proxy answers while the server behind it starts."""
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
_log = logging.getLogger(__name__)


class ServerError(MimecurateError):
    """A Label Studio can't be reached, refuses what was asked, or is none."""

    def __init__(self, message: str, status: int | None = None) -> None:
        """Keep the HTTP ``status``, None where there was no answer."""
        super().__init__(message)
        self.status = status


class LostAnswerError(ServerError):
    """A write was sent and its answer lost; whether it was done shows only on the server."""


class Connection(Closing):
    """An open connection, as one user; close it, or use it in a ``with`` statement."""

    def __init__(self, url: str, token: str, *, timeout_s: float = 60) -> None:
        """Prepare; `connect` also checks the server and fills in who we are.

        Raises:
            ServerError: the address or the token can't be one.
        """
        self.url = normalize_server_url(url)
        self.whoami = ""
        """Our e-mail address there."""
        self.user_id = 0
        self.version = ""
        """Of Label Studio."""
        self._client = _Client(self.url, token, timeout_s)

    def get(self, path: str, /, **params: object) -> Any:
        """Read JSON from ``path``, e.g. ``/api/projects/1``.

        Raises:
            ServerError: no luck, after a few tries where that may help.
        """
        return self._json("GET", path, params=params)

    def size_of(self, path: str) -> int | None:
        """Return the length of a file that the server holds, by asking for its first byte.

        Raises:
            ServerError: as `get`; with status 403 or 404 where we may not have it.
        """
        headers = {"Range": "bytes=0-0", "Accept-Encoding": "identity"}
        response = self._client.request("GET", self.url + path, headers=headers)
        whole = response.headers.get("content-range", "").rpartition("/")[2]
        size = whole if response.status_code == 206 else response.headers.get("content-length", "")
        return int(size) if size.isdigit() else None

    def post(self, path: str, /, body: object = None, **params: object) -> Any:
        """Write once.

        Raises:
            LostAnswerError: sent, and the answer lost; look before sending again.
            ServerError: refused, or never sent.
        """
        return self._json("POST", path, body, params)

    def patch(self, path: str, body: object) -> Any:
        """Change once; raises as `post` does."""
        return self._json("PATCH", path, body)

    def delete(self, path: str) -> None:
        """Delete once; raises as `post` does."""
        self._json("DELETE", path)

    def pages(
        self, path: str, params: Mapping[str, object] | None = None, *, page_size: int = 500
    ) -> Iterator[list[dict[str, Any]]]:
        """Read a list page by page, none of them empty.

        Args:
            path: what lists: ``/api/tasks``, ``/api/projects``, …
            params: further parameters of the query.
            page_size: items in a page, at most.

        Raises:
            ServerError: as `get`; the pages before it were whole.
        """
        page, seen = 1, 0
        while True:
            answer = self.get(path, **{**(params or {}), "page": page, "page_size": page_size})
            items, total = _items(answer)
            if items is None:
                raise ServerError(f"{self.url}{path}: it answered no list")
            if items:
                yield items
            seen += len(items)
            if not items or total is None or seen >= total:
                return
            page += 1

    @cached_property
    def sdk(self) -> LabelStudio:
        """Label Studio's own client, over this connection: same token, errors and retries."""
        from label_studio_sdk import LabelStudio

        return LabelStudio(
            base_url=self.url,
            api_key="held by mimecurate",
            httpx_client=self._client,
            max_retries=0,
        )

    def close(self) -> None:
        """Close what is kept open."""
        self._client.close()

    def _json(
        self,
        method: str,
        path: str,
        body: object = None,
        params: Mapping[str, object] | None = None,
    ) -> Any:
        query: Any = {k: v for k, v in (params or {}).items() if v is not None}
        response = self._client.request(method, self.url + path, json=body, params=query)
        if not response.content:
            return None
        try:
            return response.json()
        except ValueError as error:
            message = f"{self.url}{path}: it answered {kind_of(response)} where JSON belongs"
            raise _error_of(response.request, message, response.status_code) from error


def connect(
    url: str,
    token: str,
    *,
    timeout_s: float = 60,
    wait_s: float = 10,
    on_wait: Callable[[str], None] | None = None,
    may_wait: Callable[[], bool] = lambda: True,
) -> Connection:
    """Connect to a Label Studio and see who we are there.

    Args:
        url: its address, e.g. ``http://127.0.0.1:8080``.
        token: a personal access token or a legacy one.
        timeout_s: longest silence in the middle of an answer.
        wait_s: how long to wait for a server that is starting: refuses connections, or has a proxy
            before it that says so.
        on_wait: told once, why it takes longer.
        may_wait: asked again and again while waiting; once it says no, the wait is over.

    Raises:
        ServerError: it can't be reached, is no Label Studio, or refuses the token.
        MissingExtraError: the extra ``annotation`` is not installed.
    """
    connection = Connection(url, token, timeout_s=timeout_s)
    try:
        connection.version = _wait_for_version(connection, wait_s, on_wait, may_wait)
        me = connection.get("/api/current-user/whoami")
        if not isinstance(me, dict) or not isinstance(me.get("email"), str):
            raise ServerError(f"{connection.url}: it doesn't say who we are; {_NOT_ONE}")
        connection.whoami, connection.user_id = me["email"], int(me.get("id") or 0)
    except BaseException:
        connection.close()
        raise
    _log.debug("%s: Label Studio %s", connection.url, connection.version)
    return connection


_NOT_ONE = "is it the address of a Label Studio?"


def _wait_for_version(
    connection: Connection,
    wait_s: float,
    on_wait: Callable[[str], None] | None,
    may_wait: Callable[[], bool],
) -> str:
    deadline = time.monotonic() + wait_s
    while True:
        try:
            return _version(connection)
        except ServerError as error:
            if error.status not in {None, *_NOT_YET} or time.monotonic() >= deadline:
                raise
            if on_wait is not None:
                on_wait(f"{error}; waiting up to {wait_s:g} s for it to start")
                on_wait = None
            if not may_wait():
                raise
        time.sleep(POLL_S)


def _version(connection: Connection) -> str:
    try:
        answer = connection._client.once("GET", connection.url + "/api/version/", timeout_s=10)
    except ServerError as error:
        if error.status == 404:
            raise ServerError(f"{connection.url}: 404 is answered there; {_NOT_ONE}", 404) from None
        raise
    try:
        said = answer.json()
        return str(said.get("release") or said["label-studio-os-package"]["version"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ServerError(
            f"{connection.url}: {kind_of(answer)} is answered there; {_NOT_ONE}",
            answer.status_code,
        ) from error


class _Client(httpx.Client):
    """The client that both our calls and the SDK's go through.

    What goes wrong on the way or is refused becomes a `ServerError` here, in one place, so that the
    SDK, which would send a write again by itself, never sees it.
    """

    def __init__(self, url: str, token: str, timeout_s: float) -> None:
        self._url, self._token = url, token.strip()
        try:
            auth = make_auth(self._token, url)
        except ValueError as error:
            raise ServerError(f"{url}: {error}") from error
        super().__init__(
            auth=auth,
            timeout=httpx.Timeout(timeout_s, connect=min(timeout_s, 10)),
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            headers={"Accept": "application/json", "User-Agent": "mimecurate"},
            trust_env=not _is_loopback(url),
        )

    def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """Send; a read again where that may help."""
        if request.method in {"GET", "HEAD"}:
            for tries, wait_s in enumerate(READ_WAITS_S, 1):
                try:
                    return self._send_once(request, **options)
                except ServerError as error:
                    if error.status is not None and error.status < 500 and error.status != 429:
                        raise
                    if isinstance(error.__cause__, httpx.TimeoutException) and tries == 2:
                        raise
                    _log.debug("%s; again in %s s", error, wait_s)
                time.sleep(wait_s)
        return self._send_once(request, **options)

    def once(self, method: str, url: str, *, timeout_s: float) -> httpx.Response:
        """Send a request that is not tried again."""
        return self._send_once(self.build_request(method, url, timeout=timeout_s))

    def _send_once(self, request: httpx.Request, **options: Any) -> httpx.Response:
        try:
            response = super().send(request, **options)
            if not response.is_success:
                response.read()
        except TokenExchangeError as error:  # what was to be sent has not been
            raise ServerError(self._line(request, str(error)), error.status) from error
        except httpx.TimeoutException as error:
            raise self._lost(
                request, f"no answer in {time_limit_s(request, error):g} s", error
            ) from error
        except httpx.TransportError as error:
            raise self._lost(request, network_words(error), error) from error
        if response.is_success:
            return response
        raise _error_of(request, self._line(request, refusal(response)), response.status_code)

    def _lost(self, request: httpx.Request, why: str, error: httpx.TransportError) -> ServerError:
        if isinstance(error, _NEVER_SENT):
            return ServerError(f"{self._url}: can't be reached: {self._hide(why)}")
        return _error_of(request, self._line(request, why), None)

    def _line(self, request: httpx.Request, words: str) -> str:
        return self._hide(f"{self._url}: {request.method} {request.url.path}: {words}")

    def _hide(self, text: str) -> str:
        if len(self._token) < SHORTEST_SECRET:
            return text
        return text.replace(self._token, "[token]")


def _error_of(request: httpx.Request, message: str, status: int | None) -> ServerError:
    """Make the error: a write that the server may have done has lost its answer."""
    refused = status is not None and 300 <= status < 500
    if request.method in {"GET", "HEAD"} or refused:
        return ServerError(message, status)
    return LostAnswerError(f"{message}; it may have been done all the same", status)


def _items(answer: object) -> tuple[list[dict[str, Any]] | None, int | None]:
    """Take the items and their total out of a page, in any of the server's three forms."""
    if isinstance(answer, list):
        return answer, None
    if isinstance(answer, dict):
        for items, total in (("tasks", "total"), ("results", "count")):
            if isinstance(answer.get(items), list):
                return answer[items], answer.get(total)
    return None, None


def _is_loopback(url: str) -> bool:
    return urlsplit(url).hostname in {"127.0.0.1", "localhost", "::1"}
