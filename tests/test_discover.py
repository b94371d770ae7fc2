"""The loop: plan, budget, quota, pages, merging, failures, resuming."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from discovering import QUERIES, api, video_ids

from mimecurate.curation.discover import discover, known_queries, plan_discover
from mimecurate.curation.discover_record import Purse, searches_left
from mimecurate.curation.discover_sources import (
    BudgetSpentError,
    Found,
    Page,
    PageExpiredError,
    quota_day,
)
from mimecurate.curation.loopback_youtube import Catalogue, LoopbackYouTube
from mimecurate.curation.query_sets import Query
from mimecurate.curation.workspace import Workspace, open_workspace
from mimecurate.errors import ClipError, MimecurateError, Reason, WorkspaceBusyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mimecurate.curation.loopback_youtube import Asked


@pytest.fixture
def space(tmp_path: Path) -> Iterator[Workspace]:
    with open_workspace(tmp_path / "w") as opened:
        yield opened


@pytest.fixture
def server() -> Iterator[LoopbackYouTube]:
    with LoopbackYouTube(catalogue=Catalogue(videos=300, per_query=120)) as running:
        yield running


class Scripted:
    """A source that answers from a list: pages and errors, in order."""

    name = "scripted"
    page_size: int | None = 2
    searches_per_day: int | None = None
    refresh_days: int | None = None

    def __init__(self, *answers: Page | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str | None]] = []

    def search(
        self, query: Query, wanted: int, page: str | None, spend: Callable[[], None]
    ) -> Page:
        spend()
        self.asked.append((query.text, page))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def page(*names: str, after: str | None = None) -> Page:
    return Page(tuple(Found(f"vid-{n:0>7}", f"https://example.org/{n}") for n in names), after)


def count(space: Workspace, table: str) -> int:
    return int(space.db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def test_every_query_rank_and_time_is_kept_and_doubles_merge(
    space: Workspace, server: LoopbackYouTube
) -> None:
    report = discover(space, QUERIES, api(server), per_query=100)
    assert (report.asked, report.searches, report.found, report.failed) == (4, 8, 400, 0)
    wanted = {
        server.catalogue.video_id(n) for q in QUERIES for n in server.catalogue.find(q.text)[:100]
    }
    assert count(space, "candidates") == len(wanted) == report.new < 400
    assert count(space, "finds") == 400
    for query in QUERIES:
        found = [server.catalogue.video_id(n) for n in server.catalogue.find(query.text)[:100]]
        assert video_ids(space.db, query.text) == found
    languages = {a.parameters.get("relevanceLanguage") for a in server.asked}
    assert languages == {"en", "fr", "ja"}


def test_the_budget_is_honoured_to_the_query_and_the_rest_comes_next(
    space: Workspace, server: LoopbackYouTube
) -> None:
    first = discover(space, QUERIES, api(server), per_query=100, max_queries=3)
    assert server.count("search") == 3
    assert (first.searches, first.asked, first.not_asked) == (3, 2, 2)
    assert "budget is spent (--max-queries 3)" in first.stopped
    second = discover(space, QUERIES, api(server), per_query=100)
    assert (second.searches, server.count("search")) == (5, 8)
    assert len(video_ids(space.db, QUERIES[1].text)) == 100
    third = discover(space, QUERIES, api(server), per_query=100)
    assert (third.searches, server.count("search")) == (0, 8)


def test_retries_count_against_the_budget(space: Workspace, server: LoopbackYouTube) -> None:
    server.faults = [(500, "backendError"), (503, "backendError")]
    report = discover(space, QUERIES, api(server), per_query=50, max_queries=3)
    assert server.count("search") == 3 == report.searches
    assert report.asked == 1


def test_the_day_s_quota_is_kept_over_runs_and_known_before(
    space: Workspace, server: LoopbackYouTube
) -> None:
    source = api(server, searches_per_day=5)
    plan = plan_discover(space.db, known_queries(space.db, QUERIES), source, per_query=100)
    assert (plan.searches, plan.left_today, plan.searches_now, plan.days) == (8, 5, 5, 2)
    assert count(space, "queries") == 0
    report = discover(space, QUERIES, source, per_query=100)
    assert report.searches == 5 == server.count("search")
    assert searches_left(space.db, source) == 0
    assert "midnight in California" in discover(space, QUERIES, source, per_query=100).stopped
    assert server.count("search") == 5
    stored = space.db.execute("SELECT DISTINCT day FROM spendings").fetchall()
    assert stored == [(quota_day(),)]


def test_what_the_source_calls_its_quota_ends_the_run(
    space: Workspace, server: LoopbackYouTube
) -> None:
    server.quota = 2
    report = discover(space, QUERIES, api(server), per_query=50)
    assert (report.asked, report.not_asked, report.failed) == (2, 2, 0)
    assert "quota is spent" in report.stopped
    assert "<a" not in report.stopped


def test_a_failure_is_recorded_with_its_reason_and_asked_again_only_if_it_may_pass(
    space: Workspace,
) -> None:
    source = Scripted(
        ClipError(Reason.UNSUPPORTED, "bad query"),
        ClipError(Reason.NETWORK, "down"),
        page("a", "b", after="p2"),
        ClipError(Reason.TIMEOUT, "late"),
        page("c", "d"),
    )
    report = discover(space, QUERIES, source, per_query=4)
    assert report.by_reason == {"unsupported": 1, "network": 1, "timeout": 1}
    assert (report.failed, report.new) == (3, 4)
    source.answers = [page("e", "f"), page("g", "h")]
    source.asked.clear()
    again = discover(space, QUERIES, source, per_query=4)
    assert source.asked == [(QUERIES[1].text, None), (QUERIES[2].text, "p2")]
    assert again.failed == 0
    assert video_ids(space.db, QUERIES[2].text) == [f"vid-000000{n}" for n in "abgh"]
    source.answers = [page("i", "j")]
    discover(space, QUERIES, source, per_query=4, retry_failed=True)
    assert source.asked[-1] == (QUERIES[0].text, None)


def test_a_site_that_refuses_us_is_left_alone_after_three_times(space: Workspace) -> None:
    source = Scripted(*(ClipError(Reason.RATE_LIMITED, "429") for _ in range(4)))
    report = discover(space, QUERIES, source)
    assert len(source.asked) == 3
    assert (report.not_asked, report.failed) == (0 + 1, 3)
    assert "failed 3 times in a row (rate_limited" in report.stopped


def test_a_network_that_is_down_ends_the_run(space: Workspace) -> None:
    many = [Query(f"mime {n}") for n in range(30)]
    answers = [page(str(n)) for n in range(5)]
    downs = [ClipError(Reason.NETWORK, "down") for _ in range(30)]
    report = discover(space, many, Scripted(*downs[:9], *answers, *downs), per_query=1)
    assert (report.asked, report.failed, report.not_asked) == (5, 19, 6)
    assert "failed 10 times in a row (network: down)" in report.stopped


def test_more_can_be_wanted_later(space: Workspace) -> None:
    one = QUERIES[:1]
    source = Scripted(page("a", "b", after="p2"))
    assert discover(space, one, source, per_query=2).found == 2
    assert discover(space, one, source, per_query=2).searches == 0
    source.answers = [page("c", after=None)]
    assert discover(space, one, source, per_query=4).found == 1
    assert source.asked[-1] == (one[0].text, "p2")
    assert discover(space, one, source, per_query=9).searches == 0, "there was no more"


def test_old_answers_are_asked_again(space: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    one = QUERIES[:1]
    source = Scripted(page("a", "b", after="p2"), page("a", "z"))
    with monkeypatch.context() as patched:
        patched.setattr("mimecurate.curation.discover_record.now", lambda: "2020-01-01T00:00:00Z")
        discover(space, one, source, per_query=2)
    assert discover(space, one, source, per_query=2).searches == 0
    again = discover(space, one, source, per_query=2, older_than_days=30)
    assert (again.searches, again.new, source.asked[-1]) == (1, 1, (one[0].text, None))
    assert discover(space, one, source, per_query=2, older_than_days=30).searches == 0


def test_a_page_that_the_source_forgot_begins_the_query_again(
    space: Workspace, server: LoopbackYouTube
) -> None:
    one = QUERIES[:1]
    discover(space, one, api(server), per_query=50)
    (token,) = space.db.execute("SELECT next_page FROM searches").fetchone()
    server.expired = {token}
    first = discover(space, one, api(server), per_query=100, max_queries=1)
    assert (first.begun_again, first.failed, first.found) == (1, 0, 0)
    plan = plan_discover(space.db, known_queries(space.db, one), api(server), per_query=100)
    assert [(job.have, job.page, job.next_page) for job in plan.jobs] == [(0, 1, None)]
    server.expired = set()
    report = discover(space, one, api(server), per_query=100)
    assert (report.begun_again, report.failed, report.searches) == (0, 0, 2)
    assert len(set(video_ids(space.db, one[0].text))) == 100


def test_a_query_begun_again_is_asked_whole_in_the_same_run(space: Workspace) -> None:
    source = Scripted(page("a", "b", after="old"))
    discover(space, QUERIES[:1], source, per_query=2)
    source.answers = [PageExpiredError("x"), page("b", "c", after="new"), page("d")]
    report = discover(space, QUERIES[:1], source, per_query=4)
    assert [token for _, token in source.asked[1:]] == ["old", None, "new"]
    assert (report.begun_again, report.searches, report.new, report.failed) == (1, 3, 2, 0)
    assert discover(space, QUERIES[:1], source, per_query=4).searches == 0
    source.answers = [PageExpiredError("x")]
    refused = discover(space, QUERIES[1:2], source, per_query=4)
    assert (refused.begun_again, refused.failed) == (0, 1), "it was asked for no page"
    source.answers = [page("e")]
    assert discover(space, QUERIES[1:2], source, per_query=4).new == 1


def test_a_page_that_expires_between_two_pages_of_a_run_begins_the_query_again(
    space: Workspace, server: LoopbackYouTube
) -> None:
    def expire_first_token(asked: Asked) -> None:
        token = asked.parameters.get("pageToken")
        server.expired = {token} if token and len(server.asked) == 2 else set()

    server.on_request = expire_first_token
    report = discover(space, QUERIES[:1], api(server), per_query=100)
    assert [a.parameters.get("pageToken") is None for a in server.asked] == [1, 0, 1, 0]
    assert (report.begun_again, report.failed, report.searches, report.new) == (1, 0, 4, 100)


def test_a_source_without_answers_is_not_asked_for_ever(space: Workspace) -> None:
    source = Scripted(page(after="p2"))
    assert discover(space, QUERIES[:1], source, per_query=10).searches == 1
    assert discover(space, QUERIES[:1], source, per_query=10).searches == 0


def test_what_a_killed_run_spent_still_counts(space: Workspace) -> None:
    source = Scripted()
    purse = Purse(space.db, source, 1)
    purse.spend(None)
    with pytest.raises(BudgetSpentError):
        purse.spend(None)
    assert count(space, "spendings") == 1


def test_a_query_may_serve_two_classes_and_is_asked_once(space: Workspace) -> None:
    from dataclasses import replace

    both = [QUERIES[0], replace(QUERIES[0], label="bowling")]
    source = Scripted(page("a"))
    assert discover(space, both, source, per_query=2).searches == 1
    assert count(space, "query_classes") == 2


def test_only_one_search_runs_in_a_workspace(space: Workspace) -> None:
    with space.lock("discover", "discover"), pytest.raises(WorkspaceBusyError):
        discover(space, QUERIES, Scripted())


def test_a_refused_key_ends_the_run_and_says_no_key(
    space: Workspace, server: LoopbackYouTube
) -> None:
    secret = "not-the-right-key-8888"
    with pytest.raises(MimecurateError, match="refuses the key") as caught:
        discover(space, QUERIES, api(server, secret))
    assert secret not in str(caught.value)
    dump = "\n".join(space.db.conn.iterdump())
    assert secret not in dump
    assert server.count("search") == 1
