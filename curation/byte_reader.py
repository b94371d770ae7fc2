"""What the cutting code needs of a file that may be far away: its size, and byte ranges of it."""

from __future__ import annotations

from typing import Protocol


class ByteReader(Protocol):
    """A file of known size whose bytes can be asked for by range."""

    @property
    def size(self) -> int:
        """Length of the whole file in bytes."""
        ...

    @property
    def bytes_read(self) -> int:
        """Bytes that were transferred so far, the first request's included."""
        ...

    def read(self, start: int, stop: int) -> bytes:
        """Return exactly the bytes ``[start, min(stop, size))``.

        Raises:
            ClipError: they could not be had; retries are already used up.
        """
        ...


class RangesNotSupportedError(Exception):
    """The server ignores ``Range``; the file can only be had whole."""


class BadAnswerError(ConnectionError):
    """The server answered something else than was asked; another attempt may do better."""
