"""Compare releases wherever they are: in the workspace, or exported as a folder or zip."""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mimecurate.curation.release_diff import ReleaseDiff, diff_releases
from mimecurate.curation.release_freeze import Header, freeze, staged_contents
from mimecurate.curation.release_import_bundle import stage_bundle
from mimecurate.curation.release_problems import Problems
from mimecurate.curation.release_read import NoSuchReleaseError, find_release, is_bundle, version_of
from mimecurate.curation.release_stage import copy_release, open_stage, writing
from mimecurate.curation.workspace import open_workspace
from mimecurate.schemas.database import open_database

if TYPE_CHECKING:
    from sqlite_utils import Database

    from mimecurate.curation.release_read import Row


def compare_releases(a: str, b: str, workspace: Path) -> ReleaseDiff:
    """Compare two releases.

    Args:
        a: ``NAME@VERSION`` of the workspace, or the path of an exported release.
        b: the same.
        workspace: the workspace's folder; not read if both are exported.

    Raises:
        NoSuchReleaseError: one of them isn't there.
        InvalidInputError: an exported one is damaged; every problem is listed.
        WorkspaceError: the workspace can't be read.
    """
    exported = [is_bundle(ref) for ref in (a, b)]
    with contextlib.ExitStack() as stack:
        db = None
        if not all(exported):
            db = stack.enter_context(open_workspace(workspace, read_only=True)).db
        if db is not None and not any(exported):
            return diff_releases(db, find_release(db, a), find_release(db, b))
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="mimecurate-"))
        scratch = open_database(Path(folder) / "scratch.db")
        stack.callback(scratch.close)
        rows = [
            _bring(scratch, ref, side, None if is_path else db)
            for ref, side, is_path in zip((a, b), "ab", exported, strict=True)
        ]
        return diff_releases(scratch, *rows)


def _bring(scratch: Database, ref: str, side: str, db: Database | None) -> Row:
    """Freeze a release in the scratch database under the name ``side``; return it as it was."""
    open_stage(scratch)
    if db is None:
        header = _stage_path(scratch, Path(ref))
    else:
        row = find_release(db, ref)
        copy_release(db, row["release_id"], scratch)
        header = Header(row["name"], version_of(row), "", "")
    contents = staged_contents(scratch)
    with writing(scratch):
        freeze(scratch, replace(header, name=side), contents)
    return find_release(scratch, f"{side}@{header.version}") | {"name": header.name}


def _stage_path(scratch: Database, path: Path) -> Header:
    if not path.exists():
        raise NoSuchReleaseError(
            f"no release {path}: give NAME@VERSION, or the folder or .zip of an exported release"
        )
    problems = Problems()
    with scratch.atomic():
        header, _ = stage_bundle(scratch, path, problems)
    problems.raise_if_any(str(path), f"see all of it with: mimecurate release check {path}")
    return header
