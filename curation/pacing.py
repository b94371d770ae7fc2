"""One pacer for a whole run: spaces requests, keeps pauses that sites ask for, shares the rate.

Every thread asks it before every request, so a site that says "slow down" to one of them is left
alone by all. Sites are told apart by host; YouTube's many hosts are one site.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from mimecurate.errors import ClipError, Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

YOUTUBE_INTERVAL_S = 0.75
"""Between metadata requests to YouTube where nothing else is said; yt-dlp's ``-t sleep`` value."""
CONNECTIONS_PER_SITE = 4
FIRST_PAUSE_S = 60.0
"""Where nobody says how long: YouTube, when it asks to slow down; doubled each time in a row."""
LONGEST_PAUSE_S = 3600.0
"""A longer one is not sat out, if nothing else is said: the site's videos fail as rate limited,
without being asked."""

_STEP_S = 0.2
_YOUTUBE_DOMAINS = ("youtube.com", "youtu.be", "youtube-nocookie.com", "googlevideo.com")


def site_of(host: str) -> str:
    """Name the site that a host belongs to.

    >>> site_of("rr3---sn-x.googlevideo.com"), site_of("www.Example.org.")
    ('youtube.com', 'example.org')
    """
    host = host.lower().rstrip(".")
    if any(host == domain or host.endswith("." + domain) for domain in _YOUTUBE_DOMAINS):
        return "youtube.com"
    return host.removeprefix("www.")


class SitePausedError(ClipError):
    """A site is left alone for a while; its videos may be asked for later in the run."""

    def __init__(self, site: str, pause_s: float, failures: int = 0) -> None:
        """Keep the site, how long from now, and how often it has refused this video till now."""
        message = f"{site} asks to be left alone for another {pause_s:.0f} s"
        super().__init__(Reason.RATE_LIMITED, message, retry_after_s=pause_s)
        self.site = site
        self.pause_s = pause_s
        self.failures = failures
        self.bytes_downloaded = 0
        """In vain: they will be asked for again."""

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle with all fields."""
        made_of = (self.site, self.pause_s, self.failures)
        return (SitePausedError, made_of, {"bytes_downloaded": self.bytes_downloaded})


class PauseTooLongError(ClipError):
    """A site is left alone for longer than anybody waits."""

    def __init__(self, site: str, pause_s: float) -> None:
        """Keep the site, and how long from now."""
        message = f"{site} asks to be left alone for another {pause_s:.0f} s"
        super().__init__(Reason.RATE_LIMITED, message, retry_after_s=pause_s)
        self.site = site
        self.pause_s = pause_s

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle with all fields."""
        return (PauseTooLongError, (self.site, self.pause_s))


class Pacer:
    """Decides when the next request may go out. Safe to use from many threads.

    Pickling gives a fresh one with the same settings, without ``on_pause``: what a cluster's worker
    gets. Make that from `scaled`, for the settings are for all workers together.
    """

    def __init__(
        self,
        min_interval_s: float | None = None,
        *,
        max_per_site: int = CONNECTIONS_PER_SITE,
        limit_rate: float | None = None,
        on_pause: Callable[[str, float], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Set the pace.

        Args:
            min_interval_s: seconds between two metadata requests to one site, up to half as much
                again at random. None: 0.75 for YouTube, 0 for others.
            max_per_site: connections to one site at a time.
            limit_rate: bytes a second for all downloads together; None is unlimited.
            on_pause: called with site and seconds whenever a site is to be left alone for longer
                than it was until then, from the thread that was told so.
            clock: seconds, monotonic.
            sleep: waits for seconds.

        Raises:
            ValueError: a number out of range.
        """
        if min_interval_s is not None and min_interval_s < 0:
            raise ValueError(f"min_interval_s {min_interval_s} must not be negative")
        if max_per_site < 1:
            raise ValueError(f"max_per_site {max_per_site} must be at least 1")
        if limit_rate is not None and limit_rate <= 0:
            raise ValueError(f"limit_rate {limit_rate} must be positive")
        self.min_interval_s = min_interval_s
        self.max_per_site = max_per_site
        self.limit_rate = limit_rate
        self.longest_pause_s = LONGEST_PAUSE_S
        """A longer one is not waited for at all."""
        self.sit_out_s = float("inf")
        """A longer pause is not sat out in the thread that meets it: it raises."""
        self._interval_factor = 1.0
        self._on_pause = on_pause
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._next_turn: dict[str, float] = {}
        self._paused_until: dict[str, float] = {}
        self._pauses_in_a_row: Counter[str] = Counter()
        self._connections: Counter[str] = Counter()
        self._paid_until = 0.0

    def wait_turn(
        self, host: str, check_stopped: Callable[[], None], *, metadata: bool = True
    ) -> None:
        """Wait until a request to ``host`` may go out.

        Args:
            host: as in the URL.
            check_stopped: called several times a second; raises to give up.
            metadata: whether the interval is kept too; ranges of media only keep pauses.

        Raises:
            SitePausedError: the site is left alone for longer than `sit_out_s`.
            PauseTooLongError: for longer than `longest_pause_s`.
        """
        site = site_of(host)
        turn = self._take_turn(site) if metadata else self._clock()
        self._sleep_until(turn, check_stopped)
        while True:
            self.check_pause(host)
            left_s = self.pause_left_s(host)
            if left_s == 0:
                return
            # not all at once when it is over
            jitter_s = random.uniform(0, 0.05 * left_s)
            self._sleep_until(self._clock() + left_s + jitter_s, check_stopped)

    def check_pause(self, host: str, failures: int = 0) -> None:
        """Raise if a site's pause is too long to sit out.

        Args:
            host: as in the URL.
            failures: how often the site has refused the video in question.

        Raises:
            SitePausedError: it is left alone for longer than `sit_out_s`.
            PauseTooLongError: for longer than `longest_pause_s`.
        """
        left_s = self.pause_left_s(host)
        if left_s > self.longest_pause_s:
            raise PauseTooLongError(site_of(host), left_s)
        if left_s > self.sit_out_s:
            raise SitePausedError(site_of(host), left_s, failures)

    def _take_turn(self, site: str) -> float:
        interval_s = self.min_interval_s
        if interval_s is None:
            interval_s = YOUTUBE_INTERVAL_S if site == "youtube.com" else 0.0
        interval_s *= self._interval_factor
        now = self._clock()
        if interval_s == 0:
            return now
        with self._lock:
            turn = max(now, self._next_turn.get(site, now))
            self._next_turn[site] = turn + interval_s * random.uniform(1.0, 1.5)
        return turn

    @contextlib.contextmanager
    def connection(self, host: str, check_stopped: Callable[[], None]) -> Iterator[None]:
        """Hold one of the connections that a site is granted, waiting for one if need be."""
        site = site_of(host)
        while True:
            with self._lock:
                if self._connections[site] < self.max_per_site:
                    self._connections[site] += 1
                    break
            check_stopped()
            self._sleep(_STEP_S / 10)
        try:
            yield
        finally:
            with self._lock:
                self._connections[site] -= 1

    def pause(self, host: str, seconds: float | None = None) -> None:
        """Leave a site alone, in all threads.

        Args:
            host: as in the URL.
            seconds: from now. None: a minute, twice as long each time in a row, up to an hour;
                nothing if it is paused already, so that many threads told the same count once.
        """
        site = site_of(host)
        now = self._clock()
        with self._lock:
            until = self._paused_until.get(site, 0.0)
            if seconds is None:
                if until > now:
                    return
                seconds = min(FIRST_PAUSE_S * 2 ** self._pauses_in_a_row[site], LONGEST_PAUSE_S)
            if until <= now:
                self._pauses_in_a_row[site] += 1
            longer = now + seconds > until
            self._paused_until[site] = max(until, now + seconds)
        if longer and seconds > 0 and self._on_pause is not None:
            self._on_pause(site, seconds)

    def succeeded(self, host: str) -> None:
        """Note that a site answered well: its next pause is a short one again.

        Answers that come in while it is paused don't count; they were on their way.
        """
        site = site_of(host)
        with self._lock:
            if self._paused_until.get(site, 0.0) <= self._clock():
                self._pauses_in_a_row.pop(site, None)

    def pause_left_s(self, host: str) -> float:
        """How long a site is still to be left alone; 0 if it may be asked."""
        with self._lock:
            until = self._paused_until.get(site_of(host), 0.0)
        return max(0.0, until - self._clock())

    def throttle(self, num_bytes: int, check_stopped: Callable[[], None]) -> None:
        """Wait as long as it takes for ``num_bytes`` to fit in the rate that all threads share."""
        if self.limit_rate is None:
            return
        with self._lock:
            self._paid_until = max(self._paid_until, self._clock()) + num_bytes / self.limit_rate
            until = self._paid_until
        self._sleep_until(until, check_stopped)

    def wait(self, seconds: float, check_stopped: Callable[[], None]) -> None:
        """Sleep, but not past a stop."""
        self._sleep_until(self._clock() + seconds, check_stopped)

    def _sleep_until(self, until: float, check_stopped: Callable[[], None]) -> None:
        while True:
            check_stopped()
            left_s = until - self._clock()
            if left_s <= 0:
                return
            self._sleep(min(left_s, _STEP_S))

    def scaled(self, workers: int) -> Pacer:
        """Make a pacer for each of ``workers`` processes that keep this pace together.

        Pauses are each worker's own.
        """
        share = Pacer(
            self.min_interval_s,
            max_per_site=max(1, self.max_per_site // workers),
            limit_rate=None if self.limit_rate is None else self.limit_rate / workers,
        )
        share._interval_factor = self._interval_factor * workers
        share.longest_pause_s, share.sit_out_s = self.longest_pause_s, self.sit_out_s
        return share

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the settings alone."""
        made_of = (self.min_interval_s, self.max_per_site, self.limit_rate)
        kept = ("longest_pause_s", "sit_out_s", "_interval_factor")
        return (_unpickle, made_of, {name: getattr(self, name) for name in kept})


def _unpickle(min_interval_s: float | None, max_per_site: int, limit_rate: float | None) -> Pacer:
    return Pacer(min_interval_s, max_per_site=max_per_site, limit_rate=limit_rate)
