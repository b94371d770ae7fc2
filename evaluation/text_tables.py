"""Tables and prose as lines of a terminal, no wider than it where that can be done."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mimecurate.evaluation.tables import Table

_GAP = "  "
_MIN_WORDS = 18
"""A column of words is not made narrower than this many characters."""
_MIN_WIDTH = 20

Row = tuple[str, ...]


def wrap(text: str, width: int | None) -> str:
    """Break prose between words; the lines after the first are indented.

    >>> print(wrap("ties count against the model", 20))
    ties count against
      the model
    """
    if width is None or len(text) <= width:
        return text
    return "\n".join(_words(text, max(width, _MIN_WIDTH), "  "))


def text_table(table: Table, width: int | None = None) -> str:
    """Lay a table out.

    Too wide a table gets, in this order, headers and first columns broken between words, and
    several blocks, each with the first columns and some of the others. A table that is kept whole
    has its intervals on lines of their own first.
    """
    lines: list[Row] = [table.header, *table.rows]
    laid = _lay_out(lines, table.text_columns, None)
    if width is None or max(map(len, laid)) <= width:
        return "\n".join([wrap(table.title, width), *laid])
    blocks = _blocks(lines, table, width)
    if table.whole and len(blocks) > 1:
        lines = [table.header, *(_stacked(row, table.text_columns) for row in table.rows)]
        blocks = _blocks(lines, table, width)
    texts = ["\n".join(_lay_out(block, table.text_columns, width)) for block in blocks]
    return wrap(table.title, width) + "\n" + "\n\n".join(texts)


def _blocks(lines: Sequence[Row], table: Table, width: int) -> list[list[Row]]:
    """Share the columns out over blocks, each as many as there is room for."""
    fixed = table.repeated
    narrowest = _narrowest(lines, table.text_columns)
    room = width - sum(narrowest[:fixed]) - len(_GAP) * (fixed - 1)
    shares: list[list[int]] = []
    left = 0
    for column in range(fixed, len(table.header)):
        needed = narrowest[column] + len(_GAP)
        if not shares or needed > left:
            shares.append([])
            left = room
        shares[-1].append(column)
        left -= needed
    return [
        [(*line[:fixed], *(line[column] for column in share)) for line in lines] for share in shares
    ]


def _narrowest(lines: Sequence[Row], text_columns: int) -> list[int]:
    """Return the least width of each column: numbers are never broken."""
    widths = []
    for column, header in enumerate(lines[0]):
        longest = max(_longest_line(line[column]) for line in lines)
        if column < text_columns:
            widths.append(min(longest, _MIN_WORDS))
        else:
            word = max(map(len, header.split()), default=0)
            numbers = max((_longest_line(line[column]) for line in lines[1:]), default=0)
            widths.append(max(numbers, min(word, _MIN_WORDS)))
    return widths


def _lay_out(lines: Sequence[Row], text_columns: int, width: int | None) -> list[str]:
    widths = [max(_longest_line(line[i]) for line in lines) for i in range(len(lines[0]))]
    gaps = len(_GAP) * (len(widths) - 1)
    if width is not None and sum(widths) + gaps > width:
        natural, widths = widths, _narrowest(lines, text_columns)
        spare = max(width - gaps - sum(widths), 0)
        for column in range(text_columns):
            more = min(natural[column] - widths[column], spare)
            widths[column] += more
            spare -= more
    laid = []
    for number, line in enumerate(lines):
        cells = [
            _words(text, size, "  " * (i < text_columns))
            if i < text_columns or number == 0
            else text.split("\n")
            for i, (text, size) in enumerate(zip(line, widths, strict=True))
        ]
        height = max(map(len, cells))
        for column, cell in enumerate(cells):
            above = height - len(cell) if number == 0 else 0
            cells[column] = [""] * above + cell + [""] * (height - len(cell) - above)
        laid += [_join(texts, widths, text_columns) for texts in zip(*cells, strict=True)]
    return laid


def _join(texts: Row, widths: Sequence[int], text_columns: int) -> str:
    return _GAP.join(
        text.ljust(width) if i < text_columns else text.strip().rjust(width)
        for i, (text, width) in enumerate(zip(texts, widths, strict=True))
    ).rstrip()


def _words(text: str, width: int, indent: str) -> list[str]:
    if len(text) <= width:
        return [text]
    indent = indent if width > len(indent) else ""
    return textwrap.wrap(text, width, subsequent_indent=indent, break_on_hyphens=False) or [""]


def _stacked(row: Row, text_columns: int) -> Row:
    """Put what is in brackets on the next line."""
    numbers = (text.replace(" [", "\n[").replace(" (", "\n(") for text in row[text_columns:])
    return (*row[:text_columns], *numbers)


def _longest_line(text: str) -> int:
    return max(map(len, text.split("\n")))
