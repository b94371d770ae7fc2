"""A workspace with a release of clips whose media are there, for the tests of baselines."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from release_lists import release

from mimecurate.curation.media_store import media_path
from mimecurate.curation.workspace import open_workspace
from mimecurate.schemas.ids import clip_id, youtube_url
from mimecurate.schemas.release import ReleasedClass, ReleasedClip

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

LABELS = ("archery", "bowling", "clean and jerk", "tai chi")


def media_workspace(
    root: Path,
    media: Sequence[Path],
    name: str = "small@1.0.0",
    *,
    labels: Sequence[str] = LABELS,
) -> list[str]:
    """Make a workspace whose release has a clip for each file, which is linked into its place.

    The clips have the classes by turns.

    Returns:
        The clip ids, in the files' order.
    """
    clips = []
    for number, path in enumerate(media):
        video = f"vid-{number:07d}"
        clip = ReleasedClip(
            *(clip_id(video, 0, 10_000), video, 0, 10_000, labels[number % len(labels)], "test"),
            url=youtube_url(video),
        )
        clips.append(clip)
        place = root / media_path(clip.clip_id)
        place.parent.mkdir(parents=True, exist_ok=True)
        os.symlink(path, place)
    with open_workspace(root) as space:
        release(space.db, name, clips, [ReleasedClass(label) for label in labels])
    return [clip.clip_id for clip in clips]
