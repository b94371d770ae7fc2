from __future__ import annotations

import os
import pickle
import random
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from youtube_answers import NO_PAGE, PLAYABLE, URL, answer_with, refusal
from yt_dlp.utils import ExtractorError

from mimecurate.curation.downloader import Downloader, downloader_for
from mimecurate.curation.loopback import LoopbackServer
from mimecurate.curation.network_guard import Zone
from mimecurate.curation.pacing import Pacer
from mimecurate.curation.sources import (
    MAX_LINK_CHARS,
    SourceOptions,
    check_options,
    download_whole,
    make_pacer,
    open_bytes,
    resolve,
    sniff_media,
)
from mimecurate.errors import ClipError, Reason, SettingError

if TYPE_CHECKING:
    from collections.abc import Iterator

OPTIONS = SourceOptions(retries=2, backoff_s=0.01, backoff_max_s=0.02, timeout_s=5)
MEDIA = b"\x00\x00\x00\x20ftypisom" + random.Random(2).randbytes(200_000)


class Stopped(Exception):
    pass


def never() -> None:
    """Nobody stops the run."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LoopbackServer]:
    root = tmp_path / "served"
    root.mkdir()
    (root / "a.mp4").write_bytes(MEDIA)
    (root / "page.html").write_text(
        '<html><title>Mime</title><video src="a.mp4?x=1"></video></html>'
    )
    with LoopbackServer(root) as running:
        yield running


def refused(url: str, options: SourceOptions = OPTIONS) -> ClipError:
    with pytest.raises(ClipError) as caught:
        resolve(url, options, Pacer(), never)
    return caught.value


def test_a_direct_link_takes_one_request_and_no_extraction(
    server: LoopbackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Downloader, "extract_info", None)
    url = server.url("a.mp4")
    resolved = resolve(url, OPTIONS, Pacer(), never)
    assert (resolved.url, resolved.extractor, resolved.format_id) == (url, "direct", "direct")
    assert (resolved.video.size, resolved.video.ext, resolved.audio) == (len(MEDIA), "mp4", None)
    reader = open_bytes(resolved.video, OPTIONS, Pacer(), never)
    assert reader.read(0, 50_000) == MEDIA[:50_000]
    stats = server.stats()
    assert stats.requests == 1
    assert reader.bytes_read == stats.bytes_sent == 65_536


def test_what_is_resolved_crosses_to_other_processes(server: LoopbackServer) -> None:
    resolved = resolve(server.url("a.mp4"), OPTIONS, Pacer(), never)
    assert pickle.loads(pickle.dumps(resolved)) == resolved


def test_a_page_takes_one_request_too(server: LoopbackServer) -> None:
    resolved = resolve(server.url("page.html"), OPTIONS, Pacer(), never)
    assert resolved.video.url == server.url("a.mp4") + "?x=1"
    assert resolved.video.reach is Zone.LOOPBACK
    assert resolved.video.headers["Referer"] == server.url("page.html")
    assert server.stats().requests == 1
    reader = open_bytes(resolved.video, OPTIONS, Pacer(), never)
    assert reader.read(100_000, 100_010) == MEDIA[100_000:100_010]


def test_a_long_page_is_read_to_its_end(server: LoopbackServer) -> None:
    long_page = "<html><!--" + "x" * 100_000 + '--><video src="a.mp4"></video></html>'
    (server.root / "page.html").write_text(long_page)
    resolved = resolve(server.url("page.html"), OPTIONS, Pacer(), never)
    assert resolved.video.url == server.url("a.mp4")
    server.reset()
    resolve(server.url("page.html", "no_range"), OPTIONS, Pacer(), never)
    assert server.stats().requests == 1  # what is begun is read on, without ranges


def test_a_redirect_to_a_page(server: LoopbackServer) -> None:
    url = server.url("short", "redirect", location=server.url("page.html"))
    resolved = resolve(url, OPTIONS, Pacer(), never)
    assert (resolved.url, resolved.video.url) == (url, server.url("a.mp4") + "?x=1")
    assert server.stats().requests_by_path == {"short": 1, "page.html": 1}


def test_a_redirect_to_media_is_remembered_but_begun_anew_when_it_expires(
    server: LoopbackServer,
) -> None:
    signed = server.url("a.mp4", "403", skip=2, times=1)
    resolved = resolve(server.url("link", "redirect", location=signed), OPTIONS, Pacer(), never)
    assert resolved.video.url == signed
    reader = open_bytes(resolved.video, OPTIONS, Pacer(), never)
    for start in (100_000, 150_000):
        assert reader.read(start, start + 10) == MEDIA[start : start + 10]
    assert server.stats().requests_by_path == {"link": 2, "a.mp4": 5}


@pytest.mark.parametrize(
    ("fault", "more", "reason", "requests"),
    [
        ("404", {}, Reason.UNAVAILABLE, 1),
        ("410", {}, Reason.REMOVED, 1),
        ("401", {}, Reason.LOGIN_REQUIRED, 1),
        ("403", {}, Reason.LOGIN_REQUIRED, 1),
        ("451", {}, Reason.GEO_BLOCKED, 1),
        ("500", {}, Reason.NETWORK, 3),
        ("reset", {}, Reason.NETWORK, 3),
        ("truncate", {}, Reason.NETWORK, 3),
        ("empty", {}, Reason.NO_VIDEO, 1),
        ("html", {}, Reason.UNSUPPORTED, 1),
        ("429", {"retry_after": 7200}, Reason.RATE_LIMITED, 1),
        ("503", {"retry_after": 7200}, Reason.RATE_LIMITED, 1),
    ],
)
def test_failures_of_links(
    server: LoopbackServer, fault: str, more: dict[str, Any], reason: Reason, requests: int
) -> None:
    assert refused(server.url("a.mp4", fault, **more)).reason is reason
    assert server.stats().requests == requests


@pytest.mark.parametrize("fault", ["500", "503", "reset", "truncate"])
@pytest.mark.parametrize("name", ["a.mp4", "page.html"])
def test_what_passes_is_asked_again(server: LoopbackServer, name: str, fault: str) -> None:
    resolved = resolve(server.url(name, fault, times=2), OPTIONS, Pacer(), never)
    assert resolved.video.url


def test_redirects_without_end_are_called_that(server: LoopbackServer) -> None:
    server.misbehave("a.mp4", "redirect", location=server.url("a.mp4"))
    error = refused(server.url("a.mp4"))
    assert (error.reason, str(error)) == (
        Reason.OTHER,
        "the server redirects without end (HTTP 302)",
    )


def test_a_path_that_is_no_utf_8(server: LoopbackServer, tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.mp4"))
    try:
        path.write_bytes(b"x")
    except OSError as error:
        pytest.skip(f"the file system takes no such name: {error}")
    options = replace(OPTIONS, allow_files=True)
    resolved = resolve(path.as_uri(), options, Pacer(), never)
    assert path.as_uri().endswith("/%FF.mp4")
    assert (resolved.title, resolved.video.size) == ("\ufffd", 1)
    gone = path.with_name("none-\udcff.mp4").as_uri()
    with pytest.raises(ClipError) as caught:
        resolve(gone, options, Pacer(), never)
    assert str(caught.value).isprintable()
    assert str(caught.value).endswith("No such file or directory")


def test_nobody_listens() -> None:
    error = refused("http://127.0.0.1:1/a.mp4")
    assert (error.reason, str(error)) == (Reason.NETWORK, "Connection refused")


def test_a_name_that_does_not_exist() -> None:
    error = refused("http://nowhere.invalid/a.mp4")
    assert error.reason is Reason.NETWORK
    assert str(error).startswith("name resolution: ")


@pytest.mark.parametrize(
    "url",
    [
        "--exec=touch /tmp/x",
        "--exec=id",
        "-o/tmp/x",
        "file:///etc/passwd",
        "FILE:///etc/passwd",
        "/etc/passwd",
        "concat:/etc/passwd|/etc/group",
        "ftp://a.example/a.mp4",
        "data:video/mp4;base64,AAAA",
        "ytsearch2:mime",
        "ytsearch:mime",
        "rtmp://a.example/x",
        "javascript:alert(1)",
        "http://",
        "http:///a.mp4",
        "//a.example/a.mp4",
        "http://a.example:99999/a.mp4",
        "http://[::1/a.mp4",
        "http://a.example/a b.mp4",
        "http://a.example/a\x00.mp4",
        "http://a.example/a\n.mp4",
        "http://a.example/\u202e4pm.a",
        "http://a.example/#__youtubedl_smuggle=%7B%22to_generic%22%3A+true%7D",
        "=HYPERLINK(1)",
        "",
        "http://a.example/" + "a" * MAX_LINK_CHARS,
    ],
    ids=lambda url: repr(url[:30]),
)
def test_what_is_no_link_is_refused_before_anything_is_asked(url: str) -> None:
    error = refused(url)
    assert error.reason is Reason.UNSUPPORTED
    assert str(error).isprintable()
    assert len(str(error)) < 200


def test_a_playlist_is_not_one_video(server: LoopbackServer) -> None:
    (server.root / "page.html").write_text(
        '<html><video src="a.mp4"></video><video src="b.mp4"></video></html>'
    )
    error = refused(server.url("page.html"))
    assert (error.reason, str(error)) == (
        Reason.UNSUPPORTED,
        "the link is a playlist, not one video",
    )


def test_a_ring_of_pages_ends(server: LoopbackServer) -> None:
    for number in range(2):
        (server.root / f"{number}.html").write_text(
            f'<html><meta http-equiv="refresh" content="0;url={1 - number}.html"></html>'
        )
    assert "no video after" in str(refused(server.url("0.html")))
    assert server.stats().requests < 15


def test_a_page_without_end(server: LoopbackServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mimecurate.curation.downloader.MAX_PAGE_BYTES", 100_000)
    (server.root / "page.html").write_text("<html>" + "x" * 1_000_000)
    assert "where a page should be" in str(refused(server.url("page.html")))
    assert server.stats().bytes_sent < 1_000_000


@pytest.mark.parametrize("form", ["file://{}", "file://localhost{}", "{}"])
def test_local_files_where_they_are_allowed(tmp_path: Path, form: str) -> None:
    path = tmp_path / "été 100%.mp4"
    path.write_bytes(MEDIA)
    url = form.format(path if form == "{}" else path.as_posix().replace("%", "%25"))
    options = replace(OPTIONS, allow_files=True)
    resolved = resolve(url, options, Pacer(), never)
    assert (resolved.extractor, resolved.video.size) == ("file", len(MEDIA))
    reader = open_bytes(resolved.video, options, Pacer(), never)
    assert reader.read(100, 200) == MEDIA[100:200]
    assert download_whole(resolved, tmp_path, options, Pacer(), never) == (path,)


@pytest.mark.parametrize("url", ["/nowhere/a.mp4", "a\x00b.mp4", "/dev/zero", "/etc", "-x"])
def test_local_files_that_are_none(url: str) -> None:
    assert refused(url, replace(OPTIONS, allow_files=True)).reason is Reason.UNAVAILABLE


def test_allowing_files_allows_no_other_scheme() -> None:
    error = refused("ftp://a.example/a.mp4", replace(OPTIONS, allow_files=True))
    assert error.reason is Reason.UNSUPPORTED


@pytest.mark.parametrize(
    ("data", "ext"),
    [
        (MEDIA, "mp4"),
        (b"\x00\x00\x00\x18styp", "mp4"),
        (b"\x1a\x45\xdf\xa3\x9f\x42\x82\x84webm", "webm"),
        (b"\x1a\x45\xdf\xa3\xa3\x42\x82\x88matroska", "mkv"),
        ((b"G" + bytes(187)) * 3, "ts"),
        (b"Go to another page" * 50, None),
        (b"RIFF\x00\x00\x00\x00AVI LIST", "avi"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", None),
        (b"#EXTM3U\n", None),
        (b"<html>", None),
        (b"", None),
    ],
)
def test_sniff_media(data: bytes, ext: str | None) -> None:
    assert sniff_media(data) == ext


def test_one_player_answer_per_youtube_video(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answer_with(monkeypatch, PLAYABLE)
    options = replace(OPTIONS, yt_dlp_options={"extractor_args": NO_PAGE})
    resolved = resolve("https://youtu.be/aaaaaaaaaaa?t=6&list=PLx", options, Pacer(), never)
    assert (resolved.format_id, asked) == ("137+140", ["aaaaaaaaaaa"])
    assert (resolved.video.reach, resolved.video.link) == (Zone.PUBLIC, resolved.url)
    assert resolved.audio is not None
    assert resolved.audio.ext == "m4a"


def test_the_player_client_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    from yt_dlp.extractor.youtube import YoutubeIE

    clients: list[str] = []
    answer_with(monkeypatch, PLAYABLE)
    extract = YoutubeIE._extract_player_response

    def note(self: Any, client: str, *args: Any, **kwargs: Any) -> Any:
        clients.append(client)
        return extract(self, client, *args, **kwargs)

    monkeypatch.setattr(YoutubeIE, "_extract_player_response", note)
    options = replace(
        OPTIONS, player_client="tv, web_embedded", yt_dlp_options={"extractor_args": NO_PAGE}
    )
    resolve(URL, options, Pacer(), never)
    assert clients == ["tv", "web_embedded"]
    clients.clear()
    in_words = {"youtube": {**NO_PAGE["youtube"], "player_client": "tv,web_embedded"}}
    options = replace(OPTIONS, yt_dlp_options={"extractor_args": in_words})
    resolve(URL, options, Pacer(), never)
    assert clients == ["tv", "web_embedded"]


def test_a_failed_extraction_is_asked_again_if_it_may_pass(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options = replace(OPTIONS, yt_dlp_options={"extractor_args": NO_PAGE})
    asked = answer_with(monkeypatch, ExtractorError("Unable to download API page: timed out"))
    assert refused(URL, options).reason is Reason.TIMEOUT
    assert len(asked) == 1 + OPTIONS.retries
    asked = answer_with(monkeypatch, refusal("This video is private"))
    assert refused(URL, options).reason is Reason.PRIVATE
    assert len(asked) == 1


def test_a_bot_check_stops_the_others_from_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, float]] = []
    pacer = make_pacer(OPTIONS, on_pause=lambda *pause: told.append(pause))
    answer_with(monkeypatch, refusal("Sign in to confirm you\u2019re not a bot"))
    options = replace(OPTIONS, yt_dlp_options={"extractor_args": NO_PAGE})
    with pytest.raises(ClipError):
        resolve(URL, options, pacer, never)
    assert told == [("youtube.com", 60.0)]
    assert pacer.pause_left_s("r1.googlevideo.com") > 0


def test_a_stop_during_extraction_is_a_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    from yt_dlp.extractor.youtube import YoutubeIE

    stop = threading.Event()

    def check() -> None:
        if stop.is_set():
            raise Stopped

    def swallow(*args: Any, **kwargs: Any) -> None:
        stop.set()
        try:
            check()
        except Exception as error:  # as extractors do
            raise ExtractorError("Video unavailable") from error

    monkeypatch.setattr(YoutubeIE, "_extract_player_response", swallow)
    options = replace(OPTIONS, yt_dlp_options={"extractor_args": NO_PAGE})
    with pytest.raises(Stopped):
        resolve(URL, options, Pacer(), check)


def test_requests_of_an_extraction_keep_the_interval(server: LoopbackServer) -> None:
    (server.root / "page.html").write_text('<html><video src="list.m3u8"></video></html>')
    (server.root / "list.m3u8").write_text("#EXTM3U\n#EXTINF:2,\n1.ts\n#EXT-X-ENDLIST\n")
    slept: list[float] = []
    pacer = Pacer(30.0, clock=lambda: sum(slept), sleep=slept.append)
    resolve(server.url("page.html"), OPTIONS, pacer, never)
    assert server.stats().requests == 2
    assert 30 <= sum(slept) <= 45 + 1e-6


def test_a_thread_uses_its_downloader_again(server: LoopbackServer) -> None:
    mine = downloader_for(OPTIONS)
    assert downloader_for(replace(OPTIONS)) is mine
    found: list[Downloader] = []

    def work() -> None:
        found.append(downloader_for(OPTIONS))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found[0] is not mine
    other = downloader_for(replace(OPTIONS, max_height=360))
    assert other is not mine


def test_many_threads_resolve_at_once(server: LoopbackServer) -> None:
    pacer = Pacer(max_per_site=4)
    found: list[str] = []

    def work(number: int) -> None:
        for name in ("a.mp4", "page.html") * 2:
            resolved = resolve(server.url(name) + f"?n={number}", OPTIONS, pacer, never)
            reader = open_bytes(resolved.video, OPTIONS, pacer, never)
            assert reader.read(100_000, 120_000) == MEDIA[100_000:120_000]
            found.append(name)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 24
    assert server.stats().most_at_once <= 4


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(SourceOptions(cookies=Path("/nowhere/cookies.txt")), id="no cookies"),
        pytest.param(SourceOptions(cookies=Path(__file__)), id="no cookies file"),
        pytest.param(SourceOptions(proxy="gopher://a.example:1"), id="proxy"),
        pytest.param(SourceOptions(proxy="/a/b/c"), id="proxy path"),
        pytest.param(SourceOptions(yt_dlp_options={"format": "best["}), id="format"),
        pytest.param(SourceOptions(yt_dlp_options={"allowed_extractors": ["("]}), id="extractors"),
    ],
)
def test_options_that_yt_dlp_refuses_are_known_before_the_run(options: SourceOptions) -> None:
    with pytest.raises(SettingError, match=r"cookies|yt-dlp refuses"):
        check_options(options)


def test_options_that_yt_dlp_takes(tmp_path: Path) -> None:
    check_options(OPTIONS)
    check_options(replace(OPTIONS, proxy="socks5://127.0.0.1:9", cache_dir=tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_nothing_of_the_users_yt_dlp_is_run_or_written(
    server: LoopbackServer, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    evil = f"open({str(home / 'ran')!r}, 'w')"
    for folder in (home / ".config" / "yt-dlp" / "plugins" / "evil", tmp_path / "path"):
        package = folder / "yt_dlp_plugins" / "extractor"
        package.mkdir(parents=True)
        (package / "evil.py").write_text(evil)
    (home / ".config" / "yt-dlp" / "config").write_text(f"--exec 'touch {home / 'ran'}'\n")
    before = sorted(home.rglob("*"))
    program = (
        "import sys; from mimecurate.curation.sources import *\n"
        "options = SourceOptions(); print(resolve("
        "sys.argv[1], options, make_pacer(options), lambda: None).extractor)"
    )
    search = [str(tmp_path / "path"), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "HOME": str(home), "PYTHONPATH": os.pathsep.join(search)}
    environment["XDG_CONFIG_HOME"] = str(home / ".config")
    found = subprocess.run(
        [sys.executable, "-c", program, server.url("page.html")],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert (found.stdout, found.stderr) == ("html5\n", "")
    assert sorted(home.rglob("*")) == before


def test_a_second_factor_is_not_asked_for_on_the_terminal() -> None:
    assert downloader_for(OPTIONS).get_info_extractor("Youtube")._get_tfa_info() == ""


def test_a_request_outside_of_any_work_is_a_bug() -> None:
    with pytest.raises(RuntimeError, match="outside"):
        downloader_for(OPTIONS).urlopen("http://a.example/")


def test_waiting_for_a_file_that_is_not_available_yet(server: LoopbackServer) -> None:
    resolved = resolve(server.url("a.mp4"), OPTIONS, Pacer(), never)
    soon = int(time.time()) + 2
    began = time.time()
    open_bytes(replace(resolved.video, available_at=soon), OPTIONS, Pacer(), never)
    assert began + 0.5 < time.time() < soon + 1.5


def test_threads_make_their_first_downloaders_at_once() -> None:
    """As the workers of a run do; `sysconfig` is read by the first, and is not thread-safe."""
    program = """
import sysconfig, threading
from mimecurate.curation.downloader import downloader_for
from mimecurate.curation.sources import SourceOptions

sysconfig._CONFIG_VARS, sysconfig._CONFIG_VARS_INITIALIZED = None, False
together = threading.Barrier(8)

def work():
    together.wait()
    downloader_for(SourceOptions())

threads = [threading.Thread(target=work) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stderr == ""
