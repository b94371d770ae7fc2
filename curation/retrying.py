"""The one policy for asking again: which failures, how often, after how long."""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mimecurate.curation.failures import asks_to_slow_down, classify, is_retryable
from mimecurate.curation.pacing import PauseTooLongError, SitePausedError, site_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mimecurate.curation.pacing import Pacer
    from mimecurate.errors import ClipError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How stubborn to be about failures that may pass."""

    retries: int
    """Attempts after the first."""
    backoff_s: float
    """Wait before the first of these; doubled each time, up to half as much again at random."""
    backoff_max_s: float
    failed_before: int = 0
    """Failures that count already, of earlier in the run."""

    def wait_s(self, attempt: int) -> float:
        """How long to wait before retry number ``attempt``, counted from 1."""
        doubled = self.backoff_s * 2.0 ** min(attempt - 1, 60)
        return float(min(doubled, self.backoff_max_s) * random.uniform(1.0, 1.5))


class Retrier:
    """Counts the failed attempts at one thing and waits between them."""

    def __init__(
        self, policy: RetryPolicy, pacer: Pacer, check_stopped: Callable[[], None]
    ) -> None:
        """Start with no failure."""
        self._policy = policy
        self._pacer = pacer
        self._check_stopped = check_stopped
        self._failures = policy.failed_before

    def progressed(self) -> None:
        """Note that something was had: the next failure counts as the first."""
        self._failures = 0

    def failed(self, error: Exception, host: str, warnings: Sequence[str] = ()) -> None:
        """Take a failure: return after a wait if another attempt is due, else raise.

        A site that asks to slow down is paused for the whole run, either way.

        Args:
            error: anything `classify` knows.
            host: that was asked.
            warnings: what yt-dlp warned of.

        Raises:
            SitePausedError: the site wants a pause that is too long to sit out here.
            ClipError: the failure won't pass, or not within the policy's retries.
        """
        self._check_stopped()  # its exception may have been swallowed on the way here
        clip_error = classify(error, warnings)
        if isinstance(clip_error, PauseTooLongError):
            raise clip_error from error
        if isinstance(clip_error, SitePausedError):
            clip_error.failures = self._failures
            raise clip_error from error
        self._failures += 1
        if asks_to_slow_down(clip_error):
            self._pacer.pause(host, self._pause_s(clip_error, host))
        too_long = (clip_error.retry_after_s or 0.0) > self._pacer.longest_pause_s
        if too_long or not is_retryable(clip_error) or self._failures > self._policy.retries:
            raise clip_error from error
        self._pacer.check_pause(host, self._failures)
        wait_s = self._policy.wait_s(self._failures)
        logger.debug("%s: %s; asking again in %.1f s", host, clip_error, wait_s)
        self._pacer.wait(wait_s, self._check_stopped)

    def _pause_s(self, error: ClipError, host: str) -> float | None:
        """How long to leave a site alone: as it says, else as this policy would wait anyway.

        YouTube, which blocks an address for hours, gets the pacer's own, longer pause: None.
        """
        if error.retry_after_s is None and site_of(host) != "youtube.com":
            return self._policy.wait_s(self._failures)
        return error.retry_after_s
