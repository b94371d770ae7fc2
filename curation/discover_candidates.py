"""The candidates: what is known of each, and what was added or rejected by hand."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal
from urllib.parse import parse_qs, urlsplit

from mimecurate.curation.discover_sources import clean_text
from mimecurate.errors import MimecurateError
from mimecurate.schemas.database import now
from mimecurate.schemas.ids import youtube_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlite_utils import Database

    from mimecurate.curation.url_list_fields import Link

State = Literal[
    "open", "listed", "fetched", "verified", "rejected", "released", "gone", "withdrawn"
]
STATES: tuple[State, ...] = (
    "open",
    "listed",
    "fetched",
    "verified",
    "rejected",
    "released",
    "gone",
    "withdrawn",
)
"""``listed``: a clip of it is wanted; ``verified``: somebody said yes to one."""
MAX_NOTE_CHARACTERS = 2_000
_LINK_TIME = re.compile(r"(?:(\d{1,3})h)?(?:(\d{1,4})m)?(?:(\d{1,6})s?)?")

COLUMNS = (
    "video_id",
    "state",
    "queries",
    "best_rank",
    "labels",
    "title",
    "channel",
    "duration_ms",
    "url",
    "source",
    "found_at",
)

VERDICTS = """verdicts AS MATERIALIZED (
    SELECT clips.video_id, max(verdict = 'yes') AS yes, max(verdict = 'no') AS no
    FROM clip_verdicts JOIN clips USING (clip_id) GROUP BY clips.video_id)"""
CALLED = "SELECT :label UNION ALL SELECT other FROM class_called WHERE name = :label"
STATE = f"""CASE
    WHEN c.url IS NULL THEN 'withdrawn'
    WHEN EXISTS (SELECT 1 FROM release_rows WHERE release_rows.video_id = c.video_id)
        THEN 'released'
    WHEN EXISTS (SELECT 1 FROM rejections WHERE rejections.candidate_id = c.candidate_id
        AND (label IS NULL OR label IN ({CALLED}))) THEN 'rejected'
    WHEN verdicts.yes THEN 'verified'
    WHEN verdicts.no THEN 'rejected'
    WHEN EXISTS (SELECT 1 FROM clips JOIN media USING (clip_id)
        WHERE clips.video_id = c.video_id) THEN 'fetched'
    WHEN EXISTS (SELECT 1 FROM clips WHERE clips.video_id = c.video_id) THEN 'listed'
    WHEN c.gone_at IS NOT NULL THEN 'gone'
    ELSE 'open' END"""
_OF_CLASS = f"""wanted AS MATERIALIZED (
    SELECT candidate_id, sum(queries) AS queries, min(best_rank) AS best_rank FROM (
        SELECT candidate_id, count(DISTINCT searches.query_id) AS queries, min(rank) AS best_rank
        FROM query_classes CROSS JOIN searches USING (query_id) CROSS JOIN finds USING (search_id)
        WHERE query_classes.label = :label GROUP BY candidate_id
        UNION ALL
        SELECT candidate_id, 0, 0 FROM manual_finds WHERE label IN ({CALLED}))
    GROUP BY candidate_id)"""
_LABELS = """(SELECT group_concat(label, '; ') FROM (
    SELECT label FROM finds CROSS JOIN searches USING (search_id)
        CROSS JOIN query_classes USING (query_id) WHERE finds.candidate_id = c.candidate_id
    UNION SELECT coalesce(name, label) FROM manual_finds
        LEFT JOIN class_called ON other = label
        WHERE manual_finds.candidate_id = c.candidate_id
        AND label IS NOT NULL ORDER BY label))"""


@dataclass(frozen=True, slots=True)
class Added:
    """What `add_candidate` did."""

    video_id: str
    was_known: bool
    """Whether a search or a person had found the video before."""
    state: State
    """Of the video, for the class."""


def list_candidates(
    db: Database,
    *,
    label: str | None = None,
    states: Sequence[State] = ("open",),
    limit: int | None = 50,
) -> Iterator[dict[str, object]]:
    """Yield candidates with their state, those first that most queries found.

    Args:
        db: the workspace's database.
        label: only what was found for this class, by most queries and best rank; None: all,
            newest first.
        states: only these; empty: all.
        limit: how many at the most.

    Yields:
        A dictionary with `COLUMNS`.
    """
    if label is None:
        counts = """(SELECT count(DISTINCT query_id) FROM finds JOIN searches USING (search_id)
                WHERE finds.candidate_id = c.candidate_id) AS queries,
            (SELECT min(rank) FROM finds WHERE finds.candidate_id = c.candidate_id) AS best_rank"""
        sql = f"""WITH {VERDICTS} SELECT c.video_id, {STATE} AS state, {counts},
            {_LABELS} AS labels, {", ".join(f"c.{name}" for name in COLUMNS[5:])}
            FROM candidates AS c LEFT JOIN verdicts ON verdicts.video_id = c.video_id
            {_where(states)} ORDER BY c.candidate_id DESC LIMIT :limit"""
    else:
        sql = f"""WITH {VERDICTS}, {_OF_CLASS} SELECT * FROM (
            SELECT c.video_id, {STATE} AS state, wanted.queries, wanted.best_rank,
            {_LABELS} AS labels, {", ".join(f"c.{name}" for name in COLUMNS[5:])}
            FROM wanted JOIN candidates AS c USING (candidate_id)
            LEFT JOIN verdicts ON verdicts.video_id = c.video_id
            {_where(states)} ORDER BY wanted.queries DESC, wanted.best_rank, c.candidate_id)
            LIMIT :limit"""
    values = {"label": label, "limit": -1 if limit is None else limit}
    values |= {f"state{i}": state for i, state in enumerate(states)}
    for row in db.execute(sql, values):
        yield dict(zip(COLUMNS, row, strict=True))


def show_candidate(db: Database, video_id: str) -> dict[str, object]:
    """Return all that is known of a candidate, with every query that found it.

    Raises:
        MimecurateError: there is no such candidate.
    """
    candidate_id = _candidate_id(db, video_id)
    row = db.execute(
        f"WITH {VERDICTS} SELECT {STATE}, title, channel, duration_ms, published_at, url, "
        "source, found_at, refresh_by, duration_refresh_by, gone_at FROM candidates AS c "
        "LEFT JOIN verdicts ON verdicts.video_id = c.video_id WHERE c.candidate_id = :id",
        {"id": candidate_id, "label": None},
    )
    names = ["state", *(d[0] for d in row.description[1:])]
    shown: dict[str, object] = {"video_id": video_id}
    shown |= dict(zip(names, row.fetchone(), strict=True))
    shown["finds"] = _dicts(
        db,
        "SELECT queries.text AS query, queries.language, searches.source, rank, searches.at, "
        "(SELECT group_concat(DISTINCT label) FROM query_classes "
        "WHERE query_classes.query_id = queries.query_id) AS labels "
        "FROM finds JOIN searches USING (search_id) JOIN queries USING (query_id) "
        "WHERE candidate_id = ? ORDER BY searches.at, rank",
        candidate_id,
    )
    shown["by_hand"] = _dicts(
        db,
        "SELECT label, start_ms, end_ms, note, found_by, at FROM manual_finds "
        "WHERE candidate_id = ? ORDER BY find_id",
        candidate_id,
    )
    shown["rejections"] = _dicts(
        db,
        "SELECT label, why, rejected_by, at FROM rejections WHERE candidate_id = ? "
        "ORDER BY rejection_id",
        candidate_id,
    )
    return shown


def add_candidate(
    db: Database,
    link: Link,
    *,
    label: str | None,
    start_ms: int | None,
    end_ms: int | None,
    note: str,
    found_by: str,
) -> Added:
    """Keep what a person found by watching.

    Args:
        db: the workspace's database.
        link: the video, as `read_link` gives it.
        label: the class that it shows.
        start_ms: where, in milliseconds; None: nobody said.
        end_ms: until where.
        note: words for whoever verifies it.
        found_by: who.
    """
    with db.atomic():
        cursor = db.execute(
            "INSERT INTO candidates (video_id, url, source, found_at) VALUES (?, ?, 'by hand', ?) "
            "ON CONFLICT DO NOTHING",
            [link.video_id, link.url, now()],
        )
        was_known = cursor.rowcount == 0
        db.execute(
            "INSERT INTO manual_finds (candidate_id, label, start_ms, end_ms, note, found_by, at) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                _candidate_id(db, link.video_id),
                label,
                start_ms,
                end_ms,
                clean_note(note),
                found_by,
                _now_exactly(),
            ],
        )
    return Added(link.video_id, was_known, _state(db, link.video_id, label))


def reject_candidates(
    db: Database, video_ids: Sequence[str], *, label: str | None, why: str, rejected_by: str
) -> int:
    """Mark candidates as not wanted, for one class or for all; return how many.

    Raises:
        MimecurateError: one of them is no candidate; nothing is marked then.
    """
    ids = [_candidate_id(db, video_id) for video_id in dict.fromkeys(video_ids)]
    with db.atomic():
        for candidate_id in ids:
            db.execute(
                "INSERT INTO rejections (candidate_id, label, why, rejected_by, at) "
                "VALUES (?, ?, ?, ?, ?)",
                [candidate_id, label, clean_note(why), rejected_by, _now_exactly()],
            )
    return len(ids)


def _now_exactly() -> str:
    """Return the time to the microsecond: of a find and a rejection, the later one counts."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def time_in_link(url: str) -> int | None:
    """Return the time that a YouTube link begins at, in milliseconds; None if it says none.

    >>> time_in_link("https://youtu.be/0zFbEjoGlhc?t=192")
    192000
    >>> time_in_link("https://www.youtube.com/watch?v=0zFbEjoGlhc&t=3m12s")
    192000
    """
    if youtube_id(url) is None:
        return None
    said = parse_qs(urlsplit(url).query)
    match = _LINK_TIME.fullmatch((said.get("t") or said.get("start") or [""])[0])
    if match is None or not match[0]:
        return None
    hours, minutes, seconds = (int(group or 0) for group in match.groups())
    return ((hours * 60 + minutes) * 60 + seconds) * 1000


def clean_note(text: str) -> str:
    r"""Keep a person's words: at most 2,000 characters, none of which acts on a terminal.

    >>> clean_note("a\x1b[2J\nb")
    'a[2J b'
    """
    return "".join(c for c in " ".join(text.split()) if c.isprintable())[:MAX_NOTE_CHARACTERS]


def _where(states: Sequence[State]) -> str:
    marks = ", ".join(f":state{i}" for i in range(len(states)))
    return f"WHERE {STATE} IN ({marks})" if states else ""


def _state(db: Database, video_id: str, label: str | None) -> State:
    row = db.execute(
        f"WITH {VERDICTS} SELECT {STATE} FROM candidates AS c LEFT JOIN verdicts "
        "ON verdicts.video_id = c.video_id WHERE c.video_id = :video_id",
        {"video_id": video_id, "label": label},
    ).fetchone()
    state: State = row[0]
    return state


def _candidate_id(db: Database, video_id: str) -> int:
    row = db.execute(
        "SELECT candidate_id FROM candidates WHERE video_id = ?", [video_id]
    ).fetchone()
    if row is None:
        shown = clean_text(video_id) or ""
        raise MimecurateError(f"no candidate {shown[:80]!r}; see `mimecurate discover list`")
    return int(row[0])


def _dicts(db: Database, sql: str, candidate_id: int) -> list[dict[str, object]]:
    cursor = db.execute(sql, [candidate_id])
    names = [d[0] for d in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]
