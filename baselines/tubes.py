"""Follow people through a clip: link their boxes from frame to frame to tubes.

Weinzaepfel and Rogez 2021 ("Mimetics: Towards Understanding Human Actions Out of Context",
Section 4.1): starting from the highest-scored detection, it is matched with the detections of the
next frame by the intersection over union (IoU) of the boxes and linked if the IoU is over 0.3;
otherwise it is matched to the frame after, and the missing frames are interpolated linearly. A
tube stops when 10 frames in a row had no match. This is run forward and backward; the linked
detections are then deleted, and it all starts again with those that remain.

What the paper leaves open, and how it is read here:

- Several boxes of a frame are over the threshold: the one with the largest IoU is taken; among
  equals the one with the higher score, then the one that stands first.
- A box is compared with that of the last *linked* detection, never with an interpolated one.
- No match in 10 frames in a row: from frame t, frames t + 1 to t + 10 are looked at. Two linked
  detections are thus at most 10 frames apart, with at most 9 filled in between.
- Every detection ends up in a tube, if only in one of a single frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mimecurate.baselines.people import Tube

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mimecurate.baselines.people import People

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]


def link_tubes(people: People, *, iou: float = 0.3, max_gap: int = 10) -> list[Tube]:
    """Link the detections of a clip to tubes, one for each person and time in view.

    Joints, their scores and features are filled in like the boxes; a joint that either end didn't
    see isn't seen in between.

    Args:
        people: of one clip, in order of frames.
        iou: boxes with a larger intersection over union are linked.
        max_gap: frames without a match after which a tube stops.

    Returns:
        The tubes in the order they were found: by the best score of a detection in each.

    Raises:
        ValueError: ``iou`` is not from 0 to below 1, ``max_gap`` below 1, or the detections are
            not in order of frames.
    """
    if not 0 <= iou < 1:
        raise ValueError(f"iou is {iou}; it must be at least 0 and below 1")
    if max_gap < 1:
        raise ValueError(f"max_gap is {max_gap} frames; it must be at least 1")
    frame = people.frame.astype(np.int64)
    if np.any(np.diff(frame) < 0):
        raise ValueError(f"{people.clip_id}: detections are not in order of frames")
    if len(frame) == 0:
        return []
    boxes = people.boxes.astype(np.float64)
    links = [
        _Links(frame, boxes, people.scores, iou, max_gap, direction=direction)
        for direction in (1, -1)
    ]
    return _assemble(people, _follow(people.scores, *links))


def _follow(scores: NDArray[np.float32], forward: _Links, backward: _Links) -> list[list[int]]:
    """Follow the highest-scored detection that is left both ways, until none is left.

    Returns:
        The rows of each tube, in order of frames.
    """
    free = np.ones(len(scores), bool)
    found: list[list[int]] = []
    for seed in np.argsort(-scores, kind="stable").tolist():
        if not free[seed]:
            continue
        free[seed] = False
        before = _walk(seed, backward, free)
        found.append([*before[::-1], seed, *_walk(seed, forward, free)])
    return found


def _walk(row: int, links: _Links, free: NDArray[np.bool_]) -> list[int]:
    """Go from a detection to the next as long as there is one; all passed are no longer free."""
    passed: list[int] = []
    best = links.best
    while (following := best[row]) >= 0:
        if not free[following]:
            following = links.find(row, free)
            if following < 0:
                break
        free[following] = False
        passed.append(following)
        row = following
    return passed


@dataclass(frozen=True, slots=True)
class _Choices:
    """What `_Links` compares."""

    frame: Ints
    edges: tuple[Floats, ...]
    areas: Floats
    scores: NDArray[np.float32]


class _Links:
    """Which detection follows on which, in one direction of time.

    Attributes:
        best: for each detection the row of the one that follows it if all are free; -1 if none
            does. As long as that one is free, it is the one wanted: those of its frame that are
            gone had a smaller IoU, and nearer frames had no match in the first place.
    """

    def __init__(
        self,
        frame: Ints,
        boxes: Floats,
        scores: NDArray[np.float32],
        iou: float,
        max_gap: int,
        *,
        direction: int,
    ) -> None:
        areas = np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), axis=1)
        self._all = _Choices(frame, tuple(np.ascontiguousarray(boxes.T)), areas, scores)
        self._iou, self._max_gap, self._direction = iou, max_gap, direction
        self.best: list[int] = self._best_of_all().tolist()
        ahead = (1, max_gap + 1) if direction > 0 else (-max_gap, 0)
        self._reach = [np.searchsorted(frame, frame + frames).tolist() for frames in ahead]

    def find(self, row: int, free: NDArray[np.bool_]) -> int:
        """Find the free detection that follows ``row``; -1 if none does."""
        first, end = self._reach[0][row], self._reach[1][row]
        others = first + free[first:end].nonzero()[0]
        at, overlaps = self._overlaps(row, others)
        over = overlaps > self._iou
        others, overlaps = others[at[over]], overlaps[over]
        if len(others) == 0:
            return -1
        frames = self._all.frame[others]
        nearest = (frames == frames[0 if self._direction > 0 else -1]).nonzero()[0]
        order = np.lexsort((-self._all.scores[others[nearest]], -overlaps[nearest]))
        return int(others[nearest[order[0]]])

    def _best_of_all(self) -> Ints:
        best = np.full(len(self._all.frame), -1)
        waiting = np.arange(len(best))
        for gap in range(1, self._max_gap + 1):
            target = self._all.frame[waiting] + gap * self._direction
            first = np.searchsorted(self._all.frame, target)
            end = np.searchsorted(self._all.frame, target, side="right")
            best[waiting] = self._best_between(waiting, first, end)
            waiting = waiting[best[waiting] < 0]
        return best

    def _best_between(self, rows: Ints, first: Ints, end: Ints) -> Ints:
        """Find the best match of each row among the detections ``first`` to before ``end``."""
        best = np.full(len(rows), -1)
        overlap = np.full(len(rows), self._iou)
        scores = self._all.scores
        for step in range(int((end - first).max(initial=0))):
            at = np.flatnonzero(first + step < end)
            near, found = self._overlaps(rows[at], first[at] + step)
            at = at[near]
            other = first[at] + step
            tied = (best[at] >= 0) & (found == overlap[at]) & (scores[other] > scores[best[at]])
            better = (found > overlap[at]) | tied
            best[at[better]] = other[better]
            overlap[at[better]] = found[better]
        return best

    def _overlaps(self, rows: Ints | int, others: Ints) -> tuple[Ints, Floats]:
        """Compare boxes.

        Returns:
            Which pairs overlap at least in x, few in a wide frame, and the intersection over
            union of those.
        """
        left, top, right, bottom = self._all.edges
        width = np.minimum(right[rows], right[others]) - np.maximum(left[rows], left[others])
        near = (width > 0).nonzero()[0]
        others = others[near]
        rows = rows if isinstance(rows, int) else rows[near]
        height = np.minimum(bottom[rows], bottom[others]) - np.maximum(top[rows], top[others])
        shared = width[near] * np.maximum(height, 0)
        union = self._all.areas[rows] + self._all.areas[others] - shared
        return near, shared / np.where(union > 0, union, 1)


def _assemble(people: People, found: list[list[int]]) -> list[Tube]:
    """Make tubes of rows, all at once: gaps are filled in one go, and each tube is a slice."""
    rows = np.fromiter((row for tube in found for row in tube), np.int64, len(people.frame))
    firsts = np.cumsum([0, *map(len, found)])
    steps = np.ones(len(rows), np.int64)  # frames from each detection to the next of its tube
    steps[:-1] = np.diff(people.frame[rows].astype(np.int64))
    steps[firsts[1:] - 1] = 1
    left = np.repeat(np.arange(len(rows)), steps)
    places = np.cumsum(steps) - steps
    into = np.arange(len(left)) - places[left]
    gaps = np.flatnonzero(into)
    share = (into[gaps] / steps[left[gaps]]).astype(np.float32)
    fill = _Fill(rows[left], gaps, rows[left[gaps] + 1], share)

    boxes = fill.between(people.boxes)
    scores = people.scores[fill.rows]
    scores[gaps] = 0
    joint_scores = fill.between(people.joint_scores)
    unseen = ~fill.seen(people.joint_scores)
    joint_scores[gaps] = np.where(unseen, 0, joint_scores[gaps])
    joints = fill.between(people.joints, unseen=unseen)
    features = None if people.features is None else fill.between(people.features)
    detection = fill.rows.astype(np.int32)
    detection[gaps] = -1
    totals = np.add.reduceat(people.scores[rows].astype(np.float64), firsts[:-1]).tolist()
    starts = people.frame[rows[firsts[:-1]]].tolist()
    ends = np.append(places, len(left))[firsts].tolist()
    return [
        Tube(
            start=start,
            score=total,
            boxes=boxes[a:b],
            scores=scores[a:b],
            joints=joints[a:b],
            joint_scores=joint_scores[a:b],
            features=None if features is None else features[a:b],
            detection=detection[a:b],
        )
        for start, total, a, b in zip(starts, totals, ends[:-1], ends[1:], strict=True)
    ]


@dataclass(frozen=True, slots=True)
class _Fill:
    """How the frames of all tubes, one after the other, are made of detections.

    Attributes:
        rows: the detection of each frame; of one that is filled in, the one before it.
        gaps: which frames are filled in.
        right: the detection after each of those.
        share: how far each of those is on the way, above 0 and below 1.
    """

    rows: Ints
    gaps: Ints
    right: Ints
    share: NDArray[np.float32]

    def between(
        self, values: NDArray[np.float32], *, unseen: NDArray[np.bool_] | None = None
    ) -> NDArray[np.float32]:
        """Take each detection's values, and interpolate in gaps; 0 in those that are ``unseen``."""
        made = values[self.rows]
        left, right = values[self.rows[self.gaps]], values[self.right]
        if unseen is not None:  # such joints may hold anything
            left, right = left.copy(), right.copy()
            left[unseen] = right[unseen] = 0
        share = self.share.reshape(-1, *[1] * (values.ndim - 1))
        made[self.gaps] = left * (1 - share) + right * share
        return made

    def seen(self, joint_scores: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Say for each gap which joints both its ends saw."""
        return (joint_scores[self.rows[self.gaps]] > 0) & (joint_scores[self.right] > 0)
