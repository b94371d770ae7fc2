"""A server on 127.0.0.1 in the documented shape of the YouTube Data API v3, with made-up videos.

For tests, benchmarks and the demo: ``search.list`` with pages, ``videos.list``, a key, a quota, and
errors as the API words them, and what a network puts in its place. It finds the same videos for a
query each time. By hand::

    python -m mimecurate.curation.loopback_youtube --port 8000
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import random
import threading
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qsl, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

KEY = "loopback-key-0123456789"
HOSTILE_TITLES = (
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "mime \u202egpj.exe\u2069 \u200f",
    '=HYPERLINK("http://evil.example","x")',
    "x" * 10_000,
    "nul\x00 bell\x07 escape\x1b[31m red\nnew line",
    "[bold]markup[/bold] {{template}} ${x} %s",
    "\ud800 lone surrogate",
)


@dataclass(slots=True)
class Asked:
    """One request."""

    method: str
    parameters: dict[str, str]


@dataclass(slots=True)
class Catalogue:
    """The made-up videos: which a query finds, and what they are called."""

    videos: int = 5_000
    """How many there are in all."""
    per_query: int = 120
    """How many a query finds."""
    gone: set[str] = field(default_factory=set)
    hostile_every: int = 10
    """Every so many videos has a title that tries something."""

    def video_id(self, number: int) -> str:
        """Name a video."""
        digest = hashlib.sha256(str(number).encode()).digest()
        return base64.urlsafe_b64encode(digest)[:11].decode()

    def find(self, text: str) -> list[int]:
        """List the videos that a query finds, best first."""
        draw = random.Random(hashlib.sha256(text.encode()).digest())
        return draw.sample(range(self.videos), min(self.per_query, self.videos))

    def title(self, number: int) -> str:
        """Say what a video is called."""
        if number % self.hostile_every == 0:
            return HOSTILE_TITLES[number // self.hostile_every % len(HOSTILE_TITLES)]
        return f"Mime {number}: l'été & \u00abinvisible\u00bb"


class LoopbackYouTube(ThreadingHTTPServer):
    """Serves while it is entered; ``url`` is what to give as the API's address."""

    daemon_threads = True

    def __init__(
        self,
        port: int = 0,
        *,
        key: str = KEY,
        quota: int | None = None,
        catalogue: Catalogue | None = None,
    ) -> None:
        """Take a port, any free one if 0.

        Args:
            port: of 127.0.0.1.
            key: the only one that is taken.
            quota: searches before ``quotaExceeded``; None: no end.
            catalogue: the videos.
        """
        self.key = key
        self.quota = quota
        self.catalogue = catalogue or Catalogue()
        self.asked: list[Asked] = []
        self.faults: list[tuple[int, str]] = []
        """Statuses and reasons of the next answers, first one first; a reason that begins with
        ``<`` is a page of HTML, and with a status of 3xx where the answer sends us."""
        self.expired: set[str] = set()
        """Page tokens that are no longer taken."""
        self.on_request: Callable[[Asked], None] = lambda asked: None
        self._lock = threading.Lock()
        super().__init__(("127.0.0.1", port), _Handler)

    @property
    def url(self) -> str:
        """``http://127.0.0.1:PORT/youtube/v3``."""
        return f"http://127.0.0.1:{self.server_address[1]}/youtube/v3"

    def __enter__(self) -> Self:
        """Start serving."""
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop serving."""
        self.shutdown()
        self.server_close()

    def count(self, method: str) -> int:
        """Count the requests to ``search`` or ``videos``."""
        with self._lock:
            return Counter(asked.method for asked in self.asked)[method]

    def answer(self, asked: Asked, key: str | None) -> tuple[int, dict[str, Any] | str]:
        """Answer a request; the handler calls it."""
        with self._lock:
            self.asked.append(asked)
            searches = sum(a.method == "search" for a in self.asked)
            fault = self.faults.pop(0) if self.faults else None
        self.on_request(asked)
        if fault is not None:
            is_page = fault[0] // 100 == 3 or fault[1].startswith("<")
            return fault[0], fault[1] if is_page else _error(*fault)
        if key != self.key:
            return 400, _error(400, "badRequest", "API key not valid. Please pass a valid API key.")
        if asked.parameters.get("pageToken") in self.expired:
            words = "The request specifies an invalid page token."
            return 400, _error(400, "invalidPageToken", words)
        if asked.method == "search":
            if self.quota is not None and searches > self.quota:
                words = 'exceeded your <a href="/youtube/v3/getting-started#quota">quota</a>.'
                return 403, _error(403, "quotaExceeded", words)
            return 200, self._search(asked.parameters)
        if asked.method == "videos":
            return 200, self._videos(asked.parameters)
        return 404, _error(404, "notFound")

    def _search(self, parameters: dict[str, str]) -> dict[str, Any]:
        numbers = self.catalogue.find(parameters.get("q", ""))
        size = int(parameters.get("maxResults", "5"))
        start = int(base64.b64decode(parameters.get("pageToken", "")).decode() or 0)
        some = numbers[start : start + size]
        items = [
            {
                "kind": "youtube#searchResult",
                "id": {"kind": "youtube#video", "videoId": self.catalogue.video_id(n)},
                "snippet": self._snippet(n, escape=True),
            }
            for n in some
        ]
        answer: dict[str, Any] = {
            "kind": "youtube#searchListResponse",
            "regionCode": "FR",
            "pageInfo": {"totalResults": len(numbers), "resultsPerPage": len(some)},
            "items": items,
        }
        if start + size < len(numbers):
            answer["nextPageToken"] = base64.b64encode(str(start + size).encode()).decode()
        return answer

    def _videos(self, parameters: dict[str, str]) -> dict[str, Any]:
        wanted = parameters.get("id", "").split(",")
        numbers = {self.catalogue.video_id(n): n for n in range(self.catalogue.videos)}
        there = [v for v in wanted if v in numbers and v not in self.catalogue.gone]
        items = [
            {
                "kind": "youtube#video",
                "id": v,
                "snippet": self._snippet(numbers[v], escape=False),
                "contentDetails": {"duration": f"PT{numbers[v] % 9 + 1}M{numbers[v] % 60}S"},
            }
            for v in there
        ]
        return {"kind": "youtube#videoListResponse", "items": items}

    def _snippet(self, number: int, *, escape: bool) -> dict[str, Any]:
        title = self.catalogue.title(number)
        if escape:  # search.list does, videos.list doesn't
            title = title.replace("&", "&amp;").replace("'", "&#39;").replace('"', "&quot;")
        return {
            "publishedAt": "2020-02-03T04:05:06Z",
            "channelId": "UCloopback",
            "title": title,
            "description": "",
            "channelTitle": f"channel {number % 97}",
        }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: LoopbackYouTube

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        parameters = dict(parse_qsl(parts.query))
        key = self.headers.get("X-Goog-Api-Key") or parameters.pop("key", None)
        asked = Asked(parts.path.rpartition("/")[2], parameters)
        status, document = self.server.answer(asked, key)
        is_page = isinstance(document, str)
        body = str(document).encode() if is_page else json.dumps(document).encode()
        self.send_response(status)
        if is_page and status // 100 == 3:
            self.send_header("Location", str(document))
        kind = "text/html" if is_page else "application/json"
        self.send_header("Content-Type", f"{kind}; charset=UTF-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet; the server keeps records."""


def _error(status: int, reason: str, words: str = "") -> dict[str, Any]:
    return {
        "error": {
            "code": status,
            "message": words or f"made-up error: {reason}",
            "errors": [{"message": words or reason, "domain": "youtube", "reason": reason}],
        }
    }


def main(arguments: list[str] | None = None) -> None:
    """Serve by hand until Ctrl-C; the address and the key are printed first."""
    parser = argparse.ArgumentParser(prog="python -m mimecurate.curation.loopback_youtube")
    parser.add_argument("--port", type=int, default=0, help="any free one by default")
    server = LoopbackYouTube(parser.parse_args(arguments).port)
    print(server.url, server.key, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
