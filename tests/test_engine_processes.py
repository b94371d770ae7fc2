"""The engine with worker processes: crashes, things that can't be sent, and nothing left behind."""

from __future__ import annotations

import builtins
import multiprocessing
import multiprocessing.connection
import os
import pickle
import random
import signal
import subprocess
import sys
import threading
import time
import types
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mimecurate.curation import engine
from mimecurate.curation.engine_local import ProcessWorker
from mimecurate.errors import ClipError, MimecurateError, Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# The function of most tests: every worker can load it, and each item says what to do.
evaluate: Callable[[str], Any] = builtins.eval
OS = "__import__('os')"


def wait_until(is_true: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    """Whether the process exists and is not a zombie."""
    if not Path("/proc/self/stat").exists():  # not Linux
        return subprocess.run(["ps", "-p", str(pid)], capture_output=True).returncode == 0
    try:
        return not Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].startswith(" Z")
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture(autouse=True)
def _no_process_left_behind() -> Iterator[None]:
    yield
    assert multiprocessing.active_children() == []


@pytest.fixture
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "GRACE_S", 0.2)


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
    assert worker._process is not None
    os.kill(first.value, signal.SIGKILL)
    multiprocessing.connection.wait([worker._process.sentinel])  # all its threads have ended
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
