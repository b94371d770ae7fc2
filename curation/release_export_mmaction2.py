"""MMAction2's lists for ``VideoDataset``: a path and the number of its class per line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mimecurate.curation.release_export_media import absent_notice, place, present_clips
from mimecurate.curation.release_export_tables import by_split

if TYPE_CHECKING:
    from pathlib import Path

    from mimecurate.curation.release_edition import Edition


def write_mmaction2(edition: Edition, out: Path) -> list[str]:
    """Write ``SPLIT.txt``, ``label_map.txt`` and ``videos/CLIP.mp4`` for the clips present.

    Paths are relative to the folder (``data_prefix``); they are made of clip ids, so no class name
    with a blank is in them. Classes are numbered by their line in ``label_map.txt``, from 0.

    Raises:
        MimecurateError: no clip is present.
    """
    present = present_clips(edition)
    numbers = {released.name: n for n, released in enumerate(edition.release.classes)}
    (out / "label_map.txt").write_text("".join(f"{n}\n" for n in numbers), "utf-8", newline="\n")
    for split, clips in by_split(tuple(present)).items():
        lines = []
        for clip in clips:
            path = f"videos/{clip.clip_id}.mp4"
            place(edition.media[clip.clip_id].path, out / path)
            lines.append(f"{path} {numbers[clip.label]}\n")
        (out / f"{split}.txt").write_text("".join(lines), "utf-8", newline="\n")
    return absent_notice(edition, len(present))
