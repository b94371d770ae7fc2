"""Times at the edge: text to integer milliseconds and back."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_EVEN, Decimal

_CLOCK = re.compile(r"(?:(?P<hours>\d{1,4}):)?(?P<minutes>\d{1,4}):(?P<seconds>\d{1,2}(?:\.\d*)?)")
_SECONDS = re.compile(r"\d{1,9}(?:\.\d*)?|\.\d+")


def parse_time_ms(text: str) -> int:
    """Read a time given as seconds, ``MM:SS`` or ``HH:MM:SS.mmm``.

    Fractions finer than a millisecond are rounded half to even.

    Args:
        text: what the user wrote; surrounding blanks are ignored.

    Returns:
        Milliseconds from the start of the video.

    Raises:
        ValueError: anything else, a negative time or a field of 60 or more after a colon.

    >>> parse_time_ms("12.5"), parse_time_ms("3:12"), parse_time_ms("1:02:03.004")
    (12500, 192000, 3723004)
    """
    text = text.strip()
    if not text.isascii():
        raise ValueError(f"time {text[:40]!r} must be seconds (12.5), MM:SS or HH:MM:SS.mmm")
    if _SECONDS.fullmatch(text):
        return _milliseconds(Decimal(text))
    match = _CLOCK.fullmatch(text)
    if match is None:
        raise ValueError(f"time {text[:40]!r} must be seconds (12.5), MM:SS or HH:MM:SS.mmm")
    hours, minutes = int(match["hours"] or 0), int(match["minutes"])
    seconds = Decimal(match["seconds"])
    if seconds >= 60 or (match["hours"] is not None and minutes >= 60):
        raise ValueError(f"time {text[:40]!r} has 60 or more after a colon")
    return _milliseconds(hours * 3600 + minutes * 60 + seconds)


def format_seconds(ms: int) -> str:
    """Write milliseconds as decimal seconds, without trailing zeros.

    >>> format_seconds(12000), format_seconds(12500), format_seconds(1)
    ('12', '12.5', '0.001')
    """
    whole, rest = divmod(ms, 1000)
    return f"{whole}.{rest:03d}".rstrip("0") if rest else str(whole)


def _milliseconds(seconds: Decimal) -> int:
    return int((seconds * 1000).to_integral_value(rounding=ROUND_HALF_EVEN))
