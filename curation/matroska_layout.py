"""Where a Matroska or WebM file keeps its clusters and what follows them, by RFC 9559."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mimecurate.curation.range_file import RangeFile, read_range
from mimecurate.errors import ClipError, Reason

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator
    from typing import BinaryIO

_EBML = 0x1A45DFA3
_SEGMENT = 0x18538067
_SEEK_HEAD = 0x114D9B74
_SEEK = 0x4DBB
_SEEK_ID = 0x53AB
_SEEK_POSITION = 0x53AC
_CUES = 0x1C53BB6B
_CLUSTER = 0x1F43B675
_TIMESTAMP = 0xE7
_CHECKSUM = 0xBF
_MAX_ELEMENTS = 1000
_MAX_HEADER_BYTES = 64 << 20
_LONGEST_HEADER_BYTES = 12


@dataclass(frozen=True, slots=True)
class MatroskaLayout:
    """What must be known of a Matroska file to read parts of it."""

    first_cluster: int
    """Offset of the first cluster."""
    tail: int
    """Offset of what follows the clusters and is listed in front (cues, tags); else the size."""
    has_cues: bool
    """Whether there is an index, in front or listed there."""


@dataclass(frozen=True, slots=True)
class _Element:
    number: int
    payload: int
    stop: int | None
    """``None`` if it does not say."""


def survey_matroska(file: BinaryIO | io.RawIOBase, size: int) -> MatroskaLayout:
    """Walk the header to the first cluster; of a `RangeFile`, what lies before it is fetched.

    Raises:
        ClipError: ``CORRUPT``: it has no clusters, or a header element is broken.
    """
    ebml = _element_at(file, 0, size)
    if ebml.number != _EBML or ebml.stop is None:
        raise _corrupt("it does not start with an EBML header")
    segment = _element_at(file, ebml.stop, size)
    if segment.number != _SEGMENT:
        raise _corrupt("it has no segment")
    listed: dict[int, int] = {}
    at = segment.payload
    for _ in range(_MAX_ELEMENTS):
        element = _element_at(file, at, size)
        if element.number == _CLUSTER:
            later = [offset for offset in listed.values() if at < offset < size]
            return MatroskaLayout(at, min(later, default=size), _CUES in listed)
        if element.stop is None or element.stop - at > _MAX_HEADER_BYTES:
            raise _corrupt(f"its header has element {element.number:#x} of unlikely length")
        if isinstance(file, RangeFile) and file.fetched_until(at) < element.stop:
            file.prefetch(at, element.stop + _LONGEST_HEADER_BYTES)
        if element.number == _SEEK_HEAD:
            listed |= {n: segment.payload + offset for n, offset in _listed(file, element)}
        elif element.number == _CUES:
            listed[_CUES] = at
        at = element.stop
    raise _corrupt("it has no clusters")


def cluster_ticks(file: BinaryIO | io.RawIOBase, at: int, size: int) -> int | None:
    """Read the timestamp of the cluster at ``at``; ``None`` if there is none in its first bytes."""
    try:
        cluster = _element_at(file, at, size)
        if cluster.number != _CLUSTER:
            return None
        child = _element_at(file, cluster.payload, size)
        if child.number == _CHECKSUM and child.stop is not None:
            child = _element_at(file, child.stop, size)
        return _number(file, child) if child.number == _TIMESTAMP else None
    except ClipError:
        return None


def _listed(file: BinaryIO | io.RawIOBase, seek_head: _Element) -> Iterator[tuple[int, int]]:
    """Yield what a seek head lists: element numbers, and offsets from the segment's payload."""
    for seek in _children(file, seek_head):
        if seek.number == _SEEK:
            parts = {part.number: _number(file, part) for part in _children(file, seek)}
            if _SEEK_ID in parts and _SEEK_POSITION in parts:
                yield parts[_SEEK_ID], parts[_SEEK_POSITION]


def _children(file: BinaryIO | io.RawIOBase, parent: _Element) -> Iterator[_Element]:
    at, stop = parent.payload, parent.stop or parent.payload
    while at < stop:
        child = _element_at(file, at, stop)
        if child.stop is None:
            return
        yield child
        at = child.stop


def _element_at(file: BinaryIO | io.RawIOBase, at: int, stop: int) -> _Element:
    """Read an element's number and size: EBML variable-size integers, RFC 8794, section 4."""
    data = read_range(file, at, at + _LONGEST_HEADER_BYTES)
    number_length = _length(data)
    size_length = _length(data[number_length:])
    payload = at + number_length + size_length
    if not 1 <= number_length <= 4 or not size_length or payload > stop or len(data) < payload - at:
        raise _corrupt(f"there is no element at byte {at}")
    number = int.from_bytes(data[:number_length])
    mask = (1 << 7 * size_length) - 1
    size = int.from_bytes(data[number_length : payload - at]) & mask
    if size == mask:
        return _Element(number, payload, None)
    if payload + size > stop and number not in {_SEGMENT, _CLUSTER}:  # the file may be cut off
        raise _corrupt(f"element {number:#x} at byte {at} reaches too far")
    return _Element(number, payload, payload + size)


def _length(data: bytes) -> int:
    """Length of a variable-size integer by its first byte; 0 if there is none."""
    return 9 - data[0].bit_length() if data and data[0] else 0


def _number(file: BinaryIO | io.RawIOBase, element: _Element) -> int:
    if element.stop is None or element.stop - element.payload > 8:
        raise _corrupt(f"element {element.number:#x} is no number")
    return int.from_bytes(read_range(file, element.payload, element.stop))


def _corrupt(what: str) -> ClipError:
    return ClipError(Reason.CORRUPT, f"broken Matroska: {what}")
