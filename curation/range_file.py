"""A far-away file that libav can read: what was fetched is kept on disk, what was not is asked for.

libav reads ahead, probes and seeks; over a network each such read costs a request. Here whole
runs are fetched at once by `RangeFile.prefetch`, and the file can end where the plan does.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import tempfile
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mimecurate.errors import ClipError, Reason

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

    from _typeshed import WriteableBuffer

    from mimecurate.curation.byte_reader import ByteReader

HEAD_BYTES = 64 << 10
"""Fetched at once: a `ByteReader` has them from its first request."""
MIN_BLOCK_BYTES = 32 << 10
"""Fetched for a read that was not planned."""
MAX_BLOCK_BYTES = 4 << 20
"""What such fetches grow to, by doubling, while the reads go on forward."""
MAX_SPOOL_BYTES = 8 << 30
"""Most that is kept of one file."""
_PIECE_BYTES = 10 << 20  # most that is asked for at once


@dataclass(slots=True)
class _Extent:
    """Bytes ``[start, stop)`` of the file, which lie at ``spooled`` in the temporary file."""

    start: int
    stop: int
    spooled: int


class RangeFile(io.RawIOBase):
    """Seekable, read-only, for one thread at a time.

    What was fetched lies in a temporary file without a name, so memory stays flat and nothing is
    left behind by a process that dies.
    """

    def __init__(self, reader: ByteReader, *, spool_dir: Path | None = None) -> None:
        """Take the head of the file from ``reader``.

        Args:
            reader: where bytes come from.
            spool_dir: the temporary file's folder; the system's where it is ``None``.

        Raises:
            ClipError: the head could not be had, or not be kept.
        """
        super().__init__()
        self._reader = reader
        self._position = 0
        self._extents: list[_Extent] = []
        self._spooled = 0
        self._block = MIN_BLOCK_BYTES
        self._read_on = -1
        self._failed = False
        self._end: int | None = None
        head = reader.read(0, min(HEAD_BYTES, reader.size))
        with _disk_errors():
            self._spool = tempfile.TemporaryFile(dir=spool_dir, buffering=0)  # noqa: SIM115
            self._keep(0, head)

    @property
    def size(self) -> int:
        """Length of the whole file in bytes."""
        return self._reader.size

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """Where the next read starts."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to ``offset``; nothing is fetched."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise OSError(errno.EINVAL, f"seek to {base + offset}, before the start")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read what lies here, at most to the end of what was fetched together.

        Raises:
            ClipError: bytes had to be fetched and could not be. Until the next `prefetch` or
                `end_at`, what is not here then reads as the end of the file: a demuxer that
                swallows one error must not run into a second.
        """
        view = memoryview(buffer).cast("B")
        extent = self._extent_at(self._position)
        if extent is None and self._may_fetch(self._position):
            self._fetch_block(len(view))
            extent = self._extent_at(self._position)
        if extent is None:
            return 0
        self._spool.seek(extent.spooled + self._position - extent.start)
        count = self._spool.readinto(view[: extent.stop - self._position])
        self._position += count
        return count

    def prefetch(self, start: int, stop: int) -> None:
        """Fetch what is not here yet of bytes ``[start, stop)``.

        Raises:
            ClipError: they could not be had, or not be kept.
        """
        self._failed = False
        stop = min(stop, self.size)
        at = max(0, start)
        while at < stop:
            extent = self._extent_at(at)
            if extent is not None:
                at = extent.stop
                continue
            piece_stop = min(stop, self._next_start(at), at + _PIECE_BYTES)
            data = self._reader.read(at, piece_stop)
            with _disk_errors():
                self._keep(at, data)
            at = piece_stop

    def end_at(self, position: int | None) -> None:
        """From ``position`` on, let what is not here read as the end of the file.

        So a demuxer that looks about ends where the plan does. ``None`` takes it back.
        """
        self._failed = False
        self._end = position

    def fetched_until(self, position: int) -> int:
        """Where the bytes that are here from ``position`` on end (there, if there are none)."""
        while (extent := self._extent_at(position)) is not None:
            position = extent.stop
        return position

    def close(self) -> None:
        """Give the disk space back."""
        if not self.closed and hasattr(self, "_spool"):
            self._spool.close()
        super().close()

    def _may_fetch(self, position: int) -> bool:
        end = self.size if self._end is None else min(self._end, self.size)
        return position < end and not self._failed

    def _fetch_block(self, wanted: int) -> None:
        """Fetch from the position on: little at first, more while reads go on forward."""
        near = 0 <= self._position - self._read_on < self._block
        self._block = min(2 * self._block, MAX_BLOCK_BYTES) if near else MIN_BLOCK_BYTES
        stop = self._position + max(self._block, min(wanted, MAX_BLOCK_BYTES))
        stop = min(stop, self._next_start(self._position))
        if self._end is not None:
            stop = min(stop, self._end)
        try:
            self.prefetch(self._position, stop)
        except Exception:  # whatever it is, libav may swallow it
            self._failed = True
            raise
        self._read_on = stop

    def _extent_at(self, position: int) -> _Extent | None:
        after = bisect_right(self._extents, position, key=_start)
        if after and position < self._extents[after - 1].stop:
            return self._extents[after - 1]
        return None

    def _next_start(self, position: int) -> int:
        """Where the next bytes that are here start, or the file ends."""
        after = bisect_right(self._extents, position, key=_start)
        return self._extents[after].start if after < len(self._extents) else self.size

    def _keep(self, start: int, data: bytes) -> None:
        if self._spooled + len(data) > MAX_SPOOL_BYTES:
            raise ClipError(
                Reason.UNSUPPORTED,
                f"more than {MAX_SPOOL_BYTES >> 30} GiB would have to be read of one file",
            )
        self._spool.seek(self._spooled)
        left = memoryview(data)
        while left:
            left = left[self._spool.write(left) :]
        after = bisect_right(self._extents, start, key=_start)
        before = self._extents[after - 1] if after else None
        if (
            before is not None
            and before.stop == start
            and before.spooled + before.stop - before.start == self._spooled
        ):
            before.stop += len(data)
        else:
            self._extents.insert(after, _Extent(start, start + len(data), self._spooled))
        self._spooled += len(data)


def read_range(file: BinaryIO | io.RawIOBase, start: int, stop: int) -> bytes:
    """Read bytes ``[start, stop)`` of any file, fewer where it ends.

    The position stays: libav, which may be reading the same file, believes it knows it.
    """
    position = file.tell()
    file.seek(start)
    pieces: list[bytes] = []
    while start < stop and (piece := file.read(min(stop - start, _PIECE_BYTES))):
        pieces.append(piece)
        start += len(piece)
    file.seek(position)
    return b"".join(pieces)


def _start(extent: _Extent) -> int:
    return extent.start


@contextlib.contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
        reason = Reason.DISK_FULL if full else Reason.OTHER
        what = os.strerror(error.errno) if error.errno else str(error)
        raise ClipError(reason, f"temporary file: {what}") from error
