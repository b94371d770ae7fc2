"""From a link to media that can be read: one metadata request per video, by yt-dlp as a library.

Links to the media itself are told by their first bytes and need no extraction. For all else yt-dlp
finds out what is behind the link; the bytes are then read over its connection, with its cookies
and proxy, by `HttpBytes` or, where there are no byte ranges, whole.
"""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urljoin, urlsplit

from mimecurate.curation.byte_reader import RangesNotSupportedError
from mimecurate.curation.failures import classify
from mimecurate.curation.file_bytes import FileBytes
from mimecurate.curation.network_guard import Zone
from mimecurate.curation.pacing import Pacer
from mimecurate.curation.retrying import Retrier
from mimecurate.curation.source_formats import PROTOCOLS, RANGED_PROTOCOLS
from mimecurate.curation.source_types import FileHead, Resolved, SourceFile, SourceOptions
from mimecurate.errors import ClipError, Reason, SettingError, plain_words
from mimecurate.schemas.ids import youtube_id, youtube_url

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mimecurate.curation.byte_reader import ByteReader
    from mimecurate.curation.downloader import Downloader, Work

__all__ = [
    "FileHead",
    "Resolved",
    "SourceFile",
    "SourceOptions",
    "check_options",
    "download_whole",
    "make_pacer",
    "open_bytes",
    "resolve",
]

logger = logging.getLogger(__name__)

MAX_LINK_CHARS = 8192


def resolve(
    url: str, options: SourceOptions, pacer: Pacer, check_stopped: Callable[[], None]
) -> Resolved:
    """Find the media behind a link of the list.

    Args:
        url: http(s), or a file's URL or path if the options allow those.
        options: how to ask.
        pacer: the run's.
        check_stopped: raises when the run is to end.

    Raises:
        ClipError: there is no video, or not for us; the reason says why.
    """
    if path := _local_path(url):
        return _resolve_file(url, path, options)
    _check_link(url)
    from mimecurate.curation.downloader import downloader_for

    downloader = downloader_for(options)
    retrier = Retrier(options.retry_policy, pacer, check_stopped)
    host = urlsplit(url).hostname or ""
    while True:
        try:
            with (
                pacer.connection(host, check_stopped),
                downloader.working(pacer, check_stopped, metadata=True) as work,
            ):
                return _resolve_once(url, downloader, work)
        except Exception as error:
            retrier.failed(error, host, tuple(downloader.messages.warnings))


def open_bytes(
    file: SourceFile, options: SourceOptions, pacer: Pacer, check_stopped: Callable[[], None]
) -> ByteReader:
    """Open a file for reading by byte ranges, in the thread that will read it.

    Where the link that led to it has expired meanwhile, it is resolved again, once.

    Raises:
        RangesNotSupportedError: it can only be had whole.
        ClipError: it can't be had.
    """
    if file.protocol == "file":
        return FileBytes(Path(file.url))
    if file.protocol not in RANGED_PROTOCOLS:
        raise RangesNotSupportedError(f"{file.protocol} has no byte ranges")
    from mimecurate.curation.downloader import downloader_for
    from mimecurate.curation.http_bytes import HttpBytes

    def refresh() -> SourceFile:
        resolved = resolve(file.link, options, pacer, check_stopped)
        again = [f for f in (resolved.video, resolved.audio) if f is not None]
        same = next((f for f in again if f.format_id == file.format_id), None)
        if same is None:
            raise ClipError(Reason.NETWORK, f"the site no longer offers format {file.format_id}")
        return same

    downloader = downloader_for(options)
    return HttpBytes(file, downloader, pacer, check_stopped, refresh=refresh if file.link else None)


def download_whole(
    resolved: Resolved,
    folder: Path,
    options: SourceOptions,
    pacer: Pacer,
    check_stopped: Callable[[], None],
) -> tuple[Path, ...]:
    """Read a video whole, into ``folder``: what is left where there are no byte ranges.

    Returns:
        The file with the picture, and the one with the sound where that is another.

    Raises:
        ClipError: it can't be had, or there is no room for it.
    """
    from mimecurate.curation.downloader import downloader_for
    from mimecurate.curation.whole_files import download_file

    paths: list[Path] = []
    for stem, file in (("video", resolved.video), ("audio", resolved.audio)):
        if file is None:
            continue
        if file.protocol == "file":
            paths.append(Path(file.url))
        else:
            downloader = downloader_for(options)
            paths.append(download_file(file, folder / stem, downloader, pacer, check_stopped))
    return tuple(paths)


def make_pacer(
    options: SourceOptions,
    *,
    sleep_s: float | None = None,
    on_pause: Callable[[str, float], None] | None = None,
) -> Pacer:
    """Make the pacer of a run.

    Args:
        options: whose rate limit it keeps.
        sleep_s: seconds between metadata requests to one site; None: 0.75 for YouTube, else 0.
        on_pause: called with site and seconds when a site asks to be left alone.
    """
    return Pacer(sleep_s, limit_rate=options.limit_rate, on_pause=on_pause)


def check_options(options: SourceOptions) -> None:
    """Find out before a run whether yt-dlp takes the options: cookies, proxy, format.

    Raises:
        SettingError: it doesn't.
    """
    from yt_dlp.networking.common import Request

    from mimecurate.curation.downloader import Downloader

    if options.cookies is not None and not options.cookies.is_file():
        raise SettingError(f"cookies: there is no file {options.cookies}")
    try:
        downloader = Downloader(options)
        for handler in downloader._request_director.handlers.values():
            handler.validate(Request("https://example.org/"))
        downloader.close()
    except Exception as error:
        raise SettingError(f"yt-dlp refuses the options: {classify(error)}") from error


def _check_link(url: str) -> None:
    shown = url[:80]
    if len(url) > MAX_LINK_CHARS:
        raise ClipError(Reason.UNSUPPORTED, f"the link has {len(url)} characters: {shown!r}…")
    if not url.isprintable() or " " in url:
        raise ClipError(Reason.UNSUPPORTED, f"the link has blanks or control characters: {shown!r}")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ClipError(Reason.UNSUPPORTED, f"{shown!r} is not a link: {error}") from error
    if parts.scheme.lower() not in {"http", "https"} or not host:
        raise ClipError(Reason.UNSUPPORTED, f"{shown!r} is not an http(s) link")
    if "__youtubedl_smuggle" in url:
        raise ClipError(Reason.UNSUPPORTED, "the link has instructions for yt-dlp in it")


def _local_path(url: str) -> Path | None:
    """Return the path that a ``file:`` URL or a bare path means; None for any other scheme."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    if parts.scheme.lower() == "file" and parts.netloc in {"", "localhost"}:
        return Path(unquote(parts.path, errors="surrogateescape"))
    return Path(url) if not parts.scheme and url and not url.startswith("//") else None


def _resolve_file(url: str, path: Path, options: SourceOptions) -> Resolved:
    if not options.allow_files:
        raise ClipError(
            Reason.UNSUPPORTED, f"{url[:80]!r} is not an http(s) link; files need --allow-files"
        )
    try:
        size = FileBytes(path).size
    except (OSError, ValueError) as error:
        raise ClipError(Reason.UNAVAILABLE, f"{url[:80]!r}: {plain_words(error)}") from error
    file = SourceFile(str(path), "file", path.suffix[1:], "file", size=size)
    title = os.fsencode(path.stem).decode("utf-8", "replace")
    return Resolved(url, "file", file, title=title, format_id="file")


def _resolve_once(url: str, downloader: Downloader, work: Work) -> Resolved:
    video_id = youtube_id(url)
    link = youtube_url(video_id) if video_id else url  # less the playlist that it is part of
    if downloader.is_generic(link):
        found = _take_direct(link, downloader, work)
        if isinstance(found, Resolved):
            return found
        link = found
    info = downloader.extract_info(link, download=False)
    if not info:
        raise ClipError(Reason.NO_VIDEO, "yt-dlp found nothing behind the link")
    reach = downloader.guard.reach or Zone.PUBLIC
    return _from_info(url, info, reach)


def _take_direct(url: str, downloader: Downloader, work: Work) -> Resolved | str:
    """Read the first bytes: if they are media, so is the link; else return where it led."""
    from mimecurate.curation.http_bytes import read_head

    file = SourceFile(url, "https", "", "direct", link=url)
    head, response = read_head(downloader, file)
    ext = sniff_media(head.data)
    if ext is None:
        complete = not head.has_ranges or head.size == len(head.data)
        if complete:  # the extractor is about to ask for the same page
            response.unread(head.data)
            work.ready = response
        else:
            response.close()
        return str(response.url)
    response.close()
    media = replace(
        file,
        url=response.url,
        ext=ext,
        size=head.size,
        reach=downloader.guard.reach or Zone.PUBLIC,
        head=head,
    )
    return Resolved(url, "direct", media, format_id="direct")


def sniff_media(data: bytes) -> str | None:
    """Tell a container by its first bytes; None for what is no video file, or not surely.

    >>> sniff_media(bytes.fromhex("1a45dfa3 9f4286")), sniff_media(b"<!doctype html>") is None
    ('mkv', True)
    """
    if data[4:8] in {b"ftyp", b"moov", b"moof", b"mdat", b"styp", b"sidx", b"wide", b"free"}:
        return "mp4"
    if data.startswith(b"\x1a\x45\xdf\xa3"):
        return "webm" if b"webm" in data[:64] else "mkv"
    if data[:377:188] == b"GGG":
        return "ts"
    for magic, ext in ((b"FLV\x01", "flv"), (b"OggS", "ogg"), (b"\x00\x00\x01\xba", "mpg")):
        if data.startswith(magic):
            return ext
    return "avi" if data[:4] == b"RIFF" and data[8:12] == b"AVI " else None


def _from_info(url: str, info: Mapping[str, Any], reach: Zone) -> Resolved:
    picture, *sound = info.get("requested_formats") or [info]
    files = [_source_file(fmt, url, reach) for fmt in (picture, *sound)]
    duration = info.get("duration")
    title = "".join(c for c in str(info.get("title") or "") if c.isprintable())
    return Resolved(
        url,
        str(info.get("extractor") or ""),
        files[0],
        files[1] if len(files) > 1 else None,
        title or None,
        round(duration * 1000) if isinstance(duration, int | float) and duration > 0 else None,
        "+".join(file.format_id for file in files),
        picture.get("width"),
        picture.get("height"),
    )


def _source_file(fmt: Mapping[str, Any], link: str, reach: Zone) -> SourceFile:
    protocol = str(fmt.get("protocol"))
    if protocol not in PROTOCOLS:
        raise ClipError(Reason.UNSUPPORTED, f"the video comes by {protocol}, which is not read")
    return SourceFile(
        url=str(fmt["url"]),
        protocol="m3u8_native" if protocol == "m3u8" else protocol,
        ext=str(fmt.get("ext") or ""),
        format_id=str(fmt.get("format_id") or ""),
        headers=dict(fmt.get("http_headers") or {}),
        size=fmt.get("filesize"),
        link=link,
        reach=reach,
        cookies=str(fmt.get("cookies") or ""),
        available_at=fmt.get("available_at"),
        fragments=tuple(
            str(f.get("url") or urljoin(str(fmt.get("fragment_base_url")), str(f.get("path"))))
            for f in fmt.get("fragments") or ()
        ),
    )
