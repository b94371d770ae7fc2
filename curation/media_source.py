"""A video to cut from, here or far away: opened once, it serves any number of clips.

Of a `RangeFile` only what the clips need is read: the index, then the key frame at or before each
clip and what follows to its end.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from math import ceil, floor
from typing import TYPE_CHECKING, Literal

from av.error import FFmpegError

from mimecurate.curation.masked_file import merge_ranges
from mimecurate.curation.matroska_layout import MatroskaLayout, cluster_ticks
from mimecurate.curation.media_view import open_first, open_fragments, survey_media
from mimecurate.curation.mp4_layout import Mp4Layout
from mimecurate.curation.open_container import (
    declared_duration,
    demux,
    find_audio,
    find_video,
    first_frame_time,
    tick_of,
)
from mimecurate.curation.range_file import RangeFile
from mimecurate.curation.read_plan import fragments_between, ranges_by_cues, ranges_by_index
from mimecurate.errors import ClipError, Reason
from mimecurate.schemas.closing import Closing

if TYPE_CHECKING:
    import io
    from collections.abc import Sequence
    from typing import BinaryIO

    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.video.stream import VideoStream

    from mimecurate.curation.media_view import MediaView
    from mimecurate.curation.read_plan import ByteRange

PlanKind = Literal["sidx", "index", "cues", "scan", "local"]

_JOIN_BYTES = 64 << 10
"""Runs this close are fetched by one request: the gap costs less than another would."""
_CLUSTER_HEADER_BYTES = 64
_SOUND_SLACK_S = Fraction(1, 4)
_MAX_PACKETS_TO_KEY = 20_000
_FULLY_INDEXED = frozenset({"mp4", "avi"})


@dataclass(frozen=True, slots=True)
class _Key:
    """A key frame's place and times, in ticks."""

    before: int
    """How many packets libav gives before it."""
    shown: int
    decoded: int


@dataclass(slots=True)
class MediaSource(Closing):
    """An open media file. `prefetch` and `seek_to` may replace ``container`` and its streams."""

    file: BinaryIO | io.RawIOBase
    container: InputContainer
    video_or_none: VideoStream | None
    """``None`` in a file of sound alone."""
    audio: AudioStream | None
    video_origin: Fraction
    """When the first frame is shown, in seconds of the file's clock; 0 without video."""
    duration: Fraction | None
    """Seconds from the first frame to the end of the last, as the file says."""
    plan: PlanKind
    """How the bytes of a clip are found: by a segment index, an index of every packet (or of the
    fragments, at the file's end), cues, or, with none of these, by reading on; or all are here."""
    _view: MediaView
    _shown: set[int] = field(default_factory=set)
    """Which of the view's fragments libav sees."""
    _last_end: tuple[Fraction, int | None] = (Fraction(-1), None)
    """End of the last clip whose clusters were fetched; where its bytes end, if that is sure."""

    @property
    def video(self) -> VideoStream:
        """The video stream.

        Raises:
            ClipError: ``NO_VIDEO``: the file holds sound alone.
        """
        if self.video_or_none is None:
            raise ClipError(Reason.NO_VIDEO, f"{self._view.name}: there is no video in it")
        return self.video_or_none

    def close(self) -> None:
        """Close the file, too."""
        self.container.close()
        self.file.close()


def open_media(file: BinaryIO | io.RawIOBase, *, name: str, need_video: bool = True) -> MediaSource:
    """Open a media file, whatever it claims to be.

    Args:
        file: seekable; a `RangeFile` is read sparingly. It belongs to the result, and is closed
            where there is none.
        name: what errors call it.
        need_video: ``False`` for a file of sound that goes with another one of video.

    Raises:
        ClipError: ``NO_VIDEO``: it is not media, or has no video; ``UNSUPPORTED``: a playlist, a
            codec without a decoder, frames over 64 megapixels; ``CORRUPT``: a broken container;
            or what reading it raised.
    """
    container: InputContainer | None = None
    try:
        view = survey_media(file, name=name)
        container = open_first(view)
        video, audio = find_video(container, name=name), find_audio(container)
        if video is None and (need_video or audio is None):
            what = "video" if need_video else "sound"
            raise ClipError(Reason.NO_VIDEO, f"{name}: there is no {what} in it")
        origin = Fraction(0) if video is None else first_frame_time(container, video)
        source = MediaSource(file, container, video, audio, origin, None, "local", view)
        source.duration = _duration(source)
        source.plan = _plan_kind(source)
    except BaseException:
        if container is not None:
            container.close()
        file.close()
        raise
    return source


def prefetch(source: MediaSource, intervals: Sequence[tuple[Fraction, Fraction]]) -> None:
    """Fetch what clips need, in as few requests as can be; nothing, of a local file.

    Args:
        source: ``container``, ``video`` and ``audio`` may be others afterwards.
        intervals: starts and ends in seconds from ``video_origin``.

    Raises:
        ClipError: bytes could not be had.
    """
    file = source.file
    if not isinstance(file, RangeFile):
        return
    if source.video_or_none is None:  # the clock of the video may be some frames off
        intervals = [(start - _SOUND_SLACK_S, end + _SOUND_SLACK_S) for start, end in intervals]
    if source._view.fragments:
        wanted = {n for start, end in intervals for n in _fragments_of(source, start, end)}
        _show(source, source._shown | wanted)
    elif source.plan == "cues":
        _fetch_clusters(source, file, intervals)
    elif source._view.demuxer in _FULLY_INDEXED:
        streams = [s for s in (source.video_or_none, source.audio) if s is not None]
        origin = source.video_origin
        times = [(origin + start, origin + end) for start, end in intervals]
        _fetch(file, [part for t in times for part in ranges_by_index(streams, *t, origin)])


def seek_to(source: MediaSource, start: Fraction) -> None:
    """Go to the last key frame that is shown at ``start`` or before.

    The next packets are those from it on, and the sound beside them. Where no key frame comes so
    early, they are the stream's first. Once the packets of a prefetched clip are through, the file
    may seem to end.

    Args:
        source: of a `RangeFile`, prefetched for a clip that holds ``start``.
        start: seconds from ``video_origin``.

    Raises:
        ClipError: ``CORRUPT``: the file can't be sought in; or bytes could not be had.
    """
    file = source.file
    if isinstance(file, RangeFile):
        file.end_at(None)
    if source._view.fragments and _fragments_of(source, start, start)[-1] not in source._shown:
        prefetch(source, [(start, start)])
    before = _find_key(source, start)
    _skip_packets(source, before)
    if isinstance(file, RangeFile) and start < source._last_end[0]:
        file.end_at(source._last_end[1])


def _duration(source: MediaSource) -> Fraction | None:
    layout = source._view.layout
    if isinstance(layout, Mp4Layout) and layout.fragments and layout.fragments[-1].end_s:
        return layout.fragments[-1].end_s
    return declared_duration(source.container, _main_stream(source), source.video_origin)


def _plan_kind(source: MediaSource) -> PlanKind:
    view = source._view
    if not isinstance(source.file, RangeFile):
        return "local"
    if isinstance(view.layout, MatroskaLayout) and view.layout.has_cues:
        _seek(source, 0)  # libav reads them when it first seeks
        return "cues" if len(_main_stream(source).index_entries) else "scan"
    if isinstance(view.layout, Mp4Layout) and view.layout.media_start is not None:
        kinds: dict[str, PlanKind] = {"sidx": "sidx", "mfra": "index"}
        return kinds.get(view.layout.index_kind, "scan")
    return "index" if view.demuxer in _FULLY_INDEXED else "scan"


def _main_stream(source: MediaSource) -> VideoStream | AudioStream:
    stream = source.video_or_none or source.audio
    assert stream is not None
    return stream


def _ticks(source: MediaSource, time: Fraction) -> int:
    return floor((source.video_origin + time) / tick_of(_main_stream(source)))


def _fetch(file: RangeFile, ranges: list[ByteRange]) -> None:
    for start, stop in merge_ranges(ranges, gap=_JOIN_BYTES):
        file.prefetch(start, stop)


def _fetch_clusters(
    source: MediaSource, file: RangeFile, intervals: Sequence[tuple[Fraction, Fraction]]
) -> None:
    """Fetch whole clusters, and note where the last clip's end if the next cluster says so.

    With sound or frames out of order, some of a clip may lie behind the next key frame.
    """
    stream, layout = _main_stream(source), source._view.layout
    assert isinstance(layout, MatroskaLayout)
    video = source.video_or_none
    is_ordered = video is None or (source.audio is None and not video.codec_context.has_b_frames)
    tick = tick_of(stream)
    ranges: list[ByteRange] = []
    ends: list[tuple[Fraction, int, int | None]] = []
    for start, end in intervals:
        ticks = _ticks(source, start), ceil((source.video_origin + end) / tick)
        (first, stop), next_key = ranges_by_cues(stream.index_entries, *ticks, layout.tail)
        ranges.append((first, stop + _CLUSTER_HEADER_BYTES))
        ends.append((end, stop, next_key))
    _fetch(file, ranges)
    for end, stop, next_key in ends:
        if end >= source._last_end[0]:
            is_sure = next_key is not None and cluster_ticks(file, stop, file.size) == next_key
            source._last_end = end, stop if is_ordered and is_sure else None


def _fragments_of(source: MediaSource, start: Fraction, end: Fraction) -> range:
    has_both = source.video_or_none is not None and source.audio is not None
    return fragments_between(source._view.fragments, start, end, has_sound=has_both)


def _show(source: MediaSource, places: set[int]) -> None:
    """Fetch fragments and let libav see them, and no others."""
    if places == source._shown:
        return
    view = source._view
    assert isinstance(view.file, RangeFile)
    _fetch(view.file, [(view.fragments[n].start, view.fragments[n].stop) for n in places])
    container = open_fragments(view, places)
    source.container.close()
    source.container, source._shown = container, places
    source.video_or_none = find_video(container, name=view.name)
    source.audio = find_audio(container)


def _show_earlier(source: MediaSource, start: Fraction) -> bool:
    """Show as many more fragments before ``start`` as are shown there now, if there are any."""
    if not source._view.fragments:
        return False
    last = _fragments_of(source, start, start)[-1]
    first = _first_shown(source, last)
    if first == 0:
        return False
    _show(source, source._shown | set(range(max(0, 2 * first - last - 1), first)))
    return True


def _first_shown(source: MediaSource, last: int) -> int:
    """Find the first of the fragments that are shown without a gap up to ``last``."""
    return next(n for n in range(last, -1, -1) if n - 1 not in source._shown)


def _find_key(source: MediaSource, start: Fraction) -> int:
    """Seek so that the next key frame is the last one shown at ``start`` or before.

    libav seeks by decoding times, so it may land at a key frame that is shown too late.

    Returns:
        How many packets come before that key frame.
    """
    wanted = _ticks(source, start)
    target, step, late = wanted, _ticks(source, start + 1) - wanted, None
    while True:
        _seek(source, target)
        key = _next_key(source, wanted)
        if key is not None and key.shown <= wanted:
            _seek(source, target)
            return key.before
        lowest = _ticks(source, _earliest(source, start) - 1)
        if target <= lowest and not _show_earlier(source, start):
            _seek(source, lowest)
            return 0
        if key is None or key == late:
            target, step = target - step, 4 * step
        else:
            target = min(target, key.decoded) - 1
        target, late = max(target, lowest), key


def _earliest(source: MediaSource, start: Fraction) -> Fraction:
    """Tell the earliest time, in seconds from the origin, that libav can see."""
    if not source._view.fragments:
        return Fraction(0)
    last = _fragments_of(source, start, start)[-1]
    return source._view.fragments[_first_shown(source, last)].start_s


def _seek(source: MediaSource, target: int) -> None:
    try:
        source.container.seek(target, stream=_main_stream(source))
    except FFmpegError as error:
        raise ClipError(
            Reason.CORRUPT, f"{source._view.name}: can't be sought in: {error.strerror}"
        ) from error


def _next_key(source: MediaSource, wanted: int) -> _Key | None:
    """Read to the next key frame, if one comes before a packet later than ``wanted``."""
    try:
        for before, packet in enumerate(demux(source.container, _main_stream(source))):
            is_past = packet.dts is not None and packet.dts > wanted
            if is_past or before >= _MAX_PACKETS_TO_KEY:
                break
            shown = packet.pts if packet.pts is not None else packet.dts
            if packet.is_keyframe and shown is not None:
                return _Key(before, shown, packet.dts if packet.dts is not None else shown)
    except FFmpegError as error:
        raise ClipError(
            Reason.CORRUPT, f"{source._view.name}: can't be read: {error.strerror}"
        ) from error
    return None


def _skip_packets(source: MediaSource, count: int) -> None:
    packets = demux(source.container, _main_stream(source))
    try:
        for _ in islice(packets, count):
            pass
    except FFmpegError as error:
        raise ClipError(
            Reason.CORRUPT, f"{source._view.name}: can't be read: {error.strerror}"
        ) from error
