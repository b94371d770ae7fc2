"""What people see: progress on stderr, tables and JSON on stdout, a log file for support."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import time
from typing import TYPE_CHECKING, Literal, Protocol

import click

from mimecurate.errors import counted as counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

PLAIN_INTERVAL_S = 5.0
_ID_COLUMNS = {"clip_id", "video_id"}
_KEPT_WHOLE = {"clip_id", "first", "second", "setting", "class", "language"}
"""Columns whose cells are copied: the last to be broken over lines."""
_LEAST_TEXT = 16
"""Characters in a line of a text that is broken over lines, where it has words so long."""
_GAP = 2
"""Blanks between columns."""
_LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s [%(threadName)s] %(message)s"


class Progress(Protocol):
    """How far a long job is."""

    def advance(self, done: int = 1, *, note: str | None = None) -> None:
        """Count ``done`` more items; ``note`` replaces the words at the line's end."""
        ...

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        ...


def say(line: str) -> None:
    """Print words for people: on stderr, so that stdout holds data alone."""
    click.echo(printable(line), err=True)


def print_json(document: object) -> None:
    """Print one JSON document on stdout."""
    click.echo(json.dumps(document, indent=2, allow_nan=False))


def printable(text: str) -> str:
    r"""Make text from strangers safe for a terminal: control and direction marks are escaped.

    >>> print(printable("a\x1b[31mb\u202ec"))
    a\x1b[31mb\u202ec
    """
    return "".join(
        c if c == "\n" or c.isprintable() else c.encode("unicode_escape").decode("ascii")
        for c in text
    )


def pairs_text(values: Mapping[str, object]) -> str:
    """Write names and values in a line; what is None is left out.

    >>> pairs_text({"model": "tiny", "seed": None, "lr": 0.10, "versions": {"av": "18"}})
    'model tiny, lr 0.1, versions (av 18)'
    """
    return ", ".join(
        f"{name} {_value_text(value)}" for name, value in values.items() if value is not None
    )


def _value_text(value: object) -> str:
    if isinstance(value, dict):
        return f"({pairs_text(value)})"
    if isinstance(value, (tuple, list)):
        return f"({', '.join(map(_value_text, value))})"
    return f"{value:g}" if isinstance(value, float) else str(value)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table on stdout, as wide as the terminal; numbers to the right.

    Texts are folded where that is too narrow; figures never are, nor cut.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    kept = [[_cell(value) for value in row] for row in rows]
    console = Console()
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = max(console.width, 200)
    widths = _widths(columns, kept, console.width)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for index, (column, width) in enumerate(zip(columns, widths, strict=True)):
        numeric = bool(kept) and all(_is_number(row[index]) for row in kept)
        justify: Literal["left", "right"] = "right" if numeric else "left"
        table.add_column(column, justify=justify, overflow="fold", min_width=width, max_width=width)
    for row in kept:
        table.add_row(*(Text(cell) for cell in row))
    console.width = max(console.width, sum(widths) + _GAP * len(widths))
    console.print(table)


def _widths(columns: Sequence[str], rows: Sequence[Sequence[str]], available: int) -> list[int]:
    """Choose the columns' widths in characters; more than ``available`` where it can't be helped.

    First heads are folded between words, then the widest texts, and texts that people copy last.
    """
    from rich.cells import cell_len

    cells = [[row[index] for row in rows] for index in range(len(columns))]
    content = [max(map(cell_len, column), default=0) for column in cells]
    words = [max(map(cell_len, head.split()), default=0) for head in columns]
    least = [max(pair) for pair in zip(content, words, strict=True)]
    widths = [max(cell_len(head), most) for head, most in zip(columns, content, strict=True)]

    def excess() -> int:
        return sum(widths) + _GAP * (len(widths) - 1) - available

    for index in sorted(range(len(widths)), key=lambda i: least[i] - widths[i]):
        widths[index] = max(least[index], widths[index] - max(0, excess()))
    texts = [i for i, column in enumerate(cells) if not all(map(_is_figure, column))]
    for last in (False, True):
        folding = [i for i in texts if (columns[i] in _KEPT_WHOLE) == last]
        floor = {i: max(words[i], min(_longest_word(cells[i]), _LEAST_TEXT)) for i in folding}
        while excess() > 0 and (wide := [i for i in folding if widths[i] > floor[i]]):
            widths[max(wide, key=widths.__getitem__)] -= 1
    return widths


def _longest_word(texts: Iterable[str]) -> int:
    from rich.cells import cell_len

    return max((cell_len(word) for text in texts for word in text.split()), default=0)


def print_csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print CSV on stdout; a cell that a spreadsheet would run as a formula gets a ``'`` first.

    Ids stay as they are, so that they can be matched: letters, digits, ``_``, ``-`` and ``.``.
    """
    import csv

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    plain = [column in _ID_COLUMNS for column in columns]
    writer.writerows(
        [value if is_id else csv_cell(value) for value, is_id in zip(row, plain, strict=True)]
        for row in rows
    )


def csv_cell(value: object) -> object:
    """Return a value as it may stand in a CSV cell.

    >>> csv_cell("=HYPERLINK(1)"), csv_cell(-1), csv_cell(None)
    ("'=HYPERLINK(1)", -1, '')
    """
    if value is None:
        return ""
    if isinstance(value, str) and value[:1] in {"=", "+", "-", "@", "\t", "\r"}:
        return "'" + value
    return value


@contextlib.contextmanager
def progress(what: str, total: int | None, *, unit: str = "clips") -> Iterator[Progress]:
    """Show how far a job is: a bar on a terminal, a line every few seconds elsewhere.

    Args:
        what: what is being done.
        total: how many items there are, None if nobody knows.
        unit: what the items are.
    """
    if sys.stderr.isatty():
        with _bar(what, total, unit) as bar:
            yield bar
    else:
        plain = _PlainProgress(what, total, unit)
        yield plain
        plain.finish()


@contextlib.contextmanager
def late_progress(what: str, total: int | None, *, unit: str) -> Iterator[Callable[[int], None]]:
    """Show how far a job is that may not come about: nothing before it advances.

    Args:
        what: what is being done.
        total: how many items there are, None if nobody knows.
        unit: what the items are.
    """
    shown: list[Progress] = []
    with contextlib.ExitStack() as stack:

        def advance(done: int) -> None:
            if not shown:
                shown.append(stack.enter_context(progress(what, total, unit=unit)))
            shown[0].advance(done)

        yield advance


class _PlainProgress:
    def __init__(self, what: str, total: int | None, unit: str) -> None:
        self._what, self._total, self._unit = what, total, unit
        self._done, self._note = 0, ""
        self._last_s = time.monotonic()
        self._said = -1

    def advance(self, done: int = 1, *, note: str | None = None) -> None:
        self._done += done
        self._note = note if note is not None else self._note
        if time.monotonic() - self._last_s >= PLAIN_INTERVAL_S:
            self._print()

    def say(self, line: str) -> None:
        say(line)

    def finish(self) -> None:
        if self._said != self._done:
            self._print()

    def _print(self) -> None:
        self._last_s, self._said = time.monotonic(), self._done
        of = "" if self._total is None else f"/{self._total}"
        say(f"{self._what}: {self._done}{of} {self._unit} {self._note}".rstrip())


@contextlib.contextmanager
def _bar(what: str, total: int | None, unit: str) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        SpinnerColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as RichProgress

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[note]}", markup=False),
    )
    console = Console(stderr=True)
    with RichProgress(*columns, console=console, transient=True) as rich_progress:
        task = rich_progress.add_task(what, total=total, note="")

        class Bar:
            def advance(self, done: int = 1, *, note: str | None = None) -> None:
                rich_progress.advance(task, done)
                if note is not None:
                    rich_progress.update(task, note=printable(note))

            def say(self, line: str) -> None:
                console.print(printable(line), markup=False, highlight=False)

        yield Bar()


def log_to_stderr() -> None:
    """Show what is logged, in full."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger("mimecurate")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)


def log_to_file(state_dir: Path) -> Path:
    """Write the log that support asks for; at most two files of 2 MiB are kept."""
    from logging.handlers import RotatingFileHandler

    path = state_dir / "mimecurate.log"
    handler = RotatingFileHandler(
        path, maxBytes=2 << 20, backupCount=1, encoding="utf-8", delay=True
    )
    handler.setFormatter(logging.Formatter(_LOG_FORMAT))
    logger = logging.getLogger("mimecurate")
    for old in [h for h in logger.handlers if isinstance(h, RotatingFileHandler)]:
        logger.removeHandler(old)
        old.close()
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    return path


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    return printable(str(value)).replace("\n", " ")


def _is_number(cell: str) -> bool:
    return cell == "" or cell.replace(".", "", 1).replace("-", "", 1).isdigit()


def _is_figure(cell: str) -> bool:
    """Whether it is made of numbers, as ``25 [0, 77]``.

    >>> _is_figure("25 [0, 77]"), _is_figure("1,200"), _is_figure("3 clips")
    (True, True, False)
    """
    return all(character in "0123456789.,+-%/:[]() " for character in cell)
