"""Clips that show the same thing: the same file, overlapping times, or near-identical frames.

Each clip has eight 64-bit perceptual hashes (ImageHash's pHash) of evenly spaced frames. Two clips
are near-duplicates when at least half of the frames of one have a frame in the other that differs
in at most `MAX_DISTANCE` of the 64 bits. Frames without content (black, one colour) are left out:
they all look alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray
    from sqlite_utils import Database

MAX_DISTANCE = 6
"""Bits of 64. A re-encoded frame differs in 0-2, another take of a static scene in 8-10."""
HASHES_PER_CLIP = 8
MIN_SHARE = 0.5
_BLOCK = 512

Kind = Literal["same file", "overlapping times", "near-duplicate"]


@dataclass(frozen=True, slots=True)
class DuplicatePair:
    """Two clips that show the same thing."""

    first: str
    second: str
    kind: Kind
    distance: float | None
    """Mean of the smallest distances of the matching frames, in bits of 64."""
    same_video: bool


def find_duplicates(
    db: Database,
    *,
    max_distance: int = MAX_DISTANCE,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[DuplicatePair]:
    """Find the pairs of fetched clips that show the same thing, across videos and within one.

    Compares every clip with every other: time grows with the square of their number.

    Args:
        db: the workspace's database.
        max_distance: how many of 64 bits may differ between two frames that are the same.
        on_progress: called with clips compared and clips in all.
    """
    rows = db.execute(
        "SELECT m.clip_id, c.video_id, m.frame_hashes FROM media AS m JOIN clips AS c "
        "USING (clip_id) ORDER BY m.clip_id"
    ).fetchall()
    videos = {clip_id: video_id for clip_id, video_id, _ in rows}
    pairs: dict[tuple[str, str], DuplicatePair] = {}
    for first, second, kind in [*_same_files(db), *_overlapping(db)]:
        same = videos[first] == videos[second]
        pairs.setdefault((first, second), DuplicatePair(first, second, kind, None, same))
    names = [row[0] for row in rows]
    hashes = np.array([_unpack(row[2]) for row in rows], np.uint64).reshape(-1, HASHES_PER_CLIP)
    for i, j, distance in _near(hashes, max_distance, on_progress):
        key = (names[i], names[j])
        same = videos[key[0]] == videos[key[1]]
        pairs.setdefault(key, DuplicatePair(*key, "near-duplicate", distance, same))
    return [pairs[key] for key in sorted(pairs)]


def _same_files(db: Database) -> Iterator[tuple[str, str, Kind]]:
    """Pair each file with the first that is the same, not with every one."""
    for first, second in db.execute(
        "SELECT first, clip_id FROM (SELECT clip_id, min(clip_id) OVER (PARTITION BY sha256) "
        "AS first FROM media) WHERE clip_id <> first"
    ):
        yield first, second, "same file"


def _overlapping(db: Database) -> Iterator[tuple[str, str, Kind]]:
    for first, second in db.execute(
        "SELECT min(a.clip_id, b.clip_id), max(a.clip_id, b.clip_id) FROM clips AS a "
        "JOIN clips AS b ON a.video_id = b.video_id AND a.clip_id <> b.clip_id "
        "AND a.start_ms < b.end_ms AND b.start_ms < a.end_ms AND a.rowid < b.rowid "
        "WHERE a.clip_id IN (SELECT clip_id FROM media) "
        "AND b.clip_id IN (SELECT clip_id FROM media)"
    ):
        yield first, second, "overlapping times"


def _near(
    hashes: NDArray[np.uint64], max_distance: int, on_progress: Callable[[int, int], None]
) -> Iterator[tuple[int, int, float]]:
    """Yield pairs ``i < j`` of rows of ``(N, 8)`` hashes that match, with their distance."""
    count = len(hashes)
    plain = _has_no_content(hashes)
    enough = np.maximum(1, np.ceil(MIN_SHARE * (~plain).sum(axis=1)))
    starts = range(0, count, _BLOCK)
    for start in starts:
        rows = slice(start, start + _BLOCK)
        for other in starts[start // _BLOCK :]:
            columns = slice(other, other + _BLOCK)
            best = _closest(hashes[rows], hashes[columns], plain[columns])
            matched = (best <= max_distance) & ~plain[rows][:, None, :]
            found = matched.sum(axis=2) >= enough[rows][:, None]
            for row, column in zip(*np.nonzero(found), strict=True):
                i, j = start + int(row), other + int(column)
                if i < j:
                    yield i, j, float(best[row, column][matched[row, column]].mean())
        on_progress(min(start + _BLOCK, count), count)


def _closest(
    a: NDArray[np.uint64], b: NDArray[np.uint64], plain_b: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """Give each frame of each clip in ``a`` its distance to the closest frame of each in ``b``."""
    best = np.full((len(a), len(b), HASHES_PER_CLIP), 64, np.uint8)
    for column in range(HASHES_PER_CLIP):
        distance = np.bitwise_count(a[:, None, :] ^ b[None, :, column, None])
        distance[:, plain_b[:, column]] = 64
        np.minimum(best, distance, out=best)
    return best


def _has_no_content(hashes: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """A flat picture has a pHash with (almost) no bit set."""
    bits = np.bitwise_count(hashes)
    return bits <= 1


def _unpack(blob: bytes) -> NDArray[np.uint64]:
    return np.frombuffer(blob, ">u8").astype(np.uint64)
