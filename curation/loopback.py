"""An HTTP server on 127.0.0.1 that serves a folder, counts everything, and misbehaves on demand.

For tests, benchmarks and the demo. By hand::

    python -m mimecurate.curation.loopback DIR --port 8000
    curl 'http://127.0.0.1:8000/a.mp4?fault=429&times=2&retry_after=1'

It also answers as a plain HTTP proxy: a request for ``http://any.host/a.mp4`` gets ``a.mp4`` from
its own folder, recorded with the host that was asked for. ``/__stats`` tells the counts as JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import mimetypes
import signal
import socket
import socketserver
import threading
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qsl, quote, urlencode

from mimecurate.curation.loopback_faults import Answer, Fault, FileSlice
from mimecurate.curation.loopback_http import Handler, RequestRecord

__all__ = ["LoopbackServer", "RequestRecord", "Stats"]

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

_TYPES = {
    ".m3u8": "application/vnd.apple.mpegurl",
    ".mkv": "video/x-matroska",
    ".mp4": "video/mp4",
    ".ts": "video/mp2t",
    ".webm": "video/webm",
}


@dataclass(frozen=True, slots=True)
class Stats:
    """What was asked and sent since the last reset."""

    requests: int
    bytes_sent: int
    connections: int
    most_at_once: int
    """Requests in work at the same time, at most."""
    statuses: Mapping[int, int]
    requests_by_path: Mapping[str, int]
    bytes_by_path: Mapping[str, int]


class LoopbackServer(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Serves a folder on 127.0.0.1, in threads of this process, while it is entered.

    Single byte ranges are answered; directories are not listed. Links inside the folder are
    followed. All methods may be called while it serves.

    >>> import urllib.request, tempfile
    >>> with tempfile.TemporaryDirectory() as folder, LoopbackServer(Path(folder)) as server:
    ...     _ = Path(folder, "a.txt").write_text("hello")
    ...     with urllib.request.urlopen(server.url("a.txt")) as response:
    ...         response.read(), server.stats().requests
    (b'hello', 1)
    """

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, root: Path, port: int = 0) -> None:
        """Take a port, any free one if 0, and remember the folder to serve."""
        self.root = root
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._faults: dict[str, list[Fault]] = defaultdict(list)
        self._seen: Counter[str] = Counter()
        self._records: list[RequestRecord] = []
        self._connections: dict[threading.Thread, socket.socket] = {}
        self._connected = self._at_work = self._most_at_once = 0
        super().__init__(("127.0.0.1", port), Handler)

    def __enter__(self) -> Self:
        """Start serving."""
        threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": 0.02}, name="loopback", daemon=True
        ).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop serving, break off what is being sent, and wait for its threads."""
        self.close()

    def close(self) -> None:
        """Stop serving; ends stalls and idle connections too."""
        self.shutdown()
        self.closing.set()
        self.server_close()
        with self._lock:
            connections = dict(self._connections)
        for connection in connections.values():
            with contextlib.suppress(OSError):  # it may have ended by itself
                connection.shutdown(socket.SHUT_RDWR)
        for thread in connections:
            thread.join(timeout=5)

    @property
    def address(self) -> str:
        """``http://127.0.0.1:PORT``, without a slash at the end; also its address as a proxy."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def url(self, path: str, fault: str | None = None, **options: Any) -> str:
        """Make the URL of a file, and of a fault that strikes it.

        Args:
            path: below the folder served, with ``/``.
            fault: a status code such as ``"429"`` or a name in `loopback_faults.FAULTS`.
            options: fields of `Fault`: ``times=2``, ``retry_after=0.5``, ``after_bytes=100``, …

        Raises:
            ValueError: there is no such fault.
            TypeError: there is no such option.
        """
        query = ""
        if fault is not None:
            query = "?" + urlencode(Fault(name=fault, **options).to_query())
        return f"{self.address}/{quote(path)}{query}"

    def misbehave(self, path: str, fault: str, **options: Any) -> None:
        """Let a fault strike a path whose URL looks like any other; several add up.

        Arguments and errors as for `url`.
        """
        with self._lock:
            self._faults[path].append(Fault(name=fault, **options))

    def requests(self, path: str | None = None) -> list[RequestRecord]:
        """List what was asked since the last reset, of one path or of all, oldest first."""
        with self._lock:
            return [record for record in self._records if path in {None, record.path}]

    def stats(self) -> Stats:
        """Count what was asked and sent since the last reset."""
        with self._lock:
            sent: Counter[str] = Counter()
            for record in self._records:
                sent[record.path] += record.bytes_sent
            return Stats(
                requests=len(self._records),
                bytes_sent=sent.total(),
                connections=self._connected,
                most_at_once=self._most_at_once,
                statuses=dict(Counter(record.status for record in self._records)),
                requests_by_path=dict(Counter(record.path for record in self._records)),
                bytes_by_path=dict(sent),
            )

    def reset(self) -> None:
        """Forget what was asked and how often each fault struck; the faults stay."""
        with self._lock:
            self._records.clear()
            self._seen.clear()
            self._connected = self._most_at_once = 0

    def begin(self, record: RequestRecord) -> Answer:
        """Record a request that has come in and make its answer; the handler calls it.

        Faults of the path are asked in the order in which they were given, then the URL's.
        """
        asked, complaint = None, ""
        try:
            asked = Fault.from_query(dict(parse_qsl(record.query)))
        except ValueError as error:
            complaint = f"{error}\n"
        key = f"{record.path}?{record.query}"
        with self._lock:
            self._records.append(record)
            self._at_work += 1
            self._most_at_once = max(self._most_at_once, self._at_work)
            striking = [f for f in self._faults[record.path] if f.strikes(self._seen[record.path])]
            self._seen[record.path] += 1
            if asked:
                striking += [asked] if asked.strikes(self._seen[key]) else []
                self._seen[key] += 1
        if complaint:
            return Answer(status=400, body=complaint.encode())
        answer = self._answer_file(record)
        for fault in striking:
            answer = fault.apply(answer, record.headers)
        return answer

    def end(self) -> None:
        """Note that a request is done with; the handler calls it."""
        with self._lock:
            self._at_work -= 1

    def connect(self, connection: socket.socket) -> int:
        """Note a connection, to break it off when the server closes; return its number."""
        with self._lock:
            self._connections[threading.current_thread()] = connection
            self._connected += 1
            return self._connected

    def disconnect(self) -> None:
        """Forget this thread's connection."""
        with self._lock:
            self._connections.pop(threading.current_thread(), None)

    def _answer_file(self, record: RequestRecord) -> Answer:
        """Answer honestly, with the whole file or the one range that was asked."""
        path = self._find(record.path)
        if path is None:
            return Answer(status=404, headers={"Content-Type": "text/plain"}, body=b"not found\n")
        facts = path.stat()
        size = facts.st_size
        headers = {
            "Content-Type": _content_type(path),
            "Accept-Ranges": "bytes",
            "ETag": f'"{facts.st_mtime_ns:x}-{size:x}"',
        }
        if record.range is None:
            return Answer(status=200, headers=headers, body=FileSlice(path, 0, size))
        first, last = record.range
        if first is None:
            first, last = max(0, size - (last or 0)), size - 1
        last = size - 1 if last is None else min(last, size - 1)
        if first > last:
            return Answer(status=416, headers={"Content-Range": f"bytes */{size}"})
        headers["Content-Range"] = f"bytes {first}-{last}/{size}"
        return Answer(status=206, headers=headers, body=FileSlice(path, first, last + 1))

    def _find(self, path: str) -> Path | None:
        """Find the file that a decoded path names, unless it leads out of the folder."""
        if "\0" in path or ".." in path.split("/"):
            return None
        found = self.root / path.lstrip("/")
        return found if found.is_file() else None


def _content_type(path: Path) -> str:
    guess = mimetypes.guess_type(path.name)[0]
    return _TYPES.get(path.suffix) or guess or "application/octet-stream"


def main(arguments: list[str] | None = None) -> None:
    """Serve a folder by hand until Ctrl-C or SIGTERM; the address is printed first."""
    parser = argparse.ArgumentParser(prog="python -m mimecurate.curation.loopback")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, default=0, help="any free one by default")
    options = parser.parse_args(arguments)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with LoopbackServer(options.folder, options.port) as server:
        print(server.address, flush=True)
        stop.wait()


if __name__ == "__main__":
    main()
