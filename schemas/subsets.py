"""Subsets: named predicates over the clips of a release.

The names and their meaning are those of the Mimetics paper (Section 5.1, Table 7): per-clip flags
for mime artist, relevant object and relevant scene, and per-class object size. A flag that is
`unsure` or was never annotated is in neither half.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from mimecurate.schemas.release import Flag, ObjectSize, Release, ReleasedClip

if TYPE_CHECKING:
    from collections.abc import Mapping

Predicate = Callable[[ReleasedClip, ObjectSize | None], bool]

SUBSETS: Mapping[str, Predicate] = {
    "all": lambda clip, size: True,
    "mime_artist": lambda clip, size: clip.mime_artist is Flag.YES,
    "not_mime_artist": lambda clip, size: clip.mime_artist is Flag.NO,
    "object_relevant": lambda clip, size: clip.object_relevant is Flag.YES,
    "no_relevant_object": lambda clip, size: clip.object_relevant is Flag.NO,
    "scene_relevant": lambda clip, size: clip.scene_relevant is Flag.YES,
    "scene_not_relevant": lambda clip, size: clip.scene_relevant is Flag.NO,
    "no_relevant_object_and_scene_not_relevant": lambda clip, size: (
        clip.object_relevant is Flag.NO and clip.scene_relevant is Flag.NO
    ),
    "object_relevant_and_scene_relevant": lambda clip, size: (
        clip.object_relevant is Flag.YES and clip.scene_relevant is Flag.YES
    ),
    "object_none_or_small": lambda clip, size: size in {ObjectSize.NONE, ObjectSize.SMALL},
    "object_medium_or_large": lambda clip, size: size in {ObjectSize.MEDIUM, ObjectSize.LARGE},
}
"""The subsets of the interface, in the order in which they are shown."""


def subset_clip_ids(release: Release) -> dict[str, list[str]]:
    """List the clip ids of every subset, in the release's order."""
    sizes = release.object_sizes
    return {
        name: [clip.clip_id for clip in release.clips if holds(clip, sizes.get(clip.label))]
        for name, holds in SUBSETS.items()
    }
