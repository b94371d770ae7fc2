"""What each field of a list of clips may hold.

Each reader takes the text of a cell, ignores blanks around it, and returns its value or raises
`ValueError` with a message to put after the field's name: ``'6:75' is not a time; …``.
"""

from __future__ import annotations

import os.path
import re
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from mimecurate.schemas.ids import YOUTUBE_ID, check_video_id, video_id_from_url, youtube_url
from mimecurate.schemas.times import parse_time_ms

BLANKS = " \t"
MAX_URL_CHARACTERS = 2_048
MAX_NAME_CHARACTERS = 200
LINK_MISSING = "is missing; give an http(s) link or an 11-character YouTube id"
_MAX_SHOWN_CHARACTERS = 80
_MAX_TIME_CHARACTERS = 32
# C0, C1, line and paragraph separators, bidirectional controls, lone surrogates
_CONTROL = r"\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_NOT_IN_NAME = re.compile(f"[{_CONTROL}]")
_NOT_IN_URL = re.compile(rf"[\s\\\u200b-\u200f\u2060-\u2064\ufeff{_CONTROL}]")
_USER = re.compile(r"[^/]*//[^/?#]*@")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


class Link(NamedTuple):
    """Where a video is, and what it is called."""

    url: str
    video_id: str

    @property
    def is_youtube(self) -> bool:
        """Whether the video's id is YouTube's."""
        return self.url == youtube_url(self.video_id)


def shown(value: str) -> str:
    r"""Quote a value for a message: at most 80 characters, none of them able to act.

    >>> print(shown("a\x1b[2J"), shown("x" * 100)[-6:])
    'a\x1b[2J' xxxx…'
    """
    text = repr(value[:_MAX_SHOWN_CHARACTERS])
    if len(value) > _MAX_SHOWN_CHARACTERS or len(text) > _MAX_SHOWN_CHARACTERS:
        text = f"{text[: _MAX_SHOWN_CHARACTERS - 2]}…{text[0]}"
    return text


def read_link(text: str, *, allow_files: bool, base: Path | None) -> Link:
    """Read a video's address.

    Args:
        text: an http(s) link, an 11-character YouTube id or, if allowed, a local file.
        allow_files: whether ``file://`` links and paths will do.
        base: the folder from which relative paths are read; None: they are refused.

    Raises:
        ValueError: anything else, or a link that is unsafe to pass on.

    >>> read_link("https://youtu.be/0zFbEjoGlhc?t=6", allow_files=False, base=None)
    Link(url='https://www.youtube.com/watch?v=0zFbEjoGlhc', video_id='0zFbEjoGlhc')
    """
    text = text.strip(BLANKS)
    if YOUTUBE_ID.fullmatch(text):
        return Link(youtube_url(text), text)
    if not text:
        raise ValueError(LINK_MISSING)
    if len(text) > MAX_URL_CHARACTERS:
        raise ValueError(
            f"{_shown_link(text)} has {len(text)} characters; at most {MAX_URL_CHARACTERS} will do"
        )
    start = text[:8].lower()
    if start.startswith(("http://", "https://")):
        return _web_link(text)
    is_file = start.startswith(("file:", "/", "./", "../"))
    if allow_files and (is_file or not (text.startswith("-") or _SCHEME.match(text))):
        return _file_link(text, base)
    if is_file:
        raise ValueError(f"{_shown_link(text)} is a local file; those need --allow-files")
    raise ValueError(
        f"{_shown_link(text)} is not an http(s) link; begin it with https://, "
        "or give an 11-character YouTube id"
    )


@lru_cache(maxsize=4096)
def read_time(text: str) -> int | None:
    """Read a time into milliseconds; None for an empty text.

    Raises:
        ValueError: not a time that `parse_time_ms` knows.
    """
    try:
        if len(text) > _MAX_TIME_CHARACTERS:
            raise ValueError(text)
        return parse_time_ms(text) if text.strip(BLANKS) else None
    except ValueError:
        raise ValueError(
            f"{shown(text)} is not a time; give seconds from 0 to 999999999 (12.5), "
            "MM:SS or HH:MM:SS.mmm, with SS below 60"
        ) from None


def read_label(text: str) -> str | None:
    """Read a class name, with spaces for ``_``; None for an empty text.

    >>> read_label("punching_person_(boxing)")
    'punching person (boxing)'
    """
    return read_name(text.replace("_", " "))


@lru_cache(maxsize=1024)
def read_name(text: str) -> str | None:
    """Read a short text without surrounding blanks; None for an empty one.

    Raises:
        ValueError: over 200 characters, or with a control character.
    """
    if bad := _NOT_IN_NAME.search(text):
        raise ValueError(f"{shown(text)} holds the control character {bad[0]!a}; remove it")
    if len(text) > MAX_NAME_CHARACTERS:
        raise ValueError(
            f"{shown(text)} has {len(text)} characters; at most {MAX_NAME_CHARACTERS} will do"
        )
    return text.strip() or None


def read_video_id(text: str) -> str | None:
    """Read the id that the list gives a video; None for an empty text.

    Raises:
        ValueError: not safe as part of a file name.
    """
    text = text.strip(BLANKS)
    if not text:
        return None
    try:
        return check_video_id(text)
    except ValueError:
        raise ValueError(
            f"{shown(text)} must be 1 to 80 letters, digits, '_', '-' or inner '.'"
        ) from None


def _web_link(text: str) -> Link:
    if _USER.match(text):
        raise ValueError(
            f"{_shown_link(text)} holds a user name or password; "
            "remove the password from the link; use --cookies"
        )
    if bad := _NOT_IN_URL.search(text):
        raise ValueError(f"{_shown_link(text)} holds {bad[0]!a}; remove it or percent-encode it")
    if "__youtubedl_smuggle" in text:
        raise ValueError(f"{_shown_link(text)} holds hidden yt-dlp data; cut it off at the '#'")
    try:
        parts = urlsplit(text)
        is_whole = bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_whole = False
    if not is_whole:
        raise ValueError(f"{_shown_link(text)} has no host, or a wrong one; give https://HOST/PATH")
    scheme, rest = text.split(":", 1)
    url = f"{scheme.lower()}:{rest}"
    video_id = video_id_from_url(url)
    return Link(youtube_url(video_id) if YOUTUBE_ID.fullmatch(video_id) else url, video_id)


def _file_link(text: str, base: Path | None) -> Link:
    if bad := _NOT_IN_NAME.search(text):
        raise ValueError(f"{_shown_link(text)} holds the control character {bad[0]!a}; remove it")
    path = Path(text)
    if text[:5].lower() == "file:":
        path = _path_of_file_url(text)
    elif not path.is_absolute():
        if base is None:
            raise ValueError(f"{_shown_link(text)} is relative to no folder; give the whole path")
        path = base / path
    url = Path(os.path.abspath(path)).as_uri()
    return Link(url, video_id_from_url(url))


def _path_of_file_url(text: str) -> Path:
    try:
        parts = urlsplit(text)
    except ValueError:
        raise ValueError(f"{_shown_link(text)} is not a file link; give file:///PATH") from None
    path = unquote(parts.path, errors="surrogateescape")
    if parts.netloc.lower() not in {"", "localhost"} or not path.startswith("/"):
        raise ValueError(f"{_shown_link(text)} names no file of this machine; give file:///PATH")
    if parts.query or parts.fragment:
        raise ValueError(f"{_shown_link(text)} has a '?' or '#'; write %3F or %23 for those")
    if "\0" in path:
        raise ValueError(f"{_shown_link(text)} holds a NUL; remove it")
    return Path(path)


def _shown_link(url: str) -> str:
    """Quote a link without what may be a password; rather too much left out than too little."""
    head, slashes, rest = url.partition("//") if "//" in url else ("", "", url)
    secret, at, tail = rest.rpartition("@")
    if at and (":" in secret or "/" not in secret):
        url = f"{head}{slashes}***@{tail}"
    return shown(url)
