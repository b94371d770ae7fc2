"""Show libav only some parts of an MP4 file, everything at its own offset.

libav reads all fragments' headers of a fragmented MP4, or trusts a segment index that it seeks by
coarsely and can't read where it has levels. It does neither if it sees the header and the
fragments of the clips only, and in place of each gap one ``free`` box, which it steps over.
"""

from __future__ import annotations

import io
import struct
from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import BinaryIO

    from _typeshed import WriteableBuffer

_FREE_HEADER_BYTES = 16


class MaskedFile(io.RawIOBase):
    """A file of which ``visible`` parts can be read; it ends where the last of them ends.

    Gaps read as ``free`` boxes of their length, so the parts must begin and end at top-level boxes.
    """

    def __init__(self, file: BinaryIO | io.RawIOBase, visible: Iterable[tuple[int, int]]) -> None:
        """Look at ``file``, which stays open when this is closed.

        Args:
            file: what is looked at.
            visible: half-open byte ranges, in any order. Gaps too short for a box are seen, too.
        """
        super().__init__()
        self._file = file
        self._position = 0
        self._visible = merge_ranges([(0, 0), *visible], gap=_FREE_HEADER_BYTES - 1)
        self.size = self._visible[-1][1]
        """Where the last part ends, in bytes."""

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
        """Go to ``offset``."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read what lies here, at most to the end of this part or gap."""
        view = memoryview(buffer).cast("B")
        at = self._position
        if at >= self.size:
            return 0
        index = bisect_right(self._visible, at, key=_start) - 1
        stop = self._visible[index][1]
        if at < stop:
            self._file.seek(at)
            data = self._file.read(min(len(view), stop - at)) or b""
        else:
            next_start = self._visible[index + 1][0]
            header = struct.pack(">I4sQ", 1, b"free", next_start - stop)[at - stop :]
            data = (header or bytes(min(len(view), next_start - at)))[: len(view)]
        count = len(data)
        view[:count] = data
        self._position += count
        return count


def merge_ranges(ranges: Iterable[tuple[int, int]], *, gap: int = 0) -> list[tuple[int, int]]:
    """Sort half-open ranges and join those that overlap or lie at most ``gap`` apart.

    >>> merge_ranges([(50, 60), (0, 10), (5, 20), (25, 30)], gap=5)
    [(0, 30), (50, 60)]
    """
    merged: list[tuple[int, int]] = []
    for start, stop in sorted(ranges):
        if merged and start - merged[-1][1] <= gap:
            merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
        else:
            merged.append((start, stop))
    return merged


def _start(part: tuple[int, int]) -> int:
    return part[0]
