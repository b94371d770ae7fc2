"""The lines of a list of clips, from bytes that nobody has checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, TypeAlias

from mimecurate.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_LINE_BYTES = 65_536
_CHUNK_BYTES = 65_536
_NOT_TEXT = {
    b"\xff\xfe": "the list is UTF-16, not UTF-8; save it as UTF-8",
    b"\xfe\xff": "the list is UTF-16, not UTF-8; save it as UTF-8",
    b"PK\x03\x04": "the list is a zip archive or a spreadsheet, not text; save it as CSV in UTF-8",
    b"\x1f\x8b": "the list is gzip, not text; unpack it first",
}

Line: TypeAlias = tuple[int, str]
"""A line's number, from 1, and its text without the line break."""


def read_lines(stream: BinaryIO) -> Iterator[Line | Problem]:
    r"""Read UTF-8 lines that end in LF, CRLF or CR, in bounded memory.

    A leading byte order mark is dropped. A line that is over 64 KiB, not UTF-8 or holds a NUL
    is reported instead of returned, and reading goes on; of a file that is no UTF-8 text at all
    only that is reported.

    >>> import io
    >>> list(read_lines(io.BytesIO(b"one\r\ntwo")))
    [(1, 'one'), (2, 'two')]
    """
    for number, raw in enumerate(_raw_lines(stream), 1):
        if raw is None:
            message = f"line is over {MAX_LINE_BYTES // 1024} KiB; a clip needs far less"
            yield Problem(message, number)
            continue
        if number == 1:
            if message := _why_not_text(raw):
                yield Problem(message, number)
                return
            raw = raw.removeprefix(b"\xef\xbb\xbf")
        try:
            text = raw.decode()
        except UnicodeDecodeError as error:
            column = len(raw[: error.start].decode()) + 1
            message = f"byte 0x{raw[error.start]:02X} is not UTF-8; save the list as UTF-8"
            yield Problem(message, number, column)
            continue
        if "\0" in text:
            yield Problem("line holds a NUL byte; remove it", number, text.index("\0") + 1)
            continue
        yield number, text.rstrip("\r\n")


def _raw_lines(stream: BinaryIO) -> Iterator[bytes | None]:
    """Yield each line with its break; None in the place of one over `MAX_LINE_BYTES`."""
    rest = b""
    too_long = False
    while chunk := stream.read(_CHUNK_BYTES):
        *whole, rest = (rest + chunk).splitlines(keepends=True)
        if rest.endswith(b"\n"):  # a last '\r' may be the first half of '\r\n'
            whole.append(rest)
            rest = b""
        for raw in whole:
            yield None if too_long or len(raw) > MAX_LINE_BYTES else raw
            too_long = False
        if len(rest) > MAX_LINE_BYTES:
            too_long = True
            rest = rest[-1:]
    if rest:
        yield None if too_long or len(rest) > MAX_LINE_BYTES else rest


def _why_not_text(first_line: bytes) -> str:
    if b"\0" in first_line[:2]:
        return _NOT_TEXT[b"\xff\xfe"]
    return next((why for magic, why in _NOT_TEXT.items() if first_line.startswith(magic)), "")
