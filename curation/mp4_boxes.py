"""Walk the boxes of an ISO base media file (MP4, MOV), as ISO/IEC 14496-12 lays them out."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mimecurate.errors import ClipError, Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADER_BYTES = 16
"""The longest box header (without a ``uuid``'s extended type): size, type and 64-bit size."""


@dataclass(frozen=True, slots=True)
class Box:
    """Where one box lies. Offsets count from where the caller's data counts."""

    type: bytes
    """Four characters: ``b"moov"``."""
    start: int
    """First byte of the header."""
    payload: int
    """First byte after the header."""
    stop: int
    """First byte after the box."""


def box_at(header: bytes | bytearray | memoryview, start: int, stop: int) -> Box:
    """Read one box header.

    Args:
        header: the bytes from ``start`` on, at least 8 and 16 where the box has a 64-bit size.
        start: offset of the box; the result's offsets count as this one does.
        stop: where the box that holds this one, or the file, ends.

    Raises:
        ClipError: ``CORRUPT``: the size is shorter than the header or reaches beyond ``stop``.

    >>> box_at(bytes.fromhex("00000018 66747970"), 0, 100)
    Box(type=b'ftyp', start=0, payload=8, stop=24)
    """
    if len(header) < 8 or stop - start < 8:
        raise _corrupt(f"a box header at byte {start} is cut off")
    size, kind = struct.unpack_from(">I4s", header)
    payload = start + 8
    if size == 1:
        if len(header) < 16 or stop - start < 16:
            raise _corrupt(f"a box header at byte {start} is cut off")
        (size,) = struct.unpack_from(">Q", header, 8)
        payload = start + 16
    elif size == 0:  # to the end of what holds it
        size = stop - start
    if size < payload - start:
        raise _corrupt(f"box {kind!r} at byte {start} says it is {size} bytes long")
    if start + size > stop:
        raise _corrupt(f"box {kind!r} at byte {start} reaches {start + size - stop} bytes too far")
    return Box(kind, start, payload, start + size)


def iter_boxes(data: bytes | bytearray | memoryview, start: int, stop: int) -> Iterator[Box]:
    """Yield the boxes that lie side by side in ``data[start:stop]``.

    Fewer than 8 bytes after the last box are ignored: QuickTime ends some containers with a zero.

    Raises:
        ClipError: ``CORRUPT``: a box is shorter than its header or reaches beyond ``stop``.

    >>> data = bytes.fromhex("00000010 6d6f6f76 00000008 66726565 00000008 6d646174")
    >>> [box.type for box in iter_boxes(data, 0, len(data))]
    [b'moov', b'mdat']
    """
    view = memoryview(data)
    stop = min(stop, len(view))
    while start + 8 <= stop:
        box = box_at(view[start : start + HEADER_BYTES], start, stop)
        yield box
        start = box.stop


def find_box(
    data: bytes | bytearray | memoryview, path: tuple[bytes, ...], start: int, stop: int
) -> Box | None:
    """Find the first box at ``path``, each name inside the one before; ``None`` if there is none.

    >>> data = bytes.fromhex("00000010 6d6f6f76 00000008 6d766864")
    >>> find_box(data, (b"moov", b"mvhd"), 0, len(data))
    Box(type=b'mvhd', start=8, payload=16, stop=16)
    """
    found: Box | None = None
    for name in path:
        found = next((box for box in iter_boxes(data, start, stop) if box.type == name), None)
        if found is None:
            return None
        start, stop = found.payload, found.stop
    return found


def _corrupt(what: str) -> ClipError:
    return ClipError(Reason.CORRUPT, f"broken MP4: {what}")
