"""Lists of clips as CSV, with commas, tabs or semicolons."""

from __future__ import annotations

import csv
from collections import deque
from difflib import get_close_matches
from functools import partial
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from mimecurate.curation.url_list_fields import BLANKS
from mimecurate.curation.url_list_lines import MAX_LINE_BYTES, Line
from mimecurate.curation.url_list_rows import (
    NONE_WRONG,
    Lines,
    Notice,
    Place,
    Row,
    Rows,
    field_named,
    unused_names,
)
from mimecurate.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_RECORD_LINES = 64
_DELIMITERS = "\t,;"
_OPTIONAL = ("label", "split", "video_id")


class _Column(NamedTuple):
    """A column of a CSV that is used."""

    at: int
    name: str


class _Record(NamedTuple):
    line: int
    text: str
    cells: list[str]


def split_header(text: str) -> tuple[list[str], str]:
    """Split a header at the delimiter that makes the most sense of it.

    Returns:
        The names and the delimiter; no names if the line is no header at all.

    >>> split_header("url;Start;END;views")
    (['url', 'Start', 'END', 'views'], ';')
    """
    most_known = 0
    best: tuple[list[str], str] = ([], "")
    for delimiter in _DELIMITERS:
        try:
            names = next(csv.reader([text], delimiter=delimiter, strict=True), [])
        except csv.Error:
            continue
        known = sum(field_named(name) is not None for name in names)
        if known > most_known:
            most_known, best = known, ([name.strip() for name in names], delimiter)
    return best


def read_csv(header: Line, lines: Lines) -> Rows:
    """Read the rows below a header; after a wrong header nothing is read.

    A record of several lines is reported if one of its used cells holds a line break, and one
    that does not parse costs only its first line.
    """
    names, delimiter = split_header(header[1])
    columns: dict[str, _Column] = {}
    is_wrong = False
    for item in _read_header(header, names, delimiter, columns):
        is_wrong |= isinstance(item, Problem)
        yield item
    if is_wrong:
        return
    used = itemgetter(*(column.at for column in columns.values()))
    for record in _records(lines, delimiter):
        if isinstance(record, Problem):
            yield record
        elif len(record.cells) != len(names):
            yield _wrong_count(record, len(names), delimiter)
        else:
            line, text, cells = record
            values = dict(zip(columns, used(cells), strict=True))
            wrong = _take_line_breaks(values) if "\n" in text else NONE_WRONG
            yield Row(line, values, wrong, partial(_place, columns, record, delimiter))


def _read_header(
    header: Line, names: list[str], delimiter: str, columns: dict[str, _Column]
) -> Iterator[Problem | Notice]:
    """Fill ``columns``, and say what is wrong with the header or not used of it."""
    line, text = header
    unused = []
    for index, name in enumerate(names):
        field = field_named(name)
        if field is None:
            unused.append(name)
        elif field in columns:
            message = f"column {name!r} is a second {columns[field].name!r}; keep one"
            yield Problem(message, line, cell_start(text, delimiter, index) + 1)
        else:
            columns[field] = _Column(index, name)
    for field, kinetics in (("url", "youtube_id"), ("start", "time_start"), ("end", "time_end")):
        if field not in columns:
            near = get_close_matches(field, unused, 1) or get_close_matches(kinetics, unused, 1)
            hint = f"did you mean it by {near[0]!r}?" if near else "add it"
            yield Problem(f"the header has no column {field!r} or {kinetics!r}; {hint}", line)
    if said := unused_names(unused):
        meant = [f"{n!r} for {m[0]!r}" for n in unused if (m := get_close_matches(n, _OPTIONAL, 1))]
        hint = f" (did you mean {', '.join(meant)}?)" if meant else ""
        yield Notice(line, f"columns not used: {said}{hint}")


def _records(lines: Lines, delimiter: str) -> Iterator[_Record | Problem]:
    """Parse records of one line, or of several where a quoted cell holds line breaks.

    A record that does not parse is reported, and reading goes on at its second line, so that a
    stray quote costs one record and not the rest of the list.
    """
    again: deque[Line | Problem] = deque()
    blank = delimiter + BLANKS
    while (item := again.popleft() if again else next(lines, None)) is not None:
        if isinstance(item, Problem):
            yield item
            continue
        line, text = item
        if '"' not in text:
            if text.strip(blank):
                yield _Record(line, text, text.split(delimiter))
            continue
        taken = [item]
        try:
            reader = csv.reader(_pull(taken, again, lines), delimiter=delimiter, strict=True)
            cells = next(reader)
        except csv.Error:
            again.extendleft(reversed(taken[1:]))
            *_, start = _cell_starts(text, delimiter)
            yield Problem(
                f"no quote and {delimiter!r} end this quoted cell within {MAX_RECORD_LINES} lines; "
                "write a quote inside it as '\"\"'",
                line,
                start + 1,
            )
        else:
            yield _Record(line, "\n".join(text for _, text in taken), cells)


def _pull(taken: list[Line], again: deque[Line | Problem], lines: Lines) -> Iterator[str]:
    """Feed `csv.reader` the line in ``taken`` and as many more as one record may have."""
    size = len(taken[0][1])
    yield taken[0][1] + "\n"
    while len(taken) < MAX_RECORD_LINES and size < MAX_LINE_BYTES:
        item = again.popleft() if again else next(lines, None)
        if item is None:
            return
        if isinstance(item, Problem):
            again.appendleft(item)
            return
        taken.append(item)
        size += len(item[1])
        yield item[1] + "\n"


def _cell_starts(text: str, delimiter: str) -> Iterator[int]:
    """Yield where each cell begins; the last one is the first whose quoting is broken."""
    start = 0
    while True:
        yield start
        at = start
        if text.startswith('"', at):
            at = text.find('"', at + 1)
            while at >= 0 and text.startswith('"', at + 1):
                at = text.find('"', at + 2)
            if at < 0 or text[at + 1 : at + 2] not in {"", "\n", delimiter}:
                return
        at = text.find(delimiter, at)
        if at < 0:
            return
        start = at + 1


def cell_start(text: str, delimiter: str, index: int) -> int:
    """Return where in a row its cell ``index`` begins, in characters from 0.

    >>> cell_start('a,"b,c",d', ",", 2)
    8
    """
    return next(islice(_cell_starts(text, delimiter), index, None))


def _place(columns: dict[str, _Column], record: _Record, delimiter: str, field: str) -> Place:
    if field not in columns:
        return Place(field, record.line, None)
    index, name = columns[field]
    offset = cell_start(record.text, delimiter, index)
    return Place(name, *_position(record, offset))


def _position(record: _Record, offset: int) -> tuple[int, int]:
    breaks = record.text.count("\n", 0, offset)
    return record.line + breaks, offset - record.text.rfind("\n", 0, offset)


def _wrong_count(record: _Record, expected: int, delimiter: str) -> Problem:
    count = len(record.cells)
    lines = record.text.count("\n") + 1
    over = f" over {lines} lines" if lines > 1 else ""
    message = f"row has {count} cells{over}, the header {expected}; "
    if count < expected:
        return Problem(f"{message}add those that are missing, if only empty", record.line)
    start = cell_start(record.text, delimiter, expected)
    message += f"put a cell that holds {delimiter!r} into quotes"
    return Problem(message, *_position(record, start))


def _take_line_breaks(values: dict[str, str]) -> dict[str, str]:
    """Move the cells that hold line breaks out of ``values``, and say what is wrong with them."""
    wrong = [field for field, value in values.items() if "\n" in value]
    return {
        field: f"runs over {values.pop(field).count(chr(10)) + 1} lines; look for a stray quote"
        for field in wrong
    }
