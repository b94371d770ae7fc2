"""Import a release that others published, as it is: `mimecurate release import`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from mimecurate.curation.release_cards import MIMETICS_CARD
from mimecurate.curation.release_checks import IMPORT_CHECKS, run_checks
from mimecurate.curation.release_freeze import Header, freeze, is_frozen, staged_contents
from mimecurate.curation.release_import_bundle import OnProgress, stage_bundle, stage_listed
from mimecurate.curation.release_import_kinetics import kinetics_files, read_kinetics
from mimecurate.curation.release_import_mimetics import (
    mimetics_files,
    read_mimetics,
    read_mimetics_classes,
)
from mimecurate.curation.release_problems import Problems
from mimecurate.curation.release_purges import finish_purges
from mimecurate.curation.release_stage import (
    close_stage,
    open_stage,
    stage_classes,
    writing,
)
from mimecurate.errors import Problem
from mimecurate.schemas.database import now

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sqlite_utils import Database

    from mimecurate.curation.release_bundle_read import Tombstone
    from mimecurate.curation.workspace import Workspace
    from mimecurate.schemas.versions import Version

Format = Literal["mimetics", "kinetics", "bundle"]


@dataclass(frozen=True, slots=True)
class ImportedRelease:
    """What an import did."""

    reference: str
    digest: str
    counts: Mapping[str, object]
    findings: Mapping[str, int]
    """What the checks of ``release create`` find in it; imported all the same."""
    was_there: bool
    """Whether this very release was in the workspace before."""
    still_here: Mapping[str, str] = field(default_factory=dict)
    """Clips that the release's makers withdrew, and this workspace still has, with the reason."""


def import_release(
    workspace: Workspace,
    source: Path,
    *,
    format: Format,
    name: str | None = None,
    version: Version | None = None,
    card: Mapping[str, object] | None = None,
    on_progress: OnProgress | None = None,
) -> ImportedRelease:
    """Import a published release into the workspace: release, videos, clips and classes.

    Nothing is imported if anything is wrong. Importing the same release again changes nothing.

    Args:
        workspace: the workspace.
        source: the folder, file or zip.
        format: ``mimetics`` (the official v1.0 files), ``kinetics`` (CSV or ActivityNet-style
            JSON), or ``bundle`` (what ``release export`` writes).
        name: the release's name; a bundle says its own.
        version: the release's version; a bundle says its own.
        card: title, authors, licence and the like; None: what the source says.
        on_progress: called with the clips read so far, and None for their unknown total.

    Raises:
        InvalidInputError: the files are wrong; every problem is listed.
        ReleaseExistsError: the name and version are taken by other contents.
        ValueError: ``name`` or ``version`` is missing where the source doesn't say it.
    """
    if format != "bundle" and (name is None or version is None):
        raise ValueError(f"a name and a version are needed to import {format} files")
    problems = Problems()
    db = workspace.db
    with workspace.lock("release", f"release import {source.name}"):
        finish_purges(workspace)
        open_stage(db)
        withdrawn: list[Tombstone] = []
        with db.atomic():
            if format == "bundle":
                header, withdrawn = stage_bundle(db, source, problems, on_progress)
                header = replace(
                    header, name=name or header.name, version=version or header.version
                )
            else:
                assert name is not None
                assert version is not None
                header = Header(name, version, now(), f"import {format}")
                _stage_lists(db, source, format, problems, on_progress)
                header = replace(header, card=MIMETICS_CARD if format == "mimetics" else {})
        problems.raise_if_any(str(source), "nothing was imported")
        findings = {check.name: check.count for check in run_checks(db, IMPORT_CHECKS)}
        imported = _freeze(
            db, replace(header, findings=findings, card=card or header.card), withdrawn
        )
        close_stage(db)
    return imported


def _freeze(db: Database, header: Header, withdrawn: list[Tombstone]) -> ImportedRelease:
    contents = staged_contents(db)
    with writing(db):
        was_there = is_frozen(db, header, contents.digest)
        still_here = _store_withdrawals(db, withdrawn)
        if not was_there:
            _store_sources(db)
            freeze(db, header, contents)
    return ImportedRelease(
        header.reference,
        contents.digest,
        contents.counts,
        header.findings,
        was_there,
        still_here,
    )


def _stage_lists(
    db: Database,
    source: Path,
    format: Format,
    problems: Problems,
    on_progress: OnProgress | None,
) -> None:
    if format == "mimetics":
        files = mimetics_files(source)
        stage_classes(db, read_mimetics_classes(files, problems))
        listed = read_mimetics(files, problems)
    else:
        listed = read_kinetics(kinetics_files(source), problems)
    stage_listed(db, listed, problems, on_progress)
    if format == "mimetics":
        missing = db.execute(
            "SELECT DISTINCT label FROM staged WHERE label NOT IN (SELECT name FROM staged_classes)"
        )
        for (label,) in missing.fetchall():
            problems.add(Problem(f"class {label!r} is not in the class annotations"))
    else:
        db.execute("INSERT INTO staged_classes SELECT DISTINCT label, NULL, NULL FROM staged")
    if db.execute("SELECT count(*) FROM staged").fetchone()[0] == 0:
        problems.add(Problem("lists no clip"))


def _store_withdrawals(db: Database, withdrawn: list[Tombstone]) -> dict[str, str]:
    """Keep the tombstones that came with a bundle, but of clips that this workspace has.

    Whoever wrote the bundle can't delete anything here: those clips are returned, with the reason.
    """
    has = (
        "SELECT EXISTS (SELECT 1 FROM release_rows WHERE clip_id = ?1) "
        "OR EXISTS (SELECT 1 FROM media WHERE clip_id = ?1)"
    )
    still_here = {}
    for clip in withdrawn:
        if db.execute(has, [clip.clip_id]).fetchone()[0]:
            still_here[clip.clip_id] = clip.reason
            continue
        db.execute(
            "INSERT INTO withdrawals (clip_id, withdrawn_at, reason, decided_by) "
            "SELECT ?1, ?2, ?3, 'imported' "
            "WHERE NOT EXISTS (SELECT 1 FROM withdrawals WHERE clip_id = ?1)",
            [clip.clip_id, clip.withdrawn_at, clip.reason],
        )
    return still_here


def _store_sources(db: Database) -> None:
    """Make the videos, clips and classes known to the workspace; what is known stays."""
    kept = "video_id IS NOT NULL AND clip_id NOT IN (SELECT clip_id FROM withdrawals)"
    at = now()
    db.execute(
        "INSERT INTO videos (video_id, url, added_at) SELECT video_id, min(url), ? "
        f"FROM staged WHERE {kept} GROUP BY video_id ON CONFLICT DO NOTHING",
        [at],
    )
    db.execute(
        "INSERT INTO clips (clip_id, video_id, start_ms, end_ms, label, split, added_at) "
        f"SELECT clip_id, video_id, start_ms, end_ms, label, split, ? FROM staged WHERE {kept} "
        "ORDER BY clip_id ON CONFLICT DO NOTHING",
        [at],
    )
    db.execute(
        "INSERT INTO classes (name, object_size, scene) "
        "SELECT name, object_size, scene FROM staged_classes WHERE true "
        "ON CONFLICT (name) DO UPDATE SET object_size = coalesce(object_size, "
        "excluded.object_size), scene = coalesce(scene, excluded.scene)"
    )
