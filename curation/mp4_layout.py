"""Where an MP4 keeps its index, and where its fragments lie, found by reading few bytes."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from mimecurate.curation.mp4_boxes import HEADER_BYTES, Box, box_at, find_box, iter_boxes
from mimecurate.curation.mp4_guard import check_header
from mimecurate.curation.range_file import RangeFile, read_range
from mimecurate.curation.segment_index import Fragment, read_fragment_table, read_segment_index
from mimecurate.errors import ClipError, Reason

if TYPE_CHECKING:
    import io
    from typing import Any, BinaryIO

PROBE_BYTES = 32 << 10
"""Enough to find the boxes that follow, and some of the first picture."""
MAX_MOOV_BYTES = 256 << 20
"""A day of video and sound has an index half as long."""
_MAX_PICTURE_BYTES = 256 << 10
_MAX_TOP_BOXES = 256
_TAIL_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class Mp4Layout:
    """What must be known of an MP4 to read parts of it."""

    header_stop: int
    """Where its header (``moov``) ends."""
    media_start: int | None = None
    """Where the first fragment starts; ``None`` if it has no fragments."""
    fragments: tuple[Fragment, ...] = ()
    """All fragments in order, if the file has an index of them."""
    index_kind: str = ""
    """``sidx`` or ``mfra``, if there is one."""


def survey_mp4(file: BinaryIO | io.RawIOBase, size: int) -> Mp4Layout:
    """Find the index of an MP4 and bring it near.

    Args:
        file: the MP4; of a `RangeFile` the whole header, the segment index and the start of the
            first frame are fetched, in as few requests as can be.
        size: its length in bytes.

    Raises:
        ClipError: ``CORRUPT``: there is no index, or it can't be true.
    """
    moov = _find_header(file, size)
    data = read_range(file, moov.start, moov.stop)
    top = box_at(data, 0, len(data))
    check_header(data)
    if find_box(data, (b"moov", b"mvex"), 0, len(data)) is None:
        return Mp4Layout(moov.stop)
    indexes, media = _find_media(file, moov.stop, size)
    track = _main_track(data, top)
    fragments = read_segment_index(file, size, indexes, track_id=track.number) if indexes else ()
    if _covers(fragments, media.start, size):
        return Mp4Layout(moov.stop, media.start, fragments, "sidx")
    if isinstance(file, RangeFile):
        fragments = _from_fragment_table(file, size, media, track)
        return Mp4Layout(moov.stop, media.start, fragments, "mfra" if fragments else "")
    return Mp4Layout(moov.stop, media.start)


@dataclass(frozen=True, slots=True)
class _Track:
    number: int
    timescale: int


def _find_header(file: BinaryIO | io.RawIOBase, size: int) -> Box:
    at = 0
    for _ in range(_MAX_TOP_BOXES):
        if size - at < 8:
            break
        rest_is_short = size - at <= max(1 << 20, size // 10)
        if isinstance(file, RangeFile) and rest_is_short and file.fetched_until(at) == at:
            file.prefetch(at, size)  # a header that comes last is seldom followed by much
        box = box_at(read_range(file, at, at + HEADER_BYTES), at, size)
        if box.type == b"moov":
            length = box.stop - box.start
            if length > MAX_MOOV_BYTES:
                raise ClipError(Reason.CORRUPT, f"broken MP4: a header (moov) of {length} bytes")
            # as a rule, 0.4 s of index takes half a kilobyte, and of video as much as a key frame
            first_picture = min(_MAX_PICTURE_BYTES, size // (length // 512 + 1))
            _fetch_box(file, box.start, box.stop, and_after=max(PROBE_BYTES, first_picture))
            return box
        at = box.stop
    raise ClipError(Reason.CORRUPT, "broken MP4: it has no header (moov)")


def _find_media(file: BinaryIO | io.RawIOBase, at: int, size: int) -> tuple[list[Box], Box]:
    """Find the segment indexes after the header, and the first fragment."""
    indexes: list[Box] = []
    for _ in range(_MAX_TOP_BOXES):
        if size - at < 8:
            break
        box = box_at(read_range(file, at, at + HEADER_BYTES), at, 2**64)  # the file may be cut off
        if box.type in {b"moof", b"mdat"}:
            _fetch_box(file, box.start, box.stop if box.type == b"moof" else box.payload)
            return indexes, box
        if box.type == b"sidx":
            _fetch_box(file, box.start, box.stop)
            indexes.append(box)
        at = box.stop
    raise ClipError(Reason.CORRUPT, "broken MP4: it announces fragments and has none")


def _fetch_box(
    file: BinaryIO | io.RawIOBase, start: int, stop: int, *, and_after: int = PROBE_BYTES
) -> None:
    """Fetch a box, if it is not here yet, and with it the start of what follows."""
    if isinstance(file, RangeFile) and file.fetched_until(start) < min(stop, file.size):
        file.prefetch(start, stop + and_after)


def _main_track(data: bytes, moov: Box) -> _Track:
    """Find the track by which fragments are counted: the video, or the first."""
    tracks: list[tuple[bool, int, _Track]] = []
    for box in iter_boxes(data, moov.payload, moov.stop):
        if box.type != b"trak":
            continue
        header = find_box(data, (b"tkhd",), box.payload, box.stop)
        media = find_box(data, (b"mdia", b"mdhd"), box.payload, box.stop)
        handler = find_box(data, (b"mdia", b"hdlr"), box.payload, box.stop)
        if header is None or media is None or handler is None:
            continue
        number = _unpack(">20xI" if data[header.payload] == 1 else ">12xI", data, header)[0]
        scale = _unpack(">20xI" if data[media.payload] == 1 else ">12xI", data, media)[0]
        (kind,) = _unpack(">8x4s", data, handler)
        tracks.append((kind != b"vide", len(tracks), _Track(number, max(1, scale))))
    if not tracks:
        raise ClipError(Reason.CORRUPT, "broken MP4: it has no tracks")
    return min(tracks)[2]


def _from_fragment_table(
    file: RangeFile, size: int, media: Box, track: _Track
) -> tuple[Fragment, ...]:
    """Read the ``mfra`` at the file's end, if there is one."""
    file.prefetch(max(0, size - _TAIL_BYTES), size)
    tail = read_range(file, max(0, size - 16), size)
    if len(tail) < 16 or tail[-12:-8] != b"mfro":
        return ()
    (length,) = struct.unpack(">I", tail[-4:])
    if not 16 <= length <= min(size, MAX_MOOV_BYTES):
        return ()
    file.prefetch(size - length, size)
    data = read_range(file, size - length, size)
    times = read_fragment_table(data, track_id=track.number)
    if not times or times[0][1] != media.start or times[-1][1] >= size - length:
        return ()
    stops = [offset for _, offset in times[1:]] + [size - length]
    first = times[0][0]
    return tuple(
        Fragment(Fraction(time - first, track.timescale), None, offset, stop)
        for (time, offset), stop in zip(times, stops, strict=True)
    )


def _covers(fragments: tuple[Fragment, ...], start: int, size: int) -> bool:
    """Tell an index of the whole file from one of its first segment."""
    return bool(fragments) and 10 * (size - fragments[-1].stop) <= size - start


def _unpack(layout: str, data: bytes, box: Box) -> tuple[Any, ...]:
    if struct.calcsize(layout) > box.stop - box.payload:
        raise ClipError(Reason.CORRUPT, f"broken MP4: box {box.type!r} is cut off")
    return struct.unpack_from(layout, data, box.payload)
