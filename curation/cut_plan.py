"""Which frames a clip holds, and which coded frames give them."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from math import ceil
from typing import TYPE_CHECKING, Literal

from mimecurate.curation.cut_decode import decode_video, frame_tick, packets_from
from mimecurate.curation.h264 import ParameterSets, inspect_picture, parse_header
from mimecurate.curation.open_container import tick_of
from mimecurate.errors import ClipError, Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mimecurate.curation.cut_decode import VideoPacket
    from mimecurate.curation.media_source import MediaSource
    from mimecurate.curation.packet_check import CheckedPackets

CutMode = Literal["smart", "encode", "copy"]

END_SLACK_MS = 1000
"""An end may lie this far behind the source's: lists in whole seconds round up."""

_MENTIONED_MS = 50
_BREAK_S = Fraction(1, 4)  # less may lie between the last frame and the end of what was read
_FILE_ERROR_S = 2  # the sound may last longer than the picture
_ONE_FRAME_A_PACKET = frozenset({"h264", "hevc", "vp9", "av1"})
_MAX_REORDERED = 16  # frames; H.264 A.3.1 and HEVC A.4.1 allow no larger picture buffer


@dataclass(frozen=True, slots=True)
class Cut:
    """What a clip was made of: what `verify_clip` checks it against."""

    mode: CutMode
    """What was really done: ``smart`` may have fallen back to ``encode``."""
    frames: int
    """How many frames the file must hold."""
    frame_times: tuple[Fraction, ...]
    """Presentation time of each, in seconds from the clip's first."""
    duration: Fraction
    """Seconds, the last frame's duration included."""
    start: Fraction
    """Where the first frame lies in the source, in seconds from its stream's start."""
    width: int
    """Of the coded frames, in pixels, before the sample aspect ratio is applied."""
    height: int
    has_audio: bool
    notes: tuple[str, ...] = ()
    """What is worth knowing: why something else than asked was done."""
    checked: CheckedPackets | None = None
    """The packets, where they were decoded when they were written."""


@dataclass(frozen=True, slots=True)
class CodedFrame:
    """One packet of the source, which is one frame. Times are ticks of the stream."""

    pts: int
    is_key: bool
    is_idr: bool
    is_reference: bool
    is_shown: bool
    """False where the source's edit list hides it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The frames of one clip. Times are ticks of the source's video stream."""

    time_base: Fraction
    """Seconds a tick."""
    origin: Fraction
    """Seconds; where the stream's first frame lies."""
    ticks: tuple[int, ...]
    """Presentation times of the clip's frames, rising."""
    last_duration: int
    nominal_duration: int
    """Of one frame at the average rate."""
    coded: tuple[CodedFrame, ...] = ()
    """In decode order from the last key frame at or before the first frame; empty where packets
    don't say what they hold."""
    parameter_sets: ParameterSets | None = None
    """Of H.264."""
    is_copyable: bool = True
    """Whether the stream's header serves all its packets."""
    notes: tuple[str, ...] = ()

    @property
    def total_duration(self) -> int:
        """From the first frame to the end of the last."""
        return self.ticks[-1] + self.last_duration - self.ticks[0]

    @property
    def frame_rate(self) -> Fraction:
        """Frames a second on average."""
        return len(self.ticks) / (self.total_duration * self.time_base)

    @property
    def durations(self) -> dict[int, int]:
        """How long each frame is shown, by its presentation time."""
        ends = [*self.ticks[1:], self.ticks[-1] + self.last_duration]
        return {tick: end - tick for tick, end in zip(self.ticks, ends, strict=True)}


def plan_cut(
    source: MediaSource,
    start_ms: int,
    end_ms: int,
    *,
    check_stopped: Callable[[], None],
    and_reordered: bool = False,
) -> Plan:
    """Find the frames whose presentation time lies in ``[start_ms, end_ms)``.

    Packets say it where each holds one frame (H.264, HEVC, VP9, AV1); other codecs are decoded.

    Args:
        source: its position changes.
        start_ms: milliseconds from the stream's first frame.
        end_ms: the end, exclusive.
        check_stopped: called at each packet; raises when the run is to end.
        and_reordered: look further, so that every frame is known that is shown before one which
            the clip's frames need.

    Raises:
        ClipError: ``INTERVAL_OUTSIDE``: no frame lies there, or the source ends a second or more
            before ``end_ms``; ``CORRUPT``: a packet that is needed is damaged.
    """
    span = _Span.of(source, start_ms, end_ms)
    found = _from_packets(source, span, check_stopped, and_reordered=and_reordered)
    if found is None:
        found = _from_frames(source, span, check_stopped)
    ticks = tuple(sorted(tick for tick in found.durations if span.low <= tick < span.high))
    notes = _check_inside(source, span, found, ticks, start_ms, end_ms)
    return Plan(
        span.time_base,
        source.video_origin,
        ticks,
        _last_duration(found, span, ticks),
        span.nominal_duration,
        tuple(found.coded),
        found.parameter_sets,
        not found.changes_parameters,
        notes,
    )


@dataclass(frozen=True, slots=True)
class _Span:
    """The interval in ticks: frames with ``low <= pts < high``."""

    low: int
    high: int
    time_base: Fraction
    nominal_duration: int

    @classmethod
    def of(cls, source: MediaSource, start_ms: int, end_ms: int) -> _Span:
        if not 0 <= start_ms < end_ms:
            raise ValueError(f"interval {start_ms}-{end_ms} ms must begin at 0 or later, and last")
        stream = source.video
        tick = tick_of(stream)
        rate = stream.average_rate or stream.guessed_rate or Fraction(30)
        return cls(
            ceil((source.video_origin + Fraction(start_ms, 1000)) / tick),
            ceil((source.video_origin + Fraction(end_ms, 1000)) / tick),
            tick,
            max(1, round(1 / (rate * tick))),
        )


@dataclass(slots=True)
class _Found:
    """What the source holds around the interval."""

    durations: dict[int, int] = field(default_factory=dict)
    """Of each frame by its time; 0 where the container doesn't say."""
    coded: list[CodedFrame] = field(default_factory=list)
    parameter_sets: ParameterSets | None = None
    changes_parameters: bool = False
    is_at_end: bool = True


def _from_packets(
    source: MediaSource, span: _Span, check_stopped: Callable[[], None], *, and_reordered: bool
) -> _Found | None:
    """Read packets up to the interval's end; ``None`` if they don't tell when frames are shown."""
    codec = source.video.codec_context.codec.canonical_name
    if codec not in _ONE_FRAME_A_PACKET:
        return None
    found = _Found()
    if codec == "h264" and source.video.codec_context.extradata:
        found.parameter_sets = parse_header(source.video.codec_context.extradata)
    stop = span.high + (_MAX_REORDERED * span.nominal_duration if and_reordered else 0)
    for packet in packets_from(source, span.low):
        check_stopped()
        if packet.pts is None or packet.pts in found.durations:
            return None
        if packet.is_keyframe and packet.pts <= span.low:
            found.coded.clear()
            found.durations.clear()
        is_beyond = packet.dts is not None and packet.dts >= stop
        if not is_beyond:
            found.coded.append(_coded_frame(packet, found))
        if not packet.is_discard and found.coded and packet.pts >= found.coded[0].pts:
            found.durations[packet.pts] = packet.duration or 0
        if is_beyond:
            found.is_at_end = False
            break
    return found


def _coded_frame(packet: VideoPacket, found: _Found) -> CodedFrame:
    assert packet.pts is not None
    if packet.is_corrupt:
        raise ClipError(Reason.CORRUPT, f"the source is damaged at {_seconds(packet)} s")
    is_idr, is_reference = packet.is_keyframe, True
    if found.parameter_sets is not None:
        picture = inspect_picture(memoryview(packet), found.parameter_sets)
        is_idr, is_reference = picture.is_idr, picture.is_reference
        found.changes_parameters |= picture.changes_parameters
    found.changes_parameters |= packet.has_sidedata("new_extradata")
    return CodedFrame(packet.pts, packet.is_keyframe, is_idr, is_reference, not packet.is_discard)


def _from_frames(source: MediaSource, span: _Span, check_stopped: Callable[[], None]) -> _Found:
    """Decode up to the interval's end to see when frames are shown."""
    found = _Found()
    latest: int | None = None

    def packets() -> Iterable[VideoPacket]:
        for packet in packets_from(source, span.low):
            check_stopped()
            yield packet

    for frame in decode_video(packets()):
        tick = frame_tick(frame)
        if tick is None or (latest is not None and tick <= latest):
            continue
        latest = tick
        found.durations[tick] = frame.duration or 0
        if tick >= span.high:
            found.is_at_end = False
            break
    return found


def _check_inside(
    source: MediaSource,
    span: _Span,
    found: _Found,
    ticks: tuple[int, ...],
    start_ms: int,
    end_ms: int,
) -> tuple[str, ...]:
    """Say how the interval lies to the source's end, which is known where it was reached."""
    if not found.is_at_end:
        if not ticks:
            raise _outside(f"no frame lies between {start_ms / 1000} and {end_ms / 1000} s")
        return ()
    every = tuple(sorted(found.durations))
    end_s = Fraction(0)
    if every:
        end_s = (every[-1] + _last_duration(found, span, every)) * span.time_base
        end_s -= source.video_origin
    end_asked_s = Fraction(end_ms, 1000)
    declared_s = _declared_end_s(source)
    if end_s + _BREAK_S < min(declared_s, end_asked_s):
        raise ClipError(
            Reason.CORRUPT,
            f"the video breaks off at {float(end_s):.2f} s, it says {float(declared_s):.2f}",
        )
    late_ms = (end_asked_s - end_s) * 1000
    if not ticks or late_ms >= END_SLACK_MS:
        asked = f"{start_ms / 1000}-{end_ms / 1000} s"
        raise _outside(f"{asked} lies outside: the video ends at {float(end_s):.2f} s")
    if late_ms < _MENTIONED_MS or declared_s >= end_asked_s:
        return ()
    return (f"ends {float(late_ms / 1000):.2g} s before the list says: the source is over",)


def _declared_end_s(source: MediaSource) -> Fraction:
    """Where the source says that it ends, less what it may be wrong by; 0 if it doesn't say."""
    known_s = source.duration or Fraction(0)
    return known_s - (_FILE_ERROR_S if source.video.duration is None else 0)


def _last_duration(found: _Found, span: _Span, ticks: tuple[int, ...]) -> int:
    """How long the last frame is shown: as in the source, but hardly beyond the interval."""
    if not ticks:
        return 0
    last = ticks[-1]
    later = [tick for tick in found.durations if tick > last]
    if later:
        natural = min(later) - last
    else:
        gaps = [after - before for before, after in pairwise(ticks[-2:])]
        natural = found.durations[last] or (gaps[0] if gaps else span.nominal_duration)
    return max(1, min(natural, max(span.high - last, span.nominal_duration)))


def _seconds(packet: VideoPacket) -> str:
    assert packet.pts is not None
    return f"{float(packet.pts * packet.time_base):.2f}"


def _outside(message: str) -> ClipError:
    return ClipError(Reason.INTERVAL_OUTSIDE, message)
