"""Small CSV tables that users edit: read whole, with everything that is wrong and its line."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from mimecurate.errors import InvalidInputError, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

MAX_CELL_CHARACTERS = 1_000
MAX_TABLE_BYTES = 64 << 20
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def read_text(path: Path) -> str:
    """Read a text file of the user.

    Raises:
        InvalidInputError: it can't be read, is over 64 MiB or not UTF-8.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_TABLE_BYTES + 1)
    except OSError as error:
        raise InvalidInputError(str(path), [Problem(f"can't be read: {error.strerror}")]) from error
    if len(data) > MAX_TABLE_BYTES:
        raise InvalidInputError(str(path), [Problem("is over 64 MiB; split it")])
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise InvalidInputError(str(path), [Problem("is not UTF-8", line)]) from error


def parse_table(
    text: str,
    required: Sequence[str],
    optional: Sequence[str] = (),
    *,
    delimiter: str = ",",
    most: Mapping[str, int] | None = None,
) -> tuple[list[tuple[int, dict[str, str]]], list[Problem]]:
    r"""Read CSV with a header; columns may stand in any order, and others are an error.

    Blanks around cells go, and so does the ``'`` that keeps a spreadsheet from running a cell.

    Args:
        text: the table.
        required: columns that it must have, with a value in each row.
        optional: columns that it may have; a row without one has the empty text.
        delimiter: what stands between cells.
        most: the characters that columns may have, where the caller takes fewer than
            `MAX_CELL_CHARACTERS`: said of a cell that is over these.

    Returns:
        The rows that are whole, each with its line, and the problems.

    >>> parse_table("a,b\n1,\n,2\n", ["a"], ["b"])
    ([(2, {'b': '', 'a': '1'})], [Problem(message='has no a', line=3, column=None)])
    """
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[tuple[int, dict[str, str]]] = []
    problems: list[Problem] = []
    try:
        header = [cell.strip().lower() for cell in next(reader, [])]
        problems += _header_problems(header, required, optional)
        if problems:
            return [], problems
        blank = dict.fromkeys(optional, "")
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            line = reader.line_num
            if len(cells) != len(header):
                message = f"has {len(cells)} cells, the header {len(header)}"
                problems.append(Problem(message, line))
                continue
            row = blank | dict(zip(header, map(_plain, cells), strict=True))
            found = _cell_problems(row, required, line, most or {})
            problems += found
            if not found:
                rows.append((line, row))
    except csv.Error as error:
        problems.append(Problem(f"is no CSV: {error}", reader.line_num))
    return rows, problems


def _header_problems(
    header: Sequence[str], required: Sequence[str], optional: Sequence[str]
) -> list[Problem]:
    known = [*required, *optional]
    problems = [Problem(f"the header has no column {c!r}", 1) for c in required if c not in header]
    for place, name in enumerate(header, 1):
        if name not in known:
            words = f"column {place} is {name[:40]!r}; it may be one of {', '.join(known)}"
            problems.append(Problem(words, 1))
        elif header.index(name) != place - 1:
            problems.append(Problem(f"column {name!r} is there twice", 1))
    return problems


def _cell_problems(
    row: dict[str, str], required: Sequence[str], line: int, most: Mapping[str, int]
) -> list[Problem]:
    problems = [Problem(f"has no {name}", line) for name in required if not row[name]]
    for name, cell in row.items():
        if len(cell) > MAX_CELL_CHARACTERS:
            limit = most.get(name, MAX_CELL_CHARACTERS)
            problems.append(Problem(f"{name} is over {limit:,} characters", line))
        elif not cell.isprintable():
            bad = next(c for c in cell if not c.isprintable())
            problems.append(Problem(f"{name} holds {bad!a}, which can't be seen", line))
    return problems


def _plain(cell: str) -> str:
    cell = cell.strip()
    return cell[1:] if cell[:1] == "'" and cell[1:2] in _FORMULA else cell
