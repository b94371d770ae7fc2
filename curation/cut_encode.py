"""The cut that decodes and encodes every frame."""

from __future__ import annotations

from itertools import dropwhile
from typing import TYPE_CHECKING

from mimecurate.curation.cut_decode import decode_video, frame_tick, packets_from
from mimecurate.curation.cut_output import clip_file, mux_in_step
from mimecurate.curation.cut_picture import frame_fitter, set_up_encoder
from mimecurate.errors import ClipError, Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from av import Packet, VideoFrame
    from av.video.stream import VideoStream

    from mimecurate.curation.audio_cut import Sound
    from mimecurate.curation.cut_decode import VideoPacket
    from mimecurate.curation.cut_picture import Picture
    from mimecurate.curation.cut_plan import CodedFrame, Plan
    from mimecurate.curation.media_source import MediaSource

_QUALITY = {
    "preset": "veryfast",
    "crf": "18",
    "x264-params": "keyint=60",  # annotators and data loaders seek
}
_REORDERED_FRAMES = 2  # by x264, with B-frames that others refer to


def cut_encode(
    source: MediaSource,
    plan: Plan,
    picture: Picture,
    sound: Sound | None,
    out: Path,
    check_stopped: Callable[[], None],
) -> None:
    """Write the planned frames as H.264, veryfast at crf 18; frames pass one by one.

    Raises:
        ClipError: ``CORRUPT``: the source doesn't decode to the frames that its packets announce.
        OSError: the clip can't be written.
    """
    with clip_file(out, plan.time_base) as container:
        stream = container.add_stream("libx264", rate=plan.frame_rate)
        set_up_encoder(
            stream.codec_context,
            picture,
            time_base=plan.time_base,
            rate=plan.frame_rate,
            quality=_QUALITY,
        )
        audio = sound.add_to(container) if sound else ()
        frames = frames_at(source, plan, plan.ticks, check_stopped)
        mux_in_step(container, _encoded(frames, stream, plan, picture), audio)


def frames_at(
    source: MediaSource,
    plan: Plan,
    ticks: Sequence[int],
    check_stopped: Callable[[], None],
    *,
    first: int = 0,
    stop: int | None = None,
) -> Iterator[tuple[int, VideoFrame]]:
    """Decode the frames at ``ticks``, rising, out of the packets ``plan.coded[first:stop]``.

    Frames that aren't wanted are left undecoded where nothing refers to them.

    Raises:
        ClipError: ``CORRUPT``: one is missing, or one that it may have been made of is damaged.
    """
    packets: Iterator[VideoPacket]
    if plan.coded:
        coded = coded_packets(source, plan, check_stopped, first=first, stop=stop)
        packets = (
            packet
            for frame, packet in coded
            if frame.is_reference or ticks[0] <= frame.pts <= ticks[-1]
        )
        intact_from = plan.coded[first].pts
    else:
        packets = _checked(packets_from(source, ticks[0]), check_stopped)
        intact_from = ticks[0]
    awaited = 0
    for frame in decode_video(packets):
        tick = frame_tick(frame)
        if tick is None or tick < intact_from:
            continue
        if frame.is_corrupt:
            raise _broken(plan, tick, "is damaged")
        if tick > ticks[awaited]:
            break
        if tick == ticks[awaited]:
            yield tick, frame
            awaited += 1
            if awaited == len(ticks):
                return
    raise _broken(plan, ticks[awaited], "does not decode")


def coded_packets(
    source: MediaSource,
    plan: Plan,
    check_stopped: Callable[[], None],
    *,
    first: int = 0,
    stop: int | None = None,
) -> Iterator[tuple[CodedFrame, VideoPacket]]:
    """Read the packets ``plan.coded[first:stop]`` again; the first is a key frame.

    Raises:
        ClipError: ``CORRUPT``: the source no longer holds them.
    """
    begin = plan.coded[first].pts
    packets = dropwhile(lambda packet: packet.pts != begin, packets_from(source, begin))
    for frame in plan.coded[first:stop]:
        check_stopped()
        packet = next(packets, None)
        if packet is None or packet.pts != frame.pts:
            raise ClipError(Reason.CORRUPT, "the source changed while it was read")
        yield frame, packet


def _checked(
    packets: Iterable[VideoPacket], check_stopped: Callable[[], None]
) -> Iterator[VideoPacket]:
    for packet in packets:
        check_stopped()
        if packet.is_corrupt:
            raise ClipError(Reason.CORRUPT, "the source is damaged")
        yield packet


def _encoded(
    frames: Iterable[tuple[int, VideoFrame]], stream: VideoStream, plan: Plan, picture: Picture
) -> Iterator[Packet[VideoStream]]:
    fit = frame_fitter(picture)
    base, durations = plan.ticks[0], plan.durations
    delay = _longest_reordering(plan.ticks)
    decoding = iter(plan.ticks)

    def timed(packets: Iterable[Packet[VideoStream]]) -> Iterator[Packet[VideoStream]]:
        for packet in packets:
            assert packet.pts is not None
            packet.duration = durations[packet.pts]
            packet.pts -= base
            packet.dts = next(decoding) - delay - base
            yield packet

    for tick, frame in frames:
        fitted = fit(frame)
        fitted.pts, fitted.time_base = tick, plan.time_base
        fitted.pict_type = 0
        yield from timed(stream.encode(fitted))
    yield from timed(stream.encode(None))


def _longest_reordering(ticks: Sequence[int]) -> int:
    """How long a frame may wait for those that are coded after it and shown before."""
    return max(
        tick - ticks[max(0, number - _REORDERED_FRAMES)] for number, tick in enumerate(ticks)
    )


def _broken(plan: Plan, tick: int, what: str) -> ClipError:
    at_s = float(tick * plan.time_base - plan.origin)
    return ClipError(Reason.CORRUPT, f"the source's frame at {at_s:.3f} s {what}")
