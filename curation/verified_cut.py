"""Cut a clip and make sure of it."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import TYPE_CHECKING

from mimecurate.curation.cut import cut_clip
from mimecurate.curation.verify import verify_clip
from mimecurate.errors import ClipError, Reason

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mimecurate.curation.cut import Cut, CutMode
    from mimecurate.curation.media_source import MediaSource
    from mimecurate.curation.verify import MediaFacts


def cut_verified(
    video: MediaSource,
    audio: MediaSource | None,
    start_ms: int,
    end_ms: int,
    out: Path,
    *,
    mode: CutMode,
    max_height: int | None,
    check_stopped: Callable[[], None],
) -> tuple[Cut, MediaFacts]:
    """Cut a clip as `cut_clip` does, and verify it; one that does not hold is encoded whole.

    So a source whose packets are not what they seem still gives an exact clip, and one that is
    damaged is found out: what was copied is decoded here for the first time.

    Args:
        video: as for `cut_clip`, like the rest.
        audio: the source's sound, where it is in a file of its own.
        start_ms: milliseconds from the stream's first frame.
        end_ms: the end, exclusive.
        out: the file to write.
        mode: how to cut.
        max_height: scale a higher picture down to so many lines.
        check_stopped: called often; raises when the run is to end.

    Returns:
        How the clip was made, and what it holds.

    Raises:
        ClipError: it can't be had, with the reason.
        OSError: the clip can't be written or read.
    """
    how = functools.partial(
        cut_clip,
        video,
        audio,
        start_ms,
        end_ms,
        out,
        max_height=max_height,
        check_stopped=check_stopped,
    )
    cut = how(mode=mode)
    try:
        return cut, verify_clip(out, cut)
    except ClipError as error:
        if cut.mode == "encode" or error.reason is not Reason.CORRUPT:
            raise
        note = f"re-encoded whole: {error}"
    cut = how(mode="encode")
    return replace(cut, notes=(*cut.notes, note)), verify_clip(out, cut)
