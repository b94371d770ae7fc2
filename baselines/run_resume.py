"""Go on from a finished prediction file: its clips are not scored again."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

from mimecurate.baselines.run_journal import JournalFile, JournalRows, different
from mimecurate.errors import MimecurateError
from mimecurate.evaluation.prediction_manifest import MANIFEST_KEY, manifest_path
from mimecurate.evaluation.predictions import load_predictions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


def check_finished(out: Path, settings: Mapping[str, Any]) -> None:
    """Make sure that a file that is there was made with the same settings.

    Raises:
        MimecurateError: it wasn't, or it is another's.
    """
    kept = raw_manifest(out).get("settings")
    if not isinstance(kept, dict):
        raise MimecurateError(f"{out} is there and not from `baseline run`; write elsewhere")
    if words := different(kept, settings):
        raise MimecurateError(
            f"{out} is there, from other settings: {words}; remove it, or write elsewhere"
        )


def take_over(out: Path, folder: Path, class_names: Sequence[str]) -> int:
    """Put the rows of a finished file into the journal, unless they are there.

    Returns:
        How many the file has.

    Raises:
        MimecurateError: it can't be read.
    """
    found = load_predictions(out)
    if found.class_names != tuple(class_names):
        raise MimecurateError(f"{out} is there, with other classes; remove it, or write elsewhere")
    known = set(JournalRows(folder, len(class_names)).clip_ids)
    with JournalFile(folder, 0) as journal:
        for clip_id, scores in zip(found.clip_ids, found.scores, strict=True):
            if clip_id not in known:
                journal.add(clip_id, scores.astype("<f4"))
        journal.flush()
    return len(found.clip_ids)


def finished_clips(out: Path, folder: Path) -> set[str]:
    """Name the clips that have scores already, in the file or in the journal beside it."""
    names = set(load_predictions(out).clip_ids) if out.exists() else set()
    if folder.is_dir():
        names |= set(JournalRows(folder, None).clip_ids)
    return names


def remove_journal(folder: Path) -> None:
    """Remove what a finished file makes superfluous."""
    shutil.rmtree(folder, ignore_errors=True)


def raw_manifest(out: Path) -> dict[str, Any]:
    """Read the manifest of a file as it is.

    Raises:
        MimecurateError: it has none.
    """
    try:
        if out.suffix == ".parquet":
            import pyarrow.parquet as pq

            text = (pq.read_schema(out).metadata or {}).get(MANIFEST_KEY.encode(), b"{}")
        else:
            text = manifest_path(out).read_bytes()
        document = json.loads(text)
    except (OSError, ValueError) as error:
        raise MimecurateError(
            f"{out} is there and not from `baseline run`; write elsewhere"
        ) from error
    return document if isinstance(document, dict) else {}
