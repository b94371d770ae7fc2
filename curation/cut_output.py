"""The MP4 file that a clip becomes."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from typing import TYPE_CHECKING

import av
from av.error import FFmpegError

from mimecurate.errors import ClipError, Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from fractions import Fraction
    from pathlib import Path

    from av import Packet
    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.video.stream import VideoStream

_LOWEST_TIMESCALE = 10_000  # libav doubles a smaller one
_HIGHEST_TIMESCALE = 2**31 - 1


@contextlib.contextmanager
def clip_file(path: Path, time_base: Fraction) -> Iterator[OutputContainer]:
    """Open an MP4 file whose durations are exact in ``time_base``, index in front.

    Raises:
        OSError: it can't be written.
        ClipError: ``UNSUPPORTED``: libav refuses the streams.
    """
    options = {"movflags": "+faststart", "movie_timescale": str(_timescale(time_base))}
    try:
        with av.open(str(path), "w", format="mp4", options=options) as container:
            yield container
    except FFmpegError as error:
        if isinstance(error, OSError):
            raise OSError(error.errno, os.strerror(error.errno or 0), str(path)) from error
        reason = error.strerror or type(error).__name__
        raise ClipError(Reason.UNSUPPORTED, f"the clip can't be written: {reason}") from error


def mux_in_step(
    container: OutputContainer,
    video: Iterable[Packet[VideoStream]],
    audio: Iterable[Packet[AudioStream]],
) -> None:
    """Write both streams' packets, each in its order, interleaved by decoding time."""
    waiting = deque((_decoding_time(packet), packet) for packet in audio)
    for packet in video:
        now = _decoding_time(packet) if waiting else 0
        while waiting and waiting[0][0] <= now:
            container.mux_one(waiting.popleft()[1])
        container.mux_one(packet)
    for _, left in waiting:
        container.mux_one(left)


def decoding_ticks(shown: Sequence[int]) -> list[int]:
    """Give every frame a decoding time that rises and never lies after its presentation.

    They are the presentation times, in their order, moved forward by one delay. So the file's
    sample durations add up to its length however irregular the frames are.

    Args:
        shown: presentation times in decode order, each once.

    >>> decoding_ticks([0, 30, 10, 20, 40])
    [-10, 0, 10, 20, 30]
    """
    ranked = sorted(shown)
    delay = max(rank - tick for rank, tick in zip(ranked, shown, strict=True))
    return [tick - delay for tick in ranked]


def _decoding_time(packet: Packet[VideoStream] | Packet[AudioStream]) -> float:
    assert packet.dts is not None
    return packet.dts * float(packet.time_base)


def _timescale(time_base: Fraction) -> int:
    scale = time_base.denominator
    while scale < _LOWEST_TIMESCALE:
        scale *= 2
    return min(scale, _HIGHEST_TIMESCALE)
