"""Write prediction files: a row per clip, a column per class, and how they came to be.

A Parquet file holds its manifest itself, in the schema's metadata under `MANIFEST_KEY`; `.npz` and
`.csv` have it beside them, as ``FILE.manifest.json``. Files appear whole or not at all.
"""

from __future__ import annotations

import contextlib
import csv
import json
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from mimecurate.curation.media_store import publish
from mimecurate.errors import MimecurateError, plain_words
from mimecurate.evaluation.prediction_manifest import MANIFEST_KEY, manifest_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

ENDINGS = (".parquet", ".npz", ".csv")
_GROUP_ROWS = 4096


class Rows(Protocol):
    """Scores that need not be in memory all at once."""

    @property
    def clip_ids(self) -> Sequence[str]:
        """The clips, in order."""
        ...

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Give the scores of the clips ``start`` to ``stop``: float32[stop - start, C]."""
        ...


def check_output(path: Path, class_names: Sequence[str] = ()) -> None:
    """Refuse an output that can't be written, before any work is done for it.

    Raises:
        MimecurateError: its ending is none of `ENDINGS`, its folder isn't there, or class names
            can't be columns.
    """
    if path.suffix not in ENDINGS:
        raise MimecurateError(f"{path}: write to a file that ends in {', '.join(ENDINGS)}")
    if not path.parent.is_dir():
        raise MimecurateError(f"{path}: there is no folder {path.parent}")
    if path.is_dir():
        raise MimecurateError(f"{path}: is a folder")
    twice = sorted({name for name in class_names if class_names.count(name) > 1})
    if twice or "clip_id" in class_names:
        named = ", ".join(map(repr, twice)) or "'clip_id'"
        raise MimecurateError(f"class names must differ, and none be clip_id: {named}")


def write_predictions(
    path: Path, class_names: Sequence[str], rows: Rows, manifest: Mapping[str, Any]
) -> None:
    """Write a prediction file, in the format of its ending.

    Args:
        path: the file; replaced if it is there.
        class_names: of the columns.
        rows: of the clips.
        manifest: how they came to be; JSON.

    Raises:
        MimecurateError: it can't be written.
    """
    text = json.dumps(manifest, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write = {".parquet": _write_parquet, ".npz": _write_npz, ".csv": _write_csv}[path.suffix]
    try:
        if path.suffix != ".parquet":
            _replace(manifest_path(path), lambda part: part.write_text(text + "\n", "utf-8"))
        _replace(path, lambda part: write(part, class_names, rows, text))
    except OSError as error:
        raise MimecurateError(f"{path} can't be written: {plain_words(error)}") from error


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file under another name and give it its own at the end.

    The name is the same each time: what a killed run leaves is written over by the next.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        write(part)
        publish(part, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            part.unlink()


def _parts(rows: Rows) -> Iterator[tuple[Sequence[str], NDArray[np.float32]]]:
    for start in range(0, len(rows.clip_ids), _GROUP_ROWS):
        ids = rows.clip_ids[start : start + _GROUP_ROWS]
        yield ids, rows.read(start, start + len(ids))


def _write_parquet(path: Path, class_names: Sequence[str], rows: Rows, manifest: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = [("clip_id", pa.string()), *((name, pa.float32()) for name in class_names)]
    schema = pa.schema(columns, metadata={MANIFEST_KEY: manifest})
    with pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=False) as file:
        for ids, scores in _parts(rows):
            arrays = [pa.array(ids, pa.string()), *(pa.array(column) for column in scores.T)]
            file.write_table(pa.Table.from_arrays(arrays, schema=schema))


def _write_npz(path: Path, class_names: Sequence[str], rows: Rows, manifest: str) -> None:
    scores = np.empty((len(rows.clip_ids), len(class_names)), np.float32)
    done = 0
    for ids, part in _parts(rows):
        scores[done : done + len(ids)] = part
        done += len(ids)
    with path.open("wb") as file:
        np.savez(
            file,
            clip_ids=np.array(rows.clip_ids, np.str_),
            class_names=np.array(class_names, np.str_),
            scores=scores,
        )


def _write_csv(path: Path, class_names: Sequence[str], rows: Rows, manifest: str) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["clip_id", *class_names])
        for ids, scores in _parts(rows):
            for clip_id, row in zip(ids, scores, strict=True):
                writer.writerow([clip_id, *(str(score) for score in row)])
