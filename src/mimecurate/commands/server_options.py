"""Options that say which Label Studio: the workspace's own, or any other."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, TypeVar

import click

from mimecurate.errors import MimecurateError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from mimecurate.annotation.connection import Connection
    from mimecurate.annotation.server import LocalServer

Command = TypeVar("Command", bound="Callable[..., object]")

URL_VARIABLE, TOKEN_VARIABLE = "LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY"
_LOCAL_START_S = 660
"""How long to wait at most for the workspace's own server, whose process is there: a little longer
than `serve` itself waits for it."""


def server_options(command: Command) -> Command:
    """Add ``--url`` and ``--token``, which `open_connection` takes."""
    command = click.option(
        "--token",
        envvar=TOKEN_VARIABLE,
        metavar="TOKEN",
        is_eager=True,
        callback=_hide_token,
        help=f"Its access token, of either kind; better in {TOKEN_VARIABLE}.",
    )(command)
    return click.option(
        "--url",
        envvar=URL_VARIABLE,
        metavar="URL",
        help=f"Another Label Studio than the workspace's own; also {URL_VARIABLE}.",
    )(command)


def open_connection(workspace_root: Path, url: str | None, token: str | None) -> Connection:
    """Connect to the server that the options name, or to the one `annotate serve` runs.

    Raises:
        MimecurateError: which server or token is meant is not clear, or none runs.
        ServerError: it can't be reached, or refuses the token.
    """
    from mimecurate.annotation.connection import connect
    from mimecurate.console import say

    if url and token:
        return connect(url, token, on_wait=say)
    if token:
        raise MimecurateError(
            f"a token ({TOKEN_VARIABLE} or --token) without the address of its server; add --url, "
            "or leave both out for the workspace's own server"
        )
    return _connect_to_own(workspace_root, url)


def _connect_to_own(workspace_root: Path, url: str | None) -> Connection:
    from mimecurate.annotation.connection import ServerError
    from mimecurate.annotation.server import running_server
    from mimecurate.annotation.server_url import normalize_server_url

    server = running_server(workspace_root / ".mimecurate")
    if url and (server is None or server.url != normalize_server_url(url)):
        raise MimecurateError(f"{url}: no token; give its access token in {TOKEN_VARIABLE}")
    if server is None:
        raise MimecurateError(
            f"{workspace_root}: no Label Studio runs here; start one with `mimecurate annotate "
            f"serve`, or name another with --url and {TOKEN_VARIABLE}"
        )
    credentials = server.read_credentials()
    connection = _once_started(server, credentials.api_key)
    if connection.whoami != credentials.username:
        connection.close()
        raise ServerError(f"{server.url}: another Label Studio than the workspace's own")
    return connection


def _once_started(server: LocalServer, token: str) -> Connection:
    """Connect to a server of ours, for which we wait as long as its process is there."""
    import time

    from mimecurate.annotation.connection import ServerError, connect
    from mimecurate.annotation.server import is_alive
    from mimecurate.console import late_progress

    began, told_s = time.monotonic(), 0
    with late_progress("waiting for Label Studio to start", None, unit="s") as advance:

        def may_wait() -> bool:
            nonlocal told_s
            elapsed_s = int(time.monotonic() - began)
            advance(elapsed_s - told_s)
            told_s = elapsed_s
            return is_alive(server.pid)

        try:
            return connect(server.url, token, wait_s=_LOCAL_START_S, may_wait=may_wait)
        except ServerError as error:
            if error.status is None and not is_alive(server.pid):
                raise ServerError(
                    f"{server.url}: the `annotate serve` that was starting has ended (process "
                    f"{server.pid}); start it again, and see what it says"
                ) from error
            raise


def _hide_token(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Start anew with the token in the environment where it stands in this process's arguments.

    Everyone on the machine may read those, for as long as the process runs.
    """
    if value is None or ctx.resilient_parsing:
        return value
    without = without_token(sys.orig_argv)
    if value and len(without) < len(sys.orig_argv):
        sys.stdout.flush()
        sys.stderr.flush()
        os.execve(
            sys.executable, [sys.executable, *without[1:]], os.environ | {TOKEN_VARIABLE: value}
        )
    return value


def without_token(arguments: Sequence[str]) -> list[str]:
    """Return the arguments without ``--token`` and what belongs to it.

    >>> without_token(["mimecurate", "annotate", "push", "--token", "abc", "--token=d", "-w", "."])
    ['mimecurate', 'annotate', 'push', '-w', '.']
    """
    kept: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        if argument == "--token":
            next(rest, None)
        elif not argument.startswith("--token="):
            kept.append(argument)
    return kept
