"""Lay fetched clips out in folders that other tools read."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mimecurate.curation.clips import ClipFilter, find_clips

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mimecurate.curation.workspace import Workspace

UNLABELLED = "unlabelled"
MAX_FOLDER_BYTES = 200


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export did."""

    made: int
    """Files laid out now."""
    there: int
    """Files that were there already."""
    problems: tuple[str, ...]


def export_kinetics(
    workspace: Workspace,
    out: Path,
    wanted: ClipFilter,
    *,
    on_progress: Callable[[int], None] = lambda done: None,
) -> Exported:
    """Link clips into ``out/<class>/<clip_id>.mp4``, as the Kinetics crawlers lay them out.

    Files are hard links (copies where the file systems differ), so they need no room. A file that
    is there already stays if it has the right size.

    Args:
        workspace: an open workspace.
        out: the folder; made if missing.
        wanted: which clips; only fetched ones have a file.
        on_progress: called with the number of clips laid out.

    Returns:
        What was done, and what could not be.
    """
    made = there = 0
    problems: list[str] = []
    for clip in find_clips(workspace.db, wanted):
        if clip["path"] is None:
            continue
        source = workspace.root / str(clip["path"])
        target = out / class_folder(clip["label"]) / source.name
        if not source.is_file():
            problems.append(f"{source} is gone; `mimecurate clips verify` and fetch it again")
            continue
        try:
            if target.is_file() and target.stat().st_size == clip["bytes"]:
                there += 1
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                _link(source, target)
                made += 1
        except OSError as error:
            problems.append(f"{target}: {error.strerror}")
        on_progress(made + there)
    return Exported(made, there, tuple(problems))


def class_folder(label: object) -> str:
    """Make a folder name of a class name; it can't leave the folder that it is in.

    Where the name had to be changed, a few digits of its hash keep it apart from others.

    >>> class_folder("punching person (boxing)"), class_folder("../x"), class_folder(None)
    ('punching person (boxing)', '.._x-d6b96a', 'unlabelled')
    """
    text = str(label or "").strip()
    if not text:
        return UNLABELLED
    name = "".join(c if c.isprintable() and c not in '/\\:*?"<>|' else "_" for c in text)
    name = name.encode("utf-8")[:MAX_FOLDER_BYTES].decode("utf-8", "ignore").strip()
    if name == text and name not in {".", ".."}:
        return name
    return f"{name}-{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()[:6]}"


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
