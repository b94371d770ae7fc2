"""What a task holds for the screen: the clip's address and rate, and what is said of it."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from mimecurate.schemas.ids import youtube_id, youtube_url
from mimecurate.schemas.times import format_seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

KEYS = ("clip_id", "video", "fps", "prompt", "definition", "source_html", "answers_html")
"""Every task has all of them: Label Studio refuses a task without a key that its screen reads."""
_MAX_DEFINITION = 300
_NOT_XML = re.compile("[^\\t\\n\\r\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")


def task_data(
    clip: Mapping[str, object],
    *,
    video_url: str,
    definition: str | None = None,
    answers_html: str = "",
) -> dict[str, object]:
    """Make the data of one task.

    Args:
        clip: a row of the view `clip_status`: ``clip_id``, ``url``, ``start_ms``, ``end_ms``,
            ``label`` and ``fps`` are read. Without a label the screen asks which action it is.
        video_url: where the annotator's browser gets the clip.
        definition: of the clip's class.
        answers_html: what others said, made by `answers_html`; for adjudication only.

    Returns:
        A value for each of `KEYS`.

    >>> data = task_data(
    ...     {"clip_id": "a_000006_000010", "label": "archery", "fps": 25.0, "url": None,
    ...      "start_ms": 6000, "end_ms": 10000},
    ...     video_url="/data/local-files/?d=clips/a_/a_000006_000010.mp4",
    ... )
    >>> data["prompt"], data["fps"], data["source_html"]
    ('Is this archery?', 25.0, '<small>a_000006_000010 &middot; 6-10 s</small>')
    """
    label = clip["label"]
    return {
        "clip_id": clip["clip_id"],
        "video": video_url,
        "fps": clip["fps"],
        "prompt": f"Is this {label}?" if label else "Which action is this?",
        "definition": shorten(definition or "", _MAX_DEFINITION),
        "source_html": _source_html(clip),
        "answers_html": answers_html,
    }


def source_link(url: str | None, start_ms: int) -> str | None:
    """Return a link that opens the source video where the clip begins.

    Args:
        url: of the source video.
        start_ms: where the clip begins in it.

    Returns:
        The link; None where there is none, or it is neither http nor https. YouTube starts at
        whole seconds; other addresses get a media fragment, which players of files know.

    >>> source_link("https://youtu.be/0zFbEjoGlhc", 6500)
    'https://www.youtube.com/watch?v=0zFbEjoGlhc&t=6s'
    >>> source_link("https://example.org/a.mp4", 6500)
    'https://example.org/a.mp4#t=6.5'
    >>> source_link("javascript:alert(1)", 0) is None
    True
    """
    try:
        parts = urlsplit(url or "")
        video_id = youtube_id(url or "")
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return None
    if video_id:
        page = urlsplit(youtube_url(video_id))
        query = [*parse_qsl(page.query), ("t", f"{start_ms // 1000}s")]
        return urlunsplit(page._replace(query=urlencode(query)))
    return urlunsplit(parts._replace(fragment=f"t={format_seconds(start_ms)}"))


def shorten(text: str, most: int) -> str:
    """Bring a text onto one line of at most so many characters, without any that XML can't hold.

    >>> shorten("draws a bow and  lets an arrow fly", 20)
    'draws a bow and\\u2026'
    """
    text = " ".join(_NOT_XML.sub(" ", text).split())
    return text if len(text) <= most else text[: most - 1].rsplit(" ", 1)[0] + "\u2026"


def _source_html(clip: Mapping[str, object]) -> str:
    start_ms, end_ms = clip["start_ms"], clip["end_ms"]
    assert isinstance(start_ms, int)
    when = f"from {format_seconds(start_ms)} s"
    if isinstance(end_ms, int):
        when = f"{format_seconds(start_ms)}-{format_seconds(end_ms)} s"
    what = f"{escape(str(clip['clip_id']))} &middot; {when}"
    url = clip["url"]
    link = source_link(url, start_ms) if isinstance(url, str) else None
    if link:
        what += (
            f' &middot; <a href="{escape(link)}" target="_blank" rel="noopener noreferrer">'
            "open the source</a>"
        )
    return f"<small>{what}</small>"
