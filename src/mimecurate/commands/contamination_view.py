"""What training lists have of a release's videos, as tables and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mimecurate.console import print_table, say

if TYPE_CHECKING:
    from mimecurate.curation.contamination import ClassContamination, Contamination

_MOST_SHOWN = 20


def contamination_json(found: Contamination) -> dict[str, Any]:
    """Write all that was found as JSON."""
    from dataclasses import asdict

    return {
        "train_rows": found.train_rows,
        "overall": asdict(found.overall),
        "per_class": {name: asdict(counts) for name, counts in found.per_class.items()},
        "overlaps": [{**asdict(o), "same_seconds": o.same_seconds} for o in found.overlaps],
    }


def show_contamination(found: Contamination) -> None:
    """Print a table by class, and the first clips that were found."""
    columns = ("class", "clips", "videos", "of seen videos", "seen", "as this class")
    touched = [(n, c) for n, c in found.per_class.items() if c.clips_of_seen_videos]
    print_table(columns, [_row(n, c) for n, c in [*touched, ("all", found.overall)]])
    rows = [
        (o.clip_id, o.label, f"{o.train_list}:{o.line}", o.train_label, o.overlap_ms / 1000)
        for o in found.overlaps[:_MOST_SHOWN]
    ]
    if rows:
        print_table(("clip_id", "class", "list", "listed as", "seconds shared"), rows)
    if len(found.overlaps) > _MOST_SHOWN:
        say(f"and {len(found.overlaps) - _MOST_SHOWN:,} more; --json lists all")
    say(f"{found.train_rows:,} training rows read")


def _row(name: str, c: ClassContamination) -> tuple[object, ...]:
    return (
        name,
        c.clips,
        c.videos,
        c.clips_of_seen_videos,
        c.clips_seen,
        c.clips_seen_as_this_class,
    )
