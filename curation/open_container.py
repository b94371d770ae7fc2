"""Open a media file with the one demuxer that is meant, and learn what its streams are."""

from __future__ import annotations

from fractions import Fraction
from itertools import islice
from typing import TYPE_CHECKING, NoReturn, TypeVar, cast

import av
from av.error import FFmpegError
from av.stream import Disposition

from mimecurate.errors import ClipError, Reason

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator
    from typing import BinaryIO

    from av import Packet
    from av.audio.codeccontext import AudioCodecContext
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.stream import Stream
    from av.video.codeccontext import VideoCodecContext
    from av.video.stream import VideoStream

AnyStream = TypeVar("AnyStream", bound="Stream")

MAX_PIXELS = 8192 * 8192
_PICTURES = Disposition.attached_pic | Disposition.still_image | Disposition.timed_thumbnails
_REORDERED_FRAMES = 32
_OPTIONS = {
    "protocol_whitelist": "none",  # nothing else is opened, whatever the file names
    "enable_drefs": "0",
    "use_absolute_path": "0",
    "ignore_chapters": "1",  # their titles lie scattered over the file
}


def open_container(file: BinaryIO | io.RawIOBase, demuxer: str, *, name: str) -> InputContainer:
    """Open ``file`` with the libav demuxer of that name, which can't open anything else.

    Raises:
        ClipError: ``CORRUPT``: the demuxer refuses it.
    """

    def refuse(url: str, *_: object) -> NoReturn:
        raise ClipError(Reason.UNSUPPORTED, f"{name}: refers to another file ({url!r:.100})")

    file.seek(0)
    try:
        return av.open(
            file,
            "r",
            format=demuxer,
            options=_OPTIONS,
            metadata_errors="replace",
            io_open=refuse,
        )
    except FFmpegError as error:
        what = error.strerror or type(error).__name__
        raise ClipError(Reason.CORRUPT, f"{name}: broken {demuxer} file: {what}") from error


def find_video(container: InputContainer, *, name: str) -> VideoStream | None:
    """Find the largest video; cover pictures are none.

    Raises:
        ClipError: ``UNSUPPORTED``: libav can't decode it, or its frames are too large.
    """
    videos = [s for s in container.streams.video if not s.disposition & _PICTURES]
    decodable = [s for s in videos if s.codec_context is not None]
    if videos and not decodable:
        raise ClipError(Reason.UNSUPPORTED, f"{name}: there is no decoder for its video")
    video = max(decodable, key=_pixels, default=None)
    if video is not None and _pixels(video) > MAX_PIXELS:
        raise ClipError(
            Reason.UNSUPPORTED,
            f"{name}: frames of {video.codec_context.width}x{video.codec_context.height} pixels; "
            f"at most {MAX_PIXELS >> 20} megapixels can be cut",
        )
    return video


def find_audio(container: InputContainer) -> AudioStream | None:
    """Find the first sound that libav can decode."""
    return next((s for s in container.streams.audio if s.codec_context is not None), None)


def is_understood(stream: Stream, *, by_header: bool) -> bool:
    """Whether libav knows when a stream starts and what is in it.

    Args:
        stream: of any type.
        by_header: the container's header suffices, without what only the first picture tells.
    """
    if stream.type == "video":
        context = cast("VideoCodecContext | None", stream.codec_context)
        if context is None or stream.disposition & _PICTURES:
            return True
        has_format = by_header or context.pix_fmt is not None
        return has_format and context.width > 0 and stream.start_time is not None
    if stream.type == "audio":
        sound = cast("AudioCodecContext | None", stream.codec_context)
        return sound is None or sound.sample_rate > 0
    return True


def demux(container: InputContainer, stream: AnyStream) -> Iterator[Packet[AnyStream]]:
    """Yield a stream's packets, in the file's order, to its end.

    Raises:
        FFmpegError: a packet can't be read.
    """
    packets = cast("Iterator[Packet[AnyStream]]", container.demux(stream))
    try:
        yield from packets
    except IndexError:
        # PyAV 18 has read all of them: where a stream appeared that wasn't there on opening (TS,
        # FLV), it looks for that one's place in a list that is too short before it ends.
        return


def first_frame_time(container: InputContainer, stream: Stream) -> Fraction:
    """When the first frame of a stream is shown, in seconds of the file's clock.

    Where libav did not learn it on opening, packets are read from the file's start on.

    Raises:
        ClipError: ``CORRUPT``: it has no packet with a time.
    """
    tick = tick_of(stream)
    if stream.start_time is not None:
        return stream.start_time * tick
    packets = (p for p in demux(container, stream) if p.size and not p.is_discard)
    times = (p.pts if p.pts is not None else p.dts for p in islice(packets, _REORDERED_FRAMES))
    try:
        first = min((time for time in times if time is not None), default=None)
    except FFmpegError as error:
        raise ClipError(Reason.CORRUPT, f"its packets can't be read: {error.strerror}") from error
    if first is None:
        raise ClipError(Reason.CORRUPT, "it has no packet with a time")
    return first * tick


def declared_duration(
    container: InputContainer, stream: Stream, origin: Fraction
) -> Fraction | None:
    """Seconds from a stream's first frame, at ``origin``, to the end of its last."""
    if stream.duration is not None and stream.duration > 0:
        return stream.duration * tick_of(stream)
    if container.duration is not None and container.duration > 0:  # counted from zero
        return max(Fraction(0), Fraction(container.duration, av.time_base) - origin) or None
    return None


def tick_of(stream: Stream) -> Fraction:
    """Return a stream's time base, in seconds.

    Raises:
        ClipError: ``CORRUPT``: it has none.
    """
    if not stream.time_base or stream.time_base < 0:
        raise ClipError(Reason.CORRUPT, "a stream has no time base")
    return stream.time_base


def _pixels(stream: VideoStream) -> int:
    return stream.codec_context.width * stream.codec_context.height
