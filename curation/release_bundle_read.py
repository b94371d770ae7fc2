"""Read an exported release back: manifest, classes, clips, and the clips that were withdrawn."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from mimecurate.curation.release_bundle_files import MANIFEST
from mimecurate.curation.release_bundle_json import (
    checked_facts,
    checked_history,
    counts_of,
    digest_of,
    line_of,
    objects_of,
    read_json,
    time_of,
)
from mimecurate.curation.release_cards import Card, checked_card
from mimecurate.curation.release_csv import plain_cell, read_csv
from mimecurate.errors import Problem
from mimecurate.schemas.digest import row_hash
from mimecurate.schemas.ids import check_video_id, clip_id
from mimecurate.schemas.release import (
    Flag,
    ObjectSize,
    ReleasedClass,
    ReleasedClip,
    check_class_name,
    check_reason,
    check_split,
)
from mimecurate.schemas.times import parse_time_ms
from mimecurate.schemas.versions import Version, check_name, parse_reference, parse_version

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mimecurate.curation.release_bundle_files import BundleFiles
    from mimecurate.curation.release_problems import Problems

T = TypeVar("T")

FORMAT_VERSION = 1
CLIPS, CLASSES, WITHDRAWN = "clips.csv", "classes.csv", "withdrawn.csv"
CLIP_COLUMNS = (
    "label",
    "youtube_id",
    "time_start",
    "time_end",
    "split",
    "clip_id",
    "url",
    "mime_artist",
    "object_relevant",
    "scene_relevant",
    "row_hash",
)
CLASS_COLUMNS = ("name", "object_size", "scene", "clips")
WITHDRAWN_COLUMNS = ("clip_id", "split", "row_hash", "withdrawn_at", "reason")
_CLIP_ID = re.compile(r"(?!\.)[A-Za-z0-9_.-]{1,80}(_\d{6,9}(\.\d{3})?){2}", re.ASCII)
_FLAGS = {"": None, **{str(flag): flag for flag in Flag}}
_SIZES = {"": None, **{str(size): size for size in ObjectSize}}
_SCENES = {"": None, "yes": True, "no": False}


@dataclass(frozen=True, slots=True)
class Manifest:
    """What ``release.json`` says."""

    name: str
    version: Version
    digest: str
    created_at: str
    parent: str | None
    origin: str
    settings: Mapping[str, object]
    findings: Mapping[str, int]
    changes: Mapping[str, int]
    counts: Mapping[str, object]
    card: Card
    history: Sequence[Mapping[str, object]]
    facts: Mapping[str, object]
    withdrawn_earlier: Sequence[Tombstone] = ()
    """Clips that only earlier versions list, withdrawn since."""


@dataclass(frozen=True, slots=True)
class Tombstone:
    """That a clip was withdrawn, when and why."""

    clip_id: str
    withdrawn_at: str
    reason: str


@dataclass(frozen=True, slots=True)
class WithdrawnClip:
    """A clip of the release whose contents are withheld."""

    clip_id: str
    split: str
    row_hash: bytes
    withdrawn_at: str
    reason: str


def read_manifest(bundle: BundleFiles, problems: Problems) -> Manifest | None:
    """Read ``release.json``; None if it is of no use."""
    if MANIFEST not in bundle.sizes:
        problems.add(Problem("is missing; this is no exported release"), file=MANIFEST)
        return None
    document = read_json(bundle, MANIFEST, problems)
    try:
        return None if document is None else _manifest(document)
    except (ValueError, KeyError, TypeError) as error:
        text = f"has no {error}" if isinstance(error, KeyError) else str(error)
        problems.add(Problem(text), file=MANIFEST)
        return None


def _manifest(document: object) -> Manifest:
    if not isinstance(document, dict):
        raise TypeError("must be a JSON object")
    fields: dict[str, Any] = document
    if fields["format"] != "mimecurate release":
        raise ValueError(f"format {str(fields['format'])[:40]!r} is not 'mimecurate release'")
    if fields["format_version"] != FORMAT_VERSION:
        raise ValueError(
            f"format_version {str(fields['format_version'])[:20]} is not {FORMAT_VERSION}; "
            "a later mimecurate may read it"
        )
    for key in ("settings", "findings", "changes", "counts", "card"):
        if not isinstance(fields[key], dict):
            raise TypeError(f"{key} must be an object")
    parent = fields["parent"]
    return Manifest(
        check_name(line_of(fields, "name")),
        parse_version(line_of(fields, "version")),
        digest_of(fields),
        time_of(fields, "created"),
        None if parent is None else _reference(line_of(fields, "parent")),
        line_of(fields, "origin", 200),
        fields["settings"],
        counts_of(fields["findings"], "findings"),
        counts_of(fields["changes"], "changes"),
        fields["counts"],
        checked_card(fields["card"], "card"),
        checked_history(fields["history"]),
        checked_facts(fields["facts"]),
        _tombstones(fields.get("withdrawn_earlier", [])),
    )


def _reference(text: str) -> str:
    name, version = parse_reference(text)
    return f"{name}@{version}"


def _tombstones(entries: object) -> list[Tombstone]:
    return [
        Tombstone(
            _clip_id(line_of(entry, "clip_id", 120)),
            time_of(entry, "withdrawn_at"),
            check_reason(line_of(entry, "reason", 500)),
        )
        for entry in objects_of(entries, "withdrawn_earlier")
    ]


def read_classes(bundle: BundleFiles, problems: Problems) -> list[ReleasedClass]:
    """Read ``classes.csv``, sorted by name."""
    classes: dict[str, ReleasedClass] = {}
    for line, row in _rows(bundle, CLASSES, CLASS_COLUMNS, problems):
        try:
            name = check_class_name(plain_cell(row["name"]))
            size = _one_of(row, "object_size", _SIZES)
            scene = _one_of(row, "scene", _SCENES)
            if name in classes:
                raise ValueError(f"class {name!r} is there twice")
            classes[name] = ReleasedClass(name, size, scene)
        except ValueError as error:
            problems.add(Problem(str(error), line), file=CLASSES)
    return sorted(classes.values(), key=lambda c: c.name)


def read_clips(bundle: BundleFiles, problems: Problems) -> Iterator[tuple[int, ReleasedClip]]:
    """Read ``clips.csv`` in its order, and compare every row with its hash."""
    for line, row in _rows(bundle, CLIPS, CLIP_COLUMNS, problems):
        try:
            yield line, _clip(row)
        except ValueError as error:
            problems.add(Problem(str(error), line), file=CLIPS)


def read_withdrawn(bundle: BundleFiles, problems: Problems) -> Iterator[WithdrawnClip]:
    """Read ``withdrawn.csv``, if it is there."""
    if WITHDRAWN not in bundle.sizes:
        return
    for line, row in _rows(bundle, WITHDRAWN, WITHDRAWN_COLUMNS, problems):
        try:
            yield WithdrawnClip(
                _clip_id(row["clip_id"]),
                check_split(row["split"]),
                _hash(row["row_hash"]),
                time_of(row, "withdrawn_at"),
                check_reason(plain_cell(row["reason"])),
            )
        except (ValueError, TypeError) as error:
            problems.add(Problem(str(error), line), file=WITHDRAWN)


def _rows(
    bundle: BundleFiles, file: str, columns: tuple[str, ...], problems: Problems
) -> Iterator[tuple[int, dict[str, str]]]:
    if file not in bundle.sizes:
        problems.add(Problem("is missing"), file=file)
        return
    with bundle.open(file) as stream:
        yield from read_csv(stream, columns, file, problems)


def _clip(row: dict[str, str]) -> ReleasedClip:
    video_id = check_video_id(row["youtube_id"])
    start_ms, end_ms = parse_time_ms(row["time_start"]), parse_time_ms(row["time_end"])
    if end_ms <= start_ms:
        raise ValueError(f"time_end {row['time_end']} is not after time_start {row['time_start']}")
    named = clip_id(video_id, start_ms, end_ms)
    if row["clip_id"] != named:
        raise ValueError(f"clip_id {row['clip_id'][:120]!r} must be {named!r}")
    url = plain_cell(row["url"]) or None
    if url is not None and (not url.startswith(("http://", "https://")) or not url.isprintable()):
        raise ValueError(f"url {url[:80]!r} must be an http(s) link")
    clip = ReleasedClip(
        named,
        video_id,
        start_ms,
        end_ms,
        check_class_name(plain_cell(row["label"])),
        check_split(row["split"]),
        _one_of(row, "mime_artist", _FLAGS),
        _one_of(row, "object_relevant", _FLAGS),
        _one_of(row, "scene_relevant", _FLAGS),
        url,
    )
    if row_hash(clip) != _hash(row["row_hash"]):
        raise ValueError(f"clip {named}: the row was changed: its hash is {row_hash(clip).hex()}")
    return clip


def _clip_id(text: str) -> str:
    if _CLIP_ID.fullmatch(text) is None:
        raise ValueError(f"clip_id {text[:120]!r} must be VIDEO_START_END")
    return text


def _hash(text: str) -> bytes:
    try:
        value = bytes.fromhex(text)
    except ValueError as error:
        raise ValueError(f"row_hash {text[:80]!r} must be 64 hexadecimal digits") from error
    if len(value) != 32:
        raise ValueError(f"row_hash {text[:80]!r} must be 64 hexadecimal digits")
    return value


def _one_of(row: dict[str, str], column: str, values: Mapping[str, T]) -> T:
    try:
        return values[row[column]]
    except KeyError:
        allowed = ", ".join(filter(None, values))
        raise ValueError(
            f"{column} {row[column][:40]!r} must be one of {allowed}, or empty"
        ) from None
