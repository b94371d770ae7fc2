"""Put the media of a release where a tool wants them."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from mimecurate.errors import MimecurateError

if TYPE_CHECKING:
    from pathlib import Path

    from mimecurate.curation.release_edition import Edition
    from mimecurate.schemas.release import ReleasedClip


def present_clips(edition: Edition) -> list[ReleasedClip]:
    """List the clips whose media are in the workspace.

    Raises:
        MimecurateError: none is.
    """
    present = [clip for clip in edition.release.clips if clip.clip_id in edition.media]
    if not present:
        raise MimecurateError(
            f"{edition.reference}: no clip of it is in the workspace; fetch them with "
            f"`mimecurate release rehydrate {edition.reference}`"
        )
    return present


def place(source: Path, target: Path) -> None:
    """Put a file in a second place: a hard link where the file system can, else a copy."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def absent_notice(edition: Edition, present: int) -> list[str]:
    """Say how many clips are left out because their media aren't there."""
    total = len(edition.release.clips)
    if present == total:
        return []
    return [f"{present:,} of {total:,} clips written: the media of the others are not here"]
