"""Search for candidates: plan, ask politely within a budget, record each answer as it comes.

Each answer is committed with all it found before the next question goes out. A run that is killed
goes on where it stopped, in the middle of a query if need be.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from mimecurate.curation.discover_record import (
    Purse,
    record_failure,
    record_page,
    searches_left,
    store_queries,
)
from mimecurate.curation.discover_sources import (
    BudgetSpentError,
    PageExpiredError,
    QuotaSpentError,
)
from mimecurate.errors import ClipError, Reason

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlite_utils import Database

    from mimecurate.curation.discover_record import Recorded
    from mimecurate.curation.discover_sources import SearchSource
    from mimecurate.curation.query_sets import Query
    from mimecurate.curation.workspace import Workspace

logger = logging.getLogger(__name__)

REFUSALS_IN_A_ROW = 3
"""After so many rate limits or bot checks in a row, a run stops asking."""
FAILURES_IN_A_ROW = 10
"""The same for failures of any kind: a network that is down, a site that has changed."""
_REFUSALS = frozenset({Reason.RATE_LIMITED, Reason.LOGIN_REQUIRED})


@dataclass(frozen=True, slots=True)
class SearchJob:
    """A query with something left to ask."""

    query_id: int
    query: Query
    have: int
    """Videos that it gave in earlier runs."""
    page: int
    """The number of the next page, from 1."""
    next_page: str | None


@dataclass(frozen=True, slots=True)
class DiscoverPlan:
    """What a run would do, and what it costs."""

    queries: int
    done: int
    """Queries that need nothing more."""
    failed: int
    """Queries that failed for good earlier."""
    jobs: tuple[SearchJob, ...]
    """In the order in which they are asked."""
    left_out: int
    """Queries that could be asked and are not, as their order will have it."""
    searches: int
    """Searches that the jobs need at the most."""
    left_today: int | None
    """None: the source has no limit."""
    days: int
    """Days that they take, today among them."""
    searches_now: int
    """Searches that this run would make at the most."""


Order = Callable[[Sequence[SearchJob]], Sequence[SearchJob]]


@dataclass(slots=True)
class DiscoverReport:
    """What a run did."""

    asked: int = 0
    """Queries that were answered, in whole or in part."""
    searches: int = 0
    """Requests spent, failed ones among them."""
    found: int = 0
    new: int = 0
    failed: int = 0
    by_reason: Counter[str] = field(default_factory=Counter)
    begun_again: int = 0
    """Queries asked from the first page again, for the source had forgotten where they were."""
    not_asked: int = 0
    """Queries left for another run."""
    stopped: str = ""
    """Why the run ended before its list; empty if it did not."""


def plan_discover(
    db: Database,
    queries: Sequence[tuple[int, Query]],
    source: SearchSource,
    *,
    per_query: int,
    max_queries: int | None = None,
    older_than_days: int | None = None,
    retry_failed: bool = False,
    order: Order = list,
) -> DiscoverPlan:
    """Find out which queries have something left to ask, and how many days that takes.

    Args:
        db: the workspace's database.
        queries: each with its row; one that is not stored yet has a number below 0.
        source: where to ask.
        per_query: videos wanted of each query.
        max_queries: searches that this run may make.
        older_than_days: ask again, from the start, what was last answered so many days ago.
        retry_failed: ask again what failed for good.
        order: puts the jobs in the order in which they are asked, and may leave some out.
    """
    states = _states(db, source.name, older_than_days)
    jobs: list[SearchJob] = []
    done = failed = 0
    for query_id, query in queries:
        state = states.get(query_id)
        if state is None:
            jobs.append(SearchJob(query_id, query, 0, 1, None))
            continue
        have, page, next_page, reason = state
        if reason is not None and not Reason(reason).is_temporary and not retry_failed:
            failed += 1
        elif reason is None and (next_page is None or have >= per_query):
            done += 1
        else:
            jobs.append(SearchJob(query_id, query, have, page + (reason is None), next_page))
    ordered = tuple(order(jobs))
    left_out = len(jobs) - len(ordered)
    searches = sum(_pages(source, per_query - job.have) for job in ordered)
    left = searches_left(db, source)
    now = min(x for x in (searches, max_queries, left) if x is not None)
    days = _days(searches, left, source.searches_per_day, max_queries)
    return DiscoverPlan(len(queries), done, failed, ordered, left_out, searches, left, days, now)


def discover(
    workspace: Workspace,
    queries: Iterable[Query],
    source: SearchSource,
    *,
    per_query: int = 50,
    max_queries: int | None = None,
    older_than_days: int | None = None,
    retry_failed: bool = False,
    order: Order = list,
    on_plan: Callable[[DiscoverPlan], None] = lambda plan: None,
    on_page: Callable[[SearchJob, Recorded | ClipError], None] = lambda job, result: None,
) -> DiscoverReport:
    """Ask a source for candidates, and keep what it gives.

    Args:
        workspace: an open workspace; locked for searching meanwhile.
        queries: what to ask; two with the same text and language are asked once.
        source: where.
        per_query: videos wanted of each query, in whole pages.
        max_queries: searches that this run may make; None: as many as the source takes today.
        older_than_days: see `plan_discover`.
        retry_failed: see `plan_discover`.
        order: see `plan_discover`.
        on_plan: called before anything is asked.
        on_page: called with each answer or failure.

    Raises:
        WorkspaceBusyError: another search runs here.
        MimecurateError: the source refuses all queries until the user changes something.
    """
    db = workspace.db
    with workspace.lock("discover", "discover"):
        stored = store_queries(db, queries)
        plan = plan_discover(
            db,
            stored,
            source,
            per_query=per_query,
            max_queries=max_queries,
            older_than_days=older_than_days,
            retry_failed=retry_failed,
            order=order,
        )
        on_plan(plan)
        jobs = plan.jobs
        run = _Run(db, source, Purse(db, source, max_queries), per_query, on_page)
        for place, job in enumerate(jobs):
            if not run.work_on(job):
                run.report.not_asked = len(jobs) - place - run.is_partly_done
                break
        run.report.searches = run.purse.spent
        return run.report


class _Run:
    def __init__(
        self,
        db: Database,
        source: SearchSource,
        purse: Purse,
        per_query: int,
        on_page: Callable[[SearchJob, Recorded | ClipError], None],
    ) -> None:
        self.report = DiscoverReport()
        self.purse = purse
        self.is_partly_done = False
        self._db, self._source, self._per_query = db, source, per_query
        self._on_page = on_page
        self._refusals = self._failures = 0

    def work_on(self, job: SearchJob) -> bool:
        """Ask for the pages of one query; False ends the run."""
        have, page, next_page = job.have, job.page, job.next_page
        self.is_partly_done = False
        began_again = False
        while have < self._per_query:
            wanted = self._per_query - have
            if self._source.page_size is not None:
                wanted = min(self._per_query, self._source.page_size)
            try:
                answer = self._source.search(
                    job.query, wanted, next_page, partial(self.purse.spend, job.query_id)
                )
            except (BudgetSpentError, QuotaSpentError) as error:
                self.report.stopped = str(error)
                return False
            except PageExpiredError as error:
                expired = ClipError(Reason.NETWORK, str(error))
                have, page = 0, 1
                if began_again or next_page is None:
                    return self._fail(job, page, have + 1, expired)
                self._record(job, page, have + 1, expired)
                began_again, next_page = True, None
                self.report.begun_again += 1
                continue
            except ClipError as error:
                return self._fail(job, page, have + 1, error)
            self._refusals = self._failures = 0
            recorded = record_page(
                self._db, job.query_id, self._source, page=page, first_rank=have + 1, answer=answer
            )
            self.report.asked += not self.is_partly_done
            self.is_partly_done = True
            self.report.found += recorded.found
            self.report.new += recorded.new
            self._on_page(job, recorded)
            have += recorded.found
            page, next_page = page + 1, answer.next_page
            if next_page is None or not answer.found:
                break
        return True

    def _fail(self, job: SearchJob, page: int, rank: int, error: ClipError) -> bool:
        self._record(job, page, rank, error)
        self.report.failed += 1
        self.report.by_reason[error.reason] += 1
        self._on_page(job, error)
        self._refusals = self._refusals + 1 if error.reason in _REFUSALS else 0
        self._failures += 1
        if self._refusals < REFUSALS_IN_A_ROW and self._failures < FAILURES_IN_A_ROW:
            return True
        self.report.stopped = (
            f"{self._source.name} failed {self._failures} times in a row ({error.reason}: "
            f"{error}); run again later"
        )
        self.is_partly_done = True
        return False

    def _record(self, job: SearchJob, page: int, rank: int, error: ClipError) -> None:
        record_failure(
            self._db, job.query_id, self._source.name, page=page, first_rank=rank, error=error
        )
        logger.info("%s: %s: %s", job.query.text, error.reason, error)


def _states(
    db: Database, source: str, older_than_days: int | None
) -> dict[int, tuple[int, int, str | None, str | None]]:
    """Return what each query has: videos, last page, the one after it, why it failed."""
    since = ""
    if older_than_days is not None:
        begin = datetime.now(UTC) - timedelta(days=older_than_days)
        since = begin.strftime("%Y-%m-%dT%H:%M:%SZ")
    rows = db.execute(
        "SELECT query_id, page, first_rank, found, next_page, reason FROM searches "
        "WHERE source = ? AND at >= ? ORDER BY search_id",
        [source, since],
    )
    states: dict[int, tuple[int, int, str | None, str | None]] = {}
    for query_id, page, first_rank, found, next_page, reason in rows:
        before = states.get(query_id)
        token = next_page if reason is None else (before[2] if before and page > 1 else None)
        if found == 0 and reason is None:
            token = None
        states[query_id] = (first_rank - 1 + found, page, token, reason)
    return states


def _pages(source: SearchSource, wanted: int) -> int:
    return 1 if source.page_size is None else max(1, math.ceil(wanted / source.page_size))


def _days(searches: int, left: int | None, per_day: int | None, max_queries: int | None) -> int:
    """Count the days that searches take, with one run a day where the run has a budget."""
    if searches == 0:
        return 0
    first = min(x for x in (searches, left, max_queries) if x is not None)
    each = min(x for x in (searches, per_day, max_queries) if x is not None)
    if each <= 0:
        return 0
    return 1 + math.ceil((searches - first) / each)


def known_queries(db: Database, queries: Iterable[Query]) -> list[tuple[int, Query]]:
    """Look queries up without storing any: each different text once.

    Returns:
        Each with its row; with -1, -2, … where it has none.
    """
    rows = db.execute("SELECT text, language, query_id FROM queries")
    ids = {(text, language): query_id for text, language, query_id in rows}
    first = {(q.text, q.language): q for q in reversed(list(queries))}
    return [
        (ids.get(key, -number), query)
        for number, (key, query) in enumerate(reversed(first.items()), 1)
    ]
