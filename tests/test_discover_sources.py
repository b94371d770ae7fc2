"""The sources: the Data API's shape and key, yt-dlp's flat search, files; texts from strangers."""

from __future__ import annotations

import io
import logging
import time
from typing import TYPE_CHECKING, Any

import pytest
from discovering import OPTIONS, api
from hypothesis import given
from hypothesis import strategies as st

from mimecurate.curation.discover_api import YouTubeApi, _error_words, read_key
from mimecurate.curation.discover_files import FileSearch
from mimecurate.curation.discover_sources import Found, QuotaSpentError, clean_text
from mimecurate.curation.discover_ytdlp import YtDlpSearch
from mimecurate.curation.loopback_youtube import (
    HOSTILE_TITLES,
    KEY,
    Catalogue,
    LoopbackYouTube,
)
from mimecurate.curation.pacing import Pacer
from mimecurate.curation.query_sets import Query
from mimecurate.errors import ClipError, InvalidInputError, MimecurateError, Reason, SettingError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def nothing() -> None:
    pass


@pytest.fixture
def server() -> Iterator[LoopbackYouTube]:
    with LoopbackYouTube(catalogue=Catalogue(videos=200, per_query=70)) as running:
        yield running


@given(st.text())
def test_cleaned_texts_are_short_one_line_and_visible(text: str) -> None:
    shown = clean_text(text)
    assert shown is None or (shown.isprintable() and 0 < len(shown) <= 300)
    assert clean_text(shown) == shown


@pytest.mark.parametrize("title", HOSTILE_TITLES)
def test_hostile_titles_come_out_tame(title: str) -> None:
    shown = clean_text(title)
    assert shown is not None
    assert shown.isprintable()
    assert len(shown) <= 300


def test_search_list_is_asked_by_the_book(server: LoopbackYouTube) -> None:
    spent: list[int] = []
    source = api(server)
    first = source.search(Query("哑剧", "zh"), 50, None, lambda: spent.append(1))
    assert len(first.found) == 50
    assert first.next_page
    second = source.search(Query("哑剧", "zh"), 50, first.next_page, lambda: spent.append(1))
    assert (len(second.found), second.next_page, len(spent)) == (20, None, 2)
    parameters = server.asked[0].parameters
    assert parameters == {
        "part": "snippet",
        "type": "video",
        "maxResults": "50",
        "q": "哑剧",
        "relevanceLanguage": "zh-Hans",
    }
    plain = next(f for f in first.found if f.title and f.title.startswith("Mime"))
    assert plain.title is not None
    assert plain.title.endswith("l'été & «invisible»"), "search.list escapes titles as HTML"
    assert plain.published_at == "2020-02-03T04:05:06Z"


def test_videos_list_takes_fifty_ids_a_call(server: LoopbackYouTube) -> None:
    ids = [server.catalogue.video_id(n) for n in range(120)]
    server.catalogue.gone = {ids[3]}
    known: dict[str, Found] = {}
    for asked, found in api(server).videos(ids, nothing):
        assert len(asked) <= 50
        known |= found
    assert server.count("videos") == 3
    assert set(known) == set(ids) - {ids[3]}
    assert known[ids[61]].duration_ms == (8 * 60 + 1) * 1000


@pytest.mark.parametrize(
    ("status", "reason", "error", "requests"),
    [
        (403, "quotaExceeded", QuotaSpentError, 1),
        (403, "accessNotConfigured", MimecurateError, 1),
        (400, "keyInvalid", MimecurateError, 1),
        (400, "invalidSearchFilter", ClipError, 1),
        (500, "backendError", ClipError, 3),
        (302, "https://login.example/", ClipError, 3),
        (404, "<html>no such page", ClipError, 3),
    ],
)
def test_errors_of_the_api(
    server: LoopbackYouTube, status: int, reason: str, error: type[Exception], requests: int
) -> None:
    server.faults = [(status, reason)] * 3
    with pytest.raises(error) as caught:
        api(server).search(Query("x"), 5, None, nothing)
    assert type(caught.value) is error
    assert server.count("search") == requests


def test_a_daily_limit_is_told_from_one_a_minute(
    server: LoopbackYouTube, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = "Quota exceeded for quota metric 'Search Queries' and limit 'Search Queries per day'"
    document = {"error": {"message": words, "errors": [{"reason": "rateLimitExceeded"}]}}
    monkeypatch.setattr(server, "answer", lambda asked, key: (429, document))
    with pytest.raises(QuotaSpentError, match="per day"):
        api(server).search(Query("x"), 5, None, nothing)


def test_a_rate_limit_is_waited_out(server: LoopbackYouTube) -> None:
    server.faults = [(403, "rateLimitExceeded")]
    assert api(server).search(Query("x"), 5, None, nothing).found
    assert server.count("search") == 2


def test_an_error_s_words_take_no_time_to_read() -> None:
    begin_s = time.monotonic()
    _, words = _error_words({"error": {"message": "<" * 200_000}})
    assert time.monotonic() - begin_s < 1
    assert len(words) <= 2_000


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"not json",
        b'{"items": {}}',
        b'{"items": null}',
        b"[" * 100_000,
        b'{"items": []' + b" " * (9 << 20) + b"}",
    ],
)
def test_an_answer_of_another_shape_may_pass(
    server: LoopbackYouTube, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    import requests

    def answer(*args: Any, **kwargs: Any) -> requests.Response:
        response = requests.Response()
        response.status_code, response.raw = 200, io.BytesIO(body)
        return response

    source = api(server)
    monkeypatch.setattr(source._session, "get", answer)
    with pytest.raises(ClipError) as caught:
        source.search(Query("x"), 5, None, nothing)
    assert caught.value.reason is Reason.NETWORK


def test_what_a_network_puts_in_the_place_of_the_api_may_pass(server: LoopbackYouTube) -> None:
    server.faults = [(200, "<html>Please log in"), (302, f"http://127.0.0.1:9/?{KEY}")]
    assert api(server).search(Query("x"), 5, None, nothing).found
    assert server.count("search") == 3, "asked again, and no other host"
    server.faults = [(302, f"http://login.example/?{KEY}")] * 3
    with pytest.raises(ClipError, match=r"sent us to login\.example: not followed") as caught:
        api(server).search(Query("x"), 5, None, nothing)
    assert caught.value.reason.is_temporary
    assert KEY not in str(caught.value)


def test_items_that_are_no_videos_are_passed_over(
    server: LoopbackYouTube, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = [
        {"id": {"channelId": "c"}},
        {"id": "v"},
        7,
        {"id": {"videoId": "../../etc/x"}},
        {"id": {"videoId": "aaaaaaaaaaa"}, "snippet": {"title": 5, "publishedAt": "<b>"}},
    ]
    source = api(server)
    monkeypatch.setattr(source, "_ask", lambda *_: {"items": items, "nextPageToken": 7})
    page = source.search(Query("x"), 5, None, nothing)
    assert [(f.video_id, f.title, f.published_at) for f in page.found] == [
        ("aaaaaaaaaaa", None, None)
    ]
    assert page.next_page is None


def test_the_key_is_nowhere_but_in_the_header(
    server: LoopbackYouTube, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    source = api(server)
    source.search(Query("x"), 5, None, nothing)
    server.faults = [(400, f"echo {KEY}"), (500, KEY), (500, KEY), (500, KEY)]
    for _ in range(2):
        with pytest.raises(ClipError) as caught:
            source.search(Query("x"), 5, None, nothing)
        assert KEY not in str(caught.value)
    unreachable = YouTubeApi(KEY, OPTIONS, Pacer(0.0), nothing, url="http://127.0.0.1:9/youtube/v3")
    with pytest.raises(ClipError) as caught:
        unreachable.search(Query("x"), 5, None, nothing)
    assert KEY not in str(caught.value)
    assert KEY not in repr(source)
    assert KEY not in caplog.text
    assert all("key" not in asked.parameters for asked in server.asked)


@pytest.mark.parametrize("url", ["http://example.org/youtube/v3", "ftp://127.0.0.1", "x"])
def test_the_key_is_sent_only_over_tls(url: str) -> None:
    with pytest.raises(SettingError, match="https"):
        YouTubeApi(KEY, OPTIONS, Pacer(0.0), nothing, url=url)


def test_where_the_key_comes_from(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(f" {KEY}\n")
    assert read_key(path, {}) == KEY == read_key(None, {"YOUTUBE_API_KEY": KEY})
    with pytest.raises(SettingError, match="YOUTUBE_API_KEY"):
        read_key(None, {})
    secret = "two words of a secret"
    path.write_text(secret)
    with pytest.raises(SettingError) as caught:
        read_key(path, {})
    assert secret not in str(caught.value)


def _innertube(first: int, count: int, token: str | None) -> dict[str, Any]:
    """Make an answer of YouTube's search in the shape that yt-dlp's extractor reads."""
    videos: list[dict[str, Any]] = [
        {
            "videoRenderer": {
                "videoId": f"vid{n:08d}",
                "title": {"runs": [{"text": HOSTILE_TITLES[n % 5]}]},
                "lengthText": {"simpleText": "1:05"},
                "ownerText": {"runs": [{"text": "channel"}]},
            }
        }
        for n in range(first, first + count)
    ]
    contents: list[dict[str, Any]] = [{"itemSectionRenderer": {"contents": videos}}]
    if token:
        endpoint = {"continuationCommand": {"token": token}, "clickTrackingParams": "x"}
        contents.append({"continuationItemRenderer": {"continuationEndpoint": endpoint}})
    return {
        "contents": {
            "twoColumnSearchResultsRenderer": {
                "primaryContents": {"sectionListRenderer": {"contents": contents}}
            }
        }
    }


def test_yt_dlp_searches_flat_and_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    from yt_dlp.extractor.youtube import YoutubeSearchIE

    asked: list[dict[str, Any]] = []

    def call(self: Any, *, ep: str, query: dict[str, Any], **more: Any) -> dict[str, Any]:
        assert ep == "search"
        asked.append(dict(query))
        return _innertube(20 * (len(asked) - 1) % 60, 20, f"t{len(asked)}")

    monkeypatch.setattr(YoutubeSearchIE, "_extract_response", call)
    monkeypatch.setattr(YoutubeSearchIE, "_download_ytcfg", lambda *_, **__: {})
    spent: list[int] = []
    source = YtDlpSearch(OPTIONS, Pacer(0.0), nothing)
    page = source.search(Query("ytsearchall: -x --exec"), 30, None, lambda: spent.append(1))
    assert (len(page.found), page.next_page, len(spent)) == (30, "30", 1)
    assert asked[0]["query"] == "ytsearchall: -x --exec"
    assert page.found[7].duration_ms == 65_000
    assert all(f.title is None or f.title.isprintable() for f in page.found)
    assert page.found[0].url == "https://www.youtube.com/watch?v=vid00000000"
    asked.clear()
    more = source.search(Query("x"), 10, "30", nothing)
    assert [f.video_id for f in more.found] == [f"vid{n:08d}" for n in range(30, 40)]


def test_yt_dlp_failures_are_classified_and_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    from yt_dlp.extractor.youtube import YoutubeSearchIE
    from yt_dlp.utils import ExtractorError

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise ExtractorError("Sign in to confirm you're not a bot", expected=True)

    monkeypatch.setattr(YoutubeSearchIE, "_search_results", refuse)
    with pytest.raises(ClipError) as caught:
        YtDlpSearch(OPTIONS, Pacer(0.0), nothing).search(Query("x"), 3, None, nothing)
    assert caught.value.reason is Reason.LOGIN_REQUIRED


def test_files_are_found_by_every_word(tmp_path: Path) -> None:
    for name in ("Mime_Guitar-solo.mp4", "sub/guitare invisible.WEBM", "mime.txt", "été.mkv"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    source = FileSearch(tmp_path)
    spent: list[int] = []
    found = source.search(Query("mime guitar"), 9, None, lambda: spent.append(1)).found
    assert [f.title for f in found] == ["Mime_Guitar-solo"]
    assert found[0].url.startswith("file://")
    assert spent == [1]
    assert [f.title for f in source.search(Query("ete"), 9, None, nothing).found] == ["été"]
    first = source.search(Query("guitar"), 1, None, nothing)
    second = source.search(Query("guitar"), 1, first.next_page, nothing)
    assert {first.found[0].title, second.found[0].title} == {
        "Mime_Guitar-solo",
        "guitare invisible",
    }


def test_a_query_without_a_word_finds_no_file_and_folders_are_none(tmp_path: Path) -> None:
    (tmp_path / "mime.mp4").touch()
    (tmp_path / "mime folder.mp4").mkdir()
    source = FileSearch(tmp_path)
    assert source.search(Query("-"), 5, None, nothing).found == ()
    assert [f.title for f in source.search(Query("mime"), 5, None, nothing).found] == ["mime"]


def test_a_list_of_files_has_titles_and_all_its_problems_are_said(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("url,title\nhttps://example.org/a.mp4,Mime bowling\nb.mp4,\n")
    found = FileSearch(path).search(Query("bowling"), 9, None, nothing).found
    assert [f.url for f in found] == ["https://example.org/a.mp4"]
    path.write_text("url,title\nftp://x,a\n,b\nhttps://example.org/c,ok\nhttps://[,d\n")
    with pytest.raises(InvalidInputError) as caught:
        FileSearch(path)
    assert sorted(p.line or 0 for p in caught.value.problems) == [2, 3, 5]
