"""Does a released video occur in a training list? By video, and by interval, per class.

A model that was trained on a clip of a test video has seen the place, the person and perhaps the
action. Kinetics takes each clip from another video, so the video alone is what counts first; the
interval says whether the very same seconds were seen.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mimecurate.curation.url_list import ClipRequest
from mimecurate.errors import InvalidInputError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mimecurate.curation.url_list_rows import Notice
    from mimecurate.schemas.release import ReleasedClip

MOST_PROBLEMS = 100


@dataclass(frozen=True, slots=True)
class Overlap:
    """A released clip whose video a training list has."""

    clip_id: str
    label: str
    split: str
    train_list: str
    line: int
    train_label: str | None
    train_split: str | None
    train_start_ms: int | None
    """None, with the end: the list has the whole video, or gives no times."""
    train_end_ms: int | None
    overlap_ms: int
    """Milliseconds that both have; the whole clip where the list gives no times."""

    @property
    def same_seconds(self) -> bool:
        """Whether the intervals overlap, and not only the videos are the same."""
        return self.overlap_ms > 0


@dataclass(slots=True)
class ClassContamination:
    """What training lists have of one class of a release."""

    clips: int = 0
    videos: int = 0
    clips_of_seen_videos: int = 0
    clips_seen: int = 0
    """Clips of which some seconds are in a training list."""
    clips_seen_as_this_class: int = 0
    """The same, listed there as the same class."""


@dataclass(slots=True)
class Contamination:
    """What training lists have of a release."""

    train_rows: int
    overlaps: list[Overlap]
    """By clip; a clip may occur several times."""
    per_class: dict[str, ClassContamination]
    overall: ClassContamination = field(default_factory=ClassContamination)


def find_contamination(
    clips: Sequence[ReleasedClip],
    train_lists: Iterable[tuple[str, Iterable[ClipRequest | Problem | Notice]]],
) -> Contamination:
    """Look for a release's videos in training lists, which are read once and not kept.

    Args:
        clips: of the release.
        train_lists: the name of each, and what `read_url_list` yields.

    Raises:
        InvalidInputError: a list has lines that are wrong.
    """
    by_video: dict[str, list[ReleasedClip]] = defaultdict(list)
    for clip in clips:
        by_video[clip.video_id].append(clip)
    overlaps: list[Overlap] = []
    rows = 0
    for name, entries in train_lists:
        problems: list[Problem] = []
        for entry in entries:
            if isinstance(entry, Problem):
                problems += [entry] if len(problems) < MOST_PROBLEMS else []
            elif isinstance(entry, ClipRequest):
                rows += 1
                overlaps += [_overlap(c, name, entry) for c in by_video.get(entry.video_id, ())]
        if problems:
            raise InvalidInputError(name, problems)
    overlaps.sort(key=lambda o: (o.clip_id, o.train_list, o.line))
    per_class = {
        label: _count([c for c in clips if c.label == label], overlaps)
        for label in sorted({c.label for c in clips})
    }
    return Contamination(rows, overlaps, per_class, _count(clips, overlaps))


def _overlap(clip: ReleasedClip, name: str, entry: ClipRequest) -> Overlap:
    length_ms = clip.end_ms - clip.start_ms
    if entry.start_ms is not None and entry.end_ms is not None:
        shared = min(clip.end_ms, entry.end_ms) - max(clip.start_ms, entry.start_ms)
        length_ms = max(0, shared)
    return Overlap(
        clip.clip_id,
        clip.label,
        clip.split,
        name,
        entry.line,
        entry.label,
        entry.split,
        entry.start_ms,
        entry.end_ms,
        length_ms,
    )


def _count(clips: Sequence[ReleasedClip], overlaps: Sequence[Overlap]) -> ClassContamination:
    ids = {clip.clip_id for clip in clips}
    mine = [o for o in overlaps if o.clip_id in ids]
    seen = [o for o in mine if o.same_seconds]
    return ClassContamination(
        len(clips),
        len({clip.video_id for clip in clips}),
        len({o.clip_id for o in mine}),
        len({o.clip_id for o in seen}),
        len({o.clip_id for o in seen if o.train_label == o.label}),
    )
