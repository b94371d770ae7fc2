"""Decisions on clips: who decided what, when and why. They are only added, or taken back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mimecurate.curation.class_changes import DROPPED_WHY, SPLIT_WHY
from mimecurate.curation.release_rule import FLAGS, Outcome
from mimecurate.errors import MimecurateError
from mimecurate.schemas.database import now
from mimecurate.schemas.ids import interval_text

if TYPE_CHECKING:
    from sqlite_utils import Database

Method = Literal["adjudicated", "rule", "imported"]


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided of a clip; the latest that was not taken back holds."""

    clip_id: str
    outcome: Outcome
    method: Method
    decided_by: str
    decided_at: str
    """UTC, ISO 8601."""
    why: str
    decision_id: int = 0
    """Its number in the database; a later decision has a higher one."""

    @property
    def is_by_a_person(self) -> bool:
        """Whether somebody looked: no rule overrules that."""
        return self.method != "rule"

    @property
    def is_by_the_list(self) -> bool:
        """Whether the class that annotators said is none now: no majority brings it back."""
        return self.method == "rule" and self.why.startswith((DROPPED_WHY, SPLIT_WHY))


_COLUMNS = (
    "decision_id, clip_id, method, decided_by, decided_at, why, verdict, label, mime_artist, "
    "object_relevant, scene_relevant, start_ms, end_ms"
)


def current_decisions(db: Database) -> dict[str, Decision]:
    """Return the decisions that hold, by clip."""
    rows = db.execute(f"SELECT {_COLUMNS} FROM current_decisions ORDER BY clip_id")
    return {row[1]: _decision(row) for row in rows}


def current_decision(db: Database, clip_id: str) -> Decision | None:
    """Return the decision that holds for a clip."""
    row = db.execute(
        f"SELECT {_COLUMNS} FROM current_decisions WHERE clip_id = ?", [clip_id]
    ).fetchone()
    return _decision(row) if row else None


def record_decision(
    db: Database,
    clip_id: str,
    outcome: Outcome,
    *,
    method: Method,
    by: str,
    why: str,
    at: str | None = None,
) -> int:
    """Write a decision down; from now on it holds.

    Args:
        db: the workspace's database.
        clip_id: the clip.
        outcome: what was decided.
        method: how.
        by: who decided.
        why: the reason, in words.
        at: when, UTC in ISO 8601; None: now.

    Returns:
        The decision's number.
    """
    with db.atomic():
        cursor = db.execute(
            "INSERT INTO decisions (clip_id, verdict, label, mime_artist, object_relevant, "
            "scene_relevant, start_ms, end_ms, method, decided_by, decided_at, why) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                clip_id,
                *outcome[:-1],
                *(outcome.trim or (None, None)),
                method,
                by,
                at or now(),
                why,
            ],
        )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def retract_decision(db: Database, decision_id: int, *, by: str, why: str = "") -> None:
    """Take a decision back: the one before it on its clip holds again, if there is one.

    Both stay in the database. To take back what was taken back already changes nothing.
    """
    with db.atomic():
        db.execute(
            "INSERT INTO retractions (decision_id, retracted_by, retracted_at, why) "
            "SELECT ?, ?, ?, ? WHERE NOT EXISTS (SELECT 1 FROM retractions WHERE decision_id = ?)",
            [decision_id, by, now(), why, decision_id],
        )


def retract_rule_decisions(db: Database, clip_id: str, *, by: str, why: str) -> None:
    """Take back all that the rule ever decided on a clip."""
    with db.atomic():
        db.execute(
            "INSERT INTO retractions (decision_id, retracted_by, retracted_at, why) "
            "SELECT decision_id, ?, ?, ? FROM decisions WHERE clip_id = ? AND method = 'rule' "
            "AND decision_id NOT IN (SELECT decision_id FROM retractions)",
            [by, now(), why, clip_id],
        )


def outcome_words(outcome: Outcome) -> str:
    """Say a decision in a line.

    >>> outcome_words(Outcome("yes", "archery", "no", None, "unsure", (6500, 9000)))
    'yes, archery, mime_artist no, scene_relevant unsure, trim 6.5-9 s'
    """
    flags = [f"{flag} {getattr(outcome, flag)}" for flag in FLAGS if getattr(outcome, flag)]
    trim = [f"trim {interval_text(*outcome.trim)}"] if outcome.trim else []
    return ", ".join([outcome.verdict, *filter(None, [outcome.label]), *flags, *trim])


def check_decider(name: str | None) -> str:
    """Return who decides: ``name``, or else the operating system's user.

    Raises:
        MimecurateError: the name is empty, long or holds control characters, or nobody is known.
    """
    if name is None:
        name = _user_name()
    if not name.strip() or len(name) > 200 or not name.isprintable():
        raise MimecurateError(f"--by {name[:50]!r} must be a name of 1 to 200 printable characters")
    return name.strip()


def _user_name() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError) as error:
        raise MimecurateError("who decides? this user has no name; give one with --by") from error


def _decision(row: tuple[object, ...]) -> Decision:
    decision_id, clip_id, method, by, at, why, *fields, start_ms, end_ms = row
    trim = None if start_ms is None else (start_ms, end_ms)
    outcome = Outcome._make([*fields, trim])
    return Decision(clip_id, outcome, method, by, at, why, decision_id)  # type: ignore[arg-type]
