"""Stage a release from decisions, or from annotations by the rule, on top of the one before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from mimecurate.curation.release_rule import TRIM_IOU, Undecided, decide, votes_by_clip

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlite_utils import Database

_DECIDED = """CREATE TEMP TABLE decided (
    clip_id TEXT PRIMARY KEY,
    verdict TEXT,
    label TEXT,
    mime_artist TEXT,
    object_relevant TEXT,
    scene_relevant TEXT,
    start_ms INTEGER,
    end_ms INTEGER
) WITHOUT ROWID"""
_FINAL = """CREATE TEMP VIEW final AS
    SELECT clips.clip_id AS decided_on,
        CASE WHEN decided.start_ms IS NULL THEN clips.clip_id
            ELSE make_clip_id(clips.video_id, decided.start_ms, decided.end_ms) END AS clip_id,
        clips.video_id, coalesce(decided.start_ms, clips.start_ms) AS start_ms,
        coalesce(decided.end_ms, clips.end_ms) AS end_ms,
        coalesce(decided.label, clips.label) AS label, mime_artist, object_relevant,
        scene_relevant, clips.split, videos.url
    FROM decided CROSS JOIN clips USING (clip_id) CROSS JOIN videos USING (video_id)
    WHERE verdict = 'yes'"""
_ONCE_TRIMMED = " UNION ALL ".join(
    f"SELECT make_clip_id(video_id, said.start_ms, said.end_ms) FROM {table} AS said "
    "JOIN clips USING (clip_id) WHERE said.start_ms IS NOT NULL"
    for table in ("decisions", "annotations")
)
"""Clips that a trim made at some time: those of an earlier trim don't stay in the release."""
_NOT_WITHDRAWN = "clip_id NOT IN (SELECT clip_id FROM withdrawals)"


def stage_decisions(
    db: Database,
    source: Literal["decisions", "annotations"],
    min_annotators: int,
    trim_iou: float = TRIM_IOU,
) -> None:
    """Collect what was decided of each clip; a decision outweighs the rule."""
    for table in ("decided", "undecided"):
        db.execute(f"DROP TABLE IF EXISTS temp.{table}")
    db.execute(_DECIDED)
    db.execute("CREATE TEMP TABLE undecided (clip_id TEXT, check_name TEXT, why TEXT)")
    db.execute(
        "INSERT INTO decided SELECT clip_id, verdict, label, mime_artist, object_relevant, "
        "scene_relevant, start_ms, end_ms FROM current_decisions"
    )
    if source == "annotations":
        _decide_by_rule(db, min_annotators, trim_iou)


def _decide_by_rule(db: Database, min_annotators: int, trim_iou: float) -> None:
    for clip_id, votes in votes_by_clip(db):
        outcome = decide(votes, min_annotators, trim_iou=trim_iou)
        if isinstance(outcome, Undecided):
            db.execute(
                "INSERT INTO undecided SELECT ?, ?, ? "
                "WHERE NOT EXISTS (SELECT 1 FROM decided WHERE clip_id = ?)",
                [clip_id, outcome.check, outcome.why, clip_id],
            )
            continue
        *fields, trim = outcome
        db.execute(
            "INSERT INTO decided VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            [clip_id, *fields, *(trim or (None, None))],
        )


def stage_decided(db: Database, base: int | None) -> None:
    """Stage the clips that were decided to be in, and those of the release ``base`` left alone.

    A clip keeps the split it had; one that is new has that of the list it was fetched from.
    """
    db.execute("DROP VIEW IF EXISTS temp.final")
    db.execute(_FINAL)
    db.execute(
        "INSERT INTO staged SELECT clip_id, row_hash(clip_id, video_id, start_ms, end_ms, label, "
        "mime_artist, object_relevant, scene_relevant), coalesce((SELECT split FROM release_clips "
        "AS old WHERE release_id = ? AND old.clip_id IN (final.clip_id, final.decided_on)), "
        "split), video_id, start_ms, end_ms, label, mime_artist, object_relevant, scene_relevant, "
        f"url, 'decided' FROM final WHERE {_NOT_WITHDRAWN} AND label IS NOT NULL "
        "AND end_ms IS NOT NULL ON CONFLICT DO NOTHING",
        [base],
    )
    db.execute(
        "INSERT INTO staged SELECT listed.clip_id, listed.row_hash, split, video_id, start_ms, "
        "end_ms, label, mime_artist, object_relevant, scene_relevant, url, 'released' "
        "FROM release_clips AS listed JOIN release_rows AS row "
        "ON row.clip_id = listed.clip_id AND row.row_hash = listed.row_hash "
        "JOIN videos USING (video_id) WHERE release_id = ? "
        "AND NOT EXISTS (SELECT 1 FROM decided WHERE decided.clip_id = listed.clip_id) "
        f"AND listed.clip_id NOT IN ({_ONCE_TRIMMED}) "
        "AND listed.clip_id NOT IN (SELECT clip_id FROM withdrawals) "
        "ORDER BY listed.clip_id ON CONFLICT DO NOTHING",
        [base],
    )


def decided_problems(db: Database) -> Iterator[str]:
    """Yield why clips that were decided to be in can't be staged."""
    missing = db.execute(
        f"SELECT (SELECT count(*) FROM decided WHERE verdict = 'yes' AND {_NOT_WITHDRAWN}) "
        "> (SELECT count(*) FROM staged WHERE place = 'decided')"
    ).fetchone()[0]
    if missing:
        yield from _messages(db, _MISSING)


def staged_problems(db: Database) -> Iterator[str]:
    """Yield what makes a release of the staged clips impossible, whatever is allowed."""
    return _messages(db, _IMPOSSIBLE)


def _messages(db: Database, queries: tuple[tuple[str, str], ...]) -> Iterator[str]:
    for query, message in queries:
        for values in db.execute(query):
            yield message.format(*values)


_MISSING = (
    (
        f"SELECT clip_id FROM final WHERE label IS NULL AND {_NOT_WITHDRAWN} ORDER BY 1",
        "clip {0} was decided to be in, but has no class",
    ),
    (
        f"SELECT clip_id FROM final WHERE end_ms IS NULL AND {_NOT_WITHDRAWN} ORDER BY 1",
        "clip {0} has no end yet; fetch it first",
    ),
    (
        "SELECT clip_id, group_concat(decided_on, ' and ') FROM final GROUP BY clip_id "
        "HAVING count(*) > 1 ORDER BY 1",
        "clip {0} comes from several decisions, on {1}",
    ),
)
_IMPOSSIBLE = (
    (
        "SELECT clip_id FROM staged WHERE split IS NULL ORDER BY 1",
        "clip {0} has no split; give one, e.g. --split test",
    ),
    (
        "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM staged)",
        "there is no clip to release: none was decided to be in; `mimecurate annotate adjudicate` "
        "makes decisions of what annotators said",
    ),
)
