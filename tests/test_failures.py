from __future__ import annotations

import errno
import io
import re
import socket
import time
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import pytest
from failure_messages import SAID
from hypothesis import given
from hypothesis import strategies as st
from testbed import REPOSITORY
from youtube_answers import NO_PAGE, REFUSALS, URL, answer_with
from yt_dlp import DownloadError
from yt_dlp.networking.common import Response
from yt_dlp.networking.exceptions import (
    HTTPError,
    IncompleteRead,
    RequestError,
    TransportError,
)
from yt_dlp.utils import (
    ExtractorError,
    GeoRestrictedError,
    UnsupportedError,
    UserNotLive,
    bug_reports_message,
)

from mimecurate.curation.failures import (
    MESSAGES,
    asks_to_slow_down,
    classify,
    clean_message,
    is_retryable,
    parse_retry_after,
)
from mimecurate.curation.network_guard import ForbiddenAddressError
from mimecurate.curation.pacing import Pacer
from mimecurate.curation.source_types import YT_DLP_OPTIONS
from mimecurate.curation.sources import SourceOptions, resolve
from mimecurate.errors import ClipError, Reason

if TYPE_CHECKING:
    from collections.abc import Callable


def http_error(status: int, **headers: str) -> HTTPError:
    phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else "Strange"
    return HTTPError(Response(io.BytesIO(), "http://a.example/", headers, status, phrase))


def raised(raise_it: Callable[[], Any]) -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011
        raise_it()
    return caught.value


def as_yt_dlp_raises(error: ExtractorError) -> Exception:
    """Wrap an extractor's error in a `DownloadError`, as `YoutubeDL.extract_info` does."""
    from yt_dlp import YoutubeDL

    silent = type("", (), dict.fromkeys(("debug", "warning", "error"), lambda *_: None))()

    def run() -> None:
        with YoutubeDL({"logger": silent}, auto_init=False) as downloader:
            try:
                raise error
            except ExtractorError as caught:
                downloader.report_error(str(caught))

    with pytest.raises(DownloadError) as caught:
        run()
    made: Exception = caught.value
    return made


@pytest.mark.parametrize(("reason", "text"), SAID, ids=lambda value: str(value)[:60])
def test_messages(reason: Reason, text: str) -> None:
    error = as_yt_dlp_raises(ExtractorError(text, expected=True, video_id="x1", ie="Some:site"))
    clip_error = classify(error)
    assert (clip_error.reason, str(clip_error)) == (reason, " ".join(text.split()))


def test_every_pattern_is_tried_by_a_message() -> None:
    reasons = {reason for reason, _ in SAID}
    assert {reason for reason, _ in MESSAGES} - reasons <= {Reason.TIMEOUT}


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (400, Reason.OTHER),
        (401, Reason.LOGIN_REQUIRED),
        (402, Reason.MEMBERS_ONLY),
        (403, Reason.LOGIN_REQUIRED),
        (404, Reason.UNAVAILABLE),
        (407, Reason.NETWORK),
        (408, Reason.TIMEOUT),
        (410, Reason.REMOVED),
        (429, Reason.RATE_LIMITED),
        (451, Reason.GEO_BLOCKED),
        (500, Reason.NETWORK),
        (502, Reason.NETWORK),
        (503, Reason.NETWORK),
        (504, Reason.TIMEOUT),
        (599, Reason.NETWORK),
        (999, Reason.RATE_LIMITED),
    ],
)
def test_statuses(status: int, reason: Reason) -> None:
    error = http_error(status)
    assert classify(error).reason is reason
    page = as_yt_dlp_raises(
        ExtractorError(f"Unable to download webpage: {error}", cause=error, ie="Youtube")
    )
    assert classify(page).reason is reason
    assert str(classify(page)).startswith(f"HTTP Error {status}: ")


def test_an_extractors_own_words_count_more_than_the_status_behind_them() -> None:
    def run() -> None:
        try:
            raise http_error(403)
        except HTTPError:
            raise ExtractorError("This video is private", expected=True)  # noqa: B904

    assert classify(raised(run)).reason is Reason.PRIVATE


def test_a_status_in_words_is_read() -> None:
    assert classify(ExtractorError("Strange: HTTP Error 410")).reason is Reason.REMOVED


@pytest.mark.parametrize(("status", "reason"), [(429, "rate_limited"), (503, "rate_limited")])
def test_retry_after_goes_with_the_error(status: int, reason: str) -> None:
    error = classify(http_error(status, **{"Retry-After": "17"}))
    assert (error.reason, error.retry_after_s) == (reason, 17.0)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(None, None), ("", None), ("0", 0.0), ("1.5", 1.5), ("-3", None), ("1e9", None), ("x", None)],
)
def test_parse_retry_after(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value) == seconds


def test_parse_retry_after_as_a_date() -> None:
    in_a_minute = parse_retry_after(formatdate(time.time() + 60, usegmt=True))
    assert in_a_minute is not None
    assert 58 < in_a_minute <= 60
    assert parse_retry_after(formatdate(0, usegmt=True)) == 0


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (UnsupportedError("http://a.example/private/removed.html"), Reason.UNSUPPORTED),
        (GeoRestrictedError("Sorry", countries=["CH"]), Reason.GEO_BLOCKED),
        (UserNotLive(), Reason.LIVE),
        (ClipError(Reason.CORRUPT, "as it is"), Reason.CORRUPT),
        (RequestError(cause=ForbiddenAddressError("no")), Reason.UNSUPPORTED),
        (TransportError(cause=socket.gaierror(-2, "Name or service not known")), Reason.NETWORK),
        (TransportError(cause=ConnectionResetError(104, "reset by peer")), Reason.NETWORK),
        (TransportError(cause=TimeoutError("timed out")), Reason.TIMEOUT),
        (IncompleteRead(100, 200), Reason.NETWORK),
        (ConnectionError("early"), Reason.NETWORK),
        (TimeoutError("late"), Reason.TIMEOUT),
        (OSError(errno.ENOSPC, "No space left on device"), Reason.DISK_FULL),
        (DownloadError("x", (None, OSError(errno.EDQUOT, "quota"), None)), Reason.DISK_FULL),
        (KeyError("bug in an extractor"), Reason.OTHER),
    ],
    ids=lambda value: type(value).__name__,
)
def test_classes(error: Exception, reason: Reason) -> None:
    assert classify(error).reason is reason


def test_words_in_a_link_are_not_the_sites_words() -> None:
    link = "/private/removed-copyright/age-restricted.mp4"
    text = f"HTTPConnectionPool(host='a', port=80): Max retries exceeded with url: {link}"
    inner = TransportError(text, cause=ConnectionRefusedError(111, "Connection refused"))
    error = classify(ExtractorError(f"Unable to download webpage: {text}", cause=inner))
    assert (error.reason, str(error)) == (Reason.NETWORK, "Connection refused")


def test_warnings_tell_why_every_player_failed() -> None:
    error = ExtractorError("Failed to extract any player response")
    assert classify(error).reason is Reason.OTHER
    warnings = [
        "[youtube] aaaaaaaaaaa: Unable to download API page: HTTP Error 429: Too Many Requests"
        " (caused by <HTTPError 429: Too Many Requests>)"
    ]
    assert classify(error, warnings).reason is Reason.RATE_LIMITED


def test_a_bug_in_an_extractor_says_which() -> None:
    error = ExtractorError("An extractor error has occurred.", cause=KeyError("streams"))
    assert str(classify(error)) == "An extractor error has occurred. KeyError: 'streams'"


def test_the_sources_words_are_kept_and_nothing_else() -> None:
    error = ExtractorError("Odd\x00\nthing\u202e", video_id="x1", ie="Some:site")
    assert bug_reports_message() in str(error)
    assert str(classify(as_yt_dlp_raises(error))) == "Odd thing"
    coloured = "\x1b[0;31mERROR:\x1b[0m [vimeo:event] 12: Gone; please report this issue on  http"
    assert clean_message(coloured) == "Gone"
    assert clean_message("no proxy http://me:secret@proxy:1/") == "no proxy http://proxy:1/"


@given(st.text())
def test_messages_are_one_short_printable_line(text: str) -> None:
    cleaned = clean_message(text)
    assert len(cleaned) <= 500
    assert cleaned.isprintable()
    assert clean_message(cleaned).isprintable()


def test_what_is_worth_asking_again() -> None:
    again = {reason for reason in Reason if is_retryable(ClipError(reason, ""))}
    assert again == {Reason.NETWORK, Reason.TIMEOUT, Reason.RATE_LIMITED}


def test_what_the_whole_run_slows_down_for() -> None:
    assert asks_to_slow_down(ClipError(Reason.RATE_LIMITED, "HTTP Error 429"))
    assert asks_to_slow_down(ClipError(Reason.LOGIN_REQUIRED, "confirm you\u2019re not a bot"))
    assert not asks_to_slow_down(ClipError(Reason.LOGIN_REQUIRED, "HTTP Error 403"))
    assert not asks_to_slow_down(ClipError(Reason.UNAVAILABLE, "not a bot, but gone"))


@pytest.mark.parametrize("case", REFUSALS)
def test_youtubes_own_extractor(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    response, reason = REFUSALS[case]
    asked = answer_with(monkeypatch, response)
    pauses: list[str] = []
    pacer = Pacer(on_pause=lambda site, seconds: pauses.append(site))
    options = SourceOptions(retries=0, yt_dlp_options={"extractor_args": NO_PAGE})
    with pytest.raises(ClipError) as caught:
        resolve(URL, options, pacer, lambda: None)
    assert caught.value.reason is reason, str(caught.value)
    assert set(asked) == {"aaaaaaaaaaa"}
    assert pauses == (["youtube.com"] if case in {"bot", "captcha", "rate"} else [])


def test_the_documentation_lists_every_reason() -> None:
    page = (REPOSITORY / "docs" / "reference" / "failure-reasons.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \|[^|]+\| (yes|no) \|", page, re.MULTILINE)
    assert rows == [(reason.value, "yes" if reason.is_temporary else "no") for reason in Reason]


def test_the_documentation_lists_every_option_that_is_passed_through() -> None:
    page = (REPOSITORY / "docs" / "reference" / "failure-reasons.md").read_text("utf-8")
    listed = re.search(r"\n\n(`age_limit`[^.]+)\n\n", page)
    assert listed is not None
    assert re.findall(r"`(\w+)`", listed[1]) == list(YT_DLP_OPTIONS)
