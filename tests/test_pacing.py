from __future__ import annotations

import itertools
import pickle
import threading
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimecurate.curation.pacing import (
    FIRST_PAUSE_S,
    LONGEST_PAUSE_S,
    YOUTUBE_INTERVAL_S,
    Pacer,
    site_of,
)
from mimecurate.errors import ClipError, Reason

if TYPE_CHECKING:
    from collections.abc import Callable


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.waits = 0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.waits += 1
        self.now += seconds


class Stop(Exception):
    pass


def never() -> None:
    """Nobody stops the run."""


def make(interval_s: float | None = None, **options: object) -> tuple[Pacer, Clock]:
    clock = Clock()
    return Pacer(interval_s, clock=clock, sleep=clock.sleep, **options), clock  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("host", "site"),
    [
        ("www.youtube.com", "youtube.com"),
        ("youtu.be", "youtube.com"),
        ("rr5---sn-4g5e6nz7.googlevideo.com", "youtube.com"),
        ("notyoutube.com", "notyoutube.com"),
        ("WWW.Vimeo.com.", "vimeo.com"),
        ("127.0.0.1", "127.0.0.1"),
    ],
)
def test_site_of(host: str, site: str) -> None:
    assert site_of(host) == site


def test_metadata_requests_keep_the_interval_per_site() -> None:
    pacer, clock = make(4.0)
    turns: dict[str, list[float]] = {"a.example": [], "b.example": []}
    for host in ["a.example", "b.example"] * 4:
        pacer.wait_turn(host, never)
        turns[host].append(clock.now)
    for times in turns.values():
        gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert all(4.0 <= gap <= 6.0 + 1e-9 for gap in gaps)
    assert clock.now < 1000 + 3 * 6 + 1  # the sites did not wait for each other


def test_media_requests_do_not_wait_for_the_interval() -> None:
    pacer, clock = make(4.0)
    for _ in range(5):
        pacer.wait_turn("a.example", never, metadata=False)
    assert clock.waits == 0


@pytest.mark.parametrize(("host", "gap_s"), [("youtu.be", YOUTUBE_INTERVAL_S), ("a.example", 0.0)])
def test_default_intervals(host: str, gap_s: float) -> None:
    pacer, clock = make()
    pacer.wait_turn(host, never)
    pacer.wait_turn(host, never)
    assert gap_s <= clock.now - 1000 <= 1.5 * gap_s


def test_a_pause_holds_media_and_metadata_of_the_site_alone() -> None:
    pacer, clock = make()
    pacer.pause("www.youtube.com", 30)
    pacer.wait_turn("a.example", never)
    assert clock.now == 1000
    assert pacer.pause_left_s("youtu.be") == 30
    pacer.wait_turn("r1.googlevideo.com", never, metadata=False)
    assert 1030 <= clock.now <= 1030 + 0.05 * 30 + 1e-6
    assert pacer.pause_left_s("youtu.be") == 0


def test_a_longer_pause_that_comes_while_waiting_counts() -> None:
    pacer, clock = make()
    pacer.pause("a.example", 10)

    def lengthen() -> None:
        if 1005 < clock.now < 1006:
            pacer.pause("a.example", 20)

    pacer.wait_turn("a.example", lengthen)
    assert clock.now >= 1025


def test_a_shorter_pause_does_not_cut_a_longer_one() -> None:
    told: list[tuple[str, float]] = []
    pacer, _ = make(on_pause=lambda site, seconds: told.append((site, seconds)))
    pacer.pause("a.example", 60)
    pacer.pause("a.example", 5)
    assert pacer.pause_left_s("a.example") == 60
    assert told == [("a.example", 60)]


def test_unnamed_pauses_double_until_the_site_answers_well() -> None:
    told: list[float] = []
    pacer, clock = make(on_pause=lambda site, seconds: told.append(seconds))
    for _ in range(3):
        pacer.pause("a.example")
        pacer.pause("a.example")  # another thread, told the same
        pacer.succeeded("a.example")  # a third, whose answer was on its way
        pacer.wait_turn("a.example", never)
    assert told == [FIRST_PAUSE_S, 2 * FIRST_PAUSE_S, 4 * FIRST_PAUSE_S]
    pacer.succeeded("a.example")
    pacer.pause("a.example")
    assert told[-1] == FIRST_PAUSE_S
    for _ in range(12):
        clock.now += 2 * LONGEST_PAUSE_S
        pacer.pause("a.example")
    assert told[-1] == LONGEST_PAUSE_S


def test_too_long_a_pause_fails_instead_of_waiting() -> None:
    pacer, clock = make()
    pacer.pause("a.example", LONGEST_PAUSE_S + 60)
    with pytest.raises(ClipError, match=r"a\.example asks to be left alone") as caught:
        pacer.wait_turn("a.example", never)
    assert caught.value.reason is Reason.RATE_LIMITED
    assert caught.value.retry_after_s == LONGEST_PAUSE_S + 60
    clock.now += 61
    pacer.wait_turn("a.example", never)


def test_a_stop_ends_every_wait_within_a_second() -> None:
    pacer, clock = make(100.0, limit_rate=1.0)

    def stop() -> None:
        if clock.now >= began + 0.5:
            raise Stop

    pacer.wait_turn("a.example", never)
    pacer.pause("b.example", 100)
    waits: list[Callable[[], None]] = [
        lambda: pacer.wait_turn("a.example", stop),
        lambda: pacer.wait_turn("b.example", stop),
        lambda: pacer.throttle(1000, stop),
        lambda: pacer.wait(1000, stop),
    ]
    for wait in waits:
        began = clock.now
        with pytest.raises(Stop):
            wait()
        assert clock.now - began < 1


@given(
    sizes=st.lists(st.integers(0, 50_000), min_size=1, max_size=20),
    rate=st.integers(1000, 1_000_000),
)
def test_the_rate_is_kept_and_used(sizes: list[int], rate: int) -> None:
    pacer, clock = make(limit_rate=rate)
    for size in sizes:
        pacer.throttle(size, never)
    assert clock.now - 1000 == pytest.approx(sum(sizes) / rate, abs=1e-3)


def test_the_rate_is_shared_by_all_threads() -> None:
    pacer = Pacer(limit_rate=200_000)
    began = time.monotonic()

    def read() -> None:
        for _ in range(5):
            pacer.throttle(2_000, never)

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 0.4 <= time.monotonic() - began < 1.5  # 80,000 bytes


def test_no_more_than_so_many_connections_to_a_site() -> None:
    pacer = Pacer(max_per_site=3)
    at_work = most = 0
    lock = threading.Lock()
    hold = threading.Event()

    def work(host: str) -> None:
        nonlocal at_work, most
        with pacer.connection(host, never):
            with lock:
                at_work += 1
                most = max(most, at_work)
            hold.wait(0.02)
            with lock:
                at_work -= 1

    threads = [threading.Thread(target=work, args=(f"r{n}.googlevideo.com",)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 3


def test_waiting_for_a_connection_can_be_stopped() -> None:
    pacer, clock = make(max_per_site=1)

    def stop() -> None:
        if clock.now > 1001:
            raise Stop

    with pacer.connection("a.example", never):
        with pacer.connection("b.example", never):
            pass
        with pytest.raises(Stop), pacer.connection("a.example", stop):
            pytest.fail("there was no free connection")
    with pacer.connection("a.example", never):
        pass


def test_pickling_keeps_the_settings_alone() -> None:
    pacer = Pacer(2.0, max_per_site=6, limit_rate=900.0, on_pause=print)
    pacer.pause("a.example", 100)
    fresh = pickle.loads(pickle.dumps(pacer.scaled(3)))
    assert (fresh.max_per_site, fresh.limit_rate) == (2, 300)
    assert fresh.pause_left_s("a.example") == 0


def test_workers_together_keep_the_pace() -> None:
    one, _ = make()
    share = pickle.loads(pickle.dumps(one.scaled(4)))
    clock = Clock()
    share._clock, share._sleep = clock, clock.sleep
    for _ in range(2):
        share.wait_turn("other.example", never)
    assert clock.now == 1000
    for _ in range(2):
        share.wait_turn("youtube.com", never)
    assert clock.now - 1000 >= 4 * YOUTUBE_INTERVAL_S


@pytest.mark.parametrize(
    "options", [{"min_interval_s": -1}, {"max_per_site": 0}, {"limit_rate": 0}]
)
def test_numbers_out_of_range(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        Pacer(**options)  # type: ignore[arg-type]
