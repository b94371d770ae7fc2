"""H.264 as cutting needs it: NAL units, parameter sets, and where decoding may begin.

ITU-T H.264: 7.3.1 (NAL unit), 7.4.1 (``nal_unit_type``), Annex B (byte stream);
ISO/IEC 14496-15, 5.3.3 (``avcC``) and 5.4.2.1 (the sample entries ``avc1`` and ``avc3``).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mimecurate.errors import ClipError, Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SLICE_TYPES = range(1, 6)
IDR = 5
SPS, PPS, DELIMITER = 7, 8, 9
_START_CODE = b"\0\0\1"


@dataclass(frozen=True, slots=True)
class ParameterSets:
    """What a stream's header says: the parameter sets, and how its packets separate NAL units."""

    sps: tuple[bytes, ...]
    pps: tuple[bytes, ...]
    length_size: int | None
    """Bytes of the length before each NAL unit; ``None`` where start codes separate them."""

    def __contains__(self, nal: object) -> bool:
        """Whether this very parameter set is one of them."""
        return nal in self.sps or nal in self.pps


@dataclass(frozen=True, slots=True)
class CodedPicture:
    """What the NAL units of one packet say about its picture."""

    is_idr: bool
    """Decoding can begin here, and nothing after it needs what came before."""
    is_reference: bool
    """Other pictures may need it."""
    changes_parameters: bool
    """It brings parameter sets that differ from those of the stream's header."""


def parse_header(extradata: bytes) -> ParameterSets:
    """Read a stream's header: an ``avcC`` record or an Annex B byte stream.

    Raises:
        ClipError: ``CORRUPT``: it is neither, or lacks parameter sets.
    """
    if extradata.startswith((b"\0\0\1", b"\0\0\0\1")):
        nals = [bytes(nal) for nal in iter_nals(extradata, None)]
        sps = tuple(nal for nal in nals if nal_type(nal) == SPS)
        pps = tuple(nal for nal in nals if nal_type(nal) == PPS)
        length_size = None
    else:
        sps, pps, length_size = _parse_avcc(extradata)
    if not sps or not pps or min(map(len, sps)) < 4:
        raise ClipError(Reason.CORRUPT, "broken H.264 header: it lacks parameter sets")
    return ParameterSets(sps, pps, length_size)


def make_avcc(sets: ParameterSets) -> bytes:
    """Write an ``avcC`` record with lengths of 4 bytes, for 8-bit 4:2:0 video.

    >>> sets = ParameterSets((bytes.fromhex("6764000a"),), (bytes.fromhex("68ee"),), None)
    >>> make_avcc(sets).hex(" ")
    '01 64 00 0a ff e1 00 04 67 64 00 0a 01 00 02 68 ee fd f8 f8 00'
    """
    profile, compatibility, level = sets.sps[0][1:4]
    parts = [bytes((1, profile, compatibility, level, 0xFC | 3, 0xE0 | len(sets.sps)))]
    parts += [struct.pack(">H", len(nal)) + nal for nal in sets.sps]
    parts.append(bytes((len(sets.pps),)))
    parts += [struct.pack(">H", len(nal)) + nal for nal in sets.pps]
    if profile not in {66, 77, 88}:  # chroma format 4:2:0, 8 + 0 bits of luma and chroma
        parts.append(bytes((0xFC | 1, 0xF8, 0xF8, 0)))
    return b"".join(parts)


def iter_nals(
    data: bytes | memoryview, length_size: int | None
) -> Iterator[bytes | memoryview[int]]:
    r"""Yield the NAL units of a packet, without their lengths or start codes; no empty ones.

    Args:
        data: the packet.
        length_size: bytes of the length before each; ``None`` for start codes (Annex B).

    Raises:
        ClipError: ``CORRUPT``: a length reaches beyond the packet.

    >>> [bytes(nal) for nal in iter_nals(b"\0\0\0\1ab\0\0\1c", None)]
    [b'ab', b'c']
    >>> [bytes(nal) for nal in iter_nals(b"\0\2ab\0\1c", 2)]
    [b'ab', b'c']
    """
    return _annex_b_nals(bytes(data)) if length_size is None else _length_nals(data, length_size)


def join_nals(nals: Iterable[bytes | memoryview]) -> bytes:
    r"""Put NAL units into one packet, each after its length in 4 bytes.

    >>> join_nals([b"ab", b"c"])
    b'\x00\x00\x00\x02ab\x00\x00\x00\x01c'
    """
    return b"".join(part for nal in nals for part in (struct.pack(">I", len(nal)), nal))


def nal_type(nal: bytes | memoryview) -> int:
    """Return ``nal_unit_type``, the low five bits of the first byte."""
    return nal[0] & 31


def inspect_picture(data: bytes | memoryview, sets: ParameterSets) -> CodedPicture:
    """Say what a packet holds, from the first bytes of its NAL units.

    Raises:
        ClipError: ``CORRUPT``: the packet holds no picture, or its lengths are wrong.
    """
    changes = False
    first_slice: int | None = None
    for nal in iter_nals(data, sets.length_size):
        kind = nal_type(nal)
        if kind in {SPS, PPS} and bytes(nal) not in sets:
            changes = True
        if first_slice is None and kind in SLICE_TYPES:
            first_slice = nal[0]
    if first_slice is None:
        raise ClipError(Reason.CORRUPT, "an H.264 packet holds no picture")
    return CodedPicture(first_slice & 31 == IDR, bool(first_slice & 0x60), changes)


def with_parameter_sets(data: bytes | memoryview, sets: ParameterSets) -> bytes:
    """Rewrite a packet with lengths of 4 bytes and the parameter sets in front of its picture."""
    return join_nals([*sets.sps, *sets.pps, *_picture_nals(data, sets)])


def without_parameter_sets(data: bytes | memoryview, sets: ParameterSets) -> bytes:
    """Rewrite a packet with lengths of 4 bytes and no parameter sets."""
    return join_nals(_picture_nals(data, sets))


def _picture_nals(
    data: bytes | memoryview, sets: ParameterSets
) -> Iterator[bytes | memoryview[int]]:
    for nal in iter_nals(data, sets.length_size):
        if nal_type(nal) not in {SPS, PPS, DELIMITER}:
            yield nal


def _length_nals(data: bytes | memoryview, length_size: int) -> Iterator[memoryview[int]]:
    view = memoryview(data)
    start = 0
    while start < len(view):
        head = start + length_size
        stop = head + int.from_bytes(view[start:head], "big")
        if head > len(view) or stop > len(view):
            raise ClipError(Reason.CORRUPT, "an H.264 packet ends inside a NAL unit")
        if stop > head:
            yield view[head:stop]
        start = stop


def _annex_b_nals(data: bytes) -> Iterator[bytes]:
    for piece in data.split(_START_CODE)[1:]:
        if nal := piece.rstrip(b"\0"):  # a NAL unit never ends in zero (7.4.1)
            yield nal


def _parse_avcc(record: bytes) -> tuple[tuple[bytes, ...], tuple[bytes, ...], int]:
    try:
        if record[0] != 1:
            raise ClipError(Reason.CORRUPT, f"broken H.264 header: version {record[0]} of avcC")
        sps, at = _counted_nals(record, 6, record[5] & 31)
        pps, _ = _counted_nals(record, at + 1, record[at])
    except (IndexError, struct.error):
        raise ClipError(Reason.CORRUPT, "broken H.264 header: avcC is cut off") from None
    return sps, pps, (record[4] & 3) + 1


def _counted_nals(record: bytes, at: int, count: int) -> tuple[tuple[bytes, ...], int]:
    nals = []
    for _ in range(count):
        (size,) = struct.unpack_from(">H", record, at)
        nal = record[at + 2 : at + 2 + size]
        if len(nal) < size or not nal:
            raise IndexError
        nals.append(nal)
        at += 2 + size
    return tuple(nals), at
