"""The bundle: a release as a folder that needs no mimecurate to be used, and can be verified."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mimecurate.curation.release_bundle_files import MANIFEST
from mimecurate.curation.release_bundle_read import CLASSES, CLIPS, FORMAT_VERSION, WITHDRAWN
from mimecurate.curation.release_datasheet import datasheet
from mimecurate.curation.release_export_croissant import write_croissant
from mimecurate.curation.release_export_tables import (
    about,
    by_split,
    file_sha256,
    write_classes_csv,
    write_clips_csv,
    write_clips_parquet,
    write_jsonl,
    write_withdrawn_csv,
)
from mimecurate.curation.release_texts import changelog, citation_cff, license_text, readme
from mimecurate.schemas.subsets import subset_clip_ids

if TYPE_CHECKING:
    from pathlib import Path

    from mimecurate.curation.release_edition import Edition

CHECKSUMS = "SHA256SUMS"
JSONL = "clips.jsonl"
TEXTS = {
    "README.md": readme,
    "DATASHEET.md": datasheet,
    "CITATION.cff": citation_cff,
    "LICENSE": license_text,
    "CHANGELOG.md": changelog,
}


def write_bundle(edition: Edition, out: Path) -> list[str]:
    """Write every file of a bundle; docs/reference/bundle.md says what is in each."""
    release = edition.release
    write_clips_csv(out / CLIPS, release.clips)
    write_jsonl(out / JSONL, release.clips)
    write_classes_csv(out / CLASSES, edition)
    if edition.withdrawn:
        write_withdrawn_csv(out / WITHDRAWN, edition)
    (out / "data").mkdir()
    for split, clips in by_split(release.clips).items():
        write_clips_parquet(out / "data" / f"{split}.parquet", clips, about(edition))
        _write_ids(out / "splits" / f"{split}.txt", [clip.clip_id for clip in clips])
    for name, clip_ids in subset_clip_ids(release).items():
        _write_ids(out / "subsets" / f"{name}.txt", clip_ids)
    _write_json(out / MANIFEST, manifest(edition))
    for name, text_of in TEXTS.items():
        (out / name).write_text(text_of(edition), "utf-8", newline="\n")
    write_croissant(edition, out)
    write_checksums(out)
    return []


def manifest(edition: Edition) -> dict[str, Any]:
    """Return what ``release.json`` says."""
    release = edition.release
    return {
        "format": "mimecurate release",
        "format_version": FORMAT_VERSION,
        "name": release.name,
        "version": release.version,
        "digest": release.digest,
        "parent": release.parent,
        "created": release.created,
        "origin": edition.origin,
        "settings": edition.settings,
        "findings": edition.findings,
        "changes": edition.changes,
        "counts": edition.counts,
        "card": edition.card,
        "history": list(edition.history),
        "facts": edition.facts,
        "withdrawn_earlier": [asdict(clip) for clip in edition.withdrawn_earlier],
    }


def write_checksums(out: Path) -> None:
    """Write ``SHA256SUMS`` of every file, as ``sha256sum --check`` reads it."""
    lines = [
        f"{file_sha256(path)}  {path.relative_to(out).as_posix()}\n"
        for path in sorted(out.rglob("*"))
        if path.is_file()
    ]
    (out / CHECKSUMS).write_text("".join(lines), "utf-8", newline="\n")


def _write_ids(path: Path, clip_ids: list[str]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(f"{clip_id}\n" for clip_id in clip_ids), "utf-8", newline="\n")


def _write_json(path: Path, document: object) -> None:
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    path.write_text(text, "utf-8", newline="\n")
