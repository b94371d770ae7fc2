"""What a worker does with one item, and how it is told across a process boundary."""

from __future__ import annotations

import pickle
import traceback
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from mimecurate.errors import MimecurateError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


class Step(NamedTuple):
    """One thing that came out of an item: a result, its failure, or its end."""

    value: Any
    error: Exception | None
    is_last: bool


class Worker(Protocol):
    """Runs the function on one item after another, in one thread of the caller's process."""

    def steps(self, item: Any) -> Generator[Step, None, None]:
        """Run the function on ``item``. The last step, and only it, has ``is_last``.

        What it raises is no item's failure: it ends the whole run.
        """

    def close(self) -> None:
        """Give back what the worker holds. Called in its thread, at its end."""

    def kill(self) -> bool:
        """From another thread: end what is running now. False where that can't be done."""


def run_steps(fn: Callable[[Any], Any], item: Any, *, is_flat: bool) -> Generator[Step, None, None]:
    """Call ``fn`` with ``item``; one step for each of its results if ``is_flat``.

    >>> [step.value for step in run_steps(range, 2, is_flat=True)]
    [0, 1, None]
    """
    try:
        if is_flat:
            for value in fn(item):
                yield Step(value, None, is_last=False)
            yield Step(None, None, is_last=True)
        else:
            yield Step(fn(item), None, is_last=True)
    except Exception as error:
        yield Step(None, error, is_last=True)
    except (SystemExit, KeyboardInterrupt) as error:  # a library's exit must not end the worker
        yield Step(None, MimecurateError(f"the function ended with {error!r}"), is_last=True)


def pack(step: Step) -> bytes:
    """Bytes of ``step``; what can't be sent becomes an error that says so."""
    if step.error is not None and not isinstance(step.error, MimecurateError):
        step.error.add_note("In the worker:\n" + "".join(traceback.format_exception(step.error)))
    try:
        data = pickle.dumps(step)
        if step.error is not None:
            pickle.loads(data)  # exceptions with arguments of their own often fail only here
    except Exception as problem:
        cause = step.error or problem
        plain = MimecurateError(f"{type(cause).__name__}: {cause}")
        step = Step(None, plain, is_last=True)
        data = pickle.dumps(step)
    return bytes([step.is_last]) + data


def is_last(packed: bytes) -> bool:
    """Whether the step in ``packed`` ends its item for the worker that sent it."""
    return packed[0] == 1


def unpack(packed: bytes) -> Step:
    """The step in ``packed``; one that can't be read here is the item's failure."""
    try:
        return Step(*pickle.loads(memoryview(packed)[1:]))
    except Exception as error:
        return Step(None, error, is_last=True)


def packed_steps(
    fn: Callable[[Any], Any], packed_item: bytes, *, is_flat: bool
) -> Generator[bytes, None, None]:
    """`run_steps` for a worker in another process: bytes in, bytes out."""
    for step in run_steps(lambda data: fn(pickle.loads(data)), packed_item, is_flat=is_flat):
        packed = pack(step)
        yield packed
        if is_last(packed):
            return
