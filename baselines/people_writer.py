"""Write people files: at once, or clip by clip so that a killed run loses at most a batch."""

from __future__ import annotations

import contextlib
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from mimecurate.baselines.people_checks import people_problems
from mimecurate.baselines.people_file import PeopleFile
from mimecurate.baselines.people_table import (
    CLIPS,
    FAILURE_COLUMNS,
    FAILURES,
    HEADER,
    ClipTable,
    Header,
    dump_clips,
    dump_csv,
    record_batch,
    schema_of,
)
from mimecurate.curation.media_store import publish
from mimecurate.errors import InvalidInputError, MimecurateError, Problem, plain_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from types import TracebackType

    from mimecurate.baselines.people import People

GROUP_BYTES = 8 << 20
"""Detections of a row group, in memory: what a reader of one clip reads."""
Failure = tuple[str, str, str]
"""Clip id, reason, message."""


def write_people(
    path: str | Path,
    clips: Iterable[People],
    *,
    made_by: Mapping[str, Any] | None = None,
    failures: Iterable[Failure] = (),
) -> int:
    """Write a people file at once; it is there whole or not at all.

    Args:
        path: the file, ``.parquet``.
        clips: the people of each clip, all with the same layout; taken one after the other.
        made_by: how they were found, in JSON's types.
        failures: clips that could not be looked at.

    Returns:
        How many clips were written.

    Raises:
        InvalidInputError: the people of a clip are wrong, of another layout than those before,
            or come twice; or there is no clip.
    """
    return _write(Path(path), None, clips, failures, made_by)


class PeopleWriter:
    """Write a people file clip by clip, and go on where an earlier run was stopped.

    Batches of finished clips lie in ``PATH.parts`` until `finish` puts them, and what the file
    already held, into one file.

    Attributes:
        done: ids of the clips that an earlier run finished.
    """

    def __init__(
        self,
        path: str | Path,
        header: Header,
        *,
        batch_bytes: int = GROUP_BYTES,
        batch_clips: int = 64,
    ) -> None:
        """Open a file for writing, or for more.

        Args:
            path: the file, there or not.
            header: the layout, and how the people are found.
            batch_bytes: detections in memory before they are written.
            batch_clips: clips before they are written.

        Raises:
            MimecurateError: the file or its parts were made otherwise; another run writes it; or
                the folder can't be written to.
        """
        from filelock import FileLock, Timeout

        self._path = Path(path)
        self._header = header
        self._limits = (batch_bytes, batch_clips)
        self._parts = self._path.with_name(self._path.name + ".parts")
        self._waiting: list[People] = []
        self._failures: dict[str, Failure] = {}
        try:
            self._parts.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(self._parts / "lock", timeout=0)
            self._lock.acquire()
        except Timeout as error:
            raise MimecurateError(f"{self._path}: another run is writing it") from error
        except OSError as error:
            raise MimecurateError(
                f"{self._path}: can't be written: {plain_words(error)}"
            ) from error
        self.done: set[str] = set()
        self._said: set[str] = set()
        try:
            self._take_up()
        except BaseException:
            self._lock.release()
            raise

    def add(self, people: People) -> None:
        """Keep the people of a clip.

        Raises:
            InvalidInputError: they are wrong, or of another layout than the file's.
        """
        _check(people, self._header)
        self._waiting.append(people)
        batch_bytes, batch_clips = self._limits
        rows = sum(len(people.frame) for people in self._waiting)
        if len(self._waiting) >= batch_clips or rows * self._header.row_bytes >= batch_bytes:
            self.flush()

    def fail(self, clip_id: str, reason: str, message: str) -> None:
        """Keep why a clip could not be looked at; a later run tries it again."""
        self._failures[clip_id] = (clip_id, reason, message)

    def flush(self) -> None:
        """Write what is finished: a kill no longer loses it."""
        new = {k: v for k, v in self._failures.items() if k not in self._said}
        if not self._waiting and not new:
            return
        number = 1 + max((int(part.stem) for part in self._part_paths()), default=0)
        part = self._parts / f"{number:06d}.parquet"
        _write(part, self._header, self._waiting, new.values())
        self.done |= {people.clip_id for people in self._waiting}
        self._said |= new.keys()
        self._waiting = []

    def finish(self) -> int:
        """Put all parts into the file, and remove them.

        Returns:
            How many clips it holds.
        """
        self.flush()
        failures = [f for clip_id, f in self._failures.items() if clip_id not in self.done]
        count = _write(self._path, self._header, self._all_clips(), failures)
        for part in self._part_paths():
            part.unlink()
        return count

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write what is finished, whatever happened."""
        try:
            self.flush()
        finally:
            self._lock.release()
            with contextlib.suppress(OSError):  # parts that another run goes on with
                (self._parts / "lock").unlink()
                self._parts.rmdir()

    def _part_paths(self) -> list[Path]:
        return sorted(path for path in self._parts.glob("*.parquet") if path.stem.isdecimal())

    def _files(self) -> Iterator[PeopleFile]:
        own = [self._path] if self._path.exists() else []
        for path in [*own, *self._part_paths()]:
            with PeopleFile(path) as file:
                yield file

    def _take_up(self) -> None:
        for file in self._files():
            if other := _differences(self._header, file.header):
                raise MimecurateError(
                    f"{file.path}: was made with other settings ({other}); give another --out, "
                    "or remove it"
                )
            self.done.update(file)
            self._failures |= {failure[0]: failure for failure in file.failures}
        self._failures = {k: v for k, v in self._failures.items() if k not in self.done}
        self._said = set(self._failures)

    def _all_clips(self) -> Iterator[People]:
        written: set[str] = set()  # a run killed in `finish` leaves clips in the file and in parts
        for file in self._files():
            for clip_id in file:
                if clip_id not in written:
                    written.add(clip_id)
                    yield file[clip_id]


class _Sink:
    """A Parquet file being written, row group by row group."""

    def __init__(self, path: Path, header: Header | None, made_by: Mapping[str, Any]) -> None:
        self._path, self._header, self._made_by = path, header, made_by
        self._writer: Any = None
        self._batches: list[Any] = []
        self._bytes = 0
        self._facts: dict[str, tuple[int, int, int, float, int]] = {}

    def add(self, people: People) -> None:
        if self._header is None:
            self._header = Header.of(people, self._made_by)
        _check(people, self._header)
        if people.clip_id in self._facts:
            raise InvalidInputError(people.clip_id, [Problem("comes twice")])
        fps = float("nan") if people.fps is None else people.fps
        n = len(people.frame)
        self._facts[people.clip_id] = (people.frames, people.width, people.height, fps, n)
        if n:
            self._batches.append(record_batch(people, schema_of(self._header)))
            self._bytes += n * self._header.row_bytes
        if self._bytes >= GROUP_BYTES:
            self._write_group()

    def close(self, failures: Iterable[Failure]) -> int:
        import pyarrow as pa

        if self._header is None:
            raise MimecurateError("there is no clip to write")
        self._write_group()
        columns = list(zip(*self._facts.values(), strict=True)) or [()] * 5
        frames, width, height, fps, counts = columns
        clips = ClipTable(
            ids=pa.array(list(self._facts), pa.string()),
            frames=np.array(frames, np.int64),
            width=np.array(width, np.int64),
            height=np.array(height, np.int64),
            fps=np.array(fps, np.float64),
            rows=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        )
        rows = list(failures)
        texts = [pa.array([row[i] for row in rows], pa.string()) for i in range(3)]
        metadata = {
            HEADER: self._header.dump(),
            CLIPS: dump_clips(clips),
            FAILURES: dump_csv(pa.table(texts, FAILURE_COLUMNS)),
        }
        self._writer.add_key_value_metadata(metadata)
        self._writer.close()
        self._writer = None
        return len(self._facts)

    def abandon(self) -> None:
        if self._writer is not None:
            self._writer.close()

    def _write_group(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        assert self._header is not None
        schema = schema_of(self._header)
        if self._writer is None:
            self._writer = pq.ParquetWriter(
                self._path,
                schema,
                compression="zstd",
                use_dictionary=["clip_id"],
                write_statistics=["clip_id", "frame"],
                write_page_checksum=True,
            )
        if self._batches:
            table = pa.Table.from_batches(self._batches, schema)
            self._writer.write_table(table, row_group_size=max(1, table.num_rows))
            self._batches, self._bytes = [], 0


def _write(
    path: Path,
    header: Header | None,
    clips: Iterable[People],
    failures: Iterable[Failure],
    made_by: Mapping[str, Any] | None = None,
) -> int:
    """Write a whole file beside its place, and then put it there.

    The name is the same each time: what a killed run leaves is written over by the next.
    """
    temporary = path.with_name(f".{path.name}.part")
    sink = _Sink(temporary, header, made_by or {})
    try:
        for people in clips:
            sink.add(people)
        count = sink.close(failures)
        publish(temporary, path)
    except OSError as error:
        raise MimecurateError(f"{path}: can't be written: {plain_words(error)}") from error
    finally:
        sink.abandon()
        temporary.unlink(missing_ok=True)
    return count


def _check(people: People, header: Header) -> None:
    own = Header.of(people, header.made_by)
    empty = len(people.frame) == 0 and people.features is None
    if replace(own, features=header.features if empty else own.features) != header:
        problems = [Problem(f"its people have other columns: {_differences(header, own)}")]
    else:
        problems = people_problems(people)
    if problems:
        raise InvalidInputError(people.clip_id, problems)


def _differences(one: Header, two: Header) -> str:
    """Name the settings that differ: ``layout coco17, not openpose18``; versions may."""
    first, second = ({**asdict(h), **h.made_by} for h in (one, two))
    return ", ".join(
        f"{key} {second.get(key)}, not {first.get(key)}"
        for key in sorted(first.keys() | second.keys())
        if first.get(key) != second.get(key) and key not in {"made_by", "versions"}
    )
