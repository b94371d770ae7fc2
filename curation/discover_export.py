"""Candidates as a list for ``fetch --urls``: whole videos, and the moments that people found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mimecurate.curation.classes import classes_called
from mimecurate.curation.discover_candidates import CALLED, STATE, VERDICTS, list_candidates
from mimecurate.schemas.times import format_seconds

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sqlite_utils import Database

    from mimecurate.curation.discover_candidates import State

MANUAL_CLIP_MS = 10_000
_SAME_CLASS = """(r.label = m.label OR EXISTS (SELECT 1 FROM class_called
    WHERE (other, name) IN ((r.label, m.label), (m.label, r.label))))"""
_REJECTED_LATER = f"""SELECT 1 FROM rejections AS r
    WHERE r.candidate_id = m.candidate_id AND r.at > m.at AND {_SAME_CLASS}"""
Entry = tuple[str, str, str, str, str]
"""``url,start,end,label,video_id``."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What somebody found by watching in a video that is not open."""

    entry: Entry
    state: State
    """Of the video."""


def closed_moments(db: Database, *, label: str | None) -> list[Moment]:
    """List moments to fetch of videos that are listed, fetched, verified, rejected or released.

    A moment of which there is a clip, or whose video was rejected after it was found, is left out;
    so is all of a video that is gone or withdrawn.

    Args:
        db: the workspace's database.
        label: only those found for this class, or for none.
    """
    called = classes_called(db)
    rows = db.execute(
        f"""WITH {VERDICTS}, m AS (SELECT candidate_id, label, start_ms,
                coalesce(end_ms, start_ms + :length) AS end_ms, max(at) AS at FROM manual_finds
            WHERE start_ms IS NOT NULL AND (:label IS NULL OR label IS NULL OR label IN ({CALLED}))
            GROUP BY 1, 2, 3, 4)
        SELECT c.url, m.start_ms, m.end_ms, m.label, c.video_id, {STATE} AS state
        FROM m JOIN candidates AS c USING (candidate_id)
        LEFT JOIN verdicts ON verdicts.video_id = c.video_id
        WHERE state NOT IN ('open', 'gone', 'withdrawn') AND NOT EXISTS (
            SELECT 1 FROM clips WHERE clips.video_id = c.video_id
                AND clips.start_ms = m.start_ms AND clips.end_ms = m.end_ms)
        AND NOT EXISTS (SELECT 1 FROM rejections AS r WHERE r.candidate_id = c.candidate_id
            AND r.at > m.at AND (r.label IS NULL OR m.label IS NULL OR {_SAME_CLASS}))
        ORDER BY c.video_id, m.start_ms""",
        {"label": label, "length": MANUAL_CLIP_MS},
    )
    return [
        Moment(_entry(url, start, end, _name(said, label or "", called), video_id), state)
        for url, start, end, said, video_id, state in rows
    ]


def fetch_list(
    db: Database, *, label: str | None, states: Sequence[State], limit: int | None
) -> Iterator[Entry]:
    """Yield rows of a list for ``fetch --urls``: ``url,start,end,label,video_id``.

    What was found by hand at a time is 10 s from there, or until its end; all else is whole.
    """
    called = classes_called(db)
    classes = {name for (name,) in db.execute("SELECT name FROM classes")}

    def is_wanted(name: str) -> bool:
        return not classes or name in classes

    refused = {
        video_id
        for (video_id,) in db.execute(
            "SELECT video_id FROM rejections JOIN candidates USING (candidate_id) "
            "WHERE label IS NOT NULL"
        )
    }
    for row in list_candidates(db, label=label, states=states, limit=limit):
        if row["url"] is None:
            continue
        url, video_id = str(row["url"]), str(row["video_id"])
        said = set(filter(None, str(row["labels"] or "").split("; ")))
        is_rejected = row["state"] == "rejected"
        left = set(said)
        if video_id in refused and not is_rejected:
            left -= _rejected(db, video_id, called)
        labels = sorted(filter(is_wanted, left))
        wanted = label or (labels[0] if len(labels) == 1 else "")
        spans = db.execute(
            "SELECT DISTINCT start_ms, coalesce(end_ms, start_ms + :length), label "
            "FROM manual_finds AS m JOIN candidates USING (candidate_id) "
            "WHERE video_id = :video_id AND start_ms IS NOT NULL "
            f"AND (:label IS NULL OR label IS NULL OR label IN ({CALLED})) "
            f"AND (:rejected OR NOT EXISTS ({_REJECTED_LATER}))",
            {
                "length": MANUAL_CLIP_MS,
                "video_id": video_id,
                "label": label,
                "rejected": is_rejected,
            },
        ).fetchall()
        for start, end, name in spans:
            yield _entry(url, start, end, _name(name, wanted, called), video_id)
        if not spans and (left or not said):
            yield url, "", "", wanted, video_id


def _rejected(db: Database, video_id: str, called: Mapping[str, frozenset[str]]) -> set[str]:
    """Return the classes that a video was rejected for, and not found again since."""
    rejected = db.execute(
        "SELECT DISTINCT label FROM rejections JOIN candidates USING (candidate_id) "
        "WHERE video_id = ? AND label IS NOT NULL",
        [video_id],
    ).fetchall()
    found = rejected and db.execute(
        "SELECT DISTINCT label FROM manual_finds AS m JOIN candidates USING (candidate_id) "
        f"WHERE video_id = ? AND label IS NOT NULL AND NOT EXISTS ({_REJECTED_LATER})",
        [video_id],
    )
    names = [{n for (one,) in rows for n in called.get(one, {one})} for rows in (rejected, found)]
    return names[0] - names[1]


def _entry(url: str, start_ms: int, end_ms: int, label: str, video_id: str) -> Entry:
    return url, format_seconds(start_ms), format_seconds(end_ms), label, video_id


def _name(said: str | None, wanted: str, called: Mapping[str, frozenset[str]]) -> str:
    """Return what the class somebody named is called now; ``wanted`` if nobody knows."""
    names = called.get(said, frozenset({said})) if said else frozenset()
    return next(iter(names)) if len(names) == 1 else wanted
