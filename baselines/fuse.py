"""Late fusion: the weighted mean of the class probabilities of several systems.

Simonyan and Zisserman, "Two-Stream Convolutional Networks for Action Recognition in Videos", NIPS
2014, section 5 (averaging of softmax scores); RGB+Flow of the Mimetics paper, Table 6.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mimecurate.errors import InvalidInputError, MimecurateError, Problem
from mimecurate.evaluation.score_table import listed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mimecurate.evaluation.predictions import Predictions

Kind = Literal["probabilities", "logits"]
Missing = Literal["error", "skip"]

_SUM_TOLERANCE = 0.01
"""A row of probabilities sums to 1 within this: half precision and text of three decimals pass."""


@dataclass(frozen=True, slots=True, eq=False)
class Fused:
    """Fused scores, and what was left out of them.

    Attributes:
        clip_ids: of the rows, in the first file's order.
        class_names: of the columns, in the first file's order.
        scores: float32[N, C], the weighted mean of probabilities.
        kinds: what each file held.
        skipped_clips: that not every file scores; sorted.
        skipped_classes: that not every file has; sorted.
    """

    clip_ids: tuple[str, ...]
    class_names: tuple[str, ...]
    scores: NDArray[np.float32]
    kinds: tuple[Kind, ...]
    skipped_clips: tuple[str, ...]
    skipped_classes: tuple[str, ...]

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Give rows, for `mimecurate.baselines.prediction_file.write_predictions`."""
        return self.scores[start:stop]


def fuse(
    systems: Sequence[Predictions],
    *,
    weights: Sequence[float] | None = None,
    scores: Literal["auto", "probabilities", "logits"] = "auto",
    missing: Missing = "error",
) -> Fused:
    """Average the probabilities of systems, clip by clip and class by class, by their names.

    Args:
        systems: at least one, all with class names.
        weights: of each system, not negative; only their ratios matter. ``None``: all alike.
        scores: what the files hold. Logits go through a softmax over the file's own classes.
            ``auto``: told for each file by its values, as in `kind_of`.
        missing: what to do where a clip or a class isn't in every file: refuse, or leave it out.
            A row of nothing but NaN counts as no row. What is left is not stretched to sum to 1.

    Raises:
        InvalidInputError: a file's scores are of neither kind, or it has a clip twice, or no class
            names; or clips or classes differ and ``missing`` is ``error``.
        MimecurateError: nothing is left.
        ValueError: weights that are no weights.

    >>> from mimecurate.evaluation.predictions import Predictions
    >>> a = Predictions("a", ("clip",), ("bowling", "archery"), np.array([[0.75, 0.25]]))
    >>> b = Predictions("b", ("clip",), ("archery", "bowling"), np.array([[0.75, 0.25]]))
    >>> fuse([a, b], weights=[3, 1]).scores.tolist()
    [[0.625, 0.375]]
    """
    shares = _shares(len(systems), weights)
    rows = [_rows_of(system) for system in systems]
    kinds = tuple(kind_of(s) if scores == "auto" else _checked(s, scores) for s in systems)
    clips, skipped_clips = _common([list(r) for r in rows], systems, "clips", missing)
    columns = [{name: i for i, name in enumerate(s.class_names or ())} for s in systems]
    classes, skipped_classes = _common([list(c) for c in columns], systems, "classes", missing)
    total = np.zeros((len(clips), len(classes)))
    for system, kind, share, row_of, column_of in zip(
        systems, kinds, shares, rows, columns, strict=True
    ):
        chosen = system.scores[[row_of[clip] for clip in clips]].astype(np.float64)
        probabilities = _softmax(chosen) if kind == "logits" else chosen
        total += share * probabilities[:, [column_of[name] for name in classes]]
    return Fused(
        tuple(clips),
        tuple(classes),
        total.astype(np.float32),
        kinds,
        tuple(skipped_clips),
        tuple(skipped_classes),
    )


def kind_of(system: Predictions) -> Kind:
    """Tell probabilities from logits.

    Probabilities: all values are 0 to 1 and every row sums to 1, within 0.01. Logits: some value is
    negative or over 1. Log-probabilities are logits too: the softmax gives the probabilities back.

    Raises:
        InvalidInputError: values of 0 to 1 whose rows don't sum to 1 (a sigmoid's, or of some of
            the classes) may be either.
    """
    found = system.scores[_scored(system)]
    if (found < 0).any() or (found > 1 + _SUM_TOLERANCE).any():
        return "logits"
    worst = float(np.abs(found.sum(1, dtype=np.float64) - 1).max(initial=0))
    if worst <= _SUM_TOLERANCE:
        return "probabilities"
    raise _refusal(
        system,
        f"its scores are 0 to 1, but a row is {worst:.3g} off a sum of 1: neither plainly "
        "probabilities nor logits; say which with --scores",
    )


def fusion_manifest(
    systems: Sequence[Predictions],
    weights: Sequence[float] | None,
    fused: Fused,
    missing: Missing,
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """Say where fused scores come from: the files with their SHA-256, weights and kinds.

    Args:
        systems: as given to `fuse`.
        weights: as given to `fuse`.
        fused: what came of it.
        missing: as given to `fuse`.
        notes: of the files' own manifests, such as that a model's weights were random.
    """
    from importlib.metadata import version

    shares = _shares(len(systems), weights)
    sources = [
        {"file": s.file, "name": s.name, "sha256": s.sha256, "weight": share, "scores": kind}
        for s, share, kind in zip(systems, shares, fused.kinds, strict=True)
    ]
    names = " + ".join(f"{share:.4g} {s.name}" for s, share in zip(systems, shares, strict=True))
    manifest: dict[str, Any] = {
        "model": f"fusion: {names}",
        "clips": len(fused.clip_ids),
        "settings": {
            "missing": missing,
            "skipped_classes": len(fused.skipped_classes),
            "skipped_clips": len(fused.skipped_clips),
            "sources": sources,
        },
        "versions": {"mimecurate": version("mimecurate"), "numpy": np.__version__},
    }
    return manifest | ({"note": "; ".join(sorted(set(notes)))} if notes else {})


def _shares(count: int, weights: Sequence[float] | None) -> list[float]:
    given = [1.0] * count if weights is None else [float(weight) for weight in weights]
    if not count or len(given) != count:
        raise ValueError(f"{len(given)} weights for {count} prediction files")
    largest = max(given)
    if not all(math.isfinite(w) and w >= 0 for w in given) or largest == 0:
        raise ValueError("weights must be numbers of 0 or more, not all 0")
    scaled = [weight / largest for weight in given]  # a sum of the largest floats is infinite
    return [weight / math.fsum(scaled) for weight in scaled]


def _rows_of(system: Predictions) -> dict[str, int]:
    """Give the row of each clip that has scores."""
    if system.class_names is None:
        raise _refusal(system, "names no classes; give them with --classes FILE")
    rows: dict[str, int] = {}
    twice = []
    for row, clip_id in enumerate(system.clip_ids):
        if clip_id in rows:
            twice.append(clip_id)
        rows[clip_id] = row
    if twice:
        raise _refusal(system, f"has several rows for {listed(twice)}")
    scored = _scored(system)
    return {clip_id: row for clip_id, row in rows.items() if scored[row]}


def _scored(system: Predictions) -> NDArray[np.bool_]:
    """Say which rows hold scores; one of nothing but NaN does not.

    Raises:
        InvalidInputError: a row is NaN in part, or infinite.
    """
    nan = np.isnan(system.scores)
    empty: NDArray[np.bool_] = nan.all(1)
    wrong = (nan.any(1) & ~empty) | np.isposinf(system.scores).any(1)
    wrong |= np.isneginf(system.scores).all(1)
    if wrong.any():
        names = [system.clip_ids[row] for row in np.flatnonzero(wrong)]
        raise _refusal(system, f"has NaN or infinity among the scores of {listed(names)}")
    return ~empty


def _checked(system: Predictions, kind: Kind) -> Kind:
    found = system.scores[_scored(system)]
    if kind == "probabilities" and ((found < 0).any() or (found > 1 + _SUM_TOLERANCE).any()):
        low, high = float(found.min()), float(found.max())
        raise _refusal(system, f"holds {low:.4g} to {high:.4g}: no probabilities")
    return kind


def _common(
    names: Sequence[list[str]], systems: Sequence[Predictions], what: str, missing: Missing
) -> tuple[list[str], list[str]]:
    """Give the names that all have, in the first's order, and those that not all have."""
    known = [set(these) for these in names]
    shared = set.intersection(*known)
    left_out = sorted(set.union(*known) - shared)
    if left_out and missing == "error":
        problems = [
            Problem(f"{system.name} has no {listed(sorted(set(left_out) - have))}")
            for system, have in zip(systems, known, strict=True)
            if set(left_out) - have
        ]
        hint = f"--missing skip leaves out the {what} that are not in every file"
        raise InvalidInputError(f"the files differ in {what}", problems, hint)
    if not shared:
        raise MimecurateError(f"no {what} are in every file: nothing to fuse")
    return [name for name in names[0] if name in shared], left_out


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    powers: NDArray[np.float64] = np.exp(logits - logits.max(1, keepdims=True))
    powers /= powers.sum(1, keepdims=True)
    return powers


def _refusal(system: Predictions, problem: str) -> InvalidInputError:
    return InvalidInputError(system.file or system.name, [Problem(problem)])
