"""Rebuild what the Mimetics paper prints from its own per-class figures, with our metrics.

Table 11 gives each class's clips and top-1; the number of clips that were right follows. From
these the global and mean top-1 of Tables 6, 7 and 8 are computed by the same functions that score
prediction files. Average precisions are only averaged: ranks can't be known from them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mimecurate.evaluation.metrics import Hits, Scores, score
from mimecurate.evaluation.paper_results import (
    NOT_REBUILT,
    SYSTEMS,
    TABLE_6,
    TABLE_8,
    TABLE_11,
)
from mimecurate.schemas.release import Flag, Release, ReleasedClass, ReleasedClip
from mimecurate.schemas.subsets import SUBSETS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

KNOWN_DIFFERENCES = frozenset({"Table 6, mAP, STGCN"})
"""The printed per-class values average to 20.6; the paper prints 20.7."""
_WRONG_RANK = 100


@dataclass(frozen=True, slots=True)
class Check:
    """One figure of the paper, and ours."""

    what: str
    printed: float
    rebuilt: float

    @property
    def agrees(self) -> bool:
        """Whether both print the same with one decimal."""
        return f"{self.printed:.1f}" == f"{self.rebuilt:.1f}"

    @property
    def is_known(self) -> bool:
        """Whether the difference is the paper's own."""
        return not self.agrees and self.what in KNOWN_DIFFERENCES


def check_paper() -> list[Check]:
    """Rebuild the figures of Tables 6, 8 and 11.

    >>> checks = check_paper()
    >>> len(checks), [c.what for c in checks if not c.agrees]
    (27, ['Table 6, mAP, STGCN'])
    """
    release = paper_release()
    return [*_table_6(release), *_table_8(release), *_counts(release)]


def paper_release() -> Release:
    """Make a release with Table 11's classes, object sizes and numbers of clips, one per video."""
    clips = []
    for c in TABLE_11:
        for i in range(c.clips):
            video = f"{c.name.replace(' ', '-')}-{i:02d}"
            clips.append(
                ReleasedClip(f"{video}_000000_000001", video, 0, 1000, c.name, "test", Flag.NO)
            )
    classes = tuple(ReleasedClass(c.name, c.object_size) for c in TABLE_11)
    return Release("mimetics-table-11", "1.0.0", "0" * 64, tuple(clips), classes)


def paper_ranks(system: str) -> NDArray[np.int64]:
    """Make ranks that have Table 11's top-1 in each class, in the order of `paper_release`."""
    column = SYSTEMS.index(system)
    ranks = []
    for c in TABLE_11:
        right = round(c.clips * c.top1[column] / 100)
        ranks += [1] * right + [_WRONG_RANK] * (c.clips - right)
    return np.array(ranks, np.int64)


def self_check_lines(checks: list[Check]) -> Iterator[str]:
    """Say what agrees and what does not, a line per figure."""
    width = max(len(c.what) for c in checks)
    yield f"{'':{width}}  paper  rebuilt"
    for c in checks:
        verdict = "" if c.agrees else "  the paper's own rounding" if c.is_known else "  DIFFERS"
        yield f"{c.what:{width}}  {c.printed:5.1f}  {c.rebuilt:7.1f}{verdict}"
    agreeing = sum(c.agrees for c in checks)
    yield f"{agreeing} of {len(checks)} figures agree."
    yield from (f"Not rebuilt: {line}" for line in NOT_REBUILT)


def _scores(release: Release, system: str, subset: str) -> Scores:
    sizes = release.object_sizes
    names = [c.name for c in release.classes]
    labels = np.array([names.index(clip.label) for clip in release.clips])
    inside = np.array([SUBSETS[subset](clip, sizes[clip.label]) for clip in release.clips])
    hits = Hits.from_ranks(paper_ranks(system))
    return score(hits, labels, np.arange(len(labels)), inside)


def _table_6(release: Release) -> Iterator[Check]:
    for column, system in enumerate(SYSTEMS):
        mean = _scores(release, system, "all").mean_class_top1 or 0.0
        yield Check(f"Table 6, top-1, {system}", TABLE_6["top-1"][column], mean)
        mean_ap = float(np.mean([c.ap[column] for c in TABLE_11]))
        yield Check(f"Table 6, mAP, {system}", TABLE_6["mAP"][column], mean_ap)


def _table_8(release: Release) -> Iterator[Check]:
    for subset, (_, _, printed) in TABLE_8.items():
        for system, value in printed.items():
            rebuilt = _scores(release, system, subset).top1 or 0.0
            yield Check(f"Table 8, {subset}, {system}", value, rebuilt)


def _counts(release: Release) -> Iterator[Check]:
    for subset, (classes, clips, _) in TABLE_8.items():
        found = _scores(release, "RGB", subset)
        yield Check(f"Table 8, {subset}, classes", classes, found.classes)
        yield Check(f"Table 8, {subset}, clips", clips, found.clips)
