"""Small released lists for tests, and workspaces that hold them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mimecurate.curation.release_freeze import Header, freeze, staged_contents
from mimecurate.curation.release_stage import (
    open_stage,
    stage_classes,
    stage_clip,
    writing,
)
from mimecurate.schemas.ids import clip_id, youtube_url
from mimecurate.schemas.release import Flag, ObjectSize, ReleasedClass, ReleasedClip
from mimecurate.schemas.versions import parse_reference

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from sqlite_utils import Database

YES, NO, UNSURE = Flag.YES, Flag.NO, Flag.UNSURE

CLASSES = (
    ReleasedClass("archery", ObjectSize.LARGE, True),
    ReleasedClass("drinking", ObjectSize.SMALL, False),
    ReleasedClass("punching person (boxing)", ObjectSize.SMALL, True),
)


def clip(
    video: str = "vid-0000001",
    start_s: float = 1,
    end_s: float = 4,
    label: str = "archery",
    split: str = "test",
    flags: tuple[Flag | None, Flag | None, Flag | None] = (NO, NO, NO),
) -> ReleasedClip:
    """Make a clip of a YouTube video."""
    start_ms, end_ms = round(start_s * 1000), round(end_s * 1000)
    name = clip_id(video, start_ms, end_ms)
    return ReleasedClip(name, video, start_ms, end_ms, label, split, *flags, url=youtube_url(video))


CLIPS = (
    clip(flags=(YES, NO, NO)),
    clip("vid-0000001", 4, 9, "drinking", flags=(YES, YES, YES)),
    clip("-id-0000002", 0, 1, "drinking", flags=(NO, NO, UNSURE)),
    clip("=abc_000003".replace("=", "_"), 2.5, 12.5, "punching person (boxing)"),
)
"""Four clips of three videos; a video with two labels, an id that begins with ``-``."""


def release(
    db: Database,
    ref: str,
    clips: Iterable[ReleasedClip] = CLIPS,
    classes: Iterable[ReleasedClass] = CLASSES,
    parent: str | None = None,
) -> str:
    """Freeze clips as ``NAME@VERSION`` without any check, and return the digest."""
    name, version = parse_reference(ref)
    open_stage(db)
    with db.atomic():
        stage_classes(db, classes)
        for one in clips:
            assert stage_clip(db, one) is None
    contents = staged_contents(db)
    with writing(db):
        db.execute(
            "INSERT INTO videos (video_id, url, added_at) SELECT DISTINCT video_id, url, 'x' "
            "FROM staged WHERE true ON CONFLICT DO NOTHING"
        )
        db.execute(
            "INSERT INTO clips (clip_id, video_id, start_ms, end_ms, label, split, added_at) "
            "SELECT clip_id, video_id, start_ms, end_ms, label, split, 'x' FROM staged WHERE true "
            "ON CONFLICT DO NOTHING"
        )
        freeze(db, Header(name, version, "2026-01-02T03:04:05Z", "test", parent), contents)
    return contents.digest


def kinetics_csv(path: Path, rows: Iterable[str], header: str = "") -> Path:
    """Write a list in the form of Kinetics."""
    header = header or "label,youtube_id,time_start,time_end,split"
    path.write_text("\n".join([header, *rows, ""]), "utf-8")
    return path
