"""The program: signals are in hand before anything else is imported.

Exit status: 0 done, 1 could not be done, 2 wrong usage, 3 done but some items failed, 130 Ctrl-C,
143 SIGTERM.
"""

from __future__ import annotations

import signal
import sys

TYPE_CHECKING = False  # typing takes longer to import than all else here
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import NoReturn


class Terminated(SystemExit):
    """SIGTERM came."""


def main() -> NoReturn:
    """Run the command line, as the `mimecurate` program does."""
    stopped = ""
    try:
        signal.signal(signal.SIGTERM, _terminate)
        status = _load()()
    except BaseException as error:
        reason = _stop_behind(error)
        if reason is None:
            raise
        if isinstance(reason, Terminated):
            stopped, status = "stopped by SIGTERM", 128 + signal.SIGTERM
        else:
            stopped, status = "stopped", 128 + signal.SIGINT
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)  # the end itself can't be stopped with a traceback
    if stopped:
        print(f"{stopped}; what was finished is kept", file=sys.stderr)
    sys.exit(status)


def _load() -> Callable[[], int]:
    """Import the commands; signals wait meanwhile, for some imports turn them into other errors."""
    can_wait = hasattr(signal, "pthread_sigmask")
    if can_wait:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    from mimecurate.commands.root import run

    if can_wait:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return run


def _stop_behind(error: BaseException | None) -> BaseException | None:
    """Find the wish to stop that an error is, or was made of by a library that it came in."""
    seen = set()  # an error may be its own cause
    while error is not None and id(error) not in seen:
        if isinstance(error, KeyboardInterrupt | Terminated):
            return error
        seen.add(id(error))
        error = error.__cause__
    return None


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    """Nothing is written here: the signal may have come in the middle of another write."""
    raise Terminated(128 + number)
