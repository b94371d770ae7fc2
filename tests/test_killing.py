from __future__ import annotations

import errno
import os
import signal
import sys
import time
from itertools import repeat
from typing import TYPE_CHECKING

import pytest
from killing import run_and_strike, run_until_done, small_disk

if TYPE_CHECKING:
    from pathlib import Path

STEP = """
import pathlib, sys, time
log = pathlib.Path(sys.argv[1])
print("started", flush=True)
while log.stat().st_size < 5:
    time.sleep(0.05)
    with log.open("ab") as file:
        file.write(b"x")
"""
CHILD = """
import pathlib, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
pathlib.Path(sys.argv[1]).write_text(str(child.pid))
time.sleep(float(sys.argv[2]))
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log"
    path.touch()
    return path


def python(code: str, *arguments: object) -> list[str]:
    return [sys.executable, "-S", "-c", code, *map(str, arguments)]


def _lives(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _has_gone(pid: int) -> bool:
    deadline = time.monotonic() + 5
    while _lives(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not _lives(pid)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_strikes_when_the_moment_has_come(log: Path, number: signal.Signals) -> None:
    run = run_and_strike(python(STEP, log), lambda: log.stat().st_size >= 2, number)
    assert (run.returncode, run.struck, run.stdout) == (-number, True, "started\n")
    assert 2 <= log.stat().st_size < 5


def test_it_leaves_a_run_alone_without_a_moment() -> None:
    run = run_and_strike(python("import sys; print('out'); sys.exit('err')"))
    assert (run.returncode, run.stdout, run.stderr, run.struck) == (1, "out\n", "err\n", False)


def test_it_lets_a_run_tidy_up() -> None:
    code = "import time\ntry: time.sleep(60)\nexcept KeyboardInterrupt: print('tidied')"
    run = run_and_strike(python(code), 0.5, signal.SIGINT)
    assert (run.returncode, run.stdout, run.struck) == (0, "tidied\n", True)
    assert 0.5 <= run.seconds < 30


@pytest.mark.parametrize("seconds", [60, 0], ids=["struck", "ended by itself"])
def test_children_are_killed_too(log: Path, seconds: float) -> None:
    run = run_and_strike(python(CHILD, log, seconds), lambda: seconds > 0 and bool(log.read_text()))
    assert run.struck == (seconds > 0)
    assert _has_gone(int(log.read_text()))


def test_work_that_goes_on_where_it_stopped_gets_done(log: Path) -> None:
    strikes = [lambda: log.stat().st_size >= 1, lambda: log.stat().st_size >= 3]
    runs = run_until_done(python(STEP, log), strikes)
    assert [run.returncode for run in runs] == [-9, -9, 0]
    assert log.read_bytes() == b"xxxxx"


def test_work_that_never_gets_done_fails_the_test(log: Path) -> None:
    command = python("import time; time.sleep(60)")
    with pytest.raises(pytest.fail.Exception, match="struck 3 times and never done"):
        run_until_done(command, repeat(0.05), max_runs=3)


def test_a_run_without_end_fails_the_test(log: Path) -> None:
    with pytest.raises(pytest.fail.Exception, match=r"still running after 1\.5 s"):
        run_and_strike(python(CHILD, log, 60), timeout_s=1.5)
    assert _has_gone(int(log.read_text()))


def test_a_small_disk_gets_full() -> None:
    with small_disk(1 << 20) as disk:
        (disk / "fits").write_bytes(bytes(500_000))
        with pytest.raises(OSError, match="No space") as caught:
            (disk / "too-large").write_bytes(bytes(1_000_000))
        assert caught.value.errno == errno.ENOSPC
    assert not os.path.exists(disk)
