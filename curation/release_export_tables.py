"""The tables of an export: CSV, JSON Lines and parquet of clips and classes."""

from __future__ import annotations

import csv
import hashlib
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from mimecurate.curation.release_bundle_read import (
    CLASS_COLUMNS,
    CLIP_COLUMNS,
    WITHDRAWN_COLUMNS,
)
from mimecurate.curation.release_csv import neutral_cell
from mimecurate.schemas.digest import row_hash
from mimecurate.schemas.times import format_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from mimecurate.curation.release_edition import Edition
    from mimecurate.schemas.release import ReleasedClip

RECORD_FIELDS = (
    "clip_id",
    "video_id",
    "url",
    "start_ms",
    "end_ms",
    "label",
    "split",
    "mime_artist",
    "object_relevant",
    "scene_relevant",
    "row_hash",
)
"""What JSON Lines and parquet hold of a clip."""
_BATCH = 50_000
_SCENES = {None: "", True: "yes", False: "no"}


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write CSV in UTF-8 with line feeds."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def write_clips_csv(path: Path, clips: Iterable[ReleasedClip]) -> None:
    """Write clips with the columns of Kinetics first; free text can't be taken for a formula."""
    write_csv(
        path,
        CLIP_COLUMNS,
        (
            (
                neutral_cell(clip.label),
                clip.video_id,
                format_seconds(clip.start_ms),
                format_seconds(clip.end_ms),
                clip.split,
                clip.clip_id,
                neutral_cell(clip.url or ""),
                clip.mime_artist or "",
                clip.object_relevant or "",
                clip.scene_relevant or "",
                row_hash(clip).hex(),
            )
            for clip in clips
        ),
    )


def write_classes_csv(path: Path, edition: Edition) -> None:
    """Write the classes with how many clips each has."""
    counts = Counter(clip.label for clip in edition.release.clips)
    write_csv(
        path,
        CLASS_COLUMNS,
        (
            (neutral_cell(c.name), c.object_size or "", _SCENES[c.scene], counts[c.name])
            for c in edition.release.classes
        ),
    )


def write_withdrawn_csv(path: Path, edition: Edition) -> None:
    """Write the clips whose contents are withheld."""
    write_csv(
        path,
        WITHDRAWN_COLUMNS,
        (
            (w.clip_id, w.split, w.row_hash.hex(), w.withdrawn_at, neutral_cell(w.reason))
            for w in edition.withdrawn
        ),
    )


def clip_record(clip: ReleasedClip) -> dict[str, Any]:
    """Return a clip as JSON Lines and parquet hold it; absent values are None."""
    record: dict[str, Any] = {name: getattr(clip, name) for name in RECORD_FIELDS[:-1]}
    return record | {"row_hash": row_hash(clip).hex()}


def write_jsonl(path: Path, clips: Iterable[ReleasedClip]) -> None:
    """Write a JSON object per line and clip."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        for clip in clips:
            stream.write(json.dumps(clip_record(clip), ensure_ascii=False) + "\n")


def write_clips_parquet(
    path: Path,
    clips: Iterable[ReleasedClip],
    about: dict[str, str],
    more: Mapping[str, Callable[[ReleasedClip], str]] | None = None,
) -> None:
    """Write clips as parquet.

    Args:
        path: the file.
        clips: its rows.
        about: becomes the file's metadata.
        more: text columns before the others, and what they hold of a clip.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    extra = dict(more or {})
    fields = [
        pa.field(name, pa.int64() if name.endswith("_ms") else pa.string())
        for name in (*extra, *RECORD_FIELDS)
    ]
    schema = pa.schema(fields, metadata=about)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in _batches(clips):
            rows = [{n: of(c) for n, of in extra.items()} | clip_record(c) for c in batch]
            writer.write_table(pa.Table.from_pylist(rows, schema))


def _batches(clips: Iterable[ReleasedClip]) -> Iterator[list[ReleasedClip]]:
    batch: list[ReleasedClip] = []
    for clip in clips:
        batch.append(clip)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def by_split(clips: tuple[ReleasedClip, ...]) -> dict[str, list[ReleasedClip]]:
    """Sort clips into splits, by the name of the split."""
    splits: dict[str, list[ReleasedClip]] = {}
    for clip in clips:
        splits.setdefault(clip.split, []).append(clip)
    return dict(sorted(splits.items()))


def about(edition: Edition) -> dict[str, str]:
    """Return what a single file of the release should say of where it belongs."""
    release = edition.release
    return {"name": release.name, "version": release.version, "digest": release.digest}


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
