"""Runs a program for as long as somebody holds the other end of its standard input.

``python server_watcher.py PROGRAM ARGUMENT…``: the operating system closes that end when the
process that holds it ends, also by kill -9, so that the program is never left behind. It needs
nothing but the standard library, and is started without site-packages.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading

GRACE_S = 8.0


def main(command: list[str]) -> int:
    """Run ``command`` and return its exit status; end it when standard input does."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # what ends us is our standard input alone
    program = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=_default_signals)
    threading.Thread(target=_end_with_stdin, args=(program,), daemon=True).start()
    return program.wait()


def _default_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def _end_with_stdin(program: subprocess.Popen[bytes]) -> None:
    sys.stdin.buffer.read()
    program.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        program.wait(GRACE_S)
    program.kill()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
