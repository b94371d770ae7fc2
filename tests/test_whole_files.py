from __future__ import annotations

import errno
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from yt_dlp.aes import aes_cbc_encrypt_bytes

from mimecurate.curation.byte_reader import RangesNotSupportedError
from mimecurate.curation.loopback import LoopbackServer
from mimecurate.curation.network_guard import Zone
from mimecurate.curation.pacing import Pacer
from mimecurate.curation.sources import (
    Resolved,
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

OPTIONS = SourceOptions(retries=2, backoff_s=0.01, backoff_max_s=0.02, timeout_s=5)
MEDIA = b"\x00\x00\x00\x20ftypisom" + bytes(range(256)) * 600
SEGMENT = (b"G" + bytes(187)) * 500


def never() -> None:
    """Nobody stops the run."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LoopbackServer]:
    root = tmp_path / "served"
    root.mkdir()
    (root / "a.mp4").write_bytes(MEDIA)
    for number in range(4):
        (root / f"{number}.ts").write_bytes(SEGMENT + bytes([number]))
    write_playlist(root)
    (root / "manifest.mpd").write_text(MANIFEST)
    for number, data in enumerate((b"init", b"one", b"two", b"three")):
        (root / f"dash-{number}.m4s").write_bytes(data)
    with LoopbackServer(root) as running:
        yield running


def write_playlist(root: Path, head: str = "", end: str = "#EXT-X-ENDLIST\n") -> None:
    segments = "".join(f"#EXTINF:2.0,\n{number}.ts\n" for number in range(4))
    (root / "list.m3u8").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n{head}{segments}{end}")


MANIFEST = """<?xml version="1.0"?>
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT6S">
 <Period><AdaptationSet mimeType="video/mp4" contentType="video">
  <Representation id="v" codecs="avc1.64001f" width="640" height="360" bandwidth="100000">
   <SegmentList duration="2"><Initialization sourceURL="dash-0.m4s"/>
    <SegmentURL media="dash-1.m4s"/><SegmentURL media="dash-2.m4s"/>
    <SegmentURL media="dash-3.m4s"/></SegmentList>
  </Representation></AdaptationSet></Period></MPD>
"""


def fetch(
    url: str, folder: Path, options: SourceOptions = OPTIONS, **more: Any
) -> tuple[Path, ...]:
    pacer, check_stopped = more.get("pacer", Pacer()), more.get("check_stopped", never)
    resolved = resolve(url, options, pacer, check_stopped)
    return download_whole(resolved, folder, options, pacer, check_stopped)


def test_a_file_without_ranges(server: LoopbackServer, tmp_path: Path) -> None:
    resolved = resolve(server.url("a.mp4", "no_range"), OPTIONS, Pacer(), never)
    with pytest.raises(RangesNotSupportedError):
        open_bytes(resolved.video, OPTIONS, Pacer(), never)
    assert server.stats().requests == 1  # it is known since the link was resolved
    (path,) = download_whole(resolved, tmp_path, OPTIONS, Pacer(), never)
    assert path == tmp_path / "video.mp4"
    assert path.read_bytes() == MEDIA


def test_hls(server: LoopbackServer, tmp_path: Path) -> None:
    resolved = resolve(server.url("list.m3u8"), OPTIONS, Pacer(), never)
    assert resolved.video.protocol == "m3u8_native"
    with pytest.raises(RangesNotSupportedError):
        open_bytes(resolved.video, OPTIONS, Pacer(), never)
    (path,) = download_whole(resolved, tmp_path, OPTIONS, Pacer(), never)
    assert path.read_bytes() == b"".join(SEGMENT + bytes([n]) for n in range(4))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["served", "video.mp4"]


def test_dash_segments(server: LoopbackServer, tmp_path: Path) -> None:
    resolved = resolve(server.url("manifest.mpd"), OPTIONS, Pacer(), never)
    assert resolved.video.protocol == "http_dash_segments"
    (path,) = download_whole(resolved, tmp_path, OPTIONS, Pacer(), never)
    assert path.read_bytes() == b"initonetwothree"


def test_hls_with_ranges_and_keys_after_a_redirect(server: LoopbackServer, tmp_path: Path) -> None:
    key, text = bytes(range(16)), b"secret of the mime" * 50
    (server.root / "deep").mkdir()
    (server.root / "deep" / "key").write_bytes(key)
    (server.root / "deep" / "5.ts").write_bytes(
        aes_cbc_encrypt_bytes(text, key, (5).to_bytes(16, "big"))
    )
    (server.root / "deep" / "list.m3u8").write_text(
        "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:3\n#EXTINF:2,\n#EXT-X-BYTERANGE:7@10\n../a.mp4\n"
        '#EXTINF:2,\n#EXT-X-BYTERANGE:5\n../a.mp4\n#EXT-X-KEY:METHOD=AES-128,URI="key"\n'
        "#EXTINF:2,\n5.ts\n#EXT-X-ENDLIST\n"
    )
    moved = server.url("moved.m3u8", "redirect", location=server.url("deep/list.m3u8"))
    file = SourceFile(moved, "m3u8_native", "mp4", "0", reach=Zone.LOOPBACK)
    resolved = Resolved(moved, "generic", file)
    (path,) = download_whole(resolved, tmp_path, OPTIONS, Pacer(), never)
    assert path.read_bytes() == MEDIA[10:22] + text
    (server.root / "deep" / "key").write_bytes(b"short")
    with pytest.raises(ClipError, match="can't be decrypted"):
        download_whole(resolved, tmp_path, OPTIONS, Pacer(), never)


@pytest.mark.parametrize("fault", ["reset", "truncate", "503"])
def test_what_passes_is_asked_again(server: LoopbackServer, tmp_path: Path, fault: str) -> None:
    server.misbehave("a.mp4", "no_range")
    server.misbehave("a.mp4", fault, skip=1, times=2)
    (path,) = fetch(server.url("a.mp4"), tmp_path)
    assert path.read_bytes() == MEDIA
    server.misbehave("2.ts", fault, times=2)
    (path,) = fetch(server.url("list.m3u8"), tmp_path)
    assert path.read_bytes() == b"".join(SEGMENT + bytes([n]) for n in range(4))


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("404", Reason.UNAVAILABLE), ("403", Reason.LOGIN_REQUIRED), ("500", Reason.NETWORK)],
)
def test_a_segment_that_is_missing_is_not_skipped(
    server: LoopbackServer, tmp_path: Path, fault: str, reason: Reason
) -> None:
    server.misbehave("2.ts", fault)
    with pytest.raises(ClipError) as caught:
        fetch(server.url("list.m3u8"), tmp_path, replace(OPTIONS, retries=0))
    assert caught.value.reason is reason
    assert list(tmp_path.glob("video*")) == []


@pytest.mark.parametrize(
    ("head", "end", "reason"),
    [
        ('#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://1"\n', "#EXT-X-ENDLIST\n", Reason.UNSUPPORTED),
        ('#EXT-X-KEY:METHOD=SAMPLE-AES,URI="key"\n', "#EXT-X-ENDLIST\n", Reason.UNSUPPORTED),
        ("", "", Reason.LIVE),
    ],
    ids=["DRM", "encrypted", "live"],
)
def test_what_yt_dlp_would_leave_to_the_ffmpeg_program(
    server: LoopbackServer, tmp_path: Path, head: str, end: str, reason: Reason
) -> None:
    trap = tmp_path / "bin"
    trap.mkdir()
    write_playlist(server.root, head, end)
    with pytest.MonkeyPatch.context() as patch:
        ran = tmp_path / "ran"
        (trap / "ffmpeg").write_text(f"#!/bin/sh\ntouch {ran}\n")
        (trap / "ffmpeg").chmod(0o755)
        patch.setenv("PATH", str(trap), prepend=":")
        with pytest.raises(ClipError) as caught:
            fetch(server.url("list.m3u8"), tmp_path)
    assert caught.value.reason is reason
    assert not ran.exists()


def test_a_file_without_end(server: LoopbackServer, tmp_path: Path) -> None:
    options = replace(OPTIONS, max_bytes=100_000)
    for url in (server.url("a.mp4", "no_range"), server.url("list.m3u8")):
        with pytest.raises(ClipError, match="over 100,000 bytes") as caught:
            fetch(url, tmp_path, options=options)
        assert caught.value.reason is Reason.UNSUPPORTED
        assert list(tmp_path.glob("video*")) == []


def test_a_full_disk(
    server: LoopbackServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(SourceOptions, "check_size", no_room)
    for url in (server.url("a.mp4", "no_range"), server.url("list.m3u8")):
        with pytest.raises(ClipError) as caught:
            fetch(url, tmp_path)
        assert caught.value.reason is Reason.DISK_FULL


class Stopped(Exception):
    pass


@pytest.mark.parametrize("name", ["a.mp4", "list.m3u8"])
def test_a_stop_ends_it_and_leaves_nothing(
    server: LoopbackServer, tmp_path: Path, name: str
) -> None:
    stop = threading.Event()

    def check() -> None:
        if stop.is_set():
            raise Stopped

    server.misbehave("a.mp4", "no_range")
    resolved = resolve(server.url(name), OPTIONS, Pacer(), never)
    for slow in ("a.mp4", "2.ts"):
        server.misbehave(slow, "slow", rate=40_000)
    threading.Timer(0.3, stop.set).start()
    began = time.monotonic()
    with pytest.raises(Stopped):
        download_whole(resolved, tmp_path, OPTIONS, Pacer(), check)
    assert time.monotonic() - began < 2
    assert list(tmp_path.glob("video.*")) == []


def test_the_ending_is_not_the_servers_to_choose(server: LoopbackServer, tmp_path: Path) -> None:
    resolved = resolve(server.url("a.mp4", "no_range"), OPTIONS, Pacer(), never)
    odd = replace(resolved, video=replace(resolved.video, ext="../../sh"))
    (path,) = download_whole(odd, tmp_path, OPTIONS, Pacer(), never)
    assert path == tmp_path / "video.media"
