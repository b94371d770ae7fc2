"""Check a clip to its end, and say what is in it."""

from __future__ import annotations

import hashlib
import os
import struct
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

import av
from av.error import FFmpegError

from mimecurate.curation.frame_looks import FrameLooks
from mimecurate.curation.mp4_boxes import HEADER_BYTES, box_at, find_box
from mimecurate.curation.packet_check import packet_digest
from mimecurate.errors import ClipError, Reason

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

    from av import AudioFrame, Packet, VideoFrame
    from av.container import InputContainer
    from av.stream import Stream

    from mimecurate.curation.cut_plan import Cut

_SOUND_ERROR_S = 0.1
_MAX_INDEX_BYTES = 64 << 20
_MOVIE_HEADER_BYTES = 32


@dataclass(frozen=True, slots=True)
class MediaFacts:
    """What a clip's file holds, all of it decoded."""

    bytes: int
    sha256: str
    duration_ms: int
    width: int
    """Of the coded frames, in pixels, before the sample aspect ratio is applied."""
    height: int
    fps: float
    """Average frame rate; ``fps_num / fps_den`` is exact."""
    fps_num: int
    fps_den: int
    frames: int
    video_codec: str
    audio_codec: str | None
    frame_hashes: tuple[int, ...]
    """Eight 64-bit perceptual hashes (DCT) of frames at equal distances, as unsigned integers."""
    warnings: tuple[str, ...]
    """``black throughout``, ``frozen throughout``."""


def verify_clip(path: Path, cut: Cut | None = None) -> MediaFacts:
    """Check a clip to its end in one pass, and describe it.

    The file's own frame count must be true, frames must decode without any concealed error, their
    times must begin at 0 and rise, and sound, if there is any, must decode. With ``cut``, count,
    times, duration and size must also be those planned; where the packets were decoded when they
    were written, the file must hold those very packets, and none is decoded again.

    Args:
        path: the file.
        cut: what it was made as; ``None`` if that isn't known.

    Raises:
        ClipError: ``NO_VIDEO``: it has no video stream; ``CORRUPT``: anything else is wrong.
        OSError: it can't be read.
    """
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = file.tell()
        duration = _movie_duration(file)
        file.seek(0)
        try:
            with av.open(file, "r") as container:
                seen = _read(container, cut, duration)
                facts = _facts(container, seen, size, digest)
        except FFmpegError as error:
            raise _corrupt(f"it does not decode ({error.strerror})") from error
    _check_times(seen)
    if cut is not None:
        _check_plan(seen, facts, cut)
    return facts


@dataclass(slots=True)
class _Seen:
    """What decoding has shown so far."""

    time_base: Fraction
    announced: int
    """Frames, as the file's header says."""
    duration: Fraction
    """Seconds, as the file's header says."""
    frame_hashes: tuple[int, ...] = ()
    warnings: tuple[str, ...] = ()
    sound_end_s: float | None = None
    ticks: list[int] = field(default_factory=list)
    """Of each frame."""


def _movie_duration(file: BinaryIO) -> Fraction:
    """Read how long an MP4 file says it is, in seconds: of a stream, libav only guesses it."""
    size = file.seek(0, os.SEEK_END)
    start = 0
    while start < size:
        file.seek(start)
        box = box_at(file.read(HEADER_BYTES), start, size)
        if box.type == b"moov":
            file.seek(box.payload)
            moov = file.read(min(box.stop - box.payload, _MAX_INDEX_BYTES))
            header = find_box(moov, (b"mvhd",), 0, len(moov))
            if header is None or header.stop - header.payload < _MOVIE_HEADER_BYTES:
                break
            is_long = moov[header.payload] == 1
            form, at = (">IQ", 20) if is_long else (">II", 12)
            timescale, duration = struct.unpack_from(form, moov, header.payload + at)
            return Fraction(duration, max(1, timescale))
        start = box.stop
    raise _corrupt("it has no index")


def _read(container: InputContainer, cut: Cut | None, duration: Fraction) -> _Seen:
    if not container.streams.video:
        raise ClipError(Reason.NO_VIDEO, "the clip has no video stream")
    video = container.streams.video[0]
    video.codec_context.thread_count = 1
    assert video.time_base is not None
    checked = cut.checked if cut else None
    looks = FrameLooks(cut.frames if cut else video.frames)
    seen = _Seen(video.time_base, video.frames, duration)
    digests = iter(checked.digests) if checked else None
    for packet in container.demux([video, *container.streams.audio[:1]]):
        if packet.is_corrupt:
            raise _corrupt("a packet is cut off")
        if digests is not None and packet.stream is video:
            _compare(seen, packet, digests)
            continue
        for frame in packet.decode():
            if isinstance(frame, av.VideoFrame):
                _look(seen, frame, looks)
            elif isinstance(frame, av.AudioFrame):
                _listen(seen, frame)
    seen.frame_hashes, seen.warnings = tuple(looks.hashes), looks.warnings(len(seen.ticks))
    if checked is not None:
        seen.ticks.sort()  # packets come in the order of decoding
        seen.frame_hashes, seen.warnings = checked.frame_hashes, checked.warnings
        if len(seen.ticks) != len(checked.digests):
            raise _corrupt(f"it holds {len(seen.ticks)} packets of {len(checked.digests)}")
    return seen


def _compare(seen: _Seen, packet: Packet[Stream], digests: Iterator[bytes]) -> None:
    """Take the time of a packet that was decoded when it was written."""
    if not packet.size:
        return
    number = len(seen.ticks)
    if packet_digest(memoryview(packet)) != next(digests, None):
        raise _corrupt(f"packet {number} is not the one that was written")
    if packet.pts is None:
        raise _corrupt(f"packet {number} has no time")
    seen.ticks.append(packet.pts)


def _look(seen: _Seen, frame: VideoFrame, looks: FrameLooks) -> None:
    number = len(seen.ticks)
    if frame.is_corrupt:
        raise _corrupt(f"frame {number} is damaged")
    if frame.pts is None:
        raise _corrupt(f"frame {number} has no time")
    seen.ticks.append(frame.pts)
    looks.at(number, frame)


def _listen(seen: _Seen, frame: AudioFrame) -> None:
    if frame.is_corrupt:
        raise _corrupt("its sound is damaged")
    seen.sound_end_s = (frame.time or 0) + frame.samples / frame.sample_rate


def _facts(container: InputContainer, seen: _Seen, size: int, digest: str) -> MediaFacts:
    if not seen.ticks:
        raise _corrupt("no frame decodes")
    video = container.streams.video[0]
    audio = container.streams.audio[0] if container.streams.audio else None
    rate = video.average_rate or len(seen.ticks) / (seen.duration or Fraction(1))
    return MediaFacts(
        bytes=size,
        sha256=digest,
        duration_ms=round(seen.duration * 1000),
        width=video.width,
        height=video.height,
        fps=float(rate),
        fps_num=rate.numerator,
        fps_den=rate.denominator,
        frames=len(seen.ticks),
        video_codec=video.codec_context.codec.canonical_name,
        audio_codec=audio.codec_context.codec.canonical_name if audio else None,
        frame_hashes=seen.frame_hashes,
        warnings=seen.warnings,
    )


def _check_times(seen: _Seen) -> None:
    """Compare what was decoded with what the file says of itself."""
    ticks = seen.ticks
    if seen.announced != len(ticks):
        raise _corrupt(f"{len(ticks)} frames decode, the file says {seen.announced}")
    if ticks[0] != 0:
        raise _corrupt(f"it begins at {float(ticks[0] * seen.time_base):.3f} s")
    if any(later <= earlier for earlier, later in pairwise(ticks)):
        raise _corrupt("times of frames do not rise")
    last_s, duration_s = ticks[-1] * seen.time_base, float(seen.duration)
    if not last_s < seen.duration:
        raise _corrupt(f"it lasts {duration_s:.3f} s, its last frame is at {float(last_s):.3f}")
    if seen.sound_end_s is not None and seen.sound_end_s > duration_s + _SOUND_ERROR_S:
        raise _corrupt(f"its sound ends at {seen.sound_end_s:.2f} s, it at {duration_s:.2f}")


def _check_plan(seen: _Seen, facts: MediaFacts, cut: Cut) -> None:
    """Compare what was decoded with what was planned; times to a tick of the file."""
    if facts.frames != cut.frames:
        raise _corrupt(f"it holds {facts.frames} frames, not {cut.frames}")
    for number, (tick, planned_s) in enumerate(zip(seen.ticks, cut.frame_times, strict=True)):
        if abs(tick * seen.time_base - planned_s) > seen.time_base:
            at_s = float(tick * seen.time_base)
            raise _corrupt(f"frame {number} is at {at_s:.4f} s, not {float(planned_s):.4f}")
    if abs(seen.duration - cut.duration) > seen.time_base:
        raise _corrupt(f"it lasts {float(seen.duration):.4f} s, not {float(cut.duration):.4f}")
    if (facts.width, facts.height) != (cut.width, cut.height):
        size = f"{facts.width}x{facts.height}"
        raise _corrupt(f"its frames are {size}, not {cut.width}x{cut.height}")
    if (facts.audio_codec is not None) != cut.has_audio:
        raise _corrupt("it has sound" if facts.audio_codec else "it has no sound")


def _corrupt(what: str) -> ClipError:
    return ClipError(Reason.CORRUPT, f"the clip is not whole: {what}")
