"""The CSV of Kinetics: whole seconds, a file per split."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from mimecurate.curation.release_csv import neutral_cell
from mimecurate.curation.release_export_tables import by_split, write_csv
from mimecurate.errors import InvalidInputError, Problem

if TYPE_CHECKING:
    from pathlib import Path

    from mimecurate.curation.release_edition import Edition
    from mimecurate.schemas.release import ReleasedClip

COLUMNS = ("label", "youtube_id", "time_start", "time_end", "split")


def write_kinetics(edition: Edition, out: Path) -> list[str]:
    """Write ``SPLIT.csv`` for each split, as the crawlers of Kinetics read it.

    An interval that isn't of whole seconds is widened to them.

    Raises:
        InvalidInputError: several clips would become one; all are named.
    """
    clips = edition.release.clips
    _refuse_collisions(edition.reference, clips)
    for split, members in by_split(clips).items():
        rows = ((neutral_cell(c.label), c.video_id, *whole_seconds(c), c.split) for c in members)
        write_csv(out / f"{split}.csv", COLUMNS, rows)
    widened = sum(clip.start_ms % 1000 != 0 or clip.end_ms % 1000 != 0 for clip in clips)
    return [f"{widened:,} intervals were widened to whole seconds"] if widened else []


def whole_seconds(clip: ReleasedClip) -> tuple[int, int]:
    """Return the smallest interval of whole seconds that holds the clip."""
    return clip.start_ms // 1000, -(-clip.end_ms // 1000)


def _refuse_collisions(reference: str, clips: tuple[ReleasedClip, ...]) -> None:
    by_key: dict[tuple[str, int, int], list[str]] = defaultdict(list)
    for clip in clips:
        by_key[clip.video_id, *whole_seconds(clip)].append(clip.clip_id)
    problems = [
        Problem(f"{' and '.join(names)} would all be {video} {start}-{end} s")
        for (video, start, end), names in by_key.items()
        if len(names) > 1
    ]
    if problems:
        hint = "this list has whole seconds only; export another format, e.g. bundle"
        raise InvalidInputError(f"{reference} as Kinetics", problems, hint)
