"""The rank of the true class among all classes: everything else is computed from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, eq=False)
class Ranks:
    """What one pass over the scores gives, per row."""

    rank: NDArray[np.int32]
    """``(N,)``, from 1: how many scores are at least the true class's, itself included."""
    tied: NDArray[np.bool_]
    """``(N,)``: another class has the same score as the true one."""
    invalid: NDArray[np.bool_]
    """``(N,)``: the row holds NaN or +infinity; its rank means nothing."""


def rank_true_class(scores: NDArray[np.floating], columns: NDArray[np.integer]) -> Ranks:
    """Rank each row's true class; ties count against the model.

    ``rank = |{j : score_j >= score_true}|``: a class with the same score as the true one stands
    before it, so a constant score file gets nothing for free (Mimetics paper, Section 5.2, leaves
    ties open). The rank doesn't depend on the order of rows or columns. Minus infinity is a score,
    the logarithm of 0; NaN and plus infinity are not.

    Args:
        scores: ``(N, C)`` real numbers, in either memory order; higher is more likely.
        columns: ``(N,)`` the true class's column of each row.

    Returns:
        Ranks, ties and invalid rows.

    Raises:
        ValueError: the shapes don't fit, or a column is out of range.

    >>> import numpy as np
    >>> ranks = rank_true_class(np.array([[0.7, 0.2, 0.1], [0.4, 0.4, 0.2]]), np.array([1, 0]))
    >>> ranks.rank, ranks.tied
    (array([2, 2], dtype=int32), array([False,  True]))
    """
    if scores.ndim != 2 or columns.shape != (scores.shape[0],):
        raise ValueError(f"scores must be (N, C) and columns (N,): {scores.shape}, {columns.shape}")
    if columns.size and not (columns.min() >= 0 and columns.max() < scores.shape[1]):
        raise ValueError(f"columns must be 0 to {scores.shape[1] - 1}")
    true_scores = scores[np.arange(len(scores)), columns]
    rows, classes = scores.shape
    at_least, same = np.empty(rows, np.int32), np.empty(rows, np.int32)
    highest = np.empty(rows, scores.dtype)
    step = max(1, _BLOCK_BYTES // (classes * scores.itemsize))
    for first in range(0, rows, step):
        part = slice(first, first + step)
        block, true = np.ascontiguousarray(scores[part]), true_scores[part, None]
        at_least[part] = _count(block >= true)
        same[part] = _count(block == true)
        highest[part] = np.max(block, axis=1)  # NaN if there is one
    return Ranks(at_least, same > 1, ~(highest < np.inf))


def _count(found: NDArray[np.bool_]) -> NDArray[np.integer]:
    """Count what is true in each row; narrow integers make the sum several times faster."""
    narrow = np.uint16 if found.shape[1] < 1 << 16 else np.uint32
    counts: NDArray[np.integer] = np.add.reduce(found.view(np.uint8), axis=1, dtype=narrow)
    return counts
