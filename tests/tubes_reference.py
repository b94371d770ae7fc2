"""The linking of tubes as the paper words it, one step at a time, to compare with."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mimecurate.baselines.people import People


def naive_links(people: People, iou: float = 0.3, max_gap: int = 10) -> list[list[int]]:
    """Rows of each tube, in order of frames."""
    boxes = [[float(v) for v in box] for box in people.boxes]
    frames = [int(f) for f in people.frame]
    remaining = set(range(len(frames)))
    tubes = []
    while remaining:
        start = max(remaining, key=lambda row: (people.scores[row], -row))
        tube = [start]
        remaining.remove(start)
        for direction in (1, -1):
            last, missed = start, 0
            while missed < max_gap:
                wanted = frames[last] + (missed + 1) * direction
                here = [row for row in remaining if frames[row] == wanted]
                best = max(
                    here,
                    key=lambda r: (overlap(boxes[last], boxes[r]), people.scores[r], -r),
                    default=None,
                )
                if best is None or overlap(boxes[last], boxes[best]) <= iou:
                    missed += 1
                    continue
                tube.append(best)
                remaining.remove(best)
                last, missed = best, 0
        tubes.append(sorted(tube, key=lambda row: frames[row]))
    return tubes


def overlap(a: list[float], b: list[float]) -> float:
    """Intersection over union of two boxes."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0.0) * max(height, 0.0)
    union = area(a) + area(b) - shared
    return shared / union if union > 0 else 0.0


def area(box: list[float]) -> float:
    return max(box[2] - box[0], 0.0) * max(box[3] - box[1], 0.0)
