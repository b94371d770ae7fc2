"""What an MP4 says of its video, read from its header alone: coding, pixels, times of frames."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mimecurate.curation.mp4_boxes import HEADER_BYTES, box_at
from mimecurate.curation.mp4_layout import MAX_MOOV_BYTES
from mimecurate.errors import ClipError, Reason

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any, BinaryIO

    import numpy.typing as npt

_MAX_FRAMES = 1 << 24
_STSD_HEAD, _AVC1_HEAD = 8, 78
_HEADER = struct.Struct(">I4s")
_WALKED: dict[bytes, tuple[bytes, ...]] = {
    b"trak": (b"edts", b"mdia"),
    b"mdia": (b"minf",),
    b"minf": (b"stbl",),
}
"""Which boxes are walked within which: no deeper than a header is."""
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


def read_video_track(path: str | Path) -> VideoTrack:
    """Read the header of an MP4 file; a few kilobytes, whatever the file's size.

    ISO/IEC 14496-12: 8.6.1.2 (``stts``), 8.6.1.3 (``ctts``), 8.6.6 (``elst``);
    ISO/IEC 14496-15: 5.3.3.1 (``avcC``).

    Raises:
        ClipError: ``CORRUPT``: it is no whole MP4; ``NO_VIDEO``; ``UNSUPPORTED``: it is in
            fragments, so the header doesn't say when its frames are shown.
        OSError: it can't be read.
    """
    with open(path, "rb") as file:
        moov = _read_header(file)
    movie = Boxes(moov, b"moov", 0, len(moov))
    for track in movie.tracks:
        if track.unpack(b"hdlr", ">4s", 8)[0] == b"vide":
            return _track(track, movie.scale(b"mvhd"))
    raise ClipError(Reason.NO_VIDEO, "it has no video track")


class Boxes:
    """Where boxes lie in a header: the movie's own, or all of a track's; the first of each type.

    One pass over a track: that is several times faster than to look for each box from the top.
    """

    def __init__(self, moov: bytes, kind: bytes, start: int, stop: int) -> None:
        """Find the boxes in ``moov[start:stop]``, the content of a box of type ``kind``."""
        self.moov = moov
        self.tracks: list[Boxes] = []
        self._places: dict[bytes, tuple[int, int]] = {}
        self._walk(kind, start, stop)

    def _walk(self, kind: bytes, start: int, stop: int) -> None:
        inside = _WALKED.get(kind, ())
        while start + 8 <= stop:
            size, child = _HEADER.unpack_from(self.moov, start)
            if size < 8 or start + size > stop:
                raise _corrupt(f"box {child!r} in its header says it is {size} bytes long")
            if child == b"trak":
                self.tracks.append(Boxes(self.moov, child, start + 8, start + size))
            elif child in inside:
                self._walk(child, start + 8, start + size)
            else:
                self._places.setdefault(child, (start + 8, start + size))
            start += size

    def __contains__(self, kind: bytes) -> bool:
        """Whether there is such a box."""
        return kind in self._places

    def place(self, kind: bytes) -> tuple[int, int]:
        """Return where the content of a box begins and ends."""
        if kind not in self._places:
            raise _corrupt(f"its header has no {kind.decode('latin-1')}")
        return self._places[kind]

    def unpack(self, kind: bytes, form: str, offset: int) -> tuple[Any, ...]:
        """Read numbers from a box, ``offset`` bytes into its content."""
        start, stop = self.place(kind)
        if start + offset + struct.calcsize(form) > stop:
            raise _corrupt(f"box {kind!r} is cut off")
        return struct.unpack_from(form, self.moov, start + offset)

    def scale(self, kind: bytes) -> int:
        """Read a time scale, whose place depends on the box's version."""
        is_long = self.unpack(kind, ">B", 0)[0] == 1
        return max(1, int(self.unpack(kind, ">I", 20 if is_long else 12)[0]))

    def pairs(self, kind: bytes, form: str) -> npt.NDArray[np.integer[Any]]:
        """Read a table of (count, value), ``(entries, 2)``; ``form`` as NumPy names it."""
        (count,) = self.unpack(kind, ">I", 4)
        start, stop = self.place(kind)
        if start + 8 + 8 * count > stop:
            raise _corrupt(f"box {kind!r} is cut off")
        return np.frombuffer(self.moov, f">{form}", 2 * count, start + 8).reshape(-1, 2)


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


def _track(track: Boxes, movie_scale: int) -> VideoTrack:
    ticks = _decoding_ticks(track)
    count = len(ticks)
    if b"ctts" in track:
        shifts = track.pairs(b"ctts", "i4")
        if shifts[:, 0].min(initial=0) < 0 or shifts[:, 0].sum() != count:
            raise _corrupt("its tables of times and of offsets differ in length")
        ticks += shifts[:, 1].repeat(shifts[:, 0])
        ticks.sort()
    hidden, delay = _edits(track)
    if hidden or ticks[0] < 0:
        ticks = ticks[ticks.searchsorted(hidden) :] - hidden
    times = ticks / track.scale(b"mdhd")
    if delay:
        times += delay / movie_scale
    return VideoTrack(*_coding(track), times)


def _decoding_ticks(track: Boxes) -> npt.NDArray[np.int64]:
    """Read when each frame is decoded."""
    (entries,) = track.unpack(b"stts", ">I", 4)
    if not entries:
        raise ClipError(Reason.UNSUPPORTED, "its header lists no frames")
    if entries == 1:
        count, step = track.unpack(b"stts", ">II", 8)
    else:
        steps = track.pairs(b"stts", "u4")
        count = int(steps[:, 0].sum())
    if not 0 < count <= _MAX_FRAMES:
        raise _corrupt("its header lists no frames, or more than fit into a file")
    if entries == 1:
        return np.arange(count, dtype=np.int64) * int(step)
    ticks = np.zeros(count, np.int64)
    np.repeat(steps[:, 1], steps[:, 0])[:-1].cumsum(out=ticks[1:], dtype=np.int64)
    return ticks


def _edits(track: Boxes) -> tuple[int, int]:
    """Read the edit list: where in the media it begins, and how long nothing is shown before.

    In ticks of the track, and of the movie.
    """
    if b"elst" not in track:
        return 0, 0
    version, count = track.unpack(b"elst", ">B3xI", 0)
    form = ">Qq4x" if version else ">Ii4x"
    delay = 0
    for number in range(min(count, 8)):
        duration, begin = track.unpack(b"elst", form, 8 + number * struct.calcsize(form))
        if begin >= 0:
            return begin, delay
        delay += duration
    raise _corrupt("its edit list shows nothing")


def _coding(track: Boxes) -> tuple[str, bool | None]:
    start, stop = track.place(b"stsd")
    moov = track.moov
    size, kind = track.unpack(b"stsd", ">I4s", _STSD_HEAD)
    coding = kind.decode("latin-1")
    if coding not in {"avc1", "avc3"}:
        return coding, None
    entry = start + _STSD_HEAD
    inside = Boxes(moov, b"avc1", entry + 8 + _AVC1_HEAD, min(stop, entry + size))
    if b"avcC" not in inside:
        return coding, None
    return coding, _is_yuv420p(moov[slice(*inside.place(b"avcC"))])


def _is_yuv420p(avcc: bytes) -> bool | None:
    """Read profile, chroma format and depth from the first parameter set of an ``avcC`` record.

    ITU-T H.264, 7.3.2.1.1: behind profile, flags and level come Exp-Golomb codes (9.1).
    """
    if len(avcc) < 12 or not avcc[5] & 0x1F:
        return None
    profile, sps = avcc[9], avcc[12:24].replace(b"\0\0\3", b"\0\0")
    if profile in _ALWAYS_420:
        return True
    bits = f"{int.from_bytes(sps, 'big'):0{8 * len(sps)}b}"
    codes: list[int] = []  # seq_parameter_set_id, chroma_format_idc, luma and chroma depth - 8
    at = 0
    while len(codes) < 4:
        zeros = bits.find("1", at) - at
        if zeros < 0 or at + 2 * zeros + 1 > len(bits):
            return None
        codes.append(int(bits[at + zeros : at + 2 * zeros + 1], 2) - 1)
        at += 2 * zeros + 1
        if codes[1:] == [3]:
            return False
    return codes[1:] == [1, 0, 0]


def _corrupt(what: str) -> ClipError:
    return ClipError(Reason.CORRUPT, f"broken MP4: {what}")
