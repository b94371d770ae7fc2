"""Clip files: where they are, how one comes to be there whole or not at all."""

from __future__ import annotations

import os
import shutil
import uuid
from pathlib import Path


def media_path(clip_id: str) -> Path:
    """Return a clip's path relative to the workspace.

    >>> media_path("0zFbEjoGlhc_000006_000010").as_posix()
    'clips/0z/0zFbEjoGlhc_000006_000010.mp4'
    """
    return Path("clips", clip_id[:2], f"{clip_id}.mp4")


def unfinished_path(unfinished_dir: Path) -> Path:
    """Return a name for a file that is still being written."""
    unfinished_dir.mkdir(parents=True, exist_ok=True)
    return unfinished_dir / f"{uuid.uuid4().hex}.mp4"


def publish(unfinished: Path, final: Path) -> None:
    """Give a finished file its name, so that it is there whole even after a power loss.

    The bytes are on the disk before the name is, and the name before this returns.
    """
    _sync(unfinished)
    final.parent.mkdir(parents=True, exist_ok=True)
    os.replace(unfinished, final)
    _sync(final.parent)


def remove_unfinished(unfinished_dir: Path) -> int:
    """Remove what dead runs left, and say how many files that were. Call it with the lock held."""
    left = list(unfinished_dir.glob("*"))
    for path in left:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    return len(left)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
