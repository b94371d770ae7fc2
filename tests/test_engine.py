from __future__ import annotations

import builtins
import collections
import itertools
import logging
import multiprocessing
import os
import pickle
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import tracemalloc
import types
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mimecurate.curation import engine
from mimecurate.curation.engine_local import ProcessWorker
from mimecurate.errors import ClipError, MimecurateError, MissingExtraError, Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# The function of tests with processes: every worker can load it, and each item says what to do.
evaluate: Callable[[str], Any] = builtins.eval
OS = "__import__('os')"


def engine_threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == "mimecurate-worker"]


def wait_until(is_true: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    """Whether the process exists and is not a zombie."""
    try:
        status = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True)
    except ProcessLookupError:
        return False
    return bool(status.stdout.strip()) and not status.stdout.lstrip().startswith(b"Z")


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    yield
    wait_until(lambda: not engine_threads())
    assert multiprocessing.active_children() == []


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
    cleaned = []

    def work(item: int) -> Iterator[int]:
        try:
            yield from itertools.repeat(item)
        finally:
            cleaned.append(item)

    outcomes = engine.flat_map(work, [1, 2], workers=2)
    next(outcomes)
    wait_until(lambda: len(engine_threads()) == 2)
    outcomes.close()
    assert sorted(cleaned) in ([1, 2], [1], [2])
    assert cleaned


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


# Worker processes


def test_processes_give_results_errors_and_survive_crashes() -> None:
    odd_error = "(_ for _ in ()).throw(type('OddError', (Exception,), {})('odd'))"
    clip_error = (
        "(_ for _ in ()).throw((e := __import__('mimecurate.errors').errors)"
        ".ClipError(e.Reason.PRIVATE, 'private', retry_after_s=2))"
    )
    own_arguments = (
        "(_ for _ in ()).throw(__import__('mimecurate.errors').errors.MissingExtraError('x', 'y'))"
    )
    expected = {
        "6 * 7": "42",
        "1 / 0": "ZeroDivisionError",
        "lambda: 0": "PicklingError|AttributeError|MimecurateError",
        odd_error: "OddError: odd",
        own_arguments: "MissingExtraError: x is not installed",
        f"{OS}._exit(3)": "ended with status 3",
        f"{OS}.kill({OS}.getpid(), 9)": "SIGKILL",
        f"{OS}.abort()": "SIGABRT",
        "__import__('sys').exit(4)": "SystemExit",
    }
    outcomes = {
        o.item: o for o in engine.map(evaluate, [*expected, clip_error], workers=2, processes=True)
    }
    assert outcomes["6 * 7"].value == 42
    division = outcomes["1 / 0"].error
    assert isinstance(division, ZeroDivisionError)
    assert "ZeroDivisionError" in division.__notes__[0]
    private = outcomes[clip_error].error
    assert isinstance(private, ClipError)
    assert (private.reason, private.retry_after_s) == (Reason.PRIVATE, 2)
    for item in list(expected)[2:]:
        error = outcomes[item].error
        assert isinstance(error, MimecurateError)
        assert any(words in str(error) for words in expected[item].split("|")), (item, error)


def test_items_are_the_callers_objects_and_need_only_be_picklable() -> None:
    unpicklable: Any = threading.Lock()
    outcomes = list(engine.map(repr, [unpicklable, "a"], workers=1, processes=True))
    assert outcomes[0].item is unpicklable
    assert isinstance(outcomes[0].error, TypeError)
    assert outcomes[1].value == "'a'"


def test_a_result_that_cannot_be_sent_ends_its_item_only() -> None:
    items = ["[1, lambda: 0, 3]", "[5]"]
    outcomes = list(engine.flat_map(evaluate, items, workers=1, processes=True))
    assert [(o.item, o.value, o.is_last) for o in outcomes] == [
        (items[0], 1, False),
        (items[0], None, True),
        (items[1], 5, False),
        (items[1], None, True),
    ]
    assert isinstance(outcomes[1].error, MimecurateError)
    assert outcomes[3].error is None


def test_a_result_that_cannot_be_read_here_ends_its_item_only() -> None:
    make_class = (
        "import sys, types; m = sys.modules['there'] = types.ModuleType('there');"
        "exec('class X: pass', m.__dict__ | {'__name__': 'there'}, m.__dict__)"
    )
    items = [f"[1, (exec({make_class!r}), __import__('there').X())[1], 3]", "[5]"]
    outcomes = list(engine.flat_map(evaluate, items, workers=1, processes=True))
    assert [o.value for o in outcomes] == [1, None, 5, None]
    assert repr(outcomes[1].error) == """ModuleNotFoundError("No module named 'there'")"""


def test_a_death_is_noticed_though_programs_live_on_with_all_files_open() -> None:
    start = "__import__('subprocess').Popen(['sleep', '600'], close_fds=False)"
    (outcome,) = engine.map(evaluate, [f"({start}, {OS}._exit(5))"], workers=1, processes=True)
    assert "ended with status 5" in str(outcome.error)


def test_a_killed_worker_starts_no_process() -> None:
    worker = ProcessWorker(pickle.dumps(evaluate), is_flat=False)
    assert worker.kill()
    with pytest.raises(MimecurateError, match="stopped"):
        next(worker.steps("1"))


def test_a_process_works_on_many_items_until_it_dies() -> None:
    pid, death = f"{OS}.getpid()", f"{OS}._exit(1)"
    outcomes = list(engine.map(evaluate, [pid, pid, death, pid, pid], workers=1, processes=True))
    first, again, dead, second, last = (o.value for o in outcomes)
    assert dead is None
    assert first == again != second == last
    assert os.getpid() not in (first, second)


def test_a_process_keeps_what_the_function_keeps() -> None:
    outcomes = engine.map(random.Random(7).randrange, [999] * 5, workers=1, processes=True)
    expected = random.Random(7)
    assert [o.value for o in outcomes] == [expected.randrange(999) for _ in range(5)]


def test_a_process_killed_between_items_is_replaced() -> None:
    worker = ProcessWorker(pickle.dumps(evaluate), is_flat=False)
    (first,) = worker.steps(f"{OS}.getpid()")
    os.kill(first.value, signal.SIGKILL)
    wait_until(lambda: not is_running(first.value))
    (second,) = worker.steps(f"{OS}.getpid()")
    worker.close()
    assert second.error is None
    assert second.value != first.value


def test_flat_processes_wait_for_a_slow_caller(tmp_path: Path) -> None:
    log = tmp_path / "made"
    log.touch()
    item = f"(open({str(log)!r}, 'a').write('x') for _ in range(1000))"
    with closing(engine.flat_map(evaluate, [item], workers=1, processes=True)) as outcomes:
        assert next(outcomes).value == 1
        time.sleep(0.2)
        # given, two in the queue, one in the hands of the thread, one of the process
        assert 1 <= log.stat().st_size <= 5
        assert sum(o.is_last for o in outcomes) == 1
    assert log.stat().st_size == 1000


START_SLEEPER = "__import__('subprocess').Popen(['sleep', '600']).pid"
HANG = "__import__('time').sleep(600)"


@pytest.mark.usefixtures("short_grace")
def test_closing_kills_hanging_processes_and_what_they_started() -> None:
    item = f"(eval(e) for e in [{(OS + '.getpid()')!r}, {START_SLEEPER!r}, {HANG!r}])"
    outcomes = engine.flat_map(evaluate, [item], workers=1, processes=True)
    pids = [int(next(outcomes).value or 0) for _ in range(2)]
    assert all(map(is_running, pids))
    began = time.monotonic()
    outcomes.close()
    assert time.monotonic() - began < 5
    wait_until(lambda: not any(map(is_running, pids)))


def test_nothing_outlives_a_killed_caller(tmp_path: Path) -> None:
    script = tmp_path / "caller.py"
    script.write_text(
        "from mimecurate.curation import engine\n"
        "if __name__ == '__main__':\n"
        f"    item = '''[{OS}.getpid(), {START_SLEEPER}]'''\n"
        f"    for o in engine.map(eval, [item, {HANG!r}], workers=1, processes=True):\n"
        "        print(*o.value, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE) as caller:
        assert caller.stdout is not None
        pids = [int(word) for word in caller.stdout.readline().split()]
        assert len(pids) == 2
        time.sleep(0.2)
        caller.kill()
    wait_until(lambda: not any(map(is_running, pids)))


def test_ctrl_c_in_a_terminal_says_nothing_but_what_the_caller_says(tmp_path: Path) -> None:
    """The interrupt goes to the whole process group, as a terminal sends it, at any moment."""
    script = tmp_path / "caller.py"
    script.write_text(
        "import sys\n"
        "from mimecurate.curation import engine\n"
        "if __name__ == '__main__':\n"
        "    engine.GRACE_S = 0.2\n"
        "    try:\n"
        "        print('started', flush=True)\n"
        f"        list(engine.map(eval, [{HANG!r}] * 2, workers=2, processes=True))\n"
        "    except KeyboardInterrupt:\n"
        "        sys.exit(9)\n"
    )
    for delay_s in (0, 0.05, 0.15, 0.4):
        with subprocess.Popen(
            [sys.executable, script],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        ) as caller:
            try:
                assert caller.stdout is not None
                assert caller.stdout.readline() == b"started\n"
                time.sleep(delay_s)
                os.killpg(caller.pid, signal.SIGINT)
                _, words = caller.communicate(timeout=30)
            finally:
                caller.kill()
        assert (caller.returncode, words) == (9, b"")


def test_a_function_that_workers_cannot_load_ends_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = types.ModuleType("only_here")
    exec("def work(item): return item", module.__dict__)
    monkeypatch.setitem(sys.modules, "only_here", module)
    with pytest.raises(MimecurateError, match="could not start: No module named 'only_here'"):
        list(engine.map(module.work, [1, 2, 3], workers=2, processes=True))


def test_a_script_without_a_main_guard_ends_with_an_error(tmp_path: Path) -> None:
    script = tmp_path / "unguarded.py"
    script.write_text(
        "from mimecurate.curation import engine\n"
        "list(engine.map(str, [1], workers=1, processes=True))\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "a worker process could not start: it ended with status 1" in done.stderr
