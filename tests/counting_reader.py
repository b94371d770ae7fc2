"""A far-away file for tests: its bytes are here, and every request for them is counted."""

from __future__ import annotations

from mimecurate.errors import ClipError, Reason


class CountingReader:
    """A `ByteReader` over bytes in memory."""

    def __init__(self, data: bytes, *, size: int | None = None) -> None:
        """Serve ``data``; zeros after it, if ``size`` says that the file is longer."""
        self.data = data
        self.size = len(data) if size is None else size
        self.bytes_read = 0
        self.requests: list[tuple[int, int]] = []
        self.is_broken = False

    def read(self, start: int, stop: int) -> bytes:
        """Return bytes, unless the connection is broken."""
        if self.is_broken:
            raise ClipError(Reason.NETWORK, "connection reset")
        stop = min(stop, self.size)
        data = self.data[start:stop].ljust(stop - start, b"\0")
        self.requests.append((start, stop))
        self.bytes_read += len(data)
        return data
