"""Ask the workspace for its clips."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mimecurate.errors import MimecurateError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlite_utils import Database

COLUMNS = (
    "clip_id",
    "video_id",
    "url",
    "start_ms",
    "end_ms",
    "label",
    "split",
    "status",
    "reason",
    "message",
    "path",
    "sha256",
    "bytes",
    "duration_ms",
    "width",
    "height",
    "fps",
    "frames",
    "audio_codec",
    "cut",
    "notes",
)


@dataclass(frozen=True, slots=True)
class ClipFilter:
    """Which clips; what is None does not matter."""

    status: str | None = None
    """``fetched``, ``failed`` or ``open``."""
    reason: str | None = None
    label: str | None = None
    split: str | None = None
    video_id: str | None = None
    clip_ids: tuple[str, ...] = ()


def find_clips(
    db: Database, wanted: ClipFilter, *, limit: int | None = None
) -> Iterator[dict[str, object]]:
    """Yield the clips that a filter lets through, by video and time.

    Args:
        db: the workspace's database.
        wanted: which.
        limit: how many at the most.

    Yields:
        A dictionary with `COLUMNS`.

    Raises:
        MimecurateError: an id in ``wanted.clip_ids`` that no clip has.
    """
    conditions, values = _conditions(wanted)
    if wanted.clip_ids:
        _check_ids(db, wanted.clip_ids)
    sql = f"SELECT {', '.join(COLUMNS)} FROM clip_status"
    if conditions:
        sql += f" WHERE {' AND '.join(conditions)}"
    cursor = db.execute(
        f"{sql} ORDER BY video_id, start_ms, end_ms LIMIT ?", [*values, limit or -1]
    )
    for row in cursor:
        yield dict(zip(COLUMNS, row, strict=True))


def count_clips(db: Database, wanted: ClipFilter) -> int:
    """Count the clips that a filter lets through."""
    conditions, values = _conditions(wanted)
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    return int(db.execute(f"SELECT count(*) FROM clip_status{where}", values).fetchone()[0])


def _conditions(wanted: ClipFilter) -> tuple[list[str], list[object]]:
    conditions: list[str] = []
    values: list[object] = []
    for column in ("status", "reason", "label", "split", "video_id"):
        value = getattr(wanted, column)
        if value is not None:
            conditions.append(f"{column} = ?")
            values.append(value)
    if wanted.clip_ids:
        conditions.append(f"clip_id IN ({','.join('?' * len(wanted.clip_ids))})")
        values += wanted.clip_ids
    return conditions, values


def _check_ids(db: Database, clip_ids: tuple[str, ...]) -> None:
    unknown = [
        name
        for name in clip_ids
        if db.execute("SELECT 1 FROM clips WHERE clip_id = ?", [name]).fetchone() is None
    ]
    if unknown:
        raise MimecurateError(
            f"no clip {', '.join(map(repr, unknown[:5]))} in this workspace; "
            "see `mimecurate clips list`"
        )
