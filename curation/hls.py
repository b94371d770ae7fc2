"""The media segments that an HLS playlist lists (RFC 8216), as far as they can be joined to a file.

Nothing of it is handed to another program, which would ask past our guard and pacer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urljoin

from mimecurate.errors import ClipError, Reason

_ATTRIBUTE = re.compile(r'([A-Z0-9-]+)=("[^"]*"|[^",]*)')


@dataclass(frozen=True, slots=True)
class SegmentKey:
    """How a segment is encrypted: AES-128 in CBC mode."""

    url: str
    iv: bytes
    """16 bytes."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Part of a media file."""

    url: str
    byte_range: tuple[int, int] | None = None
    """``[start, stop)`` of what is at the URL; None: all of it."""
    key: SegmentKey | None = None


def parse_playlist(text: str, url: str) -> list[Segment]:
    r"""List the segments of a media playlist in order, initialisation sections included.

    Args:
        text: the playlist.
        url: where it was, which relative links start from.

    Raises:
        ClipError: it is live, encrypted in a way that players alone undo, or lists nothing.

    >>> parse_playlist("#EXTM3U\n#EXTINF:2,\n1.ts\n#EXT-X-ENDLIST", "http://a.example/x/l.m3u8")
    [Segment(url='http://a.example/x/1.ts', byte_range=None, key=None)]
    """
    lines = [line.strip() for line in text.splitlines()]
    if "#EXT-X-ENDLIST" not in lines:
        raise ClipError(Reason.LIVE, "the playlist is live: it has no end")
    reader = _Reader(url)
    for line in filter(None, lines):
        reader.take(line)
    if not reader.segments:
        raise ClipError(Reason.NO_VIDEO, "the playlist lists no segments")
    return reader.segments


class _Reader:
    """What a playlist has said so far."""

    def __init__(self, url: str) -> None:
        self.segments: list[Segment] = []
        self._url = url
        self._sequence = 0
        self._key: dict[str, str] = {}
        self._byte_range: tuple[int, int] | None = None
        self._end: dict[str, int] = {}
        """Where the last range of each URL stopped; the next may start there without saying so."""

    def take(self, line: str) -> None:
        tag, _, value = line.partition(":")
        if not line.startswith("#"):
            self._add(urljoin(self._url, line), self._byte_range)
            self._sequence += 1
            self._byte_range = None
        elif tag == "#EXT-X-MEDIA-SEQUENCE" and value.isdecimal():
            self._sequence = int(value)
        elif tag == "#EXT-X-KEY":
            self._key = _attributes(value)
            if self._key.get("METHOD") not in {"NONE", "AES-128"}:
                raise ClipError(
                    Reason.UNSUPPORTED, f"the segments are encrypted by {self._key.get('METHOD')}"
                )
        elif tag == "#EXT-X-BYTERANGE":
            self._byte_range = _byte_range(value)
        elif tag == "#EXT-X-MAP":
            attributes = _attributes(value)
            byte_range = attributes.get("BYTERANGE")
            self._add(
                urljoin(self._url, attributes.get("URI", "")),
                _byte_range(byte_range) if byte_range else None,
            )

    def _add(self, url: str, byte_range: tuple[int, int] | None) -> None:
        if byte_range is not None:
            start, length = byte_range
            start = self._end.get(url, 0) if start < 0 else start
            byte_range = (start, start + length)
            self._end[url] = start + length
        self.segments.append(Segment(url, byte_range, self._segment_key()))

    def _segment_key(self) -> SegmentKey | None:
        if self._key.get("METHOD", "NONE") == "NONE":
            return None
        digits = self._key.get("IV", "").lower().removeprefix("0x")
        try:
            vector = int(digits, 16) if digits else self._sequence
            return SegmentKey(urljoin(self._url, self._key["URI"]), vector.to_bytes(16, "big"))
        except (KeyError, ValueError, OverflowError) as error:
            raise ClipError(Reason.UNSUPPORTED, "the playlist's key is malformed") from error


def _attributes(text: str) -> dict[str, str]:
    return {name: value.strip('"') for name, value in _ATTRIBUTE.findall(text)}


def _byte_range(text: str) -> tuple[int, int]:
    """Read ``length[@start]`` as start and length; start is -1 where it is not said."""
    match = re.fullmatch(r"(\d{1,15})(?:@(\d{1,15}))?", text.strip())
    if match is None:
        raise ClipError(Reason.UNSUPPORTED, f"the playlist's byte range {text!r} is malformed")
    return (-1 if match[2] is None else int(match[2])), int(match[1])
