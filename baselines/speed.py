"""How fast a job is and how long it takes, in words."""

from __future__ import annotations

import time


def rate_text(done: int, seconds: float) -> str:
    """Write a speed: clips per second, or below one the seconds that a clip takes.

    >>> rate_text(300, 12.0), rate_text(9, 8.0), rate_text(2, 39.6), rate_text(0, 3.0)
    ('25 clips/s', '1.1 clips/s', '19.8 s/clip', '')
    """
    if not done:
        return ""
    per_s = done / max(seconds, 1e-9)
    if per_s >= 1:
        return f"{per_s:,.0f} clips/s" if per_s >= 10 else f"{per_s:.1f} clips/s"
    per_clip_s = seconds / done
    return f"{per_clip_s:,.0f} s/clip" if per_clip_s >= 100 else f"{per_clip_s:.1f} s/clip"


def duration_text(seconds: float) -> str:
    """Write a rough duration.

    >>> duration_text(42), duration_text(3700), duration_text(90_000)
    ('42 s', '1 h 2 min', '25 h 0 min')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


class Speed:
    """Counts the clips of a job, and says how fast it is and what is left.

    >>> speed = Speed(12)
    >>> speed.count(skipped=True)
    ''
    >>> speed.count(failed=True).split(", ")[-1]
    '1 failed'
    """

    def __init__(self, clips: int) -> None:
        """Begin now; ``clips`` are to come."""
        self._left, self._done, self._failed = clips, 0, 0
        self._began = time.monotonic()

    def count(self, clips: int = 1, *, failed: bool = False, skipped: bool = False) -> str:
        """Count clips, and write what stands at the end of a progress line.

        Args:
            clips: how many more.
            failed: they failed.
            skipped: they were finished before, and say nothing of the speed.
        """
        self._left = max(0, self._left - clips)
        self._done += 0 if skipped else clips
        self._failed += clips if failed else 0
        words = []
        if self._done:
            seconds = time.monotonic() - self._began
            left = duration_text(self._left * seconds / self._done)
            words = [rate_text(self._done, seconds), f"{left} left"]
        return ", ".join([*words, f"{self._failed:,} failed"] if self._failed else words)
