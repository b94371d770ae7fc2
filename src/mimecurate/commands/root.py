"""All commands, each loaded when asked for, and the one place where errors become a line."""

from __future__ import annotations

from typing import Any

import click

from mimecurate import __version__
from mimecurate.commands.lazy_group import LazyGroup
from mimecurate.console import printable
from mimecurate.errors import MimecurateError

COMMANDS = {
    "init": "Make a workspace.",
    "discover": "Find candidate videos, and see which queries pay.",
    "classes": "Shape the list of classes.",
    "fetch": "Fetch and trim the clips of a list.",
    "clips": "List, show, verify and export clips.",
    "annotate": "Label clips with Label Studio, and settle disagreements.",
    "links": "See whether the sources are still there.",
    "release": "Freeze, compare, export and re-hydrate releases.",
    "baseline": "Run and train RGB, flow and pose models on a release.",
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
            raise click.ClickException(printable(str(error))) from error
        except Exception as error:
            if (trouble := _database_trouble(error) or _not_utf8(error)) is None:
                raise
            raise click.ClickException(trouble) from error


def _database_trouble(error: Exception) -> str | None:
    """Say what stopped the database, if that was it: a full disk, another program's lock."""
    from sqlite3 import OperationalError

    if not isinstance(error, OperationalError):
        return None
    return f"mimecurate.db: {error}; what was finished is kept: mend that and run again"


def _not_utf8(error: Exception) -> str | None:
    """Say which text can't be kept, if that was it: an argument's byte that is not UTF-8."""
    if not isinstance(error, UnicodeEncodeError) or error.reason != "surrogates not allowed":
        return None
    return f"{error.object[:100]!r} is not UTF-8; give it as UTF-8"


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


def run() -> int:
    """Run the command that was asked for.

    Returns:
        The exit status; what went wrong has been said.
    """
    try:
        status = cli.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        raise KeyboardInterrupt from None
    return int(status or 0)
