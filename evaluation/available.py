"""Which clips of a release could still be had, from a file or from a workspace's own record."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mimecurate.errors import InvalidInputError, Problem, Reason

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlite_utils import Database

    from mimecurate.schemas.release import Release

BY_RECORD = "by the workspace's record"


def load_with_record(
    release: Release | str | Path, workspace: Path | str | None = None
) -> tuple[Release, frozenset[str] | None]:
    """Load a release, and what the workspace's record knows of which clips could be had.

    Args:
        release: ``NAME@VERSION`` in the workspace, an exported release's path, or a release.
        workspace: its folder; None: ``MIMECURATE_WORKSPACE``, else the current folder. A release
            that comes from no workspace is looked up only in one that was named.

    Returns:
        The release, and the clip ids as `available_in_workspace`.

    Raises:
        MimecurateError: as `load_release`.
    """
    from mimecurate.curation.release_read import is_bundle, load_release
    from mimecurate.curation.workspace import open_workspace

    if isinstance(release, (str, Path)):
        chosen = workspace or os.environ.get("MIMECURATE_WORKSPACE")
        wanted = chosen is not None or not is_bundle(str(release))
        release = load_release(release, workspace)
    else:
        chosen, wanted = workspace, workspace is not None
    if not wanted:
        return release, None
    with open_workspace(Path(chosen or "."), read_only=True) as opened:
        return release, available_in_workspace(opened.db, release)


def read_available(path: Path, release: Release) -> frozenset[str]:
    """Read which clips could still be had.

    Args:
        path: a clip id per line; or CSV with a column ``clip_id``; or a JSON list of clip ids; or
            what ``fetch --json`` prints. There a clip that failed for a passing reason counts as
            available, and so does a clip that it doesn't speak of.
        release: the release whose clips are meant.

    Returns:
        Clip ids of the release.

    Raises:
        InvalidInputError: the file can't be read, or names no clip of the release.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InvalidInputError(str(path), [Problem(f"can't be read: {error.strerror}")]) from error
    except UnicodeDecodeError as error:
        raise InvalidInputError(str(path), [Problem("is not UTF-8")]) from error
    ids = frozenset(clip.clip_id for clip in release.clips)
    if text.lstrip().startswith(("{", "[")):
        available = _from_json(path, text, ids)
    else:
        available = ids & frozenset(_from_lines(text))
    if not available:
        raise InvalidInputError(
            str(path),
            [Problem(f"names no clip of {release.name}@{release.version}")],
            "Write the clip ids that could be fetched, one per line.",
        )
    return available


def available_in_workspace(db: Database, release: Release) -> frozenset[str] | None:
    """Say which clips of a release a workspace could still have, by its record of fetching.

    A clip is gone when the last attempt failed for a reason that does not pass, such as `removed`
    or `private`; ``rate_limited`` and its like are never read as "the video is gone".

    Args:
        db: the workspace's database.
        release: the release whose clips are meant.

    Returns:
        Clip ids, or None if the record knows of no attempt for any of them.
    """
    rows = db.query("SELECT clip_id, status, reason FROM clip_status WHERE status <> 'open'")
    ids = frozenset(clip.clip_id for clip in release.clips)
    tried = {row["clip_id"]: row for row in rows if row["clip_id"] in ids}
    if not tried:
        return None
    return ids - {clip for clip, row in tried.items() if _is_gone(row["status"], row["reason"])}


def _is_gone(status: Any, reason: Any) -> bool:
    known = reason in Reason.__members__.values()
    return status == "failed" and known and not Reason(reason).is_temporary


def _from_lines(text: str) -> Iterable[str]:
    header = [cell.strip() for cell in text.partition("\n")[0].split(",")]
    if "clip_id" in header and len(header) > 1:
        return [row["clip_id"] or "" for row in csv.DictReader(io.StringIO(text))]
    return [line.strip() for line in text.splitlines()]


def _from_json(path: Path, text: str, ids: frozenset[str]) -> frozenset[str]:
    try:
        document: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(str(path), [Problem(f"is no JSON: {str(error)[:200]}")]) from error
    if isinstance(document, list) and all(isinstance(item, str) for item in document):
        return ids & frozenset(document)
    clips = document.get("clips") if isinstance(document, dict) else None
    if not isinstance(clips, list) or not all(isinstance(clip, dict) for clip in clips):
        raise InvalidInputError(
            str(path), [Problem("must be a list of clip ids, or what fetch --json prints")]
        )
    gone = {c.get("clip_id") for c in clips if _is_gone(c.get("status"), c.get("reason"))}
    return ids - gone
