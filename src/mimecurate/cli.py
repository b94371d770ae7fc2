"""The command line's frame: commands loaded when asked for, errors in one place, exit statuses.

Exit status: 0 done, 1 could not be done, 2 wrong usage, 3 done but some items failed, 130 Ctrl-C,
143 SIGTERM.
"""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import click

from mimecurate import __version__
from mimecurate.commands.lazy_group import LazyGroup
from mimecurate.errors import MimecurateError

if TYPE_CHECKING:
    from types import FrameType

COMMANDS = {
    "init": "Make a workspace.",
    "fetch": "Fetch and trim the clips of a list.",
    "clips": "List, show, verify and export clips.",
    "annotate": "Label clips with Label Studio, and settle disagreements.",
    "links": "See whether the sources are still there.",
    "release": "Freeze, compare, export and re-hydrate releases.",
    "evaluate": "Score predictions against a release.",
    "config": "Show every setting, its value and where it comes from.",
    "demo": "Run the whole loop on this machine, offline.",
    "completion": "Print the shell's completion script.",
}
"""Each command, in the order of the work, with its line of help: `mimecurate --help` loads none."""


class Commands(LazyGroup):
    """Every command; what goes wrong in one becomes one line."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; an error of ours becomes one line and exit status 1."""
        try:
            return super().invoke(ctx)
        except MimecurateError as error:
            import logging

            logging.getLogger("mimecurate").debug("failed", exc_info=True)
            raise click.ClickException(str(error)) from error
        except Exception as error:
            if (trouble := _database_trouble(error)) is None:
                raise
            raise click.ClickException(trouble) from error


def _database_trouble(error: Exception) -> str | None:
    """Say what stopped the database, if that was it: a full disk, another program's lock."""
    from sqlite3 import OperationalError

    if not isinstance(error, OperationalError):
        return None
    return f"mimecurate.db: {error}; what was finished is kept: mend that and run again"


@click.group(
    cls=Commands,
    package="mimecurate.commands",
    commands=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="mimecurate")
def cli() -> None:
    """Curate, annotate, version and evaluate out-of-context action videos.

    \b
    Example:
      mimecurate fetch --urls list.csv        fetch and trim the clips of a list
      mimecurate clips list --status failed   what is missing, and why
      mimecurate demo                         see it all work, offline
    """


def main() -> NoReturn:
    """Run the command line, as the `mimecurate` program does."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        status = cli.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped; what was finished is kept", err=True)
        status = 130
    sys.exit(status or 0)


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    click.echo("stopped by SIGTERM; what was finished is kept", err=True)
    raise SystemExit(128 + number)
