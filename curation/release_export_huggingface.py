"""Hugging Face's VideoFolder: media with a metadata file beside them, a folder per split."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mimecurate.curation.release_export_media import absent_notice, place, present_clips
from mimecurate.curation.release_export_tables import about, by_split, write_clips_parquet

if TYPE_CHECKING:
    from pathlib import Path

    from mimecurate.curation.release_edition import Edition
    from mimecurate.schemas.release import ReleasedClip


def write_huggingface(edition: Edition, out: Path) -> list[str]:
    """Write ``SPLIT/CLIP.mp4`` and ``SPLIT/metadata.parquet`` for the clips that are present.

    ``load_dataset("videofolder", data_dir=…)`` reads it. Parquet, because in a split without any
    flag the reader can't tell from JSON what kind of column that is.

    Raises:
        MimecurateError: no clip is present.
    """
    present = present_clips(edition)
    for split, clips in by_split(tuple(present)).items():
        folder = out / split
        folder.mkdir()
        for clip in clips:
            place(edition.media[clip.clip_id].path, folder / _file_name(clip))
        path = folder / "metadata.parquet"
        write_clips_parquet(path, clips, about(edition), {"file_name": _file_name})
    return absent_notice(edition, len(present))


def _file_name(clip: ReleasedClip) -> str:
    return f"{clip.clip_id}.mp4"
