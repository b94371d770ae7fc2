from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimecurate.curation.pacing import LONGEST_PAUSE_S, Pacer
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
    assert pacer.paused_until("a.example") is None


def test_a_rate_limit_pauses_the_site_for_as_long_as_it_says() -> None:
    retrier, pacer, passing = make()
    error = ClipError(Reason.RATE_LIMITED, "HTTP Error 429", retry_after_s=33)
    retrier.failed(error, "www.a.example")
    assert pacer.paused_until("a.example") == 33
    pacer.wait_turn("a.example", never)
    assert passing.now >= 33


def test_a_robot_check_pauses_the_site_and_is_not_asked_again() -> None:
    retrier, pacer, _ = make()
    with pytest.raises(ClipError):
        retrier.failed(ClipError(Reason.LOGIN_REQUIRED, "confirm you're not a bot"), "youtu.be")
    assert pacer.paused_until("www.youtube.com") == 60


def test_too_long_a_wait_is_not_begun() -> None:
    retrier, _, passing = make()
    error = ClipError(Reason.RATE_LIMITED, "later", retry_after_s=LONGEST_PAUSE_S + 1)
    with pytest.raises(ClipError):
        retrier.failed(error, "a.example")
    assert passing.now == 0


def test_a_stop_is_not_taken_for_a_failure() -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Retrier(RetryPolicy(9, 0, 0), Pacer(), stop).failed(ConnectionError(), "a.example")
