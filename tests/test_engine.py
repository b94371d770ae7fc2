from __future__ import annotations

import collections
import itertools
import logging
import sqlite3
import sys
import threading
import time
import tracemalloc
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mimecurate.curation import engine
from mimecurate.errors import MimecurateError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def engine_threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == "mimecurate-worker"]


def wait_until(is_true: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    yield
    wait_until(lambda: not engine_threads())


@pytest.fixture
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "GRACE_S", 0.2)


class Scripted:
    """A function whose items are (name, number of results, whether it fails after them)."""

    def flat(self, item: tuple[int, int, bool]) -> Iterator[tuple[int, int]]:
        name, count, fails = item
        for n in range(count):
            yield name, n
        if fails:
            raise ValueError(name)

    def one(self, item: tuple[int, int, bool]) -> int:
        if item[2]:
            raise ValueError(item[0])
        return item[0]


scripts = st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=30).map(
    lambda items: [(name, *item) for name, item in enumerate(items)]
)


@settings(max_examples=60, deadline=None)
@given(items=scripts, workers=st.integers(1, 6))
def test_each_item_gives_its_results_in_order_and_one_end(
    items: list[tuple[int, int, bool]], workers: int
) -> None:
    values = collections.defaultdict(list)
    ends = {}
    for outcome in engine.flat_map(Scripted().flat, items, workers=workers):
        assert outcome.item not in ends
        if outcome.is_last:
            assert outcome.value is None
            ends[outcome.item] = outcome.error
        else:
            assert outcome.error is None
            values[outcome.item].append(outcome.value)
    assert set(ends) == set(items)
    for item in items:
        name, count, fails = item
        assert values[item] == [(name, n) for n in range(count)]
        assert repr(ends[item]) == (f"ValueError({name})" if fails else "None")


@settings(max_examples=60, deadline=None)
@given(items=scripts, workers=st.integers(1, 6))
def test_map_gives_one_outcome_per_item(items: list[tuple[int, int, bool]], workers: int) -> None:
    outcomes = list(engine.map(Scripted().one, items, workers=workers))
    assert all(o.is_last for o in outcomes)
    assert sorted(o.item for o in outcomes) == items
    for outcome in outcomes:
        fails = outcome.item[2]
        assert outcome.value == (None if fails else outcome.item[0])
        assert isinstance(outcome.error, ValueError) is fails


@settings(max_examples=60, deadline=None)
@given(items=scripts, workers=st.integers(1, 6), wanted=st.integers(0, 40), broken=st.booleans())
def test_an_early_end_takes_few_items_and_leaves_no_thread(
    items: list[tuple[int, int, bool]], workers: int, wanted: int, broken: bool
) -> None:
    taken = 0

    def source() -> Iterator[tuple[int, int, bool]]:
        nonlocal taken
        for item in items:
            taken += 1
            yield item
        if broken:
            raise OSError("the list ends here")

    seen = set()
    ended = 0
    outcomes = engine.flat_map(Scripted().flat, source(), workers=workers)
    try:
        for outcome in itertools.islice(outcomes, wanted):
            assert taken <= ended + 2 * workers  # the end seen now counts from the next step on
            ended += outcome.is_last
            assert (outcome.item, outcome.value) not in seen
            seen.add((outcome.item, outcome.value))
    except OSError:
        assert broken
        assert ended == len(items), "raised before what was in flight"
    outcomes.close()
    assert engine_threads() == []


def test_results_come_while_the_function_still_runs() -> None:
    received = threading.Event()

    def two_steps(item: str) -> Iterator[str]:
        yield item
        assert received.wait(10), "the first result was held back"
        yield item * 2

    values = []
    for outcome in engine.flat_map(two_steps, ["a"], workers=1):
        values.append(outcome.value)
        received.set()
    assert values == ["a", "aa", None]


def test_a_slow_item_does_not_hold_up_the_others() -> None:
    others_done = threading.Event()

    def work(item: int) -> int:
        assert item or others_done.wait(10)
        return item

    outcomes = engine.map(work, range(20), workers=2)
    first = [next(outcomes).item for _ in range(3)]
    assert 0 not in first
    others_done.set()
    assert sorted(first + [o.item for o in outcomes]) == list(range(20))


def test_a_slow_caller_stops_the_workers() -> None:
    made = itertools.count()

    def endless(item: int) -> Iterator[int]:
        for _ in itertools.count():
            yield next(made)

    workers = 3
    with closing(engine.flat_map(endless, range(9), workers=workers)) as outcomes:
        next(outcomes)
        time.sleep(0.2)
        most = 1 + 2 * workers + workers  # given, in the queue, in the hands of workers
        assert next(made) <= most


def test_an_endless_list_is_fine() -> None:
    with closing(engine.map(str, itertools.count(), workers=2)) as outcomes:
        assert len(list(itertools.islice(outcomes, 100))) == 100


def test_nothing_is_taken_before_the_first_outcome_is_wanted() -> None:
    def source() -> Iterator[int]:
        raise AssertionError
        yield 1

    engine.map(str, source(), workers=1).close()


def test_items_may_come_from_this_threads_database() -> None:
    db = sqlite3.connect(":memory:")
    with closing(db):
        db.execute("CREATE TABLE numbers AS SELECT value FROM json_each('[1, 2, 3]')")
        rows = db.execute("SELECT value FROM numbers")
        assert sorted(str(o.value) for o in engine.map(str, rows, workers=2)) == [
            "(1,)",
            "(2,)",
            "(3,)",
        ]


def test_what_the_list_raises_comes_after_the_outcomes() -> None:
    def source() -> Iterator[int]:
        yield from range(3)
        raise OSError("unreadable")

    outcomes = engine.map(str, source(), workers=4)
    assert sorted(next(outcomes).item for _ in range(3)) == [0, 1, 2]
    with pytest.raises(OSError, match="unreadable"):
        next(outcomes)


def test_ctrl_c_while_the_list_blocks_ends_at_once() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(engine.map(str, source(), workers=1))


def test_ctrl_c_in_the_loop_ends_the_workers() -> None:
    def interrupt() -> None:
        for _ in engine.map(str, itertools.count(), workers=3):
            assert engine_threads()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupt()
    assert engine_threads() == []


def test_closing_lets_generators_clean_up() -> None:
    started, cleaned = [], []

    def work(item: int) -> Iterator[int]:
        started.append(item)
        try:
            yield from itertools.repeat(item)
        finally:
            cleaned.append(item)

    outcomes = engine.flat_map(work, [1, 2], workers=2)
    next(outcomes)
    wait_until(lambda: len(started) == 2)
    outcomes.close()
    assert sorted(cleaned) == [1, 2]


def test_closing_drops_the_queue_and_waits_for_what_runs() -> None:
    started, finished = [], []

    def work(item: int) -> None:
        started.append(item)
        if item:
            time.sleep(0.3)
        finished.append(item)

    outcomes = engine.map(work, range(9), workers=2)
    next(outcomes)
    wait_until(lambda: len(started) == 3)
    outcomes.close()
    assert sorted(finished) == sorted(started) == [0, 1, 2]


@pytest.mark.usefixtures("short_grace")
def test_a_hanging_thread_is_left_behind_and_said(caplog: pytest.LogCaptureFixture) -> None:
    freed = threading.Event()
    outcomes = engine.map(lambda item: item and freed.wait(30), [0, 1, 1], workers=2)
    next(outcomes)
    began = time.monotonic()
    with caplog.at_level(logging.WARNING):
        outcomes.close()
    assert time.monotonic() - began < 2
    assert "did not end in time" in caplog.text
    assert all(thread.daemon for thread in engine_threads())
    freed.set()


def test_a_librarys_exit_is_only_the_items_failure() -> None:
    (outcome,) = engine.map(sys.exit, ["no such option"], workers=1)
    assert isinstance(outcome.error, MimecurateError)
    assert "SystemExit('no such option')" in str(outcome.error)


def test_a_function_that_is_not_flat_fails_its_items() -> None:
    (outcome,) = engine.flat_map(abs, [-1], workers=1)  # type: ignore[arg-type, var-annotated]
    assert isinstance(outcome.error, TypeError)
    assert outcome.is_last


def test_misuse() -> None:
    with pytest.raises(ValueError, match="workers is 0"):
        engine.map(str, [], workers=0)
    with pytest.raises(ValueError, match="'slurm'; it must be 'local' or 'ray'"):
        engine.map(str, [], workers=1, engine="slurm")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="can't be sent to a worker process"):
        engine.map(lambda item: item, [], workers=1, processes=True)


def test_ray_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"mimecurate\[cluster\]"):
        engine.map(str, [], workers=1, engine="ray")


def test_memory_is_flat_over_40_000_items() -> None:
    outcomes = engine.map(str, iter(range(40_000)), workers=4)
    for _ in itertools.islice(outcomes, 1000):
        pass
    tracemalloc.start()
    try:
        count = sum(1 for _ in outcomes)
        assert tracemalloc.get_traced_memory()[1] < 300_000  # bytes, at the peak
    finally:
        tracemalloc.stop()
    assert count == 39_000
