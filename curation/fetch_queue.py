"""Which video is asked for next, and which are not for now.

Videos of a site that wants a pause are put aside, so that the other sites go on; when nothing else
is left, the pause is waited for. Videos of a site that never answers are left for the next run.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mimecurate.curation.fetch_plan import JobSpool
from mimecurate.curation.pacing import site_of
from mimecurate.schemas.closing import Closing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mimecurate.curation.fetch_plan import ClipJob, VideoJob
    from mimecurate.curation.pacing import Pacer, SitePausedError

SIT_OUT_S = 5.0
"""A longer pause is not sat out by the worker that meets it."""
MAX_WAIT_S = 10_800.0
GIVE_UP_AFTER = 20


class VideoQueue(Closing):
    """Hands out the videos of a run, in rounds; each takes up what the one before put aside.

    It belongs to the run's own thread. Close it, or use it in a ``with`` statement.
    """

    def __init__(
        self,
        jobs: Iterator[VideoJob],
        pacer: Pacer,
        *,
        max_wait_s: float,
        give_up_after: int,
        say: Callable[[str], None],
    ) -> None:
        """Take the videos over.

        Args:
            jobs: all of them.
            pacer: knows which sites are paused.
            max_wait_s: how long to wait, with nothing else to do, since a clip was last fetched.
            give_up_after: videos in a row for which nobody answers.
            say: takes a line for the user.
        """
        self._jobs = jobs
        self._pacer = pacer
        self._max_wait_s = max_wait_s
        self._give_up_after = give_up_after
        self._say = say
        self._aside = JobSpool()
        self._aside_of: Counter[str] = Counter()
        self._waited_s = 0.0
        self._silent: Counter[str] = Counter()
        self._silent_in_a_row = 0
        self._given_up: set[str] = set()
        self._is_offline = False

    def rounds(self) -> Iterator[Iterator[VideoJob]]:
        """Yield the videos that may be asked for; all of a round must have ended before the next.

        It ends when none is left, or too long a pause; `left` has those then.
        """
        yield self._ready(self._jobs)
        while self._wait():
            aside, self._aside = self._aside, JobSpool()
            self._aside_of.clear()
            yield self._ready(aside.drain())

    def left(self) -> Iterator[tuple[VideoJob, str]]:
        """Yield the videos that are put aside still, each with the reason."""
        for job in self._aside.drain():
            site = _site(job)
            if not self._is_left_alone(site):
                left_s = self._pacer.pause_left_s(site)
                words = f"{site} asks to be left alone for another {left_s:.0f} s"
                yield job, f"{words}; at most {self._max_wait_s:.0f} s are waited (--max-wait)"

    def put_aside(self, job: VideoJob, clips: tuple[ClipJob, ...], paused: SitePausedError) -> None:
        """Take back a video whose site wants a pause, with the ``clips`` that are left to do."""
        if self._pacer.pause_left_s(paused.site) == 0:  # a cluster's worker has a pacer of its own
            self._pacer.pause(paused.site, paused.pause_s)
        self._silent_in_a_row = 0
        self._add(replace(job, clips=clips, failures=paused.failures), paused.site)

    def note(self, job: VideoJob, *, answered: bool) -> None:
        """Take note of whether anybody answered for a video."""
        site = _site(job)
        if answered or not site:
            self._silent.pop(site, None)
            self._silent_in_a_row = 0
            return
        self._silent[site] += 1
        self._silent_in_a_row += 1
        if self._is_left_alone(site):
            return
        if self._silent[site] >= self._give_up_after:
            self._given_up.add(site)
            self._silent_in_a_row = 0
            self._say(
                f"{site} did not answer for {self._silent[site]} videos in a row: "
                "its others are left for the next run"
            )
        elif self._silent_in_a_row >= self._give_up_after:
            self._is_offline = True
            self._say(
                f"nobody answered for {self._silent_in_a_row} videos in a row; is there a network? "
                "The others are left for the next run"
            )

    def fetched(self) -> None:
        """Take note of a clip: it was worth waiting."""
        self._waited_s = 0.0

    def close(self) -> None:
        """Give the disk space back."""
        self._aside.close()

    def _ready(self, jobs: Iterator[VideoJob]) -> Iterator[VideoJob]:
        for job in jobs:
            site = _site(job)
            if self._is_left_alone(site):
                continue
            if SIT_OUT_S < self._pacer.pause_left_s(site) <= self._max_wait_s:
                self._add(job, site)
            else:
                yield job

    def _add(self, job: VideoJob, paused_site: str) -> None:
        self._aside.add(job)
        self._aside_of[paused_site] += 1

    def _is_left_alone(self, site: str) -> bool:
        return self._is_offline or site in self._given_up

    def _wait(self) -> bool:
        """Wait until a site with videos may be asked again; False if there is none, or too long."""
        pauses = {
            site: self._pacer.pause_left_s(site)
            for site in self._aside_of
            if not self._is_left_alone(site)
        }
        if not pauses:
            return False
        site = min(pauses, key=pauses.__getitem__)
        left_s = pauses[site]
        if self._waited_s + left_s > self._max_wait_s:
            return False
        if left_s > 0:
            until = time.strftime("%H:%M:%S", time.localtime(time.time() + left_s))
            count = self._aside_of[site]
            videos = "one video" if count == 1 else f"{count:,} videos"
            self._say(f"nothing else is left: waiting for {site} until {until}, with {videos}")
            self._pacer.wait(left_s, lambda: None)
            self._waited_s += left_s
        return True


def _site(job: VideoJob) -> str:
    """The site that a video is asked of; none for a file."""
    try:
        return site_of(urlsplit(job.url).hostname or "")
    except ValueError:
        return ""
