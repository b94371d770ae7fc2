"""Which of a video's formats to read: the smallest and cheapest that serves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    Format = Mapping[str, Any]

DEFAULT_HEIGHT = 1080
"""Lines that are enough where nobody asked for a number."""

RANGED_PROTOCOLS = frozenset({"http", "https"})
PROTOCOLS = RANGED_PROTOCOLS | {"m3u8", "m3u8_native", "http_dash_segments"}

_GOOD_ENOUGH = 2 / 3


def choose_formats(
    formats: Sequence[Format], max_height: int | None = None
) -> tuple[Format, Format | None] | None:
    """Choose a format for the picture and, if that has no sound, one for the sound.

    Of the formats with at most ``max_height`` lines (1080 if None; if all have more, of the
    smallest) those with at least two thirds of the tallest's height are good enough. Of these, the
    cheapest to read is taken: byte ranges before whole files, then H.264, which is cut without
    re-encoding most of it, then the tallest, then one with sound in the same file, then yt-dlp's
    order.

    Args:
        formats: yt-dlp's, worst first, as it sorts them.
        max_height: in lines.

    Returns:
        Picture, and sound or None; None if no format has a picture.

    >>> formats = [dict(format_id="18", protocol="https", vcodec="avc1.42", acodec="mp4a.40.2",
    ...                 height=360),
    ...            dict(format_id="136", protocol="https", vcodec="avc1.4d", acodec="none",
    ...                 height=720)]
    >>> choose_formats(formats, 360)[0]["format_id"]
    '18'
    """
    usable = [f for f in formats if f.get("protocol") in PROTOCOLS and not f.get("has_drm")]
    pictures = [(i, f) for i, f in enumerate(usable) if f.get("vcodec") != "none"]
    if not pictures:
        return None
    # yt-dlp marks damaged formats with a negative preference
    pictures = [p for p in pictures if (p[1].get("preference") or 0) >= 0] or pictures
    limit = max_height or DEFAULT_HEIGHT
    fitting = [(i, f) for i, f in pictures if _height(f) <= limit]
    if not fitting:
        least = min(_height(f) for _, f in pictures)
        fitting = [(i, f) for i, f in pictures if _height(f) == least]
    tallest = max(_height(f) for _, f in fitting)
    good = [(i, f) for i, f in fitting if _height(f) >= _GOOD_ENOUGH * tallest]

    def cheapness(candidate: tuple[int, Format]) -> tuple[Any, ...]:
        index, fmt = candidate
        ranged = fmt["protocol"] in RANGED_PROTOCOLS
        return (not ranged, not _is_h264(fmt), -_height(fmt), not _has_sound(fmt), -index)

    picture = min(good, key=cheapness)[1]
    return picture, None if _has_sound(picture) else _choose_sound(usable)


def _choose_sound(formats: Sequence[Format]) -> Format | None:
    """Take the best sound that MP4 holds as it is, else the best there is."""
    sounds = [f for f in formats if f.get("vcodec") == "none" and f.get("acodec") != "none"]
    ranged = [f for f in sounds if f["protocol"] in RANGED_PROTOCOLS] or sounds
    aac = [f for f in ranged if str(f.get("acodec") or "").startswith(("mp4a", "aac"))]
    best = aac or ranged
    return best[-1] if best else None


def _height(fmt: Format) -> float:
    return float(fmt.get("height") or 0)


def _is_h264(fmt: Format) -> bool:
    return str(fmt.get("vcodec") or "").lower().startswith(("avc", "h264"))


def _has_sound(fmt: Format) -> bool:
    """Whether it has, as far as is known: not knowing is no reason to ask for a second file."""
    return fmt.get("acodec") != "none"


def format_selector(max_height: int | None) -> Any:
    """Make what yt-dlp takes as its ``format`` option: `choose_formats` as a generator."""

    def select(context: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        chosen = choose_formats(context["formats"], max_height)
        if chosen is None:
            return
        picture, sound = chosen
        if sound is None:
            yield dict(picture)
            return
        yield {
            "format_id": f"{picture['format_id']}+{sound['format_id']}",
            "ext": picture.get("ext"),
            "protocol": f"{picture['protocol']}+{sound['protocol']}",
            "width": picture.get("width"),
            "height": picture.get("height"),
            "requested_formats": [picture, sound],
        }

    return select
