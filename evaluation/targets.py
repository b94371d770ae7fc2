"""A release as arrays: what each clip's true class, video, split and subsets are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mimecurate.errors import MimecurateError
from mimecurate.schemas.subsets import SUBSETS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from mimecurate.schemas.release import ObjectSize, Release, ReleasedClip
    from mimecurate.schemas.subsets import Predicate


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """The clips that are scored; every array is ``(n,)``, in the order of ``clips``."""

    clips: tuple[ReleasedClip, ...]
    class_names: tuple[str, ...]
    """The classes that have clips, sorted."""
    labels: NDArray[np.int64]
    """Index into ``class_names``."""
    videos: NDArray[np.int64]
    """Number of the source video, from 0: clips of one video are not independent."""
    num_videos: int
    subsets: Mapping[str, NDArray[np.bool_]]
    """Those of the interface in its order, then the user's."""
    splits: Mapping[str, NDArray[np.bool_]]

    @staticmethod
    def from_release(
        release: Release,
        *,
        split: str | None = None,
        predicates: Mapping[str, Predicate] | None = None,
    ) -> Targets:
        """Take a release's clips, or those of one split.

        Args:
            release: the release.
            split: None for all clips.
            predicates: more subsets, by name.

        Raises:
            MimecurateError: no clip is left, or a subset's name is taken.
        """
        names = sorted({clip.split for clip in release.clips})
        clips = tuple(c for c in release.clips if split is None or c.split == split)
        if not clips:
            reason = f"no split {split!r}; it has {', '.join(names)}" if names else "no clips"
            raise MimecurateError(f"release {release.name}@{release.version} has {reason}")
        if taken := sorted(set(predicates or ()) & set(SUBSETS)):
            raise MimecurateError(f"subset {taken[0]!r} has a meaning already; rename yours")
        class_names, labels = _numbered(clip.label for clip in clips)
        videos, video_numbers = _numbered(clip.video_id for clip in clips)
        sizes = release.object_sizes
        return Targets(
            clips,
            class_names,
            labels,
            video_numbers,
            len(videos),
            {
                **_standard_subsets(clips, sizes),
                **{
                    name: np.fromiter((holds(c, sizes.get(c.label)) for c in clips), bool)
                    for name, holds in (predicates or {}).items()
                },
            },
            {name: np.array([c.split == name for c in clips]) for name in names},
        )


def _numbered(values: Iterable[str]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    kept = list(values)
    names = tuple(sorted(set(kept)))
    number = {name: i for i, name in enumerate(names)}
    return names, np.array([number[value] for value in kept], np.int64)


def _standard_subsets(
    clips: tuple[ReleasedClip, ...], sizes: Mapping[str, ObjectSize | None]
) -> dict[str, NDArray[np.bool_]]:
    """Ask each predicate once per combination of flags and size, not once per clip."""
    kinds = [
        (c.mime_artist, c.object_relevant, c.scene_relevant, sizes.get(c.label)) for c in clips
    ]
    one_of = dict(zip(kinds, clips, strict=True))
    number = {kind: i for i, kind in enumerate(one_of)}
    numbers = np.array([number[kind] for kind in kinds])
    return {
        name: np.array([holds(clip, kind[3]) for kind, clip in one_of.items()])[numbers]
        for name, holds in SUBSETS.items()
    }
