"""The files of clips, of a release or of a folder alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mimecurate.curation.release_read import load_release
from mimecurate.errors import MimecurateError, counted
from mimecurate.evaluation.report_media import SUFFIXES, find_media

if TYPE_CHECKING:
    from pathlib import Path

ENDINGS = (*SUFFIXES, ".avi")


def find_clip_files(
    reference: str | None, folder: Path, workspace: Path, *, split: str | None = None
) -> dict[str, Path | None]:
    """Find the clips of a release, or all of a folder, and the file of each.

    Args:
        reference: ``NAME@VERSION`` or the path of an exported release; None: every media file
            anywhere under the folder is a clip, named as the file without its ending.
        folder: of the media.
        workspace: where ``NAME@VERSION`` is.
        split: take this split of the release alone.

    Returns:
        The file of each clip by its id; None where there is none.

    Raises:
        MimecurateError: there is no such folder or release, or no clip with a file.
    """
    if not folder.is_dir():
        raise MimecurateError(f"{folder}: no such folder; say with --clips where the clips are")
    if reference is None:
        return dict(_all_of(folder))
    release = load_release(reference, workspace)
    ids = [clip.clip_id for clip in release.clips if split is None or clip.split == split]
    if not ids:
        of = f"split {split!r} of " if split is not None else ""
        raise MimecurateError(f"{of}{release.name}@{release.version} has no clips")
    found = find_media(folder, ids)
    if not found:
        raise MimecurateError(
            f"{folder} has none of the {counted(len(ids), 'clip')}; say with --clips where they are"
        )
    return {clip_id: found.get(clip_id) for clip_id in ids}


def _all_of(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in ENDINGS or not path.is_file():
            continue
        if path.stem in found:
            both = f"{found[path.stem].relative_to(folder)} and {path.relative_to(folder)}"
            raise MimecurateError(f"{folder} holds {both}: clips are named so, and need one name")
        found[path.stem] = path
    if not found:
        raise MimecurateError(f"{folder} holds no media ({', '.join(ENDINGS)})")
    return found
