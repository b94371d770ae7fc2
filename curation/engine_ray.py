"""Workers on a Ray cluster that already exists: each item is one task, of one CPU.

The functions are sent by name, so every node of the cluster needs the same mimecurate. A cluster is
never started here.
"""

from __future__ import annotations

import functools
import importlib
import logging
import os
import pickle
import signal
import socket
import tempfile
import threading
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mimecurate.curation.engine_steps import Step, is_last, packed_steps, unpack
from mimecurate.errors import MimecurateError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

_CONNECT_S = 5.0
_WHAT_WOULD_DO = (
    "start one with: ray start --head, or set RAY_ADDRESS to the host:port of its head node"
)

_log = logging.getLogger(__name__)


def join_cluster(fn: Callable[[Any], Any], *, is_flat: bool, count: int) -> Sequence[RayWorker]:
    """Join the user's cluster, and make ``count`` workers that run ``fn`` on it.

    An existing connection of this process (``ray.init`` in a notebook) is used as it is. Otherwise
    the cluster is the one of ``RAY_ADDRESS``, or that this machine is part of; the connection is
    kept until the process ends.

    Raises:
        MissingExtraError: Ray is not installed.
        MimecurateError: No cluster, or it can't be joined.
        TypeError: ``fn`` can't be sent.
    """
    ray = _import_ray()
    if not ray.is_initialized():
        _connect(ray)
    try:
        packed_fn = ray.cloudpickle.dumps((uuid.uuid4(), fn))  # not to be taken for another run's
    except Exception as error:
        raise TypeError(f"{fn!r} can't be sent to a Ray cluster: {error}") from error
    # Back-pressure of generator tasks has no public name yet (Ray 2.60): with 1, the task waits
    # after each result until it has been taken. A task is not repeated when its worker dies.
    task = ray.remote(num_cpus=1, max_retries=0, _generator_backpressure_num_objects=1)(_run_item)
    return [RayWorker(ray, task, packed_fn, is_flat=is_flat) for _ in range(count)]


class RayWorker:
    """Keeps one task on the cluster at a time."""

    def __init__(self, ray: Any, task: Any, fn: bytes, *, is_flat: bool) -> None:
        """Keep the module, the remote function and the pickled function that it is to run."""
        self._ray = ray
        self._task = task
        self._fn = fn
        self._is_flat = is_flat
        self._running: Any = None

    def steps(self, item: Any) -> Generator[Step, None, None]:
        """Run the function on ``item`` in a task."""
        try:
            packed_item = self._ray.cloudpickle.dumps(item)
        except Exception as error:
            yield Step(None, error, is_last=True)
            return
        self._running = self._task.remote(self._fn, packed_item, self._is_flat)
        is_finished = False
        try:
            for packed in self._received():
                is_finished = is_last(packed)
                yield (step := unpack(packed))
                if step.is_last:
                    return
        except self._ray.exceptions.RayError as error:
            yield Step(None, self._lost(error), is_last=True)
        finally:
            if not is_finished:
                self._ray.cancel(self._running)

    def close(self) -> None:
        """Nothing is held between tasks."""

    def kill(self) -> bool:
        """Cancel the task, and end the process that runs it."""
        if self._running is not None:
            self._ray.cancel(self._running, force=True)
        return True

    def _received(self) -> Iterator[bytes]:
        for reference in self._running:
            yield self._ray.get(reference)

    def _lost(self, error: Exception) -> MimecurateError:
        """The item's failure; raised instead if Ray's workers can't run the function at all."""
        message = str(error).strip().rpartition("\n")[2]
        ray = self._ray.exceptions
        if isinstance(error, ray.TaskCancelledError) or not isinstance(
            error, ray.RayTaskError | ray.RuntimeEnvSetupError
        ):
            return MimecurateError(f"Ray lost the task ({type(error).__name__}): {message}")
        raise MimecurateError(
            "workers of the Ray cluster can't run mimecurate (every node needs the same version "
            f"installed): {message}"
        ) from error


def _run_item(fn: bytes, item: bytes, is_flat: bool) -> Iterator[bytes]:
    """The task. What it raises itself is no item's failure: see `RayWorker._lost`."""
    yield from packed_steps(_load(fn), item, is_flat=is_flat)


@functools.lru_cache(maxsize=1)
def _load(fn: bytes) -> Callable[[Any], Any]:
    """The function, the same for all items of a run that this process gets."""
    _, loaded = pickle.loads(fn)
    return loaded  # type: ignore[no-any-return]


def _import_ray() -> Any:
    # Ray prints news of dead workers on stdout, whatever log_to_driver says; here each becomes
    # the outcome of its item. Read when Ray is first imported.
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".*")
    try:
        return importlib.import_module("ray")
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise MissingExtraError("ray", "cluster") from None


def _connect(ray: Any) -> None:
    address = _address()
    _check_answers(address)
    in_main_thread = threading.current_thread() is threading.main_thread()
    on_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise MimecurateError(
            f"could not join a Ray cluster at {address!r}: {error}; {_WHAT_WOULD_DO}"
        ) from error
    finally:
        if in_main_thread:
            signal.signal(signal.SIGTERM, on_sigterm)  # Ray puts its own
    cpus = ray.cluster_resources().get("CPU", 0.0)
    _log.info("joined the Ray cluster at %s: %g CPUs", address, cpus)
    if not cpus:
        _log.warning("the Ray cluster at %s has no CPU now: tasks wait until it has", address)


def _address() -> str:
    """``RAY_ADDRESS``, or what ``ray start`` wrote down on this machine, or ``auto``."""
    address = os.environ.get("RAY_ADDRESS") or "auto"
    if address == "local" or "://" in address:
        raise MimecurateError(
            f"RAY_ADDRESS is {address!r}; run mimecurate on a node of the cluster and give the "
            "host:port of the head node"
        )
    if address != "auto":
        return address
    record = Path(
        os.environ.get("RAY_TMPDIR") or tempfile.gettempdir(), "ray", "ray_current_cluster"
    )
    return record.read_text("utf-8").strip() if record.is_file() else address


def _check_answers(address: str) -> None:
    """Ray itself tries for many minutes, with warnings on stderr."""
    host, colon, port = address.rpartition(":")
    if address == "auto":
        return
    if not colon or not port.isdecimal():
        raise MimecurateError(f"RAY_ADDRESS is {address!r}; it must be host:port")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_S).close()
    except (OSError, OverflowError) as error:
        raise MimecurateError(
            f"no Ray cluster answers at {address}: {error}; {_WHAT_WOULD_DO}"
        ) from error
