"""Search YouTube through yt-dlp (``ytsearchN:``): lists of results alone, no video's own page."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from mimecurate.curation.discover_sources import Found, Page, clean_text
from mimecurate.curation.retrying import Retrier
from mimecurate.schemas.ids import YOUTUBE_ID, youtube_url

if TYPE_CHECKING:
    from collections.abc import Callable

    from mimecurate.curation.pacing import Pacer
    from mimecurate.curation.query_sets import Query
    from mimecurate.curation.source_types import SourceOptions

_HOST = "www.youtube.com"


class YtDlpSearch:
    """YouTube's own search, as a visitor of its site has it.

    A search of N videos takes about N/20 requests, paced as for fetching.
    """

    name = "yt-dlp"
    page_size: int | None = None
    searches_per_day: int | None = None
    refresh_days: int | None = None

    def __init__(
        self, options: SourceOptions, pacer: Pacer, check_stopped: Callable[[], None]
    ) -> None:
        """Set it up; no request is made.

        Args:
            options: how to ask: proxy, cookies, retries, timeout.
            pacer: the run's.
            check_stopped: raises when the run is to end.
        """
        self._options, self._pacer, self._check_stopped = options, pacer, check_stopped

    def search(
        self, query: Query, wanted: int, page: str | None, spend: Callable[[], None]
    ) -> Page:
        """Ask for videos; ``page`` is how many were had before. See `SearchSource`."""
        from mimecurate.curation.downloader import downloader_for

        skip = int(page) if page else 0
        downloader = downloader_for(self._options)
        retrier = Retrier(self._options.retry_policy, self._pacer, self._check_stopped)
        while True:
            spend()
            try:
                with (
                    self._pacer.connection(_HOST, self._check_stopped),
                    downloader.working(self._pacer, self._check_stopped, metadata=True),
                ):
                    extractor = downloader.get_info_extractor("YoutubeSearch")
                    listed = extractor.extract(f"ytsearch{skip + wanted}:{query.text}")
                    entries = list(itertools.islice(listed.get("entries") or (), skip + wanted))
            except Exception as error:
                retrier.failed(error, _HOST, tuple(downloader.messages.warnings))
                continue
            found = tuple(f for entry in entries[skip:] if (f := _found(entry)) is not None)
            more = str(skip + wanted) if len(entries) >= skip + wanted else None
            return Page(found, more)


def _found(entry: dict[str, Any]) -> Found | None:
    video_id = str(entry.get("id") or "")
    if YOUTUBE_ID.fullmatch(video_id) is None:
        return None
    duration = entry.get("duration")
    is_known = isinstance(duration, int | float) and 0 < duration < 1e7
    return Found(
        video_id,
        youtube_url(video_id),
        clean_text(entry.get("title")),
        clean_text(entry.get("channel") or entry.get("uploader")),
        round(duration * 1000) if is_known and duration is not None else None,
    )
