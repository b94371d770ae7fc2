"""Where people are to be seen, for `mimecurate discover windows --tubes`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mimecurate.console import counted, progress, say

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mimecurate.baselines.people import People, Tube
    from mimecurate.curation.discover_windows import LongMedia, Span

_PEOPLE_FILES = (b"PAR1", b"PK\x03\x04")
_PEOPLE_SUFFIXES = {".parquet", ".npz"}


def tubes_of(path: Path, media: Sequence[LongMedia]) -> dict[str, list[Span]]:
    """Read where people are from a people file or a CSV, told by content, by video.

    Args:
        path: the file.
        media: what is looked at; of a people file no other clip is read.

    Raises:
        InvalidInputError: it is neither, or something in it is wrong.
    """
    with path.open("rb") as file:
        head = file.read(4096)
    if not head.startswith(_PEOPLE_FILES):
        if b"\0" in head or path.suffix.lower() in _PEOPLE_SUFFIXES:
            from mimecurate.errors import InvalidInputError, Problem

            hint = "`baseline people detect` writes one; CSV video_id,start,end would do as well"
            raise InvalidInputError(str(path), [Problem("is no people file")], hint)
        from mimecurate.curation.discover_windows import read_tubes

        return read_tubes(path)
    return _of_people(path, media)


def _of_people(path: Path, media: Sequence[LongMedia]) -> dict[str, list[Span]]:
    import contextlib

    from mimecurate.baselines.people_file import open_people
    from mimecurate.baselines.tubes import link_tubes

    spans: dict[str, list[Span]] = {}
    absent = 0
    with contextlib.ExitStack() as stack:
        people = open_people(path)
        if isinstance(people, contextlib.AbstractContextManager):
            stack.enter_context(people)
        bar = stack.enter_context(progress("linking people", len(media), unit="files"))
        for one in media:
            bar.advance()
            if one.clip_id not in people:
                absent += 1
                continue
            found = people[one.clip_id]
            if words := _difference(found, one):
                bar.say(f"note: {one.clip_id}: {words}; windows may lie beside the people")
            spans.setdefault(one.video_id, []).extend(
                _span(tube, found.fps or one.fps, one.start_ms) for tube in link_tubes(found)
            )
    if absent:
        say(f"note: no people were looked for in {counted(absent, 'file')}: left out")
    return spans


def _difference(found: People, media: LongMedia) -> str:
    """Say how the clip that people were found in differs from the file that is here."""
    fps = found.fps or media.fps
    if found.frames == media.frames and abs(fps - media.fps) <= 0.01 * media.fps:
        return ""
    return (
        f"the people file is of {found.frames:,} frames at {fps:g} a second, "
        f"the video here has {media.frames:,} at {media.fps:g}"
    )


def _span(tube: Tube, fps: float, begin_ms: int) -> Span:
    start, end = tube.start, tube.start + len(tube.boxes)
    return begin_ms + round(start * 1000 / fps), begin_ms + round(end * 1000 / fps)
