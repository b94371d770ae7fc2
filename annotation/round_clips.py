"""Which clips a round asks about, and in which order its annotators get them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mimecurate.errors import InvalidInputError, MimecurateError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from sqlite_utils import Database

_FETCHED = """FROM clips JOIN media USING (clip_id) LEFT JOIN current_decisions USING (clip_id)
    WHERE clip_id NOT IN (SELECT clip_id FROM withdrawals)"""
_IN_ROUND = """FROM tasks JOIN projects USING (project_key)
    WHERE round = ? AND projects.gone_at IS NULL"""
_ASKED = f"SELECT clip_id {_IN_ROUND} AND gold_decision IS NULL"
_GOLD = f"SELECT clip_id {_IN_ROUND} AND gold_decision IS NOT NULL"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which clips; what is None does not matter."""

    label: str | None = None
    split: str | None = None
    video_id: str | None = None
    limit: int | None = None
    """At most so many, without the gold clips."""
    gold: int | tuple[str, ...] = 0
    """How many gold clips, or which."""


@dataclass(frozen=True, slots=True)
class RoundClips:
    """The clips of a round."""

    asked: tuple[str, ...]
    """Whose answer is wanted; in no order."""
    gold: dict[str, int]
    """The decision of each gold clip: its known answer."""

    def ordered(self, seed: str) -> list[str]:
        """Return all clips, shuffled by ``seed``: gold clips are anywhere between the others."""
        return shuffled([*self.asked, *self.gold], seed)


def choose_clips(db: Database, round_: str, wanted: Wanted) -> RoundClips:
    """Choose the clips of a round.

    Those that are fetched and not decided; what the round has already stays in it, so that the same
    call later chooses the same and what came since.

    Args:
        db: the workspace's database.
        round_: the round's name.
        wanted: which.

    Raises:
        MimecurateError: there are fewer decided clips than gold clips wanted, or one that was named
            can't be a gold clip.
    """
    where, values = _filter(wanted)
    rows = db.execute(
        f"SELECT clip_id {_FETCHED} AND (verdict IS NULL OR clip_id IN ({_ASKED})) "
        f"AND clip_id NOT IN ({_GOLD}){where}",
        [round_, round_, *values],
    )
    asked = [str(row[0]) for row in rows]
    if wanted.limit is not None and len(asked) > wanted.limit:
        old = {row[0] for row in db.execute(_ASKED, [round_])}
        drawn = shuffled(asked, round_)
        asked = sorted(drawn, key=lambda clip_id: clip_id not in old)[: wanted.limit]
    gold = _gold(db, round_, wanted)
    return RoundClips(tuple(c for c in asked if c not in gold), gold)


def shuffled(clip_ids: Iterable[str], seed: str) -> list[str]:
    """Put clips into an order that only the seed and the clips themselves decide.

    A clip more or less does not change the order of the others.

    >>> shuffled(["a", "b", "c"], "2"), shuffled(["a", "c"], "2")
    (['c', 'a', 'b'], ['c', 'a'])
    """
    return sorted(clip_ids, key=lambda c: hashlib.sha256(f"{seed}\0{c}".encode()).digest())


def read_gold_file(path: Path) -> tuple[str, ...]:
    """Read the ids of gold clips, one in a line; lines that begin with ``#`` are left out.

    Raises:
        InvalidInputError: it can't be read, or names no clip, or one twice.
    """
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(str(path), [Problem(f"can't be read: {error}")]) from error
    seen: dict[str, int] = {}
    problems = []
    for number, line in enumerate(lines, 1):
        clip_id = line.strip()
        if not clip_id or clip_id.startswith("#"):
            continue
        if clip_id in seen:
            problems.append(
                Problem(f"{clip_id[:120]!r} is already in line {seen[clip_id]}", number)
            )
        seen.setdefault(clip_id, number)
    if problems or not seen:
        raise InvalidInputError(str(path), problems or [Problem("names no clip")])
    return tuple(seen)


def _filter(wanted: Wanted) -> tuple[str, list[object]]:
    given = {
        "clips.label": wanted.label,
        "clips.split": wanted.split,
        "clips.video_id": wanted.video_id,
    }
    chosen = {column: value for column, value in given.items() if value is not None}
    return "".join(f" AND {column} = ?" for column in chosen), list(chosen.values())


def _gold(db: Database, round_: str, wanted: Wanted) -> dict[str, int]:
    old = dict(db.execute(_GOLD.replace("clip_id", "clip_id, gold_decision", 1), [round_]))
    if not isinstance(wanted.gold, int):
        return old | _named_gold(db, round_, wanted.gold, old)
    if len(old) >= wanted.gold:
        return old
    where, values = _filter(wanted)
    rows = db.execute(
        f"SELECT clip_id, decision_id {_FETCHED} AND verdict IN ('yes', 'no') "
        f"AND clip_id NOT IN ({_ASKED}){where}",
        [round_, *values],
    )
    known = dict(rows) | old
    if len(known) < wanted.gold:
        raise MimecurateError(
            f"--gold {wanted.gold}: only {len(known)} of the chosen clips have a decision (yes or "
            "no) to compare answers with"
        )
    drawn = [c for c in shuffled(known, round_) if c not in old]
    return old | {c: known[c] for c in drawn[: wanted.gold - len(old)]}


def _named_gold(
    db: Database, round_: str, clip_ids: tuple[str, ...], old: dict[str, int]
) -> dict[str, int]:
    known = dict(db.execute(f"SELECT clip_id, decision_id {_FETCHED} AND verdict IS NOT NULL"))
    asked = {row[0] for row in db.execute(_ASKED, [round_])}
    unknown = [c for c in clip_ids if c not in known and c not in old]
    taken = [c for c in clip_ids if c in asked]
    problems = [Problem(f"{c[:120]!r} has no media or no decision") for c in unknown]
    problems += [
        Problem(f"{c!r} is in round {round_!r} already, as a clip to be answered") for c in taken
    ]
    if problems:
        raise InvalidInputError("gold clips", problems)
    return {c: known[c] for c in clip_ids if c not in old}
