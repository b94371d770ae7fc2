"""Label Studio as a child process: which program, in what environment, on which port."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mimecurate.annotation import server_watcher
from mimecurate.annotation.screen import KEYMAP
from mimecurate.errors import MimecurateError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mimecurate.annotation.server_credentials import Credentials

HOST = "127.0.0.1"
_STOP_S = server_watcher.GRACE_S + 4
_LOG_TAIL = 3
_INHERITED = ("PATH", "LANG", "LANGUAGE", "TZ", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV")
_INHERITED_PREFIXES = ("LC_", "LD_LIBRARY", "DYLD_", "AWS_", "GOOGLE_APPLICATION_CREDENTIALS")
"""What Label Studio sees of our environment: it reads HOST, PORT, DEBUG, PASSWORD and many more."""


def find_program() -> Path:
    """Find Label Studio: beside this Python, else on PATH.

    Raises:
        MissingExtraError: it is in neither place.
    """
    beside = Path(sys.executable).parent / "label-studio"
    if beside.is_file():
        return beside
    on_path = shutil.which("label-studio")
    if on_path is None:
        raise MissingExtraError("label-studio", "server")
    return Path(on_path)


def check_port(port: int) -> int:
    """See that the port is free; 0 chooses one that is.

    Label Studio itself would start on the next free port and say so in its log alone.

    Raises:
        MimecurateError: it is taken or not allowed; the message says what would do.
    """
    if port and is_listening(f"http://{HOST}:{port}"):
        raise MimecurateError(_taken(port))
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise MimecurateError(_taken(port)) from error
            raise MimecurateError(
                f"--port {port}: {error.strerror}; choose one from 1024 to 65535"
            ) from error
        return int(probe.getsockname()[1])


def is_listening(url: str) -> bool:
    """Whether some program takes connections there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, urlsplit(url).port or 80)) == 0


def _taken(port: int) -> str:
    with socket.socket() as free:
        free.bind((HOST, 0))
        other = free.getsockname()[1]
    return f"--port {port}: another program uses this port of {HOST}; choose another, e.g. {other}"


def make_environment(
    folder: Path, document_root: Path, inherited: Mapping[str, str]
) -> dict[str, str]:
    """Make the environment of a server that keeps to itself.

    No analytics, no error reports, no question for newer versions; nobody signs up without the
    team's link.

    Args:
        folder: where it keeps everything.
        document_root: whose sub-folders may be opened to its users as local files.
        inherited: the environment to take the harmless part of.
    """
    home = folder / "home"
    kept = {
        name: value
        for name, value in inherited.items()
        if name in _INHERITED or name.startswith(_INHERITED_PREFIXES)
    }
    return kept | {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_DATA_HOME": str(home / ".local" / "share"),
        "PYTHONUNBUFFERED": "1",
        "DJANGO_DB": "sqlite",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
        "CORS_ALLOW_ALL_ORIGINS": "false",
        "LABEL_STUDIO_BASE_DATA_DIR": str(folder / "data"),
        "LABEL_STUDIO_LATEST_VERSION_CHECK": "false",
        "LABEL_STUDIO_COLLECT_ANALYTICS": "false",
        "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true",
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        "LABEL_STUDIO_EDITOR_KEYMAP": json.dumps(KEYMAP),
        "LABEL_STUDIO_ALLOWED_HOSTS": "127.0.0.1,localhost",
        "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
        "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(document_root),
    }


def first_user(credentials: Credentials) -> dict[str, str]:
    """Return what, added to the environment, makes Label Studio make a user as it starts.

    Secrets go this way because arguments are seen by everyone on the machine. Left out once the
    user is there: a start is quicker without.
    """
    return {
        "LABEL_STUDIO_USERNAME": credentials.username,
        "LABEL_STUDIO_PASSWORD": credentials.password,
        "LABEL_STUDIO_USER_TOKEN": credentials.api_key,
    }


class ServerProcess:
    """A running Label Studio that ends with this process, however that ends.

    Between the two stands `server_watcher`, which waits on a pipe that only we hold.
    """

    def __init__(self, program: Path, port: int, environment: Mapping[str, str], log: Path) -> None:
        """Start it; its words go to ``log``, which is begun anew."""
        self.log = log
        command = [str(program), "start", "--no-browser", "--log-level", "WARNING"]
        command += ["--internal-host", HOST, "--port", str(port)]
        with log.open("wb") as words:
            self._watcher = subprocess.Popen(
                [sys.executable, "-I", "-S", server_watcher.__file__, *command],
                stdin=subprocess.PIPE,
                stdout=words,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                cwd=log.parent,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Of the process group that the server is in."""
        return self._watcher.pid

    @property
    def has_ended(self) -> bool:
        """Whether it is no longer running."""
        return self._watcher.poll() is not None

    def wait(self) -> int:
        """Wait until it ends; returns its exit status, 128 and more for a signal."""
        return self._watcher.wait()

    def last_words(self) -> str:
        """Return the end of its log on one line."""
        with contextlib.suppress(OSError):
            lines = self.log.read_text("utf-8", "replace").splitlines()
            return " / ".join([line.strip() for line in lines if line.strip()][-_LOG_TAIL:])
        return ""

    def stop(self) -> None:
        """End it and wait until it is gone; what is left after a while is killed."""
        with _without_interruption():
            assert self._watcher.stdin is not None
            self._watcher.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._watcher.wait(_STOP_S)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._watcher.pid, signal.SIGKILL)
            self._watcher.wait()


@contextlib.contextmanager
def _without_interruption() -> Iterator[None]:
    """Let no second Ctrl-C or SIGTERM cut a stop short; only the main thread gets either."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, signal.SIG_IGN) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
