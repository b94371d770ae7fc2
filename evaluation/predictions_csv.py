"""Prediction files in CSV: a header with ``clip_id`` and a class per column, a clip per line.

Comma, tab or semicolon; UTF-8. An empty cell is a missing score. pyarrow reads the numbers; when
it refuses the file, Python's csv module reads it again to say where each problem is.
"""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

import numpy as np

from mimecurate.errors import Problem
from mimecurate.evaluation.arrow_numbers import arrow_numbers
from mimecurate.evaluation.score_table import ScoreTable, check_size, listed, refusal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

_MAX_HEADER_BYTES = 1 << 24
_MAX_PROBLEMS = 10
_WHOLE_BYTES = 1 << 28
"""Up to here the file is read at once, on all cores; beyond, in batches that need less memory."""
_NO_SCORE = frozenset({"", "nan", "na", "n/a", "null", "none", "#n/a"})


def read_csv(path: Path, name: str) -> ScoreTable:
    """Read a CSV prediction file. Scores are float64: a decimal text is not rounded further.

    Raises:
        InvalidInputError: whatever is wrong with it; cells that are no numbers with their line.
    """
    import pyarrow as pa

    header, delimiter = _header(path, name)
    columns = _class_columns(header, name)
    warnings: tuple[str, ...] = ()
    if not header[0].strip() and len(columns) == len(header) - 2:
        warnings = ("the first column has no name, as the index that pandas writes: ignored",)
    try:
        clip_ids, scores = _read_numbers(path, header, columns, delimiter, name)
    except (pa.ArrowException, UnicodeDecodeError) as error:
        problems = list(_problems(path, header, columns, delimiter))
        fallback = Problem(str(error).splitlines()[0][:200])
        raise refusal(
            name,
            *(problems[:_MAX_PROBLEMS] or [fallback]),
            hint="Keep clip_id and one column of numbers per class.",
        ) from error
    return ScoreTable(clip_ids, [header[c] for c in columns], scores, None, warnings)


def _header(path: Path, name: str) -> tuple[list[str], str]:
    with path.open("rb") as file:
        line = file.readline(_MAX_HEADER_BYTES)
    try:
        text = line.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise refusal(name, "is not UTF-8 text") from error
    delimiter = max(",\t;", key=text.count)
    try:
        header = next(csv.reader([text], delimiter=delimiter, strict=True), [])
    except csv.Error as error:
        raise refusal(name, Problem(f"the header is no CSV: {error}", 1)) from error
    header = [cell.strip() for cell in header]
    if header.count("clip_id") != 1:
        raise refusal(
            name,
            Problem(f"the header must have one column clip_id; it has {listed(header)}", 1),
            hint="Prediction files are .npz, .parquet, .csv, .json, .jsonl or mmaction2 dumps.",
        )
    return header, delimiter


def _class_columns(header: list[str], name: str) -> list[int]:
    columns = [i for i, cell in enumerate(header) if cell != "clip_id"]
    if columns and columns[0] == 0 and not header[0]:
        columns = columns[1:]
    if nameless := [i + 1 for i in columns if not header[i]]:
        raise refusal(name, Problem(f"columns {listed(nameless)} have no name", 1))
    return columns


def _read_numbers(
    path: Path, header: list[str], columns: list[int], delimiter: str, name: str
) -> tuple[list[str], NDArray[np.floating]]:
    import pyarrow as pa
    import pyarrow.csv as pc

    lines = _count_lines(path)
    check_size(name, lines, len(columns), 8, path.stat().st_size)
    keys = [str(i) for i in range(len(header))]
    id_key = keys[header.index("clip_id")]
    wanted = [keys[c] for c in columns]
    options = (
        pc.ReadOptions(column_names=keys, skip_rows=1, block_size=1 << 22),
        pc.ParseOptions(delimiter=delimiter),
        pc.ConvertOptions(
            column_types={id_key: pa.string(), **dict.fromkeys(wanted, pa.float64())},
            include_columns=[id_key, *wanted],
            null_values=sorted({*_NO_SCORE, "NaN", "NAN", "NA", "N/A", "#N/A", "NULL", "None"}),
            strings_can_be_null=False,
        ),
    )
    whole = path.stat().st_size <= _WHOLE_BYTES
    batches = pc.read_csv(path, *options).to_batches() if whole else pc.open_csv(path, *options)
    scores = np.empty((lines, len(wanted)), order="F")
    clip_ids: list[str] = []
    for batch in batches:
        first, last = len(clip_ids), len(clip_ids) + batch.num_rows
        clip_ids += batch.column(0).to_pylist()
        for column in range(len(wanted)):
            scores[first:last, column] = arrow_numbers(batch.column(column + 1))
    return clip_ids, scores[: len(clip_ids)]


def _count_lines(path: Path) -> int:
    """Count lines: at least as many as there are rows."""
    count, last = 0, b"\n"
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            count += max(block.count(b"\n"), block.count(b"\r"))
            last = block[-1:]
    return count + (last not in b"\r\n") - 1


def _problems(
    path: Path, header: list[str], columns: list[int], delimiter: str
) -> Iterator[Problem]:
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        rows = csv.reader(file, delimiter=delimiter)
        try:
            next(rows, None)
            for row in rows:
                yield from _row_problems(row, rows.line_num, header, columns)
        except csv.Error as error:
            yield Problem(str(error), rows.line_num)


def _row_problems(
    row: list[str], line: int, header: list[str], columns: list[int]
) -> Iterator[Problem]:
    if not row:
        return
    if len(row) != len(header):
        yield Problem(f"has {len(row)} cells, the header has {len(header)}", line)
        return
    if any("\ufffd" in cell for cell in row):
        yield Problem("is not UTF-8 text", line)
    for column in columns:
        if not _is_score(row[column]):
            text = row[column][:40]
            yield Problem(f"{text!r} in column {header[column][:60]!r} is not a number", line)


def _is_score(cell: Any) -> bool:
    if cell.strip().lower() in _NO_SCORE:
        return True
    try:
        float(cell)
    except ValueError:
        return False
    return True
