"""One video, all its clips: the work of one worker, in a thread here or in a task on a cluster."""

from __future__ import annotations

import errno
import logging
import time
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from math import ceil
from typing import TYPE_CHECKING

import av
import av.logging

from mimecurate.curation.cut import cut_clip
from mimecurate.curation.media_source import prefetch
from mimecurate.curation.media_store import media_path, publish, unfinished_path
from mimecurate.curation.open_video import open_video
from mimecurate.curation.pacing import SitePausedError
from mimecurate.curation.verify import verify_clip
from mimecurate.errors import ClipError, Reason, plain_words
from mimecurate.schemas.ids import clip_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mimecurate.curation.cut import Cut, CutMode
    from mimecurate.curation.fetch_plan import ClipJob, VideoJob
    from mimecurate.curation.open_video import OpenVideo
    from mimecurate.curation.pacing import Pacer
    from mimecurate.curation.sources import SourceOptions
    from mimecurate.curation.verify import MediaFacts

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FetchOptions:
    """What a worker must know; it crosses to other machines."""

    clips_dir: Path
    """The workspace's ``clips/``, reachable from every worker."""
    source: SourceOptions
    cut: CutMode
    max_height: int | None
    max_duration_ms: int
    max_clip_s: float = 3600.0
    """Longest that one clip may take, from asking for its video on, all waits included."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A clip that is on the disk, whole."""

    cut: Cut
    facts: MediaFacts
    title: str | None
    extractor: str
    format_id: str | None
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ClipResult:
    """What became of one clip."""

    asked: str
    """The clip id that the plan knows it by."""
    clip_id: str
    """The clip's id, its end being known."""
    video_id: str
    url: str
    start_ms: int
    end_ms: int | None
    bytes_downloaded: int = 0
    seconds: float = 0.0
    fetched: Fetched | None = None
    reason: Reason | None = None
    message: str = ""
    unanswered: bool = False
    """Nobody answered when its video was asked for."""


def fetch_video(
    job: VideoJob, *, options: FetchOptions, pacer: Pacer, check_stopped: Callable[[], None]
) -> Iterator[ClipResult]:
    """Resolve one video, read only what its clips need, and yield each clip as it is done.

    Every clip of the job yields exactly one result; what fails does so with its reason.

    Raises:
        SitePausedError: the site wants a pause; the clips without a result are left to do.
    """
    av.logging.set_libav_level(av.logging.PANIC)  # it would write to stderr by itself
    left = list(job.clips)
    watch = _Watch(options.max_clip_s, check_stopped)
    try:
        with open_video(
            job.url,
            replace(options.source, failed_before=job.failures),
            pacer,
            watch.check,
            spool_dir=options.clips_dir / ".unfinished",
        ) as source:
            paid = 0
            for clip in job.clips:
                try:
                    result = _one_clip(job, clip, source, options, watch.check)
                except SitePausedError as paused:
                    paused.bytes_downloaded = source.bytes_read() - paid
                    raise
                cost = source.bytes_read() - paid
                paid += cost
                left.remove(clip)
                yield replace(result, bytes_downloaded=cost, seconds=watch.restart())
    except SitePausedError:
        raise
    except (ClipError, OSError) as error:
        logger.info("%s: %s", job.url, error)
        seconds = watch.restart() / max(1, len(left))
        unanswered = isinstance(error, ClipError) and error.unanswered
        for clip in left:
            failure = _failure(job, clip, error)
            yield replace(failure, seconds=seconds, unanswered=unanswered)


class _Watch:
    """Says when the run is to end, or one clip has taken too long."""

    def __init__(self, max_s: float, check_stopped: Callable[[], None]) -> None:
        self._max_s = max_s
        self._check_stopped = check_stopped
        self._started_s = time.monotonic()

    def check(self) -> None:
        self._check_stopped()
        if time.monotonic() - self._started_s > self._max_s:
            words = f"took longer than {self._max_s:g} s (--clip-timeout allows more)"
            raise ClipError(Reason.TIMEOUT, words)

    def restart(self) -> float:
        """Begin with another clip; return the seconds that the last one took."""
        took_s = time.monotonic() - self._started_s
        self._started_s += took_s
        return took_s


def _one_clip(
    job: VideoJob,
    clip: ClipJob,
    source: OpenVideo,
    options: FetchOptions,
    check_stopped: Callable[[], None],
) -> ClipResult:
    unfinished = unfinished_path(options.clips_dir / ".unfinished")
    try:
        end_ms = clip.end_ms or _end_of_video_ms(source, options)
        interval = (Fraction(clip.start_ms, 1000), Fraction(end_ms, 1000))
        for media in filter(None, (source.video, source.audio)):
            prefetch(media, [interval])
        cut_to = partial(
            cut_clip,
            source.video,
            source.audio,
            clip.start_ms,
            end_ms,
            unfinished,
            max_height=options.max_height,
            check_stopped=check_stopped,
        )
        cut, facts = _cut_and_verify(cut_to, unfinished, options.cut)
        name = clip_id(job.video_id, clip.start_ms, end_ms)
        publish(unfinished, options.clips_dir.parent / media_path(name))
    except SitePausedError:
        raise
    except (ClipError, OSError) as error:
        logger.info("%s: %s", clip.clip_id, error)
        return _failure(job, clip, error)
    finally:
        unfinished.unlink(missing_ok=True)
    resolved = source.resolved
    fetched = Fetched(
        cut,
        facts,
        resolved.title,
        resolved.extractor,
        resolved.format_id,
        (*source.notes, *cut.notes, *facts.warnings),
    )
    return ClipResult(
        clip.clip_id, name, job.video_id, job.url, clip.start_ms, end_ms, fetched=fetched
    )


def _cut_and_verify(
    cut_to: Callable[..., Cut], unfinished: Path, mode: CutMode
) -> tuple[Cut, MediaFacts]:
    """Cut and check; a smart cut that does not hold is re-encoded whole, and checked again."""
    cut = cut_to(mode=mode)
    try:
        return cut, verify_clip(unfinished, cut)
    except ClipError as error:
        if cut.mode != "smart" or error.reason is not Reason.CORRUPT:
            raise
        logger.warning("%s: re-encoding whole: %s", unfinished.name, error)
        note = f"re-encoded whole: {error}"
    cut = cut_to(mode="encode")
    return replace(cut, notes=(*cut.notes, note)), verify_clip(unfinished, cut)


def _end_of_video_ms(source: OpenVideo, options: FetchOptions) -> int:
    duration = source.video.duration
    if duration is None:
        raise ClipError(Reason.UNSUPPORTED, "the video does not say how long it is; give an end")
    end_ms = ceil(duration * 1000)
    if end_ms > options.max_duration_ms:
        raise ClipError(
            Reason.UNSUPPORTED,
            f"the video lasts {end_ms / 1000:.0f} s, more than --max-duration "
            f"{options.max_duration_ms / 1000:.0f}; give start and end, or raise it",
        )
    return end_ms


def _failure(job: VideoJob, clip: ClipJob, error: ClipError | OSError) -> ClipResult:
    if isinstance(error, ClipError):
        reason = error.reason
    elif error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        reason = Reason.DISK_FULL
    else:
        reason = Reason.OTHER
    return ClipResult(
        clip.clip_id,
        clip.clip_id,
        job.video_id,
        job.url,
        clip.start_ms,
        clip.end_ms,
        reason=reason,
        message=plain_words(error),
    )
