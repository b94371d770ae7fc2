"""Cut a clip out of an open video, exact to the frame."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from mimecurate.curation.audio_cut import cut_sound
from mimecurate.curation.cut_copy import cut_copy, plan_copy
from mimecurate.curation.cut_decode import decode_video, packets_from
from mimecurate.curation.cut_encode import cut_encode
from mimecurate.curation.cut_picture import picture_of
from mimecurate.curation.cut_plan import END_SLACK_MS, Cut, CutMode, plan_cut
from mimecurate.curation.cut_smart import cut_smart, find_seams
from mimecurate.errors import ClipError, Reason

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mimecurate.curation.audio_cut import Sound
    from mimecurate.curation.cut_picture import Picture
    from mimecurate.curation.cut_plan import Plan
    from mimecurate.curation.media_source import MediaSource

__all__ = ["END_SLACK_MS", "Cut", "CutMode", "cut_clip"]


_PROBED_PACKETS = 8


def _never_stopped() -> None:
    pass


def cut_clip(
    video: MediaSource,
    audio: MediaSource | None,
    start_ms: int,
    end_ms: int,
    out: Path,
    *,
    mode: CutMode = "smart",
    max_height: int | None = None,
    check_stopped: Callable[[], None] = _never_stopped,
) -> Cut:
    """Write the frames whose presentation time lies in ``[start_ms, end_ms)`` to an MP4 file.

    Times count from the video stream's first frame. The clip begins at 0 and keeps the frames'
    spacing, the sample aspect ratio and the colour tags; it is H.264 4:2:0 in 8 bits, with AAC
    where the source has sound, and its index lies in front.

    * ``smart`` copies the packets between the first IDR picture in the clip and its end, and
      encodes only what is left. Where that can't be exact, because the source is not H.264 4:2:0,
      is rotated, has open GOPs or must be scaled, the clip is encoded whole and a note says why.
    * ``encode`` encodes every frame. See `mimecurate.curation.cut_picture.picture_of` for what
      becomes of other pixel formats, HDR, rotation and odd sizes.
    * ``copy`` encodes nothing, so that the clip begins at a key frame, `Cut.start` says which, and
      keeps the source's codec and size.

    Args:
        video: the open source; its position changes.
        audio: the source's sound, where it is in a file of its own.
        start_ms: milliseconds from the stream's first frame.
        end_ms: the end, exclusive; up to 1 s behind the source's end is taken as the end.
        out: the file to write; one that is there is overwritten.
        mode: how to cut.
        max_height: scale a higher picture down to so many lines; ``copy`` doesn't.
        check_stopped: called often; raises when the run is to end.

    Returns:
        What the file must hold; `mimecurate.curation.verify.verify_clip` checks that it does.

    Raises:
        ClipError: ``INTERVAL_OUTSIDE``: no frame lies there, or the source ends a second or more
            before; ``CORRUPT``: the source is damaged there; ``NO_VIDEO``; ``UNSUPPORTED``.
        OSError: the clip can't be written.
        ValueError: the interval is empty or begins before 0.
    """
    request = _Request(video, audio or video, out, max_height, check_stopped)
    plan = plan_cut(
        video, start_ms, end_ms, check_stopped=check_stopped, and_reordered=mode == "copy"
    )
    if mode == "copy":
        copied = plan_copy(plan, video.video.codec_context.codec.canonical_name)
        if isinstance(copied, str):
            return _encode(request, plan, whole_because=copied)
        return _copy(request, copied)
    if mode == "smart":
        return _smart(request, plan)
    return _encode(request, plan)


@dataclass(frozen=True, slots=True)
class _Request:
    video: MediaSource
    heard: MediaSource
    out: Path
    max_height: int | None
    check_stopped: Callable[[], None]

    def picture(self, plan: Plan) -> Picture:
        """How the clip is to look, which one decoded frame tells."""
        packets = packets_from(self.video, plan.coded[0].pts if plan.coded else plan.ticks[0])
        frame = next(decode_video(islice(packets, _PROBED_PACKETS)), None)
        if frame is None:
            raise ClipError(Reason.CORRUPT, "the video does not decode")
        return picture_of(frame, self.video.video, self.max_height)

    def sound(self, plan: Plan) -> Sound | None:
        """What is heard while the planned frames are shown."""
        if self.heard.audio is None:
            return None
        start = plan.ticks[0] * plan.time_base - plan.origin
        duration = plan.total_duration * plan.time_base
        return cut_sound(self.heard, start, duration, self.check_stopped)


def _smart(request: _Request, plan: Plan) -> Cut:
    picture = request.picture(plan)
    if picture.changes:
        return _encode(request, plan, picture, whole_because=", ".join(picture.changes))
    seams = find_seams(plan)
    if isinstance(seams, str):
        return _encode(request, plan, picture, whole_because=seams)
    sound = request.sound(plan)
    try:
        checked = cut_smart(
            request.video, plan, seams, picture, sound, request.out, request.check_stopped
        )
    except ClipError as error:
        if error.reason is not Reason.CORRUPT:
            raise
        return _encode(request, plan, picture, whole_because=str(error))
    cut = _cut("smart", plan, picture.width, picture.height, sound)
    return replace(cut, checked=checked)


def _encode(
    request: _Request, plan: Plan, picture: Picture | None = None, *, whole_because: str = ""
) -> Cut:
    picture = picture or request.picture(plan)
    sound = request.sound(plan)
    cut_encode(request.video, plan, picture, sound, request.out, request.check_stopped)
    notes = (f"re-encoded whole: {whole_because}",) if whole_because else ()
    return _cut("encode", plan, picture.width, picture.height, sound, notes)


def _copy(request: _Request, plan: Plan) -> Cut:
    sound = request.sound(plan)
    cut_copy(request.video, plan, sound, request.out, request.check_stopped)
    context = request.video.video.codec_context
    notes = []
    if request.max_height is not None and context.height > request.max_height:
        notes.append(f"copied at {context.height} lines: a copy is not scaled")
    return _cut("copy", plan, context.width, context.height, sound, tuple(notes))


def _cut(
    mode: CutMode,
    plan: Plan,
    width: int,
    height: int,
    sound: Sound | None,
    notes: tuple[str, ...] = (),
) -> Cut:
    first = plan.ticks[0]
    return Cut(
        mode=mode,
        frames=len(plan.ticks),
        frame_times=tuple((tick - first) * plan.time_base for tick in plan.ticks),
        duration=plan.total_duration * plan.time_base,
        start=first * plan.time_base - plan.origin,
        width=width,
        height=height,
        has_audio=sound is not None,
        notes=(*plan.notes, *notes),
    )
