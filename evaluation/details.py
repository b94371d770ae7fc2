"""What each system said of each clip: its best classes, and what it takes for what."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mimecurate.evaluation.report import System


class ClipStatus(StrEnum):
    """What became of a clip."""

    SCORED = "scored"
    MISSING = "missing"
    """It could be had, and the model gave nothing for it."""
    UNAVAILABLE = "unavailable"
    """Nobody could fetch it any more."""
    INVALID = "invalid"
    """Its scores hold NaN or infinity."""


def clip_statuses(system: System) -> list[ClipStatus]:
    """Say what became of each clip, in the report's order."""
    matched = system.matched
    statuses = [ClipStatus.SCORED] * len(matched.rows)
    for status, which in (
        (ClipStatus.MISSING, matched.missing),
        (ClipStatus.UNAVAILABLE, matched.unavailable),
        (ClipStatus.INVALID, matched.invalid),
    ):
        for clip in np.flatnonzero(which):
            statuses[clip] = status
    return statuses


def top_classes(system: System, k: int = 5) -> list[list[tuple[str, float]]]:
    """List each clip's ``k`` best classes with their scores, best first.

    Of equal scores the true class comes last, as in its rank, and the others go by name.

    Args:
        system: a system of a report.
        k: how many.

    Returns:
        Per clip, in the report's order; an empty list where there are no valid scores.
    """
    matched = system.matched
    scores, names = matched.predictions.scores, matched.predictions.class_names or ()
    k = min(k, len(names))
    found: list[list[tuple[str, float]]] = []
    for row, true_column, rank in zip(matched.rows, matched.columns, matched.rank, strict=True):
        if rank == 0:
            found.append([])
            continue
        values = scores[row]
        lowest = np.partition(values, -k)[-k]
        columns = sorted(
            np.flatnonzero(values >= lowest),
            key=lambda c: (-values[c], c == true_column, names[c]),
        )
        found.append([(names[c], float(values[c])) for c in columns[:k]])
    return found


def confusion(system: System) -> dict[tuple[str, str], int]:
    """Count which class was taken for which: ``(true, predicted)`` to clips, over scored clips.

    A clip that ties for the best score counts as taken for the other class.
    """
    best = top_classes(system, 1)
    names = system.matched.predictions.class_names or ()
    return dict(
        Counter(
            (names[column], predicted[0][0])
            for column, predicted in zip(system.matched.columns, best, strict=True)
            if predicted
        )
    )
