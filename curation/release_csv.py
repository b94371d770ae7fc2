"""CSV files of a release: cells that no spreadsheet runs, and reading that trusts nothing."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, BinaryIO

from mimecurate.curation.url_list_lines import read_lines
from mimecurate.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mimecurate.curation.release_problems import Problems

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_ROW = dict[str, str]


def neutral_cell(text: str) -> str:
    """Write free text so that no spreadsheet takes it for a formula; `plain_cell` undoes it.

    >>> neutral_cell("=1+1"), neutral_cell("archery")
    ("'=1+1", 'archery')
    """
    return f"'{text}" if text.lstrip("'").startswith(_FORMULA) else text


def plain_cell(cell: str) -> str:
    """Read free text that `neutral_cell` wrote.

    >>> plain_cell("'=1+1"), plain_cell("'quoted'")
    ('=1+1', "'quoted'")
    """
    return cell[1:] if cell.startswith("'") and cell.lstrip("'").startswith(_FORMULA) else cell


def read_csv(
    stream: BinaryIO, columns: Sequence[str], file: str, problems: Problems
) -> Iterator[tuple[int, _ROW]]:
    """Read the rows of a CSV that has at least ``columns``.

    A record is one line of at most 64 KiB of UTF-8; what is wrong is added to ``problems``, and
    reading goes on where it can.

    Yields:
        The line's number, and the cells by column.
    """
    line = 0

    def texts() -> Iterator[str]:
        nonlocal line
        for item in read_lines(stream):
            if isinstance(item, Problem):
                problems.add(item, file=file)
            else:
                line = item[0]
                yield item[1]

    reader = csv.reader(texts(), strict=True)
    header: list[str] = []
    expected = 0
    try:
        for cells in reader:
            expected += 1
            if reader.line_num != expected:
                problems.add(Problem("a quoted cell holds a line break", line), file=file)
                return
            if not header:
                header = cells
                if missing := [c for c in columns if c not in header]:
                    text = f"has no column {', '.join(missing)}"
                    problems.add(Problem(text, line), file=file)
                    return
            elif len(cells) == len(header):
                yield line, dict(zip(header, cells, strict=True))
            elif cells:
                text = f"has {len(cells)} cells, and the header {len(header)}"
                problems.add(Problem(text, line), file=file)
    except csv.Error as error:
        problems.add(Problem(f"not CSV: {error}", line), file=file)
    if not header:
        problems.add(Problem("is empty"), file=file)
