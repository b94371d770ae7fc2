"""The cut that copies packets: from key frame to a frame after which nothing is missing."""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from mimecurate.curation.cut_encode import coded_packets
from mimecurate.curation.cut_output import clip_file, decoding_ticks, mux_in_step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from av.video.stream import VideoStream

    from mimecurate.curation.audio_cut import Sound
    from mimecurate.curation.cut_decode import VideoPacket
    from mimecurate.curation.cut_plan import CodedFrame, Plan
    from mimecurate.curation.media_source import MediaSource

_STORABLE = frozenset({"h264", "hevc", "vp9", "av1"})


def plan_copy(plan: Plan, codec: str) -> Plan | str:
    """Widen a plan to whole packets, or say why it can't be copied.

    The copy begins with the last key frame at or before the clip's first frame; what was coded
    after that key frame but is shown before it is left out. It ends with the first frame at or
    after the clip's last for which every frame shown earlier was coded earlier.

    Args:
        plan: made with ``and_reordered``.
        codec: libav's name of it.

    Returns:
        The plan of the copy, or the reason.
    """
    if codec not in _STORABLE:
        return f"{codec} is not copied into MP4"
    if not plan.coded or not plan.is_copyable:
        return "the stream's header changes"
    coded = [frame for frame in plan.coded if frame.pts >= plan.coded[0].pts]
    if not all(frame.is_shown for frame in coded):
        return "an edit list hides frames"
    shown = sorted(frame.pts for frame in coded)
    latest = accumulate((frame.pts for frame in coded), max)
    count = next(
        count
        for count, top in enumerate(latest, 1)
        if top >= plan.ticks[-1] and top == shown[count - 1]
    )
    ends = [later - earlier for earlier, later in pairwise(shown[count - 1 : count + 1])]
    return replace(
        plan,
        ticks=tuple(shown[:count]),
        last_duration=ends[0] if ends else plan.last_duration,
        coded=plan.coded[: plan.coded.index(coded[count - 1]) + 1],
    )


def cut_copy(
    source: MediaSource,
    plan: Plan,
    sound: Sound | None,
    out: Path,
    check_stopped: Callable[[], None],
) -> None:
    """Write the packets that `plan_copy` chose; codec, size and rotation are the source's.

    Raises:
        ClipError: ``CORRUPT``: the source no longer holds them.
        OSError: the clip can't be written.
    """
    with clip_file(out, plan.time_base) as container:
        stream = container.add_stream_from_template(source.video, opaque=True)
        stream.time_base = plan.time_base
        audio = sound.add_to(container) if sound else ()
        packets = coded_packets(source, plan, check_stopped)
        mux_in_step(container, _copied(packets, stream, plan), audio)


def _copied(
    packets: Iterator[tuple[CodedFrame, VideoPacket]], stream: VideoStream, plan: Plan
) -> Iterator[VideoPacket]:
    base, durations = plan.ticks[0], plan.durations
    order = [frame.pts for frame in plan.coded if frame.pts in durations]
    times = iter(decoding_ticks(order))
    for frame, packet in packets:
        if frame.pts in durations:
            packet.pts, packet.dts = frame.pts - base, next(times) - base
            packet.duration = durations[frame.pts]
            packet.time_base, packet.stream = plan.time_base, stream
            yield packet
