"""Where annotators' browsers get clips from, and what is said when they would not."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mimecurate.annotation.connection import Connection
from mimecurate.annotation.media_urls import MediaPlace, place_media
from mimecurate.errors import MimecurateError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from label_studio import LabelStudio

CLIP = {"path": "clips/ab/ab c_000001_000002.mp4", "bytes": 1000}
SERVER = "http://127.0.0.1:1"


class MediaServer(ThreadingHTTPServer):
    """Serves one clip of 1,000 bytes, as well or badly as told."""

    status, allowed, size = 206, "*", 1000
    asked: dict[str, str]


class Handler(BaseHTTPRequestHandler):
    server: MediaServer

    def do_GET(self) -> None:
        self.server.asked = {"path": self.path, **dict(self.headers)}
        self.send_response(self.server.status)
        if self.server.allowed:
            self.send_header("Access-Control-Allow-Origin", self.server.allowed)
        if self.server.status == 206:
            self.send_header("Content-Range", f"bytes 0-0/{self.server.size}")
        self.send_header("Content-Length", "1")
        self.end_headers()
        self.wfile.write(b"x")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def media() -> Iterator[MediaServer]:
    server = MediaServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def place(media_url: str, server: str = SERVER) -> MediaPlace:
    with Connection(server, "0" * 40) as connection:
        return place_media(connection, 1, Path("/x"), CLIP, media_url=media_url)


def url_of(server: MediaServer) -> str:
    return f"http://127.0.0.1:{server.server_port}/v1"


@pytest.mark.parametrize("allowed", ["*", SERVER])
def test_web_server_that_does_all(media: MediaServer, allowed: str) -> None:
    media.allowed = allowed
    found = place(url_of(media))
    assert found.warnings == ()
    assert found.url("clips/ab/x.mp4") == f"{url_of(media)}/ab/x.mp4"
    assert media.asked["path"] == "/v1/ab/ab%20c_000001_000002.mp4"
    assert (media.asked["Range"], media.asked["Origin"]) == ("bytes=0-0", SERVER)


def test_web_server_without_range_is_a_warning(media: MediaServer) -> None:
    media.status = 200
    (warning,) = place(url_of(media)).warnings
    assert "Range" in warning


@pytest.mark.parametrize(
    ("faults", "words"),
    [
        ({"allowed": ""}, "no Access-Control-Allow-Origin"),
        ({"allowed": "https://elsewhere.example.org"}, "Access-Control-Allow-Origin"),
        ({"status": 404}, "404; is the content of clips/ there"),
        ({"size": 999}, "another file: 999 bytes, not 1000"),
    ],
)
def test_web_server_that_does_not_do(
    media: MediaServer, faults: dict[str, object], words: str
) -> None:
    for name, value in faults.items():
        setattr(media, name, value)
    with pytest.raises(MimecurateError, match=words):
        place(url_of(media))


def test_web_server_out_of_reach_is_a_warning() -> None:
    (warning,) = place("http://127.0.0.1:1/v1").warnings
    assert "could not be reached from here" in warning


def test_plain_media_on_an_encrypted_page() -> None:
    with pytest.raises(MimecurateError, match="no http media on an https page"):
        place("http://127.0.0.1:1/v1", server="https://labels.example.org")


def test_bucket_that_the_server_can_not_read(
    label_studio: LabelStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with label_studio.connect() as connection:
        project = connection.post("/api/projects", {"title": "bucket"})["id"]
        with pytest.raises(MimecurateError, match="AWS_ACCESS_KEY_ID") as refused:
            place_media(connection, project, Path("/x"), CLIP, media_url="s3://clips/v1")
    assert "s3://clips/v1/" in str(refused.value)
    assert f"/projects/{project}/settings/storage" in str(refused.value)
