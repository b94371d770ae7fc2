"""The address of a Label Studio, as people paste it."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

from mimecurate.errors import MimecurateError

_OWN_PATHS = ("/projects", "/user", "/organization", "/api", "/data", "/tasks")


class ServerUrlError(MimecurateError):
    """It can't be the address of a server."""


def normalize_server_url(url: str) -> str:
    """Return the server's address without what follows it in a browser's address bar.

    Raises:
        ServerUrlError: it is none.

    >>> normalize_server_url("https://labels.example.org/projects/7/data?tab=3")
    'https://labels.example.org'
    """
    text = url.strip()
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise ServerUrlError(f"{text!r} is no address: {error}") from error
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ServerUrlError(f"{text!r} is no address; write it like http://127.0.0.1:8080")
    if parts.username is not None:
        raise ServerUrlError("an address with a user name or password in it; leave them out")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    path = parts.path.rstrip("/")
    for own in _OWN_PATHS:
        before, found, _ = f"{path}/".partition(f"{own}/")
        path = before.rstrip("/") if found else path
    return urlunsplit((parts.scheme, host if port is None else f"{host}:{port}", path, "", ""))
