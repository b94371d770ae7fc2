"""Decide on clips one after the other in a terminal, a key for each decision."""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING

import click

from mimecurate.annotation.adjudicate_answers import answer_lines, shown_answers
from mimecurate.annotation.adjudicate_decisions import (
    current_decision,
    outcome_words,
    record_decision,
    retract_decision,
)
from mimecurate.annotation.task_data import source_link
from mimecurate.console import printable, say
from mimecurate.curation.class_list import normal_class_name
from mimecurate.curation.clips import ClipFilter, find_clips
from mimecurate.curation.release_rule import FLAGS, Outcome
from mimecurate.errors import ClipError
from mimecurate.schemas.ids import interval_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mimecurate.annotation.adjudicate import Dispute
    from mimecurate.annotation.adjudicate_answers import Answer
    from mimecurate.curation.release_rule import Vote
    from mimecurate.curation.workspace import Workspace

HELP = (
    "1-9 take that answer · f field by field · n not the action · u unsure · x does not play · "
    "s skip · b back, taking the last decision back · c contact sheet · w say why · q quit"
)
_VERDICTS = {"y": "yes", "n": "no", "u": "unsure", "x": "unplayable"}
_ANSWERS = {"y": "yes", "n": "no", "u": "unsure"}
_SHEET_FRAMES, _SHEET_HEIGHT_PX = 8, 96


@dataclass(slots=True)
class _Session:
    """What a round through the clips needs to know."""

    space: Workspace
    by: str
    anonymous: bool
    sheet_in_terminal: bool
    classes: Mapping[str, str]
    why: str = ""
    """What was said with ``w`` of the clip at hand."""
    done: list[tuple[int, int | None]] = field(default_factory=list)
    """Clips that were dealt with, and the decisions on them; None: skipped."""


@dataclass(frozen=True, slots=True)
class _Clip:
    dispute: Dispute
    answers: Sequence[Answer]
    facts: Mapping[str, object]


def adjudicate_in_terminal(
    space: Workspace,
    disputes: Sequence[Dispute],
    *,
    by: str,
    anonymous: bool,
    sheet_in_terminal: bool,
) -> int:
    """Ask for a decision on each clip. Every decision is kept at once.

    Reads keys from the terminal, or characters from a pipe; the end of the input quits.

    Args:
        space: the workspace, open for writing.
        disputes: the clips.
        by: who decides.
        anonymous: hide who said what.
        sheet_in_terminal: draw contact sheets here; else they are written as PNG.

    Returns:
        How many decisions were made.
    """
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")  # a database takes no byte that is not UTF-8
    classes = {normal_class_name(n): n for (n,) in space.db.execute("SELECT name FROM classes")}
    session = _Session(space, by, anonymous, sheet_in_terminal, classes)
    place = 0
    while place < len(disputes):
        clip = _open(session, disputes[place])
        if clip is None:
            place += 1
            continue
        _show(clip, f"clip {place + 1:,} of {len(disputes):,}")
        moved = _decide(session, clip, place)
        if moved is None:
            break
        place = moved
    return sum(decision is not None for _, decision in session.done)


def _open(session: _Session, dispute: Dispute) -> _Clip | None:
    db = session.space.db
    current = current_decision(db, dispute.clip_id)
    if current is not None and current.is_by_a_person:
        say(f"{dispute.clip_id}: {current.decided_by} decided meanwhile")
        return None
    [facts] = find_clips(db, ClipFilter(clip_ids=(dispute.clip_id,)))
    answers = shown_answers(db, dispute, anonymous=session.anonymous)
    return _Clip(dispute, answers, facts)


def _show(clip: _Clip, where: str) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    facts = clip.facts
    start_ms = facts["start_ms"]
    assert isinstance(start_ms, int)
    link = source_link(str(facts["url"] or ""), start_ms)
    said = [facts["label"] and f"listed as {facts['label']}", link, facts["path"]]
    say(f"\n{where}: {clip.dispute.clip_id}")
    say(" · ".join(str(part) for part in said if part))
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    for number, answer in enumerate(clip.answers, 1):
        table.add_column(Text(printable(f"{number} {answer.name}")), overflow="fold")
    for line in answer_lines(clip.answers):
        mark = f"{line.field} *" if line.differs else line.field
        table.add_row(mark, *(Text(printable(text)) for text in line.said))
    Console(stderr=True).print(table)


def _decide(session: _Session, clip: _Clip, place: int) -> int | None:
    """Ask until the clip is decided or left; return the next place, None to quit."""
    session.why = ""
    while True:
        takes = "123456789"[: len(clip.answers)]
        key = _key(f"{takes[:1]}-{takes[-1:]} f n u x s b c w q (? for help)", takes + "fnuxsbcwq?")
        if key in {"", "q"}:
            return None
        if key == "?":
            say(HELP)
        elif key == "w":
            session.why = _line("why: ")
        elif key == "c":
            _show_sheet(session, clip)
        elif key == "b":
            if session.done:
                return _go_back(session)
            say("nothing to go back to")
        elif key == "s":
            session.done.append((place, None))
            return place + 1
        elif _take(session, clip, place, key):
            return place + 1


def _take(session: _Session, clip: _Clip, place: int, key: str) -> bool:
    """Make and keep the decision that a key stands for; whether one was made."""
    if key.isdigit():
        vote = clip.answers[int(key) - 1].vote
        outcome: Outcome | None = _outcome_of(vote)
        how = f"took the answer of {vote.annotator}"
    elif key == "f":
        outcome = _field_by_field(session, clip)
        how = "field by field"
    else:
        outcome = Outcome(_VERDICTS[key])
        how = "decided anew"
    if outcome is not None:
        outcome = _with_label(session, clip, outcome)
    if outcome is None:
        return False
    db, clip_id = session.space.db, clip.dispute.clip_id
    why = "; ".join(filter(None, [session.why, how]))
    made = record_decision(db, clip_id, outcome, method="adjudicated", by=session.by, why=why)
    session.done.append((place, made))
    say(f"decided: {outcome_words(outcome)}")
    return True


def _outcome_of(vote: Vote) -> Outcome:
    return Outcome(*vote[1:]) if vote.verdict == "yes" else Outcome(vote.verdict)


def _go_back(session: _Session) -> int:
    place, decision = session.done.pop()
    if decision is not None:
        retract_decision(session.space.db, decision, by=session.by, why="taken back at once")
        say("taken back")
    return place


def _field_by_field(session: _Session, clip: _Clip) -> Outcome | None:
    """Ask for what is in dispute; None if the answers end before."""
    votes = [answer.vote for answer in clip.answers]
    verdict = _chosen("verdict", {vote.verdict for vote in votes}, _VERDICTS)
    if verdict != "yes":
        return Outcome(verdict) if verdict else None
    agreeing = [vote for vote in votes if vote.verdict == "yes"]
    label = _chosen_label(session, sorted({vote.label for vote in agreeing if vote.label}))
    if label is None:
        return None
    flags: list[str | None] = []
    for flag in FLAGS:
        given = {getattr(vote, flag) for vote in agreeing} - {None}
        flags.append(_chosen(flag, given, _ANSWERS))
        if given and flags[-1] is None:
            return None
    trims = sorted({vote.trim for vote in agreeing}, key=lambda trim: trim or (-1, -1))
    place = 0 if len(trims) == 1 else _chosen_trim(trims)
    return None if place is None else Outcome._make(["yes", label or None, *flags, trims[place]])


def _chosen(name: str, given: set[str], keys: Mapping[str, str]) -> str | None:
    """Return what all gave, or else ask; None if nobody gave any, or the input ended."""
    if len(given) < 2:
        return next(iter(given), None)
    choices = " ".join(f"{key} {word}" for key, word in keys.items())
    return keys.get(_key(f"{name}: {choices}", "".join(keys)))


def _chosen_label(session: _Session, labels: Sequence[str]) -> str | None:
    """Return the label that all gave, '' if nobody gave any, or else ask."""
    if len(labels) < 2:
        return next(iter(labels), "")
    shown = " ".join(f"{number} {label}" for number, label in enumerate(labels[:9], 1))
    key = _key(f"label: {shown} / another", "123456789"[: len(labels)] + "/")
    if key == "/":
        return _typed_label(session)
    return labels[int(key) - 1] if key else None


def _chosen_trim(trims: Sequence[tuple[int, int] | None]) -> int | None:
    words = (interval_text(*trim) if trim else "the whole clip" for trim in trims[:9])
    shown = " ".join(f"{number} {word}" for number, word in enumerate(words, 1))
    key = _key(f"trim: {shown}", "123456789"[: len(trims)])
    return int(key) - 1 if key else None


def _with_label(session: _Session, clip: _Clip, outcome: Outcome) -> Outcome | None:
    if outcome.verdict != "yes" or outcome.label or clip.facts["label"]:
        return outcome
    label = _typed_label(session)
    return None if label is None else outcome._replace(label=label)


def _typed_label(session: _Session) -> str | None:
    """Ask for a class by its name, or a part of it that no other has; None if nothing is typed."""
    while text := normal_class_name(_line("class: ")):
        if text in session.classes or not session.classes:
            return session.classes.get(text, text)
        near = [name for name in session.classes if text.casefold() in name.casefold()]
        if len(near) == 1:
            return session.classes[near[0]]
        near = near or get_close_matches(text, session.classes, 5)
        say(f"no class {text!r}; near: {', '.join(near[:10]) or 'none'}")
    return None


def _show_sheet(session: _Session, clip: _Clip) -> None:
    from mimecurate.commands.clips import draw_in_terminal, sheet_of

    if not clip.facts["path"]:
        say("this clip was not fetched")
        return
    try:
        sheet = sheet_of(
            session.space.root, [dict(clip.facts)], frames=_SHEET_FRAMES, height=_SHEET_HEIGHT_PX
        )
    except ClipError as error:
        say(str(error))
        return
    if session.sheet_in_terminal:
        draw_in_terminal(sheet)
        return
    target = session.space.state_dir / "contact-sheet.png"
    target.parent.mkdir(exist_ok=True)
    sheet.save(target, format="PNG")
    say(f"wrote {target}")


def _key(prompt: str, allowed: str) -> str:
    """Read one of the keys that are allowed; '' where the input ends."""
    while True:
        click.echo(f"{printable(prompt)}: ", err=True, nl=False)
        key = _read_key()
        if not key:
            click.echo(err=True)
            return ""
        click.echo(printable(key), err=True)
        if len(key) == 1 and key in allowed:
            return key
        say(f"no key {key!r} here")


def _read_key() -> str:
    if sys.stdin.isatty():
        try:
            return click.getchar()
        except EOFError:
            return ""
    while (key := sys.stdin.read(1)).isspace():
        pass
    return key


def _line(prompt: str) -> str:
    click.echo(prompt, err=True, nl=False)
    return sys.stdin.readline().strip()
