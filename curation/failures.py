"""What yt-dlp, the sites behind it and the network say, as one of the interface's reasons.

yt-dlp has few exception classes; what is wrong with a YouTube video is only in the message, in
YouTube's own words. `MESSAGES` lists the wordings in the order in which they are tried: a check for
robots and a rate limit first, for they also say "sign in" or "unavailable", and a video must never
be called gone because of them.
"""

from __future__ import annotations

import errno
import re
import socket
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

from mimecurate.curation.byte_reader import BadAnswerError
from mimecurate.curation.network_guard import ForbiddenAddressError
from mimecurate.errors import ClipError, Reason, plain_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LONGEST_RETRY_AFTER_S = 7 * 86_400
MAX_MESSAGE_CHARS = 500

_BOT_CHECK = r"not a bot|unusual traffic|captcha|anti-bot"

MESSAGES: Final[tuple[tuple[Reason, str], ...]] = (
    (
        Reason.RATE_LIMITED,
        r"rate.?limit|try again later|too many requests|IP is likely being blocked"
        r"|rejected by server \(352\)",
    ),
    (Reason.LOGIN_REQUIRED, _BOT_CHECK),
    (
        Reason.PRIVATE,
        r"\bprivate\b|protected by a password|password.protected|--video-password|protected tweet"
        r"|privacy settings|not been made available to anyone",
    ),
    (
        Reason.AGE_RESTRICTED,
        r"confirm your age|age.restricted|age.verification|inappropriate for some users|NSFW",
    ),
    (
        Reason.MEMBERS_ONLY,
        r"members?.only|join this channel|\bpremium\b|requires payment|purchase|\brent(al|ed)?\b"
        r"|supporter-only|only available (for|to) (\w+ )?(members|subscribers|patrons)"
        r"|not subscribed",
    ),
    (
        Reason.GEO_BLOCKED,
        r"geo.?restrict|(in|from|for) your (current )?(country|region|location|area)"
        r"|in this region|due to your location|censorship|Roskomnadzor|blocked by decision",
    ),
    (
        Reason.LIVE,
        r"premieres? in|live event (will begin|is scheduled)|live stream (will begin|is offline)"
        r"|not yet (started|available|live)|not (currently )?live\b|not started yet"
        r"|(is|still) processing|processing this video|waiting for .* to start|livestream\?"
        r"|Live (HLS|DASH)",
    ),
    (Reason.UNSUPPORTED, r"\bDRM\b|only images are available|piracy|will not be supported"),
    (
        Reason.UNSUPPORTED,
        r"unsupported url|not a valid url|blob URL|embed-only|embeds this video"
        r"|unsupported features|No suitable extractor",
    ),
    (
        Reason.REMOVED,
        r"removed|deleted|terminated|account has been closed|no longer (available|exists?)"
        r"|isn.t available any ?more|copyright|has expired|most likely expired|taken down"
        r"|livestream has ended",
    ),
    (
        Reason.NO_VIDEO,
        r"no video|requested format|no (media|formats?) found|no downloadable|is not a video"
        r"|no playlist or embed",
    ),
    (
        Reason.OTHER,  # the site disliked the request, not the video
        r"not available on this app|latest version of YouTube|content isn.t available",
    ),
    (
        Reason.UNAVAILABLE,
        r"unavailable|not available|isn.t available|(does|do) not exist|doesn.t exist|not found"
        r"|disabled by|Broadcast no longer",
    ),
    (
        Reason.LOGIN_REQUIRED,
        r"\b(sign|log|logged)[ -]?in\b|login|registered users|authenticat|--cookies|IP address"
        r"|your IP\b",
    ),
    (Reason.TIMEOUT, r"timed out|timeout"),
    (
        Reason.NETWORK,
        r"network error|incomplete data|IncompleteRead|connection|failed to parse JSON"
        r"|temporar(y|ily)|file is empty",
    ),
)
"""Reason and what a message must contain for it, case aside. The first that matches counts."""

_PATTERNS = tuple((reason, re.compile(text, re.IGNORECASE)) for reason, text in MESSAGES)

STATUSES: Final[dict[int, Reason]] = {
    401: Reason.LOGIN_REQUIRED,
    402: Reason.MEMBERS_ONLY,
    403: Reason.LOGIN_REQUIRED,
    404: Reason.UNAVAILABLE,
    407: Reason.NETWORK,
    408: Reason.TIMEOUT,
    410: Reason.REMOVED,
    425: Reason.NETWORK,
    429: Reason.RATE_LIMITED,
    451: Reason.GEO_BLOCKED,
    504: Reason.TIMEOUT,
    999: Reason.RATE_LIMITED,
}
"""Other 5xx are the network's fault; 503 with ``Retry-After`` is a rate limit."""

_RETRYABLE = frozenset({Reason.NETWORK, Reason.TIMEOUT, Reason.RATE_LIMITED})
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_BOILERPLATE = re.compile(r"[;,.]? *please report this issue on .*", re.IGNORECASE | re.DOTALL)
_PREFIX = re.compile(r"^\s*(ERROR:\s*)?(\[[\w:.+-]+\]\s+([^\s:]+:\s+)?)?")
_CAUSE = re.compile(r" \(caused by .*\)", re.DOTALL)
_CREDENTIALS = re.compile(r"(?<=://)[^/\s@]+@")


def classify(error: BaseException, warnings: Sequence[str] = ()) -> ClipError:
    """Turn whatever a request or an extraction raised into a `ClipError`.

    Args:
        error: yt-dlp's, requests', the system's; a `ClipError` is returned as it is.
        warnings: what yt-dlp warned of meanwhile. Where every way to a video failed, its error says
            only that, and the warnings say why.
    """
    chain = list(_chain(error))
    for link in chain:
        if isinstance(link, ClipError):
            return link
        if isinstance(link, ForbiddenAddressError):
            return ClipError(Reason.UNSUPPORTED, clean_message(str(link)))
        if isinstance(link, OSError) and link.errno in _NO_ROOM:
            return ClipError(Reason.DISK_FULL, clean_message(plain_words(link)))
    return _by_class(chain) or _by_message(chain, warnings)


def is_retryable(error: ClipError) -> bool:
    """Whether asking again within the same run is worth it."""
    return error.reason in _RETRYABLE


def asks_to_slow_down(error: ClipError) -> bool:
    """Whether the site is tired of us, so that the next video would fare no better."""
    if error.reason is Reason.LOGIN_REQUIRED:
        return re.search(_BOT_CHECK, str(error), re.IGNORECASE) is not None
    return error.reason is Reason.RATE_LIMITED


def classify_status(status: int, phrase: str, retry_after: str | None) -> ClipError:
    """Turn an HTTP status into a `ClipError`; ``retry_after`` is the header of that name."""
    wait_s = parse_retry_after(retry_after)
    if status == 503 and wait_s is not None:
        reason = Reason.RATE_LIMITED
    else:
        reason = STATUSES.get(status, Reason.NETWORK if status >= 500 else Reason.OTHER)
    message = clean_message(f"HTTP Error {status}: {phrase}")
    return ClipError(reason, message, retry_after_s=wait_s)


def parse_retry_after(value: str | None) -> float | None:
    """Read a ``Retry-After`` header: seconds, or a date. None if it is absent or makes no sense.

    More than `LONGEST_RETRY_AFTER_S` is no sense: nobody means it, and nobody would wait.

    >>> parse_retry_after("120"), parse_retry_after("soon"), parse_retry_after("999999999")
    (120.0, None, None)
    """
    if value is None:
        return None
    if re.fullmatch(r"\s*\d{1,9}(\.\d*)?\s*", value):
        seconds = float(value)
    else:
        try:
            seconds = max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
        except (ValueError, OverflowError):
            return None
    return seconds if seconds <= LONGEST_RETRY_AFTER_S else None


def clean_message(text: str) -> str:
    r"""Keep a source's own words: no colours, prefixes, boilerplate, credentials or line breaks.

    >>> clean_message("\x1b[0;31mERROR:\x1b[0m [youtube] 0zFbEjoGlhc: Private video.\nSign in")
    'Private video. Sign in'
    """
    text = _CAUSE.sub("", _BOILERPLATE.sub("", _PREFIX.sub("", _ANSI.sub("", text))))
    text = _CREDENTIALS.sub("", text)
    text = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(text.split())[:MAX_MESSAGE_CHARS]


def _by_class(chain: Sequence[BaseException]) -> ClipError | None:
    """Go by yt-dlp's exceptions where they say enough."""
    from yt_dlp.networking.exceptions import HTTPError, TransportError
    from yt_dlp.utils import ExtractorError, GeoRestrictedError, UnsupportedError, UserNotLive

    said = next((e for e in chain if isinstance(e, ExtractorError)), None)
    if isinstance(said, GeoRestrictedError):
        return ClipError(Reason.GEO_BLOCKED, clean_message(said.orig_msg))
    if isinstance(said, UnsupportedError):
        return ClipError(Reason.UNSUPPORTED, clean_message(said.orig_msg))
    if isinstance(said, UserNotLive):
        return ClipError(Reason.LIVE, clean_message(said.orig_msg))
    # an extractor that has its own words raises them without a cause: those are read instead
    failure = chain[0] if said is None else said.cause
    if said is None:
        failure = next((e for e in chain if isinstance(e, HTTPError | TransportError)), None)
    if isinstance(failure, HTTPError) and failure.redirect_loop:
        words = f"the server redirects without end (HTTP {failure.status})"
        return ClipError(Reason.OTHER, words)
    if isinstance(failure, HTTPError):
        headers = failure.response.headers
        return classify_status(failure.status, failure.reason or "", headers.get("Retry-After"))
    if isinstance(failure, TransportError) or (said is None and isinstance(chain[0], OSError)):
        return _of_transport(chain)
    return None


def _of_transport(chain: Sequence[BaseException]) -> ClipError:
    """Read a failed connection; its innermost cause has the plainest words."""
    for link in chain:
        if isinstance(link, socket.gaierror):
            words = clean_message(f"name resolution: {link.strerror}")
            return ClipError(Reason.NETWORK, words, unanswered=True)
    root = chain[-1]
    text = clean_message(plain_words(root)) or type(root).__name__
    timed_out = any(isinstance(e, TimeoutError) or "Timeout" in type(e).__name__ for e in chain)
    reason = Reason.TIMEOUT if timed_out else Reason.NETWORK
    return ClipError(reason, text, unanswered=not isinstance(root, BadAnswerError))


def _by_message(chain: Sequence[BaseException], warnings: Sequence[str]) -> ClipError:
    from yt_dlp.utils import ExtractorError, YoutubeDLError

    said = next((e for e in chain if isinstance(e, ExtractorError)), None)
    if said is not None:
        text = clean_message(said.orig_msg)
        if isinstance(said.cause, Exception) and text.endswith("error has occurred."):
            text = clean_message(f"{text} {type(said.cause).__name__}: {said.cause}")
    elif isinstance(chain[0], YoutubeDLError):
        text = clean_message(str(chain[0]))
    else:
        text = clean_message(f"{type(chain[0]).__name__}: {chain[0]}")
    if "any player response" in text:
        text = clean_message("; ".join([text, *map(clean_message, warnings)]))
    for reason, pattern in _PATTERNS:
        if pattern.search(text):
            return ClipError(reason, text)
    return ClipError(_status_in(text), text)


def _status_in(text: str) -> Reason:
    match = re.search(r"HTTP Error (\d{3})", text)
    return classify_status(int(match[1]), "", None).reason if match else Reason.OTHER


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and all that led to it, each once, outermost first."""
    waiting: list[object] = [error]
    seen: set[int] = set()
    while waiting:
        link = waiting.pop(0)
        if not isinstance(link, BaseException) or id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        info = getattr(link, "exc_info", None)
        waiting += [
            *(info[1:2] if isinstance(info, tuple) else ()),
            getattr(link, "cause", None),
            getattr(link, "reason", None),
            link.__cause__,
            link.__context__,
            *link.args,
        ]
