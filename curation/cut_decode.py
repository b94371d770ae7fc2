"""Packets and decoded frames of a source, from the key frame on that an interval needs."""

from __future__ import annotations

import contextlib
from itertools import dropwhile
from typing import TYPE_CHECKING

from av.error import EOFError as StreamEndError
from av.error import FFmpegError

from mimecurate.curation.media_source import seek_to
from mimecurate.curation.open_container import demux, tick_of
from mimecurate.errors import ClipError, Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from av import Packet, VideoFrame
    from av.video.codeccontext import VideoCodecContext
    from av.video.stream import VideoStream

    from mimecurate.curation.media_source import MediaSource

    VideoPacket = Packet[VideoStream]


@contextlib.contextmanager
def corrupt_if_broken(what: str) -> Iterator[None]:
    """Turn libav's complaints about data into a `ClipError` with ``CORRUPT``."""
    try:
        yield
    except FFmpegError as error:
        reason = error.strerror or type(error).__name__
        raise ClipError(Reason.CORRUPT, f"{what} can't be read: {reason}") from error


def packets_from(source: MediaSource, tick: int) -> Iterator[VideoPacket]:
    """Yield the video's packets in decode order, from the last key frame at or before ``tick``.

    Where no key frame comes that early, they begin with the first one.

    Args:
        source: its position changes, and its container may.
        tick: presentation time in the stream's time base.

    Raises:
        ClipError: ``CORRUPT``: a packet can't be read.
    """
    with corrupt_if_broken("the video"):
        seek_to(source, tick * tick_of(source.video) - source.video_origin)
        packets = (packet for packet in demux(source.container, source.video) if packet.size)
        yield from dropwhile(lambda packet: not packet.is_keyframe, packets)


def decode_video(packets: Iterable[VideoPacket]) -> Iterator[VideoFrame]:
    """Decode packets that begin with a key frame, in order of presentation, to the last.

    Raises:
        ClipError: ``CORRUPT``: the decoder refuses a packet.
    """
    decoder: VideoCodecContext | None = None
    for packet in packets:
        if decoder is None:
            decoder = packet.stream.codec_context
            _restart(decoder)
        with corrupt_if_broken("the video"):
            frames = decoder.decode(packet)
        yield from frames
    if decoder is not None:
        with contextlib.suppress(StreamEndError), corrupt_if_broken("the video"):
            yield from decoder.decode(None)


def frame_tick(frame: VideoFrame) -> int | None:
    """Presentation time of a decoded frame in its stream's time base, as well as it is known."""
    return frame.pts if frame.pts is not None else frame.dts


def _restart(decoder: VideoCodecContext) -> None:
    """Make a decoder ready for a key frame, on one thread: there is a worker for each core."""
    if decoder.is_open:
        decoder.flush_buffers()
    else:
        decoder.thread_count = 1
