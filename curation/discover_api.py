"""The YouTube Data API v3 with the user's key: ``search.list`` and ``videos.list``.

By its documentation (developers.google.com/youtube/v3/docs, determine_quota_cost) a project may
make 100 searches a day, each page of 50 results counting as one, and spend 10,000 units on all
else, one per ``videos.list`` of up to 50 ids; both end at midnight Pacific Time. Its terms
(Developer Policies, III.E.4) want stored metadata refreshed or deleted after 30 days.

The key goes into a header of requests to one host and nowhere else: redirects are not followed, and
no message, log line or record holds it.
"""

from __future__ import annotations

import html
import json
import os
import re
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mimecurate.curation.discover_sources import (
    Found,
    Page,
    PageExpiredError,
    QuotaSpentError,
    clean_text,
)
from mimecurate.curation.failures import classify_status, clean_message
from mimecurate.curation.retrying import Retrier
from mimecurate.errors import ClipError, MimecurateError, Reason, SettingError
from mimecurate.schemas.ids import YOUTUBE_ID, youtube_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    import requests

    from mimecurate.curation.pacing import Pacer
    from mimecurate.curation.query_sets import Query
    from mimecurate.curation.source_types import SourceOptions

KEY_VARIABLE = "YOUTUBE_API_KEY"
API_URL = "https://www.googleapis.com/youtube/v3"
SEARCHES_PER_DAY = 100
IDS_PER_CALL = 50
REFRESH_DAYS = 30
_MAX_ANSWER_BYTES = 8 << 20
_MAX_MESSAGE_CHARACTERS = 2_000
_LANGUAGES = {"zh": "zh-Hans"}  # as `relevanceLanguage` wants it
_QUOTA = {"quotaExceeded", "dailyLimitExceeded", "dailyLimitExceededUnreg"}
_TOO_FAST = {"rateLimitExceeded", "userRateLimitExceeded"}
_KEY = re.compile(r"[A-Za-z0-9_.-]{10,200}")
_DURATION = re.compile(r"P(?:(\d{1,3})D)?(?:T(?:(\d{1,3})H)?(?:(\d{1,3})M)?(?:(\d{1,3})S)?)?")


def read_key(path: Path | None, environment: Mapping[str, str] | None = None) -> str:
    """Return the user's key, from a file or else from ``YOUTUBE_API_KEY``.

    Raises:
        SettingError: there is none, or it can't be one; the message doesn't show it.
    """
    environment = os.environ if environment is None else environment
    where = str(path) if path else KEY_VARIABLE
    try:
        key = (path.read_text("utf-8") if path else environment.get(KEY_VARIABLE, "")).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"api_key_file: {path} can't be read") from error
    if not key:
        raise SettingError(
            f"the YouTube Data API needs a key: set {KEY_VARIABLE}, or name a file that holds it "
            "with --api-key-file"
        )
    if _KEY.fullmatch(key) is None:
        raise SettingError(f"{where} holds no API key: those are letters, digits, '_', '.', '-'")
    return key


class YouTubeApi:
    """Asks the API, politely, with retries; a `SearchSource`."""

    name = "youtube-api"
    page_size: int | None = 50
    refresh_days: int | None = REFRESH_DAYS

    def __init__(
        self,
        key: str,
        options: SourceOptions,
        pacer: Pacer,
        check_stopped: Callable[[], None],
        *,
        url: str = API_URL,
        searches_per_day: int = SEARCHES_PER_DAY,
    ) -> None:
        """Set it up; no request is made.

        Args:
            key: the user's.
            options: proxy, retries and timeout.
            pacer: the run's.
            check_stopped: raises when the run is to end.
            url: where the API is.
            searches_per_day: the project's quota.

        Raises:
            SettingError: ``url`` is no http(s) address; only loopback may do without TLS.
        """
        import requests

        parts = urlsplit(url)
        host = parts.hostname or ""
        if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(host)):
            raise SettingError(f"api_url {url[:80]!r} must be https://…: the key goes there")
        self.searches_per_day: int | None = searches_per_day
        self._key, self._url, self._host = key, url.rstrip("/"), host
        self._options, self._pacer, self._check_stopped = options, pacer, check_stopped
        self._session = requests.Session()
        self._session.headers["X-Goog-Api-Key"] = key
        if options.proxy:
            self._session.proxies = {"http": options.proxy, "https": options.proxy}

    def __repr__(self) -> str:
        """Show the address and not the key."""
        return f"YouTubeApi({self._url!r})"

    def search(
        self, query: Query, wanted: int, page: str | None, spend: Callable[[], None]
    ) -> Page:
        """Ask ``search.list`` for a page of videos. See `SearchSource`."""
        language = _LANGUAGES.get(query.language, query.language)
        parameters = {
            "part": "snippet",
            "type": "video",
            "maxResults": str(min(wanted, IDS_PER_CALL)),
            "q": query.text,
            **({"relevanceLanguage": language} if language else {}),
            **({"pageToken": page} if page else {}),
        }
        answer = self._get("search", parameters, spend)
        found = tuple(f for item in _items(answer) if (f := _searched(item)) is not None)
        token = answer.get("nextPageToken")
        return Page(found, token if isinstance(token, str) and 0 < len(token) < 500 else None)

    def videos(
        self, video_ids: Sequence[str], spend: Callable[[], None]
    ) -> Iterator[tuple[tuple[str, ...], dict[str, Found]]]:
        """Ask ``videos.list`` for what the API says of videos now, 50 at a time.

        Yields:
            The ids asked and what is known of them; those it doesn't know any more are absent.
        """
        for first in range(0, len(video_ids), IDS_PER_CALL):
            some = tuple(video_ids[first : first + IDS_PER_CALL])
            parameters = {"part": "snippet,contentDetails", "id": ",".join(some)}
            answer = self._get("videos", parameters, spend)
            known = [f for item in _items(answer) if (f := _detailed(item)) is not None]
            yield some, {f.video_id: f for f in known if f.video_id in some}

    def _get(
        self, method: str, parameters: Mapping[str, str], spend: Callable[[], None]
    ) -> dict[str, Any]:
        retrier = Retrier(self._options.retry_policy, self._pacer, self._check_stopped)
        while True:
            self._pacer.wait_turn(self._host, self._check_stopped)
            spend()
            try:
                answer = self._ask(method, parameters)
            except ClipError as error:
                retrier.failed(error, self._host)
                continue
            self._pacer.succeeded(self._host)
            return answer

    def _ask(self, method: str, parameters: Mapping[str, str]) -> dict[str, Any]:
        import requests

        try:
            with self._session.get(
                f"{self._url}/{method}",
                params=dict(parameters),
                timeout=self._options.timeout_s,
                allow_redirects=False,
                stream=True,
            ) as response:
                body = self._read(response)
                status, headers = response.status_code, response.headers
        except ClipError:
            raise
        except requests.Timeout:
            raise ClipError(Reason.TIMEOUT, f"{self._host}: no answer in time") from None
        except (requests.RequestException, OSError) as error:
            raise ClipError(Reason.NETWORK, self._without_key(f"{self._host}: {error}")) from None
        document = _document(body)
        if status == 200 and document is not None and isinstance(document.get("items"), list):
            return document
        if status == 200 or 300 <= status < 400:
            words = f"{self._host} gave no answer of the API (HTTP {status})"
            if where := urlsplit(headers.get("Location") or "").hostname:
                words += f", but sent us to {where}: not followed, for the key would go along"
            raise ClipError(Reason.NETWORK, self._without_key(words))
        raise self._refusal(status, document, headers.get("Retry-After"))

    def _read(self, response: requests.Response) -> bytes:
        """Read an answer that neither grows without end nor drips for ever."""
        until_s = time.monotonic() + 3 * self._options.timeout_s
        parts: list[bytes] = []
        for part in response.iter_content(64 << 10):
            self._check_stopped()
            parts.append(part)
            if sum(map(len, parts)) > _MAX_ANSWER_BYTES:
                break
            if time.monotonic() > until_s:
                raise ClipError(Reason.TIMEOUT, f"{self._host}: the answer stalled")
        return b"".join(parts)

    def _refusal(
        self, status: int, document: dict[str, Any] | None, retry_after: str | None
    ) -> MimecurateError:
        """Turn an error of the API into one of ours, by its reason."""
        reasons, words = _error_words(document)
        said = self._without_key(words or f"HTTP {status}")
        if reasons & _QUOTA or (reasons & _TOO_FAST and "per day" in words):
            return QuotaSpentError(f"{self.name}: today's quota is spent: {said}")
        if reasons & _TOO_FAST or status == 429:
            wait_s = classify_status(429, said, retry_after).retry_after_s
            return ClipError(Reason.RATE_LIMITED, said, retry_after_s=wait_s)
        if status >= 500:
            return classify_status(status, said, retry_after)
        if "invalidPageToken" in reasons:
            return PageExpiredError(said)
        if status in {401, 403} or "keyInvalid" in reasons or "API key" in words:
            return MimecurateError(f"the YouTube Data API refuses the key: {said}")
        # in words that are not the API's, nothing is said of the query
        return ClipError(Reason.UNSUPPORTED if reasons else Reason.NETWORK, said)

    def _without_key(self, text: str) -> str:
        return clean_message(text.replace(self._key, "***"))


def parse_duration_ms(text: object) -> int | None:
    """Read an ISO 8601 duration as the API writes it.

    >>> parse_duration_ms("PT1M5S"), parse_duration_ms("P1DT2H"), parse_duration_ms("soon")
    (65000, 93600000, None)
    """
    match = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        return None
    days, hours, minutes, seconds = (int(group or 0) for group in match.groups())
    return (((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000 or None


def _is_loopback(host: str) -> bool:
    return host in {"localhost", "127.0.0.1", "::1"}


def _document(body: bytes) -> dict[str, Any] | None:
    if len(body) > _MAX_ANSWER_BYTES:
        return None
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _error_words(document: dict[str, Any] | None) -> tuple[set[str], str]:
    error = (document or {}).get("error")
    if not isinstance(error, dict):
        return set(), ""
    details = error.get("errors")
    reasons = {
        str(detail.get("reason"))
        for detail in (details if isinstance(details, list) else [])
        if isinstance(detail, dict)
    }
    words = str(error.get("message") or "")[:_MAX_MESSAGE_CHARACTERS]
    return reasons, re.sub(r"<[^>]*>", "", words)


def _items(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [item for item in answer["items"] if isinstance(item, dict)]


def _searched(item: dict[str, Any]) -> Found | None:
    ids = item.get("id")
    return _found(ids.get("videoId"), item.get("snippet")) if isinstance(ids, dict) else None


def _detailed(item: dict[str, Any]) -> Found | None:
    details = item.get("contentDetails")
    duration = details.get("duration") if isinstance(details, dict) else None
    return _found(item.get("id"), item.get("snippet"), parse_duration_ms(duration))


def _found(video_id: object, snippet: object, duration_ms: int | None = None) -> Found | None:
    if not isinstance(video_id, str) or YOUTUBE_ID.fullmatch(video_id) is None:
        return None
    told: dict[str, Any] = snippet if isinstance(snippet, dict) else {}
    title, channel = (
        html.unescape(text) if isinstance(text, str) else None
        for text in (told.get("title"), told.get("channelTitle"))
    )
    published = told.get("publishedAt")
    is_time = isinstance(published, str) and re.fullmatch(r"[0-9TZ:.+-]{10,40}", published)
    return Found(
        video_id,
        youtube_url(video_id),
        clean_text(title),
        clean_text(channel),
        duration_ms,
        str(published) if is_time else None,
    )
