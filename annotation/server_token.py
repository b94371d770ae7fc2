"""Label Studio's two kinds of token, and how each is shown to the server.

A legacy token (40 hexadecimal digits) goes with every request. A personal access token is a JSON
web token that is exchanged for an access token of five minutes.
"""

from __future__ import annotations

import base64
import json
import re
import time
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from collections.abc import Generator

_REFRESH_PATH = "/api/token/refresh/"
_EARLY_S = 30
"""An access token is renewed so long before its end."""
_PRINTABLE = re.compile(r"[!-~]+")


class TokenExchangeError(Exception):
    """The server gave no access token for the personal one; ``status`` is what it answered."""

    def __init__(self, message: str, status: int) -> None:
        """Keep the HTTP ``status``."""
        super().__init__(message)
        self.status = status


def make_auth(token: str, url: str) -> httpx.Auth:
    """Return what signs each request to the server at ``url``.

    Raises:
        ValueError: the token can't be one; the message doesn't hold it.
    """
    if not token:
        raise ValueError("the token is empty")
    if not _PRINTABLE.fullmatch(token):
        raise ValueError("the token has a character that no token has; copy it again")
    claims = _claims(token)
    if claims is None:
        return _Legacy(token)
    kind, ends_s = claims.get("token_type"), claims.get("exp")
    if kind == "access":
        raise ValueError(
            "this is an access token, good for 5 minutes; give the personal access token"
        )
    if isinstance(ends_s, int | float) and ends_s <= time.time():
        raise ValueError("the personal access token has expired; make a new one in Label Studio")
    return _Personal(token, url)


class _Legacy(httpx.Auth):
    def __init__(self, token: str) -> None:
        self._header = f"Token {token}"

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = self._header
        yield request


class _Personal(httpx.Auth):
    requires_response_body = True

    def __init__(self, token: str, url: str) -> None:
        self._token, self._url = token, url + _REFRESH_PATH
        self._access, self._ends_s = "", 0.0

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if time.time() > self._ends_s - _EARLY_S:
            answer = yield httpx.Request("POST", self._url, json={"refresh": self._token})
            self._accept(answer)
        request.headers["Authorization"] = f"Bearer {self._access}"
        yield request

    def _accept(self, answer: httpx.Response) -> None:
        if answer.status_code in {400, 401, 403}:
            raise TokenExchangeError(
                "the personal access token is not accepted; make a new one in Label Studio's "
                "Account & Settings",
                401,
            )
        try:
            access = answer.json()["access"]
            claims = _claims(access)
        except (ValueError, KeyError, TypeError) as error:
            raise TokenExchangeError(
                f"no access token in exchange for the personal one ({answer.status_code})",
                answer.status_code,
            ) from error
        ends_s = (claims or {}).get("exp")
        self._access = access
        self._ends_s = float(ends_s) if isinstance(ends_s, int | float) else time.time() + 60


def _claims(token: str) -> dict[str, object] | None:
    """Read what a JSON web token says of itself; None where it is none."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return None
    return claims if isinstance(claims, dict) else None
