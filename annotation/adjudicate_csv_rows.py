"""The rows of a CSV of decisions, from bytes that nobody has checked."""

from __future__ import annotations

import csv
from difflib import get_close_matches
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from mimecurate.annotation.screen import HIDING, VERDICTS
from mimecurate.curation.class_list import normal_class_name
from mimecurate.curation.release_csv import plain_cell
from mimecurate.curation.release_rule import FLAGS, Outcome
from mimecurate.curation.url_list_csv import cell_start
from mimecurate.curation.url_list_lines import read_lines
from mimecurate.errors import Problem
from mimecurate.schemas.flags import ANSWERS
from mimecurate.schemas.ids import interval_text
from mimecurate.schemas.times import parse_time_ms

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sqlite_utils import Database

    from mimecurate.curation.release_problems import Problems

COLUMNS = ("clip_id", "verdict", "label", *FLAGS, "start", "end", "why", "decided_by")
NEEDED = ("clip_id", "verdict")
MAX_TEXT = {"why": 10_000, "decided_by": 200}
_DELIMITERS = ",;\t"


class KnownClip(NamedTuple):
    """What the workspace knows of a clip."""

    start_ms: int
    end_ms: int | None
    label: str | None


class Known(NamedTuple):
    """What the workspace knows."""

    clips: Mapping[str, KnownClip]
    classes: Mapping[str, str]
    """By `normal_class_name`; with none, any class will do."""


class Row(NamedTuple):
    """A row that is right."""

    clip_id: str
    outcome: Outcome | None
    """None: left open."""
    why: str
    decided_by: str


def known_of(db: Database) -> Known:
    """Read what rows are checked against."""
    clips = db.execute("SELECT clip_id, start_ms, end_ms, label FROM clips")
    classes = db.execute("SELECT name FROM classes")
    return Known(
        {clip_id: KnownClip(*fields) for clip_id, *fields in clips},
        {normal_class_name(name): name for (name,) in classes},
    )


def read_rows(stream: BinaryIO, known: Known, problems: Problems) -> Iterator[Row]:
    """Yield the rows that are right; what is wrong with the others is added to ``problems``.

    Args:
        stream: UTF-8, with commas, semicolons or tabs; a row is one line.
        known: the workspace's clips and classes.
        problems: gets everything, with line and column.
    """
    sheet: _Sheet | None = None
    seen: dict[str, int] = {}
    for item in read_lines(stream):
        if isinstance(item, Problem):
            problems.add(item)
        elif sheet is None:
            sheet = _read_header(*item, problems)
            if sheet is None:
                return
        elif (row := _read_row(*item, sheet, known, seen, problems)) is not None:
            yield row
    if sheet is None:
        problems.add(Problem("is empty"))


class _Sheet(NamedTuple):
    header: list[str]
    delimiter: str


class _Cells:
    """The cells of a row, and what is wrong with them."""

    def __init__(self, line: int, text: str, cells: Sequence[str], sheet: _Sheet) -> None:
        self.line, self._text, self._sheet = line, text, sheet
        self._values = {name: cell.strip() for name, cell in zip(sheet.header, cells, strict=True)}
        self.problems: list[Problem] = []

    def __getitem__(self, column: str) -> str:
        return self._values.get(column, "")

    def refuse(self, column: str, message: str) -> None:
        """Add what is wrong with the cell in a column; without that column, with the row."""
        place = None
        if column in self._sheet.header:
            index = self._sheet.header.index(column)
            place = cell_start(self._text, self._sheet.delimiter, index) + 1
        self.problems.append(Problem(f"{column} {message}", self.line, place))


def _read_header(line: int, text: str, problems: Problems) -> _Sheet | None:
    delimiter = max(_DELIMITERS, key=lambda d: len(set(COLUMNS) & set(_names(text, d))))
    header = _names(text, delimiter)
    wrong = [f"has no column {name}" for name in NEEDED if name not in header]
    wrong += [f"has two columns {name}" for name in COLUMNS if header.count(name) > 1]
    for message in wrong:
        problems.add(Problem(f"the header {message}", line))
    return None if wrong else _Sheet(header, delimiter)


def _names(text: str, delimiter: str) -> list[str]:
    return [name.strip().casefold() for name in _split(text, delimiter) or []]


def _split(text: str, delimiter: str) -> list[str] | None:
    try:
        return next(csv.reader([text], delimiter=delimiter, strict=True), [])
    except csv.Error:
        return None


def _read_row(
    line: int, text: str, sheet: _Sheet, known: Known, seen: dict[str, int], problems: Problems
) -> Row | None:
    values = _split(text, sheet.delimiter)
    if values is None:
        problems.add(Problem("a quoted cell does not end on its line; keep a row on one", line))
        return None
    if not any(value.strip() for value in values):
        return None
    if len(values) != len(sheet.header):
        count = f"row has {len(values)} cells, the header {len(sheet.header)}"
        problems.add(Problem(count, line))
        return None
    cells = _Cells(line, text, values, sheet)
    clip = _read_clip(cells, known, seen)
    outcome = _read_outcome(cells, clip, known)
    why, by = (_read_text(cells, column) for column in MAX_TEXT)
    for problem in cells.problems:
        problems.add(problem)
    return None if cells.problems else Row(plain_cell(cells["clip_id"]), outcome, why, by)


def _read_clip(cells: _Cells, known: Known, seen: dict[str, int]) -> KnownClip | None:
    clip_id = plain_cell(cells["clip_id"])
    if clip_id in seen:
        cells.refuse("clip_id", f"{clip_id!r} is on line {seen[clip_id]} already")
    elif clip_id not in known.clips:
        cells.refuse("clip_id", f"{clip_id[:100]!r} is no clip here; see `mimecurate clips list`")
    seen.setdefault(clip_id, cells.line)
    return known.clips.get(clip_id)


def _read_outcome(cells: _Cells, clip: KnownClip | None, known: Known) -> Outcome | None:
    verdict = _read_choice(cells, "verdict", VERDICTS)
    label = _read_label(cells, known)
    mime, thing, scene = (_read_choice(cells, flag, ANSWERS) for flag in FLAGS)
    trim = _read_trim(cells, clip)
    more = [name for name in COLUMNS[2:8] if cells[name]]
    if not cells["verdict"]:
        if more:
            cells.refuse("verdict", f"is empty, and {more[0]} is not; say yes, no, …, or nothing")
        return None
    if verdict in HIDING and more:
        cells.refuse(more[0], f"has no place beside the verdict {verdict}; leave it empty")
    if verdict == "yes" and clip is not None and not (clip.label or cells["label"]):
        cells.refuse("label", "is needed: the clip was listed without a class")
    return Outcome(verdict or "", label, mime, thing, scene, trim)


def _read_choice(cells: _Cells, column: str, choices: Sequence[str]) -> str | None:
    value = cells[column].casefold()
    if value and value not in choices:
        cells.refuse(column, f"{cells[column][:50]!r} must be one of {', '.join(choices)}")
    return value or None


def _read_label(cells: _Cells, known: Known) -> str | None:
    given = normal_class_name(plain_cell(cells["label"]))
    if not given or not known.classes or given in known.classes:
        return known.classes.get(given, given) or None
    near = get_close_matches(given, known.classes, 1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    cells.refuse("label", f"{given[:100]!r} is no class of this workspace{hint}")
    return None


def _read_trim(cells: _Cells, clip: KnownClip | None) -> tuple[int, int] | None:
    times: dict[str, int] = {}
    for column in ("start", "end"):
        if cells[column]:
            try:
                times[column] = parse_time_ms(cells[column])
            except ValueError as error:
                cells.refuse(column, f"can't be read: {error}")
                return None
    if len(times) == 1:
        missing = "start" if "end" in times else "end"
        cells.refuse(missing, "is missing; a trim has both")
    if len(times) < 2:
        return None
    start_ms, end_ms = times["start"], times["end"]
    if end_ms <= start_ms:
        cells.refuse("end", f"{cells['end']} is not after the start, {cells['start']}")
    elif clip is not None:
        _check_inside(cells, (start_ms, end_ms), clip)
    return start_ms, end_ms


def _check_inside(cells: _Cells, trim: tuple[int, int], clip: KnownClip) -> None:
    start_ms, end_ms = trim
    if start_ms < clip.start_ms or (clip.end_ms is not None and end_ms > clip.end_ms):
        column = "start" if start_ms < clip.start_ms else "end"
        whole = interval_text(clip.start_ms, clip.end_ms or clip.start_ms)
        cells.refuse(column, f"{cells[column]} is outside the clip, {whole} of the video")


def _read_text(cells: _Cells, column: str) -> str:
    text = plain_cell(cells[column])
    if len(text) > MAX_TEXT[column]:
        cells.refuse(column, f"is over {MAX_TEXT[column]:,} characters")
    return text
