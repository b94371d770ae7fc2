"""What the database knows of how a release came about, for its datasheet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlite_utils import Database

_LISTED = "(SELECT clip_id FROM release_clips WHERE release_id = :release_id)"
_QUERIES = {
    "annotations": f"SELECT count(*) FROM current_annotations WHERE clip_id IN {_LISTED}",
    "annotators": (
        f"SELECT count(DISTINCT annotator) FROM current_annotations WHERE clip_id IN {_LISTED}"
    ),
    "clips_annotated": (
        f"SELECT count(DISTINCT clip_id) FROM current_annotations WHERE clip_id IN {_LISTED}"
    ),
    "clips_fetched": f"SELECT count(*) FROM media WHERE clip_id IN {_LISTED}",
    "clips_failed": (
        f"SELECT count(*) FROM clip_status WHERE status = 'failed' AND clip_id IN {_LISTED}"
    ),
    "links_last_checked": "SELECT max(at) FROM link_checks",
}


def gather_facts(db: Database, release_id: int) -> dict[str, Any]:
    """Count annotations, annotators, decisions by method, fetched media, and lengths.

    Returns:
        ``annotations``, ``annotators``, ``clips_annotated``, ``clips_fetched``, ``clips_failed``,
        ``links_last_checked``, ``decisions`` (clips by method), and ``seconds`` (shortest, mean,
        longest clip, and total).
    """
    values = {"release_id": release_id}
    facts: dict[str, Any] = {
        name: db.execute(query, values).fetchone()[0] for name, query in _QUERIES.items()
    }
    facts["decisions"] = dict(
        db.execute(
            f"SELECT method, count(*) FROM current_decisions WHERE clip_id IN {_LISTED} "
            "GROUP BY method ORDER BY method",
            values,
        ).fetchall()
    )
    shortest, mean, longest, total = db.execute(
        "SELECT min(ms) / 1000.0, avg(ms) / 1000.0, max(ms) / 1000.0, sum(ms) / 1000.0 FROM ("
        "SELECT row.end_ms - row.start_ms AS ms FROM release_clips AS listed "
        "JOIN release_rows AS row ON row.clip_id = listed.clip_id "
        "AND row.row_hash = listed.row_hash WHERE release_id = :release_id)",
        values,
    ).fetchone()
    facts["seconds"] = {"shortest": shortest, "mean": mean, "longest": longest, "total": total}
    return facts
