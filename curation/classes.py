"""The list of classes: what each is, and what others call it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Literal

from mimecurate.curation.class_list import normal_class_name
from mimecurate.curation.table_file import parse_table, read_text
from mimecurate.errors import InvalidInputError, MimecurateError, Problem
from mimecurate.schemas.release import ObjectSize, check_class_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from sqlite_utils import Database

Vocabulary = Literal["kinetics400", "kinetics600", "kinetics700"]
VOCABULARIES: tuple[Vocabulary, ...] = ("kinetics400", "kinetics600", "kinetics700")
PROPERTIES = ("definition", "object_size", "scene", "superclass")
OTHER_NAMES = ("aliases", *VOCABULARIES, "split_from")
COLUMNS = ("name", *PROPERTIES, *OTHER_NAMES)
SUPERCLASSES_FILE = "superclasses_kinetics400.json"
SEE_CLASSES = "see `mimecurate classes list`"
_STORED_AS = {"aliases": "alias"}
_SCENE = {"": None, "yes": True, "no": False}


@dataclass(frozen=True, slots=True)
class ClassEntry:
    """One class of the list."""

    name: str
    definition: str | None = None
    object_size: str | None = None
    """``none``, ``small``, ``medium`` or ``large``."""
    scene: bool | None = None
    """Whether the action usually has a scene of its own."""
    superclass: str | None = None
    aliases: tuple[str, ...] = ()
    """Names that mean this class, such as those it had before."""
    kinetics400: tuple[str, ...] = ()
    """Its names there, where they are others than its own."""
    kinetics600: tuple[str, ...] = ()
    kinetics700: tuple[str, ...] = ()
    split_from: tuple[str, ...] = ()
    """Names of a class that was split, and of which this is a part."""


@dataclass(frozen=True, slots=True)
class KineticsNames:
    """What a class is called in a version of Kinetics."""

    names: tuple[str, ...]
    """Empty: it has no class of that name."""
    close: tuple[str, ...] = ()
    """Names that mean nearly the same, where it has none."""


def load_classes(db: Database) -> list[ClassEntry]:
    """Return the workspace's classes, by name."""
    others: dict[str, dict[str, list[str]]] = {}
    for name, vocabulary, other in db.execute(
        "SELECT name, vocabulary, other FROM class_names ORDER BY name, vocabulary, other"
    ):
        others.setdefault(name, {}).setdefault(vocabulary, []).append(other)
    entries = []
    for name, definition, size, scene, superclass in db.execute(
        "SELECT name, definition, object_size, scene, superclass FROM classes ORDER BY name"
    ):
        said = others.get(name, {})
        entries.append(
            ClassEntry(
                name,
                definition,
                size,
                None if scene is None else bool(scene),
                superclass,
                *(tuple(said.get(_STORED_AS.get(kind, kind), ())) for kind in OTHER_NAMES),
            )
        )
    return entries


def save_classes(db: Database, entries: Iterable[ClassEntry]) -> None:
    """Make the workspace's classes these; call it within a transaction."""
    kept = list(entries)
    names = {entry.name for entry in kept}
    for (name,) in db.execute("SELECT name FROM classes").fetchall():
        if name not in names:
            db.execute("DELETE FROM classes WHERE name = ?", [name])
    db.execute("DELETE FROM class_names")
    for e in kept:
        db.execute(
            "INSERT INTO classes (name, definition, object_size, scene, superclass) "
            "VALUES (?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET "
            "definition = excluded.definition, object_size = excluded.object_size, "
            "scene = excluded.scene, superclass = excluded.superclass",
            [e.name, e.definition, e.object_size, e.scene, e.superclass],
        )
        for kind in OTHER_NAMES:
            stored = _STORED_AS.get(kind, kind)
            for other in getattr(e, kind):
                db.execute("INSERT INTO class_names VALUES (?, ?, ?)", [e.name, stored, other])


def read_classes(path: Path) -> list[ClassEntry]:
    """Read a class list: CSV with `COLUMNS`, of which ``name`` is needed, or a name per line.

    ``|`` stands between names in a cell, and ``#`` begins a line that is no name.

    Raises:
        InvalidInputError: every problem found, with its line.
    """
    text = read_text(path)
    first = text.partition("\n")[0].strip().lower()
    if first == "name" or "," in first:
        rows, problems = parse_table(text, ["name"], COLUMNS[1:])
    else:
        lines = enumerate(text.splitlines(), 1)
        blank = dict.fromkeys(COLUMNS, "")
        rows = [(n, blank | {"name": s}) for n, s in lines if s.strip() and s[0] != "#"]
        problems = []
    entries: list[ClassEntry] = []
    line_of: dict[str, int] = {}
    for line, row in rows:
        name = normal_class_name(row["name"])
        if message := _row_problem(name, row, line_of.get(name)):
            problems.append(Problem(message, line))
            continue
        line_of[name] = line
        entries.append(
            ClassEntry(
                name,
                row["definition"] or None,
                row["object_size"] or None,
                _SCENE[row["scene"]],
                normal_class_name(row["superclass"]) or None,
                *(_names(row[kind]) for kind in OTHER_NAMES),
            )
        )
    problems += [Problem(words, line_of.get(name)) for name, words in list_problems(entries)]
    if not entries and not problems:
        problems.append(Problem("names no class"))
    if problems:
        raise InvalidInputError(str(path), sorted(problems, key=lambda p: p.line or 0)[:100])
    return entries


def list_problems(entries: Sequence[ClassEntry]) -> list[tuple[str, str]]:
    """Find what is wrong with a list as a whole: names that mean two classes."""
    problems: list[tuple[str, str]] = []
    owner = {entry.name: entry.name for entry in entries}
    for entry in entries:
        for alias in entry.aliases:
            if owner.setdefault(alias, entry.name) != entry.name:
                problems.append(
                    (entry.name, f"alias {alias!r} already means class {owner[alias]!r}")
                )
    superclass_of = {entry.name: entry.superclass for entry in entries}
    for entry in entries:
        made = entry.superclass
        if made is not None and superclass_of.get(made, made) != made:
            problems.append(
                (entry.name, f"superclass {made!r} is also a class that is not in it: rename it")
            )
    return problems


def class_rows(entries: Iterable[ClassEntry]) -> list[tuple[str, ...]]:
    """Write a class list as rows with `COLUMNS`."""
    scene = {value: text for text, value in _SCENE.items()}
    return [
        (
            e.name,
            e.definition or "",
            e.object_size or "",
            scene[e.scene],
            e.superclass or "",
            *("|".join(getattr(e, kind)) for kind in OTHER_NAMES),
        )
        for e in entries
    ]


def find_class(db: Database, label: str) -> str:
    """Return a class as the workspace spells it, given its name or an alias.

    A workspace that has no classes takes any name.

    Raises:
        MimecurateError: it has classes, and none is called that.
    """
    wanted = normal_class_name(label)
    row = db.execute(
        "SELECT name FROM classes WHERE name = ?1 UNION ALL SELECT name FROM class_names "
        "WHERE vocabulary = 'alias' AND other = ?1",
        [wanted],
    ).fetchone()
    if row is not None:
        return str(row[0])
    names = [name for (name,) in db.execute("SELECT name FROM classes")]
    if not names:
        return check_class_name(wanted)
    if parts := classes_called(db).get(wanted):
        listed = ", ".join(map(repr, sorted(parts)))
        raise MimecurateError(f"class {wanted[:60]!r} was split: name one of {listed}")
    raise MimecurateError(no_class(wanted, names))


def no_class(name: str, known: Iterable[str]) -> str:
    """Say that there is no such class, and which come close.

    >>> no_class("archrey", ["archery", "bowling"])
    "no class 'archrey'; did you mean 'archery'?"
    """
    near = get_close_matches(name, list(known), n=3)
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else SEE_CLASSES
    return f"no class {name[:60]!r}; {hint}"


def unknown_classes(db: Database, labels: Iterable[str]) -> list[str]:
    """Return those of some names that mean no class; none where the workspace has no classes."""
    known = {name for (name,) in db.execute("SELECT name FROM classes")}
    return sorted({*labels} - known - set(classes_called(db))) if known else []


def class_of_alias(db: Database) -> dict[str, str]:
    """Return the class that each alias means, as names were when something was written down."""
    rows = db.execute(
        "SELECT other, name FROM class_names WHERE vocabulary = 'alias' "
        "AND other NOT IN (SELECT name FROM classes)"
    )
    return dict(rows.fetchall())


def classes_called(db: Database) -> dict[str, frozenset[str]]:
    """Return what each name that no class has any more means: a class, or the parts of one."""
    found: dict[str, frozenset[str]] = {}
    for other, name in db.execute("SELECT other, name FROM class_called"):
        found[other] = found.get(other, frozenset()) | {name}
    return found


def kinetics_names(entry: ClassEntry) -> dict[Vocabulary, KineticsNames]:
    """Say what a class is called in each Kinetics: by its list, else by its own name.

    >>> kinetics_names(ClassEntry("tying tie"))["kinetics700"]
    KineticsNames(names=(), close=('tying necktie',))
    """
    found: dict[Vocabulary, KineticsNames] = {}
    for vocabulary in VOCABULARIES:
        told: tuple[str, ...] = getattr(entry, vocabulary)
        members, close = _kinetics()[vocabulary]
        if told or entry.name in members:
            found[vocabulary] = KineticsNames(told or (entry.name,))
        else:
            found[vocabulary] = KineticsNames((), close.get(entry.name, ()))
    return found


def check_kinetics_names(entries: Iterable[ClassEntry]) -> list[tuple[str, Vocabulary, str]]:
    """Find names that a list says are a Kinetics' and that it does not have."""
    return [
        (entry.name, vocabulary, name)
        for entry in entries
        for vocabulary in VOCABULARIES
        for name in getattr(entry, vocabulary)
        if name not in _kinetics()[vocabulary][0]
    ]


def superclasses(entries: Iterable[ClassEntry]) -> dict[str, list[str]]:
    """Group classes for `evaluate --superclasses`; those without a superclass are left out."""
    groups: dict[str, list[str]] = {}
    for entry in entries:
        if entry.superclass:
            groups.setdefault(entry.superclass, []).append(entry.name)
    return dict(sorted(groups.items()))


def default_superclasses() -> dict[str, list[str]]:
    """Return the project's own superclasses of Kinetics-400.

    They are not those of the paper's Figure 10, which is a picture.
    """
    text = resources.files("mimecurate.schemas").joinpath(SUPERCLASSES_FILE).read_text("utf-8")
    groups: dict[str, list[str]] = json.loads(text)
    return groups


def merged(entry: ClassEntry, others: Iterable[ClassEntry]) -> ClassEntry:
    """Give a class the names of others that become part of it."""
    for other in others:
        own, its = kinetics_names(entry), kinetics_names(other)
        entry = replace(
            entry,
            aliases=_union(entry.aliases, (other.name,), other.aliases, leave=entry.name),
            split_from=_union(entry.split_from, other.split_from, leave=entry.name),
            kinetics400=_union(own["kinetics400"].names, its["kinetics400"].names),
            kinetics600=_union(own["kinetics600"].names, its["kinetics600"].names),
            kinetics700=_union(own["kinetics700"].names, its["kinetics700"].names),
        )
    return entry


def _union(*groups: tuple[str, ...], leave: str = "") -> tuple[str, ...]:
    return tuple(sorted({name for group in groups for name in group} - {leave}))


def _names(cell: str) -> tuple[str, ...]:
    names = (normal_class_name(part) for part in cell.split("|"))
    return tuple(sorted({name for name in names if name}))


def _row_problem(name: str, row: Mapping[str, str], earlier: int | None) -> str:
    try:
        check_class_name(name)
    except ValueError as error:
        return str(error)
    if earlier:
        return f"class {name!r} is already in line {earlier}"
    size, scene = row["object_size"], row["scene"]
    if size and size not in ObjectSize.__members__.values():
        return f"object_size {size[:20]!r} must be one of {', '.join(ObjectSize)}"
    if scene not in _SCENE:
        return f"scene {scene[:20]!r} must be yes or no"
    return ""


_Names = tuple[frozenset[str], dict[str, tuple[str, ...]]]


@cache
def _kinetics() -> dict[Vocabulary, _Names]:
    """Read the names of each Kinetics, and what comes close to those it lacks."""
    text = resources.files("mimecurate.schemas").joinpath("kinetics_names.csv")
    rows, _ = parse_table(text.read_text("utf-8"), ["name"], [*VOCABULARIES, "close_to"])
    found: dict[Vocabulary, _Names] = {}
    for vocabulary in VOCABULARIES:
        here = [row for _, row in rows if row[vocabulary] == "yes"]
        close: dict[str, tuple[str, ...]] = {}
        for row in here:
            if row["close_to"]:
                close[row["close_to"]] = (*close.get(row["close_to"], ()), row["name"])
        found[vocabulary] = (frozenset(row["name"] for row in here), close)
    return found
