"""Change the list of classes, and what was decided by it: combine, split, rename, drop, replace.

A change is planned, shown as a diff, and then made in one transaction, with the list as it was and
as it became. It reaches decisions on clips that no release lists; those that one lists keep their
class, for a release is frozen. Decisions are never rewritten: a new one supersedes.
"""

from __future__ import annotations

import contextlib
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING

from mimecurate.curation.class_list import normal_class_name
from mimecurate.curation.class_maps import MapDiff, diff_classes, record_found, record_map
from mimecurate.curation.classes import (
    ClassEntry,
    list_problems,
    load_classes,
    merged,
    no_class,
    save_classes,
)
from mimecurate.curation.table_file import parse_table, read_text
from mimecurate.errors import InvalidInputError, MimecurateError, Problem
from mimecurate.schemas.database import now
from mimecurate.schemas.release import check_class_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from sqlite_utils import Database

_NOT_RELEASED = "clip_id NOT IN (SELECT clip_id FROM release_rows)"
_LABEL = "coalesce(current_decisions.label, clips.label)"
_WHY = "classes: "
EMPTY_LIST = (
    "the list of classes is empty; load one with `mimecurate classes load FILE` or "
    "`mimecurate init --classes FILE`"
)
DROPPED_WHY = f"{_WHY}drop "
"""What the reason of a decision begins with that no one made by looking: its class was dropped."""
SPLIT_WHY = f"{_WHY}split "
"""Likewise where its class was split."""


@dataclass(frozen=True, slots=True)
class Change:
    """What is to become of the list, and of clips by it."""

    what: str
    """In words: ``combine 'a', 'b' into 'c'``."""
    after: tuple[ClassEntry, ...]
    moves: Mapping[str, str] = field(default_factory=dict)
    """Class to class: clips and queries go along."""
    splits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Class to its parts; queries go to all of them."""
    assigned: Mapping[str, str] = field(default_factory=dict)
    """Clip to the part that it belongs to."""
    dropped: tuple[str, ...] = ()


@dataclass(slots=True)
class Effects:
    """How many clips and queries a change reaches."""

    decided: int = 0
    """Decisions that take another class."""
    undecided_again: int = 0
    """Decisions that are to be made again: of a class that was split, and not assigned."""
    rejected: int = 0
    """Decisions that become "no": of a class that was dropped."""
    listed: int = 0
    """Clips not decided on whose wanted class changes."""
    queries: int = 0
    by_hand: int = 0
    """Finds and rejections by hand; those of a class that was split count for each part."""
    released: int = 0
    """Clips that keep their class, for a release lists them."""


@dataclass(frozen=True, slots=True)
class Applied:
    """A change, made or only planned."""

    change: Change
    diff: MapDiff
    effects: Effects
    version: int | None
    """Of the list; None: nothing was changed."""


def combine(db: Database, names: Sequence[str], into: str) -> Change:
    """Plan to make one class of several, which may have the name of one of them."""
    entries = _by_name(db)
    sources = [_need(entries, name) for name in names]
    if len({entry.name for entry in sources}) < 2:
        raise MimecurateError("combine needs at least two different classes")
    if into in entries and into not in names:
        raise MimecurateError(f"class {into!r} is there; name it among those to combine")
    kept = entries.get(into) or replace(
        sources[0],
        name=_checked(into),
        aliases=(),
        kinetics400=(),
        kinetics600=(),
        kinetics700=(),
        split_from=(),
    )
    new = merged(kept, [entry for entry in sources if entry.name != into])
    after = [entry for entry in entries.values() if entry.name not in names] + [new]
    listed = ", ".join(map(repr, names))
    moves = {entry.name: into for entry in sources if entry.name != into}
    return Change(f"combine {listed} into {into!r}", tuple(after), moves=moves)


def rename(db: Database, old: str, new: str) -> Change:
    """Plan to call a class something else; the old name stays an alias."""
    entries = _by_name(db)
    entry = _need(entries, old)
    if new in entries:
        raise MimecurateError(f"class {new!r} is there; `classes combine` makes one of both")
    changed = merged(replace(entry, name=_checked(new)), [replace(entry, aliases=())])
    after = [e for e in entries.values() if e.name != old] + [changed]
    return Change(f"rename {old!r} to {new!r}", tuple(after), moves={old: new})


def split(db: Database, name: str, parts: Sequence[str], assigned: Mapping[str, str]) -> Change:
    """Plan to make several classes of one.

    Args:
        db: the workspace's database.
        name: the class.
        parts: the new ones; they take over its properties.
        assigned: the part that each clip belongs to; others are to be decided again.
    """
    entries = _by_name(db)
    entry = _need(entries, name)
    if len(set(parts)) < 2:
        raise MimecurateError("split needs at least two different parts")
    for part in parts:
        if part in entries and part != name:
            raise MimecurateError(f"class {part!r} is there already")
    unknown = sorted(set(assigned.values()) - set(parts))
    if unknown:
        raise MimecurateError(f"clips are assigned to {unknown[0]!r}, which is no part")
    there = {clip_id for (clip_id,) in db.execute("SELECT clip_id FROM clips")} if assigned else ()
    if absent := sorted(set(assigned) - set(there)):
        problems = [Problem(f"no clip {clip_id[:80]!r} is here") for clip_id in absent[:100]]
        raise InvalidInputError("clips to assign", problems)
    before = {name, *entry.aliases, *entry.split_from}
    empty = replace(entry, aliases=(), kinetics400=(), kinetics600=(), kinetics700=())
    new = [
        replace(empty, name=_checked(part), split_from=tuple(sorted(before - {part})))
        for part in parts
    ]
    after = [e for e in entries.values() if e.name != name] + new
    words = f"split {name!r} into {', '.join(map(repr, parts))}"
    return Change(words, tuple(after), splits={name: tuple(parts)}, assigned=assigned)


def drop(db: Database, name: str) -> Change:
    """Plan to collect a class no more."""
    entries = _by_name(db)
    _need(entries, name)
    after = tuple(e for e in entries.values() if e.name != name)
    return Change(f"drop {name!r}", after, dropped=(name,))


def load(db: Database, entries: Sequence[ClassEntry]) -> Change:
    """Plan to add the classes of a file, or replace what is known of them; none is removed."""
    after = _by_name(db) | {entry.name: entry for entry in entries}
    return Change(
        f"load {len(entries)} {'class' if len(entries) == 1 else 'classes'}", tuple(after.values())
    )


def apply_change(
    db: Database, change: Change, *, who: str, reason: str, dry_run: bool = False
) -> Applied:
    """Make a change, in one transaction, or only find out what it would do.

    Raises:
        InvalidInputError: the list would have names that mean two classes.
    """
    before = load_classes(db)
    problems = list_problems(change.after)
    if problems:
        raise InvalidInputError(
            "classes", [Problem(f"{name}: {words}") for name, words in problems]
        )
    diff = diff_classes(before, change.after)
    version = None
    with _transaction(db, dry_run=dry_run):
        record_found(db, who=who)
        effects = Effects(by_hand=_count_by_hand(db, change))
        save_classes(db, change.after)
        _carry_out(db, change, who, reason, effects)
        version = record_map(db, change.what, who=who, reason=reason, effects=asdict(effects))
    return Applied(change, diff, effects, None if dry_run else version)


def _carry_out(db: Database, change: Change, who: str, reason: str, effects: Effects) -> None:
    why = f"{_WHY}{change.what}" + (f"; {reason}" if reason else "")
    for old in (*change.moves, *change.splits, *change.dropped):
        effects.released += _count_released(db, old)
    for old, new in change.moves.items():
        targets = dict.fromkeys(_decided(db, old), new)
        effects.decided += _decide(db, targets, "verdict", who, why)
        effects.listed += _relabel(db, old, new)
        effects.queries += _move_queries(db, old, (new,))
    for old, parts in change.splits.items():
        clips = _decided(db, old)
        known = {clip: change.assigned[clip] for clip in clips if clip in change.assigned}
        effects.decided += _decide(db, known, "verdict", who, why)
        again = dict.fromkeys(clip for clip in clips if clip not in known)
        effects.undecided_again += _decide(db, again, "'unsure'", who, why)
        effects.listed += _relabel(db, old, None, change.assigned)
        effects.queries += _move_queries(db, old, parts)
    for old in change.dropped:
        targets = dict.fromkeys(_decided(db, old), old)
        effects.rejected += _decide(db, targets, "'no'", who, why)
        effects.queries += _count_queries(db, old)


def _decided(db: Database, label: str) -> list[str]:
    rows = db.execute(
        f"SELECT clip_id FROM current_decisions JOIN clips USING (clip_id) WHERE {_LABEL} = ? "
        f"AND verdict IN ('yes', 'unsure') AND {_NOT_RELEASED} ORDER BY clip_id",
        [label],
    )
    return [row[0] for row in rows]


def _decide(
    db: Database, labels: Mapping[str, str | None], verdict: str, who: str, why: str
) -> int:
    """Supersede the decision on each clip, keeping all but its class and perhaps its verdict."""
    for clip_id, label in labels.items():
        db.execute(
            "INSERT INTO decisions (clip_id, verdict, label, mime_artist, object_relevant, "
            "scene_relevant, method, decided_by, decided_at, why, start_ms, end_ms) "
            f"SELECT clip_id, {verdict}, ?, mime_artist, object_relevant, scene_relevant, 'rule', "
            "?, ?, ?, start_ms, end_ms FROM current_decisions WHERE clip_id = ?",
            [label, who, now(), why, clip_id],
        )
    return len(labels)


def _relabel(
    db: Database, old: str, new: str | None, assigned: Mapping[str, str] | None = None
) -> int:
    count = 0
    for clip_id, label in (assigned or {}).items():
        cursor = db.execute(
            f"UPDATE clips SET label = ? WHERE clip_id = ? AND label = ? AND {_NOT_RELEASED}",
            [label, clip_id, old],
        )
        count += cursor.rowcount
    # what somebody said no to was looked at for the old class, and for no other
    keep = (
        "" if new else "AND clip_id NOT IN (SELECT clip_id FROM clip_verdicts WHERE verdict = 'no')"
    )
    cursor = db.execute(
        f"UPDATE clips SET label = ? WHERE label = ? AND {_NOT_RELEASED} {keep}", [new, old]
    )
    return int(count + cursor.rowcount)


def _move_queries(db: Database, old: str, new: Sequence[str]) -> int:
    for label in new:
        db.execute(
            "INSERT INTO query_classes SELECT query_id, ?, template, phrase FROM query_classes "
            "WHERE label = ? ON CONFLICT DO NOTHING",
            [label, old],
        )
    if old in new:
        return 0
    return int(db.execute("DELETE FROM query_classes WHERE label = ?", [old]).rowcount)


def _count_queries(db: Database, label: str) -> int:
    """Count the queries for a class, which stay as they are so that what they cost is known."""
    row = db.execute(
        "SELECT count(DISTINCT query_id) FROM query_classes WHERE label = ?", [label]
    ).fetchone()
    return int(row[0])


def _count_by_hand(db: Database, change: Change) -> int:
    """Count what people found or rejected for classes that go; call it before they do."""
    kept = {entry.name for entry in change.after}
    gone = [name for name in (*change.moves, *change.splits) if name not in kept]
    marks = ", ".join("?" * len(gone))
    names = [
        *gone,
        *(
            other
            for (other,) in db.execute(
                f"SELECT other FROM class_called WHERE name IN ({marks})", gone
            )
        ),
    ]
    marks = ", ".join("?" * len(names))
    row = db.execute(
        f"SELECT (SELECT count(*) FROM manual_finds WHERE label IN ({marks})) + "
        f"(SELECT count(*) FROM rejections WHERE label IN ({marks}))",
        [*names, *names],
    ).fetchone()
    return int(row[0])


def _count_released(db: Database, label: str) -> int:
    row = db.execute(
        "SELECT count(DISTINCT clip_id) FROM release_rows WHERE label = ?", [label]
    ).fetchone()
    return int(row[0])


@contextlib.contextmanager
def _transaction(db: Database, *, dry_run: bool) -> Iterator[None]:
    """A transaction that is rolled back where it fails, and at the end of a dry run."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("ROLLBACK" if dry_run else "COMMIT")


def _by_name(db: Database) -> dict[str, ClassEntry]:
    return {entry.name: entry for entry in load_classes(db)}


def _need(entries: Mapping[str, ClassEntry], name: str) -> ClassEntry:
    if not entries:
        raise MimecurateError(f"no class {name[:60]!r}: {EMPTY_LIST}")
    if name not in entries:
        raise MimecurateError(no_class(name, entries))
    return entries[name]


def _checked(name: str) -> str:
    if "|" in name:
        raise MimecurateError(f"class {name[:60]!r}: '|' stands between names in a class list")
    try:
        return check_class_name(name)
    except ValueError as error:
        raise MimecurateError(str(error)) from error


def read_assignment(path: Path) -> dict[str, str]:
    """Read which part each clip of a class belongs to: CSV with ``clip_id,class``.

    Raises:
        InvalidInputError: every problem found, with its line.
    """
    rows, problems = parse_table(read_text(path), ["clip_id", "class"])
    assigned: dict[str, str] = {}
    for line, row in rows:
        part = normal_class_name(row["class"])
        if assigned.setdefault(row["clip_id"], part) != part:
            problems.append(Problem(f"clip {row['clip_id'][:80]!r} is in two parts", line))
    if problems:
        raise InvalidInputError(str(path), problems[:100])
    return assigned
