from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest

from mimecurate.curation.downloader import Downloader
from mimecurate.curation.http_bytes import HttpBytes
from mimecurate.curation.loopback import LoopbackServer
from mimecurate.curation.network_guard import (
    ForbiddenAddressError,
    NetworkGuard,
    Zone,
    address_in_url,
    zone_of_address,
)
from mimecurate.curation.pacing import Pacer
from mimecurate.curation.sources import (
    SourceFile,
    SourceOptions,
    download_whole,
    open_bytes,
    resolve,
)
from mimecurate.errors import ClipError, Reason

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OPTIONS = SourceOptions(retries=0, timeout_s=5)
MEDIA = b"\x00\x00\x00\x20ftypisom" + bytes(200_000)
METADATA_IN_DISGUISE = (
    "169.254.169.254",
    "2852039166",  # the same as one number,
    "0xa9fea9fe",
    "0251.0376.0251.0376",  # octal,
    "169.254.43518",  # in three parts,
    "[::ffff:169.254.169.254]",  # and wrapped in IPv6
    "[::ffff:a9fe:a9fe]",
    "[64:ff9b::169.254.169.254]",
    "[2002:a9fe:a9fe::1]",
    "[fd00:ec2::254]",
)


def never() -> None:
    """Nobody stops the run."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LoopbackServer]:
    (tmp_path / "a.mp4").write_bytes(MEDIA)
    with LoopbackServer(tmp_path) as running:
        yield running


@pytest.mark.parametrize(
    ("address", "zone"),
    [
        ("8.8.8.8", Zone.PUBLIC),
        ("2001:4860:4860::8888", Zone.PUBLIC),
        ("10.1.2.3", Zone.PRIVATE),
        ("172.16.0.1", Zone.PRIVATE),
        ("192.168.1.1", Zone.PRIVATE),
        ("100.64.0.1", Zone.PRIVATE),
        ("fd12::1", Zone.PRIVATE),
        ("::ffff:192.168.1.1", Zone.PRIVATE),
        ("64:ff9b::10.0.0.1", Zone.PRIVATE),
        ("127.0.0.1", Zone.LOOPBACK),
        ("127.9.9.9", Zone.LOOPBACK),
        ("::1", Zone.LOOPBACK),
        ("::ffff:127.0.0.1", Zone.LOOPBACK),
        ("::127.0.0.1", Zone.LOOPBACK),
        ("2002:7f00:1::", Zone.LOOPBACK),
    ],
)
def test_zone_of_address(address: str, zone: Zone) -> None:
    assert zone_of_address(address) is zone


@pytest.mark.parametrize(
    "address",
    [
        "169.254.0.1",
        "fe80::1",
        "fe80::1%eth0",
        "224.0.0.1",
        "ff02::1",
        "0.0.0.0",
        "0.1.2.3",
        "::",
        "255.255.255.255",
        "100.100.100.200",
        "168.63.129.16",
        "fd00:ec2::254",
    ],
)
def test_nobody_fetches_videos_from_there(address: str) -> None:
    with pytest.raises(ForbiddenAddressError, match="link-local, multicast or reserved"):
        zone_of_address(address)


@pytest.mark.parametrize("host", METADATA_IN_DISGUISE)
def test_an_address_is_known_in_any_notation(host: str) -> None:
    with pytest.raises(ForbiddenAddressError):
        NetworkGuard().check_url(f"http://{host}/latest/meta-data")


@pytest.mark.parametrize("host", ["localhost", "LocalHost.", "a.localhost", "127.1", "[::1]"])
def test_loopback_is_known_by_its_names(host: str) -> None:
    guard = NetworkGuard(Zone.PRIVATE)
    with pytest.raises(ForbiddenAddressError, match="loopback address, which a private site"):
        guard.check_url(f"http://{host}/")


@pytest.mark.parametrize("host", ["example.org", "1.2.3.4.example", "café.example", "", "a..b"])
def test_names_are_left_to_the_resolver(host: str) -> None:
    assert address_in_url(host) is None


@pytest.mark.parametrize("scheme", ["file", "ftp", "data", "concat", "gopher"])
def test_only_http(scheme: str) -> None:
    with pytest.raises(ForbiddenAddressError, match="only http"):
        NetworkGuard().check_url(f"{scheme}://example.org/x")


def test_the_first_connection_decides_and_the_way_out_stays_open() -> None:
    guard = NetworkGuard()
    guard.connected("192.168.1.1")
    guard.connected("8.8.8.8")  # outwards is fine
    assert guard.reach is Zone.PRIVATE
    with pytest.raises(ForbiddenAddressError):
        guard.connected("127.0.0.1")


@pytest.mark.parametrize(
    "location",
    [*(f"http://{host}/latest/" for host in METADATA_IN_DISGUISE), "file:///etc/passwd"],
)
def test_a_redirect_is_not_followed_there(server: LoopbackServer, location: str) -> None:
    url = server.url("a.mp4", "redirect", location=location)
    with pytest.raises(ClipError) as caught:
        resolve(url, OPTIONS, Pacer(), never)
    assert caught.value.reason is Reason.UNSUPPORTED
    assert server.stats().requests == 1


@pytest.mark.parametrize("location", ["http://169.254.169.254/x", "file:///etc/passwd"])
def test_a_redirect_is_not_followed_by_an_extraction_either(
    server: LoopbackServer, location: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from yt_dlp.extractor.generic import GenericIE

    monkeypatch.setattr(Downloader, "is_generic", lambda self, url: False)
    extracted: list[str] = []
    original = GenericIE._real_extract

    def extract(self: Any, url: str) -> Any:
        extracted.append(url)
        return original(self, url)

    monkeypatch.setattr(GenericIE, "_real_extract", extract)
    url = server.url("page.html", "redirect", location=location)
    with pytest.raises(ClipError) as caught:
        resolve(url, OPTIONS, Pacer(), never)
    assert caught.value.reason is Reason.UNSUPPORTED
    assert extracted == [url]  # it was yt-dlp that asked


@pytest.mark.parametrize("target", ["http://169.254.169.254/v.mp4", "http://2852039166/v.mp4"])
def test_a_media_link_in_a_page_is_not_followed_there(
    server: LoopbackServer, tmp_path: Path, target: str
) -> None:
    (tmp_path / "page.html").write_text(f'<html><video src="{target}"></video></html>')
    resolved = resolve(server.url("page.html"), OPTIONS, Pacer(), never)
    with pytest.raises(ClipError) as caught:
        open_bytes(resolved.video, OPTIONS, Pacer(), never)
    assert caught.value.reason is Reason.UNSUPPORTED
    with pytest.raises(ClipError) as caught:
        download_whole(resolved, tmp_path, OPTIONS, Pacer(), never)
    assert caught.value.reason is Reason.UNSUPPORTED


def test_a_page_that_leads_on_is_not_followed_there(server: LoopbackServer, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(
        '<html><meta http-equiv="refresh" content="0;url=http://169.254.169.254/1"></html>'
    )
    with pytest.raises(ClipError, match=r"169\.254\.169\.254") as caught:
        resolve(server.url("page.html"), OPTIONS, Pacer(), never)
    assert caught.value.reason is Reason.UNSUPPORTED


def test_a_playlists_segment_is_not_followed_there(server: LoopbackServer, tmp_path: Path) -> None:
    (tmp_path / "list.m3u8").write_text(
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nhttp://169.254.169.254/1.ts\n"
        "#EXT-X-ENDLIST\n"
    )
    resolved = resolve(server.url("list.m3u8"), OPTIONS, Pacer(), never)
    assert resolved.video.protocol == "m3u8_native"
    with pytest.raises(ClipError) as caught:
        download_whole(resolved, tmp_path, OPTIONS, Pacer(), never)
    assert caught.value.reason is Reason.UNSUPPORTED
    assert "169.254.169.254" in str(caught.value)


def test_what_a_public_site_named_may_not_be_here(server: LoopbackServer) -> None:
    file = SourceFile(server.url("a.mp4"), "https", "mp4", "0", reach=Zone.PUBLIC)
    with pytest.raises(ClipError, match="loopback address, which a public site"):
        open_bytes(file, OPTIONS, Pacer(), never)
    assert server.stats().requests == 0


@pytest.fixture
def inward(monkeypatch: pytest.MonkeyPatch) -> str:
    """A name that resolves to this machine, as an attacker's may."""
    ask = socket.getaddrinfo

    def resolve_inwards(host: str, *args: Any, **kwargs: Any) -> Any:
        return ask("127.0.0.1" if host == "inward.example" else host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolve_inwards)
    return "inward.example"


def test_a_name_is_checked_by_its_address(server: LoopbackServer, inward: str) -> None:
    url = server.url("a.mp4").replace("127.0.0.1", inward)
    file = SourceFile(url, "https", "mp4", "0", reach=Zone.PUBLIC)
    with pytest.raises(ClipError, match=r"127\.0\.0\.1 is a loopback address"):
        open_bytes(file, OPTIONS, Pacer(), never)
    assert server.stats().connections == 0


def test_an_open_connection_is_checked_before_it_is_used_again(
    server: LoopbackServer, inward: str
) -> None:
    url = server.url("a.mp4").replace("127.0.0.1", inward)
    downloader = Downloader(OPTIONS)
    HttpBytes(SourceFile(url, "https", "mp4", "0"), downloader, Pacer(), never)
    again = SourceFile(url, "https", "mp4", "0", reach=Zone.PUBLIC)
    with pytest.raises(ClipError, match=r"127\.0\.0\.1 is a loopback address"):
        HttpBytes(again, downloader, Pacer(), never)
    stats = server.stats()
    assert (stats.requests, stats.connections) == (1, 1)
    downloader.close()


def test_a_name_with_several_addresses_loses_those_that_are_too_private(
    server: LoopbackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = server.server_address[1]
    addresses = ("169.254.1.1", "10.0.0.1")
    infos = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", (ip, port)) for ip in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: infos)
    with pytest.raises(ForbiddenAddressError, match=r"10\.0\.0\.1 is a private address"):
        NetworkGuard(Zone.PUBLIC).connect(
            "two.example", port, timeout=1, source_address=None, socket_options=None
        )


def test_behind_a_proxy_addresses_in_urls_are_checked(server: LoopbackServer) -> None:
    options = SourceOptions(retries=0, proxy=server.address)
    reached = resolve("http://public.example/a.mp4", options, Pacer(), never)
    assert reached.video.reach is Zone.PUBLIC
    here = "http://127.0.0.1:9/a.mp4"
    server.misbehave("a.mp4", "redirect", location=here)
    with pytest.raises(ClipError, match="loopback address, which a public site"):
        resolve("http://public.example/a.mp4", options, Pacer(), never)


def test_an_intranet_video_is_read_through_a_proxy(server: LoopbackServer) -> None:
    options = SourceOptions(retries=0, proxy=server.address)
    resolved = resolve("http://10.0.0.5/a.mp4", options, Pacer(), never)
    assert resolved.video.reach is Zone.PRIVATE
    reader = open_bytes(resolved.video, options, Pacer(), never)
    assert reader.read(100_000, 100_010) == MEDIA[100_000:100_010]
