"""Refuse the few bytes of an MP4 that would make libav fill gigabytes with an index.

A sample table or a track run may declare billions of samples without listing them.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from mimecurate.curation.mp4_boxes import HEADER_BYTES, box_at, find_box, iter_boxes
from mimecurate.curation.range_file import read_range
from mimecurate.errors import ClipError, Reason

if TYPE_CHECKING:
    import io
    from collections.abc import Iterable
    from typing import BinaryIO

    from mimecurate.curation.mp4_boxes import Box

MAX_SAMPLES = 8_000_000
"""Of all tracks: 20 hours of video at 60 frames a second and its sound."""
_MAX_BOXES = 4_000_000
_MAX_MOOF_BYTES = 64 << 20
_MAX_DEPTH = 8
_CONTAINERS = frozenset({b"moov", b"trak", b"mdia", b"minf", b"moof", b"traf", b"mvex", b"udta"})


def check_header(data: bytes) -> None:
    """Check a whole ``moov``.

    Raises:
        ClipError: ``CORRUPT``: it declares more than `MAX_SAMPLES`, or its boxes don't fit.
    """
    _check(_declared_samples(data, 0, len(data)))


def check_fragments(file: BinaryIO | io.RawIOBase, parts: Iterable[tuple[int, int]]) -> None:
    """Check the fragments in parts of a file, as far as it can be read.

    Raises:
        ClipError: ``CORRUPT``: they declare more than `MAX_SAMPLES`, or are far too many.
    """
    samples = boxes = 0
    for at, stop in parts:
        while at < stop:
            header = read_range(file, at, min(at + HEADER_BYTES, stop))
            try:
                box = box_at(header, at, 2**64)
            except ClipError:  # libav doesn't read on, either
                break
            if box.type == b"moof":
                if box.stop - box.start > _MAX_MOOF_BYTES:
                    raise _corrupt(f"a fragment header of {box.stop - box.start} bytes")
                data = read_range(file, box.start, box.stop)
                samples += _declared_samples(data, 0, len(data))
                _check(samples)
            boxes += 1
            if boxes > _MAX_BOXES:
                raise _corrupt(f"over {_MAX_BOXES} boxes")
            at = box.stop


def _declared_samples(data: bytes, start: int, stop: int, depth: int = 0) -> int:
    if depth > _MAX_DEPTH:
        raise _corrupt("boxes in boxes without end")
    count = 0
    for box in iter_boxes(data, start, stop):
        if box.type in _CONTAINERS:
            count += _declared_samples(data, box.payload, box.stop, depth + 1)
        elif box.type == b"stbl":
            count += _samples_of_table(data, box)
        elif box.type == b"trun":
            count += _number(data, box, 4)
    return count


def _samples_of_table(data: bytes, table: Box) -> int:
    sizes = find_box(data, (b"stsz",), table.payload, table.stop)
    times = find_box(data, (b"stts",), table.payload, table.stop)
    if sizes is None or times is None:
        return 0
    count = _number(data, sizes, 8)
    if _number(data, sizes, 4) == 0:  # each is listed
        return min(count, (sizes.stop - sizes.payload) // 4)
    is_pcm = _number(data, times, 4) == 1 and _number(data, times, 12) == 1
    return 0 if is_pcm else count  # libav indexes PCM by chunks


def _number(data: bytes, box: Box, offset: int) -> int:
    if box.payload + offset + 4 > box.stop:
        raise _corrupt(f"box {box.type!r} is cut off")
    (number,) = struct.unpack_from(">I", data, box.payload + offset)
    return int(number)


def _check(samples: int) -> None:
    if samples > MAX_SAMPLES:
        raise _corrupt(f"it claims to have {samples} samples, at most {MAX_SAMPLES} can be")


def _corrupt(what: str) -> ClipError:
    return ClipError(Reason.CORRUPT, f"broken MP4: {what}")
