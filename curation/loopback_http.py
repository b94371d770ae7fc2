"""How the loopback server speaks HTTP/1.1: reads a request, sends an answer, breaks off."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import socket
import struct
import time
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import unquote, urlsplit

from mimecurate.curation.loopback_faults import FileSlice

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mimecurate.curation.loopback import LoopbackServer
    from mimecurate.curation.loopback_faults import Answer

_PIECE = 64 * 1024
_SLOW_PIECES_PER_S = 20


@dataclass(slots=True)
class RequestRecord:
    """One request as it came in, and what was sent for it."""

    method: str
    path: str
    """Decoded, without the leading slash and the query."""
    query: str
    headers: Mapping[str, str]
    """By lower-case name."""
    time_s: float
    """When it came, by the monotonic clock."""
    connection: int
    """Which connection brought it, counted from 1."""
    proxied_host: str | None = None
    """The host asked for, where the server was used as a proxy."""
    status: int = 0
    """What was answered; 0 where the connection was reset first."""
    bytes_sent: int = 0
    """Of the body, as handed to the network: a client that breaks off may have got less."""

    @property
    def range(self) -> tuple[int | None, int | None] | None:
        """The first and last byte asked for by ``Range``, both included."""
        match = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("range", "").strip())
        if match is None or match[0] == "bytes=-":
            return None
        first, last = (int(text) if text else None for text in match.groups())
        return first, last


class _BrokenOffError(Exception):
    """The rest of the answer is withheld on purpose."""


class Handler(BaseHTTPRequestHandler):
    """Serves the requests of one connection."""

    protocol_version = "HTTP/1.1"
    server_version = "loopback"
    sys_version = ""
    timeout = 60
    server: LoopbackServer

    def setup(self) -> None:
        """Keep little in the socket's buffer, so that the bytes counted are the bytes wanted."""
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * 1024)
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().setup()
        self._number = self.server.connect(self.request)

    def finish(self) -> None:
        """End the connection."""
        self.server.disconnect()
        with contextlib.suppress(OSError):  # the client may be gone
            super().finish()

    def handle(self) -> None:
        """Serve until the client goes, which may be in the middle of anything."""
        with contextlib.suppress(ConnectionError, TimeoutError):
            super().handle()

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet; the server keeps records."""

    def do_GET(self) -> None:
        """Answer a GET."""
        self._serve()

    def do_HEAD(self) -> None:
        """Answer a HEAD: as a GET, without the body."""
        self._serve()

    def do_POST(self) -> None:
        """Answer a POST as a GET, reading past what it brought."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._serve()

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        if parts.path == "/__stats":
            self._send_stats(reset="reset" in parts.query)
            return
        record = RequestRecord(
            method=self.command,
            path=unquote(parts.path).lstrip("/"),
            query=parts.query,
            headers={name.lower(): value for name, value in self.headers.items()},
            time_s=time.monotonic(),
            connection=self._number,
            proxied_host=parts.netloc or None,
        )
        answer = self.server.begin(record)
        self._at_work = True
        try:
            self._send(answer, record)
        except _BrokenOffError:
            self.close_connection = True
        finally:
            self._done()

    def _done(self) -> None:
        """Count the request as done; before its last bytes leave, so that no client is faster."""
        if self._at_work:
            self._at_work = False
            self.server.end()

    def _send(self, answer: Answer, record: RequestRecord) -> None:
        if answer.break_with == "reset" and answer.break_after == 0:
            self._reset()
        length = len(answer.body)
        declared = length if answer.declared_length is None else answer.declared_length
        record.status = answer.status
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(declared))
        if self.command == "HEAD" or not length:
            self._done()
        self.end_headers()
        if self.command == "HEAD":
            return
        stop = length if answer.break_after is None else min(answer.break_after, length)
        self._send_body(answer, 0, stop, record)
        if answer.break_after is not None:
            self._break(answer)
            self._send_body(answer, stop, length, record)
        if declared != length:
            raise _BrokenOffError

    def _break(self, answer: Answer) -> None:
        if answer.break_with == "reset":
            self._reset()
        if answer.break_with == "close":
            raise _BrokenOffError
        if self.server.closing.wait(answer.stall_s):
            raise _BrokenOffError

    def _reset(self) -> None:
        """End the connection with RST instead of FIN, as a crashed server or a firewall does."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())
        raise _BrokenOffError

    def _send_body(self, answer: Answer, start: int, stop: int, record: RequestRecord) -> None:
        """Send the bytes ``[start, stop)`` of the body, at its rate."""
        piece = _PIECE
        if answer.rate is not None:
            piece = max(1, min(piece, int(answer.rate / _SLOW_PIECES_PER_S)))
        last = len(answer.body) if answer.break_with == "stall" else stop
        began = time.monotonic()
        with _open(answer.body) as file:
            for at in range(start, stop, piece):
                count = min(piece, stop - at)
                if at + count == last:
                    self._done()
                self._send_piece(file, _offset(answer.body) + at, count, record)
                if answer.rate is not None:
                    ahead = (at + count - start) / answer.rate - (time.monotonic() - began)
                    if self.server.closing.wait(max(0.0, ahead)):
                        raise _BrokenOffError

    def _send_piece(self, file: BinaryIO, offset: int, count: int, record: RequestRecord) -> None:
        """Send some of a file; counted before it leaves, and corrected where it did not."""
        record.bytes_sent += count
        file.seek(offset)
        try:
            sent = self.connection.sendfile(file, offset=offset, count=count)
        except OSError:
            record.bytes_sent -= count - (file.tell() - offset)
            raise
        if sent < count:  # the file shrank while it was served
            record.bytes_sent -= count - sent
            raise _BrokenOffError

    def _send_stats(self, *, reset: bool) -> None:
        """Tell the counts, and the processor time of this process in seconds."""
        times = os.times()
        stats = asdict(self.server.stats()) | {"cpu_s": times.user + times.system}
        if reset:
            self.server.reset()
        body = json.dumps(stats).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _open(body: bytes | FileSlice) -> BinaryIO:
    return body.path.open("rb") if isinstance(body, FileSlice) else io.BytesIO(body)


def _offset(body: bytes | FileSlice) -> int:
    return body.start if isinstance(body, FileSlice) else 0
