"""The list of clips that ``fetch --urls`` is given: Kinetics CSV, CSV/TSV, JSON Lines or text.

A list comes from anywhere, may be wrong in every way and may have millions of lines: it is read
once, in bounded memory, and everything wrong with it is reported with its line and column.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import starmap
from typing import TYPE_CHECKING, Any, BinaryIO

from mimecurate.curation.url_list_fields import (
    LINK_MISSING,
    read_label,
    read_link,
    read_name,
    read_time,
    read_video_id,
    shown,
)
from mimecurate.curation.url_list_formats import read_rows
from mimecurate.curation.url_list_lines import read_lines
from mimecurate.curation.url_list_rows import Notice, Row
from mimecurate.errors import Problem
from mimecurate.schemas.ids import interval_text
from mimecurate.schemas.times import format_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from mimecurate.curation.url_list_fields import Link

__all__ = ["ClipRequest", "Notice", "read_url_list"]

MIN_CLIP_MS, MAX_CLIP_MS = 1_000, 10_000
"""How long a clip of an action normally is, both ends included."""


@dataclass(frozen=True, slots=True)
class ClipRequest:
    """One clip that a list asks for."""

    line: int
    """Where the list asks, counted from 1."""
    url: str
    """As the source will be asked; one spelling for each YouTube video."""
    video_id: str
    start_ms: int | None
    """None, with ``end_ms``: the whole video."""
    end_ms: int | None
    """Not in the clip itself."""
    label: str | None
    """The class, with spaces for ``_``."""
    split: str | None


def read_url_list(
    stream: BinaryIO,
    *,
    name: str,
    allow_files: bool = False,
    base: Path | None = None,
    strict_length: bool = False,
) -> Iterator[ClipRequest | Problem | Notice]:
    r"""Read a list of clips in whichever form it is, told by its content.

    Nothing is raised for what the list holds, and nothing is kept: two rows may ask for the same
    clip, or give one ``video_id`` to two links, and the caller has to look for that.

    Args:
        stream: the list, as bytes; read to the end, in pieces.
        name: what messages call the list.
        allow_files: whether local files are allowed; they become ``file://`` links.
        base: the folder from which relative paths are read; None: they are refused.
        strict_length: whether an interval outside 1 to 10 s is a `Problem` and not a `Notice`.

    Yields:
        In the list's order, a request per good row, a problem for each thing that is wrong, and
        notices.

    Raises:
        OSError: the stream can't be read.

    >>> import io
    >>> text = b"label,youtube_id,time_start,time_end\narchery,0zFbEjoGlhc,6,10\nbow,x,9,4\n"
    >>> request, *problems = read_url_list(io.BytesIO(text), name="a.csv")
    >>> request.video_id, request.start_ms, request.end_ms
    ('0zFbEjoGlhc', 6000, 10000)
    >>> print(*problems, sep="\n")
    line 3, column 5: youtube_id 'x' is not an http(s) link; begin it with https://, or give an 11-character YouTube id
    line 3, column 9: time_end '4' is not after the start '9'; give a later one
    """  # noqa: E501
    readers: dict[str, Callable[[str], Any]] = {
        "url": partial(read_link, allow_files=allow_files, base=base),
        "start": read_time,
        "end": read_time,
        "label": read_label,
        "split": read_name,
        "video_id": read_video_id,
    }
    is_empty = True
    for item in read_rows(read_lines(stream)):
        if isinstance(item, Row):
            is_empty = False
            yield from _read_row(item, readers, strict_length=strict_length)
        else:
            is_empty = is_empty and isinstance(item, Notice)
            yield item
    if is_empty:
        yield Problem(f"{name} lists no clip; give at least one link")


def _read_row(
    row: Row, readers: dict[str, Callable[[str], Any]], *, strict_length: bool
) -> Sequence[ClipRequest | Problem | Notice]:
    values: dict[str, Any] = {}
    faults = row.wrong.copy()
    for field, text in row.values.items():
        try:
            values[field] = readers[field](text)
        except ValueError as error:
            faults[field] = str(error)
    link: Link | None = values.get("url")
    start_ms, end_ms, video_id = map(values.get, ("start", "end", "video_id"))
    if link is None:
        faults.setdefault("url", LINK_MISSING)
    elif video_id and video_id != link.video_id and link.is_youtube:
        faults["video_id"] = f"{video_id!r} is not the link's own, {link.video_id!r}; leave it out"
    unusual = ""
    if "start" not in faults and "end" not in faults:
        faults |= _interval_faults(row.values, start_ms, end_ms)
        unusual = _unusual_length(start_ms, end_ms)
    if unusual and strict_length:
        end = shown(row.values["end"])
        faults["end"] = f"{end} makes an {unusual}; correct it or leave out --strict-length"
    if link is None or faults:
        problems: list[Problem] = sorted(starmap(row.problem, faults.items()), key=_position)
        return problems
    id_ = video_id or link.video_id
    label, split = values.get("label"), values.get("split")
    request = ClipRequest(row.line, link.url, id_, start_ms, end_ms, label, split)
    return [request, Notice(row.line, unusual)] if unusual else [request]


def _interval_faults(
    texts: dict[str, str], start_ms: int | None, end_ms: int | None
) -> dict[str, str]:
    if start_ms is None and end_ms is None:
        return {}
    if start_ms is None or end_ms is None:
        missing = "start" if start_ms is None else "end"
        return {missing: "is missing; give both times or neither"}
    if end_ms > start_ms:
        return {}
    start, end = shown(texts["start"]), shown(texts["end"])
    return {"end": f"{end} is not after the start {start}; give a later one"}


def _unusual_length(start_ms: int | None, end_ms: int | None) -> str:
    if start_ms is None or end_ms is None or end_ms <= start_ms:
        return ""
    length_ms = end_ms - start_ms
    if MIN_CLIP_MS <= length_ms <= MAX_CLIP_MS:
        return ""
    return (
        f"interval {interval_text(start_ms, end_ms)} of {format_seconds(length_ms)} s, "
        f"not {MIN_CLIP_MS // 1000} to {MAX_CLIP_MS // 1000} s"
    )


def _position(problem: Problem) -> tuple[int, int]:
    return problem.line or 0, problem.column or 0
