"""A release with all that is told of it: what every export is written from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mimecurate.curation.release_bundle_files import open_bundle
from mimecurate.curation.release_bundle_read import (
    Tombstone,
    WithdrawnClip,
    read_manifest,
    read_withdrawn,
)
from mimecurate.curation.release_cards import Card, card_of
from mimecurate.curation.release_facts import gather_facts
from mimecurate.curation.release_freeze import count_clips
from mimecurate.curation.release_problems import Problems
from mimecurate.curation.release_read import (
    find_release,
    is_bundle,
    list_releases,
    load_bundle,
    read_release,
    show_release,
    version_of,
)
from mimecurate.curation.workspace import DATABASE, open_workspace

if TYPE_CHECKING:
    from sqlite_utils import Database

    from mimecurate.curation.release_read import Row
    from mimecurate.schemas.release import Release

History = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class MediaFile:
    """A clip's media in the workspace."""

    path: Path
    frames: int
    sha256: str


@dataclass(frozen=True)
class Edition:
    """A release, how it was made, its card and history, and the media that are here."""

    release: Release
    origin: str
    settings: Mapping[str, object]
    findings: Mapping[str, int]
    changes: Mapping[str, int]
    card: Card
    withdrawn: Sequence[WithdrawnClip]
    history: History
    """Every version up to this one, newest first: version, created, origin, digest, changes."""
    facts: Mapping[str, Any]
    """What the workspace knows of how it came about; see `gather_facts`."""
    withdrawn_earlier: Sequence[Tombstone] = ()
    """Clips that only earlier versions list, withdrawn since."""
    media: Mapping[str, MediaFile] = field(default_factory=dict)
    """Verified media by clip id, of the release's clips."""

    @property
    def reference(self) -> str:
        """``NAME@VERSION``."""
        return f"{self.release.name}@{self.release.version}"

    @cached_property
    def counts(self) -> dict[str, Any]:
        """What is in it now, as ``release show`` says it; withheld clips have but a split."""
        withheld = [clip.split for clip in self.withdrawn]
        return count_clips(self.release.clips, self.release.classes, withheld)

    @property
    def title(self) -> str:
        """The dataset's name in full."""
        return str(self.card.get("title") or self.release.name)


def load_edition(ref: str, workspace: Path) -> Edition:
    """Load a release with all that is told of it.

    Args:
        ref: ``NAME@VERSION`` of the workspace, or the path of an exported release.
        workspace: the workspace's folder, where the media are; may be absent for a path.

    Raises:
        NoSuchReleaseError: the release isn't there.
        InvalidInputError: the exported release is damaged.
        WorkspaceError: the workspace can't be read.
    """
    if is_bundle(ref):
        edition = _from_bundle(Path(ref))
        if not (workspace / DATABASE).is_file():
            return edition
        with open_workspace(workspace, read_only=True) as opened:
            media = _media(opened.db, workspace, edition.release)
        return replace(edition, media=media)
    with open_workspace(workspace, read_only=True) as opened:
        edition = _from_database(opened.db, find_release(opened.db, ref))
        return replace(edition, media=_media(opened.db, workspace, edition.release))


def _from_database(db: Database, row: Row) -> Edition:
    earlier = [r for r in list_releases(db, row["name"]) if version_of(r) <= version_of(row)]
    withdrawn = db.execute(
        "SELECT clip_id, split, row_hash, withdrawn_at, reason FROM release_clips "
        "CROSS JOIN withdrawals USING (clip_id) WHERE release_id = ? ORDER BY clip_id",
        [row["release_id"]],
    )
    return Edition(
        read_release(db, row),
        row["origin"],
        json.loads(row["settings"]),
        json.loads(row["findings"]),
        json.loads(row["changes"]),
        card_of(row),
        [WithdrawnClip(*fields) for fields in withdrawn],
        [_history_entry(r) for r in reversed(earlier)],
        gather_facts(db, row),
        _withdrawn_earlier(db, row["release_id"], [r["release_id"] for r in earlier]),
    )


def _withdrawn_earlier(db: Database, release_id: int, earlier: list[int]) -> list[Tombstone]:
    listing = "SELECT 1 FROM release_clips AS listed WHERE listed.clip_id = withdrawals.clip_id AND"
    rows = db.execute(
        "SELECT clip_id, withdrawn_at, reason FROM withdrawals "
        f"WHERE EXISTS ({listing} release_id IN (SELECT value FROM json_each(?))) "
        f"AND NOT EXISTS ({listing} release_id = ?) ORDER BY clip_id",
        [json.dumps(earlier), release_id],
    )
    return [Tombstone(*fields) for fields in rows]


def _history_entry(row: Row) -> dict[str, object]:
    return {
        "version": row["version"],
        "created": row["created_at"],
        "origin": row["origin"],
        "digest": row["digest"],
        "changes": json.loads(row["changes"]),
        "clips": json.loads(row["counts"])["clips"],
    }


def _from_bundle(path: Path) -> Edition:
    release = load_bundle(path)
    problems = Problems()
    with open_bundle(path) as bundle:
        manifest = read_manifest(bundle, problems)
        withdrawn = list(read_withdrawn(bundle, problems))
    problems.raise_if_any(str(path))
    assert manifest is not None
    return Edition(
        release,
        manifest.origin,
        manifest.settings,
        manifest.findings,
        manifest.changes,
        manifest.card,
        withdrawn,
        manifest.history,
        manifest.facts,
        manifest.withdrawn_earlier,
    )


def _media(db: Database, workspace: Path, release: Release) -> dict[str, MediaFile]:
    """Find the media of the release's clips whose file is there."""
    wanted = {clip.clip_id for clip in release.clips}
    return {
        clip_id: MediaFile(workspace / path, frames, sha256)
        for clip_id, path, frames, sha256 in db.execute(
            "SELECT clip_id, path, frames, sha256 FROM media"
        )
        if clip_id in wanted and (workspace / path).is_file()
    }


def show_any(ref: str, workspace: Path) -> dict[str, Any]:
    """Describe a release of the workspace or an exported one, as ``release show --json`` does.

    Raises:
        NoSuchReleaseError: the release isn't there.
        InvalidInputError: the exported release is damaged.
        WorkspaceError: the workspace can't be read.
    """
    if not is_bundle(ref):
        with open_workspace(workspace, read_only=True) as opened:
            return show_release(opened.db, find_release(opened.db, ref))
    edition = _from_bundle(Path(ref))
    release = edition.release
    return {
        "name": release.name,
        "version": release.version,
        "digest": release.digest,
        "parent": release.parent,
        "created": release.created,
        "status": release.status,
        "withheld": len(release.withheld),
        "origin": edition.origin,
        "settings": edition.settings,
        "findings": edition.findings,
        **edition.counts,
    }
