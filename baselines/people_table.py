"""The columns and the metadata of a people file, for its reader and its writer.

One row for each detection. The metadata hold what belongs to the file and to each clip, also to
clips without a person: see docs/reference/people-files.md.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from mimecurate.baselines.people import People
from mimecurate.baselines.people_checks import MOST_FRAMES, MOST_PIXELS, clip_problems
from mimecurate.errors import InvalidInputError, Problem
from mimecurate.evaluation.arrow_numbers import arrow_numbers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

VERSION = 1
HEADER = b"mimecurate.people"
CLIPS = b"mimecurate.clips"
FAILURES = b"mimecurate.failures"
BOX = ("x1", "y1", "x2", "y2")
CLIP_COLUMNS = ("clip_id", "frames", "width", "height", "fps", "detections")
FAILURE_COLUMNS = ("clip_id", "reason", "message")
MOST_JOINTS = 1000
MOST_FEATURES = 1 << 16


@dataclass(frozen=True, slots=True)
class Header:
    """What is the same for all clips of a people file.

    Attributes:
        layout: order of the joints.
        joints: V, how many.
        dimensions: D, 2 or 3.
        features: F, or 0 if there are none.
        made_by: how the people were found: model, weights, thresholds, …; any words.
    """

    layout: str
    joints: int
    dimensions: int
    features: int = 0
    made_by: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, people: People, made_by: Mapping[str, Any]) -> Header:
        """Take the header of a file that ``people`` fit into."""
        _, joints, dimensions = people.joints.shape
        features = 0 if people.features is None else people.features.shape[1]
        return cls(people.layout, joints, dimensions, features, made_by)

    @property
    def row_bytes(self) -> int:
        """Bytes of a detection in memory."""
        return 4 * (6 + self.joints * (self.dimensions + 1) + self.features)

    def dump(self) -> bytes:
        """Write it as JSON."""
        document = {
            "version": VERSION,
            "layout": self.layout,
            "joints": self.joints,
            "dimensions": self.dimensions,
            "features": self.features or None,
            "made_by": dict(self.made_by),
        }
        return json.dumps(document, sort_keys=True).encode()


def load_header(data: bytes) -> tuple[Header, list[Problem]]:
    """Read a header; what is wrong with it is said beside it."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        return Header("", 1, 2), [Problem(f"{HEADER.decode()} in the metadata is no JSON object")]
    problems = []
    if document.get("version") != VERSION:
        problems.append(
            Problem(f"is of version {document.get('version')!r}; this reads version {VERSION}")
        )
    layout = document.get("layout")
    if not isinstance(layout, str) or not layout:
        problems.append(Problem(f"layout is {layout!r}; it must be a name, such as 'coco17'"))
    bounds = {"joints": (1, MOST_JOINTS), "dimensions": (2, 3), "features": (0, MOST_FEATURES)}
    numbers = {}
    for name, (low, high) in bounds.items():
        value = document.get(name) or 0
        if type(value) is not int or not low <= value <= high:
            problems.append(Problem(f"{name} is {value!r}; it must be {low} to {high}"))
            value = low
        numbers[name] = value
    made_by = document.get("made_by")
    made_by = made_by if isinstance(made_by, dict) else {}
    return Header(str(layout), **numbers, made_by=made_by), problems


@dataclass(frozen=True, slots=True)
class ClipTable:
    """The clips of a file in order of their rows, as columns: small, however many there are.

    Attributes:
        ids: Arrow array of text.
        frames: int64[C].
        width: int64[C], pixels; 0 if unknown.
        height: int64[C].
        fps: float64[C]; NaN if unknown.
        rows: int64[C + 1]: the detections of clip i are rows ``rows[i]`` to before ``rows[i + 1]``.
    """

    ids: Any
    frames: NDArray[np.int64]
    width: NDArray[np.int64]
    height: NDArray[np.int64]
    fps: NDArray[np.float64]
    rows: NDArray[np.int64]

    def facts(self, index: int) -> dict[str, Any]:
        """Give a clip's facts as `People` takes them."""
        fps = float(self.fps[index])
        return {
            "clip_id": self.ids[index].as_py(),
            "frames": int(self.frames[index]),
            "width": int(self.width[index]),
            "height": int(self.height[index]),
            "fps": None if np.isnan(fps) else fps,
        }


def dump_clips(table: ClipTable) -> bytes:
    """Write the table of clips as CSV."""
    import pyarrow as pa

    fps = pa.array(table.fps, mask=np.isnan(table.fps))
    columns = [table.ids, table.frames, table.width, table.height, fps, np.diff(table.rows)]
    return dump_csv(
        pa.table([pa.array(c) if isinstance(c, np.ndarray) else c for c in columns], CLIP_COLUMNS)
    )


def dump_csv(table: Any) -> bytes:
    """Write an Arrow table as CSV."""
    import pyarrow as pa
    from pyarrow import csv

    sink = pa.BufferOutputStream()
    csv.write_csv(table, sink)
    return bytes(sink.getvalue())


def load_csv(data: bytes, columns: dict[str, Any]) -> Any:
    """Read CSV in metadata as an Arrow table.

    Raises:
        ValueError: it is no such table.
    """
    from pyarrow import csv

    options = csv.ConvertOptions(
        column_types=columns, include_columns=list(columns), strings_can_be_null=False
    )
    return csv.read_csv(
        io.BytesIO(data), convert_options=options, read_options=csv.ReadOptions(use_threads=False)
    )


def load_clips(data: bytes, row_count: int) -> tuple[ClipTable, list[Problem]]:
    """Read the table of clips, and look for all that is wrong with it.

    Args:
        data: CSV.
        row_count: rows of the file.

    Returns:
        The table and its problems; lines are the table's, the first names the columns.

    Raises:
        ValueError: it is no such table.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    kinds = [pa.string(), pa.int64(), pa.int64(), pa.int64(), pa.float64(), pa.int64()]
    table = load_csv(data, dict(zip(CLIP_COLUMNS, kinds, strict=True)))
    columns = {name: table.column(name).combine_chunks() for name in CLIP_COLUMNS}
    if lacking := [n for n in CLIP_COLUMNS if n != "fps" and columns[n].null_count]:
        raise ValueError(f"{', '.join(lacking)} is missing in some line")
    ids = columns.pop("clip_id")
    numbers = {name: arrow_numbers(column) for name, column in columns.items()}
    counts = numbers.pop("detections")
    rows = np.concatenate([[0], np.cumsum(np.clip(counts, 0, 1 << 40))])
    made = ClipTable(ids, **numbers, rows=rows)
    problems = _number_problems(made)
    problems += [
        Problem(f"detections is {counts[i]}", line=i + 2)
        for i in np.flatnonzero(counts < 0)[:20].tolist()
    ]
    if len(pc.unique(ids)) != len(ids):
        twice = pc.value_counts(ids)
        names = twice.field("values").filter(pc.greater(twice.field("counts"), 1))
        problems += [
            Problem(f"clip {name[:80]!r} is listed more than once")
            for name in names.slice(0, 20).to_pylist()
        ]
    if rows[-1] != row_count:
        problems.append(
            Problem(f"its clips list {rows[-1]:,} detections, and it holds {row_count:,} rows")
        )
    return made, problems


def _number_problems(table: ClipTable) -> list[Problem]:
    """Look closely only at clips with a number that stands out, and at every odd name."""
    import pyarrow.compute as pc

    odd = (table.frames < 0) | (table.frames > MOST_FRAMES)
    for side in (table.width, table.height):
        odd |= (side < 0) | (side > MOST_PIXELS)
    odd |= ~np.isnan(table.fps) & ~((table.fps >= 1) & (table.fps <= 1000))
    plain = pc.match_substring_regex(table.ids, r"^[\w.~ -]{1,500}$")
    odd |= arrow_numbers(plain.cast("uint8")) == 0
    problems = []
    for index in np.flatnonzero(odd)[:1000].tolist():
        found = clip_problems(**table.facts(index))
        problems += [Problem(words, line=index + 2) for words in found]
    return problems


def schema_of(header: Header) -> Any:
    """Give the columns of a file."""
    import pyarrow as pa

    number = pa.float32()
    fields = [
        pa.field("clip_id", pa.string(), nullable=False),
        pa.field("frame", pa.int32(), nullable=False),
        *(pa.field(name, number, nullable=False) for name in (*BOX, "score")),
        pa.field("joints", pa.list_(number, header.joints * header.dimensions)),
        pa.field("joint_scores", pa.list_(number, header.joints)),
    ]
    if header.features:
        fields.append(pa.field("features", pa.list_(number, header.features)))
    return pa.schema(fields)


def record_batch(people: People, schema: Any) -> Any:
    """Make the rows of a clip."""
    import pyarrow as pa

    n = len(people.frame)
    lists = {"joints": people.joints, "joint_scores": people.joint_scores}
    if people.features is not None:
        lists["features"] = people.features
    columns = [
        pa.array([people.clip_id]).take(pa.array(np.zeros(n, np.int64))),
        pa.array(people.frame, pa.int32()),
        *(pa.array(people.boxes[:, i], pa.float32()) for i in range(4)),
        pa.array(people.scores, pa.float32()),
    ]
    for values in lists.values():
        width = int(np.prod(values.shape[1:]))
        flat = pa.array(np.ascontiguousarray(values, np.float32).reshape(-1))
        columns.append(pa.FixedSizeListArray.from_arrays(flat, width))
    return pa.record_batch(columns, schema=schema)


def people_of(table: Any, header: Header, facts: Mapping[str, Any], name: str) -> People:
    """Make people of the rows of one clip.

    Raises:
        InvalidInputError: a column holds something else than it should.
    """
    features = None
    if header.features:
        features = _lists(table, "features", header.features, name)
    joints = _lists(table, "joints", header.joints * header.dimensions, name)
    return People(
        **facts,
        layout=header.layout,
        frame=_numbers(table, "frame", np.int32, name),
        boxes=np.stack([_numbers(table, side, np.float32, name) for side in BOX], axis=1),
        scores=_numbers(table, "score", np.float32, name),
        joints=joints.reshape(len(joints), header.joints, header.dimensions),
        joint_scores=_lists(table, "joint_scores", header.joints, name),
        features=features,
    )


def _numbers(table: Any, column: str, kind: Any, name: str) -> NDArray[Any]:
    array = table.column(column).combine_chunks()
    if array.null_count:
        raise InvalidInputError(name, [Problem(f"{column} is missing in some row")])
    return arrow_numbers(array).astype(kind)  # a copy: Arrow's memory can't be written to


def _lists(table: Any, column: str, width: int, name: str) -> NDArray[np.float32]:
    import pyarrow.compute as pc

    array = table.column(column).combine_chunks()
    if len(array) == 0:
        return np.empty((0, width), np.float32)
    if array.null_count or not pc.all(pc.equal(pc.list_value_length(array), width)).as_py():
        raise InvalidInputError(name, [Problem(f"{column} must hold {width} numbers in every row")])
    return arrow_numbers(array.flatten()).astype(np.float32).reshape(-1, width)
