"""Files that can't be had by ranges: read whole, once, into a folder of the caller's."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from yt_dlp.aes import aes_cbc_decrypt_bytes, unpad_pkcs7
from yt_dlp.networking.common import Request

from mimecurate.curation.byte_reader import BadAnswerError
from mimecurate.curation.downloader import CHUNK_BYTES
from mimecurate.curation.hls import Segment, parse_playlist
from mimecurate.curation.http_bytes import content_range, wait_until_available
from mimecurate.curation.retrying import Retrier
from mimecurate.errors import ClipError, Reason

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import BinaryIO

    from mimecurate.curation.downloader import Downloader, WatchedResponse
    from mimecurate.curation.pacing import Pacer
    from mimecurate.curation.source_types import SourceFile

_EXTENSIONS = frozenset({"mp4", "m4a", "webm", "mkv", "mov", "ts", "flv", "avi", "ogg", "ogv"})


def download_file(
    file: SourceFile,
    stem: Path,
    downloader: Downloader,
    pacer: Pacer,
    check_stopped: Callable[[], None],
) -> Path:
    """Read a file whole, or join it from its segments.

    Args:
        file: what to read.
        stem: path to write to, without its ending.
        downloader: this thread's.
        pacer: the run's.
        check_stopped: raises when the run is to end.

    Returns:
        The path, with an ending.

    Raises:
        ClipError: it can't be had, or there is no room for it. Nothing is left then.
    """
    path = stem.with_suffix(f".{file.ext if file.ext in _EXTENSIONS else 'media'}")
    downloader.load_cookies_text(file.cookies)
    wait_until_available(file, pacer, check_stopped)
    join = _Join(file, downloader, pacer, check_stopped)
    try:
        with path.open("wb") as out:
            for segment in join.list_segments():
                join.append(segment, out)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path


class _Join:
    """The pieces of one file, asked for one after another."""

    def __init__(
        self,
        file: SourceFile,
        downloader: Downloader,
        pacer: Pacer,
        check_stopped: Callable[[], None],
    ) -> None:
        self._file = file
        self._downloader = downloader
        self._pacer = pacer
        self._check_stopped = check_stopped
        self._keys: dict[str, bytes] = {}

    def list_segments(self) -> list[Segment]:
        if self._file.fragments:
            return [Segment(url) for url in self._file.fragments]
        if self._file.protocol != "m3u8_native":
            return [Segment(self._file.url)]
        playlist, url = self._read(self._file.url)
        return parse_playlist(playlist.decode("utf-8", "replace"), url)

    def append(self, segment: Segment, out: BinaryIO) -> None:
        """Add a segment to what was written; it is written wholly or not at all."""
        begin = out.tell()

        def ask() -> None:
            out.seek(begin)
            out.truncate()
            self._copy(segment, out)

        if segment.key is None:
            self._persist(ask, segment.url)
        else:
            encrypted, _ = self._read(segment.url, segment.byte_range)
            out.write(self._decrypt(encrypted, segment))
            self._downloader.options.check_size(out.tell())
        if out.tell() == begin:
            raise ClipError(Reason.NO_VIDEO, "the server sent an empty file")

    def _copy(self, segment: Segment, out: BinaryIO) -> None:
        with contextlib.closing(self._open(segment.url, segment.byte_range)) as response:
            while part := response.read_some(CHUNK_BYTES):
                out.write(part)
                self._downloader.options.check_size(out.tell())
        out.flush()  # a full disk is to show here

    def _read(self, url: str, byte_range: tuple[int, int] | None = None) -> tuple[bytes, str]:
        """Read a playlist, a key or an encrypted segment into memory; and say where it was."""
        found: list[tuple[bytes, str]] = []

        def ask() -> None:
            with contextlib.closing(self._open(url, byte_range)) as response:
                found.append((response.read(), response.url))

        self._persist(ask, url)
        return found[-1]

    def _open(self, url: str, byte_range: tuple[int, int] | None) -> WatchedResponse:
        headers = {**self._file.headers, "Accept-Encoding": "identity"}
        if byte_range is not None:
            start, stop = byte_range
            headers["Range"] = f"bytes={start}-{stop - 1}"
        response: WatchedResponse = self._downloader.urlopen(Request(url, headers=headers))
        if byte_range is not None and content_range(response)[:2] != byte_range:
            raise BadAnswerError(f"asked for bytes {start}-{stop - 1}, the server answered others")
        return response

    def _persist(self, ask: Callable[[], None], url: str) -> None:
        host = urlsplit(url).hostname or ""
        retrier = Retrier(self._downloader.options.retry_policy, self._pacer, self._check_stopped)
        while True:
            try:
                with (
                    self._pacer.connection(host, self._check_stopped),
                    self._downloader.working(
                        self._pacer, self._check_stopped, metadata=False, reach=self._file.reach
                    ),
                ):
                    return ask()
            except Exception as error:
                retrier.failed(error, host)

    def _decrypt(self, data: bytes, segment: Segment) -> bytes:
        assert segment.key is not None
        url = segment.key.url
        if url not in self._keys:
            self._keys[url], _ = self._read(url)
        key = self._keys[url]
        if len(key) != 16 or len(data) % 16 or not data:
            raise ClipError(Reason.CORRUPT, "a segment can't be decrypted with the playlist's key")
        plain: bytes = unpad_pkcs7(aes_cbc_decrypt_bytes(data, key, segment.key.iv))
        return plain
