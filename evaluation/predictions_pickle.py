"""Prediction files that mmaction2 dumps (``tools/test.py --dump FILE.pkl``): a pickled list.

Each sample is a dict: its scores under ``pred_score`` (or ``pred_scores["item"]``, as written
before mmaction2 1.1), its name under one of ``SAMPLE_NAMES``, its true class as a column number
under ``gt_label`` (or ``gt_labels["item"]``). A dump has no class names: they come from a file of
the user's, or each true class's column is known from ``gt_label`` and the others stay unnamed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mimecurate.evaluation.predictions_json import Members, rows_to_table
from mimecurate.evaluation.safe_unpickle import Array, Tensor, UnsafePickleError, safe_unpickle
from mimecurate.evaluation.score_table import ScoreTable, as_scores, check_size, refusal

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SAMPLE_NAMES = ("clip_id", "filename", "frame_dir", "img_key", "video_id")
"""Where a sample's clip id is looked for, in this order; a path or file name will do."""
_ID_HINT = (
    "Give the test pipeline PackActionInputs(meta_keys=('filename', …)), so that each sample "
    "keeps the name of its clip, and dump again."
)


def read_pickle(path: Path, name: str) -> ScoreTable:
    """Read a pickled prediction file; nothing in it is run.

    Raises:
        InvalidInputError: whatever is wrong with it, or anything in it but results.
    """
    data = path.read_bytes()
    try:
        content = safe_unpickle(data)
        if isinstance(content, dict):
            return _from_dict(content, name, len(data))
        if isinstance(content, list) and content:
            return _from_samples(content, name, len(data))
    except UnsafePickleError as error:
        raise refusal(
            name,
            f"is a pickle that is not read: {error}",
            hint="Only numbers, text, lists, dicts, NumPy arrays and torch tensors are built.",
        ) from error
    raise refusal(name, f"is a pickle of {type(content).__name__}, not of a list of samples")


def _from_samples(samples: list[Any], name: str, file_bytes: int) -> ScoreTable:
    if not all(isinstance(sample, dict) for sample in samples):
        raise refusal(name, "is a list of scores without clip ids", hint=_ID_HINT)
    key = next((k for k in SAMPLE_NAMES if isinstance(samples[0].get(k), str)), None)
    if key is None:
        raise refusal(
            name,
            f"gives samples no name: the first has none of {', '.join(SAMPLE_NAMES)} as text",
            hint=_ID_HINT,
        )
    rows: list[NDArray[Any]] = []
    for number, sample in enumerate(samples, 1):
        if not isinstance(sample.get(key), str):
            raise refusal(name, f"sample {number} has no {key}", hint=_ID_HINT)
        row = _vector(_value(sample, "pred_score", "pred_scores"))
        if row is None:
            raise refusal(name, f"sample {number} has no vector of numbers as pred_score")
        if rows and row.size != rows[0].size:
            raise refusal(name, f"sample {number} has {row.size} scores, others {rows[0].size}")
        rows.append(row)
        if number == 1:
            check_size(name, len(samples), row.size, row.itemsize, file_bytes)
    columns = [_true_column(_value(s, "gt_label", "gt_labels")) for s in samples]
    return ScoreTable(
        [sample[key] for sample in samples],
        None,
        as_scores(name, np.stack(rows)),
        np.array(columns, np.int64),
    )


def _from_dict(content: dict[Any, Any], name: str, file_bytes: int) -> ScoreTable:
    """Read a pickled dict in the forms that JSON and .npz have."""
    if not all(isinstance(key, str) for key in content):
        raise refusal(name, "is a pickled dict whose keys are not text")
    names = content.get("class_names")
    class_names = None if names is None else _texts(names, name, "class_names")
    scores = content.get("scores")
    if "clip_ids" in content and class_names is not None:
        clip_ids = _texts(content["clip_ids"], name, "clip_ids")
        rows = list(zip(clip_ids, _list(scores, name, len(clip_ids)), strict=True))
    else:
        rows = list((scores if isinstance(scores, dict) else content).items())
    if not all(isinstance(clip, str) for clip, _ in rows):
        raise refusal(name, "is a pickled dict whose clip ids are not text")
    return rows_to_table([(k, _row(v)) for k, v in rows], class_names, name, file_bytes)


def _row(value: Any) -> Any:
    if isinstance(value, dict):
        return Members(list(value.items()))
    vector = _vector(value)
    return value if vector is None else vector.astype(np.float64).tolist()


def _list(value: Any, name: str, length: int) -> list[Any]:
    rows: list[Any] = []
    if isinstance(value, (Array, Tensor)):
        rows = value.array().tolist() if value.array().ndim == 2 else []
    elif isinstance(value, list):
        rows = value
    if len(rows) != length:
        raise refusal(name, f"scores hold {len(rows)} rows for {length} clip_ids")
    return rows


def _texts(value: Any, name: str, field: str) -> list[str]:
    items = value.array().tolist() if isinstance(value, (Array, Tensor)) else value
    if not isinstance(items, (list, tuple)) or not all(isinstance(i, str) for i in items):
        raise refusal(name, f"{field} must be a list of texts")
    return list(items)


def _value(sample: dict[Any, Any], key: str, older_key: str) -> Any:
    if key in sample:
        return sample[key]
    older = sample.get(older_key)
    return older.get("item") if isinstance(older, dict) else older


def _vector(value: Any) -> NDArray[Any] | None:
    """Return a vector of numbers as an array; None for anything else."""
    if isinstance(value, (Array, Tensor)):
        numbers = value.array()
        if numbers.ndim == 2 and numbers.shape[0] == 1:
            numbers = numbers[0]
        return numbers if numbers.ndim == 1 and numbers.dtype.kind in "fiu" else None
    if isinstance(value, (list, tuple)) and value and {int, float}.issuperset(map(type, value)):
        try:
            return np.array(value, np.float64)
        except OverflowError:
            return None
    return None


def _true_column(value: Any) -> int:
    if isinstance(value, (Array, Tensor)):
        numbers = value.array()
        value = numbers.reshape(-1).tolist() if numbers.dtype.kind in "iu" else None
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value if type(value) is int and abs(value) < 1 << 31 else -1
