from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimecurate.curation.pacing import (
    LONGEST_PAUSE_S,
    Pacer,
    PauseTooLongError,
    SitePausedError,
)
from mimecurate.curation.retrying import Retrier, RetryPolicy
from mimecurate.errors import ClipError, Reason


class Time:
    """A clock that passes by sleeping, and notes each wait."""

    def __init__(self) -> None:
        self.now = 0.0

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def never() -> None:
    """Nobody stops the run."""


def make(retries: int = 3) -> tuple[Retrier, Pacer, Time]:
    passing = Time()
    pacer = Pacer(clock=passing.clock, sleep=passing.sleep)
    return Retrier(RetryPolicy(retries, 1.0, 8.0), pacer, never), pacer, passing


@given(attempt=st.integers(1, 5000), backoff=st.floats(0, 100), most=st.floats(0, 1000))
def test_waits_double_up_to_a_limit(attempt: int, backoff: float, most: float) -> None:
    wait = RetryPolicy(5, backoff, most).wait_s(attempt)
    least = min(backoff * 2.0 ** min(attempt - 1, 60), most)
    assert least <= wait <= 1.5 * least


def test_temporary_failures_are_waited_out_then_raised() -> None:
    retrier, _, passing = make(retries=3)
    waits = []
    for _ in range(3):
        before = passing.now
        retrier.failed(ConnectionError("reset"), "a.example")
        waits.append(passing.now - before)
    for expected, wait in zip((1, 2, 4), waits, strict=True):
        assert expected <= wait <= 1.5 * expected + 1e-9
    with pytest.raises(ClipError, match="reset") as caught:
        retrier.failed(ConnectionError("reset"), "a.example")
    assert caught.value.reason is Reason.NETWORK


def test_progress_starts_the_count_again() -> None:
    retrier, _, _ = make(retries=1)
    for _ in range(5):
        retrier.failed(TimeoutError(), "a.example")
        retrier.progressed()


@pytest.mark.parametrize(
    "reason", [r for r in Reason if r not in {"network", "timeout", "rate_limited"}]
)
def test_what_does_not_pass_is_raised_at_once(reason: Reason) -> None:
    retrier, pacer, passing = make()
    with pytest.raises(ClipError) as caught:
        retrier.failed(ClipError(reason, "gone"), "a.example")
    assert (caught.value.reason, passing.now) == (reason, 0)
    assert pacer.pause_left_s("a.example") == 0


def test_a_rate_limit_pauses_the_site_for_as_long_as_it_says() -> None:
    retrier, pacer, passing = make()
    error = ClipError(Reason.RATE_LIMITED, "HTTP Error 429", retry_after_s=33)
    retrier.failed(error, "www.a.example")
    assert passing.now + pacer.pause_left_s("a.example") == pytest.approx(33)
    pacer.wait_turn("a.example", never)
    assert passing.now >= 33


def test_a_robot_check_pauses_the_site_and_is_not_asked_again() -> None:
    retrier, pacer, _ = make()
    with pytest.raises(ClipError):
        retrier.failed(ClipError(Reason.LOGIN_REQUIRED, "confirm you're not a bot"), "youtu.be")
    assert pacer.pause_left_s("www.youtube.com") == 60


def test_too_long_a_wait_is_not_begun() -> None:
    retrier, _, passing = make()
    error = ClipError(Reason.RATE_LIMITED, "later", retry_after_s=LONGEST_PAUSE_S + 1)
    with pytest.raises(ClipError):
        retrier.failed(error, "a.example")
    assert passing.now == 0


def test_a_pause_that_is_too_long_to_sit_out_is_raised_with_the_failures_so_far() -> None:
    _, pacer, passing = make()
    pacer.sit_out_s = 5
    retrier = Retrier(RetryPolicy(3, 1.0, 8.0, failed_before=2), pacer, never)
    limited = ClipError(Reason.RATE_LIMITED, "later", retry_after_s=30)
    with pytest.raises(SitePausedError) as caught:
        retrier.failed(limited, "a.example")
    assert (caught.value.failures, caught.value.pause_s, passing.now) == (3, 30, 0)
    with pytest.raises(SitePausedError) as met:  # not caused: no failure of this one
        retrier.failed(SitePausedError("a.example", 30), "a.example")
    assert met.value.failures == 3
    with pytest.raises(ClipError, match="later"):  # the fourth is one too many
        retrier.failed(limited, "a.example")


def test_a_pause_that_nobody_waits_for_is_announced_once() -> None:
    told: list[float] = []
    passing = Time()
    clock, sleep = passing.clock, passing.sleep
    pacer = Pacer(clock=clock, sleep=sleep, on_pause=lambda site, seconds: told.append(seconds))
    pacer.pause("a.example", LONGEST_PAUSE_S + 100)
    for _ in range(3):
        passing.now += 1
        with pytest.raises(PauseTooLongError) as caught:
            pacer.wait_turn("a.example", never)
        with pytest.raises(PauseTooLongError):
            Retrier(RetryPolicy(3, 1, 8), pacer, never).failed(caught.value, "a.example")
    assert told == [LONGEST_PAUSE_S + 100]


def test_a_stop_is_not_taken_for_a_failure() -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Retrier(RetryPolicy(9, 0, 0), Pacer(), stop).failed(ConnectionError(), "a.example")
