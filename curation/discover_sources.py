"""Where candidates are searched: what a source is asked, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Protocol

from mimecurate.errors import MimecurateError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mimecurate.curation.query_sets import Query

MAX_TEXT_CHARACTERS = 300
_READ_CHARACTERS = 4_000


class BudgetSpentError(MimecurateError):
    """The run's own limit of queries is reached; the rest is for another run."""


class QuotaSpentError(MimecurateError):
    """The source takes no more searches today."""


class PageExpiredError(MimecurateError):
    """The source no longer knows the page it is asked for; the query is to begin again."""


@dataclass(frozen=True, slots=True)
class Found:
    """One video that a search named. Texts are cleaned: see `clean_text`."""

    video_id: str
    url: str
    title: str | None = None
    channel: str | None = None
    duration_ms: int | None = None
    published_at: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """One answer to a search, best first."""

    found: tuple[Found, ...]
    next_page: str | None = None
    """What to give the source for what comes after; None: this was the last."""


class SearchSource(Protocol):
    """Something that can be searched. New ones need these four and nothing else."""

    @property
    def name(self) -> str:
        """As it stands in the database."""
        ...

    @property
    def page_size(self) -> int | None:
        """Videos that one search gives at the most; None: as many as are wanted."""
        ...

    @property
    def searches_per_day(self) -> int | None:
        """Searches that the source takes a day; None: it doesn't say."""
        ...

    @property
    def refresh_days(self) -> int | None:
        """After how many days what it says of a video is to be asked anew or deleted."""
        ...

    def search(
        self, query: Query, wanted: int, page: str | None, spend: Callable[[], None]
    ) -> Page:
        """Ask for videos.

        Args:
            query: what for.
            wanted: how many, at the most `page_size`.
            page: what an earlier answer gave as ``next_page``; None: from the first.
            spend: to be called before each request that counts; raises where none may go out.

        Raises:
            ClipError: this query can't be answered, or not now; the reason says why.
            PageExpiredError: ``page`` is no longer known.
            QuotaSpentError: nor can any other today.
            MimecurateError: nor can any other until the user changes something.
        """
        ...


def clean_text(text: object) -> str | None:
    r"""Keep what can be seen of a text from strangers, in one line of at most 300 characters.

    Control characters, NUL, marks that turn the direction of writing and lone surrogates go.

    >>> clean_text("a\x00\u202eb\n  c"), clean_text(""), len(clean_text("x" * 10_000))
    ('ab c', None, 300)
    """
    if not isinstance(text, str):
        return None
    cut = text[:_READ_CHARACTERS]
    if not cut.isprintable():
        cut = "".join(c for c in cut if c.isprintable() or c.isspace())
    shown = " ".join(cut.split())
    if len(shown) > MAX_TEXT_CHARACTERS:
        shown = shown[: MAX_TEXT_CHARACTERS - 1] + "…"
    return shown or None


def quota_day(when: datetime | None = None) -> str:
    """Return the day that YouTube counts a request to: its quotas end at midnight in California.

    >>> quota_day(datetime(2026, 1, 1, 7, 59, tzinfo=UTC))
    '2025-12-31'
    """
    when = when or datetime.now(UTC)
    try:
        from zoneinfo import ZoneInfo

        zone: timezone | ZoneInfo = ZoneInfo("America/Los_Angeles")
    except KeyError:  # ZoneInfoNotFoundError: a system without time zones; an hour off in summer
        zone = timezone(timedelta(hours=-8))
    return when.astimezone(zone).strftime("%Y-%m-%d")
