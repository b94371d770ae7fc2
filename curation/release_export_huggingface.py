"""Hugging Face's VideoFolder: media with a metadata file beside them, a folder per split."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from mimecurate.curation.release_export_media import absent_notice, place, present_clips
from mimecurate.curation.release_export_tables import by_split, clip_record

if TYPE_CHECKING:
    from pathlib import Path

    from mimecurate.curation.release_edition import Edition


def write_huggingface(edition: Edition, out: Path) -> list[str]:
    """Write ``SPLIT/CLIP.mp4`` and ``SPLIT/metadata.jsonl`` for the clips that are present.

    ``load_dataset("videofolder", data_dir=…)`` reads it.

    Raises:
        MimecurateError: no clip is present.
    """
    present = present_clips(edition)
    for split, clips in by_split(tuple(present)).items():
        folder = out / split
        folder.mkdir()
        with (folder / "metadata.jsonl").open("w", encoding="utf-8", newline="") as stream:
            for clip in clips:
                name = f"{clip.clip_id}.mp4"
                place(edition.media[clip.clip_id].path, folder / name)
                record = {"file_name": name} | clip_record(clip)
                stream.write(json.dumps(record, ensure_ascii=False) + "\n")
    return absent_notice(edition, len(present))
