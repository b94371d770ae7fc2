"""What every reader of prediction files gives, and what they check alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mimecurate.errors import InvalidInputError, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

MAX_CLASSES = 100_000
FREE_BYTES = 1 << 30
MAX_EXPANSION = 200
"""A file may ask for at most this many times its own size, once past ``FREE_BYTES``."""


@dataclass(frozen=True, slots=True, eq=False)
class ScoreTable:
    """The rows of a prediction file, before they are matched with a release."""

    clip_ids: list[str]
    class_names: list[str] | None
    """None: the file names no columns; then ``true_columns`` must say which is which."""
    scores: NDArray[np.floating]
    """``(N, C)``, float32 or float64, NaN where the file has no score."""
    true_columns: NDArray[np.int64] | None = None
    """``(N,)``, the column that the file itself says is the true class; -1 where it doesn't."""
    warnings: tuple[str, ...] = ()
    manifest: Mapping[str, Any] | None = None
    """How the file came to be, if it says so: as `prediction_manifest.parse_manifest` gives it."""


def refusal(name: str, *problems: str | Problem, hint: str = "") -> InvalidInputError:
    """Make the error for the prediction file called ``name``."""
    return InvalidInputError(
        name, [Problem(p) if isinstance(p, str) else p for p in problems], hint
    )


def check_size(name: str, rows: int, columns: int, item_bytes: int, file_bytes: int) -> None:
    """Refuse a file that asks for far more memory than it holds, before giving it any.

    Raises:
        InvalidInputError: no row or column, too many columns, or over ``MAX_EXPANSION`` times
            the file's own size.

    >>> check_size("a.npz", 10, 400, 4, 16_000)
    """
    if rows < 1 or columns < 1:
        raise refusal(name, f"holds {rows} clips and {columns} classes: nothing to score")
    if columns > MAX_CLASSES:
        raise refusal(name, f"has {columns} classes; at most {MAX_CLASSES} are read")
    wanted = rows * columns * item_bytes
    if wanted > FREE_BYTES and wanted > MAX_EXPANSION * file_bytes:
        raise refusal(
            name, f"a file of {file_bytes} bytes asks for {wanted} bytes of scores: not expanded"
        )


def as_scores(name: str, array: NDArray[np.generic]) -> NDArray[np.floating]:
    """Return an ``(N, C)`` array as float32 or float64, exactly; no copy where none is needed.

    Raises:
        InvalidInputError: not two-dimensional, or not real numbers.
    """
    if array.ndim != 2:
        raise refusal(
            name, f"scores have shape {array.shape}; they must be (clips, classes), two-dimensional"
        )
    if array.dtype.kind == "f":
        wanted = np.float32 if array.dtype.itemsize <= 4 else np.float64
    elif array.dtype.kind in "iu":
        wanted = np.float64
    else:
        raise refusal(name, f"scores are {array.dtype}; they must be real numbers")
    return array.astype(wanted, copy=False)


def listed(items: Sequence[object], limit: int = 5) -> str:
    """Write the first items of a list: ``a, b, c and 12 more``.

    >>> listed(["a", "b", "c"], limit=2)
    "'a', 'b' and 1 more"
    """
    shown = ", ".join(repr(item)[:120] for item in items[:limit])
    return shown if len(items) <= limit else f"{shown} and {len(items) - limit} more"
