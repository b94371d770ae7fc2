"""Keep the YouTube Data API's terms: metadata is asked anew, or deleted, before it is 30 days old.

What is kept for good is what the curator's list is made of: the video's id and link, which queries
found it and when, and what people said of it. Title, channel and time of publication are said
together, by each search, and share a date; a video's length has one of its own. What yt-dlp said
has none, unless the API said the same kind of thing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from mimecurate.curation.discover_record import record_spending
from mimecurate.curation.discover_sources import QuotaSpentError
from mimecurate.schemas.database import now

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlite_utils import Database

    from mimecurate.curation.discover_api import YouTubeApi
    from mimecurate.curation.discover_sources import Found
    from mimecurate.curation.workspace import Workspace

_NO_SEARCHED = "title = NULL, channel = NULL, published_at = NULL, refresh_by = NULL"
"""What a search says, and until when."""
_NO_LENGTH = "duration_ms = NULL, duration_refresh_by = NULL"
_DUE = (
    "SELECT candidate_id, refresh_by AS day FROM candidates WHERE refresh_by <= :day "
    "UNION ALL SELECT candidate_id, duration_refresh_by FROM candidates "
    "WHERE duration_refresh_by <= :day"
)
_BATCH = 5_000


@dataclass(slots=True)
class RefreshReport:
    """What became of metadata whose date came near."""

    due: int = 0
    refreshed: int = 0
    gone: int = 0
    """Videos that the API no longer knows; their metadata is deleted."""
    deleted: int = 0
    """Metadata deleted without asking."""
    calls: int = 0
    stopped: str = ""


def count_due(db: Database, within_days: int = 0) -> int:
    """Count the candidates whose metadata is to be refreshed within so many days."""
    row = db.execute(
        f"SELECT count(DISTINCT candidate_id) FROM ({_DUE})", {"day": _day(within_days)}
    ).fetchone()
    return int(row[0])


def refresh(
    workspace: Workspace,
    api: YouTubeApi,
    *,
    within_days: int = 3,
    on_progress: Callable[[int], None] = lambda done: None,
) -> RefreshReport:
    """Ask the API anew for metadata whose date comes within so many days.

    Each answer of 50 videos is committed by itself, so that a run that was stopped goes on there.

    Raises:
        ClipError: the API can't be reached.
        MimecurateError: it refuses the key.
    """
    db = workspace.db
    report = RefreshReport(due=count_due(db, within_days))
    with workspace.lock("discover", "discover refresh"):
        while ids := _due(db, within_days):
            try:
                for asked, known in api.videos(
                    ids, lambda: record_spending(db, api.name, "details")
                ):
                    report.calls += 1
                    _store(db, asked, known, _day(api.refresh_days or 0), report)
                    on_progress(len(asked))
            except QuotaSpentError as error:
                report.stopped = str(error)
                break
    return report


def delete_due(workspace: Workspace, *, within_days: int = 0) -> RefreshReport:
    """Delete metadata whose date comes within so many days, without asking anybody."""
    db = workspace.db
    until = [_day(within_days)]
    with workspace.lock("discover", "discover refresh"), db.atomic():
        due = count_due(db, within_days)
        db.execute(f"UPDATE candidates SET {_NO_SEARCHED} WHERE refresh_by <= ?", until)
        db.execute(f"UPDATE candidates SET {_NO_LENGTH} WHERE duration_refresh_by <= ?", until)
    return RefreshReport(due=due, deleted=due)


def _due(db: Database, within_days: int) -> list[str]:
    rows = db.execute(
        f"SELECT video_id FROM ({_DUE}) JOIN candidates USING (candidate_id) "
        "GROUP BY candidate_id ORDER BY min(day) LIMIT :batch",
        {"day": _day(within_days), "batch": _BATCH},
    )
    return [row[0] for row in rows]


def _store(
    db: Database,
    asked: tuple[str, ...],
    known: dict[str, Found],
    refresh_by: str,
    report: RefreshReport,
) -> None:
    with db.atomic():
        for video_id in asked:
            video = known.get(video_id)
            if video is None:
                db.execute(
                    f"UPDATE candidates SET {_NO_SEARCHED}, {_NO_LENGTH}, gone_at = ? "
                    "WHERE video_id = ?",
                    [now(), video_id],
                )
                report.gone += 1
                continue
            db.execute(
                "UPDATE candidates SET title = ?, channel = ?, duration_ms = ?, published_at = ?, "
                "refresh_by = ?, duration_refresh_by = ?, gone_at = NULL WHERE video_id = ?",
                [
                    video.title,
                    video.channel,
                    video.duration_ms,
                    video.published_at,
                    refresh_by,
                    None if video.duration_ms is None else refresh_by,
                    video_id,
                ],
            )
            report.refreshed += 1


def _day(days: int) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).strftime("%Y-%m-%d")
