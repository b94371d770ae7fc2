"""Which row of a prediction file is which clip, which column which class, and what is missing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Literal

import numpy as np

from mimecurate.evaluation.ranks import Ranks, rank_true_class
from mimecurate.evaluation.score_table import listed, refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from mimecurate.evaluation.predictions import Predictions
    from mimecurate.evaluation.targets import Targets

POLICY_CHOICES: Mapping[str, tuple[str, ...]] = {
    "missing": ("wrong", "exclude", "error"),
    "duplicates": ("error", "average"),
    "nan": ("error", "wrong"),
}
_MEDIA_SUFFIXES = frozenset({".mp4", ".webm", ".mkv", ".avi", ".mov", ".m4v"})


@dataclass(frozen=True, slots=True)
class Policy:
    """What is done with clips and scores that are not as they should be."""

    missing: Literal["wrong", "exclude", "error"] = "wrong"
    """A clip without a row: wrong (Mimetics paper, Appendix A.2), left out, or refused."""
    duplicates: Literal["error", "average"] = "error"
    """Several rows for a clip: refused, or their mean."""
    nan: Literal["error", "wrong"] = "error"
    """A row with NaN or plus infinity: refused, or the clip counts as wrong."""

    @staticmethod
    def checked(missing: str, duplicates: str, nan: str) -> Policy:
        """Make a policy from words.

        Raises:
            ValueError: a word that there isn't.

        >>> Policy.checked("exclude", "error", "wrong").missing
        'exclude'
        """
        for field, value in (("missing", missing), ("duplicates", duplicates), ("nan", nan)):
            if value not in POLICY_CHOICES[field]:
                raise ValueError(
                    f"{field} = {value!r} must be {' or '.join(POLICY_CHOICES[field])}"
                )
        return Policy(missing, duplicates, nan)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True, eq=False)
class Matched:
    """A prediction file against a release; arrays are ``(n,)``, in the order of its clips."""

    predictions: Predictions
    """With class names, and one row per clip."""
    rows: NDArray[np.int64]
    """The clip's row of scores; -1: none."""
    columns: NDArray[np.int64]
    """The true class's column."""
    rank: NDArray[np.int32]
    """From 1; 0: wrong without a rank, or not counted."""
    tied: NDArray[np.bool_]
    invalid: NDArray[np.bool_]
    """The row holds NaN or infinity and counts as wrong."""
    missing: NDArray[np.bool_]
    """The clip could be had and the model gave nothing for it."""
    unavailable: NDArray[np.bool_]
    """Nobody could fetch the clip any more, and the model gave nothing for it."""
    counted: NDArray[np.bool_]
    """The clip is part of the averages."""
    extra: int
    """How many rows are not in the release."""
    warnings: tuple[str, ...]


def match(
    predictions: Predictions,
    targets: Targets,
    policy: Policy,
    available: NDArray[np.bool_] | None = None,
) -> Matched:
    """Match a prediction file with a release, by clip id and class name, and rank the clips.

    Args:
        predictions: the file.
        targets: the release's clips.
        policy: what to do with what is missing, double or no number.
        available: ``(n,)``, the clips that could be had; None: all of them.

    Raises:
        InvalidInputError: what the policy refuses, no clip in common, or a true class without a
            column. The first clips or classes are named.
    """
    index, extra = _clip_of_each_row(predictions, targets)
    predictions, index = _one_row_per_clip(predictions, targets, index, policy)
    predictions = _with_class_names(predictions, targets, index)
    columns = _true_columns(predictions, targets)
    rows = np.full(len(targets.clips), -1, np.int64)
    rows[index[index >= 0]] = np.flatnonzero(index >= 0)
    absent = rows < 0
    unavailable = absent & ~available if available is not None else np.zeros_like(absent)
    missing = absent & ~unavailable
    if missing.any() and policy.missing == "error":
        raise refusal(
            predictions.file or predictions.name,
            f"has no row for {int(missing.sum())} of {len(rows)} clips: {_ids(targets, missing)}",
            hint="Count them as wrong with --missing wrong, or leave them out with exclude.",
        )
    ranks = _ranks(predictions, columns, index)
    invalid = ~absent & ranks.invalid[rows]
    if invalid.any() and policy.nan == "error":
        raise refusal(
            predictions.file or predictions.name,
            f"has NaN or infinite scores for {int(invalid.sum())} clips: {_ids(targets, invalid)}",
            hint="Count these clips as wrong with --nan wrong.",
        )
    ranked = ~absent & ~invalid
    return Matched(
        predictions,
        rows,
        columns,
        np.where(ranked, ranks.rank[rows], 0).astype(np.int32),
        ranked & ranks.tied[rows],
        invalid,
        missing,
        unavailable,
        ~unavailable & ~(missing & (policy.missing == "exclude")),
        extra,
        _warnings(predictions, targets, missing, extra),
    )


def true_column_of_each_row(matched: Matched) -> NDArray[np.int64]:
    """Return ``(N,)`` true columns in the order of the file; 0 for rows of no clip."""
    columns = np.zeros(len(matched.predictions.clip_ids), np.int64)
    found = matched.rows >= 0
    columns[matched.rows[found]] = matched.columns[found]
    return columns


def _clip_of_each_row(predictions: Predictions, targets: Targets) -> tuple[NDArray[np.int64], int]:
    """Find each row's clip: by its id, or by a path or file name that ends in it."""
    known = {clip.clip_id: i for i, clip in enumerate(targets.clips)}
    index = np.array([known.get(clip_id, -1) for clip_id in predictions.clip_ids], np.int64)
    for row in np.flatnonzero(index < 0):
        index[row] = _clip_of_path(known, predictions.clip_ids[row])
    extra = int((index < 0).sum())
    if extra == len(index):
        raise refusal(
            predictions.file or predictions.name,
            f"has no clip of the release: its ids are {listed(predictions.clip_ids, 3)}; "
            f"the release's {listed([c.clip_id for c in targets.clips[:3]])}",
        )
    return index, extra


def _clip_of_path(known: Mapping[str, int], path: str) -> int:
    name = PurePosixPath(path).name
    stem, dot, suffix = name.rpartition(".")
    return known.get(stem if dot + suffix.lower() in _MEDIA_SUFFIXES else name, -1)


def _one_row_per_clip(
    predictions: Predictions, targets: Targets, index: NDArray[np.int64], policy: Policy
) -> tuple[Predictions, NDArray[np.int64]]:
    counts = np.bincount(index[index >= 0], minlength=len(targets.clips))
    double = counts > 1
    if not double.any():
        return predictions, index
    if policy.duplicates == "error":
        raise refusal(
            predictions.file or predictions.name,
            f"has several rows for {int(double.sum())} clips: {_ids(targets, double)}",
            hint="Keep one row per clip, or score their mean with --duplicates average.",
        )
    clips, first = np.unique(np.where(index < 0, len(counts), index), return_index=True)
    first = first[clips < len(counts)]
    scores = predictions.scores[first]
    order = np.argsort(index, kind="stable")[-int(counts.sum()) :]
    ends = np.cumsum(counts)
    kept = np.flatnonzero(counts)
    for place, clip in enumerate(kept):
        if double[clip]:
            rows = predictions.scores[order[ends[clip] - counts[clip] : ends[clip]]]
            scores[place] = np.sort(rows, axis=0).mean(axis=0, dtype=np.float64)
    true = predictions.true_columns
    single = replace(
        predictions,
        clip_ids=tuple(targets.clips[clip].clip_id for clip in kept),
        scores=scores,
        true_columns=None if true is None else true[first],
        warnings=(
            *predictions.warnings,
            f"{int(double.sum())} clips have several rows: their scores are averaged",
        ),
    )
    return single, kept.astype(np.int64)


def _with_class_names(
    predictions: Predictions, targets: Targets, index: NDArray[np.int64]
) -> Predictions:
    """Name the columns by the true class that the file itself gives, or check its names by it."""
    file, true = predictions.file or predictions.name, predictions.true_columns
    names = predictions.class_names
    if names is not None and true is None:
        return predictions
    said = np.zeros(0, np.int64) if true is None else np.flatnonzero((index >= 0) & (true >= 0))
    true = np.zeros(0, np.int64) if true is None else true
    if (true >= predictions.ways).any():
        raise refusal(file, f"gives gt_label {true.max()} and has {predictions.ways} columns")
    pairs = {(int(true[row]), targets.class_names[targets.labels[index[row]]]) for row in said}
    if names is not None:
        wrong = sorted((names[c], label) for c, label in pairs if names[c] != label)
        if wrong:
            raise refusal(
                file,
                f"gt_label says {wrong[0][0]!r} where the release says {wrong[0][1]!r}, "
                f"and {len(wrong) - 1} more such: the class names are in another order",
            )
        return predictions
    if len(dict(pairs)) < len(pairs) or len({label for _, label in pairs}) < len(pairs):
        raise refusal(
            file,
            "names no classes, and its gt_label contradicts the release's classes",
            hint="Give the class names in the order of the columns with --classes FILE.",
        )
    if not pairs:
        raise refusal(
            file,
            "names no classes, and has no gt_label to know them by",
            hint="Give the class names in the order of the columns with --classes FILE.",
        )
    known = dict(pairs)
    return replace(
        predictions,
        class_names=tuple(known.get(c, f"column {c}") for c in range(predictions.ways)),
        warnings=(
            *predictions.warnings,
            f"the file names no classes: {len(known)} of {predictions.ways} columns are known "
            "from its gt_label, the others are called by their number",
        ),
    )


def _true_columns(predictions: Predictions, targets: Targets) -> NDArray[np.int64]:
    names = predictions.class_names or ()
    number = {name: i for i, name in enumerate(names)}
    if without := [name for name in targets.class_names if name not in number]:
        raise refusal(
            predictions.file or predictions.name,
            f"has no column for {len(without)} of {len(targets.class_names)} true classes: "
            f"{listed(without)}; its columns are {listed(names, 3)}",
            hint="Columns must be called as the release's classes are ('_' for a space will do).",
        )
    return np.array([number[name] for name in targets.class_names], np.int64)[targets.labels]


def _ranks(predictions: Predictions, columns: NDArray[np.int64], index: NDArray[np.int64]) -> Ranks:
    """Rank all rows in the order of the file: no second copy of the scores."""
    of_row = np.zeros(len(index), np.int64)
    found = index >= 0
    of_row[found] = columns[index[found]]
    return rank_true_class(predictions.scores, of_row)


def _ids(targets: Targets, which: NDArray[np.bool_]) -> str:
    return listed([targets.clips[i].clip_id for i in np.flatnonzero(which)])


def _warnings(
    predictions: Predictions, targets: Targets, missing: NDArray[np.bool_], extra: int
) -> tuple[str, ...]:
    found = list(predictions.warnings)
    for split, inside in targets.splits.items():
        if missing[inside].all() and not missing.all():
            found.append(f"no clip of split {split!r} is scored; choose another with --split")
    if missing.any():
        found.append(f"{int(missing.sum())} clips have no scores: {_ids(targets, missing)}")
    if extra:
        found.append(f"{extra} rows are not in the release: ignored")
    return tuple(found)
