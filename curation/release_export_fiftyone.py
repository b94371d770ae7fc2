"""FiftyOne's temporal detections: media, and labels with their time.

The form of ``fiftyone.types.FiftyOneTemporalDetectionDataset``, by its documentation.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mimecurate.curation.release_export_media import absent_notice, place, present_clips

if TYPE_CHECKING:
    from pathlib import Path

    from mimecurate.curation.release_edition import Edition

_ATTRIBUTES = ("split", "mime_artist", "object_relevant", "scene_relevant", "video_id")


def write_fiftyone(edition: Edition, out: Path) -> list[str]:
    """Write ``data/CLIP.mp4`` and ``labels.json`` for the clips that are present.

    Each clip has one detection, from its first frame to its last; flags are its attributes.

    Raises:
        MimecurateError: no clip is present.
    """
    present = present_clips(edition)
    classes = [released.name for released in edition.release.classes]
    labels: dict[str, list[dict[str, Any]]] = {}
    for clip in present:
        place(edition.media[clip.clip_id].path, out / "data" / f"{clip.clip_id}.mp4")
        attributes = {name: getattr(clip, name) for name in _ATTRIBUTES}
        labels[clip.clip_id] = [
            {
                "label": classes.index(clip.label),
                "support": [1, edition.media[clip.clip_id].frames],
                "timestamps": [0.0, (clip.end_ms - clip.start_ms) / 1000],
                "attributes": {name: value for name, value in attributes.items() if value},
            }
        ]
    document = {"classes": classes, "labels": labels}
    text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    (out / "labels.json").write_text(text, "utf-8", newline="\n")
    return absent_notice(edition, len(present))
