"""Verify an exported release that somebody else made or changed: `mimecurate release check`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mimecurate.curation.release_bundle_files import (
    MANIFEST,
    BundleFiles,
    is_inside,
    open_bundle,
    stream_sha256,
)
from mimecurate.curation.release_bundle_read import (
    CLASSES,
    CLIPS,
    WITHDRAWN,
    read_classes,
    read_clips,
    read_manifest,
    read_withdrawn,
)
from mimecurate.curation.release_croissant_check import check_croissant
from mimecurate.curation.release_csv import plain_cell, read_csv
from mimecurate.curation.release_export_bundle import CHECKSUMS, JSONL, TEXTS
from mimecurate.curation.release_export_croissant import CROISSANT
from mimecurate.curation.release_export_tables import RECORD_FIELDS, by_split, clip_record
from mimecurate.curation.release_freeze import count_clips
from mimecurate.curation.release_problems import Problems
from mimecurate.curation.url_list_lines import read_lines
from mimecurate.errors import Problem
from mimecurate.schemas.digest import release_digest, row_hash
from mimecurate.schemas.release import Release, ReleasedClip
from mimecurate.schemas.subsets import subset_clip_ids

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from mimecurate.curation.release_bundle_read import Manifest, WithdrawnClip
    from mimecurate.schemas.release import ReleasedClass

_BATCH_ROWS = 10_000
_MAX_ROW_BYTES = 4_096
_MAX_NAMED = 20
_FILES = {CHECKSUMS, CLASSES, CLIPS, CROISSANT, JSONL, MANIFEST, WITHDRAWN, *TEXTS}


@dataclass(frozen=True, slots=True)
class CheckedBundle:
    """A bundle in which nothing is wrong."""

    reference: str
    digest: str
    clips: int
    withheld: int
    files: int
    not_checked: tuple[str, ...]
    """What could not be looked at, and why."""


def check_bundle(path: Path) -> CheckedBundle:
    """Verify checksums, rows, digest, counts, and that all files say the same.

    ``release.json``, ``clips.csv``, ``classes.csv`` and ``SHA256SUMS`` have to be there; the other
    files of a bundle are compared with them if they are.

    Args:
        path: the folder or .zip.

    Raises:
        InvalidInputError: something is wrong; everything is listed.
    """
    problems = Problems()
    with open_bundle(path) as bundle:
        _check_sums(bundle, problems)
        before = problems.count
        manifest = read_manifest(bundle, problems)
        classes = read_classes(bundle, problems)
        clips = sorted((clip for _, clip in read_clips(bundle, problems)), key=lambda c: c.clip_id)
        withdrawn = list(read_withdrawn(bundle, problems))
        rows_are_whole = problems.count == before
        _check_labels(clips, classes, problems)
        if manifest is not None and rows_are_whole:
            _check_release(manifest, clips, classes, withdrawn, problems)
        if rows_are_whole:
            _check_lists(bundle, clips, classes, problems)
            _check_jsonl(bundle, clips, problems)
            _check_parquet(bundle, clips, problems)
        counts = {"clips": len(clips), "classes": len(classes)} if rows_are_whole else None
        not_checked = [*check_croissant(bundle, counts, problems), *_strange_files(bundle)]
        files = len(bundle.sizes)
    problems.raise_if_any(str(path))
    assert manifest is not None
    return CheckedBundle(
        f"{manifest.name}@{manifest.version}",
        manifest.digest,
        len(clips),
        len(withdrawn),
        files,
        tuple(not_checked),
    )


def _strange_files(bundle: BundleFiles) -> list[str]:
    """Name the files that no release has; that their checksum is right says nothing."""
    strange = sorted(
        name
        for name in bundle.sizes
        if name not in _FILES and not name.startswith(("data/", "splits/", "subsets/"))
    )
    more = len(strange) - _MAX_NAMED
    return [
        *(f"{name[:120]!r} is no file of a release" for name in strange[:_MAX_NAMED]),
        *([f"and {more:,} more files"] if more > 0 else []),
    ]


def _check_sums(bundle: BundleFiles, problems: Problems) -> None:
    if CHECKSUMS not in bundle.sizes:
        problems.add(Problem("is missing"), file=CHECKSUMS)
        return
    listed: set[str] = set()
    with bundle.open(CHECKSUMS) as stream:
        for item in read_lines(stream):
            if isinstance(item, Problem):
                problems.add(item, file=CHECKSUMS)
                continue
            line, text = item
            wanted, _, name = text.partition("  ")
            message = _sum_problem(bundle, wanted, name)
            if message:
                problems.add(Problem(message, line), file=CHECKSUMS)
            listed.add(name)
    for name in sorted(bundle.sizes.keys() - listed - {CHECKSUMS}):
        problems.add(Problem("is not in SHA256SUMS"), file=name)


def _sum_problem(bundle: BundleFiles, wanted: str, name: str) -> str:
    shown = repr(name[:120])
    if len(wanted) != 64 or not name:
        return "must be a SHA-256, two blanks and a file"
    if not is_inside(name):
        return f"{shown} is outside the bundle"
    if name not in bundle.sizes:
        return f"{shown} is missing"
    found = stream_sha256(bundle, name)
    return "" if found == wanted.lower() else f"{shown} was changed: its SHA-256 is {found}"


def _check_labels(
    clips: list[ReleasedClip], classes: list[ReleasedClass], problems: Problems
) -> None:
    for label in sorted({clip.label for clip in clips} - {c.name for c in classes}):
        problems.add(Problem(f"class {label!r} is not in {CLASSES}"), file=CLIPS)


def _check_release(
    manifest: Manifest,
    clips: list[ReleasedClip],
    classes: list[ReleasedClass],
    withdrawn: list[WithdrawnClip],
    problems: Problems,
) -> None:
    entries = [(c.clip_id, row_hash(c), c.split) for c in clips]
    entries += [(w.clip_id, w.row_hash, w.split) for w in withdrawn]
    try:
        digest = release_digest(classes, sorted(entries))
    except ValueError as error:
        problems.add(Problem(f"listed twice: {error}"))
        return
    if digest != manifest.digest:
        problems.add(Problem(f"the digest is {digest}, and release.json says {manifest.digest}"))
    counts = count_clips(clips, classes, [w.split for w in withdrawn])
    for key, value in counts.items():
        if manifest.counts.get(key) != value:
            text = f"counts: {key} is {_short(manifest.counts.get(key))}, and {_short(value)} found"
            problems.add(Problem(text), file="release.json")


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def _check_lists(
    bundle: BundleFiles,
    clips: list[ReleasedClip],
    classes: list[ReleasedClass],
    problems: Problems,
) -> None:
    """Compare ``subsets/``, ``splits/`` and the counts of classes with the clips."""
    release = Release("", "", "", tuple(clips), tuple(classes))
    wanted: dict[str, Sequence[str]] = {
        f"subsets/{name}.txt": clip_ids for name, clip_ids in subset_clip_ids(release).items()
    }
    for split, members in by_split(tuple(clips)).items():
        wanted[f"splits/{split}.txt"] = [clip.clip_id for clip in members]
    for name in sorted(bundle.sizes):
        if not name.startswith(("subsets/", "splits/")):
            continue
        if name not in wanted:
            problems.add(Problem("belongs to no split or subset"), file=name)
        else:
            with bundle.open(name) as stream:
                _compare(read_lines(stream), wanted[name], name, problems)
    per_class = count_clips(clips, classes)["per_class"]
    with bundle.open(CLASSES) as stream:
        for line, row in read_csv(stream, ("name", "clips"), CLASSES, Problems()):
            name = plain_cell(row["name"])
            if row["clips"] != str(per_class[name]):
                text = f"clips is {row['clips'][:20]!r}, and {per_class[name]} found"
                problems.add(Problem(text, line), file=CLASSES)


def _check_jsonl(bundle: BundleFiles, clips: list[ReleasedClip], problems: Problems) -> None:
    if JSONL not in bundle.sizes:
        return

    def records() -> Iterator[tuple[int, object] | Problem]:
        with bundle.open(JSONL) as stream:
            for item in read_lines(stream):
                if isinstance(item, Problem):
                    yield item
                    continue
                try:
                    yield item[0], json.loads(item[1])
                except (ValueError, RecursionError) as error:
                    yield Problem(f"not JSON: {str(error)[:80]}", item[0])

    _compare(records(), [clip_record(clip) for clip in clips], JSONL, problems)


def _compare(
    found: Iterable[tuple[int, Any] | Problem],
    wanted: Sequence[str | Mapping[str, object]],
    name: str,
    problems: Problems,
) -> None:
    """Compare lines with what they should be; of those that differ, the first is told."""
    number = 0
    for item in found:
        if isinstance(item, Problem):
            problems.add(item, file=name)
            return
        line, value = item
        if number >= len(wanted) or value != wanted[number]:
            problems.add(Problem("says something else than clips.csv", line), file=name)
            return
        number += 1
    if number < len(wanted):
        text = f"has {number:,} lines, and {len(wanted):,} are due"
        problems.add(Problem(text), file=name)


def _check_parquet(bundle: BundleFiles, clips: list[ReleasedClip], problems: Problems) -> None:
    by_name = {f"data/{s}.parquet": members for s, members in by_split(tuple(clips)).items()}
    for name in sorted(bundle.sizes):
        if not name.startswith("data/"):
            continue
        if name not in by_name:
            problems.add(Problem("belongs to no split"), file=name)
            continue
        message = _parquet_problem(bundle, name, by_name[name])
        if message:
            problems.add(Problem(message), file=name)


def _parquet_problem(bundle: BundleFiles, name: str, clips: list[ReleasedClip]) -> str:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with bundle.open(name) as stream:
        try:
            file = pq.ParquetFile(stream)
            if file.metadata.num_rows != len(clips):
                return f"has {file.metadata.num_rows:,} rows, and {len(clips):,} are due"
            groups = range(file.metadata.num_row_groups)
            unpacked = sum(file.metadata.row_group(n).total_byte_size for n in groups)
            if unpacked > _MAX_ROW_BYTES * (len(clips) + 100):
                return f"unpacks to {unpacked:,} bytes, too much for {len(clips):,} clips"
            if missing := set(RECORD_FIELDS) - set(file.schema_arrow.names):
                return f"has no column {', '.join(sorted(missing))}"
            row = 0
            for batch in file.iter_batches(_BATCH_ROWS, columns=list(RECORD_FIELDS)):
                for record in batch.to_pylist():
                    if record != clip_record(clips[row]):
                        return f"row {row + 1} says something else than clips.csv"
                    row += 1
        except (pa.ArrowException, OSError, ValueError) as error:
            return f"not parquet: {str(error)[:120]}"
    return ""
