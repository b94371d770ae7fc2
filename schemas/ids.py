"""How videos and clips are named.

A video's id is YouTube's 11 characters where the link is YouTube's, else a stable id made from the
link, else what the list says. A clip is the half-open interval ``[start, end)`` of a video; its id
is the Kinetics file name when both times are whole seconds.
"""

from __future__ import annotations

import hashlib
import re
from urllib.parse import parse_qs, urlsplit

from mimecurate.schemas.times import format_seconds

YOUTUBE_ID = re.compile(r"[A-Za-z0-9_-]{11}")
_SAFE_VIDEO_ID = re.compile(r"(?!\.)[A-Za-z0-9_.-]{1,80}(?<!\.)")
_YOUTUBE_HOSTS = {"youtube.com", "youtube-nocookie.com", "youtu.be"}


def clip_id(video_id: str, start_ms: int, end_ms: int) -> str:
    """Name the clip ``[start_ms, end_ms)`` of a video.

    >>> clip_id("0zFbEjoGlhc", 6000, 10000)
    '0zFbEjoGlhc_000006_000010'
    >>> clip_id("0zFbEjoGlhc", 6500, 10000)
    '0zFbEjoGlhc_000006.500_000010.000'
    """
    if start_ms % 1000 == 0 and end_ms % 1000 == 0:
        return f"{video_id}_{start_ms // 1000:06d}_{end_ms // 1000:06d}"
    start, end = (f"{ms // 1000:06d}.{ms % 1000:03d}" for ms in (start_ms, end_ms))
    return f"{video_id}_{start}_{end}"


def check_video_id(video_id: str) -> str:
    """Return ``video_id`` if it can safely be part of a file name.

    Raises:
        ValueError: empty, over 80 characters, or with anything but ASCII letters, digits,
            ``_``, ``-`` and inner ``.``.
    """
    if _SAFE_VIDEO_ID.fullmatch(video_id) is None:
        raise ValueError(
            f"video id {video_id[:80]!r} must be 1 to 80 letters, digits, '_', '-' or inner '.'"
        )
    return video_id


def youtube_id(url: str) -> str | None:
    """Return the YouTube id that a link names, or None if it is no YouTube link.

    >>> youtube_id("https://youtu.be/0zFbEjoGlhc?t=6")
    '0zFbEjoGlhc'
    >>> youtube_id("https://www.youtube.com/watch?v=0zFbEjoGlhc&list=x")
    '0zFbEjoGlhc'
    >>> youtube_id("https://example.org/watch?v=0zFbEjoGlhc") is None
    True
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").removeprefix("www.").removeprefix("m.").removeprefix("music.")
    if parts.scheme not in {"http", "https"} or host not in _YOUTUBE_HOSTS:
        return None
    segments = [s for s in parts.path.split("/") if s]
    candidate = ""
    if host == "youtu.be":
        candidate = segments[0] if segments else ""
    elif len(segments) >= 2 and segments[0] in {"shorts", "embed", "live", "v", "e"}:
        candidate = segments[1]
    elif segments[:1] == ["watch"]:
        candidate = (parse_qs(parts.query).get("v") or [""])[0]
    return candidate if YOUTUBE_ID.fullmatch(candidate) else None


def video_id_from_url(url: str) -> str:
    """Make the stable id of a video from its link: YouTube's id, or a name made of a hash.

    The name is the first 16 hexadecimal digits of the link's SHA-256, then ``-url``. The digits
    come first because media lie in folders named by an id's first two characters.

    >>> video_id_from_url("https://www.youtube.com/shorts/0zFbEjoGlhc")
    '0zFbEjoGlhc'
    >>> video_id_from_url("https://example.org/a.mp4")
    'a8b8a42b8ef6ed1c-url'
    """
    return youtube_id(url) or hashlib.sha256(url.encode("utf-8")).hexdigest()[:16] + "-url"


def youtube_url(video_id: str) -> str:
    """Return the page of a YouTube video."""
    return f"https://www.youtube.com/watch?v={video_id}"


def interval_text(start_ms: int, end_ms: int) -> str:
    """Write an interval for people: ``6-10 s``.

    >>> interval_text(6500, 10000)
    '6.5-10 s'
    """
    return f"{format_seconds(start_ms)}-{format_seconds(end_ms)} s"
