"""Lay fetched clips out in folders that other tools read."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from mimecurate.curation.clips import ClipFilter, find_clips
from mimecurate.errors import MimecurateError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mimecurate.curation.workspace import Workspace

UNLABELLED = "unlabelled"


def export_kinetics(
    workspace: Workspace,
    out: Path,
    wanted: ClipFilter,
    *,
    on_progress: Callable[[int], None] = lambda done: None,
) -> tuple[int, int]:
    """Link clips into ``out/<class>/<clip_id>.mp4``, as the Kinetics crawlers lay them out.

    Files are hard links (copies where the file systems differ), so they need no room. A file that
    is there already stays if it has the right size.

    Args:
        workspace: an open workspace.
        out: the folder; made if missing.
        wanted: which clips; only fetched ones have a file.
        on_progress: called with the number of clips laid out.

    Returns:
        Files laid out now, and files that were there.

    Raises:
        MimecurateError: ``out`` can't be written.
    """
    made = there = 0
    for clip in find_clips(workspace.db, wanted):
        if clip["path"] is None:
            continue
        source = workspace.root / str(clip["path"])
        target = out / class_folder(clip["label"]) / f"{clip['clip_id']}.mp4"
        try:
            if target.is_file() and target.stat().st_size == clip["bytes"]:
                there += 1
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                _link(source, target)
                made += 1
        except OSError as error:
            raise MimecurateError(f"{target}: {error.strerror}") from error
        on_progress(made + there)
    return made, there


def class_folder(label: object) -> str:
    """Make a folder name of a class name; it can't leave the folder that it is in.

    >>> class_folder("punching person (boxing)"), class_folder("../x"), class_folder(None)
    ('punching person (boxing)', '.._x', 'unlabelled')
    """
    name = "".join(
        c if c.isprintable() and c not in '/\\:*?"<>|' else "_" for c in str(label or "")
    )
    name = name.strip()[:100]
    return UNLABELLED if name in {"", ".", ".."} else name


def _link(source: Path, target: Path) -> None:
    unfinished = target.with_name(f".{target.name}.{os.getpid()}")
    unfinished.unlink(missing_ok=True)
    try:
        os.link(source, unfinished)
    except OSError:
        if not source.is_file():
            raise
        shutil.copy2(source, unfinished)
    os.replace(unfinished, target)
