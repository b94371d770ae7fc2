"""Prove that what the workspace says it has is there, whole."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from mimecurate.curation import engine
from mimecurate.curation.clips import ClipFilter, find_clips
from mimecurate.curation.verify import verify_clip
from mimecurate.errors import ClipError, Reason, WorkspaceError, plain_words
from mimecurate.schemas.database import now

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mimecurate.curation.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Recheck:
    """What was found of one clip; ``problem`` is empty if it is whole."""

    clip_id: str
    problem: str


def recheck_clips(
    workspace: Workspace, wanted: ClipFilter, *, workers: int = 2, checksums_only: bool = False
) -> Iterator[Recheck]:
    """Check every fetched clip against what the database says, and yield each as it is done.

    The file is there, has its checksum, decodes to the end and has its frames. A clip that fails is
    struck from the media and recorded as failed, so that the next fetch gets it again; one that
    can't be read for another reason (rights, a failing disk) is reported and left alone.

    Args:
        workspace: an open workspace; it is locked for fetching meanwhile.
        wanted: which clips.
        workers: clips at a time.
        checksums_only: do not decode; several times faster.

    Raises:
        WorkspaceError: the folder holds none of the clips; its disk may not be mounted.
    """
    if workspace.db["media"].count and not any(workspace.clips_dir.glob("??/*.mp4")):
        raise WorkspaceError(f"{workspace.clips_dir} holds no clip at all; is its disk mounted?")
    with workspace.lock("fetch", "mimecurate clips verify"):
        clips = [c for c in find_clips(workspace.db, wanted) if c["path"] is not None]
        check = partial(_check, workspace.root, checksums_only)
        run_id: int | None = None
        for outcome in engine.map(check, clips, workers=workers):
            clip, problem = outcome.item, outcome.value
            if outcome.error is not None:
                yield Recheck(
                    str(clip["clip_id"]), f"could not be checked: {plain_words(outcome.error)}"
                )
                continue
            if problem:
                run_id = run_id or _start_run(workspace)
                _strike(workspace, run_id, clip, problem)
            else:
                with workspace.db.atomic():
                    workspace.db.execute(
                        "UPDATE media SET verified_at = ? WHERE clip_id = ?",
                        [now(), clip["clip_id"]],
                    )
            yield Recheck(str(clip["clip_id"]), problem or "")


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check(root: Path, checksums_only: bool, clip: dict[str, object]) -> str:
    path = root / str(clip["path"])
    try:
        if file_sha256(path) != clip["sha256"]:
            return "its checksum is not the recorded one"
        if not checksums_only and (frames := verify_clip(path).frames) != clip["frames"]:
            return f"it holds {frames} frames, not {clip['frames']}"
    except FileNotFoundError:
        return "its file is gone"
    except ClipError as error:
        return str(error)
    return ""


def _start_run(workspace: Workspace) -> int:
    from mimecurate import __version__

    with workspace.db.atomic():
        cursor = workspace.db.execute(
            "INSERT INTO runs (command, version, settings, started_at) "
            "VALUES ('clips verify', ?, '{}', ?)",
            [__version__, now()],
        )
    return int(cursor.lastrowid or 0)


def _strike(workspace: Workspace, run_id: int, clip: dict[str, object], problem: str) -> None:
    with workspace.db.atomic():
        workspace.db.execute("DELETE FROM media WHERE clip_id = ?", [clip["clip_id"]])
        workspace.db.execute(
            "INSERT INTO attempts (run_id, video_id, clip_id, at, status, reason, message) "
            "VALUES (?, ?, ?, ?, 'failed', ?, ?)",
            [
                run_id,
                clip["video_id"],
                clip["clip_id"],
                now(),
                Reason.OTHER,
                f"clips verify: {problem}; the next fetch gets it again",
            ],
        )
