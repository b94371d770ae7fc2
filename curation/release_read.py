"""Read releases: from the workspace's database, or from a folder or zip that was exported."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mimecurate.curation.release_bundle_files import open_bundle
from mimecurate.curation.release_bundle_read import (
    read_classes,
    read_clips,
    read_manifest,
    read_withdrawn,
)
from mimecurate.curation.release_freeze import released_class, released_flag
from mimecurate.curation.release_problems import Problems
from mimecurate.curation.workspace import open_workspace
from mimecurate.errors import MimecurateError, Problem, WorkspaceError
from mimecurate.schemas.digest import release_digest, row_hash
from mimecurate.schemas.release import Release, ReleasedClip
from mimecurate.schemas.versions import Version, parse_reference

if TYPE_CHECKING:
    from sqlite_utils import Database

Row = dict[str, Any]


class NoSuchReleaseError(MimecurateError):
    """There is no release of that name and version, and no file of that name."""


def load_release(ref: str | Path, workspace: Path | str | None = None) -> Release:
    """Load a release with all its clips.

    Args:
        ref: ``NAME@VERSION``, or the path of an exported release (folder or .zip).
        workspace: the workspace's folder; None: ``MIMECURATE_WORKSPACE``, else the current folder.

    Returns:
        The release. Clips that were withdrawn are in ``withheld`` and not in ``clips``.

    Raises:
        NoSuchReleaseError: it isn't there; the message says what is.
        InvalidInputError: the exported release is damaged; every problem is listed.
        WorkspaceError: the workspace can't be read.
    """
    if is_bundle(str(ref)):
        return load_bundle(Path(ref))
    root = workspace or os.environ.get("MIMECURATE_WORKSPACE") or "."
    with open_workspace(Path(root), read_only=True) as opened:
        return read_release(opened.db, find_release(opened.db, str(ref)))


def is_bundle(ref: str) -> bool:
    """Say whether ``ref`` is a path and not ``NAME@VERSION``."""
    try:
        parse_reference(ref)
    except ValueError:
        return True
    return Path(ref).exists()


def find_release(db: Database, ref: str) -> Row:
    """Return the row of ``NAME@VERSION`` in ``releases``.

    Raises:
        NoSuchReleaseError: it isn't there, or ``ref`` is something else.
    """
    try:
        name, version = parse_reference(ref)
    except ValueError as error:
        raise NoSuchReleaseError(str(error)) from error
    rows = list(
        db.query("SELECT * FROM releases WHERE name = ? AND version = ?", [name, str(version)])
    )
    if rows:
        return rows[0]
    there = [f"{row['name']}@{row['version']}" for row in list_releases(db)]
    known = f"there are: {', '.join(there[:20])}" if there else "there is none yet"
    raise NoSuchReleaseError(f"no release {ref} in this workspace; {known}")


def list_releases(db: Database, name: str | None = None) -> list[Row]:
    """List the rows of ``releases``, of one name or of all, oldest version first."""
    where, values = ("WHERE name = ?", [name]) if name else ("", [])
    return list(
        db.query(f"SELECT * FROM releases {where} ORDER BY name, major, minor, patch", values)
    )


def latest_release(db: Database, name: str) -> Row | None:
    """Return the row of the highest version of a release, None if there is none of that name."""
    rows = list_releases(db, name)
    return rows[-1] if rows else None


def version_of(row: Row) -> Version:
    """Return the version of a row of ``releases``."""
    return Version(row["major"], row["minor"], row["patch"])


def show_release(db: Database, row: Row) -> dict[str, Any]:
    """Describe a release as ``release show --json`` prints it, from the counts kept with it."""
    counts = json.loads(row["counts"])
    withheld = count_withheld(db, row["release_id"])
    return {
        "name": row["name"],
        "version": row["version"],
        "digest": row["digest"],
        "parent": row["parent"],
        "created": row["created_at"],
        "status": "withheld" if withheld else "frozen",
        "withheld": withheld,
        "origin": row["origin"],
        "settings": json.loads(row["settings"]),
        "findings": json.loads(row["findings"]),
        **counts,
    }


def count_withheld(db: Database, release_id: int) -> int:
    """Count the clips of a release that were withdrawn since."""
    return int(
        db.execute(
            "SELECT count(*) FROM withdrawals CROSS JOIN release_clips USING (clip_id) "
            "WHERE release_id = ?",
            [release_id],
        ).fetchone()[0]
    )


def read_release(db: Database, row: Row) -> Release:
    """Read a release of the database with all its clips."""
    clips, withheld = [], {}
    for fields in db.execute(_CLIPS, [row["release_id"]]):
        named, split, video_id, start_ms, end_ms, label, mime, thing, scene, url, reason = fields
        if video_id is None:
            if reason is None:
                raise WorkspaceError(f"clip {named}: its row is missing, but it was not withdrawn")
            withheld[named] = reason
            continue
        flags = released_flag(mime), released_flag(thing), released_flag(scene)
        clips.append(ReleasedClip(named, video_id, start_ms, end_ms, label, split, *flags, url=url))
    classes = db.execute(
        "SELECT name, object_size, scene FROM release_classes WHERE release_id = ? ORDER BY name",
        [row["release_id"]],
    )
    return Release(
        row["name"],
        row["version"],
        row["digest"],
        tuple(clips),
        tuple(released_class(*fields) for fields in classes),
        row["parent"],
        row["created_at"],
        "withheld" if withheld else "frozen",
        withheld,
    )


_CLIPS = """SELECT listed.clip_id, split, video_id, start_ms, end_ms, label, mime_artist,
        object_relevant, scene_relevant, url, reason
    FROM release_clips AS listed
    LEFT JOIN release_rows AS row
        ON row.clip_id = listed.clip_id AND row.row_hash = listed.row_hash
    LEFT JOIN videos USING (video_id)
    LEFT JOIN withdrawals ON withdrawals.clip_id = listed.clip_id
    WHERE release_id = ? ORDER BY listed.clip_id"""


def load_bundle(path: Path) -> Release:
    """Load an exported release from a folder or a .zip, and verify its digest.

    Raises:
        NoSuchReleaseError: there is nothing at that path.
        InvalidInputError: it is damaged or was changed; every problem is listed.
    """
    if not path.exists():
        raise NoSuchReleaseError(
            f"no release {path}: give NAME@VERSION, or the folder or .zip of an exported release"
        )
    problems = Problems()
    with open_bundle(path) as bundle:
        manifest = read_manifest(bundle, problems)
        if manifest is None:
            problems.raise_if_any(str(path))
        classes = read_classes(bundle, problems)
        clips = sorted((clip for _, clip in read_clips(bundle, problems)), key=lambda c: c.clip_id)
        withdrawn = list(read_withdrawn(bundle, problems))
    problems.raise_if_any(str(path), f"see all of it with: mimecurate release check {path}")
    assert manifest is not None
    entries = [(c.clip_id, row_hash(c), c.split) for c in clips]
    entries += [(w.clip_id, w.row_hash, w.split) for w in withdrawn]
    try:
        digest = release_digest(classes, sorted(entries))
    except ValueError as error:
        problems.add(Problem(f"listed twice: {error}"))
    else:
        if digest != manifest.digest:
            problems.add(
                Problem(f"the digest is {digest}, and release.json says {manifest.digest}")
            )
    problems.raise_if_any(str(path))
    return Release(
        manifest.name,
        str(manifest.version),
        manifest.digest,
        tuple(clips),
        tuple(classes),
        manifest.parent,
        manifest.created_at,
        "withheld" if withdrawn else "frozen",
        {w.clip_id: w.reason for w in withdrawn},
    )
