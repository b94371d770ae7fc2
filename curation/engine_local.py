"""Workers on this machine: in a thread, or in a process that a thread looks after."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import threading
from multiprocessing import connection, resource_tracker
from typing import TYPE_CHECKING, Any

from mimecurate.curation.engine_steps import Step, is_last, pack, packed_steps, run_steps, unpack
from mimecurate.errors import MimecurateError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from multiprocessing.context import SpawnProcess

_EXIT_S = 2.0
"""How long an idle worker process may take to end by itself."""

_spawn = multiprocessing.get_context("spawn")
_children = threading.Lock()
"""Held while a child is started or reaped: `Process.start` reaps every child that has ended, and
of two threads that reap the same one, the second never learns its exit status."""


class ThreadWorker:
    """Runs the function in the calling thread."""

    def __init__(self, fn: Callable[[Any], Any], *, is_flat: bool) -> None:
        """Keep ``fn``."""
        self._fn = fn
        self._is_flat = is_flat

    def steps(self, item: Any) -> Generator[Step, None, None]:
        """Run the function on ``item``."""
        return run_steps(self._fn, item, is_flat=self._is_flat)

    def close(self) -> None:
        """Nothing is held."""

    def kill(self) -> bool:
        """A thread can't be ended from outside: it is left behind, and ends with the program."""
        return False


class ProcessWorker:
    """Runs the function in a process, started for the first item and again when it has died.

    The process waits after each result until it has been taken, so it is never more than one
    result ahead. It leads a process group, which ends with it: nothing that the function started
    stays behind, and Ctrl-C in the terminal reaches only the caller.
    """

    def __init__(self, fn: bytes, *, is_flat: bool) -> None:
        """Keep ``fn``, a pickled function."""
        self._fn = fn
        self._is_flat = is_flat
        self._is_killed = False
        self._process: SpawnProcess | None = None
        self._pipe: connection.Connection[bytes, bytes] | None = None

    def steps(self, item: Any) -> Generator[Step, None, None]:
        """Run the function on ``item`` in the process."""
        try:
            packed_item = pickle.dumps(item)
        except Exception as error:
            yield Step(None, error, is_last=True)
            return
        pipe = self._connected()
        is_finished = False
        try:
            pipe.send_bytes(packed_item)
            while not is_finished:
                packed = pipe.recv_bytes()
                is_finished = is_last(packed)
                yield (step := unpack(packed))
                if step.is_last:
                    return
                pipe.send_bytes(b"next")
        except (EOFError, OSError):
            died = MimecurateError(f"the worker process {self._reap()} while it had this item")
            yield Step(None, died, is_last=True)
        finally:
            if not is_finished:
                self.close()

    def close(self) -> None:
        """End the process: it stops when its pipe closes, else it is killed."""
        self._reap()

    def kill(self) -> bool:
        """End the process now; `steps` then says that it died."""
        with _children:
            self._is_killed = True
            if self._process is not None:
                _kill_group(self._process)
        return True

    def _connected(self) -> connection.Connection[bytes, bytes]:
        """The pipe to a living process."""
        if self._process is not None and connection.wait([self._process.sentinel], timeout=0):
            self._reap()
        return self._pipe or self._start()

    def _start(self) -> connection.Connection[bytes, bytes]:
        self._pipe, theirs = _spawn.Pipe()
        process = _spawn.Process(
            target=_serve, args=(theirs, self._fn, self._is_flat), name="mimecurate", daemon=True
        )
        with _children, theirs, _interrupts_blocked():
            if self._is_killed:
                raise MimecurateError("the run has been stopped")
            process.start()
            self._process = process
        try:
            problem = unpack(self._pipe.recv_bytes()).error
        except (EOFError, OSError):
            problem = MimecurateError(f"it {self._reap()}")
        if problem is not None:
            raise MimecurateError(f"a worker process could not start: {problem}") from problem
        return self._pipe

    def _reap(self) -> str:
        """End the process if it lives, and say how it ended."""
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None
        process = self._process
        if process is None:
            return "is gone"
        connection.wait([process.sentinel], timeout=_EXIT_S)
        with _children:
            _kill_group(process)
            process.join()
            status = process.exitcode
            process.close()
            self._process = None
        return _ending(status)


@contextlib.contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Start children with SIGINT blocked: Ctrl-C may come before they have left our group."""
    if os.name != "posix":
        yield
        return
    resource_tracker.ensure_running()  # starting it, as the first child does, would unblock SIGINT
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _kill_group(process: SpawnProcess) -> None:
    """Kill the process and all that it started. It must not have been reaped."""
    if os.name == "posix" and process.pid is not None:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # no group yet, or only
            os.killpg(process.pid, signal.SIGKILL)  # a zombie, which macOS refuses
    process.kill()


def _ending(status: int | None) -> str:
    if status == -signal.SIGKILL:
        return "was killed (SIGKILL; the system does this when memory runs out)"
    if status is not None and status < 0:
        return f"was killed by {signal.Signals(-status).name}"
    return f"ended with status {status}"


def _serve(pipe: connection.Connection[bytes, bytes], fn: bytes, is_flat: bool) -> None:
    """The worker process: items in, steps out, until the other end of ``pipe`` closes."""
    if os.name == "posix":
        os.setsid()
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # also forgets one that waits
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        os.set_inheritable(pipe.fileno(), False)  # programs that fn starts must not hold it open
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        call = pickle.loads(fn)
    except Exception as error:
        pipe.send_bytes(pack(Step(None, error, is_last=True)))
        return
    with contextlib.suppress(EOFError, OSError):
        pipe.send_bytes(pack(Step(None, None, is_last=True)))
        while True:
            for packed in packed_steps(call, pipe.recv_bytes(), is_flat=is_flat):
                pipe.send_bytes(packed)
                if not is_last(packed):
                    pipe.recv_bytes()


def _end_with_parent() -> None:
    """Do not outlive the parent, even where it was killed and the function hangs."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    if os.name == "posix":
        os.killpg(0, signal.SIGKILL)
    os._exit(1)
