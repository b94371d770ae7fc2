"""yt-dlp with our manners: every request paced, guarded, bounded in time, and stoppable.

One `Downloader` belongs to one thread and is used again for all its videos: making one costs more
than an extraction. All that it does for a video happens inside `Downloader.working`.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import urllib3.exceptions
import yt_dlp
from requests.exceptions import InvalidSchema
from yt_dlp.globals import plugin_dirs
from yt_dlp.networking._requests import RequestsHTTPAdapter, RequestsResponseAdapter, RequestsRH
from yt_dlp.networking.common import Request, Response
from yt_dlp.networking.exceptions import HTTPError, RequestError, TransportError
from yt_dlp.utils.networking import select_proxy

from mimecurate.curation.network_guard import (
    ForbiddenAddressError,
    NetworkGuard,
    Zone,
    guarded_pools,
)
from mimecurate.curation.source_formats import format_selector
from mimecurate.errors import ClipError, Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mimecurate.curation.pacing import Pacer
    from mimecurate.curation.source_types import SourceOptions

logger = logging.getLogger(__name__)

CHUNK_BYTES = 64 * 1024
MAX_PAGE_BYTES = 64 << 20
"""Of a page or a manifest that is read whole into memory."""
MAX_HOPS = 8
"""From page to page until there must be a video."""

_NOT_YET = frozenset({"is_live", "is_upcoming", "post_live"})

plugin_dirs.value = []  # yt-dlp would run any yt_dlp_plugins it finds on sys.path or in $HOME


@dataclass(slots=True)
class Work:
    """What a `Downloader` is busy with."""

    pacer: Pacer
    check_stopped: Callable[[], None]
    metadata: bool
    options: SourceOptions
    hops: int = 0
    bytes_read: int = 0
    ready: Response | None = None
    """A page that was fetched already, for the extractor that is about to ask for it."""
    responses: list[Response] = field(default_factory=list)
    """All of them, so that none stays open however the work ends."""


@dataclass(slots=True)
class _Messages:
    """Keeps yt-dlp's last warnings; all else goes to the log."""

    warnings: deque[str] = field(default_factory=lambda: deque(maxlen=8))

    def debug(self, message: str) -> None:
        logger.debug("%s", message)

    def warning(self, message: str) -> None:
        logger.debug("%s", message)
        self.warnings.append(message)

    def error(self, message: str) -> None:
        logger.debug("%s", message)


class WatchedResponse(RequestsResponseAdapter):  # type: ignore[misc]
    """A response that is read with an eye on the clock, the rate and the wish to stop."""

    def __init__(self, inner: RequestsResponseAdapter, work: Work) -> None:
        """Take over ``inner``."""
        super().__init__(inner._requests_response)
        self._inner = inner  # it closes the connection when it is collected
        self._work = work
        self._unread = b""
        self._failure: Exception | None = None
        self._window_s = 0.0
        self._window_bytes = 0

    def read_some(self, limit: int) -> bytes:
        """Return what is there, at least a byte and at most ``limit``; nothing at the end.

        Raises:
            TransportError: the connection broke or stalled.
        """
        self._work.check_stopped()
        if self._unread:
            data, self._unread = self._unread[:limit], self._unread[limit:]
            return data
        started_s = time.monotonic()
        try:
            data = bytes(self.fp.read1(limit, decode_content=True) or b"")
        except urllib3.exceptions.HTTPError as error:
            raise TransportError(cause=error) from error
        self._watch(time.monotonic() - started_s, len(data))
        self._work.bytes_read += len(data)
        self._work.pacer.throttle(len(data), self._work.check_stopped)
        return data

    def unread(self, data: bytes) -> None:
        """Put back bytes, to be read again."""
        self._unread = data + self._unread

    def _watch(self, seconds: float, num_bytes: int) -> None:
        """Only time spent on waiting for the server counts."""
        self._window_s += seconds
        self._window_bytes += num_bytes
        options = self._work.options
        if self._window_s < options.timeout_s:
            return
        if self._window_bytes < options.min_rate * options.timeout_s:
            self.close()
            reason = f"stalled: {self._window_bytes} bytes in {self._window_s:.0f} s"
            raise TransportError(cause=TimeoutError(reason))
        self._window_s, self._window_bytes = 0.0, 0

    def _real_read(self, amt: int | None = None) -> bytes:
        """Read all, or ``amt`` bytes; what came before a failure is returned first."""
        if self._failure is not None:
            raise self._failure
        parts: list[bytes] = []
        have = 0
        while amt is None or have < amt:
            try:
                part = self.read_some(CHUNK_BYTES if amt is None else min(CHUNK_BYTES, amt - have))
            except Exception as error:
                if amt is None or not parts:
                    raise
                self._failure = error
                break
            if not part:
                break
            parts.append(part)
            have += len(part)
            if amt is None and have > MAX_PAGE_BYTES:
                raise RequestError(f"more than {MAX_PAGE_BYTES >> 20} MiB where a page should be")
        return b"".join(parts)


class _GuardedAdapter(RequestsHTTPAdapter):  # type: ignore[misc]
    def __init__(self, guard: NetworkGuard, **kwargs: Any) -> None:
        self._guard = guard
        super().__init__(**kwargs)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = guarded_pools(self._guard)

    def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        """Send a request or one hop of a redirect."""
        proxied = select_proxy(request.url, kwargs.get("proxies") or {}) is not None
        self._guard.check_url(request.url, proxied=proxied)
        response = super().send(request, *args, **kwargs)
        if response.is_redirect:  # requests would read its body, however long
            response.raw.close()
            response._content = b""
            response._content_consumed = True
        return response


class GuardedRH(RequestsRH):  # type: ignore[misc]
    """yt-dlp's handler over ``requests``: keep-alive, cookies, proxies; behind the guard."""

    def __init__(self, *args: Any, guard: NetworkGuard, **kwargs: Any) -> None:
        """Make a handler that asks ``guard``."""
        self._guard = guard
        urllib3_logger = logging.getLogger("urllib3")
        before = list(urllib3_logger.handlers)
        super().__init__(*args, **kwargs)
        for handler in set(urllib3_logger.handlers) - set(before):
            urllib3_logger.removeHandler(handler)  # it would keep the downloader alive for good

    def _create_instance(self, **kwargs: Any) -> Any:
        session = super()._create_instance(**kwargs)
        plain = session.get_adapter("https://")
        adapter = _GuardedAdapter(
            self._guard,
            ssl_context=plain._pm_args.get("ssl_context"),
            source_address=self.source_address,
            max_retries=plain.max_retries,
        )
        session.mount("https://", adapter)
        session.mount("http://", adapter)
        return session

    def _send(self, request: Request) -> Response:
        try:
            return super()._send(request)
        except ForbiddenAddressError as error:
            raise RequestError(str(error), cause=error) from error
        except RequestError as error:
            if isinstance(error.cause, InvalidSchema):
                refused = ForbiddenAddressError("a redirect leads to another scheme than http(s)")
                raise RequestError(f"{refused}: {error}", cause=refused) from error
            raise


class Downloader(yt_dlp.YoutubeDL):  # type: ignore[misc]
    """yt-dlp, for one thread. It finds exactly one video behind a link, or says why not."""

    def __init__(self, options: SourceOptions) -> None:
        """Set yt-dlp up; no request is made."""
        self.options = options
        self.messages = _Messages()
        self.guard = NetworkGuard()
        self._work: Work | None = None
        super().__init__(_parameters(options, self.messages), auto_init=True)

    @contextlib.contextmanager
    def working(
        self,
        pacer: Pacer,
        check_stopped: Callable[[], None],
        *,
        metadata: bool,
        reach: Zone | None = None,
    ) -> Iterator[Work]:
        """Do one piece of work: all requests until the end are paced, guarded and counted.

        Args:
            pacer: the run's.
            check_stopped: raises when the run is to end.
            metadata: whether these are metadata requests, which keep the pacer's interval.
            reach: the most private network allowed; None: what the first connection goes to.
        """
        before = (self._work, self.guard.reach)
        self._work = Work(pacer, check_stopped, metadata, self.options)
        self.guard.reach = reach
        self.messages.warnings.clear()
        try:
            yield self._work
        finally:
            for response in self._work.responses:
                response.close()
            self._work, self.guard.reach = before

    def urlopen(self, req: Request | str) -> Response:
        """Send a request when its turn has come; yt-dlp sends all of its own through here."""
        work = self._work
        if work is None:
            raise RuntimeError("a request outside of Downloader.working")
        if isinstance(req, str):
            req = Request(req)
        if work.ready is not None and (req.method, req.url) == ("GET", work.ready.url):
            page, work.ready = work.ready, None
            return page
        host = urlsplit(req.url).hostname or ""
        work.pacer.wait_turn(host, work.check_stopped, metadata=work.metadata)
        try:
            response = WatchedResponse(super().urlopen(req), work)
        except HTTPError as error:
            error.response = WatchedResponse(error.response, work)
            work.responses.append(error.response)
            raise
        work.responses.append(response)
        work.pacer.succeeded(host)
        return response

    def build_request_director(self, handlers: Any, preferences: Any = None) -> Any:
        """Offer the guarded handler alone, whatever else is installed."""

        def make_handler(**kwargs: Any) -> GuardedRH:
            return GuardedRH(guard=self.guard, **kwargs)

        return super().build_request_director([make_handler], preferences)

    def process_ie_result(
        self, ie_result: dict[str, Any], download: bool = True, extra_info: Any = None
    ) -> Any:
        """Go on with what an extractor found, if it is one video or leads to one."""
        kind = ie_result.get("_type", "video")
        if kind not in {"video", "url", "url_transparent"}:
            raise ClipError(Reason.UNSUPPORTED, f"the link is a {kind}, not one video")
        if ie_result.get("is_live") or ie_result.get("live_status") in _NOT_YET:
            raise ClipError(Reason.LIVE, "the video is live or has not begun")
        if kind != "video":
            assert self._work is not None
            self._work.hops += 1
            if self._work.hops > MAX_HOPS:
                raise ClipError(Reason.UNSUPPORTED, f"no video after {MAX_HOPS} pages")
            scheme = urlsplit(str(ie_result.get("url"))).scheme.lower()
            if scheme not in {"http", "https"}:
                raise ClipError(Reason.UNSUPPORTED, f"the page leads to a {scheme or 'bare'}: link")
        return super().process_ie_result(ie_result, download, extra_info)

    def save_cookies(self) -> None:
        """Leave the cookies file as it is: it is the user's, and other threads read it."""

    def is_generic(self, url: str) -> bool:
        """Whether no extractor knows the site, so that the link may be the media itself."""
        known = next((key for key, ie in self._ies.items() if ie.suitable(url)), None)
        return known == "Generic"

    def load_cookies_text(self, cookies: str) -> None:
        """Take cookies that another thread's downloader was given for a media link."""
        if cookies:
            self._load_cookies(cookies, autoscope=False)


def _parameters(options: SourceOptions, messages: _Messages) -> dict[str, Any]:
    extractor_args = {
        site: {
            name: values.split(",") if isinstance(values, str) else list(values)
            for name, values in arguments.items()
        }
        for site, arguments in options.yt_dlp_options.get("extractor_args", {}).items()
    }
    if options.player_client:
        clients = [name.strip() for name in options.player_client.split(",")]
        extractor_args.setdefault("youtube", {})["player_client"] = clients
    return {
        "format": format_selector(options.max_height),
        "geo_bypass": False,
        "extractor_retries": 0,  # there is one policy for asking again: ours
        **options.yt_dlp_options,
        "extractor_args": extractor_args,
        "quiet": True,
        "color": "never",
        "logger": messages,
        "noprogress": True,
        "noplaylist": True,
        "cachedir": str(options.cache_dir) if options.cache_dir else False,
        "cookiefile": str(options.cookies) if options.cookies else None,
        "proxy": options.proxy,
        "socket_timeout": options.timeout_s,
        "js_runtimes": {"deno": {"path": _deno()}},
        "remote_components": [],
        "external_downloader": {"default": "native"},
        "enable_file_urls": False,
        "twofactor": "",  # or else it asks on the terminal
    }


def _deno() -> str | None:
    """Path of the JavaScript engine that came with yt-dlp, which YouTube needs; None: look."""
    try:
        from deno import find_deno_bin  # type: ignore[import-untyped]
    except ImportError:
        return None
    return str(find_deno_bin())


_of_thread = threading.local()
_making = threading.Lock()
"""Making one is not thread-safe: Python's `sysconfig`, which finds deno, isn't at first use."""


def downloader_for(options: SourceOptions) -> Downloader:
    """Return this thread's downloader, a new one if the options have changed."""
    current: Downloader | None = getattr(_of_thread, "downloader", None)
    if current is None or current.options != options:
        if current is not None:
            current.close()
        with _making:
            _of_thread.downloader = current = Downloader(options)
    current.options = options  # equal, but for what doesn't matter to yt-dlp
    return current
