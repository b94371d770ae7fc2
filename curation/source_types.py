"""What is asked of sources, and what they answer: records that cross to other processes."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from mimecurate.curation.retrying import RetryPolicy
from mimecurate.errors import ClipError, Reason, SettingError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from mimecurate.curation.network_guard import Zone

YT_DLP_OPTIONS: Final[Mapping[str, tuple[type, ...]]] = MappingProxyType(
    {
        "age_limit": (int,),
        "allowed_extractors": (list,),
        "ap_mso": (str,),
        "ap_password": (str,),
        "ap_username": (str,),
        "client_certificate": (str,),
        "client_certificate_key": (str,),
        "client_certificate_password": (str,),
        "extractor_args": (dict,),
        "extractor_retries": (int,),
        "force_generic_extractor": (bool,),
        "format": (str,),
        "format_sort": (list,),
        "geo_bypass": (bool,),
        "geo_bypass_country": (str,),
        "geo_bypass_ip_block": (str,),
        "geo_verification_proxy": (str,),
        "http_headers": (dict,),
        "legacyserverconnect": (bool,),
        "nocheckcertificate": (bool,),
        "password": (str,),
        "source_address": (str,),
        "username": (str,),
        "videopassword": (str,),
    }
)
"""Options of `yt_dlp.YoutubeDL` that may be passed through, and what each must be.

What is not here could run programs, load code, write files, read other URLs than http(s), or undo
what this package does itself: pacing, retries, the choice of one video, the network guard.
"""


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """How to ask sources. The pace is not here: the run's `Pacer` has it."""

    max_height: int | None = None
    """Lines wanted at most; the smallest format that serves them is taken."""
    cookies: Path | None = None
    """A file in Netscape's format. It is read, never written."""
    proxy: str | None = None
    """URL, ``http://…`` or ``socks5://…``. None: as the environment says. Empty: none."""
    limit_rate: int | None = None
    """Bytes a second for the whole run; what `make_pacer` gives the pacer."""
    retries: int = 5
    timeout_s: float = 20.0
    """Without a byte; a slower drip than ``min_rate`` over that time counts as nothing, too."""
    min_rate: int = 4096
    """Bytes a second."""
    max_bytes: int = 8 << 30
    """Read of one file at most; a server may send without end."""
    allow_files: bool = False
    """Whether ``file:`` URLs and paths are sources, too."""
    player_client: str | None = None
    """YouTube player clients to ask, comma-separated, as in yt-dlp's ``youtube:player_client``."""
    yt_dlp_options: Mapping[str, Any] = field(default_factory=dict)
    """More of yt-dlp's options; see `YT_DLP_OPTIONS`."""
    backoff_s: float = 1.0
    backoff_max_s: float = 60.0
    failed_before: int = field(default=0, compare=False)
    """Attempts at the video in question that failed earlier in the run; they count as retries."""
    cache_dir: Path | None = None
    """Where yt-dlp may keep what it learns of YouTube's player. None: nowhere."""

    def __post_init__(self) -> None:
        """Refuse what can't be.

        Raises:
            SettingError: a value out of range, or an option that is not passed through.
        """
        for name in ("retries", "backoff_s", "backoff_max_s"):
            if getattr(self, name) < 0:
                raise SettingError(f"{name} {getattr(self, name)} must not be negative")
        for name in ("timeout_s", "max_height", "limit_rate", "min_rate", "max_bytes"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise SettingError(f"{name} {value} must be positive")
        for name, value in self.yt_dlp_options.items():
            _check_yt_dlp_option(name, value)

    @property
    def retry_policy(self) -> RetryPolicy:
        """The part that says how stubborn to be."""
        return RetryPolicy(self.retries, self.backoff_s, self.backoff_max_s, self.failed_before)

    def check_size(self, num_bytes: int) -> None:
        """Raise if so much of one file is too much.

        Raises:
            ClipError: it is more than ``max_bytes``.
        """
        if num_bytes > self.max_bytes:
            what = f"over {self.max_bytes:,} bytes of one file (--max-bytes allows more)"
            raise ClipError(Reason.UNSUPPORTED, what)


def _check_yt_dlp_option(name: str, value: object) -> None:
    types = YT_DLP_OPTIONS.get(name)
    if types is None:
        raise SettingError(
            f"yt-dlp option {name!r} is not passed through; known are: {', '.join(YT_DLP_OPTIONS)}"
        )
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        wanted = " or ".join(t.__name__ for t in types)
        raise SettingError(f"yt-dlp option {name!r} must be a {wanted}, not {value!r}")
    if name == "format" and value == "-":
        raise SettingError("yt-dlp option 'format' must not be '-', which asks on the terminal")
    if name in _SHAPES and not _SHAPES[name](value):
        raise SettingError(f"yt-dlp option {name!r} must be {_WANTED[name]}")


def _are_texts(values: object) -> bool:
    return isinstance(values, list | tuple) and all(isinstance(v, str) for v in values)


def _is_header(name: object, value: object) -> bool:
    both = (name, value)
    return all(isinstance(text, str) and text.isprintable() for text in both) and bool(name)


def _is_extractor_args(value: Any) -> bool:
    return all(
        isinstance(site, str)
        and isinstance(arguments, dict)
        and all(
            isinstance(k, str) and (isinstance(v, str) or _are_texts(v))
            for k, v in arguments.items()
        )
        for site, arguments in value.items()
    )


_SHAPES: Final[Mapping[str, Callable[[Any], bool]]] = MappingProxyType(
    {
        "allowed_extractors": _are_texts,
        "extractor_args": _is_extractor_args,
        "format_sort": _are_texts,
        "http_headers": lambda value: all(_is_header(k, v) for k, v in value.items()),
    }
)
_WANTED: Final = {
    "allowed_extractors": "a list of texts, such as ['youtube']",
    "extractor_args": "texts by site and name, such as {'youtube': {'player_client': 'tv,web'}}",
    "format_sort": "a list of texts, such as ['res:480']",
    "http_headers": "texts by name, such as {'Referer': 'https://example.org/'}",
}


@dataclass(frozen=True, slots=True)
class FileHead:
    """The first bytes of a file, and what came with them."""

    data: bytes = field(repr=False)
    size: int | None
    """Of the whole file, where the server said it."""
    validator: str | None
    """The file's ETag, else its date: when it changes, so has the file."""
    has_ranges: bool
    """Whether the server answers ``Range`` requests."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One media file that can be read."""

    url: str
    """A path where ``protocol`` is ``file``."""
    protocol: str
    """``https`` (or ``http``), ``m3u8_native``, ``http_dash_segments`` or ``file``."""
    ext: str
    format_id: str
    headers: Mapping[str, str] = field(default_factory=dict)
    size: int | None = None
    """In bytes, as far as it is known; nothing relies on it."""
    link: str = ""
    """The list's link, to resolve again when ``url`` has expired."""
    reach: Zone | None = None
    """The most private network that requests may go to."""
    cookies: str = field(default="", repr=False)
    """That the site set for ``url``, as yt-dlp writes them."""
    available_at: int | None = None
    """Unix time before which the site refuses to send it; YouTube counts a skipped ad's seconds."""
    head: FileHead | None = None
    """The first bytes, where resolving the link read them."""
    fragments: tuple[str, ...] = field(default=(), repr=False)
    """URLs of the segments that make it up, for ``http_dash_segments``."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """What is behind a link."""

    url: str
    """As it stood in the list."""
    extractor: str
    """yt-dlp's name for the site; ``direct`` for a link to the media itself, else ``file``."""
    video: SourceFile
    audio: SourceFile | None = None
    """The sound, where it is a file of its own."""
    title: str | None = None
    duration_ms: int | None = None
    """As the site says; the media itself knows better."""
    format_id: str | None = None
    width: int | None = None
    height: int | None = None
