"""A local file as a `ByteReader`."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from mimecurate.errors import ClipError, Reason, plain_words

if TYPE_CHECKING:
    from pathlib import Path


class FileBytes:
    """A `ByteReader` over a regular file. Nothing stays open between reads."""

    def __init__(self, path: Path) -> None:
        """Look the file up.

        Raises:
            OSError: it is not there.
            ValueError: it is a folder, a device or a pipe.
        """
        facts = os.stat(path)
        if not stat.S_ISREG(facts.st_mode):
            raise ValueError("not a regular file")
        self._path = path
        self._size = facts.st_size
        self._received = 0

    @property
    def size(self) -> int:
        """Length of the file in bytes."""
        return self._size

    @property
    def bytes_read(self) -> int:
        """Bytes that were read so far."""
        return self._received

    def read(self, start: int, stop: int) -> bytes:
        """Return exactly the bytes ``[start, min(stop, size))``.

        Raises:
            ClipError: the file is shorter now, or can't be read.
        """
        wanted = max(0, min(stop, self._size) - start)
        try:
            with self._path.open("rb") as file:
                file.seek(start)
                data = file.read(wanted)
        except OSError as error:
            raise ClipError(Reason.OTHER, f"{str(self._path)!r}: {plain_words(error)}") from error
        self._received += len(data)
        if len(data) < wanted:
            raise ClipError(
                Reason.CORRUPT, f"{str(self._path)!r} became shorter while it was being read"
            )
        return data
