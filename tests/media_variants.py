"""One sample in many containers, and what a plain reader finds in them."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
from counting_reader import CountingReader

from mimecurate.curation.media_source import MediaSource, open_media, seek_to
from mimecurate.curation.range_file import RangeFile

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FRAGMENTS = "+frag_keyframe+empty_moov"
"""ffmpeg's plain fragments: no index in front, one at the end."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A coded frame as it lies in the file."""

    shown: Fraction
    """In seconds of the file's clock."""
    is_key: bool
    data: bytes


def remux(
    source: Path,
    target: Path,
    container: str,
    *,
    options: dict[str, str] | None = None,
    only: str | None = None,
    earlier: Fraction = Fraction(0),
    covers: Sequence[Path] = (),
    apart: bool = False,
) -> Path:
    """Put a file's packets into another container, as they are.

    Args:
        source: what to copy.
        target: the file to write.
        container: libav's name of the format.
        options: the muxer's.
        only: ``video`` or ``audio``, to leave the other out.
        earlier: seconds by which all times become smaller; what is before zero is then hidden.
        covers: pictures to attach.
        apart: all of one stream lies before the other.
    """
    with ExitStack() as stack:
        reader = stack.enter_context(av.open(source))
        settings = {"max_interleave_delta": "1"} if apart else {}
        writer: Any = stack.enter_context(
            av.open(target, "w", format=container, options=settings | (options or {}))
        )
        streams = [s for s in reader.streams if s.type == only or (not only and s.type != "data")]
        copies = {s.index: writer.add_stream_from_template(s) for s in streams}
        for cover in covers:
            picture: Any = stack.enter_context(av.open(cover))
            attached = writer.add_stream_from_template(picture.streams.video[0])
            attached.disposition = av.stream.Disposition.attached_pic
            packet = next(picture.demux(video=0))
            packet.stream = attached
            writer.mux(packet)
        packets = list(reader.demux(streams))
        for packet in sorted(packets, key=lambda p: p.stream.index) if apart else packets:
            if packet.dts is None or packet.pts is None or packet.time_base is None:
                continue
            shift = int(earlier / packet.time_base)
            packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            packet.stream = copies[packet.stream.index]
            writer.mux(packet)
    return target


def far(path: Path, *, need_video: bool = True) -> tuple[MediaSource, CountingReader]:
    """Open a file as if it were far away."""
    reader = CountingReader(path.read_bytes())
    return open_media(RangeFile(reader), name=path.name, need_video=need_video), reader


def near(path: Path, *, need_video: bool = True) -> MediaSource:
    """Open a file that is here."""
    return open_media(path.open("rb"), name=path.name, need_video=need_video)


def all_frames(path: Path, kind: str = "video") -> list[Frame]:
    """Read every packet of a stream, in order of decoding, leaving out what is hidden."""
    with av.open(path) as container:
        stream = container.streams.get({kind: 0})[0]
        return [
            _frame(packet)
            for packet in container.demux(stream)
            if packet.size and packet.pts is not None and not packet.is_discard
        ]


def read_clip(source: MediaSource, start: Fraction, end: Fraction) -> dict[str, list[Frame]]:
    """Read both streams from where `seek_to` lands, until each has passed ``end`` or the end."""
    seek_to(source, start)
    streams = [s for s in (source.video_or_none, source.audio) if s is not None]
    found: dict[str, list[Frame]] = {stream.type: [] for stream in streams}
    going = set(found)
    for packet in source.container.demux(streams):
        if not packet.size or packet.pts is None or packet.time_base is None:
            continue
        kind = packet.stream.type
        is_past = packet.dts is not None and (
            packet.dts * packet.time_base >= source.video_origin + end
        )
        if is_past:
            going.discard(kind)
            if not going:
                break
        elif kind in going:
            found[kind].append(_frame(packet))
    return found


def _frame(packet: Any) -> Frame:
    return Frame(packet.pts * packet.time_base, packet.is_keyframe, bytes(packet))
