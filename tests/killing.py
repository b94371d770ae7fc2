"""Runs a command and kills it, as a power cut would, until it gets to its end by itself."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest
from testbed import need

When = float | Callable[[], bool]
"""Seconds after the start, or a question that is asked every few milliseconds until it is true."""

_POLL_S = 0.005


@dataclass(frozen=True, slots=True)
class Run:
    """One start of a command and how it ended."""

    returncode: int
    """Negative: ended by that signal."""
    stdout: str
    stderr: str
    seconds: float
    struck: bool
    """Whether the signal was sent, the command having not yet ended."""


def run_and_strike(
    command: Sequence[str | Path],
    when: When | None = None,
    number: signal.Signals = signal.SIGKILL,
    *,
    timeout_s: float = 60,
) -> Run:
    """Run a command in a process group of its own and send a signal to the whole group.

    Whatever is left of the group at the end is killed.

    Args:
        command: the program and its arguments.
        when: the moment to strike; None: never.
        number: the signal; SIGKILL leaves no time to tidy up.
        timeout_s: the test fails where the command runs longer.
    """
    began = time.monotonic()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
        struck = False
        try:
            while not _has_ended(process.pid):
                elapsed = time.monotonic() - began
                if elapsed > timeout_s:
                    pytest.fail(
                        f"still running after {timeout_s} s: {process.args!r}\n"
                        f"{_text(out)}\n{_text(err)}"
                    )
                if not struck and when is not None and _is_due(when, elapsed):
                    os.killpg(process.pid, number)
                    struck = True
                time.sleep(_POLL_S)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        seconds = time.monotonic() - began
        return Run(process.returncode, _text(out), _text(err), seconds, struck)


def run_until_done(
    command: Sequence[str | Path],
    strikes: Iterable[When],
    number: signal.Signals = signal.SIGKILL,
    *,
    timeout_s: float = 60,
    max_runs: int = 100,
) -> list[Run]:
    """Run a command again and again, striking each run, until one ends by itself.

    Args:
        command: the program and its arguments, the same each time.
        strikes: when to strike each run; once they are used up, runs are left alone.
        number: the signal.
        timeout_s: for each run; the test fails where one takes longer.
        max_runs: the test fails where so many runs did not suffice: nothing was gained by them.

    Returns:
        All runs; only the last was not struck.
    """
    moments = iter(strikes)
    runs: list[Run] = []
    while len(runs) < max_runs:
        run = run_and_strike(command, next(moments, None), number, timeout_s=timeout_s)
        runs.append(run)
        if not run.struck:
            return runs
    pytest.fail(f"struck {max_runs} times and never done; the last said:\n{runs[-1].stderr}")


@contextmanager
def small_disk(size_bytes: int) -> Iterator[Path]:
    """A file system of its own that is full after ``size_bytes``: writes fail with ENOSPC.

    Mounted in memory, which only root may do: without, the test is skipped.
    """
    mount = shutil.which("mount")
    need("root", mount and os.geteuid() == 0, "only root can mount a small file system")
    folder = Path(tempfile.mkdtemp(prefix="small-disk-"))
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", folder],
        capture_output=True,
        text=True,
    )
    try:
        need("root", done.returncode == 0, f"mount refused: {done.stderr.strip()}")
        yield folder
    finally:
        if done.returncode == 0:
            subprocess.run(["umount", "--lazy", folder], check=True)
        folder.rmdir()


def _has_ended(pid: int) -> bool:
    """Whether a child has ended; it is not reaped, so that its group's number stays taken."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _is_due(when: When, elapsed_s: float) -> bool:
    return when() if callable(when) else elapsed_s >= when


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace")
