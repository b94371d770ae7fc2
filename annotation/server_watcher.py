"""Runs a server for as long as somebody holds the other end of its standard input.

``python server_watcher.py PROGRAM ARGUMENT…``: the operating system closes that end when the
process that holds it ends, also by kill -9, so that the server is never left behind. What the
server says is passed on, but for a line for each request: those fill the disk, and hold the secret
of the sign-up link. It needs nothing but the standard library, and is started without
site-packages.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from typing import IO

GRACE_S = 8.0
_REQUEST = b"[django.server::log_message::", b"] [INFO] "


def main(command: list[str]) -> int:
    """Run ``command`` and end it when standard input ends.

    Returns:
        Its exit status; 128 and the signal's number where one ended it.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # what ends us is our standard input alone
    program = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        preexec_fn=_default_signals,
    )
    threading.Thread(target=_end_with, args=(program, 0), daemon=True).start()
    assert program.stdout is not None
    _pass_on(program.stdout, sys.stdout.buffer)
    status = program.wait()
    return status if status >= 0 else 128 - status


def _default_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def _pass_on(words: IO[bytes], out: IO[bytes]) -> None:
    for line in words:
        if all(part in line for part in _REQUEST):
            continue
        out.write(line)
        out.flush()


def _end_with(program: subprocess.Popen[bytes], descriptor: int) -> None:
    while os.read(descriptor, 1024):  # sys.stdin would hold a lock that Python wants when it ends
        pass
    program.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        program.wait(GRACE_S)
    program.kill()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
