"""Show a report on the terminal, as wide as that is."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING, TextIO

import click

from mimecurate.console import printable, say

if TYPE_CHECKING:
    from mimecurate.evaluation.report import Report


def show_report(report: Report) -> None:
    """Print the tables on stdout."""
    from mimecurate.evaluation.table_formats import as_text

    click.echo(printable(as_text(report, _width(sys.stdout))))


def show_warnings(report: Report) -> None:
    """Say what to keep in mind, on stderr."""
    from mimecurate.evaluation.text_tables import wrap
    from mimecurate.evaluation.warning_lines import warning_lines

    for line in warning_lines(report):
        say(wrap(f"warning: {line}", _width(sys.stderr)))


def _width(stream: TextIO) -> int | None:
    """Return how wide the stream is: COLUMNS, or its terminal's width; None: without limit."""
    if not stream.isatty() and not os.environ.get("COLUMNS"):
        return None
    return shutil.get_terminal_size().columns
