"""Prediction files: one row per clip, one score per class, in any format of the interface.

The format is told by content, never by the file's name. Clips are known by their id and classes
by their name: the order of rows and columns means nothing.
"""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mimecurate.curation.class_list import normal_class_name
from mimecurate.evaluation.prediction_manifest import read_manifest_beside
from mimecurate.evaluation.score_table import ScoreTable, as_scores, listed, refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from pandas import DataFrame

_MAX_NAME = 200
_FOREIGN = {
    b"\x1f\x8b": "is compressed with gzip; unpack it first",
    b"BZh": "is compressed with bzip2; unpack it first",
    b"\xfd7zXZ": "is compressed with xz; unpack it first",
    b"\x93NUMPY": "is one bare NumPy array, without clip ids and class names; write an .npz",
    b"ARROW1": "is an Arrow file; write Parquet",
    b"\x89HDF": "is an HDF5 file; write .npz or Parquet",
    b"\xff\xfe": "is UTF-16 text; write UTF-8",
    b"\xfe\xff": "is UTF-16 text; write UTF-8",
}


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """The scores of one system."""

    name: str
    """The system's name: the file's without its ending, unless given."""
    clip_ids: tuple[str, ...]
    class_names: tuple[str, ...] | None
    """With spaces for ``_``. None: the file names no columns (`true_columns` then does)."""
    scores: NDArray[np.floating]
    """``(N, C)``, float32 or float64; NaN where there is no score. Higher is more likely."""
    true_columns: NDArray[np.int64] | None = None
    """``(N,)``, the true class's column as the file itself says; -1 where it doesn't."""
    file: str = ""
    """The file's name; empty when made in memory."""
    sha256: str = ""
    """Of the file, 64 hexadecimal digits."""
    warnings: tuple[str, ...] = ()
    manifest: Mapping[str, Any] | None = None
    """How the file came to be, if `mimecurate baseline run` wrote it."""

    @property
    def ways(self) -> int:
        """Among how many classes a clip is ranked."""
        return int(self.scores.shape[1])

    @staticmethod
    def from_frame(frame: DataFrame, name: str) -> Predictions:
        """Take a pandas frame: clip ids as its index, or a column ``clip_id``; classes as columns.

        Raises:
            InvalidInputError: as `load_predictions`.

        >>> import pandas as pd
        >>> frame = pd.DataFrame({"archery": [0.9], "bowling": [0.1]}, index=["a_000006_000010"])
        >>> Predictions.from_frame(frame, "model").class_names
        ('archery', 'bowling')
        """
        if "clip_id" in frame.columns:
            frame = frame.set_index("clip_id")
        try:
            scores = frame.to_numpy(dtype=np.result_type(np.float32, *frame.dtypes))
        except (TypeError, ValueError) as error:
            raise refusal(name, f"holds columns that are no numbers: {error}") from error
        table = ScoreTable(list(frame.index), list(frame.columns), as_scores(name, scores))
        return _checked(table, name, name, "")


def load_predictions(
    path: Path | str, *, name: str | None = None, classes: Path | None = None
) -> Predictions:
    """Read a prediction file of any format: npz, Parquet, CSV, JSON, JSON lines, mmaction2 dump.

    Args:
        path: the file.
        name: the system's name; by default the file's, without its ending.
        classes: for a file without class names, one per line in the order of the columns, as
            mmaction2's label maps have them.

    Returns:
        The scores, not yet matched with any release.

    Raises:
        InvalidInputError: the file can't be read, or is none of these, or is malformed; all
            problems that were found are listed. Nothing in a pickle is run.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            head = file.read(1 << 12)
    except OSError as error:
        raise refusal(_printable(str(path)), f"can't be read: {error.strerror}") from error
    shown = _printable(path.name)
    with ThreadPoolExecutor(1) as pool:  # hashing takes longer than reading, and no lock
        digest = pool.submit(_sha256, path)
        try:
            table = _read(path, head, shown)
        except MemoryError as error:
            raise refusal(shown, "does not fit into memory") from error
    if table.manifest is None and not head.startswith(b"PAR1"):
        table = replace(table, manifest=read_manifest_beside(path))
    if classes is not None:
        table = _named(table, classes, shown)
    return _checked(table, name or path.stem, shown, digest.result())


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(path: Path, head: bytes, name: str) -> ScoreTable:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if head.startswith(b"PAR1"):
        from mimecurate.evaluation.predictions_parquet import read_parquet

        return read_parquet(path, name)
    if head.startswith(b"PK\x03\x04"):
        from mimecurate.evaluation.predictions_npz import read_npz

        return read_npz(path, name)
    if head[:1] == b"\x80" and head[1:2] and head[1] <= 5:
        from mimecurate.evaluation.predictions_pickle import read_pickle

        return read_pickle(path, name)
    for magic, message in _FOREIGN.items():
        if head.startswith(magic):
            raise refusal(name, message)
    if text.startswith((b"{", b"[")):
        from mimecurate.evaluation.predictions_json import read_json

        return read_json(path, name)
    if not text:
        raise refusal(name, "is empty")
    if b"\0" in head:
        raise refusal(name, "is neither .npz, .parquet, .csv, .json, .jsonl nor an mmaction2 dump")
    from mimecurate.evaluation.predictions_csv import read_csv

    return read_csv(path, name)


def _named(table: ScoreTable, classes: Path, name: str) -> ScoreTable:
    if table.class_names is not None:
        raise refusal(name, "names its classes itself; leave the file of class names out")
    try:
        lines = classes.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise refusal(str(classes), f"can't be read as a list of class names: {error}") from error
    names = [line.strip() for line in lines if line.strip()]
    if len(names) != table.scores.shape[1]:
        raise refusal(
            str(classes), f"names {len(names)} classes; {name} has {table.scores.shape[1]} columns"
        )
    return replace(table, class_names=names)


def _checked(table: ScoreTable, system: str, file: str, digest: str) -> Predictions:
    """Check names and shapes, as every format must have them."""
    rows, columns = table.scores.shape
    if rows < 1 or columns < 1:
        raise refusal(file, f"holds {rows} clips and {columns} classes: nothing to score")
    if len(table.clip_ids) != rows:
        raise refusal(file, f"has {len(table.clip_ids)} clip ids for {rows} rows of scores")
    problems = _id_problems(table.clip_ids)
    class_names = None
    if table.class_names is not None:
        if len(table.class_names) != columns:
            problems.append(f"has {len(table.class_names)} class names for {columns} columns")
        problems += _class_problems(table.class_names)
        if not problems:
            class_names = tuple(map(normal_class_name, table.class_names))
            if twice := _repeated(class_names):
                problems.append(f"has more than one column for {listed(twice)} ('_' is a space)")
    if problems:
        raise refusal(file, *problems)
    return Predictions(
        _printable(system)[:_MAX_NAME],
        tuple(table.clip_ids),
        class_names,
        table.scores,
        table.true_columns,
        file if digest else "",
        digest,
        table.warnings,
        table.manifest,
    )


def _id_problems(clip_ids: list[Any]) -> list[str]:
    wrong = [i for i in clip_ids if not isinstance(i, str) or not 0 < len(i) <= _MAX_NAME]
    if not wrong:
        return []
    return [f"clip ids {listed(wrong)} are not texts of 1 to {_MAX_NAME} characters"]


def _class_problems(names: list[Any]) -> list[str]:
    wrong = [
        n
        for n in names
        if not (
            isinstance(n, str) and 0 < len(n) <= _MAX_NAME and n.isprintable() and n.strip(" _")
        )
    ]
    if not wrong:
        return []
    return [f"class names {listed(wrong)} are not 1 to {_MAX_NAME} printable characters"]


def _repeated(names: tuple[str, ...]) -> list[str]:
    seen: set[str] = set()
    return [name for name in names if name in seen or seen.add(name)]  # type: ignore[func-returns-value]
