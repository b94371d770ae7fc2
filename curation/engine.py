"""Run one function over many items, on this machine or on a Ray cluster.

`map` and `flat_map` are the one way in which mimecurate spreads work. Every worker is a thread
here; what differs is where it runs the function: in the thread, in a process of its own, or in a
task on the cluster. So all engines behave alike:

* items are taken as they are needed: never more than ``2 * workers`` whose end the caller has not
  seen, however long the list is;
* outcomes come as they are ready, in no order, and a caller who is slow to take them stops
  the workers;
* what the function raises for an item is that item's outcome, and so is the death of a worker
  process: it never stops the others;
* closing the iterator (leaving a ``for`` loop that holds the only reference does) drops what is
  queued and gives running items `GRACE_S` seconds.
"""

from __future__ import annotations

import contextlib
import logging
import pickle
import queue
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from mimecurate.curation.engine_local import ProcessWorker, ThreadWorker

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

    from mimecurate.curation.engine_steps import Worker

Item = TypeVar("Item")
Result = TypeVar("Result")
Engine = Literal["local", "ray"]

GRACE_S = 3.0
"""How long closing waits for running items."""
_KILL_S = 2.0
"""How long closing then waits for workers that were killed."""
_WAIT_S = 0.5
"""How long to wait at a stretch. Python loses a Ctrl-C that comes just before a wait begins: it is
seen only when the wait ends."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome(Generic[Item, Result]):
    """What came out of one item, or one of several things that did."""

    item: Item
    """The very object that was taken from ``items``."""
    value: Result | None
    error: Exception | None
    """What the function raised, or why its worker died; only where `is_last`."""
    is_last: bool
    """Nothing more comes of this item. Exactly one outcome per item has it."""


def map(
    fn: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    workers: int,
    engine: Engine = "local",
    processes: bool = False,
) -> Generator[Outcome[Item, Result], None, None]:
    """Call ``fn`` with each item and give one `Outcome` for each, in no order.

    Args:
        fn: With ``processes`` or ``ray`` it must be possible to pickle it. Each process then has
            one copy for all its items: a pace or a model that it keeps lasts.
        items: Iterated in the caller's thread, between outcomes; while it blocks, outcomes wait.
            What it raises is raised here, after the outcomes of the items that came before.
        workers: How many items are worked on at the same time.
        engine: ``local``, or ``ray`` for the cluster that ``RAY_ADDRESS`` names or that this
            machine is part of.
        processes: With ``local``: one process per worker instead of a thread. For functions
            that keep Python itself busy, or may crash it.

    Returns:
        An iterator; nothing starts before the first `next`. Close it to stop early.

    Raises:
        ValueError: ``workers`` below 1, or an unknown engine.
        TypeError: ``fn`` can't be sent to another process.
        MissingExtraError: Ray is not installed.
        MimecurateError: There is no cluster, or (while iterating) workers can't run ``fn`` at all.

    >>> for outcome in sorted(map(int, ["2", "two"], workers=2), key=lambda o: o.item):
    ...     print(outcome.item, outcome.value, repr(outcome.error))
    2 2 None
    two None ValueError("invalid literal for int() with base 10: 'two'")
    """
    return _Run(items, _workers(fn, False, workers, engine, processes)).outcomes()


def flat_map(
    fn: Callable[[Item], Iterable[Result]],
    items: Iterable[Item],
    *,
    workers: int,
    engine: Engine = "local",
    processes: bool = False,
) -> Generator[Outcome[Item, Result], None, None]:
    """Like `map`, for a function that gives any number of results per item, as they come.

    Each result is an `Outcome`. One more, with ``is_last`` and no value, ends the item: with the
    ``error``, if ``fn`` raised one after its last result.

    >>> for outcome in flat_map(range, [2], workers=1):
    ...     print(outcome)
    Outcome(item=2, value=0, error=None, is_last=False)
    Outcome(item=2, value=1, error=None, is_last=False)
    Outcome(item=2, value=None, error=None, is_last=True)
    """
    return _Run(items, _workers(fn, True, workers, engine, processes)).outcomes()


def _workers(
    fn: Callable[[Any], Any], is_flat: bool, count: int, engine: Engine, processes: bool
) -> Sequence[Worker]:
    if count < 1:
        raise ValueError(f"workers is {count}; it must be at least 1")
    if engine == "ray":
        from mimecurate.curation import engine_ray

        return engine_ray.join_cluster(fn, is_flat=is_flat, count=count)
    if engine != "local":
        raise ValueError(f"engine is {engine!r}; it must be 'local' or 'ray'")
    if not processes:
        return [ThreadWorker(fn, is_flat=is_flat)] * count
    try:
        packed_fn = pickle.dumps(fn)
    except Exception as error:
        raise TypeError(f"{fn!r} can't be sent to a worker process: {error}") from error
    return [ProcessWorker(packed_fn, is_flat=is_flat) for _ in range(count)]


@dataclass(frozen=True, slots=True)
class _End:
    """To a worker: there are no more items. From a worker: it has ended, perhaps by an error."""

    error: BaseException | None = None


class _Run(Generic[Item, Result]):
    """The threads of one `map` or `flat_map`, and the queues to and from them."""

    def __init__(self, items: Iterable[Item], workers: Sequence[Worker]) -> None:
        self._items: Iterator[Item] | None = iter(items)
        self._items_error: Exception | None = None
        self._workers = workers
        self._limit = 2 * len(workers)
        self._in_flight = 0  # items taken whose end the caller has not seen
        self._tasks: queue.SimpleQueue[Item | _End] = queue.SimpleQueue()
        self._results: queue.Queue[Outcome[Item, Result] | _End] = queue.Queue(self._limit)
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._working = 0  # threads that have not put their `_End`

    def outcomes(self) -> Generator[Outcome[Item, Result], None, None]:
        """Start the workers, pass on what they give, end them."""
        try:
            for worker in self._workers:
                self._start(worker)
            while (may_take := self._take_one()) or self._in_flight:
                try:
                    result = self._results.get(block=not may_take, timeout=_WAIT_S)
                except queue.Empty:
                    continue
                if isinstance(result, _End):
                    self._working -= 1
                    raise result.error or RuntimeError("a worker ended too early")
                yield result
                if result.is_last:
                    self._in_flight -= 1
            if self._items_error is not None:
                raise self._items_error
        finally:
            self._close()

    def _take_one(self) -> bool:
        """Take an item if there is room; say whether there is an item and room for another."""
        if self._items is not None and self._in_flight < self._limit:
            try:
                self._tasks.put(next(self._items))
                self._in_flight += 1
            except StopIteration:
                self._items = None
            except Exception as error:
                self._items, self._items_error = None, error
        return self._items is not None and self._in_flight < self._limit

    def _start(self, worker: Worker) -> None:
        thread = threading.Thread(
            target=self._work, args=[worker], name="mimecurate-worker", daemon=True
        )
        thread.start()
        self._threads.append(thread)
        self._working += 1

    def _work(self, worker: Worker) -> None:
        """Work on items until there are no more; the last thing put is an `_End`."""
        failure: BaseException | None = None
        try:
            with contextlib.closing(worker):
                while not isinstance(item := self._tasks.get(), _End) and not self._stop.is_set():
                    self._work_on(item, worker)
        except BaseException as error:
            failure = error
        self._results.put(_End(failure))

    def _work_on(self, item: Item, worker: Worker) -> None:
        with contextlib.closing(worker.steps(item)) as steps:
            for step in steps:
                self._results.put(Outcome(item, *step))
                if self._stop.is_set():
                    break

    def _close(self) -> None:
        """End the workers, wherever they wait; kill what does not end in time."""
        self._stop.set()
        for _ in self._workers:
            self._tasks.put(_End())
        try:
            self._drain(GRACE_S)
        finally:
            if self._working and any([worker.kill() for worker in self._workers]):
                self._drain(_KILL_S)
        for thread in self._threads:
            thread.join(0 if self._working else None)
        if self._working:
            _log.warning("%d workers did not end in time and were left behind", self._working)

    def _drain(self, seconds: float) -> None:
        """Drop what the workers still give, so that none waits for room, until all have ended."""
        deadline = time.monotonic() + seconds
        while self._working and (left_s := deadline - time.monotonic()) > 0:
            with contextlib.suppress(queue.Empty):
                result = self._results.get(timeout=left_s)
                if isinstance(result, _End):
                    self._working -= 1
                    if result.error is not None:
                        _log.debug("a worker ended by an error", exc_info=result.error)
