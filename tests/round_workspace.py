"""Workspaces with real clips that a test's Label Studio can show."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from mimecurate.curation.fetch_record import pack_hashes
from mimecurate.curation.media_store import media_path
from mimecurate.curation.verify import verify_clip
from mimecurate.curation.workspace import Workspace, open_workspace
from mimecurate.schemas.database import now
from mimecurate.schemas.ids import clip_id

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

VIDEO = "vvvvvvvvvvv"
CLASSES = ("archery", "bowling", "juggling")


def clip_name(number: int) -> str:
    """Return the id of the clip ``number`` of `make_workspace`."""
    return clip_id(VIDEO, number * 1000, number * 1000 + 1000)


def make_workspace(root: Path, media: Path, count: int, first: int = 0) -> Workspace:
    """Make a workspace with so many fetched clips, all of which show the same file.

    Args:
        root: its folder; a workspace that is there gets more clips.
        media: the file; it is linked, not copied.
        count: how many clips.
        first: the number of the first.
    """
    workspace = open_workspace(root)
    facts = verify_clip(media)
    with workspace.db.atomic():
        workspace.db.table("classes").insert_all([{"name": name} for name in CLASSES], ignore=True)
        workspace.db.table("videos").insert(
            {"video_id": VIDEO, "url": f"https://youtu.be/{VIDEO}", "added_at": now()}, ignore=True
        )
        for number in range(first, first + count):
            name = clip_name(number)
            path = media_path(name)
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            os.link(media, root / path)
            workspace.db.table("clips").insert(
                {
                    "clip_id": name,
                    "video_id": VIDEO,
                    "start_ms": number * 1000,
                    "end_ms": number * 1000 + 1000,
                    "label": CLASSES[number % len(CLASSES)],
                    "added_at": now(),
                }
            )
            workspace.db.table("media").insert(
                {
                    "clip_id": name,
                    "path": path.as_posix(),
                    "sha256": facts.sha256,
                    "bytes": facts.bytes,
                    "duration_ms": facts.duration_ms,
                    "width": facts.width,
                    "height": facts.height,
                    "fps": facts.fps,
                    "frames": facts.frames,
                    "video_codec": facts.video_codec,
                    "cut": "smart",
                    "start_ms": number * 1000,
                    "frame_hashes": pack_hashes(facts.frame_hashes),
                    "fetched_at": now(),
                    "verified_at": now(),
                }
            )
    return workspace


def decide(workspace: Workspace, numbers: Sequence[int], verdict: str = "yes") -> None:
    """Decide clips of `make_workspace`."""
    with workspace.db.atomic():
        workspace.db.table("decisions").insert_all(
            {
                "clip_id": clip_name(number),
                "verdict": verdict,
                "label": CLASSES[number % len(CLASSES)],
                "method": "adjudicated",
                "decided_by": "lead",
                "decided_at": now(),
            }
            for number in numbers
        )
