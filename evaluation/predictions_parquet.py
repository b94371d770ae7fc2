"""Prediction files in Parquet: ``clip_id`` and a column per class, or one list column.

A list column needs the class names: ``class_names`` in the file's metadata (a JSON list), or a
column ``class_names`` of lists, the same in every row.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from mimecurate.evaluation.arrow_numbers import arrow_numbers
from mimecurate.evaluation.prediction_manifest import MANIFEST_KEY, parse_manifest
from mimecurate.evaluation.score_table import (
    ScoreTable,
    as_scores,
    check_size,
    listed,
    refusal,
)

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_BATCH_COLUMNS = 32
_INDEX = "__index_level_"


def read_parquet(path: Path, name: str) -> ScoreTable:
    """Read a Parquet prediction file.

    Raises:
        InvalidInputError: whatever is wrong with it, in one line.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            return _read(file, path.stat().st_size, name)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        message = str(error).splitlines()[0][:200]
        raise refusal(name, f"is a damaged Parquet file: {message}") from error


def _read(file: Any, file_bytes: int, name: str) -> ScoreTable:
    import pyarrow.types as types

    schema = file.schema_arrow
    index = [column for column in schema.names if column.startswith(_INDEX)]
    columns = [c for c in schema.names if c != "clip_id" and c not in index]
    if schema.names.count("clip_id") != 1:
        raise refusal(
            name,
            f"needs one column clip_id; its columns are {listed(schema.names)}",
            hint="In pandas, name the index clip_id before writing.",
        )
    warnings = tuple(f"column {c!r} is an index that pandas wrote: ignored" for c in index)
    if len(set(schema.names)) != len(schema.names):
        twice = sorted({c for c in columns if columns.count(c) > 1})
        raise refusal(name, f"has more than one column {listed(twice)}")
    manifest = _manifest(schema)
    lists = [c for c in columns if _is_list(schema.field(c).type) and c != "class_names"]
    clip_ids = _clip_ids(file, name)
    if lists:
        class_names, scores = _list_column(file, lists, columns, file_bytes, name)
        return ScoreTable(clip_ids, class_names, scores, None, warnings, manifest)
    wrong = [
        f"column {c!r} holds {schema.field(c).type}, not scores"
        for c in columns
        if not (types.is_floating(schema.field(c).type) or types.is_integer(schema.field(c).type))
    ]
    if wrong:
        raise refusal(name, *wrong[:10], hint="Keep clip_id and one column of numbers per class.")
    scores = _columns(file, columns, file_bytes, name)
    return ScoreTable(clip_ids, columns, scores, None, warnings, manifest)


def _manifest(schema: Any) -> dict[str, Any] | None:
    text = (schema.metadata or {}).get(MANIFEST_KEY.encode())
    return None if text is None else parse_manifest(text)


def _is_list(kind: Any) -> bool:
    import pyarrow.types as types

    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _clip_ids(file: Any, name: str) -> list[str]:
    import pyarrow as pa
    import pyarrow.types as types

    kind = file.schema_arrow.field("clip_id").type
    inner = kind.value_type if types.is_dictionary(kind) else kind
    text = types.is_string(inner) or types.is_large_string(inner) or inner == pa.string_view()
    if not text:
        raise refusal(name, f"column 'clip_id' holds {kind}; it must hold text")
    ids = file.read(["clip_id"]).column("clip_id").to_pylist()
    return ["" if value is None else value for value in ids]


def _columns(file: Any, columns: list[str], file_bytes: int, name: str) -> NDArray[np.floating]:
    """Fill a column-major matrix, a few columns at a time: no second copy of the whole."""
    import pyarrow.types as types

    schema = file.schema_arrow  # made anew at each look
    kinds = [schema.field(c).type for c in columns]
    single = all(types.is_float16(k) or types.is_float32(k) for k in kinds)
    rows = file.metadata.num_rows
    check_size(name, rows, len(columns), 4 if single else 8, file_bytes)
    scores = np.empty((rows, len(columns)), np.float32 if single else np.float64, order="F")
    for first in range(0, len(columns), _BATCH_COLUMNS):
        batch = columns[first : first + _BATCH_COLUMNS]
        table = file.read(batch)
        if table.num_rows != rows:
            raise refusal(name, f"declares {rows} rows and holds {table.num_rows}")
        for offset, column in enumerate(batch):
            done = 0
            for chunk in table.column(column).chunks:
                scores[done : done + len(chunk), first + offset] = arrow_numbers(chunk)
                done += len(chunk)
    return scores


def _list_column(
    file: Any, lists: list[str], columns: list[str], file_bytes: int, name: str
) -> tuple[list[str], NDArray[np.floating]]:
    others = [c for c in columns if c not in lists and c != "class_names"]
    if len(lists) != 1 or others:
        raise refusal(
            name,
            f"has the list column {listed(lists)} beside {listed(lists[1:] + others)}",
            hint="Keep clip_id and either one list of scores or one column per class.",
        )
    class_names = _class_names(file, columns, name)
    width = len(class_names)
    check_size(name, file.metadata.num_rows, width, 4, file_bytes)
    chunks = file.read(lists).column(lists[0]).chunks
    parts = [_list_values(chunk, width, lists[0], name) for chunk in chunks]
    return class_names, as_scores(name, np.concatenate(parts) if len(parts) > 1 else parts[0])


def _list_values(chunk: Any, width: int, column: str, name: str) -> NDArray[Any]:
    import pyarrow.compute as pc
    import pyarrow.types as types

    lengths = pc.list_value_length(chunk)
    if chunk.null_count or not pc.all(pc.equal(lengths, width)).as_py():
        raise refusal(
            name, f"lists in column {column!r} must all hold {width} scores, one per class name"
        )
    values = chunk.flatten()
    if not (types.is_floating(values.type) or types.is_integer(values.type)):
        raise refusal(name, f"column {column!r} holds {chunk.type}, not lists of scores")
    return arrow_numbers(values).reshape(-1, width)


def _class_names(file: Any, columns: list[str], name: str) -> list[str]:
    hint = (
        "Put them into the file's metadata as class_names (a JSON list), "
        "or into a column class_names."
    )
    metadata = file.schema_arrow.metadata or {}
    if b"class_names" in metadata:
        try:
            names = json.loads(metadata[b"class_names"])
        except (ValueError, RecursionError) as error:
            raise refusal(name, "class_names in the metadata is not JSON", hint=hint) from error
    elif "class_names" in columns:
        names = _same_list_in_every_row(file, name)
    else:
        raise refusal(name, "has a list of scores and no class names", hint=hint)
    if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
        raise refusal(name, "class_names must be a list of texts", hint=hint)
    return names


def _same_list_in_every_row(file: Any, name: str) -> object:
    """Compare codes, not texts: there are as many texts as scores."""
    import pyarrow as pa

    kind = file.schema_arrow.field("class_names").type
    if not _is_list(kind):
        raise refusal(name, f"column 'class_names' holds {kind}, not lists of texts")
    column = file.read(["class_names"]).column("class_names")
    lists = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    first = lists[0].as_py() if len(lists) else None
    if not first:
        return first
    codes = arrow_numbers(
        lists.flatten().dictionary_encode().indices.cast(pa.int64()).fill_null(-1)
    )
    rows = codes.reshape(-1, len(first)) if codes.size == len(lists) * len(first) else codes[:0]
    if not rows.size or (rows != rows[0]).any():
        raise refusal(name, "column 'class_names' must hold the same list in every row")
    return first
