from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from mimecurate.curation.loopback import LoopbackServer
from mimecurate.curation.loopback_faults import FAULTS, Fault

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DATA = bytes(range(256)) * 512  # 128 KiB


@pytest.fixture
def server(loopback: LoopbackServer) -> LoopbackServer:
    (loopback.root / "a.mp4").write_bytes(DATA)
    return loopback


@pytest.fixture
def connection(server: LoopbackServer) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=5)
    yield connection
    connection.close()


class Got:
    """A response, read to its end."""

    def __init__(
        self,
        connection: http.client.HTTPConnection,
        url: str,
        *,
        method: str = "GET",
        **headers: str,
    ) -> None:
        parts = urlsplit(url)
        connection.request(
            method,
            parts.path + (f"?{parts.query}" if parts.query else ""),
            headers={name.replace("_", "-"): value for name, value in headers.items()},
        )
        response = connection.getresponse()
        self.status, self.headers = response.status, response.headers
        self.body = response.read()


def test_a_file_is_served_whole(
    server: LoopbackServer, connection: http.client.HTTPConnection
) -> None:
    got = Got(connection, server.url("a.mp4"))
    assert (got.status, got.body) == (200, DATA)
    assert got.headers["Content-Type"] == "video/mp4"
    assert got.headers["Accept-Ranges"] == "bytes"


@pytest.mark.parametrize(
    ("asked", "status", "start", "stop"),
    [
        pytest.param("bytes=0-0", 206, 0, 1, id="first byte"),
        pytest.param("bytes=1000-1999", 206, 1000, 2000, id="middle"),
        pytest.param("bytes=131000-", 206, 131000, 131072, id="to the end"),
        pytest.param("bytes=-72", 206, 131000, 131072, id="suffix"),
        pytest.param("bytes=-999999", 206, 0, 131072, id="suffix longer than the file"),
        pytest.param("bytes=131000-999999", 206, 131000, 131072, id="beyond the end"),
        pytest.param("bytes=0-1,5-6", 200, 0, 131072, id="several ranges are ignored"),
        pytest.param("bytes=-", 200, 0, 131072, id="malformed is ignored"),
        pytest.param("lines=1-2", 200, 0, 131072, id="other units are ignored"),
    ],
)
def test_ranges(
    server: LoopbackServer,
    connection: http.client.HTTPConnection,
    asked: str,
    status: int,
    start: int,
    stop: int,
) -> None:
    got = Got(connection, server.url("a.mp4"), Range=asked)
    assert (got.status, got.body) == (status, DATA[start:stop])
    if status == 206:
        assert got.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{len(DATA)}"
    assert server.requests()[0].bytes_sent == stop - start


@pytest.mark.parametrize("asked", ["bytes=131072-", "bytes=-0", "bytes=200000-200001"])
def test_a_range_outside_is_refused(
    server: LoopbackServer, connection: http.client.HTTPConnection, asked: str
) -> None:
    got = Got(connection, server.url("a.mp4"), Range=asked)
    assert (got.status, got.body) == (416, b"")
    assert got.headers["Content-Range"] == f"bytes */{len(DATA)}"


def test_an_empty_file_has_no_range(
    server: LoopbackServer, connection: http.client.HTTPConnection
) -> None:
    (server.root / "empty.mp4").touch()
    assert Got(connection, server.url("empty.mp4"), Range="bytes=0-99").status == 416
    assert Got(connection, server.url("empty.mp4")).body == b""


@pytest.mark.parametrize(
    "path",
    ["missing.mp4", "../secret", "..%2fsecret", "%2e%2e/secret", "a.mp4%00", "", "/etc/passwd"],
)
def test_nothing_outside_the_folder_is_served(
    server: LoopbackServer, connection: http.client.HTTPConnection, path: str
) -> None:
    (server.root.parent / "secret").write_text("secret")
    assert Got(connection, f"{server.address}/{path}").status == 404


def test_connections_are_kept_alive_and_everything_is_recorded(
    server: LoopbackServer, connection: http.client.HTTPConnection
) -> None:
    (server.root / "x y").mkdir()
    (server.root / "x y/ü.mp4").write_bytes(b"12345")
    before = time.monotonic()
    Got(connection, server.url("a.mp4"), Range="bytes=10-19", User_Agent="me", Cookie="k=v")
    Got(connection, server.url("x y/ü.mp4"), method="HEAD")
    Got(connection, server.url("none.mp4"))
    first, second, third = server.requests()
    assert first.headers["user-agent"] == "me"
    assert first.headers["cookie"] == "k=v"
    assert (first.range, first.bytes_sent, first.status) == ((10, 19), 10, 206)
    assert before <= first.time_s <= second.time_s <= time.monotonic()
    assert (second.method, second.path, second.bytes_sent) == ("HEAD", "x y/ü.mp4", 0)
    assert {r.connection for r in (first, second, third)} == {1}
    stats = server.stats()
    assert (stats.requests, stats.connections, stats.most_at_once) == (3, 1, 1)
    assert stats.statuses == {206: 1, 200: 1, 404: 1}
    assert stats.bytes_by_path["a.mp4"] == 10
    assert server.requests("a.mp4") == [first]
    server.reset()
    assert (server.stats().requests, server.stats().bytes_sent) == (0, 0)


def test_requests_at_once_are_counted(server: LoopbackServer) -> None:
    url = server.url("a.mp4", "stall", seconds=0.3)
    with ThreadPoolExecutor(4) as pool:
        bodies = list(pool.map(lambda _: urllib.request.urlopen(url).read(), range(4)))
    assert bodies == [DATA] * 4
    assert server.stats().most_at_once == 4
    assert server.stats().bytes_sent == 4 * len(DATA)


def test_requests_after_each_other_are_never_at_once(server: LoopbackServer) -> None:
    for _ in range(100):
        with urllib.request.urlopen(server.url("a.mp4")) as response:  # a connection each
            response.read()
    assert server.stats().most_at_once == 1


def test_a_client_that_breaks_off_is_not_charged_for_the_rest(
    server: LoopbackServer,
) -> None:
    (server.root / "large.mp4").write_bytes(bytes(32 << 20))
    with urllib.request.urlopen(server.url("large.mp4")) as response:
        response.read(1000)
    assert 1000 <= server.stats().bytes_sent < 16 << 20


# --- faults


@pytest.mark.parametrize("code", [403, 404, 410, 429, 500, 502, 503])
def test_a_status_for_the_first_requests(
    server: LoopbackServer, connection: http.client.HTTPConnection, code: int
) -> None:
    url = server.url("a.mp4", str(code), times=2)
    assert [Got(connection, url).status for _ in range(4)] == [code, code, 200, 200]
    assert Got(connection, server.url("a.mp4")).status == 200, "the plain URL is not struck"


def test_a_link_that_expires(
    server: LoopbackServer, connection: http.client.HTTPConnection
) -> None:
    server.misbehave("a.mp4", "403", skip=2)
    url = server.url("a.mp4")
    assert [Got(connection, url).status for _ in range(4)] == [200, 200, 403, 403]
    server.reset()
    assert Got(connection, url).status == 200, "the count starts again"


def test_faults_of_one_path_add_up(
    server: LoopbackServer, connection: http.client.HTTPConnection
) -> None:
    server.misbehave("a.mp4", "429", times=1)
    server.misbehave("a.mp4", "503", skip=1, times=1)
    assert [Got(connection, server.url("a.mp4")).status for _ in range(3)] == [429, 503, 200]


def test_retry_after(server: LoopbackServer, connection: http.client.HTTPConnection) -> None:
    assert "Retry-After" not in Got(connection, server.url("a.mp4", "429")).headers
    seconds = Got(connection, server.url("a.mp4", "429", retry_after=1.5)).headers["Retry-After"]
    assert seconds == "1.5"
    dated = Got(connection, server.url("a.mp4", "429", retry_after=60, date=True))
    ahead = parsedate_to_datetime(dated.headers["Retry-After"]).timestamp() - time.time()
    assert 57 < ahead <= 60


def _read_raw(server: LoopbackServer, url: str) -> tuple[bytes, type[OSError] | None]:
    """Read all that comes on a connection of its own, and how it ended."""
    parts = urlsplit(url)
    data = b""
    with socket.create_connection(("127.0.0.1", server.server_address[1]), timeout=5) as raw:
        raw.sendall(f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        try:
            while piece := raw.recv(65536):
                data += piece
        except OSError as error:
            return data, type(error)
    return data, None


def test_a_reset_connection(server: LoopbackServer) -> None:
    assert _read_raw(server, server.url("a.mp4", "reset")) == (b"", ConnectionResetError)
    data, error = _read_raw(server, server.url("a.mp4", "reset", after_bytes=5000))
    assert error is ConnectionResetError
    assert data.partition(b"\r\n\r\n")[2] == DATA[:5000]
    assert [record.status for record in server.requests()] == [0, 200]


@pytest.mark.parametrize(("options", "kept"), [({}, 65536), ({"after_bytes": 10}, 10)])
def test_a_truncated_body(
    server: LoopbackServer,
    connection: http.client.HTTPConnection,
    options: dict[str, int],
    kept: int,
) -> None:
    with pytest.raises(http.client.IncompleteRead) as caught:
        Got(connection, server.url("a.mp4", "truncate", **options))
    assert caught.value.partial == DATA[:kept]
    assert server.stats().bytes_sent == kept


def test_a_stall_ends_by_itself(
    server: LoopbackServer, connection: http.client.HTTPConnection
) -> None:
    began = time.monotonic()
    got = Got(connection, server.url("a.mp4", "stall", after_bytes=1000, seconds=0.2))
    assert got.body == DATA
    assert time.monotonic() - began >= 0.2


def test_closing_the_server_ends_a_stall(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(DATA)
    with LoopbackServer(tmp_path) as server, ThreadPoolExecutor(1) as pool:
        reading = pool.submit(_read_raw, server, server.url("a.mp4", "stall", seconds=60))
        while not server.requests():
            time.sleep(0.01)
        began = time.monotonic()
        server.close()
        assert reading.result(timeout=5)[0].partition(b"\r\n\r\n")[2] == b""
    assert time.monotonic() - began < 5


def test_a_length_that_is_too_long(
    server: LoopbackServer, connection: http.client.HTTPConnection
) -> None:
    with pytest.raises(http.client.IncompleteRead) as caught:
        Got(connection, server.url("a.mp4", "length", delta=50))
    assert (caught.value.partial, caught.value.expected) == (DATA, 50)


def test_a_length_that_is_too_short(server: LoopbackServer) -> None:
    data, error = _read_raw(server, server.url("a.mp4", "length", delta=-50))
    head, _, body = data.partition(b"\r\n\r\n")
    assert (body, error) == (DATA, None)
    assert f"Content-Length: {len(DATA) - 50}".encode() in head


def test_no_range(server: LoopbackServer, connection: http.client.HTTPConnection) -> None:
    got = Got(connection, server.url("a.mp4", "no_range"), Range="bytes=100-199")
    assert (got.status, got.body) == (200, DATA)
    assert "Content-Range" not in got.headers
    assert got.headers["Accept-Ranges"] == "none"


def test_a_lying_range(server: LoopbackServer, connection: http.client.HTTPConnection) -> None:
    got = Got(connection, server.url("a.mp4", "lying_range", delta=7), Range="bytes=100-199")
    assert (got.status, got.body) == (206, DATA[100:200])
    assert got.headers["Content-Range"] == f"bytes 107-206/{len(DATA)}"


def test_a_slow_server(server: LoopbackServer, connection: http.client.HTTPConnection) -> None:
    began = time.monotonic()
    got = Got(connection, server.url("a.mp4", "slow", rate=500_000))
    assert got.body == DATA
    assert time.monotonic() - began == pytest.approx(len(DATA) / 500_000, rel=0.3)


def test_long_responses_are_throttled_and_short_ones_not(
    server: LoopbackServer, connection: http.client.HTTPConnection
) -> None:
    url = server.url("a.mp4", "throttle", after_bytes=100_000, rate=500_000)
    began = time.monotonic()
    Got(connection, url, Range="bytes=0-99999")
    short_s = time.monotonic() - began
    Got(connection, url)
    assert short_s < 0.1
    assert time.monotonic() - began - short_s > 0.2


@pytest.mark.parametrize(
    "location",
    ["/a.mp4?fault=redirect", "http://169.254.169.254/latest/", "file:///etc/passwd", "b.mp4"],
)
def test_a_redirect_leads_anywhere(
    server: LoopbackServer, connection: http.client.HTTPConnection, location: str
) -> None:
    got = Got(connection, server.url("a.mp4", "redirect", location=location))
    assert (got.status, got.headers["Location"], got.body) == (302, location, b"")


def test_a_page_or_nothing_instead_of_a_video(
    server: LoopbackServer, connection: http.client.HTTPConnection
) -> None:
    page = Got(connection, server.url("a.mp4", "html"))
    assert (page.status, page.headers["Content-Type"]) == (200, "text/html")
    assert b"Sign in" in page.body
    nothing = Got(connection, server.url("a.mp4", "empty"))
    assert (nothing.status, nothing.headers["Content-Length"], nothing.body) == (200, "0", b"")


def test_a_cookie_is_demanded(
    server: LoopbackServer, connection: http.client.HTTPConnection
) -> None:
    url = server.url("a.mp4", "cookie", cookie="sid=1")
    statuses = [Got(connection, url, Cookie=c).status for c in ("sid=2", "a=b; sid=1", "sid=11")]
    assert statuses == [403, 200, 403]


def test_it_answers_as_a_proxy(server: LoopbackServer) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": server.address}))
    with opener.open("http://media.example:81/a.mp4?x=1") as response:
        assert response.read() == DATA
    (record,) = server.requests("a.mp4")
    assert record.proxied_host == "media.example:81"


def test_an_unknown_fault_is_refused(
    server: LoopbackServer, connection: http.client.HTTPConnection
) -> None:
    with pytest.raises(ValueError, match="'sulk' must be a status code or one of: reset"):
        server.url("a.mp4", "sulk")
    got = Got(connection, f"{server.address}/a.mp4?fault=429&times=many")
    assert got.status == 400
    assert b"many" in got.body
    assert Got(connection, server.url("a.mp4")).status == 200


@pytest.mark.parametrize("name", [*FAULTS, "429"])
def test_a_fault_survives_its_url(name: str) -> None:
    fault = Fault(name=name, skip=1, times=2, retry_after=0.5, date=True, location="/x?a=b&c")
    assert Fault.from_query(fault.to_query()) == fault


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_runs_by_hand(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "a.mp4").write_bytes(DATA)
    command = [sys.executable, "-m", "mimecurate.curation.loopback", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        with urllib.request.urlopen(f"{address}/a.mp4") as response:
            assert response.read() == DATA
        with urllib.request.urlopen(f"{address}/__stats?reset=1") as response:
            stats = json.load(response)
        process.send_signal(number)
        assert process.wait(timeout=5) == 0
    assert (stats["requests"], stats["bytes_by_path"]) == (1, {"a.mp4": len(DATA)})
    assert stats["cpu_s"] > 0
