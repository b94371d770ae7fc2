"""Superclasses: several classes counted as one (Mimetics paper, Appendix C, Table 12).

A model's class probabilities are summed over each superclass; a class that the mapping doesn't
name is a superclass of its own. The true superclass is then ranked as a class is.
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mimecurate.curation.class_list import normal_class_name
from mimecurate.errors import InvalidInputError, MimecurateError, Problem
from mimecurate.evaluation.ranks import Ranks, rank_true_class

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

SUM_TOLERANCE = 0.02
"""How far from 1 a row of probabilities may sum: four decimals of 400 classes lose that much."""
_BLOCK_BYTES = 1 << 23


@dataclass(frozen=True, slots=True, eq=False)
class Grouping:
    """The columns of one prediction file in their superclasses."""

    names: tuple[str, ...]
    """The superclasses, sorted."""
    groups: NDArray[np.int64]
    """``(C,)``: the superclass of each column, an index into ``names``."""
    order: NDArray[np.int64]
    """``(C,)``: the columns by superclass, then by class name: sums don't depend on the file's."""
    unknown: tuple[str, ...]
    """Classes of the mapping that the file has no column for."""


def read_superclasses(path: Path) -> dict[str, str]:
    """Read which superclass each class is in.

    Args:
        path: JSON, ``{superclass: [class, …]}`` or ``{class: superclass}``, or CSV with two
            columns, ``class,superclass`` (a header of these names may stand first).

    Returns:
        The superclass of each class that the file names, with spaces for ``_``.

    Raises:
        InvalidInputError: every problem found.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InvalidInputError(str(path), [Problem(f"can't be read: {error.strerror}")]) from error
    except UnicodeDecodeError as error:
        raise InvalidInputError(str(path), [Problem("is not UTF-8")]) from error
    is_json = text.lstrip().startswith("{")
    pairs, problems = _json_pairs(path, text) if is_json else _csv_pairs(text)
    mapping: dict[str, str] = {}
    for line, given_class, given_superclass in pairs:
        name, superclass = normal_class_name(given_class), normal_class_name(given_superclass)
        if not name or not superclass or not (name + superclass).isprintable():
            problems.append(Problem("class and superclass must be printable text", line))
        elif mapping.setdefault(name, superclass) != superclass:
            problems.append(
                Problem(f"class {name!r} is in both {mapping[name]!r} and {superclass!r}", line)
            )
    if not mapping and not problems:
        problems.append(Problem("names no class"))
    if problems:
        raise InvalidInputError(str(path), problems[:20])
    return mapping


def group_columns(class_names: Sequence[str], mapping: Mapping[str, str]) -> Grouping:
    """Put the columns of a prediction file into superclasses.

    Raises:
        MimecurateError: a superclass has the name of a class that is not in it.

    >>> group_columns(["drinking", "drinking beer", "archery"], {"drinking beer": "drink",
    ...     "drinking": "drink"}).names
    ('archery', 'drink')
    """
    superclass_of = [mapping.get(name, name) for name in class_names]
    made = set(mapping.values())
    for name, superclass in zip(class_names, superclass_of, strict=True):
        if name in made and superclass != name:
            raise MimecurateError(
                f"superclass {name!r} is also a class, of superclass {superclass!r}: rename it"
            )
        if name in made and name not in mapping:
            raise MimecurateError(
                f"superclass {name!r} is also a class that is not in it: put it in, or rename it"
            )
    names = tuple(sorted(set(superclass_of)))
    number = {name: i for i, name in enumerate(names)}
    groups = np.array([number[s] for s in superclass_of], np.int64)
    order = np.array(sorted(range(len(groups)), key=lambda c: (groups[c], class_names[c])))
    known = set(class_names)
    return Grouping(names, groups, order, tuple(name for name in mapping if name not in known))


def count_probabilities(scores: NDArray[np.floating], rows: NDArray[np.bool_]) -> tuple[int, int]:
    """Count the rows that are probabilities (none negative, summing to 1) and those that aren't.

    Rows that hold NaN, and rows of zeros alone, say nothing and are passed over.

    Args:
        scores: ``(N, C)``.
        rows: ``(N,)``, the rows to look at.

    >>> count_probabilities(np.array([[0.5, 0.5], [0, 0], [7, -8]]), np.ones(3, bool))
    (1, 1)
    """
    sums = scores.sum(axis=1, dtype=np.float64, where=rows[:, None])
    lowest = scores.min(axis=1, initial=0, where=rows[:, None])
    highest = scores.max(axis=1, initial=0, where=rows[:, None])
    valid = rows & ~np.isnan(sums) & ((lowest < 0) | (highest > 0))
    are = valid & (np.abs(sums - 1) <= SUM_TOLERANCE) & (lowest >= 0)
    return int(are.sum()), int(valid.sum() - are.sum())


def rank_true_superclass(
    scores: NDArray[np.floating],
    columns: NDArray[np.integer],
    grouping: Grouping,
    *,
    softmax: bool,
) -> Ranks:
    """Rank each row's true superclass by the summed probabilities of its classes.

    Args:
        scores: ``(N, C)`` probabilities, or logits when ``softmax`` is set.
        columns: ``(N,)`` the true class's column.
        grouping: which column belongs to which superclass.
        softmax: turn each row into probabilities first.
    """
    starts = np.searchsorted(grouping.groups[grouping.order], np.arange(len(grouping.names)))
    sums = np.empty((len(scores), len(grouping.names)))
    step = max(1, _BLOCK_BYTES // (8 * scores.shape[1]))
    with np.errstate(invalid="ignore"):  # NaN and infinity stay NaN, and are reported as invalid
        for first in range(0, len(scores), step):
            block = scores[first : first + step, grouping.order].astype(np.float64)
            if softmax:
                block = np.exp(block - block.max(axis=1, keepdims=True))
                block /= block.sum(axis=1, keepdims=True)
            sums[first : first + step] = np.add.reduceat(block, starts, axis=1)
    return rank_true_class(sums, grouping.groups[columns])


def _json_pairs(
    path: Path, text: str
) -> tuple[Iterable[tuple[int | None, str, str]], list[Problem]]:
    try:
        document: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(str(path), [Problem(f"is no JSON: {str(error)[:200]}")]) from error
    pairs: list[tuple[int | None, str, str]] = []
    problems: list[Problem] = []
    for key, value in document.items():
        if isinstance(value, str):
            pairs.append((None, key, value))
        elif isinstance(value, list) and all(isinstance(member, str) for member in value):
            pairs += [(None, member, key) for member in value]
        else:
            problems.append(Problem(f"{key[:60]!r} must have a list of classes or one superclass"))
    return pairs, problems


def _csv_pairs(text: str) -> tuple[Iterable[tuple[int | None, str, str]], list[Problem]]:
    pairs: list[tuple[int | None, str, str]] = []
    problems: list[Problem] = []
    delimiter = "\t" if "\t" in text.partition("\n")[0] else ","
    reader = csv.reader(io.StringIO(text), delimiter=delimiter)
    try:
        for row in reader:
            if len(row) == 2:
                pairs.append((reader.line_num, row[0], row[1]))
            elif row:
                message = f"has {len(row)} columns; it must have two, class and superclass"
                problems.append(Problem(message, reader.line_num))
    except csv.Error as error:
        problems.append(Problem(str(error), reader.line_num))
    if pairs and [cell.strip().lower() for cell in pairs[0][1:]] == ["class", "superclass"]:
        pairs = pairs[1:]
    return pairs, problems
