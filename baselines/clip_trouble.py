"""What one clip's trouble is, and what is that of the whole run."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from mimecurate.errors import ClipError, MimecurateError, Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_PIXELS = 1 << 23
"""Of a frame that was made larger."""


def check_resized(name: str, before: tuple[int, int], after: tuple[int, int]) -> None:
    """Refuse a frame so narrow that it would become huge, or nothing.

    Args:
        name: of the clip's file, for the error.
        before: height and width, in pixels.
        after: height and width after resizing.

    Raises:
        ClipError: ``UNSUPPORTED``.
    """
    larger = after[0] * after[1] > max(MAX_PIXELS, before[0] * before[1])
    if larger or not all(after):
        raise ClipError(
            Reason.UNSUPPORTED,
            f"{name}: frames of {before[1]}x{before[0]} pixels would become {after[1]}x{after[0]}",
        )


def clip_error(error: RuntimeError | MemoryError, what: str) -> ClipError:
    """Make one clip's failure of an error that came while it was prepared.

    Args:
        error: as torch or NumPy raised it.
        what: it was being done: ``the frames can't be prepared``.

    Raises:
        RuntimeError: ``error``, if it is of the device, which is of no use any more.
    """
    if isinstance(error, torch.AcceleratorError):
        raise error
    if is_memory(error):
        return ClipError(Reason.OTHER, f"{what}: there is too little memory")
    words = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
    return ClipError(Reason.OTHER, f"{what}: {words}")


def is_memory(error: BaseException) -> bool:
    """Say whether memory did not suffice, of the device or of this machine."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and "not enough memory" in str(error)
    )


@contextmanager
def batch_of(size: int, device: torch.device) -> Iterator[None]:
    """Run a model on ``size`` items at once; want of memory is the whole run's trouble.

    Raises:
        MimecurateError: the memory does not suffice; says what would do.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_memory(error):
            raise
        advice = f"give --batch-size {max(1, size // 2)}" if size > 1 else "one is too much"
        raise MimecurateError(
            f"the memory of {device} does not suffice for {size} at once: {advice}"
        ) from error
