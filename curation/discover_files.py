"""Search a folder of videos, or a list of files with titles, by the words of a query."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

from mimecurate.curation.discover_sources import Found, Page, clean_text
from mimecurate.curation.table_file import parse_table, read_text
from mimecurate.curation.url_list_fields import read_link, read_video_id
from mimecurate.errors import InvalidInputError, MimecurateError, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mimecurate.curation.query_sets import Query

SUFFIXES = frozenset(
    {".mp4", ".webm", ".mkv", ".mov", ".avi", ".m4v", ".mpg", ".mpeg", ".ts", ".ogv", ".flv"}
)
_APART = str.maketrans({c: " " for c in "_-./\\,;:()[]{}'\""})


class FileSearch:
    """Files whose name, or title in a list, has every word of a query; case and accents aside.

    The list is CSV with ``url`` (a link or a path) and optionally ``title,channel,video_id``.
    Results come
    in the list's order, or by name.
    """

    name = "files"
    page_size: int | None = None
    searches_per_day: int | None = None
    refresh_days: int | None = None

    def __init__(self, place: Path) -> None:
        """Read the folder's names, or the list.

        Raises:
            InvalidInputError: every problem of the list, with its line.
            MimecurateError: the folder can't be read.
        """
        entries = list(_folder(place) if place.is_dir() else _listed(place))
        self._entries = [(found, _words(text)) for found, text in entries]

    def search(
        self, query: Query, wanted: int, page: str | None, spend: Callable[[], None]
    ) -> Page:
        """Find files; ``page`` is how many were had before. See `SearchSource`."""
        spend()
        skip = int(page) if page else 0
        asked = _words(query.text).split()
        hits = [f for f, text in self._entries if asked and all(word in text for word in asked)]
        more = str(skip + wanted) if len(hits) > skip + wanted else None
        return Page(tuple(hits[skip : skip + wanted]), more)


def _folder(folder: Path) -> Iterator[tuple[Found, str]]:
    try:
        paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    except OSError as error:
        raise MimecurateError(f"{folder}: can't be read: {error.strerror}") from error
    for path in paths:
        name = str(path.relative_to(folder))
        try:
            link = read_link(path.resolve().as_uri(), allow_files=True, base=None)
        except ValueError as error:
            raise MimecurateError(str(error)) from error
        yield Found(link.video_id, link.url, clean_text(path.stem)), name


def _listed(path: Path) -> Iterator[tuple[Found, str]]:
    rows, problems = parse_table(read_text(path), ["url"], ["title", "channel", "video_id"])
    entries = []
    for line, row in rows:
        try:
            link = read_link(row["url"], allow_files=True, base=path.resolve().parent)
            video_id = read_video_id(row["video_id"]) or link.video_id
        except ValueError as error:
            problems.append(Problem(str(error), line))
            continue
        if link.is_youtube and video_id != link.video_id:
            problems.append(Problem(f"video_id is not the link's own, {link.video_id!r}", line))
        title = clean_text(row["title"]) or clean_text(Path(row["url"]).name)
        found = Found(video_id, link.url, title, clean_text(row["channel"]))
        entries.append((found, row["title"] or row["url"]))
    if problems:
        raise InvalidInputError(str(path), problems[:100])
    yield from entries


def _words(text: str) -> str:
    """Write a text so that words can be compared: no case, no accents, no punctuation."""
    apart = unicodedata.normalize("NFKD", text.casefold()).translate(_APART)
    return "".join(c for c in apart if not unicodedata.combining(c))
