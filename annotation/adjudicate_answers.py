"""What annotators said of a clip in dispute, side by side: for the terminal, and for a task."""

from __future__ import annotations

import hashlib
from html import escape
from typing import TYPE_CHECKING, NamedTuple

from mimecurate.annotation.adjudicate import FIELDS, disputed_fields
from mimecurate.schemas.ids import interval_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlite_utils import Database

    from mimecurate.annotation.adjudicate import Dispute
    from mimecurate.curation.release_rule import Vote

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
MAX_NOTE = 200
_CELL = '<td style="padding-right:10px;font-size:12px;line-height:15px">'


class Answer(NamedTuple):
    """What one annotator said."""

    name: str
    """Who, or a letter where names are hidden."""
    vote: Vote
    note: str


class Line(NamedTuple):
    """One field, and what each said of it."""

    field: str
    differs: bool
    said: Sequence[str]


def shown_answers(db: Database, dispute: Dispute, *, anonymous: bool = False) -> list[Answer]:
    """Return what each said of a clip, with their notes.

    Args:
        db: the workspace's database.
        dispute: the clip.
        anonymous: hide names: who is A on one clip may be B on the next.
    """
    notes = dict(
        db.execute(
            "SELECT annotator, note FROM current_annotations WHERE clip_id = ? AND note <> '' "
            "ORDER BY at, annotation_id",
            [dispute.clip_id],
        ).fetchall()
    )
    votes = list(dispute.votes)
    if anonymous:
        votes.sort(key=lambda vote: _mixed(dispute.clip_id, vote.annotator))
    return [
        Answer(_letter(i) if anonymous else vote.annotator, vote, notes.get(vote.annotator, ""))
        for i, vote in enumerate(votes)
    ]


def answer_lines(answers: Sequence[Answer]) -> list[Line]:
    """Lay answers out field by field; fields that nobody answered are left out."""
    differ = disputed_fields([answer.vote for answer in answers])
    lines = [
        Line(name, name in differ, [_said(answer.vote, name) for answer in answers])
        for name in FIELDS
    ]
    notes = Line("note", False, [answer.note[:MAX_NOTE] for answer in answers])
    return [line for line in [*lines, notes] if any(line.said)]


def answers_html(answers: Sequence[Answer]) -> str:
    """Make the table of answers that a task for adjudication shows: a row for each annotator.

    >>> from mimecurate.curation.release_rule import Vote
    >>> html = answers_html([Answer("A", Vote("ann", "no", *[None] * 5), "<b>")])
    >>> print(html.replace(_CELL, "<td>"))
    <table><tr><td></td><td>verdict</td><td>note</td></tr>\
<tr><td><b>A</b></td><td>no</td><td>&lt;b&gt;</td></tr></table>
    """
    lines = answer_lines(answers)
    heads = (f"<b>{line.field} *</b>" if line.differs else line.field for line in lines)
    rows = [["", *(head.replace("_", " ") for head in heads)]]
    for number, answer in enumerate(answers):
        said = (escape(line.said[number]) for line in lines)
        rows.append([f"<b>{escape(answer.name)}</b>", *said])
    table = "".join(f"<tr>{''.join(f'{_CELL}{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table>{table}</table>"


def _said(vote: Vote, name: str) -> str:
    if name == "trim":
        return interval_text(*vote.trim) if vote.trim else ""
    return getattr(vote, name) or ""


def _mixed(clip_id: str, annotator: str) -> bytes:
    return hashlib.sha256(f"{clip_id}\0{annotator}".encode()).digest()


def _letter(number: int) -> str:
    return _LETTERS[number] if number < len(_LETTERS) else f"annotator {number + 1}"
