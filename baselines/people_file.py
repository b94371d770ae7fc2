"""Read people files: the detections and poses of many clips, a clip at a time.

The format is in docs/reference/people-files.md. Opening reads the list of clips alone; a clip's
rows are read when it is asked for, with those that lie in the same row group.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mimecurate.baselines.people_checks import people_problems
from mimecurate.baselines.people_table import (
    BOX,
    CLIPS,
    FAILURE_COLUMNS,
    FAILURES,
    HEADER,
    ClipTable,
    Header,
    load_clips,
    load_csv,
    load_header,
    people_of,
)
from mimecurate.errors import (
    ClipError,
    InvalidInputError,
    MimecurateError,
    Problem,
    Reason,
    plain_words,
)
from mimecurate.schemas.closing import Closing

if TYPE_CHECKING:
    from mimecurate.baselines.people import People

MOST_GROUP_BYTES = 1 << 30
"""Of a row group in memory: a file that wants more is refused."""
_HINT = "`mimecurate baseline people detect` and `import` make people files."


def open_people(path: str | Path) -> Mapping[str, People]:
    """Open a people file: ``.parquet``, or ``.npz`` for arrays of one's own.

    Returns:
        The people of each clip by its id, in the file's order. Of Parquet a `PeopleFile`, which
        reads a clip when it is asked for; close it, or use it in a ``with``.

    Raises:
        MimecurateError: there is no such file.
        InvalidInputError: it is no people file; holds all that is wrong with its head. What is
            wrong with a clip is said when it is read.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise MimecurateError(f"{path}: can't be read: {plain_words(error)}") from error
    if magic == b"PAR1":
        return PeopleFile(path)
    if magic[:2] == b"PK":
        from mimecurate.baselines.people_npz import read_people_npz

        return read_people_npz(path)
    raise InvalidInputError(str(path), [Problem("is neither Parquet nor .npz")], _HINT)


class PeopleFile(Mapping[str, "People"], Closing):
    """People of many clips in a Parquet file; at most one row group is in memory.

    Attributes:
        path: the file.
        header: layout of the joints, and how the people were found.
        clips: facts of each clip.
        failures: (clip id, reason, message) of clips that could not be looked at.
    """

    def __init__(self, path: Path) -> None:
        """Open a file; as `open_people`."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.path = path
        self._name = str(path)
        self._group: tuple[int, Any] = (-1, None)
        try:
            self._file: Any = pq.ParquetFile(path, page_checksum_verification=True)
        except (pa.ArrowException, OSError, UnicodeDecodeError, MemoryError) as error:
            raise _damaged(self._name, error) from error
        try:
            self.header, self.clips, self.failures = self._read_head()
        except BaseException:
            self.close()
            raise
        # Made once: Arrow reads the metadata anew, with all clips in it, for each schema.
        self._empty = self._file.schema_arrow.remove_metadata().empty_table()
        metadata = self._file.metadata
        counts = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
        self._starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        self._order = self._sorted_ids()

    def __getitem__(self, clip_id: str) -> People:
        """Read the people of a clip.

        Raises:
            KeyError: the file doesn't have the clip.
            ClipError: ``CORRUPT``: its rows are wrong; says all that is.
        """
        index = self._index(clip_id)
        if index is None:
            raise KeyError(clip_id)
        try:
            people = self._people(index)
        except InvalidInputError as error:
            raise ClipError(Reason.CORRUPT, str(error)) from error
        problems = people_problems(people, first_row=1 + int(self.clips.rows[index]))
        if problems:
            raise ClipError(
                Reason.CORRUPT, str(InvalidInputError(f"{self._name}: {clip_id}", problems))
            )
        return people

    def __iter__(self) -> Iterator[str]:
        """Give the clip ids in the file's order."""
        return (clip_id.as_py() for clip_id in self.clips.ids)

    def __len__(self) -> int:
        """Count the clips, also those without a person."""
        return len(self.clips.ids)

    def __contains__(self, clip_id: object) -> bool:
        """Whether the file has the clip; no row is read."""
        return isinstance(clip_id, str) and self._index(clip_id) is not None

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle as its path: opened anew where it is unpickled."""
        return PeopleFile, (self.path,)

    def close(self) -> None:
        """Close the file."""
        self._group = (-1, None)
        self._file.close()

    def problems(self) -> Iterator[Problem]:
        """Read the whole file, a clip at a time, and give all that is wrong with its rows."""
        for index in range(len(self)):
            try:
                people = self._people(index)
            except InvalidInputError as error:
                clip_id = self.clips.ids[index].as_py()
                yield from (Problem(f"{clip_id}: {problem}") for problem in error.problems)
            else:
                first_row = 1 + int(self.clips.rows[index])
                yield from people_problems(people, first_row=first_row)

    def _read_head(self) -> tuple[Header, ClipTable, list[tuple[str, str, str]]]:
        metadata = self._file.metadata.metadata or {}
        if lacking := [key.decode() for key in (HEADER, CLIPS) if key not in metadata]:
            raise InvalidInputError(
                self._name, [Problem(f"has no {' and no '.join(lacking)} in its metadata")], _HINT
            )
        header, problems = load_header(metadata[HEADER])
        problems += self._column_problems(header)
        if not problems:
            problems += self._group_problems(header)
        try:
            clips, wrong = load_clips(metadata[CLIPS], self._file.metadata.num_rows)
            problems += wrong
            failures = _load_failures(metadata.get(FAILURES))
        except (ValueError, KeyError, OSError) as error:  # Arrow's errors are of these
            words = str(error).splitlines()[0][:200]
            problems.append(Problem(f"its list of clips or failures can't be read: {words}"))
        if problems:
            raise InvalidInputError(self._name, problems, _HINT)
        return header, clips, failures

    def _column_problems(self, header: Header) -> list[Problem]:
        import pyarrow.types as types

        schema = self._file.schema_arrow
        wanted: dict[str, Any] = {"clip_id": _is_text, "frame": types.is_integer}
        wanted |= dict.fromkeys((*BOX, "score"), types.is_floating)
        lists = ["joints", "joint_scores", *(["features"] if header.features else [])]
        wanted |= dict.fromkeys(lists, _is_list_of_floats)
        problems = []
        for name, fits in wanted.items():
            count = schema.names.count(name)
            if count != 1:
                problems.append(Problem(f"has {count or 'no'} columns {name}; it must have one"))
            elif not fits(schema.field(name).type):
                problems.append(Problem(f"column {name} holds {schema.field(name).type}"))
        return problems

    def _group_problems(self, header: Header) -> list[Problem]:
        metadata = self._file.metadata
        problems = []
        for i in range(metadata.num_row_groups):
            group = metadata.row_group(i)
            wanted = max(group.num_rows * header.row_bytes, group.total_byte_size)
            if wanted > MOST_GROUP_BYTES:
                problems.append(
                    Problem(
                        f"row group {i + 1} takes {wanted:,} bytes of memory; at most "
                        f"{MOST_GROUP_BYTES:,} are given: write smaller ones"
                    )
                )
        return problems[:10]

    def _sorted_ids(self) -> Any:
        import pyarrow.compute as pc

        return pc.array_sort_indices(self.clips.ids)

    def _index(self, clip_id: str) -> int | None:
        ids, order = self.clips.ids, self._order
        key = clip_id.encode("utf-8", "surrogatepass")
        place = bisect.bisect_left(
            range(len(ids)), key, key=lambda i: ids[order[i].as_py()].as_py().encode()
        )
        if place == len(ids):
            return None
        index: int = order[place].as_py()
        return index if ids[index].as_py() == clip_id else None

    def _people(self, index: int) -> People:
        import pyarrow as pa
        import pyarrow.compute as pc

        facts = self.clips.facts(index)
        first, end = self.clips.rows[index : index + 2].tolist()
        try:
            table = self._rows(first, end)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise _damaged(self._name, error) from error
        ids = pc.unique(table.column("clip_id")).to_pylist()
        if table.num_rows != end - first or ids not in ([], [facts["clip_id"]]):
            found = ", ".join(repr(i)[:80] for i in ids[:3]) or "nothing"
            raise InvalidInputError(
                self._name,
                [
                    Problem(
                        f"rows {first + 1} to {end} are of {found}; by the list of clips they "
                        f"are of {facts['clip_id']}"
                    )
                ],
            )
        return people_of(table, self.header, facts, self._name)

    def _rows(self, first: int, end: int) -> Any:
        """Read rows; those of the last row group are kept for the next clip."""
        import pyarrow as pa

        if first == end:
            return self._empty
        low = int(np.searchsorted(self._starts, first, side="right")) - 1
        high = int(np.searchsorted(self._starts, end, side="left"))
        parts = []
        for group in range(low, high):
            if self._group[0] != group:
                self._group = (-1, None)  # free it before the next is read
                self._group = (group, self._file.read_row_group(group, use_threads=False))
            start = int(self._starts[group])
            a, b = max(first - start, 0), end - start
            parts.append(self._group[1].slice(a, b - a))
        return parts[0] if len(parts) == 1 else pa.concat_tables(parts)


def check_people_file(path: str | Path) -> None:
    """Read a people file to its end.

    Raises:
        InvalidInputError: all that is wrong with it, with row numbers.
        MimecurateError: there is no such file.
    """
    people = open_people(path)
    if isinstance(people, PeopleFile):
        with people:
            problems = list(people.problems())
        if problems:
            raise InvalidInputError(str(path), problems)


def _damaged(name: str, error: BaseException) -> InvalidInputError:
    words = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
    return InvalidInputError(name, [Problem(f"is a damaged Parquet file: {words}")])


def _load_failures(data: bytes | None) -> list[tuple[str, str, str]]:
    if data is None:
        return []
    table = load_csv(data, dict.fromkeys(FAILURE_COLUMNS, "string"))
    return [tuple(row.values()) for row in table.to_pylist()]


def _is_text(kind: Any) -> bool:
    import pyarrow.types as types

    inner = kind.value_type if types.is_dictionary(kind) else kind
    return bool(types.is_string(inner) or types.is_large_string(inner))


def _is_list_of_floats(kind: Any) -> bool:
    import pyarrow.types as types

    lists = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    return bool(lists and types.is_floating(kind.value_type))
