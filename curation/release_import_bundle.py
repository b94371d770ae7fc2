"""Stage what a list or an exported release holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from mimecurate.curation.release_bundle_files import open_bundle
from mimecurate.curation.release_bundle_read import (
    WITHDRAWN,
    Tombstone,
    read_classes,
    read_clips,
    read_manifest,
    read_withdrawn,
)
from mimecurate.curation.release_freeze import Header, staged_digest
from mimecurate.curation.release_stage import stage_classes, stage_clip, stage_withheld
from mimecurate.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from sqlite_utils import Database

    from mimecurate.curation.release_import_kinetics import Listed
    from mimecurate.curation.release_problems import Problems

OnProgress = Callable[[int, int | None], None]
"""Called with how many clips are done, and how many there are (None: nobody knows)."""
_EVERY = 1_000


def stage_listed(
    db: Database,
    listed: Iterable[Listed],
    problems: Problems,
    on_progress: OnProgress | None = None,
) -> None:
    """Stage clips as they are read; of those listed twice alike, one."""
    number = 0
    for number, (place, clip) in enumerate(listed, 1):
        if contradiction := stage_clip(db, clip, place):
            problems.add(Problem(f"{place}: {contradiction}"))
        if on_progress is not None and number % _EVERY == 0:
            on_progress(number, None)
    if on_progress is not None:
        on_progress(number, None)


def stage_bundle(
    db: Database, path: Path, problems: Problems, on_progress: OnProgress | None = None
) -> tuple[Header, list[Tombstone]]:
    """Stage an exported release, and compare its digest.

    Returns:
        What the release says of itself, and the clips that were withdrawn from it or from an
        earlier version.

    Raises:
        InvalidInputError: it is no exported release; lesser problems are added to ``problems``.
    """
    with open_bundle(path) as bundle:
        manifest = read_manifest(bundle, problems)
        if manifest is None:
            problems.raise_if_any(str(path))
        assert manifest is not None
        stage_classes(db, read_classes(bundle, problems))
        listed = ((f"clips.csv, line {line}", clip) for line, clip in read_clips(bundle, problems))
        stage_listed(db, listed, problems, on_progress)
        withdrawn = list(read_withdrawn(bundle, problems))
    for clip in withdrawn:
        if not stage_withheld(db, clip.clip_id, clip.row_hash, clip.split):
            problems.add(Problem(f"clip {clip.clip_id} is listed twice"), file=WITHDRAWN)
    digest = staged_digest(db)
    if problems.count == 0 and digest != manifest.digest:
        problems.add(Problem(f"the digest is {digest}, and release.json says {manifest.digest}"))
    header = Header(
        manifest.name,
        manifest.version,
        manifest.created_at,
        manifest.origin,
        manifest.parent,
        manifest.settings,
        manifest.findings,
        manifest.changes,
        manifest.card,
    )
    gone = [Tombstone(clip.clip_id, clip.withdrawn_at, clip.reason) for clip in withdrawn]
    return header, [*gone, *manifest.withdrawn_earlier]
