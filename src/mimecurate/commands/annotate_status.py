"""`mimecurate annotate status`."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mimecurate.commands.options import json_option, workspace_option
from mimecurate.console import print_json, say

if TYPE_CHECKING:
    from mimecurate.annotation.status import RoundStatus


@click.command("status")
@click.option(
    "--round", "rounds", multiple=True, metavar="NAME", help="Only this round; may be repeated."
)
@click.option(
    "--html",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Also write a page that needs nothing else.",
)
@workspace_option
@json_option
def command(rounds: tuple[str, ...], html: Path | None, workspace: Path, as_json: bool) -> None:
    """Show how far the annotation is, by class and by annotator.

    A clip is done once as many people as wanted have answered; skipped clips and drafts are open.
    Everything is read from the workspace: pull first. The pace is over time of work: gaps of more
    than 5 minutes between two answers are breaks.

    \b
    Example:
      mimecurate annotate status
      mimecurate annotate status --round 2 --html status.html
    """
    from mimecurate.annotation.status import read_status
    from mimecurate.annotation.status_page import write_status_page
    from mimecurate.annotation.status_tables import status_document
    from mimecurate.curation.workspace import open_workspace

    with open_workspace(workspace, read_only=True) as space:
        found = read_status(space.db, rounds or None)
    if html is not None:
        write_status_page(found, html)
        say(f"wrote {html}")
    if as_json:
        print_json(status_document(found))
    else:
        _show(found)


def _show(rounds: list[RoundStatus]) -> None:
    from mimecurate.annotation.status_tables import notes, status_tables, title
    from mimecurate.console import printable
    from mimecurate.evaluation.text_tables import text_table, wrap

    width = _width()
    blocks = []
    for status in rounds:
        words = [wrap(printable(line), width) for line in (title(status), *notes(status))]
        tables = [text_table(table, width) for table in status_tables(status) if table.rows]
        blocks.append("\n\n".join(["\n".join(words), *tables]))
    click.echo("\n\n\n".join(blocks))


def _width() -> int | None:
    """Return how wide the output is: COLUMNS, or its terminal's width; None: without limit."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns):
        return int(columns)
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None
