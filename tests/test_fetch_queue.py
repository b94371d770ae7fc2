"""What is asked for next: pauses are not sat out while there is other work, silence is noticed."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import pytest

from mimecurate.curation.fetch_plan import ClipJob, VideoJob
from mimecurate.curation.fetch_queue import SIT_OUT_S, VideoQueue
from mimecurate.curation.pacing import Pacer, PauseTooLongError, SitePausedError

if TYPE_CHECKING:
    from collections.abc import Iterator


class Time:
    """A clock that passes by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Run:
    """A queue, its clock and what it said."""

    def __init__(
        self, urls: list[str], *, max_wait_s: float = 1000, give_up_after: int = 3
    ) -> None:
        self.time = Time()
        self.pacer = Pacer(clock=self.time.clock, sleep=self.time.sleep)
        self.said: list[str] = []
        self.queue = VideoQueue(
            iter([job(url) for url in urls]),
            self.pacer,
            max_wait_s=max_wait_s,
            give_up_after=give_up_after,
            say=self.said.append,
        )


@pytest.fixture
def runs() -> Iterator[list[Run]]:
    made: list[Run] = []
    yield made
    for run in made:
        run.queue.close()


def job(url: str) -> VideoJob:
    return VideoJob(url, url, (ClipJob(url + "_1", 0, 1000), ClipJob(url + "_2", 2000, 3000)))


def test_other_sites_go_on_and_the_pause_is_waited_for_once(runs: list[Run]) -> None:
    run = Run(["http://a/1", "http://a/2", "http://b/1", "http://b/2"])
    runs.append(run)
    run.pacer.pause("a", 600)
    rounds = [[(run.time.now, j.url) for j in ready] for ready in run.queue.rounds()]
    assert [[url for _, url in r] for r in rounds] == [
        ["http://b/1", "http://b/2"],
        ["http://a/1", "http://a/2"],
    ]
    assert {now for now, _ in rounds[0]} == {0}
    assert all(now >= 600 for now, _ in rounds[1])
    (line,) = run.said
    assert line.startswith("nothing else is left: waiting for a until ")
    assert line.endswith("with 2 videos")
    assert list(run.queue.left()) == []


def test_a_short_pause_is_left_to_the_worker(runs: list[Run]) -> None:
    run = Run(["http://a/1"])
    runs.append(run)
    run.pacer.pause("a", SIT_OUT_S)
    assert [[j.url for j in ready] for ready in run.queue.rounds()] == [["http://a/1"]]
    assert run.said == []


def test_a_video_comes_back_with_what_is_left_of_it_and_its_failures(runs: list[Run]) -> None:
    run = Run(["http://a/1"])
    runs.append(run)
    rounds = run.queue.rounds()
    (first,) = next(rounds)
    run.queue.put_aside(first, first.clips[1:], SitePausedError("a", 30, failures=2))
    (again,) = next(rounds)
    assert (again.clips, again.failures) == (first.clips[1:], 2)
    assert run.time.now >= 30
    assert next(rounds, None) is None


def test_more_than_the_longest_wait_is_not_waited(runs: list[Run]) -> None:
    run = Run(["http://a/1", "http://b/1"], max_wait_s=100)
    runs.append(run)
    rounds = run.queue.rounds()
    assert len(list(next(rounds))) == 2
    run.queue.put_aside(job("http://a/1"), job("http://a/1").clips, SitePausedError("a", 60))
    assert len(list(next(rounds))) == 1
    run.queue.put_aside(job("http://a/1"), job("http://a/1").clips, SitePausedError("a", 60))
    assert next(rounds, None) is None
    ((left, words),) = run.queue.left()
    assert left.url == "http://a/1"
    assert words.startswith("a asks to be left alone for another 60 s")
    assert run.time.now < 70


def test_a_clip_that_was_fetched_makes_waiting_worth_it_again(runs: list[Run]) -> None:
    run = Run(["http://a/1"], max_wait_s=100)
    runs.append(run)
    rounds = run.queue.rounds()
    list(next(rounds))
    for _ in range(5):
        run.queue.put_aside(job("http://a/1"), job("http://a/1").clips, SitePausedError("a", 60))
        assert len(list(next(rounds))) == 1
        run.queue.fetched()
    assert run.time.now >= 300


def test_a_site_that_never_answers_is_left_for_the_next_run(runs: list[Run]) -> None:
    run = Run([f"http://{site}/{n}" for n in range(9) for site in "ab"])
    runs.append(run)
    asked = []
    for ready in run.queue.rounds():
        for video in ready:
            asked.append(video.url)
            run.queue.note(video, answered=video.url.startswith("http://b"))
    assert [url for url in asked if "//a" in url] == [f"http://a/{n}" for n in range(3)]
    assert len([url for url in asked if "//b" in url]) == 9
    assert run.said == [
        "a did not answer for 3 videos in a row: its others are left for the next run"
    ]


def test_an_answer_between_them_counts(runs: list[Run]) -> None:
    run = Run([f"http://a/{n}" for n in range(9)])
    runs.append(run)
    asked = 0
    for ready in run.queue.rounds():
        for video in ready:
            asked += 1
            run.queue.note(video, answered=asked % 3 == 0)
    assert (asked, run.said) == (9, [])


def test_without_any_network_all_is_left_for_the_next_run(runs: list[Run]) -> None:
    run = Run([f"http://{n}.example/1" for n in range(20)])
    runs.append(run)
    asked = 0
    for ready in run.queue.rounds():
        for video in ready:
            asked += 1
            run.queue.note(video, answered=False)
    assert asked == 3
    (line,) = run.said
    assert "is there a network?" in line


@pytest.mark.parametrize("url", ["/clips/a.mp4", "file:///clips/a.mp4", "http://[bad"])
def test_files_are_no_site(runs: list[Run], url: str) -> None:
    run = Run([url] * 5)
    runs.append(run)
    for ready in run.queue.rounds():
        for video in ready:
            run.queue.note(video, answered=False)
    assert run.said == []


def test_pauses_cross_to_other_processes() -> None:
    paused = SitePausedError("a", 30.0, failures=2)
    paused.bytes_downloaded = 77
    copy = pickle.loads(pickle.dumps(paused))
    assert (copy.site, copy.pause_s, copy.failures) == ("a", 30, 2)
    assert (copy.bytes_downloaded, copy.reason) == (77, paused.reason)
    too_long = pickle.loads(pickle.dumps(PauseTooLongError("a", 30.0)))
    assert (too_long.site, too_long.retry_after_s) == ("a", 30)
