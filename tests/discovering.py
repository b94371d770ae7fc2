"""What the tests of discovery share: a source on loopback, queries, verdicts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mimecurate.curation.discover_api import YouTubeApi
from mimecurate.curation.pacing import Pacer
from mimecurate.curation.query_sets import Query
from mimecurate.curation.source_types import SourceOptions
from mimecurate.schemas.database import now

if TYPE_CHECKING:
    from sqlite_utils import Database

    from mimecurate.curation.loopback_youtube import LoopbackYouTube

QUERIES = [
    Query("miming archery", "en", "archery", "miming", "archery"),
    Query("arc invisible", "fr", "archery", "invisible", "arc"),
    Query("エア弓矢", "ja", "archery", "imaginary", "弓矢"),
    Query("mime bowling", "en", "bowling", "miming", "bowling"),
]
OPTIONS = SourceOptions(retries=2, backoff_s=0.01, backoff_max_s=0.02, timeout_s=5)


def api(server: LoopbackYouTube, key: str | None = None, searches_per_day: int = 100) -> YouTubeApi:
    return YouTubeApi(
        key or server.key,
        OPTIONS,
        Pacer(0.0),
        lambda: None,
        url=server.url,
        searches_per_day=searches_per_day,
    )


def judge(
    db: Database, video_id: str, verdict: str, label: str, *, decided: str | None = None
) -> str:
    """Want a clip of a video for ``label``, and decide on it; returns the clip's id."""
    clip_id = want(db, video_id, label)
    with db.atomic():
        db.execute(
            "INSERT INTO decisions (clip_id, verdict, label, method, decided_by, decided_at) "
            "VALUES (?, ?, ?, 'adjudicated', 'ann', ?)",
            [clip_id, verdict, decided, now()],
        )
    return clip_id


def want(db: Database, video_id: str, label: str) -> str:
    """Want a clip of a video; returns its id."""
    clip_id = f"{video_id}_000000_000005"
    with db.atomic():
        db.execute(
            "INSERT OR IGNORE INTO videos (video_id, added_at) VALUES (?, ?)", [video_id, now()]
        )
        db.execute(
            "INSERT OR IGNORE INTO clips (clip_id, video_id, start_ms, end_ms, label, added_at) "
            "VALUES (?, ?, 0, 5000, ?, ?)",
            [clip_id, video_id, label, now()],
        )
    return clip_id


def video_ids(db: Database, query: str) -> list[str]:
    """The videos that a query found, best first."""
    rows = db.execute(
        "SELECT video_id FROM finds JOIN candidates USING (candidate_id) "
        "JOIN searches USING (search_id) JOIN queries USING (query_id) WHERE text = ? "
        "ORDER BY rank",
        [query],
    )
    return [row[0] for row in rows]
