"""Propose windows of 1 to 10 s in candidates whose media are here: from shots, and from tubes.

A window never spans a cut. What is proposed is a list for fetch; the exact interval is settled by
people, in the trim of the labelling screen.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from mimecurate.curation.discover_candidates import CALLED
from mimecurate.curation.table_file import parse_table, read_text
from mimecurate.errors import ClipError, InvalidInputError, Problem
from mimecurate.schemas.times import parse_time_ms

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from sqlite_utils import Database

Span = tuple[int, int]
"""A half-open interval in milliseconds."""

MIN_WINDOW_MS, MAX_WINDOW_MS = 1_000, 10_000
GRID_MS = 100
"""Windows begin and end on tenths of a second."""


@dataclass(frozen=True, slots=True)
class LongMedia:
    """A file that is longer than a clip should be."""

    clip_id: str
    video_id: str
    url: str
    label: str | None
    start_ms: int
    """Where in the video it begins."""
    path: str
    """Relative to the workspace."""
    fps: float
    """Frames a second, on average."""
    frames: int


def long_media(
    db: Database, *, video_ids: Sequence[str] = (), label: str | None = None
) -> list[LongMedia]:
    """List media over 10 s, whose videos no release lists and nobody rejected.

    Args:
        db: the workspace's database.
        video_ids: only of these; empty: all.
        label: only what was wanted for this class.
    """
    rows = _media(db, video_ids, label)
    return [one for one, why in rows if not why]


def why_no_media(
    db: Database, *, video_ids: Sequence[str] = (), label: str | None = None
) -> dict[str, int]:
    """Count the media that `long_media` leaves out, by why."""
    return dict(Counter(why for _, why in _media(db, video_ids, label) if why))


def _media(
    db: Database, video_ids: Sequence[str], label: str | None
) -> Iterator[tuple[LongMedia, str]]:
    wanted = set(video_ids)
    rows = db.execute(
        f"""SELECT clip_id, video_id, url, clips.label, clips.start_ms, path,
            media.fps, media.frames, CASE
            WHEN media.duration_ms <= :most THEN 'of 10 s or less'
            WHEN url IS NULL THEN 'of withdrawn videos'
            WHEN video_id IN (SELECT video_id FROM release_rows) THEN 'of released videos'
            WHEN video_id IN (SELECT video_id FROM rejections JOIN candidates USING (candidate_id)
                WHERE rejections.label IS NULL OR rejections.label IN ({CALLED}))
                THEN 'of rejected videos' ELSE '' END
        FROM media JOIN clips USING (clip_id) JOIN videos USING (video_id)
        WHERE :label IS NULL OR clips.label IN ({CALLED}) ORDER BY clip_id""",
        {"most": MAX_WINDOW_MS, "label": label},
    )
    for *facts, why in rows:
        if not wanted or facts[1] in wanted:
            yield LongMedia(*facts), why


def windows(shots: Iterable[Span], tubes: Sequence[Span] | None = None) -> list[Span]:
    """Cut shots into windows of 1 to 10 s, on tenths of a second; one begins where another ends.

    Args:
        shots: half-open intervals in milliseconds, in order.
        tubes: where people are to be seen; only what both have is kept. None: nobody knows.

    >>> windows([(0, 700), (700, 6_730), (6_730, 30_000)])
    [(700, 6700), (6800, 14400), (14400, 22200), (22200, 30000)]
    """
    kept: list[Span] = []
    for start, end in shots if tubes is None else _intersection(shots, tubes):
        pieces = max(1, math.ceil((end - start) / MAX_WINDOW_MS))
        edges = [(start + (end - start) * i // pieces) // GRID_MS * GRID_MS for i in range(pieces)]
        edges[0] = -(-start // GRID_MS) * GRID_MS
        edges.append(end // GRID_MS * GRID_MS)
        kept += [
            (first, last)
            for first, last in pairwise(edges)
            if MIN_WINDOW_MS <= last - first <= MAX_WINDOW_MS
        ]
    return kept


def propose_windows(
    root: Path, media: LongMedia, tubes: Mapping[str, Sequence[Span]] | None = None
) -> list[Span]:
    """Propose windows of one file, in milliseconds of its video.

    Args:
        root: the workspace's folder.
        media: the file.
        tubes: by video, where people are to be seen; a video without any has no window.

    Raises:
        ClipError: it can't be decoded.
    """
    from mimecurate.curation.shots import find_shots

    at = media.start_ms
    shots = [(start + at, end + at) for start, end in find_shots(root / media.path)]
    return windows(shots, None if tubes is None else tubes.get(media.video_id, ()))


def propose_all(
    root: Path,
    media: Sequence[LongMedia],
    tubes: Mapping[str, Sequence[Span]] | None = None,
    *,
    workers: int = 2,
) -> Iterator[tuple[LongMedia, list[Span] | ClipError]]:
    """Propose windows of many files, several at a time, as they are done."""
    from functools import partial

    from mimecurate.curation import engine

    for outcome in engine.map(partial(_propose, root, tubes), media, workers=workers):
        if outcome.error is not None:
            raise outcome.error
        assert outcome.value is not None
        yield outcome.item, outcome.value


def read_tubes(path: Path) -> dict[str, list[Span]]:
    """Read where people are to be seen: CSV with ``video_id,start,end``, times as for fetch.

    Raises:
        InvalidInputError: every problem found, with its line.
    """
    rows, problems = parse_table(read_text(path), ["video_id", "start", "end"])
    tubes: dict[str, list[Span]] = defaultdict(list)
    for line, row in rows:
        try:
            start, end = parse_time_ms(row["start"]), parse_time_ms(row["end"])
        except ValueError as error:
            problems.append(Problem(str(error), line))
            continue
        if end <= start:
            problems.append(Problem(f"end {row['end']} is not after start {row['start']}", line))
        tubes[row["video_id"]].append((start, end))
    if problems:
        raise InvalidInputError(str(path), problems[:100])
    return dict(tubes)


def _propose(
    root: Path, tubes: Mapping[str, Sequence[Span]] | None, media: LongMedia
) -> list[Span] | ClipError:
    try:
        return propose_windows(root, media, tubes)
    except ClipError as error:
        return error


def _intersection(shots: Iterable[Span], tubes: Sequence[Span]) -> list[Span]:
    merged: list[Span] = []
    for start, end in sorted(tubes):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    both = [(max(start, first), min(end, last)) for start, end in shots for first, last in merged]
    return [(start, end) for start, end in both if end > start]
