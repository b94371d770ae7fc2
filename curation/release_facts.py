"""What the database knows of how a release came about, for its datasheet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlite_utils import Database

_LISTED = "(SELECT clip_id FROM release_clips WHERE release_id = :release_id)"
_ANNOTATED = (
    "FROM annotations AS said WHERE skipped = 0 AND at <= :created_at AND NOT EXISTS (SELECT 1 "
    "FROM annotations AS later WHERE later.supersedes = said.annotation_id "
    f"AND later.at <= :created_at) AND clip_id IN {_LISTED}"
)
_BEHIND = {
    "annotations": f"SELECT count(*) {_ANNOTATED}",
    "annotators": f"SELECT count(DISTINCT annotator) {_ANNOTATED}",
    "clips_annotated": f"SELECT count(DISTINCT clip_id) {_ANNOTATED}",
}
"""What was said before the release was frozen; of an imported one, nobody here knows."""
_NOW = {
    "clips_fetched": f"SELECT count(*) FROM media WHERE clip_id IN {_LISTED}",
    "clips_failed": (
        f"SELECT count(*) FROM clip_status WHERE status = 'failed' AND clip_id IN {_LISTED}"
    ),
    "links_last_checked": "SELECT max(at) FROM link_checks",
}
_DECIDED = """SELECT method, count(*) FROM decisions
    JOIN clips USING (clip_id)
    JOIN release_rows AS row ON row.video_id = clips.video_id
        AND row.start_ms = coalesce(decisions.start_ms, clips.start_ms)
        AND row.end_ms = coalesce(decisions.end_ms, clips.end_ms)
    JOIN release_clips AS listed ON listed.release_id = :release_id
        AND listed.clip_id = row.clip_id AND listed.row_hash = row.row_hash
    WHERE decision_id IN (SELECT max(decision_id) FROM decisions AS every
        WHERE decided_at <= :created_at AND NOT EXISTS (SELECT 1 FROM retractions
            WHERE decision_id = every.decision_id AND retracted_at <= :created_at)
        GROUP BY clip_id) AND verdict = 'yes'
    GROUP BY method ORDER BY method"""
"""A clip that was trimmed is listed under the name of its new interval."""


def gather_facts(db: Database, release: Mapping[str, Any]) -> dict[str, Any]:
    """Count annotations, annotators, decisions by method, fetched media, and lengths.

    Args:
        db: the workspace's database.
        release: the release's row in ``releases``.

    Returns:
        ``annotations``, ``annotators``, ``clips_annotated``, ``clips_fetched``, ``clips_failed``,
        ``links_last_checked``, ``decisions`` (clips by method), and ``seconds`` (shortest, mean,
        longest clip, and total).
    """
    values = {"release_id": release["release_id"], "created_at": release["created_at"]}
    is_imported = release["origin"].startswith("import ")
    facts: dict[str, Any] = {
        name: 0 if is_imported else db.execute(query, values).fetchone()[0]
        for name, query in _BEHIND.items()
    }
    facts |= {name: db.execute(query, values).fetchone()[0] for name, query in _NOW.items()}
    facts["decisions"] = {} if is_imported else dict(db.execute(_DECIDED, values).fetchall())
    shortest, mean, longest, total = db.execute(
        "SELECT min(ms) / 1000.0, avg(ms) / 1000.0, max(ms) / 1000.0, sum(ms) / 1000.0 FROM ("
        "SELECT row.end_ms - row.start_ms AS ms FROM release_clips AS listed "
        "JOIN release_rows AS row ON row.clip_id = listed.clip_id "
        "AND row.row_hash = listed.row_hash WHERE release_id = :release_id)",
        values,
    ).fetchone()
    facts["seconds"] = {"shortest": shortest, "mean": mean, "longest": longest, "total": total}
    return facts
