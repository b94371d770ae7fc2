"""`mimecurate annotate serve`."""

from __future__ import annotations

import json
import signal
import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import click

from mimecurate.commands.options import json_option, workspace_option

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mimecurate.annotation.server import StartedServer


@click.command("serve")
@workspace_option
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8080,
    show_default=True,
    help="Where to listen on 127.0.0.1; 0 takes a free one.",
)
@json_option
def command(workspace: Path, port: int, as_json: bool) -> None:
    """Run a local Label Studio for the workspace, until Ctrl-C.

    It listens on 127.0.0.1 alone, talks to no other machine, and keeps its data in the workspace,
    under .mimecurate/label-studio. The first start makes the database and a user, the lead, whose
    password and token are in credentials.json there. The team makes accounts with the sign-up link.
    Who works on another machine comes by ssh -L 8080:127.0.0.1:8080 THIS_MACHINE.

    \b
    Example:
      mimecurate annotate serve
      mimecurate annotate serve --port 8081 --json
    """
    from mimecurate.annotation.server_process import find_program
    from mimecurate.console import say
    from mimecurate.curation.workspace import DATABASE

    find_program()  # before what the smaller extra brings is missed
    from mimecurate.annotation.server import serve

    if not (workspace / DATABASE).exists():
        say(f"making a new workspace in {workspace.resolve()}")
    with ExitStack() as stack:
        with starting() as on_wait:
            started = stack.enter_context(serve(workspace, port, on_wait=on_wait))
        try:
            signal.signal(signal.SIGTERM, signal.default_int_handler)
            _announce(started, as_json=as_json)
            started.wait()
        except KeyboardInterrupt:
            say("stopping Label Studio")
    say("Label Studio has stopped; its data is kept")


@contextmanager
def starting() -> Iterator[Callable[[float, bool], None]]:
    """Show how long a start takes; what is yielded is for `serve`."""
    from mimecurate.console import progress

    with progress("starting Label Studio", None, unit="s") as bar:
        shown_s = 0

        def on_wait(elapsed_s: float, is_first: bool) -> None:
            nonlocal shown_s
            note = "(the first start makes the database)" if is_first else ""
            bar.advance(int(elapsed_s) - shown_s, note=note)
            shown_s = int(elapsed_s)

        yield on_wait


def _announce(started: StartedServer, *, as_json: bool) -> None:
    server = started.server
    if as_json:
        click.echo(json.dumps({"url": server.url, "credentials": str(server.credentials)}))
    else:
        click.echo(
            f"""Label Studio is ready at {server.url}
  who logs in: {started.username}; the password is in {server.credentials}
  the team signs up at {started.sign_up_url}
Ctrl-C stops it."""
        )
    sys.stdout.flush()
