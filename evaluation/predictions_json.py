"""Prediction files in JSON and JSON lines.

JSON: ``{"class_names": […], "scores": {clip_id: […]}}`` or ``{clip_id: {class: score}}``.
JSON lines: an object per line with ``clip_id`` and either ``scores`` (an object of class to score,
or a list that follows the ``class_names`` of this or an earlier line) or a member per class.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from mimecurate.errors import Problem
from mimecurate.evaluation.score_table import ScoreTable, check_size, listed, refusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

Pairs = list[tuple[str, Any]]
Row = tuple[str, Any]
_NUMBERS = frozenset({int, float, type(None)})


class Members:
    """An object's members in order, repeated keys included."""

    __slots__ = ("pairs",)

    def __init__(self, pairs: Pairs) -> None:
        """Keep the pairs of key and value."""
        self.pairs = pairs

    def get(self, key: str) -> Any:
        """Return the first value under ``key``, or None."""
        return next((value for k, value in self.pairs if k == key), None)

    def __contains__(self, key: str) -> bool:
        """Whether there is such a key."""
        return any(k == key for k, _ in self.pairs)


def read_json(path: Path, name: str) -> ScoreTable:
    """Read a JSON or JSON lines prediction file, told apart by content.

    Raises:
        InvalidInputError: whatever is wrong with it, with its line where known.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise refusal(name, "is not UTF-8 text") from error
    first, _, rest = text.lstrip().partition("\n")
    if first.startswith("{") and rest.lstrip().startswith("{"):
        return _from_records(_lines(text, name), name, len(text))
    document = _parse(text, name, None)
    if isinstance(document, list):
        return _from_records(enumerate(document, 1), name, len(text))
    if isinstance(document, Members) and isinstance(document.get("clip_id"), str):
        return _from_records([(1, document)], name, len(text))
    if isinstance(document, Members) and "scores" in document and "class_names" in document:
        scores = document.get("scores")
        if not isinstance(scores, Members):
            raise refusal(name, 'scores must be an object: {"scores": {clip_id: […]}}')
        return _from_rows(scores.pairs, _names(document.get("class_names"), name), name, len(text))
    if isinstance(document, Members):
        return _from_rows(document.pairs, None, name, len(text))
    raise refusal(name, f"holds {type(document).__name__}, not an object of clips")


def rows_to_table(
    rows: Sequence[Row], class_names: list[str] | None, name: str, file_bytes: int
) -> ScoreTable:
    """Build a table from rows of scores: lists in the order of ``class_names``, or name to score.

    Args:
        rows: clip id and its scores, a list of numbers or pairs of class and score.
        class_names: None: take them from the rows' pairs.
        name: the file's, for messages.
        file_bytes: its size.
    """
    if not rows:
        raise refusal(name, "holds no clips: nothing to score")
    named = [isinstance(scores, Members) for _, scores in rows]
    if any(named) and not all(named):
        raise refusal(name, "gives some clips a list and others an object of scores")
    if named and named[0]:
        return _from_named(rows, class_names, name, file_bytes)
    if class_names is None:
        raise refusal(
            name,
            "has lists of scores and no class_names",
            hint='Write {"class_names": […], "scores": {clip_id: […]}}.',
        )
    check_size(name, len(rows), len(class_names), 8, file_bytes)
    wrong = [i for i, (_, values) in enumerate(rows) if not _is_row(values, len(class_names))]
    if wrong:
        problems = [_row_problem(rows[i][0], rows[i][1], len(class_names)) for i in wrong[:10]]
        raise refusal(name, *problems)
    return ScoreTable([clip for clip, _ in rows], class_names, _array([v for _, v in rows], name))


def _from_rows(
    rows: Sequence[Row], class_names: list[str] | None, name: str, file_bytes: int
) -> ScoreTable:
    wrong = [clip for clip, scores in rows if not isinstance(scores, (list, Members))]
    if wrong:
        raise refusal(
            name,
            f"clips {listed(wrong)} have neither a list nor an object of scores",
            hint='Write {"class_names": […], "scores": {clip_id: […]}} '
            "or {clip_id: {class: score}}.",
        )
    return rows_to_table(rows, class_names, name, file_bytes)


def _from_named(
    rows: Sequence[Row], class_names: list[str] | None, name: str, file_bytes: int
) -> ScoreTable:
    names = class_names or list(dict.fromkeys(k for _, scores in rows for k, _ in scores.pairs))
    check_size(name, len(rows), len(names), 8, file_bytes)
    column = {class_name: i for i, class_name in enumerate(names)}
    matrix = np.full((len(rows), len(names)), np.nan)
    problems = []
    for row, (clip, scores) in enumerate(rows):
        values = [value for _, value in scores.pairs]
        keys = [column.get(key, -1) for key, _ in scores.pairs]
        if len(set(keys)) != len(keys) or -1 in keys:
            problems.append(f"clip {clip[:100]!r} names a class twice, or one not in class_names")
        elif not _is_row(values, len(values)):
            problems.append(_row_problem(clip, values, len(values)))
        else:
            matrix[row, keys] = _array([values], name)[0]
    if problems:
        raise refusal(name, *problems[:10])
    return ScoreTable([clip for clip, _ in rows], names, matrix)


def _from_records(records: Iterable[tuple[int, Any]], name: str, file_bytes: int) -> ScoreTable:
    """Collect rows; a list is turned into the order of the first ``class_names``."""
    class_names: list[str] | None = None
    order: list[int] | None = None
    rows: list[Row] = []
    problems: list[Problem] = []
    for line, record in records:
        if not isinstance(record, Members):
            problems.append(Problem("is no object with clip_id", line))
            continue
        if "class_names" in record:
            names = _names(record.get("class_names"), name)
            class_names = names if class_names is None else class_names
            if sorted(names) != sorted(class_names):
                problems.append(Problem("has other class_names than a line above", line))
                continue
            order = _order(class_names, names)
        clip = record.get("clip_id")
        if clip is None and record.pairs and all(k == "class_names" for k, _ in record.pairs):
            continue
        if not isinstance(clip, str):
            shown = repr(clip)[:40] if isinstance(clip, (int, float)) else type(clip).__name__
            problems.append(Problem(f"clip_id is {shown}; it must be text", line))
            continue
        scores = record.get("scores") if "scores" in record else _members(record)
        if isinstance(scores, list) and class_names is None:
            problems.append(Problem("has a list of scores, and no class_names so far", line))
        elif isinstance(scores, list) and order is not None and len(scores) == len(order):
            rows.append((clip, [scores[i] for i in order]))
        elif isinstance(scores, (list, Members)):
            rows.append((clip, scores))
        else:
            problems.append(Problem("scores must be a list or an object", line))
    if problems:
        raise refusal(name, *problems[:10])
    return rows_to_table(rows, class_names, name, file_bytes)


def _order(class_names: list[str], names: list[str]) -> list[int] | None:
    """Return where each of ``class_names`` stands in ``names``; None where all stay in place."""
    if names == class_names:
        return None
    place = {class_name: i for i, class_name in enumerate(names)}
    return [place[class_name] for class_name in class_names]


def _members(record: Members) -> Members:
    return Members([(k, v) for k, v in record.pairs if k not in {"clip_id", "class_names"}])


def _lines(text: str, name: str) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, _parse(line, name, number)


def _parse(text: str, name: str, line: int | None) -> Any:
    try:
        return json.loads(text, object_pairs_hook=Members)
    except json.JSONDecodeError as error:
        place = Problem(f"is no JSON: {error.msg}", line or error.lineno, error.colno)
        raise refusal(name, place) from error
    except (RecursionError, ValueError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)[:100]
        raise refusal(name, Problem(f"is no JSON that can be read: {reason}", line)) from error


def _names(value: Any, name: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise refusal(name, "class_names must be a list of texts")
    return value


def _is_row(values: Any, width: int) -> bool:
    return (
        isinstance(values, list) and len(values) == width and _NUMBERS.issuperset(map(type, values))
    )


def _row_problem(clip: str, values: Any, width: int) -> str:
    if not isinstance(values, list):
        return f"clip {clip[:100]!r} has no list of scores"
    if len(values) != width:
        return f"clip {clip[:100]!r} has {len(values)} scores for {width} classes"
    wrong = next(v for v in values if type(v) not in _NUMBERS)
    shown = repr(wrong)[:40] if isinstance(wrong, (str, bool)) else f"a {type(wrong).__name__}"
    return f"clip {clip[:100]!r} has the score {shown}, not a number"


def _array(rows: list[Any], name: str) -> NDArray[np.float64]:
    try:
        return np.array(rows, dtype=np.float64)
    except OverflowError as error:
        raise refusal(name, "holds a score too large for a number") from error
