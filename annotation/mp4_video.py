"""What an MP4 says of its video, read from its header alone: coding, pixels, times of frames."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mimecurate.curation.mp4_boxes import HEADER_BYTES, Box, box_at, find_box, iter_boxes
from mimecurate.curation.mp4_layout import MAX_MOOV_BYTES
from mimecurate.errors import ClipError, Reason

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any, BinaryIO

    import numpy.typing as npt

_MAX_FRAMES = 1 << 24
_STSD_HEAD, _AVC1_HEAD = 8, 78
_ALWAYS_420 = {66, 77, 88}
"""H.264 profiles that know nothing but 8 bits of 4:2:0 (A.2.1 to A.2.3)."""


@dataclass(frozen=True, slots=True, eq=False)
class VideoTrack:
    """The first video track of a file."""

    coding: str
    """The sample entry's four characters: ``avc1``, ``hvc1``, ``vp09``, …"""
    is_yuv420p: bool | None
    """8 bits of 4:2:0; None where the header doesn't tell."""
    times: npt.NDArray[np.float64]
    """``(frames,)``, seconds at which they are shown, rising. Frames that an edit list hides are
    left out."""


def read_video_track(path: Path) -> VideoTrack:
    """Read the header of an MP4 file; a few kilobytes, whatever the file's size.

    ISO/IEC 14496-12: 8.6.1.2 (``stts``), 8.6.1.3 (``ctts``), 8.6.6 (``elst``);
    ISO/IEC 14496-15: 5.3.3.1 (``avcC``).

    Raises:
        ClipError: ``CORRUPT``: it is no whole MP4; ``NO_VIDEO``; ``UNSUPPORTED``: it is in
            fragments, so the header doesn't say when its frames are shown.
        OSError: it can't be read.
    """
    with path.open("rb") as file:
        moov = _read_header(file)
    movie = _unpack(moov, _find(moov, (b"mvhd",), Box(b"moov", 0, 0, len(moov))), 12, 20)
    for box in iter_boxes(moov, 0, len(moov)):
        if box.type == b"trak":
            handler = _find(moov, (b"mdia", b"hdlr"), box)
            if moov[handler.payload + 8 : handler.payload + 12] == b"vide":
                return _track(moov, box, movie)
    raise ClipError(Reason.NO_VIDEO, "it has no video track")


def _read_header(file: BinaryIO) -> bytes:
    """Return what is in the ``moov`` box."""
    size = file.seek(0, 2)
    start = 0
    while start < size:
        file.seek(start)
        box = box_at(file.read(HEADER_BYTES), start, size)
        if box.type == b"moov":
            if box.stop - box.start > MAX_MOOV_BYTES:
                raise _corrupt(f"a header of {box.stop - box.start} bytes")
            file.seek(box.payload)
            return file.read(box.stop - box.payload)
        start = box.stop
    raise _corrupt("it has no header (moov)")


def _track(moov: bytes, trak: Box, movie_scale: int) -> VideoTrack:
    scale = _unpack(moov, _find(moov, (b"mdia", b"mdhd"), trak), 12, 20)
    table = _find(moov, (b"mdia", b"minf", b"stbl"), trak)
    steps = _pairs(moov, _find(moov, (b"stts",), table), "u4")
    if not len(steps):
        raise ClipError(Reason.UNSUPPORTED, "its header lists no frames")
    if int(steps[:, 0].sum()) > _MAX_FRAMES:
        raise _corrupt("its header lists more frames than fit into a file")
    ticks = np.repeat(steps[:, 1], steps[:, 0]).cumsum()
    ticks = np.concatenate(([0], ticks[:-1]))
    if offsets := find_box(moov, (b"ctts",), table.payload, table.stop):
        shifts = _pairs(moov, offsets, "i4")
        if int(shifts[:, 0].sum()) != len(ticks):
            raise _corrupt("its tables of times and of offsets differ in length")
        ticks = np.sort(ticks + np.repeat(shifts[:, 1], shifts[:, 0]))
    hidden, delay = _edits(moov, trak)
    ticks = ticks[ticks >= hidden] - hidden
    coding, is_yuv420p = _coding(moov, _find(moov, (b"stsd",), table))
    return VideoTrack(coding, is_yuv420p, ticks / scale + delay / movie_scale)


def _edits(moov: bytes, trak: Box) -> tuple[int, int]:
    """Read the edit list: where in the media it begins, and how long nothing is shown before.

    In ticks of the track, and of the movie.
    """
    box = find_box(moov, (b"edts", b"elst"), trak.payload, trak.stop)
    if box is None:
        return 0, 0
    version = moov[box.payload]
    form = ">Qq4x" if version else ">Ii4x"
    (count,) = _at(moov, box, ">I", 4)
    delay = 0
    for number in range(min(count, 8)):
        duration, begin = _at(moov, box, form, 8 + number * struct.calcsize(form))
        if begin >= 0:
            return begin, delay
        delay += duration
    raise _corrupt("its edit list shows nothing")


def _coding(moov: bytes, box: Box) -> tuple[str, bool | None]:
    entry = box_at(
        moov[box.payload + _STSD_HEAD : box.stop][:HEADER_BYTES],
        box.payload + _STSD_HEAD,
        box.stop,
    )
    coding = entry.type.decode("latin-1")
    if coding not in {"avc1", "avc3"}:
        return coding, None
    avcc = find_box(moov, (b"avcC",), entry.payload + _AVC1_HEAD, entry.stop)
    return coding, None if avcc is None else _is_yuv420p(moov[avcc.payload : avcc.stop])


def _is_yuv420p(avcc: bytes) -> bool | None:
    """Read profile, chroma format and depth from an ``avcC`` record."""
    if len(avcc) > 1 and avcc[1] in _ALWAYS_420:
        return True
    at = 5
    for mask in (0x1F, 0xFF):  # sequence parameter sets, then picture parameter sets
        if at >= len(avcc):
            return None
        count, at = avcc[at] & mask, at + 1
        for _ in range(count):
            at += 2 + int.from_bytes(avcc[at : at + 2], "big")
    if at + 3 > len(avcc):
        return None
    chroma, luma_depth, chroma_depth = avcc[at] & 3, avcc[at + 1] & 7, avcc[at + 2] & 7
    return (chroma, luma_depth, chroma_depth) == (1, 0, 0)


def _pairs(moov: bytes, box: Box, second: str) -> npt.NDArray[np.int64]:
    """Read a table of (count, value), ``(entries, 2)``."""
    (count,) = _at(moov, box, ">I", 4)
    if box.payload + 8 + 8 * count > box.stop:
        raise _corrupt(f"box {box.type!r} is cut off")
    raw = np.frombuffer(moov, ">u4", 2 * count, box.payload + 8).reshape(-1, 2)
    return np.column_stack((raw[:, 0], raw[:, 1].astype("u4").view(second))).astype(np.int64)


def _find(moov: bytes, names: tuple[bytes, ...], within: Box) -> Box:
    box = find_box(moov, names, within.payload, within.stop)
    if box is None:
        raise _corrupt(f"it has no {b'/'.join(names).decode()}")
    return box


def _unpack(moov: bytes, box: Box, at: int, at_if_long: int) -> int:
    """Read a time scale, whose place depends on the box's version."""
    version = _at(moov, box, ">B", 0)[0]
    (value,) = _at(moov, box, ">I", at_if_long if version == 1 else at)
    return max(1, int(value))


def _at(moov: bytes, box: Box, form: str, offset: int) -> tuple[Any, ...]:
    if box.payload + offset + struct.calcsize(form) > box.stop:
        raise _corrupt(f"box {box.type!r} is cut off")
    return struct.unpack_from(form, moov, box.payload + offset)


def _corrupt(what: str) -> ClipError:
    return ClipError(Reason.CORRUPT, f"broken MP4: {what}")
