"""Decisions as CSV: for a lead who decides without a server, in a spreadsheet or a script.

What is exported can be filled in and imported again. All that is wrong with a file is said at once,
and a file with anything wrong changes nothing.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from mimecurate.annotation.adjudicate import votes_in_words
from mimecurate.annotation.adjudicate_csv_rows import COLUMNS, Row, known_of, read_rows
from mimecurate.annotation.adjudicate_decisions import Decision, current_decisions, record_decision
from mimecurate.curation.release_csv import neutral_cell
from mimecurate.curation.release_problems import Problems
from mimecurate.curation.release_stage import writing
from mimecurate.schemas.times import format_seconds

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlite_utils import Database

    from mimecurate.annotation.adjudicate import Dispute

VOTES = "votes"
"""A column that is written for people, and not read."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What came of a file."""

    decided: int
    """Clips that had no decision."""
    changed: int
    """Clips with another decision than before."""
    unchanged: int
    """Rows that say what holds already."""
    left_open: int
    """Rows without a verdict."""


def export_decisions(db: Database, disputes: Iterable[Dispute] = ()) -> str:
    """Write the decisions that hold as CSV, and below them rows to fill in for ``disputes``."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*COLUMNS, VOTES])
    holding = current_decisions(db)
    for decision in holding.values():
        writer.writerow([*_cells(decision), ""])
    blank = [""] * (len(COLUMNS) - 1)
    for dispute in disputes:
        if dispute.clip_id not in holding:
            words = votes_in_words(dispute.votes)
            writer.writerow([dispute.clip_id, *blank, neutral_cell(words)])
    return out.getvalue()


def import_decisions(
    db: Database, stream: BinaryIO, name: str, *, by: str, dry_run: bool = False
) -> Imported:
    """Take over the decisions of a CSV, all of them or none.

    Columns are told by the header: clip_id and verdict must be there, the others of `COLUMNS` may,
    and more are passed over. Times are those of the source video, as seconds, MM:SS or
    HH:MM:SS.mmm. A row without a verdict leaves its clip open, and one that says what holds already
    changes nothing.

    Args:
        db: the workspace's database.
        stream: the file.
        name: what to call it.
        by: who decided, where ``decided_by`` is empty.
        dry_run: only check and count.

    Raises:
        InvalidInputError: all that is wrong, with line and column.
    """
    problems = Problems()
    counts = {"decided": 0, "changed": 0, "unchanged": 0, "left_open": 0}
    with writing(db):
        rows = list(read_rows(stream, known_of(db), problems))
        problems.raise_if_any(name)
        holding = current_decisions(db)
        for row in rows:
            if row.outcome is None:
                counts["left_open"] += 1
                continue
            current = holding.get(row.clip_id)
            kind = "decided"
            if current is not None:
                kind = "unchanged" if _says_the_same(row, current) else "changed"
            counts[kind] += 1
            if kind != "unchanged" and not dry_run:
                record_decision(
                    db,
                    row.clip_id,
                    row.outcome,
                    method="imported",
                    by=row.decided_by or by,
                    why=row.why,
                )
    return Imported(**counts)


def _cells(decision: Decision) -> list[str]:
    verdict, label, *flags, trim = decision.outcome
    times = ["", ""] if trim is None else [format_seconds(ms) for ms in trim]
    return [
        decision.clip_id,
        verdict,
        neutral_cell(label or ""),
        *(flag or "" for flag in flags),
        *times,
        *(neutral_cell(_one_line(text)) for text in (decision.why, decision.decided_by)),
    ]


def _says_the_same(row: Row, current: Decision) -> bool:
    """Whether a row says no more than what holds; an empty ``why`` or ``decided_by`` says nothing.

    What the rule decided and somebody hands in again as it was exported stays the rule's.
    """
    return (
        row.outcome == current.outcome
        and _one_line(row.why) in {"", _one_line(current.why)}
        and _one_line(row.decided_by) in {"", _one_line(current.decided_by)}
    )


def _one_line(text: str) -> str:
    r"""Bring a text onto one line, without what a CSV can't hold.

    >>> _one_line("a real\n bow\0")
    'a real bow'
    """
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
