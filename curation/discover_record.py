"""Write to the database what searches cost and gave. Nothing that was answered is asked twice."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from mimecurate.curation.classes import classes_called
from mimecurate.curation.discover_sources import (
    BudgetSpentError,
    QuotaSpentError,
    quota_day,
)
from mimecurate.schemas.database import now

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlite_utils import Database

    from mimecurate.curation.discover_sources import Found, Page, SearchSource
    from mimecurate.curation.query_sets import Query
    from mimecurate.errors import ClipError


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a page brought."""

    found: int
    new: int
    """Videos that nobody had found before."""


class Purse:
    """Counts what a run may still spend at a source; each request is written down before it goes.

    So a run that is killed between a request and its answer has still counted it, and neither the
    run's budget nor the day's quota is exceeded by even one.
    """

    def __init__(self, db: Database, source: SearchSource, max_queries: int | None) -> None:
        """Begin a run; ``max_queries`` None: only the day's quota counts."""
        self._db = db
        self._source = source
        self._max_queries = max_queries
        self.spent = 0

    def spend(self, query_id: int | None) -> None:
        """Write down one search.

        Raises:
            BudgetSpentError: the run may not make another.
            QuotaSpentError: the day's quota is used up, by this run or earlier ones.
        """
        if self._max_queries is not None and self.spent >= self._max_queries:
            raise BudgetSpentError(f"the run's budget is spent (--max-queries {self._max_queries})")
        left = searches_left(self._db, self._source)
        if left is not None and left <= 0:
            raise QuotaSpentError(
                f"all {self._source.searches_per_day:,} searches of {quota_day()} at "
                f"{self._source.name} are spent; the next day begins at midnight in California"
            )
        record_spending(self._db, self._source.name, "search", query_id)
        self.spent += 1


def record_spending(db: Database, source: str, kind: str, query_id: int | None = None) -> None:
    """Write down a request that is about to go out."""
    with db.atomic():
        db.execute(
            "INSERT INTO spendings (source, kind, day, at, query_id) VALUES (?, ?, ?, ?, ?)",
            [source, kind, quota_day(), now(), query_id],
        )


def searches_left(db: Database, source: SearchSource) -> int | None:
    """Count the searches that a source takes until its day ends; None: it doesn't say."""
    if source.searches_per_day is None:
        return None
    row = db.execute(
        "SELECT count(*) FROM spendings WHERE source = ? AND kind = 'search' AND day = ?",
        [source.name, quota_day()],
    ).fetchone()
    return max(0, source.searches_per_day - int(row[0]))


def store_queries(db: Database, queries: Iterable[Query]) -> list[tuple[int, Query]]:
    """Add queries, and the classes they are for, to the workspace, as they are called now.

    Returns:
        Each different text and language once, in the order given, with its row.
    """
    rows: dict[tuple[str, str], tuple[int, Query]] = {}
    called = classes_called(db)
    with db.atomic():
        for query in queries:
            key = (query.text, query.language)
            if key not in rows:
                db.execute(
                    "INSERT INTO queries (text, language, added_at) VALUES (?, ?, ?) "
                    "ON CONFLICT DO NOTHING",
                    [*key, now()],
                )
                row = db.execute(
                    "SELECT query_id FROM queries WHERE text = ? AND language = ?", list(key)
                ).fetchone()
                rows[key] = (int(row[0]), query)
            for label in called.get(query.label, {query.label}) if query.label else ():
                db.execute(
                    "INSERT INTO query_classes (query_id, label, template, phrase) "
                    "VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                    [rows[key][0], label, query.template, query.phrase],
                )
    return list(rows.values())


def record_page(
    db: Database,
    query_id: int,
    source: SearchSource,
    *,
    page: int,
    first_rank: int,
    answer: Page,
) -> Recorded:
    """Record one answer and all it found, in one transaction.

    A video that is known keeps its row; what a later search says of it fills gaps. Where the
    source's terms ask for fresh metadata, it replaces what is there, and moves the date of what it
    says alone: a length that it doesn't say again keeps its own.
    """
    found = list({video.video_id: video for video in answer.found}.values())
    at = now()
    refresh_by = None
    if source.refresh_days is not None:
        refresh_by = (datetime.now(UTC) + timedelta(days=source.refresh_days)).strftime("%Y-%m-%d")
    with db.atomic():
        known = _known(db, [video.video_id for video in found])
        for video in found:
            _upsert(db, video, source.name, at, refresh_by)
        ids = _known(db, [video.video_id for video in found])
        new = len(ids) - len(known)
        cursor = db.execute(
            "INSERT INTO searches (query_id, source, page, at, first_rank, found, new, next_page) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [query_id, source.name, page, at, first_rank, len(found), new, answer.next_page],
        )
        search_id = int(cursor.lastrowid or 0)
        db.conn.executemany(
            "INSERT INTO finds (search_id, candidate_id, rank) VALUES (?, ?, ?)",
            [(search_id, ids[v.video_id], first_rank + i) for i, v in enumerate(found)],
        )
    return Recorded(len(found), new)


def record_failure(
    db: Database, query_id: int, source: str, *, page: int, first_rank: int, error: ClipError
) -> None:
    """Record that a query could not be answered, and why."""
    with db.atomic():
        db.execute(
            "INSERT INTO searches (query_id, source, page, at, first_rank, reason, message) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            [query_id, source, page, now(), first_rank, error.reason, str(error)[:500]],
        )


def _known(db: Database, video_ids: Sequence[str]) -> dict[str, int]:
    known: dict[str, int] = {}
    for first in range(0, len(video_ids), 500):
        some = video_ids[first : first + 500]
        marks = ",".join("?" * len(some))
        known |= dict(
            db.execute(
                f"SELECT video_id, candidate_id FROM candidates WHERE video_id IN ({marks})", some
            ).fetchall()
        )
    return known


def _upsert(db: Database, video: Found, source: str, at: str, refresh_by: str | None) -> None:
    undated = "CASE WHEN excluded.refresh_by IS NULL OR refresh_by IS NULL THEN {} END"
    db.execute(
        "INSERT INTO candidates (video_id, url, title, channel, duration_ms, published_at, source, "
        "found_at, refresh_by, duration_refresh_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (video_id) DO UPDATE SET "
        f"title = coalesce(excluded.title, {undated.format('title')}), "
        f"channel = coalesce(excluded.channel, {undated.format('channel')}), "
        f"published_at = coalesce(excluded.published_at, {undated.format('published_at')}), "
        "refresh_by = coalesce(excluded.refresh_by, refresh_by), "
        "duration_ms = coalesce(excluded.duration_ms, duration_ms), "
        "duration_refresh_by = iif(excluded.duration_ms IS NULL, duration_refresh_by, "
        "excluded.duration_refresh_by), gone_at = NULL",
        [
            video.video_id,
            video.url,
            video.title,
            video.channel,
            video.duration_ms,
            video.published_at,
            source,
            at,
            refresh_by,
            None if video.duration_ms is None else refresh_by,
        ],
    )
