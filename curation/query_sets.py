"""Query sets: templates x languages x words of the classes, from tables that a user can edit.

The Mimetics paper searched with "miming" and "imitating" before an action, "imaginary" and
"invisible" before an object, in several languages (Section 5.1); Kinetics-600 took the query apart
from the class, so that a class has many queries and a query may serve several classes.

The shipped words and templates are the project's own. No native speaker has reviewed them.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import resources
from typing import TYPE_CHECKING

from mimecurate.curation.class_list import normal_class_name
from mimecurate.curation.table_file import parse_table, read_text
from mimecurate.errors import InvalidInputError, MimecurateError, Problem

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from pathlib import Path

MAX_QUERY_CHARACTERS = 200
MOST_OFFERED = 15
"""Names that an error lists."""
MAX_CLASS_CHARACTERS = 100
LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})?")
QUERY_COLUMNS = ("query", "language", "class", "template", "phrase")
SETS = ("mimetics", "kinetics400")
GENERIC_TEMPLATE = ("plain", "{action}")
"""What the generic set for Kinetics-400 asks besides: the name of the class itself."""
_MOST = {"query": MAX_QUERY_CHARACTERS, "class": MAX_CLASS_CHARACTERS}
_SLOT = re.compile(r"\{(action|object)\}")


@dataclass(frozen=True, slots=True)
class Query:
    """What to type into a search, and what for."""

    text: str
    language: str = ""
    """As in ISO 639, ``pt`` or ``zh-Hant``; empty if nobody said."""
    label: str | None = None
    """The class that is wanted."""
    template: str = ""
    phrase: str = ""
    """The words for the action or the object that went into the template."""


@dataclass(frozen=True, slots=True)
class Template:
    """How a query is made in one language."""

    language: str
    name: str
    text: str
    """With exactly one of ``{action}`` and ``{object}``."""

    @property
    def slot(self) -> str:
        """Which words it takes, ``action`` or ``object``."""
        found = _SLOT.search(self.text)
        assert found is not None
        return found[1]

    def fill(self, phrase: str) -> str:
        """Make the query of a phrase.

        >>> Template("en", "miming", "miming {action}").fill("playing guitar")
        'miming playing guitar'
        """
        return _SLOT.sub(lambda _: phrase, self.text)


@dataclass(frozen=True, slots=True)
class Words:
    """What a class is called in one language."""

    label: str
    language: str
    action: tuple[str, ...]
    object: tuple[str, ...]


def read_templates(path: Path | None = None) -> list[Template]:
    """Read a table of templates: ``language,template,text``.

    Args:
        path: CSV; None: the shipped table.

    Raises:
        InvalidInputError: every problem found, with its line.
    """
    name, text = _table(path, "query_templates.csv")
    rows, problems = parse_table(text, ["language", "template", "text"])
    templates: list[Template] = []
    seen: dict[tuple[str, str], int] = {}
    for line, row in rows:
        key = (row["language"], row["template"])
        if message := _template_problem(row, seen.get(key)):
            problems.append(Problem(message, line))
        seen[key] = line
        templates.append(Template(*key, row["text"]))
    _raise(name, problems)
    return templates


def read_words(path: Path | None = None) -> list[Words]:
    """Read a table of words: ``class,language,action,object``; ``|`` between alternatives.

    Args:
        path: CSV; None: the shipped table for the 50 Mimetics classes.

    Raises:
        InvalidInputError: every problem found, with its line.
    """
    name, text = _table(path, "query_words.csv")
    rows, problems = parse_table(text, ["class", "language"], ["action", "object"])
    words: list[Words] = []
    seen: dict[tuple[str, str], int] = {}
    for line, row in rows:
        label = normal_class_name(row["class"])
        key = (label, row["language"])
        if message := _words_problem(row, label, seen.get(key)):
            problems.append(Problem(message, line))
        seen[key] = line
        words.append(Words(*key, _split(row["action"]), _split(row["object"])))
    _raise(name, problems)
    return words


def kinetics_words() -> list[Words]:
    """Make generic words for Kinetics-400: the names of its classes, in English."""
    return [
        Words(name, "en", (re.sub(r"\s*\(.*?\)", "", name),), ()) for name in kinetics400_names()
    ]


def kinetics400_names() -> list[str]:
    """Name the 400 classes of Kinetics-400, in alphabetical order."""
    rows, _ = parse_table(
        _shipped("kinetics_names.csv"),
        ["name"],
        ["kinetics400", "kinetics600", "kinetics700", "close_to"],
    )
    return sorted(row["name"] for _, row in rows if row["kinetics400"] == "yes")


def build_queries(
    templates: Iterable[Template],
    words: Iterable[Words],
    *,
    languages: Collection[str] = (),
    classes: Collection[str] = (),
) -> Iterator[Query]:
    """Put every word into every template of its language.

    Args:
        templates: how to ask.
        words: what for.
        languages: only these; empty: all.
        classes: only these; empty: all.

    Yields:
        Queries, class by class, each text once per language and class.

    Raises:
        MimecurateError: a language or class that the tables don't have.
    """
    templates, words = list(templates), list(words)
    _check_known("language", languages, {t.language for t in templates})
    _check_known("class", classes, {w.label for w in words})
    by_language: dict[str, list[Template]] = {}
    for template in templates:
        by_language.setdefault(template.language, []).append(template)
    seen: set[tuple[str, str, str]] = set()
    for entry in words:
        if (languages and entry.language not in languages) or (
            classes and entry.label not in classes
        ):
            continue
        for template in by_language.get(entry.language, ()):
            for phrase in entry.action if template.slot == "action" else entry.object:
                query = Query(
                    template.fill(phrase), entry.language, entry.label, template.name, phrase
                )
                key = (query.text, entry.language, entry.label)
                if key not in seen:
                    seen.add(key)
                    yield query


def shipped_set(name: str) -> tuple[list[Template], list[Words]]:
    """Return the templates and words of a shipped set, ``mimetics`` or ``kinetics400``."""
    templates = read_templates()
    if name == "mimetics":
        return templates, read_words()
    english = [t for t in templates if t.language == "en" and t.slot == "action"]
    return [Template("en", *GENERIC_TEMPLATE), *english], kinetics_words()


def read_queries(path: Path, text: str | None = None) -> list[Query]:
    """Read a file of queries.

    Args:
        path: CSV with ``query`` and optionally ``language,class,template,phrase``, between commas,
            semicolons or tabs; or text with a query per line (``#`` begins a comment).
        text: what it holds, where that was read already.

    Raises:
        InvalidInputError: every problem found, with its line.
    """
    text = read_text(path) if text is None else text
    delimiter = _delimiter(text)
    if delimiter:
        rows, problems = parse_table(
            text, ["query"], QUERY_COLUMNS[1:], delimiter=delimiter, most=_MOST
        )
    else:
        lines = enumerate(text.splitlines(), 1)
        rows = [(n, {"query": s.strip()}) for n, s in lines if s.strip() and s[0] != "#"]
        problems = []
    queries: dict[Query, None] = {}
    for line, row in rows:
        query = Query(
            " ".join(row["query"].split()),
            row.get("language", ""),
            normal_class_name(row.get("class", "")) or None,
            row.get("template", ""),
            row.get("phrase", ""),
        )
        if message := _query_problem(query):
            problems.append(Problem(message, line))
        queries[query] = None
    if not queries and not problems:
        problems.append(Problem("has no query"))
    _raise(str(path), problems)
    return list(queries)


def query_rows(queries: Iterable[Query]) -> Iterator[tuple[str, str, str, str, str]]:
    """Yield the rows of a file of queries, in the order of `QUERY_COLUMNS`."""
    for q in queries:
        yield q.text, q.language, q.label or "", q.template, q.phrase


def _delimiter(text: str) -> str:
    """Return what stands between the columns of the first line; nothing if it is no header."""
    first = text.splitlines()[:1]
    known: dict[str, int] = {}
    for delimiter in ",;\t":
        try:
            cells = next(csv.reader(first, delimiter=delimiter), [])
        except csv.Error:
            continue
        names = {cell.strip().lower() for cell in cells}
        if "query" in names:
            known[delimiter] = len(names.intersection(QUERY_COLUMNS))
    return max(known, key=known.__getitem__, default="")


def _table(path: Path | None, shipped: str) -> tuple[str, str]:
    return (shipped, _shipped(shipped)) if path is None else (str(path), read_text(path))


def _shipped(name: str) -> str:
    return resources.files("mimecurate.schemas").joinpath(name).read_text("utf-8")


def _split(cell: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.strip() for part in cell.split("|") if part.strip()))


def _language_problem(language: str) -> str:
    if LANGUAGE.fullmatch(language):
        return ""
    return f"language {language[:20]!r} must be a code as in ISO 639: en, pt, zh-Hant"


def _template_problem(row: dict[str, str], earlier: int | None) -> str:
    slots = _SLOT.findall(row["text"])
    if len(slots) != 1 or "{" in _SLOT.sub("", row["text"]):
        return f"text {row['text'][:60]!r} must have {{action}} or {{object}} once, and no other {{"
    if earlier:
        return f"template {row['template']!r} of {row['language']!r} is already in line {earlier}"
    return _language_problem(row["language"])


def _words_problem(row: dict[str, str], label: str, earlier: int | None) -> str:
    if len(label) > MAX_CLASS_CHARACTERS:
        return f"class {label[:40]!r} is over {MAX_CLASS_CHARACTERS} characters"
    if earlier:
        return f"{label!r} in {row['language']!r} is already in line {earlier}"
    if not (_split(row["action"]) or _split(row["object"])):
        return "has neither action nor object"
    return _language_problem(row["language"])


def _query_problem(query: Query) -> str:
    if len(query.text) > MAX_QUERY_CHARACTERS:
        return f"query {query.text[:40]!r} is over {MAX_QUERY_CHARACTERS} characters"
    if not query.text.isprintable():
        return f"query {query.text[:40]!r} holds characters that can't be seen"
    if query.label and len(query.label) > MAX_CLASS_CHARACTERS:
        return f"class {query.label[:40]!r} is over {MAX_CLASS_CHARACTERS} characters"
    return _language_problem(query.language) if query.language else ""


def _check_known(what: str, wanted: Collection[str], known: set[str]) -> None:
    unknown = sorted(set(wanted) - known)
    if unknown:
        offer = _offer(unknown[0], known)
        raise MimecurateError(f"no {what} {unknown[0][:60]!r} in the tables; {offer}")


def _offer(unknown: str, known: set[str]) -> str:
    """Say what there is: all of a few, else what comes close and where all are."""
    if len(known) <= MOST_OFFERED:
        return f"they have {', '.join(sorted(known))}"
    near = get_close_matches(unknown, sorted(known), n=3)
    close = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
    return f"{close}all {len(known)} are in what `discover queries --tables DIR` writes"


def _raise(name: str, problems: Sequence[Problem]) -> None:
    if problems:
        shown = sorted(problems, key=lambda p: p.line or 0)[:100]
        raise InvalidInputError(name, shown)


def write_tables(
    folder: Path, templates: Iterable[Template], words: Iterable[Words]
) -> tuple[Path, Path]:
    """Write tables to edit, ``templates.csv`` and ``words.csv``; files that are there stay.

    Raises:
        MimecurateError: one of them is there, or can't be written.
    """
    rows: dict[str, list[tuple[str, ...]]] = {
        "templates.csv": [("language", "template", "text")],
        "words.csv": [("class", "language", "action", "object")],
    }
    rows["templates.csv"] += [(t.language, t.name, t.text) for t in templates]
    rows["words.csv"] += [
        (w.label, w.language, "|".join(w.action), "|".join(w.object)) for w in words
    ]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, lines in rows.items():
            with (folder / name).open("x", encoding="utf-8", newline="") as file:
                csv.writer(file, lineterminator="\n").writerows(lines)
    except OSError as error:
        raise MimecurateError(f"{folder}: tables can't be written: {error.strerror}") from error
    return folder / "templates.csv", folder / "words.csv"
