"""Find the media of clips in a folder, and link to them from a page."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from mimecurate.errors import MimecurateError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

SUFFIXES = (".mp4", ".m4v", ".webm", ".mov", ".mkv")
"""Of media files, those that most browsers play first."""


def find_media(folder: Path, clip_ids: Collection[str]) -> dict[str, Path]:
    """Find a media file for each clip, by its name, anywhere under a folder.

    That is a workspace (``clips/0z/ID.mp4``), a folder per class (``archery/ID.mp4``), or any
    other layout. Of several files for a clip the one that most browsers play is taken, then the
    one whose path is first. Links to folders are not followed.

    Args:
        folder: where to look.
        clip_ids: the clips that are wanted.

    Returns:
        The path of each clip that is there.

    Raises:
        MimecurateError: a folder can't be read.
    """
    wanted = set(clip_ids)
    found: dict[str, tuple[int, Path]] = {}
    for parent, _, names in os.walk(folder, onerror=_refuse):
        for name in names:
            stem, suffix = os.path.splitext(name)
            suffix = suffix.lower()
            if stem not in wanted or suffix not in SUFFIXES:
                continue
            candidate = SUFFIXES.index(suffix), Path(parent, name)
            best = found.get(stem)
            if (best is None or candidate < best) and candidate[1].is_file():
                found[stem] = candidate
    return {clip_id: path for clip_id, (_, path) in found.items()}


def media_links(media: Mapping[str, Path], page: Path) -> dict[str, str]:
    """Link to files from a page, so that page and files can be moved together.

    Args:
        media: the file of each clip.
        page: the path of the page.

    Returns:
        A relative URL for each clip; a ``file:`` URL where the page is on another drive.

    >>> media_links({"a": Path("clips/50% off/a.mp4")}, Path("out/report.html"))
    {'a': '../clips/50%25%20off/a.mp4'}
    """
    start = os.path.abspath(page.parent)
    links = {}
    for clip_id, path in media.items():
        try:
            relative = Path(os.path.relpath(os.path.abspath(path), start)).as_posix()
        except ValueError:  # Windows: another drive
            links[clip_id] = path.absolute().as_uri()
        else:
            links[clip_id] = quote(os.fsencode(relative))
    return links


def _refuse(error: OSError) -> None:
    raise MimecurateError(f"{error.filename} can't be read: {error.strerror}") from error
