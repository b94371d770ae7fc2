"""Freeze what is staged as ``NAME@VERSION``."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mimecurate import __version__
from mimecurate.errors import MimecurateError
from mimecurate.schemas.digest import release_digest
from mimecurate.schemas.release import Flag, ObjectSize, ReleasedClass, ReleasedClip
from mimecurate.schemas.subsets import SUBSETS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlite_utils import Database

    from mimecurate.schemas.versions import Version


class ReleaseExistsError(MimecurateError):
    """A release has that name and version already, with other contents."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a release says of itself beside its clips."""

    name: str
    version: Version
    created_at: str
    origin: str
    """From what it was made, e.g. ``import kinetics`` or ``decisions``."""
    parent: str | None = None
    """``NAME@VERSION`` of the release before."""
    settings: Mapping[str, object] = field(default_factory=dict)
    """How it was made, e.g. the filter."""
    findings: Mapping[str, int] = field(default_factory=dict)
    """What the checks found and somebody accepted: check and number of cases."""
    changes: Mapping[str, int] = field(default_factory=dict)
    """How many clips and classes differ from the parent."""
    card: Mapping[str, object] = field(default_factory=dict)
    """Title, authors, licence and the like; see docs/reference/bundle.md."""

    @property
    def reference(self) -> str:
        """``NAME@VERSION``."""
        return f"{self.name}@{self.version}"


@dataclass(frozen=True, slots=True)
class Contents:
    """What is staged, in short; made before the write lock is taken."""

    digest: str
    counts: Mapping[str, object]


def staged_contents(db: Database) -> Contents:
    """Sum up what is staged."""
    return Contents(staged_digest(db), staged_counts(db))


def is_frozen(db: Database, header: Header, digest: str) -> bool:
    """Say whether this very release is there already.

    Raises:
        ReleaseExistsError: its name and version are taken by other contents.
    """
    there = db.execute(
        "SELECT digest FROM releases WHERE name = ? AND version = ?",
        [header.name, str(header.version)],
    ).fetchone()
    if there is not None and there[0] != digest:
        raise ReleaseExistsError(
            f"{header.reference} is frozen with the digest {there[0][:12]}…, and this is "
            f"{digest[:12]}…; choose another version"
        )
    return there is not None


def freeze(db: Database, header: Header, contents: Contents) -> None:
    """Freeze what is staged. To be called in a transaction, with `is_frozen` asked in it."""
    release_id = db.execute("SELECT coalesce(max(release_id), 0) + 1 FROM releases").fetchone()[0]
    db.execute(
        "INSERT INTO release_rows SELECT clip_id, row_hash, video_id, start_ms, end_ms, label, "
        "mime_artist, object_relevant, scene_relevant FROM staged WHERE video_id IS NOT NULL "
        "AND clip_id NOT IN (SELECT clip_id FROM withdrawals) "
        "AND NOT EXISTS (SELECT 1 FROM release_rows AS row "
        "WHERE row.clip_id = staged.clip_id AND row.row_hash = staged.row_hash) ORDER BY clip_id"
    )
    db.execute(
        "INSERT INTO release_clips SELECT ?, clip_id, row_hash, split FROM staged ORDER BY clip_id",
        [release_id],
    )
    db.execute(
        "INSERT INTO release_classes SELECT ?, name, object_size, scene FROM staged_classes",
        [release_id],
    )
    name, version = header.name, header.version
    db.table("releases").insert(
        {
            "release_id": release_id,
            "name": name,
            "version": str(version),
            "major": version.major,
            "minor": version.minor,
            "patch": version.patch,
            "digest": contents.digest,
            "parent": header.parent,
            "created_at": header.created_at,
            "origin": header.origin,
            "settings": json.dumps(dict(header.settings)),
            "findings": json.dumps(dict(header.findings)),
            "changes": json.dumps(dict(header.changes)),
            "counts": json.dumps(contents.counts),
            "card": json.dumps(dict(header.card)),
            "made_by": f"mimecurate {__version__}",
        }
    )


def staged_digest(db: Database) -> str:
    """Return the digest that the staged release has."""
    return release_digest(
        staged_classes(db),
        db.execute("SELECT clip_id, row_hash, split FROM staged ORDER BY clip_id"),
    )


def staged_classes(db: Database) -> list[ReleasedClass]:
    """List the staged classes, sorted by name."""
    rows = db.execute("SELECT name, object_size, scene FROM staged_classes ORDER BY name")
    return [released_class(*row) for row in rows]


def staged_counts(db: Database) -> dict[str, Any]:
    """Count what is staged, as ``release show`` prints it.

    Withheld clips are counted in ``clips`` and ``splits``; of their class and flags nobody knows.
    """
    groups = db.execute(
        "SELECT label, split, mime_artist, object_relevant, scene_relevant, count(*) "
        "FROM staged GROUP BY 1, 2, 3, 4, 5"
    ).fetchall()
    videos = db.execute("SELECT count(DISTINCT video_id) FROM staged").fetchone()[0]
    return _counts(groups, staged_classes(db), videos)


def count_clips(
    clips: Iterable[ReleasedClip], classes: Iterable[ReleasedClass], withheld: Iterable[str] = ()
) -> dict[str, Any]:
    """Count clips as `staged_counts` does.

    Args:
        clips: the clips whose contents are known.
        classes: the release's classes.
        withheld: the split of each clip whose contents are withheld.
    """
    videos: set[str] = set()
    groups: Counter[tuple[str | None, ...]] = Counter((None, split) for split in withheld)
    for clip in clips:
        videos.add(clip.video_id)
        flags = clip.mime_artist, clip.object_relevant, clip.scene_relevant
        groups[clip.label, clip.split, *flags] += 1
    return _counts(((*key, number) for key, number in groups.items()), classes, len(videos))


def _counts(
    groups: Iterable[tuple[Any, ...]], classes: Iterable[ReleasedClass], videos: int
) -> dict[str, Any]:
    sizes = {c.name: c.object_size for c in classes}
    splits: dict[str, int] = {}
    per_class = dict.fromkeys(sorted(sizes), 0)
    subsets = dict.fromkeys(SUBSETS, 0)
    clips = 0
    for label, split, *flags, number in groups:
        clips += number
        splits[split] = splits.get(split, 0) + number
        if label is None:
            continue
        per_class[label] = per_class.get(label, 0) + number
        example = ReleasedClip("", "", 0, 1, label, split, *map(released_flag, flags))
        for name, holds in SUBSETS.items():
            if holds(example, sizes.get(label)):
                subsets[name] += number
    return {
        "clips": clips,
        "videos": videos,
        "classes": len(sizes),
        "splits": dict(sorted(splits.items())),
        "subsets": subsets,
        "per_class": per_class,
    }


_FLAGS: dict[str | None, Flag | None] = {None: None, **{str(flag): flag for flag in Flag}}
_SIZES: dict[str | None, ObjectSize | None] = {
    None: None,
    **{str(size): size for size in ObjectSize},
}
_SCENES = {None: None, 0: False, 1: True}


def released_flag(value: str | None) -> Flag | None:
    """Turn a flag of the database into the record's."""
    return _FLAGS[value]


def released_class(name: str, object_size: str | None, scene: int | None) -> ReleasedClass:
    """Turn a class of the database into the record."""
    return ReleasedClass(name, _SIZES[object_size], _SCENES[scene])
