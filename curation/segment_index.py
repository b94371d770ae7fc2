"""The two indexes of a fragmented MP4: ``sidx`` in front, with levels, and ``mfra`` at the end.

ISO/IEC 14496-12, 8.16.3 and 8.8.9 to 8.8.11.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from mimecurate.curation.mp4_boxes import HEADER_BYTES, Box, box_at, find_box, iter_boxes
from mimecurate.curation.range_file import read_range
from mimecurate.errors import ClipError, Reason

if TYPE_CHECKING:
    import io
    from collections.abc import Sequence
    from typing import BinaryIO

MAX_REFERENCES = 1 << 18
"""Three days of fragments of 1 s."""
MAX_INDEXES = 1 << 12
_MAX_INDEX_BYTES = 1 << 20  # one has at most 65535 references of 12 bytes


@dataclass(frozen=True, slots=True)
class Fragment:
    """A stretch of video that is stored together and can be decoded from its start."""

    start_s: Fraction
    """In seconds from the first fragment's earliest frame."""
    end_s: Fraction | None
    """Where the next one starts; unknown of the last one in an ``mfra``."""
    start: int
    """First byte."""
    stop: int
    """First byte after it."""


class _Reference(NamedTuple):
    to_index: bool
    length: int
    ticks: int
    is_entry: bool
    """Whether it starts with a frame that can be decoded by itself, or does not say."""


@dataclass(frozen=True, slots=True)
class _SegmentIndex:
    track_id: int
    timescale: int
    anchor: int
    references: list[_Reference]


def read_segment_index(
    file: BinaryIO | io.RawIOBase, size: int, boxes: Sequence[Box], *, track_id: int
) -> tuple[Fragment, ...]:
    """List the fragments that a segment index, and the indexes it refers to, speak of.

    Args:
        file: the MP4.
        size: its length in bytes; references beyond it are left out.
        boxes: the ``sidx`` boxes before the first fragment, one for each track or one for all.
        track_id: the track that is wanted; the first index serves if none is for this one.

    Raises:
        ClipError: ``CORRUPT``: an index is cut off, contradicts itself or has no end.
    """
    tops = [_read_index(file, box) for box in boxes[:MAX_INDEXES]]
    top = next((index for index in tops if index.track_id == track_id), tops[0])
    leaves = _leaves(file, size, top)
    entries = any(reference.is_entry for _, reference in leaves)
    fragments: list[Fragment] = []
    time = 0
    for at, reference in leaves:
        start = Fraction(time, top.timescale)
        time += reference.ticks
        end, stop = Fraction(time, top.timescale), at + reference.length
        if stop > size:
            break
        if fragments and entries and not reference.is_entry:  # decoding can't start here
            start, at = fragments[-1].start_s, fragments[-1].start
            fragments.pop()
        fragments.append(Fragment(start, end, at, stop))
    return tuple(fragments)


def _leaves(
    file: BinaryIO | io.RawIOBase, size: int, top: _SegmentIndex
) -> list[tuple[int, _Reference]]:
    """Walk all levels in order: each reference to media, and where it lies."""
    leaves: list[tuple[int, _Reference]] = []
    indexes, count = 1, len(top.references)
    pending = [(top.anchor, iter(top.references))]
    while pending:
        at, references = pending.pop()
        for reference in references:
            if not reference.to_index:
                leaves.append((at, reference))
                at += reference.length
                continue
            if at >= size:
                break
            box = box_at(read_range(file, at, at + HEADER_BYTES), at, size)
            index = _read_index(file, box)
            indexes, count = indexes + 1, count + len(index.references)
            if indexes > MAX_INDEXES or count > MAX_REFERENCES:
                raise _corrupt(f"over {MAX_INDEXES} levels or {MAX_REFERENCES} entries")
            if index.timescale != top.timescale:
                raise _corrupt("its levels count time differently")
            pending.append((at + reference.length, references))
            pending.append((index.anchor, iter(index.references)))
            break
    return leaves


def _read_index(file: BinaryIO | io.RawIOBase, box: Box) -> _SegmentIndex:
    if box.type != b"sidx" or box.stop - box.payload > _MAX_INDEX_BYTES:
        raise _corrupt(f"there is {box.type!r} of {box.stop - box.start} bytes in its place")
    data = read_range(file, box.payload, box.stop)
    layout = ">4xIIQQ2xH" if data[:1] == b"\1" else ">4xIIII2xH"
    if len(data) < struct.calcsize(layout):
        raise _corrupt("it is cut off")
    track_id, timescale, _, offset, count = struct.unpack_from(layout, data)
    body = data[struct.calcsize(layout) :]
    if len(body) < 12 * count or timescale == 0:
        raise _corrupt("it is cut off" if timescale else "its timescale is zero")
    references = [
        _Reference(
            to_index=bool(size_field >> 31),
            length=size_field & 0x7FFFFFFF,
            ticks=ticks,
            is_entry=bool(access >> 31),
        )
        for size_field, ticks, access in struct.iter_unpack(">III", body[: 12 * count])
    ]
    return _SegmentIndex(track_id, timescale, box.stop + offset, references)


def read_fragment_table(data: bytes, *, track_id: int) -> list[tuple[int, int]]:
    """Read one track's table in an ``mfra`` box.

    Args:
        data: the ``mfra``, whole.
        track_id: the track that is wanted.

    Returns:
        Time, in the track's ticks, and offset of each fragment, both rising; empty if there is no
        table of this track, or it is not in order.

    Raises:
        ClipError: ``CORRUPT``: the boxes don't fit into each other, or the table is cut off.
    """
    top = find_box(data, (b"mfra",), 0, len(data))
    for box in iter_boxes(data, top.payload, top.stop) if top else ():
        if box.type != b"tfra" or box.stop - box.payload < 16:
            continue
        version, number, lengths, count = struct.unpack_from(">B3xIII", data, box.payload)
        if number != track_id:
            continue
        numbers = sum((lengths >> shift & 3) + 1 for shift in (4, 2, 0))
        layout = f">{'QQ' if version == 1 else 'II'}{numbers}x"
        body = data[box.payload + 16 : box.stop]
        if count > MAX_REFERENCES or len(body) < count * struct.calcsize(layout):
            raise _corrupt("its table is cut off")
        return _rising(list(struct.iter_unpack(layout, body[: count * struct.calcsize(layout)])))
    return []


def _rising(entries: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Keep the first entry of each fragment."""
    kept: list[tuple[int, int]] = []
    for time, offset in entries:
        if kept and offset == kept[-1][1]:
            continue
        if kept and (offset < kept[-1][1] or time < kept[-1][0]):
            return []
        kept.append((time, offset))
    return kept


def _corrupt(what: str) -> ClipError:
    return ClipError(Reason.CORRUPT, f"broken MP4: segment index: {what}")
