"""A file behind a link, read by byte ranges over yt-dlp's own connection."""

from __future__ import annotations

import logging
import re
import time
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from yt_dlp.networking.common import Request
from yt_dlp.networking.exceptions import HTTPError

from mimecurate.curation.byte_reader import BadAnswerError, RangesNotSupportedError
from mimecurate.curation.downloader import CHUNK_BYTES
from mimecurate.curation.retrying import Retrier
from mimecurate.curation.source_types import FileHead
from mimecurate.errors import ClipError, Reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from mimecurate.curation.downloader import Downloader, WatchedResponse
    from mimecurate.curation.pacing import Pacer
    from mimecurate.curation.source_types import SourceFile

logger = logging.getLogger(__name__)

HEAD_BYTES = 64 * 1024
MAX_REQUEST_BYTES = 10 << 20
"""YouTube slows down responses that are longer."""
PROGRESS_BYTES = 64 * 1024
"""An attempt that brought this much is followed by as many retries as the first."""
MAX_WAIT_S = 120.0
"""For a file to become available."""

_LENGTH = re.compile(r"[0-9]{1,18}")
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")


class FileChangedError(Exception):
    """What was read before belongs to another file than what is read now."""


class HttpBytes:
    """A `ByteReader` over HTTP. It belongs to the thread that made it.

    A failed request is asked again from where it broke off, within the retries of the downloader's
    options; a 403 resolves the link anew, once, for links to media expire.
    """

    def __init__(
        self,
        file: SourceFile,
        downloader: Downloader,
        pacer: Pacer,
        check_stopped: Callable[[], None],
        *,
        refresh: Callable[[], SourceFile] | None = None,
    ) -> None:
        """Ask for the first 64 KiB, unless ``file.head`` has them.

        Args:
            file: what to read.
            downloader: this thread's.
            pacer: the run's.
            check_stopped: raises when the run is to end.
            refresh: resolves the link again, to the same file.

        Raises:
            RangesNotSupportedError: the server ignores ``Range``.
            ClipError: it can't be read.
        """
        self._file = file
        self._downloader = downloader
        self._pacer = pacer
        self._check_stopped = check_stopped
        self._refresh = refresh
        self._received = 0
        self.requests = 0
        downloader.load_cookies_text(file.cookies)
        wait_until_available(file, pacer, check_stopped)
        if file.head is not None:
            head = file.head
            self._received, self.requests = len(head.data), 1
        else:
            head = self._fetch_head()
        if not head.has_ranges or head.size is None:
            raise RangesNotSupportedError(f"{_host(file)} has no byte ranges")
        self._head = head.data
        self._size = head.size
        self._validator = head.validator

    @property
    def size(self) -> int:
        """Length of the whole file in bytes."""
        return self._size

    @property
    def bytes_read(self) -> int:
        """Bytes of bodies received so far, those in vain and the first request's included."""
        return self._received

    def read(self, start: int, stop: int) -> bytes:
        """Return exactly the bytes ``[start, min(stop, size))``.

        Raises:
            ClipError: they could not be had; retries are already used up.
            ValueError: ``start`` is negative.
        """
        if start < 0:
            raise ValueError(f"start {start} must not be negative")
        stop = min(stop, self._size)
        data = bytearray(self._head[start:stop])
        retrier = self._new_retrier()
        while start + len(data) < stop:
            before = len(data)
            try:
                self._ask_range(start + before, stop, data)
            except Exception as error:
                progress = len(data) - before
                if progress >= PROGRESS_BYTES:
                    retrier.progressed()
                self._failed(error, retrier)
            else:
                retrier.progressed()
        return bytes(data)

    def _fetch_head(self) -> FileHead:
        retrier = self._new_retrier()
        while True:
            try:
                return self._ask_head()
            except Exception as error:
                self._failed(error, retrier)

    def _ask_head(self) -> FileHead:
        self.requests += 1
        with (
            self._pacer.connection(_host(self._file), self._check_stopped),
            self._downloader.working(
                self._pacer, self._check_stopped, metadata=False, reach=self._file.reach
            ) as work,
        ):
            try:
                head, response = read_head(self._downloader, self._file)
                response.close()
            finally:
                self._received += work.bytes_read
            reach = self._downloader.guard.reach
        # not to be redirected again for each range
        self._file = replace(self._file, url=response.url, reach=reach)
        return head

    def _ask_range(self, start: int, stop: int, data: bytearray) -> None:
        """Add the first bytes of ``[start, stop)`` to ``data``, as many as come."""
        self.requests += 1
        stop = min(stop, start + MAX_REQUEST_BYTES)
        with (
            self._pacer.connection(_host(self._file), self._check_stopped),
            self._downloader.working(
                self._pacer, self._check_stopped, metadata=False, reach=self._file.reach
            ) as work,
        ):
            response = send_range(self._downloader, self._file, start, stop)
            try:
                stop = self._check_range(response, start, stop)
                while start < stop and (part := response.read_some(min(stop - start, CHUNK_BYTES))):
                    data += part
                    start += len(part)
            finally:
                response.close()
                self._received += work.bytes_read
        self._downloader.options.check_size(self._received)
        if start < stop:
            raise BadAnswerError(f"the response ended {stop - start} bytes too early")

    def _check_range(self, response: WatchedResponse, start: int, stop: int) -> int:
        """Return where the response stops, if it starts where it must, in the same file."""
        first, after, size = content_range(response)
        is_scrap = after < stop and after - first < PROGRESS_BYTES
        if first != start or not first < after <= stop or is_scrap:
            raise BadAnswerError(
                f"asked for bytes {start}-{stop - 1}, the server answered {first}-{after - 1}"
            )
        validator = strong_validator(response)
        if size != self._size or (self._validator and validator and validator != self._validator):
            raise FileChangedError("the file changed while it was being read")
        return after

    def _failed(self, error: Exception, retrier: Retrier) -> None:
        """Return if there is to be another attempt, else raise."""
        if isinstance(error, RangesNotSupportedError):
            raise error
        if isinstance(error, FileChangedError):
            raise ClipError(Reason.NETWORK, str(error)) from error
        forbidden = isinstance(error, HTTPError) and error.status == 403
        if forbidden and self._refresh is not None:
            logger.debug("%s: 403, resolving the link again", _host(self._file))
            refresh, self._refresh = self._refresh, None
            self._file, self._validator = refresh(), None
            self._downloader.load_cookies_text(self._file.cookies)
            wait_until_available(self._file, self._pacer, self._check_stopped)
            return
        retrier.failed(error, _host(self._file))

    def _new_retrier(self) -> Retrier:
        policy = self._downloader.options.retry_policy
        return Retrier(policy, self._pacer, self._check_stopped)


def wait_until_available(file: SourceFile, pacer: Pacer, check_stopped: Callable[[], None]) -> None:
    """Wait as long as the site wants to be waited for, within reason."""
    if file.available_at is not None:
        pacer.wait(min(file.available_at - time.time(), MAX_WAIT_S), check_stopped)


def read_head(downloader: Downloader, file: SourceFile) -> tuple[FileHead, WatchedResponse]:
    """Ask for the first 64 KiB of a file, inside `Downloader.working`.

    The rest of the response is left to the caller: all of the file where ranges are ignored.

    Raises:
        ClipError: the file is empty.
        BadAnswerError: the answer is not to what was asked.
        yt_dlp.networking.exceptions.RequestError: the request failed.
    """
    try:
        response = send_range(downloader, file, 0, HEAD_BYTES)
    except HTTPError as error:
        if error.status == 416:
            raise ClipError(Reason.NO_VIDEO, "the file is empty") from error
        raise
    ranged = response.status == 206 and not response.headers.get("Content-Encoding")
    size: int | None
    if ranged:
        first, wanted, size = content_range(response)
        if first != 0:
            response.close()
            raise BadAnswerError(f"asked for the first bytes, the server answered from {first}")
        wanted = min(wanted, HEAD_BYTES)
    else:
        length = response.headers.get("Content-Length", "")
        wanted, size = HEAD_BYTES, int(length) if _LENGTH.fullmatch(length) else None
    data = bytearray()
    while len(data) < wanted and (part := response.read_some(wanted - len(data))):
        data += part
    if not data:
        raise ClipError(Reason.NO_VIDEO, "the server sent an empty file")
    if ranged and len(data) < wanted:
        raise BadAnswerError(f"the response ended {wanted - len(data)} bytes too early")
    has_ranges = ranged and size is not None
    return FileHead(bytes(data), size, strong_validator(response), has_ranges), response


def send_range(downloader: Downloader, file: SourceFile, start: int, stop: int) -> WatchedResponse:
    """Ask for the bytes ``[start, stop)`` of a file, inside `Downloader.working`."""
    # compressed bytes are no ranges of the file
    headers = {**file.headers, "Range": f"bytes={start}-{stop - 1}", "Accept-Encoding": "identity"}
    response: WatchedResponse = downloader.urlopen(Request(file.url, headers=headers))
    return response


def content_range(response: WatchedResponse) -> tuple[int, int, int | None]:
    """Read first byte, byte after the last, and file size (None: unknown) of a 206.

    Raises:
        BadAnswerError: it is no single range.
    """
    if response.status != 206:
        raise BadAnswerError(f"asked for a range, the server answered {response.status}")
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    if match is None:
        raise BadAnswerError("the server's Content-Range is missing or malformed")
    return int(match[1]), int(match[2]) + 1, None if match[3] == "*" else int(match[3])


def strong_validator(response: WatchedResponse) -> str | None:
    """Return what changes when the file does; None if the server doesn't say, or not exactly."""
    tag: str | None = response.headers.get("ETag")
    return None if tag is None or tag.startswith("W/") else tag


def _host(file: SourceFile) -> str:
    return urlsplit(file.url).hostname or ""
