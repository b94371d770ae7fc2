from __future__ import annotations

import contextlib
import itertools
import os
import random
import shutil
import socket
import ssl
import subprocess
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from testbed import need

from mimecurate.curation.byte_reader import RangesNotSupportedError
from mimecurate.curation.downloader import Downloader, downloader_for
from mimecurate.curation.http_bytes import HEAD_BYTES, MAX_REQUEST_BYTES, HttpBytes
from mimecurate.curation.loopback import LoopbackServer
from mimecurate.curation.network_guard import Zone
from mimecurate.curation.pacing import Pacer
from mimecurate.curation.sources import FileHead, SourceFile, SourceOptions
from mimecurate.errors import ClipError, Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mimecurate.curation.byte_reader import ByteReader

OPTIONS = SourceOptions(retries=3, backoff_s=0.01, backoff_max_s=0.02, timeout_s=5)
DATA = random.Random(1).randbytes(600_000)


class Stopped(Exception):
    pass


def never() -> None:
    """Nobody stops the run."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LoopbackServer]:
    (tmp_path / "a.mp4").write_bytes(DATA)
    with LoopbackServer(tmp_path) as running:
        yield running


def open_url(
    url: str,
    options: SourceOptions = OPTIONS,
    pacer: Pacer | None = None,
    check_stopped: Callable[[], None] = never,
    **more: Any,
) -> HttpBytes:
    file = SourceFile(url, "https", "mp4", "0")
    return HttpBytes(file, downloader_for(options), pacer or Pacer(), check_stopped, **more)


def ranges(server: LoopbackServer) -> list[tuple[int | None, int | None] | None]:
    return [record.range for record in server.requests()]


def test_it_reads_what_is_asked(server: LoopbackServer) -> None:
    reader: ByteReader = open_url(server.url("a.mp4"))
    assert reader.size == len(DATA)
    assert reader.read(100_000, 300_000) == DATA[100_000:300_000]
    assert reader.read(590_000, 700_000) == DATA[590_000:]
    assert reader.read(len(DATA), len(DATA) + 5) == b""
    stats = server.stats()
    assert reader.bytes_read == stats.bytes_sent == HEAD_BYTES + 200_000 + 10_000
    assert (stats.requests, stats.connections) == (3, 1)  # over one connection, kept open


def test_what_the_first_request_brought_is_not_asked_again(server: LoopbackServer) -> None:
    reader = open_url(server.url("a.mp4"))
    assert reader.read(0, HEAD_BYTES) == DATA[:HEAD_BYTES]
    assert reader.requests == 1
    assert reader.read(60_000, 70_000) == DATA[60_000:70_000]
    assert ranges(server) == [(0, HEAD_BYTES - 1), (HEAD_BYTES, 69_999)]


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(start=st.integers(0, len(DATA) + 10), length=st.integers(0, 200_000))
def test_any_range(server: LoopbackServer, start: int, length: int) -> None:
    reader = open_url(server.url("a.mp4"))
    assert reader.read(start, start + length) == DATA[start : start + length]


def test_a_negative_start_is_misuse(server: LoopbackServer) -> None:
    with pytest.raises(ValueError, match="start -1"):
        open_url(server.url("a.mp4")).read(-1, 5)


def test_a_small_file_is_read_by_one_request(server: LoopbackServer, tmp_path: Path) -> None:
    (tmp_path / "small.mp4").write_bytes(b"12345")
    reader = open_url(server.url("small.mp4"))
    assert (reader.size, reader.read(0, 100), reader.requests) == (5, b"12345", 1)


def test_long_ranges_are_asked_in_bounded_requests(server: LoopbackServer, tmp_path: Path) -> None:
    with (tmp_path / "long.mp4").open("wb") as file:
        file.truncate(25 << 20)
    reader = open_url(server.url("long.mp4"))
    assert len(reader.read(1 << 20, 23 << 20)) == 22 << 20
    asked = [r for r in ranges(server)[1:] if r is not None]
    lengths = [(last or 0) - (first or 0) + 1 for first, last in asked]
    assert lengths == [MAX_REQUEST_BYTES, MAX_REQUEST_BYTES, 2 << 20]
    assert MAX_REQUEST_BYTES == 10 << 20


@pytest.mark.parametrize("fault", ["reset", "truncate"])
def test_a_broken_body_is_taken_up_where_it_broke(server: LoopbackServer, fault: str) -> None:
    reader = open_url(server.url("a.mp4"))
    server.misbehave("a.mp4", fault, skip=1, times=2, after_bytes=50_000)
    assert reader.read(100_000, 500_000) == DATA[100_000:500_000]
    starts = [r[0] for r in ranges(server)[1:] if r]
    assert starts[0] == 100_000
    assert all(
        0 < (later or 0) - (earlier or 0) <= 50_000 for earlier, later in itertools.pairwise(starts)
    )
    assert reader.bytes_read == HEAD_BYTES + 400_000  # nothing twice


def test_a_connection_that_always_breaks_still_gets_there(server: LoopbackServer) -> None:
    reader = open_url(server.url("a.mp4"))
    server.misbehave("a.mp4", "truncate", after_bytes=70_000)
    assert reader.read(0, len(DATA)) == DATA
    assert reader.requests > OPTIONS.retries + 1


def test_but_not_byte_by_byte(server: LoopbackServer) -> None:
    reader = open_url(server.url("a.mp4"))
    server.misbehave("a.mp4", "truncate", after_bytes=10)
    with pytest.raises(ClipError) as caught:
        reader.read(100_000, 200_000)
    assert caught.value.reason is Reason.NETWORK
    assert reader.requests == 1 + OPTIONS.retries + 1


@pytest.mark.parametrize(
    ("fault", "more"),
    [
        ("503", {}),
        ("500", {}),
        ("502", {}),
        ("reset", {}),
        ("truncate", {}),
        ("lying_range", {}),
        ("no_range", {}),
        ("length", {"delta": 100}),
        ("length", {"delta": -100}),
        ("408", {}),
    ],
)
def test_what_passes_is_asked_again(
    server: LoopbackServer, fault: str, more: dict[str, Any]
) -> None:
    reader = open_url(server.url("a.mp4"))
    server.misbehave("a.mp4", fault, skip=1, times=OPTIONS.retries, **more)
    assert reader.read(100_000, 140_000) == DATA[100_000:140_000]


@pytest.mark.parametrize(
    ("fault", "reason", "requests"),
    [
        ("500", Reason.NETWORK, 4),
        ("reset", Reason.NETWORK, 4),
        ("truncate", Reason.NETWORK, 4),
        ("lying_range", Reason.NETWORK, 4),
        ("401", Reason.LOGIN_REQUIRED, 1),
        ("403", Reason.LOGIN_REQUIRED, 1),
        ("404", Reason.UNAVAILABLE, 1),
        ("410", Reason.REMOVED, 1),
        ("451", Reason.GEO_BLOCKED, 1),
        ("416", Reason.NO_VIDEO, 1),
        ("empty", Reason.NO_VIDEO, 1),
    ],
)
def test_what_does_not_pass_has_its_reason(
    server: LoopbackServer, fault: str, reason: Reason, requests: int
) -> None:
    with pytest.raises(ClipError) as caught:
        open_url(server.url("a.mp4", fault))
    assert caught.value.reason is reason
    assert server.stats().requests == requests


def test_a_server_without_ranges_is_known_before_its_body_is_read(
    server: LoopbackServer, tmp_path: Path
) -> None:
    with (tmp_path / "long.mp4").open("wb") as file:
        file.truncate(200 << 20)
    server.misbehave("long.mp4", "no_range")
    began = time.monotonic()
    with pytest.raises(RangesNotSupportedError):
        open_url(server.url("long.mp4"))
    assert time.monotonic() - began < 2
    assert server.stats().bytes_sent < 100 << 20


def test_a_file_that_changes_is_not_mixed(server: LoopbackServer, tmp_path: Path) -> None:
    for content in (DATA[::-1], DATA[:-1]):  # another one of the same size, a shorter one
        reader = open_url(server.url("a.mp4"))
        (tmp_path / "a.mp4").write_bytes(content)
        os.utime(tmp_path / "a.mp4", (1, len(content)))
        with pytest.raises(ClipError, match="changed while it was being read") as caught:
            reader.read(100_000, 200_000)
        assert caught.value.reason is Reason.NETWORK


def test_a_file_of_another_size_is_not_mixed_where_there_is_no_etag(server: LoopbackServer) -> None:
    head = FileHead(DATA[:100], len(DATA) + 1, None, has_ranges=True)
    file = SourceFile(server.url("a.mp4"), "https", "mp4", "0", head=head)
    with pytest.raises(ClipError, match="changed while it was being read"):
        HttpBytes(file, downloader_for(OPTIONS), Pacer(), never).read(100, 200)


def test_a_server_that_lies_about_its_ranges_is_not_believed(server: LoopbackServer) -> None:
    reader = open_url(server.url("a.mp4"))
    server.misbehave("a.mp4", "lying_range", delta=7)
    with pytest.raises(ClipError, match=r"asked for bytes 100000-199999, .* 100007-") as caught:
        reader.read(100_000, 200_000)
    assert caught.value.reason is Reason.NETWORK
    assert reader.requests == 1 + 1 + OPTIONS.retries


def test_a_stall_ends(server: LoopbackServer) -> None:
    options = replace(OPTIONS, timeout_s=0.3, retries=1)
    reader = open_url(server.url("a.mp4"), options)
    server.misbehave("a.mp4", "stall", skip=1, after_bytes=100, seconds=30)
    began = time.monotonic()
    with pytest.raises(ClipError) as caught:
        reader.read(100_000, 200_000)
    assert caught.value.reason is Reason.TIMEOUT
    assert time.monotonic() - began < 3


def test_a_drip_ends_though_no_read_times_out(server: LoopbackServer) -> None:
    options = replace(OPTIONS, timeout_s=0.5, retries=0)
    reader = open_url(server.url("a.mp4"), options)
    server.misbehave("a.mp4", "slow", skip=1, rate=200)
    began = time.monotonic()
    with pytest.raises(ClipError, match="stalled") as caught:
        reader.read(100_000, 200_000)
    assert caught.value.reason is Reason.TIMEOUT
    assert time.monotonic() - began < 3


def test_a_slow_server_is_not_a_stalled_one(server: LoopbackServer) -> None:
    options = replace(OPTIONS, timeout_s=0.3, retries=0)
    reader = open_url(server.url("a.mp4"), options)
    server.misbehave("a.mp4", "slow", skip=1, rate=20_000)
    assert reader.read(100_000, 120_000) == DATA[100_000:120_000]


def test_a_file_of_which_too_much_is_read(server: LoopbackServer) -> None:
    reader = open_url(server.url("a.mp4"), replace(OPTIONS, max_bytes=200_000))
    assert reader.read(100_000, 200_000) == DATA[100_000:200_000]
    with pytest.raises(ClipError, match=r"over 200,000 bytes .*--max-bytes") as caught:
        reader.read(200_000, 300_000)
    assert caught.value.reason is Reason.UNSUPPORTED


def test_headers_that_drip_end_too() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    done = threading.Event()

    def drip() -> None:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            connection.sendall(b"HTTP/1.1 206 Partial Content\r\nX-Long: ")
            while not done.wait(0.05):
                connection.sendall(b"a")

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        began = time.monotonic()
        with pytest.raises(ClipError) as caught:
            open_url(
                f"http://127.0.0.1:{listener.getsockname()[1]}/a.mp4",
                replace(OPTIONS, timeout_s=0.5, retries=0),
            )
        assert caught.value.reason is Reason.TIMEOUT
        assert time.monotonic() - began < 3
    finally:
        done.set()
        thread.join()
        listener.close()


def test_a_length_of_thousands_of_digits_is_no_length() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                length = b"9" * 5000
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: " + length + b"\r\n\r\n")
                connection.sendall(DATA[: 2 * HEAD_BYTES])

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            with pytest.raises(RangesNotSupportedError):
                open_url(f"http://127.0.0.1:{listener.getsockname()[1]}/a.mp4")
        finally:
            thread.join()


@pytest.mark.parametrize("date", [False, True])
def test_retry_after_is_obeyed_by_all(server: LoopbackServer, date: bool) -> None:
    pauses: list[float] = []
    pacer = Pacer(on_pause=lambda site, seconds: pauses.append(seconds))
    other = open_url(server.url("a.mp4"), pacer=pacer)
    began = time.monotonic()
    reader = open_url(
        server.url("a.mp4", "429", times=1, retry_after=2 if date else 0.5, date=date), pacer=pacer
    )
    wait_s = pauses[0]
    assert 0.4 < wait_s <= 2
    pacer.pause("127.0.0.1", 0.3)  # as if another thread had been told so
    began = time.monotonic()
    other.read(100_000, 100_010)
    assert time.monotonic() - began >= 0.3
    assert reader.read(200_000, 200_010) == DATA[200_000:200_010]


def test_a_rate_limit_without_a_time_pauses_the_site(server: LoopbackServer) -> None:
    pauses: list[tuple[str, float]] = []
    pacer = Pacer(on_pause=lambda *pause: pauses.append(pause))
    options = replace(OPTIONS, retries=0, backoff_s=0.5, backoff_max_s=1)
    with pytest.raises(ClipError) as caught:
        open_url(server.url("a.mp4", "429"), options, pacer)
    assert caught.value.reason is Reason.RATE_LIMITED
    ((site, seconds),) = pauses
    assert site == "127.0.0.1"
    assert 0.5 <= seconds <= 0.75


def test_too_long_a_wait_is_left_to_another_day(server: LoopbackServer) -> None:
    with pytest.raises(ClipError) as caught:
        open_url(server.url("a.mp4", "429", retry_after=86_400))
    assert (caught.value.reason, caught.value.retry_after_s) == (Reason.RATE_LIMITED, 86_400)
    assert server.stats().requests == 1


def test_an_expired_link_is_resolved_again_once(server: LoopbackServer) -> None:
    refreshed: list[str] = []

    def refresh() -> SourceFile:
        refreshed.append("")
        return SourceFile(server.url("a.mp4") + "?signature=2", "https", "mp4", "0")

    reader = open_url(server.url("a.mp4", "403", skip=1), refresh=refresh)
    assert reader.read(100_000, 200_000) == DATA[100_000:200_000]
    assert len(refreshed) == 1
    server.misbehave("a.mp4", "403")
    with pytest.raises(ClipError) as caught:
        reader.read(300_000, 400_000)
    assert caught.value.reason is Reason.LOGIN_REQUIRED
    assert len(refreshed) == 1


def test_redirects_are_followed_once_for_all_ranges(server: LoopbackServer) -> None:
    reader = open_url(server.url("moved.mp4", "redirect", location=server.url("a.mp4")))
    assert reader.read(100_000, 200_000) == DATA[100_000:200_000]
    assert server.stats().requests_by_path == {"moved.mp4": 1, "a.mp4": 2}


def test_cookies_are_sent_and_the_file_is_left_alone(
    server: LoopbackServer, tmp_path: Path
) -> None:
    cookies = tmp_path / "cookies.txt"
    line = "127.0.0.1\tFALSE\t/\tFALSE\t2147483647\tsession\tsecret\n"
    cookies.write_text("# Netscape HTTP Cookie File\n" + line)
    before = cookies.read_bytes()
    server.misbehave("a.mp4", "cookie", cookie="session=secret")
    reader = open_url(server.url("a.mp4"), replace(OPTIONS, cookies=cookies))
    assert reader.size == len(DATA)
    downloader_for(OPTIONS)  # closes the other
    assert cookies.read_bytes() == before


def test_cookies_of_another_threads_extraction_are_sent(server: LoopbackServer) -> None:
    server.misbehave("a.mp4", "cookie", cookie="visit=7")
    file = SourceFile(
        server.url("a.mp4"), "https", "mp4", "0", cookies="visit=7; Domain=127.0.0.1; Path=/"
    )
    downloader = Downloader(OPTIONS)
    assert HttpBytes(file, downloader, Pacer(), never).size == len(DATA)
    downloader.close()


def test_a_proxy_is_used(server: LoopbackServer) -> None:
    options = replace(OPTIONS, proxy=server.address)
    reader = open_url("http://far.example/a.mp4", options)
    assert reader.read(100_000, 200_000) == DATA[100_000:200_000]
    assert [record.headers["host"] for record in server.requests()] == ["far.example"] * 2


def test_over_tls(tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    need("openssl", openssl, "openssl is not on PATH, to make a certificate with")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [
            *(str(openssl), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-subj", "/CN=localhost", "-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    (tmp_path / "a.mp4").write_bytes(DATA)
    server = LoopbackServer(tmp_path)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with server:
        url = server.url("a.mp4").replace("http://", "https://")
        trusting = replace(OPTIONS, yt_dlp_options={"nocheckcertificate": True})
        reader = open_url(url, trusting)
        assert reader.read(100_000, 200_000) == DATA[100_000:200_000]
        assert server.stats().connections == 1
        public = SourceFile(url, "https", "mp4", "0", reach=Zone.PUBLIC)
        with pytest.raises(ClipError, match="loopback address"):
            HttpBytes(public, downloader_for(trusting), Pacer(), never)
        with pytest.raises(ClipError, match=r"(?i)certificate") as caught:
            open_url(url, replace(OPTIONS, retries=0))
        assert caught.value.reason is Reason.NETWORK


def test_the_rate_limit_is_the_runs(server: LoopbackServer) -> None:
    reader = open_url(server.url("a.mp4"), pacer=Pacer(limit_rate=400_000))
    began = time.monotonic()
    reader.read(100_000, 300_000)
    assert 0.45 < time.monotonic() - began < 3


def test_a_stop_ends_a_read_between_two_chunks(server: LoopbackServer) -> None:
    stop = threading.Event()

    def check() -> None:
        if stop.is_set():
            raise Stopped

    reader = open_url(server.url("a.mp4"), check_stopped=check)
    server.misbehave("a.mp4", "slow", skip=1, rate=50_000)
    threading.Timer(0.2, stop.set).start()
    began = time.monotonic()
    with pytest.raises(Stopped):
        reader.read(100_000, 600_000)
    assert time.monotonic() - began < 1.5


def test_many_threads_read_at_once(server: LoopbackServer) -> None:
    pacer = Pacer(max_per_site=4)
    wrong: list[int] = []
    server.misbehave("a.mp4", "reset", skip=20, times=10, after_bytes=1000)
    server.misbehave("a.mp4", "503", skip=50, times=5)

    def work(seed: int) -> None:
        reader = open_url(server.url("a.mp4"), replace(OPTIONS, retries=20), pacer)
        choose = random.Random(seed)
        for _ in range(6):
            start = choose.randrange(len(DATA))
            if reader.read(start, start + 100_000) != DATA[start : start + 100_000]:
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert server.stats().requests > 60
    assert server.stats().most_at_once <= 4
