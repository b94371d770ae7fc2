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


def decide(db: Database, clip: ReleasedClip, verdict: str = "yes", **fields: object) -> None:
    """Record a decision on a clip, which becomes known to the workspace as it does when fetched."""
    know(db, clip)
    row = {
        "clip_id": clip.clip_id,
        "verdict": verdict,
        "label": clip.label,
        "mime_artist": clip.mime_artist,
        "object_relevant": clip.object_relevant,
        "scene_relevant": clip.scene_relevant,
        "method": "adjudicated",
        "decided_by": "ann",
        "decided_at": "2026-01-01T00:00:00Z",
    } | fields
    db.table("decisions").insert(row)


def annotate(db: Database, clip: ReleasedClip, annotator: str, **fields: object) -> None:
    """Record what one person said of a clip."""
    know(db, clip)
    row = {"clip_id": clip.clip_id, "annotator": annotator, "at": "2026-01-01T00:00:00Z"}
    db.table("annotations").insert(row | {"verdict": "yes"} | fields)


def know(db: Database, clip: ReleasedClip, *, fetched: bool = True) -> None:
    """Make a video and its clip known to the workspace, with media that were verified."""
    db.execute(
        "INSERT INTO videos (video_id, url, title, added_at) VALUES (?, ?, ?, 'x') "
        "ON CONFLICT DO NOTHING",
        [clip.video_id, clip.url, f"The title of {clip.video_id}"],
    )
    db.execute(
        "INSERT INTO clips (clip_id, video_id, start_ms, end_ms, label, split, added_at) "
        "VALUES (?, ?, ?, ?, ?, ?, 'x') ON CONFLICT DO NOTHING",
        [clip.clip_id, clip.video_id, clip.start_ms, clip.end_ms, clip.label, clip.split],
    )
    if fetched:
        path = f"clips/{clip.clip_id[:2]}/{clip.clip_id}.mp4"
        db.execute(
            "INSERT INTO media VALUES (?, ?, ?, 1, ?, 16, 16, 30.0, 30, 'h264', NULL, 'smart', 0, "
            "NULL, '', x'00', 'x', 'x') ON CONFLICT DO NOTHING",
            [clip.clip_id, path, "0" * 64, clip.end_ms - clip.start_ms],
        )


def know_classes(db: Database, classes: Iterable[ReleasedClass] = CLASSES) -> None:
    """Make classes known to the workspace."""
    for one in classes:
        db.execute(
            "INSERT INTO classes (name, object_size, scene) VALUES (?, ?, ?)",
            [one.name, one.object_size, one.scene],
        )
