"""What a run has finished, beside its output: kill -9 loses at most a batch.

``OUT.journal/`` holds ``settings.json`` and a file of records for each process. A record is whole
or it is not there: length and CRC-32 come before it, and a torn one at the end is cut off.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from mimecurate.curation.media_store import publish
from mimecurate.errors import MimecurateError, plain_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from types import TracebackType

    from numpy.typing import NDArray

_HEAD = struct.Struct("<4sIIHH")
"""Magic, bytes of the record, its CRC-32, bytes of the clip id, bytes of the words."""
_MAGIC = b"mcj1"
_MAX_BYTES = 1 << 24
_SETTINGS = "settings.json"


def journal_folder(out: Path) -> Path:
    """Tell where the journal of an output is."""
    return out.with_name(out.name + ".journal")


def is_begun(folder: Path) -> bool:
    """Say whether an unfinished run left something there."""
    return (folder / _SETTINGS).exists()


def open_journal(folder: Path, settings: Mapping[str, Any]) -> None:
    """Make the journal's folder, or go on in the one that is there.

    Args:
        folder: as `journal_folder`.
        settings: what scores depend on; JSON.

    Raises:
        MimecurateError: it was begun with other settings; says which.
    """
    path = folder / _SETTINGS
    try:
        folder.mkdir(exist_ok=True)
        if path.exists():
            kept = json.loads(path.read_text("utf-8"))
            if words := different(kept, settings):
                raise MimecurateError(
                    f"{folder}: an unfinished run had other settings: {words}; "
                    "use those, write elsewhere, or remove that folder"
                )
            return
        part = path.with_suffix(".part")
        part.write_text(json.dumps(settings, sort_keys=True, indent=1), "utf-8")
        publish(part, path)
    except (OSError, ValueError) as error:
        raise MimecurateError(f"{folder}: {plain_words(error)}") from error


def different(before: object, now: Mapping[str, Any]) -> str:
    """Say in words which settings differ.

    >>> different({"amp": None, "seed": 0}, {"amp": "bf16", "seed": 0})
    'amp was none, now bf16'
    """
    if not isinstance(before, dict):
        return "they can't be read"
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    return "; ".join(f"{n} was {_shown(before.get(n))}, now {_shown(now.get(n))}" for n in names)


def _shown(value: object) -> str:
    if isinstance(value, dict | list):
        return "another" if value else "none"
    text = "none" if value is None else str(value)
    return text if len(text) <= 60 else text[:57] + "…"


class JournalFile:
    """The file of one process, written to at its end. Use it in a ``with`` statement."""

    def __init__(self, folder: Path, rank: int) -> None:
        """Open the file of process ``rank``, and cut off what a dead run left unfinished.

        Raises:
            MimecurateError: it can't be written.
        """
        self._path = folder / f"rows-{rank}.bin"
        try:
            self._file = self._path.open("ab")
            whole = max((place.stop for place in _records(self._path)), default=0)
            self._file.truncate(whole)
        except OSError as error:
            raise MimecurateError(f"{self._path}: {plain_words(error)}") from error

    def add(self, clip_id: str, scores: NDArray[np.float32] | None, words: str = "") -> None:
        """Write down a clip's scores, or in ``words`` why it has none.

        Raises:
            MimecurateError: the disk is full, or broken.
        """
        name, why = clip_id.encode(), words.encode()[:2000]
        row = b"" if scores is None else np.ascontiguousarray(scores, "<f4").tobytes()
        body = name + why + row
        head = _HEAD.pack(_MAGIC, len(body), zlib.crc32(body), len(name), len(why))
        try:
            self._file.write(head + body)
        except OSError as error:
            raise MimecurateError(f"{self._path}: {plain_words(error)}") from error

    def flush(self) -> None:
        """Make what was added last, whatever happens to this process.

        Raises:
            MimecurateError: the disk is full, or broken.
        """
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise MimecurateError(f"{self._path}: {plain_words(error)}") from error

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file; what can't be written is no new trouble where there is another."""
        try:
            self._file.close()
        except OSError as failure:
            if error is None:
                raise MimecurateError(f"{self._path}: {plain_words(failure)}") from failure


class JournalRows:
    """All that is finished, of every process; scores are read from the disk when asked for.

    Attributes:
        clip_ids: of the clips with scores, in order.
        failed: why each of the others has none.
    """

    def __init__(self, folder: Path, classes: int | None) -> None:
        """Look through the journal for rows of ``classes`` scores; ``None``: to name clips only.

        Raises:
            MimecurateError: it can't be read.
        """
        self._classes = classes or 0
        self._places: dict[str, tuple[Path, int]] = {}
        self.failed: dict[str, str] = {}
        try:
            for path in sorted(folder.glob("rows-*.bin")):
                for record in _records(path):
                    if record.words:
                        self.failed[record.clip_id] = record.words
                    elif classes is None or record.stop - record.start == 4 * classes:
                        self._places[record.clip_id] = path, record.start
        except OSError as error:
            raise MimecurateError(f"{folder}: {plain_words(error)}") from error
        self.clip_ids: list[str] = sorted(self._places)
        self.failed = {c: w for c, w in sorted(self.failed.items()) if c not in self._places}

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Read the scores of the clips ``start`` to ``stop``: float32[stop - start, C]."""
        scores = np.empty((stop - start, self._classes), np.float32)
        files = {}
        try:
            for row, clip_id in enumerate(self.clip_ids[start:stop]):
                path, offset = self._places[clip_id]
                if path not in files:
                    files[path] = path.open("rb")
                files[path].seek(offset)
                scores[row] = np.frombuffer(files[path].read(4 * self._classes), "<f4")
        finally:
            for file in files.values():
                file.close()
        return scores


class _Record:
    __slots__ = ("clip_id", "start", "stop", "words")

    def __init__(self, clip_id: str, words: str, start: int, stop: int) -> None:
        self.clip_id, self.words, self.start, self.stop = clip_id, words, start, stop


def _records(path: Path) -> Iterator[_Record]:
    """Yield the whole records of a file, with the place of their scores."""
    with path.open("rb") as file:
        at = 0
        while len(head := file.read(_HEAD.size)) == _HEAD.size:
            magic, size, crc, name_bytes, words_bytes = _HEAD.unpack(head)
            if magic != _MAGIC or size > _MAX_BYTES:
                return
            body = file.read(size)
            if len(body) < size or zlib.crc32(body) != crc:
                return
            at += _HEAD.size
            row = name_bytes + words_bytes
            if row > size:
                return
            try:
                name = body[:name_bytes].decode()
            except UnicodeDecodeError:
                return
            words = body[name_bytes:row].decode("utf-8", "replace")
            yield _Record(name, words, at + row, at + size)
            at += size
