"""Small releases and prediction files for the tests of scoring."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from mimecurate.evaluation.predictions import Predictions
from mimecurate.schemas.release import Flag, ObjectSize, Release, ReleasedClass, ReleasedClip

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

CLASSES = ("archery", "bowling", "drinking", "playing bass guitar", "punching person (boxing)")
SIZES = (ObjectSize.LARGE, ObjectSize.MEDIUM, ObjectSize.SMALL, ObjectSize.LARGE, ObjectSize.NONE)
FLAGS = (Flag.YES, Flag.NO, Flag.UNSURE, None)


def make_release(
    clips: int = 60, *, videos: int = 40, seed: int = 0, splits: Sequence[str] = ("test",)
) -> Release:
    """Make a release of clips with random classes, videos and flags, all four values of a flag."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(clips):
        video = f"video{rng.integers(videos):06d}" if i >= 2 else f"video{i:06d}"
        flags = [FLAGS[k] for k in rng.choice(4, 3, p=[0.35, 0.5, 0.1, 0.05])]
        label = CLASSES[i % len(CLASSES)]
        split = splits[i % len(splits)]
        start_ms = 1000 * i
        clip_id = f"{video}_{i:06d}_{i + 3:06d}"
        rows.append(ReleasedClip(clip_id, video, start_ms, start_ms + 3000, label, split, *flags))
    classes = tuple(ReleasedClass(n, s) for n, s in zip(CLASSES, SIZES, strict=True))
    rows.sort(key=lambda clip: clip.clip_id)
    return Release("small", "1.0.0", "ab" * 32, tuple(rows), classes)


def make_predictions(
    release: Release,
    name: str = "model",
    *,
    ways: int = 400,
    skill: float = 1.5,
    seed: int = 0,
    dtype: Any = np.float32,
) -> Predictions:
    """Make scores: noise, plus ``skill`` on the true class."""
    rng = np.random.default_rng(seed)
    known = sorted({clip.label for clip in release.clips})
    names = (*known, *(f"other {i}" for i in range(ways - len(known))))
    scores = rng.standard_normal((len(release.clips), ways)).astype(dtype)
    labels = [known.index(clip.label) for clip in release.clips]
    scores[np.arange(len(labels)), labels] += skill
    return Predictions(name, tuple(c.clip_id for c in release.clips), names, scores)


def true_columns(release: Release, predictions: Predictions) -> NDArray[np.int64]:
    """Return each clip's true column, for predictions in the release's order."""
    assert predictions.class_names is not None
    return np.array([predictions.class_names.index(clip.label) for clip in release.clips])


def write_npz(path: Path, predictions: Predictions, *, compressed: bool = False) -> Path:
    """Write an .npz file."""
    save = np.savez_compressed if compressed else np.savez
    with path.open("wb") as file:
        save(
            file,
            clip_ids=np.array(predictions.clip_ids),
            class_names=np.array(predictions.class_names),
            scores=predictions.scores,
        )
    return path


def write_csv(path: Path, predictions: Predictions, delimiter: str = ",") -> Path:
    """Write a CSV file with every digit of the scores."""
    import csv

    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(["clip_id", *(predictions.class_names or ())])
        for clip_id, row in zip(predictions.clip_ids, predictions.scores.tolist(), strict=True):
            writer.writerow([clip_id, *map(repr, row)])
    return path


def write_parquet(path: Path, predictions: Predictions) -> Path:
    """Write a Parquet file with a column per class."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {n: predictions.scores[:, i] for i, n in enumerate(predictions.class_names or ())}
    pq.write_table(pa.table({"clip_id": list(predictions.clip_ids), **columns}), path)
    return path


def write_parquet_lists(path: Path, predictions: Predictions, *, in_column: bool = False) -> Path:
    """Write a Parquet file with one list column; class names in the metadata or in a column."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = list(predictions.class_names or ())
    columns: dict[str, Any] = {
        "clip_id": list(predictions.clip_ids),
        "scores": [list(row) for row in predictions.scores],
    }
    if in_column:
        columns["class_names"] = [names] * len(predictions.clip_ids)
    table = pa.table(columns)
    if not in_column:
        table = table.replace_schema_metadata({"class_names": json.dumps(names)})
    pq.write_table(table, path)
    return path


def write_json(path: Path, predictions: Predictions) -> Path:
    """Write JSON with lists of scores."""
    rows = dict(zip(predictions.clip_ids, predictions.scores.tolist(), strict=True))
    path.write_text(json.dumps({"class_names": predictions.class_names, "scores": rows}))
    return path


def write_json_named(path: Path, predictions: Predictions) -> Path:
    """Write JSON with an object of class to score per clip."""
    path.write_text(json.dumps(dict(_named_rows(predictions))))
    return path


def write_jsonl(path: Path, predictions: Predictions) -> Path:
    """Write JSON lines with an object of class to score per clip."""
    lines = [json.dumps({"clip_id": clip, "scores": s}) for clip, s in _named_rows(predictions)]
    path.write_text("\n".join(lines) + "\n")
    return path


def _named_rows(predictions: Predictions) -> list[tuple[str, dict[str, float]]]:
    names = predictions.class_names or ()
    return [
        (clip, dict(zip(names, row, strict=True)))
        for clip, row in zip(predictions.clip_ids, predictions.scores.tolist(), strict=True)
    ]


WRITERS: dict[str, Any] = {
    "npz": write_npz,
    "npz compressed": lambda path, p: write_npz(path, p, compressed=True),
    "parquet columns": write_parquet,
    "parquet list, names in metadata": write_parquet_lists,
    "parquet list, names in a column": lambda path, p: write_parquet_lists(path, p, in_column=True),
    "csv": write_csv,
    "tsv": lambda path, p: write_csv(path, p, "\t"),
    "json lists": write_json,
    "json objects": write_json_named,
    "jsonl": write_jsonl,
}
"""Every way to write the same predictions."""
