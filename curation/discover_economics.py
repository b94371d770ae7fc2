"""What queries cost and gave: found, new, fetched, verified, per query, phrase, language and so on.

``found`` counts answers, so a video that three queries find counts three times; ``new`` counts
videos, each for the query that found it first. ``yes`` and ``no`` count verified videos of a query:
yes where a clip of it was accepted for a class that the query is for, no where one was looked at
for such a class and none accepted.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from functools import cached_property
from operator import itemgetter
from typing import TYPE_CHECKING, Literal, NamedTuple

from mimecurate.curation.class_changes import DROPPED_WHY
from mimecurate.curation.class_maps import names_of_dropped
from mimecurate.curation.classes import class_of_alias, classes_called

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlite_utils import Database

By = Literal["query", "phrase", "language", "template", "class", "source"]
GROUPINGS: tuple[By, ...] = ("class", "language", "template", "phrase", "source", "query")
EXHAUSTED_AFTER = 40
"""So many candidates in a row without a yes, or without a new one, and a query is exhausted."""
INTERVAL = 0.9
"""Of the posterior that is shown."""
PRIOR = 0.5
"""Jeffreys' prior of a proportion: Beta(1/2, 1/2)."""


_SAID = """WITH dropped AS MATERIALIZED (
    SELECT clip_id, (SELECT max(decision_id) FROM decisions AS e WHERE e.clip_id = d.clip_id
        AND e.decision_id < d.decision_id
        AND NOT EXISTS (SELECT 1 FROM retractions WHERE decision_id = e.decision_id)) AS before
    FROM decisions AS d WHERE method = 'rule' AND why LIKE :dropped AND decision_id =
        (SELECT decision_id FROM current_decisions AS c WHERE c.clip_id = d.clip_id)),
said AS MATERIALIZED (
    SELECT video_id, verdict, coalesce(v.label, clips.label) AS label, clips.label AS wanted
    FROM clip_verdicts AS v CROSS JOIN clips USING (clip_id)
    WHERE verdict IN ('yes', 'no') AND clip_id NOT IN (SELECT clip_id FROM dropped)
    UNION ALL
    SELECT video_id, verdict, coalesce(d.label, clips.label), clips.label
    FROM dropped CROSS JOIN decisions AS d ON decision_id = before
        CROSS JOIN clips ON clips.clip_id = d.clip_id WHERE verdict IN ('yes', 'no'))"""
"""What was said of clips; where a class was dropped, what had been said before."""


class Use(NamedTuple):
    """What a query is for."""

    label: str
    template: str
    phrase: str


class Judged(NamedTuple):
    """A verdict on a clip of a video that a query found."""

    query_id: int
    candidate_id: int
    search_id: int
    rank: int
    verdict: str
    accepted: frozenset[str]
    """The class that was accepted; several: one of them, for the class was split since."""
    wanted: frozenset[str]
    """The class that it was looked at for; empty: nobody said."""
    source: str = ""
    """Where the query found the video."""


@dataclass
class QueryFacts:
    """What is known of one query."""

    query_id: int
    text: str
    language: str
    uses: list[Use] = field(default_factory=list)
    searches: int = 0
    """Requests spent on it, failed ones among them."""
    found: int = 0
    new: int = 0
    stale: int = 0
    """How many of the last answers in a row were pages without anything new."""
    by_source: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """``searches``, ``found`` and ``new`` of each source."""
    ended: dict[str, bool] = field(default_factory=dict)
    """By source: whether it has nothing more to give."""

    @cached_property
    def labels(self) -> frozenset[str]:
        """The classes that it is for."""
        return frozenset(use.label for use in self.uses)


@dataclass(frozen=True, slots=True)
class Ledger:
    """Everything that the tables are made of, read once."""

    queries: Mapping[int, QueryFacts]
    fetched: tuple[tuple[int, int, str], ...]
    """Query, candidate and source, of candidates with media here."""
    judged: tuple[Judged, ...]
    """By search and rank: in the order in which they were found."""
    answers: tuple[bool | None, ...]
    """What each of these means for its query: see `is_yes`."""
    dropped: frozenset[str]
    """Classes that are collected no more."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table of economics."""

    key: str
    queries: int
    searches: int
    found: int
    new: int
    fetched: int
    yes: int
    no: int
    yield_mean: float | None
    """Of the posterior of yes among verified, Beta(yes + 1/2, no + 1/2); None: none verified."""
    yield_low: float | None
    yield_high: float | None
    yes_per_search: float | None
    dropped: bool = False
    """A class that is collected no more."""


def read_ledger(db: Database, *, with_fetched: bool = True) -> Ledger:
    """Read what all queries cost and gave.

    Args:
        db: the workspace's database.
        with_fetched: also which candidates have media here, which `economics` counts.
    """
    queries = {
        query_id: QueryFacts(query_id, text, language)
        for query_id, text, language in db.execute("SELECT query_id, text, language FROM queries")
    }
    for query_id, *use in db.execute("SELECT query_id, label, template, phrase FROM query_classes"):
        queries[query_id].uses.append(Use(*use))
    query_of: dict[int, int] = {}
    source_of: dict[int, str] = {}
    asked_to: dict[tuple[int, str], int] = {}
    asked_again_to: dict[tuple[int, str], int] = {}
    for search_id, query_id, source, rank, found, new, is_last, reason in db.execute(
        "SELECT search_id, query_id, source, first_rank, found, new, next_page IS NULL, reason "
        "FROM searches ORDER BY search_id"
    ):
        query_of[search_id], source_of[search_id] = query_id, source
        facts = queries[query_id]
        facts.found += found
        facts.new += new
        counts = facts.by_source[source]
        counts["found"] += found
        counts["new"] += new
        facts.ended[source] = bool(is_last) and reason is None
        key = query_id, source
        if reason is not None:
            if rank == 1:  # from here on it gives what it gave before
                asked_again_to[key] = asked_to.get(key, 0)
        elif new or rank > asked_again_to.get(key, 0):
            asked_to[key] = rank
            facts.stale = 0 if new else facts.stale + found
    for query_id, source, spent in db.execute(
        "SELECT query_id, source, count(*) FROM spendings "
        "WHERE kind = 'search' AND query_id IS NOT NULL GROUP BY query_id, source"
    ):
        queries[query_id].searches += spent
        queries[query_id].by_source[source]["searches"] = spent
    fetched = _fetched(db, query_of, source_of) if with_fetched else ()
    dropped = names_of_dropped(db)
    judged = _judged(db, query_of, source_of, _called(db, dropped))
    answers = tuple(is_yes(one, queries[one.query_id].labels) for one in judged)
    return Ledger(queries, fetched, judged, answers, frozenset(dropped))


def economics(ledger: Ledger, by: By) -> list[Row]:
    """Make a table; queries that were never asked don't count.

    Args:
        ledger: what `read_ledger` gives.
        by: what a line is of. A query that is for two classes counts for both.

    Returns:
        The lines, by name.
    """
    groups: dict[str, set[int]] = defaultdict(set)
    keys = {q: _keys(facts, by) for q, facts in ledger.queries.items() if facts.searches}
    for query_id, names in keys.items():
        for name in names:
            groups[name].add(query_id)
    fetched: dict[str, set[int]] = defaultdict(set)
    for query_id, candidate_id, source in ledger.fetched:
        for name in (source,) if by == "source" else keys.get(query_id, ()):
            fetched[name].add(candidate_id)
    verdicts = _verdicts(ledger, by, keys)
    rows = []
    for name in sorted(groups):
        members = [ledger.queries[query_id] for query_id in groups[name]]
        yes = sum(verdicts[name].values())
        spent, found, new = _counts(members, name if by == "source" else None)
        each = yes / spent if spent and verdicts[name] else None
        counts = (spent, found, new, len(fetched[name]), yes, len(verdicts[name]) - yes)
        dropped = by == "class" and name in ledger.dropped
        rows.append(Row(name, len(members), *counts, None, None, None, each, dropped))
    return _with_intervals(rows)


def _verdicts(
    ledger: Ledger, by: By, keys: Mapping[int, Iterable[str]]
) -> dict[str, dict[int, bool]]:
    """Say of each line's videos whether they are a yes; one accepted clip is enough."""
    verdicts: dict[str, dict[int, bool]] = defaultdict(dict)
    alone: dict[str, frozenset[str]] = {}
    for one, own_answer in zip(ledger.judged, ledger.answers, strict=True):
        for name in (one.source,) if by == "source" else keys.get(one.query_id, ()):
            answer = own_answer
            if by == "class":
                if name not in alone:
                    alone[name] = frozenset({name})
                answer = is_yes(one, alone[name])
            if answer is not None:
                of = verdicts[name]
                of[one.candidate_id] = answer or of.get(one.candidate_id, False)
    return verdicts


def is_yes(one: Judged, labels: frozenset[str]) -> bool | None:
    """Say what a verdict means for a query that is for ``labels``; None: nothing.

    >>> archery, bowling, none = frozenset({"archery"}), frozenset({"bowling"}), frozenset()
    >>> is_yes(Judged(1, 1, 1, 1, "yes", archery, archery), archery)
    True
    >>> is_yes(Judged(1, 1, 1, 1, "yes", bowling, archery), archery)
    False
    >>> is_yes(Judged(1, 1, 1, 1, "no", none, bowling), archery) is None
    True
    """
    if one.verdict == "yes":
        if not labels or (one.accepted and one.accepted <= labels):
            return True
        if one.accepted & labels:
            return None
    if one.verdict in {"yes", "no"} and (not labels or not one.wanted or one.wanted & labels):
        return False
    return None


def last_verdicts(ledger: Ledger) -> dict[int, list[bool]]:
    """Return the verdicts on each query's videos, in the order in which it found them."""
    answers: dict[int, dict[int, bool]] = defaultdict(dict)
    for one, answer in zip(ledger.judged, ledger.answers, strict=True):
        if answer is not None:
            before = answers[one.query_id].get(one.candidate_id, False)
            answers[one.query_id][one.candidate_id] = before or answer
    return {query_id: list(found.values()) for query_id, found in answers.items()}


def exhausted(facts: QueryFacts, verdicts: list[bool]) -> str:
    """Say why a query is exhausted; empty if it is not.

    >>> exhausted(QueryFacts(1, "mime", "en"), [True] + [False] * 40)
    'the last 40 verified gave no yes'
    """
    last = verdicts[-EXHAUSTED_AFTER:]
    if len(last) == EXHAUSTED_AFTER and not any(last):
        return f"the last {EXHAUSTED_AFTER} verified gave no yes"
    if facts.stale >= EXHAUSTED_AFTER:
        return f"the last {facts.stale} found were known already"
    return ""


def posterior(yes: float, no: float, *quantiles: float) -> tuple[float, ...]:
    """Return the mean and quantiles of a proportion's posterior, under Jeffreys' prior.

    >>> [round(x, 3) for x in posterior(0, 40, 0.05, 0.95)]
    [0.012, 0.0, 0.047]
    """
    from scipy.special import betaincinv

    a, b = yes + PRIOR, no + PRIOR
    return (a / (a + b), *(float(betaincinv(a, b, q)) for q in quantiles))


def clips_per_class(db: Database) -> dict[str, int]:
    """Count the good clips of each class: accepted, or in a release."""
    rows = db.execute(
        "SELECT clip_id, coalesce(v.label, clips.label) AS label "
        "FROM clip_verdicts AS v JOIN clips USING (clip_id) WHERE verdict = 'yes' "
        "UNION SELECT clip_id, label FROM release_rows"
    )
    now_called = class_of_alias(db)
    clips = {(clip_id, now_called.get(label, label)) for clip_id, label in rows if label}
    return dict(Counter(label for _, label in clips))


def _fetched(
    db: Database, query_of: Mapping[int, int], source_of: Mapping[int, str]
) -> tuple[tuple[int, int, str], ...]:
    rows = db.execute(
        "SELECT search_id, candidate_id FROM "
        "(SELECT DISTINCT video_id FROM media CROSS JOIN clips USING (clip_id)) "
        "CROSS JOIN candidates USING (video_id) CROSS JOIN finds USING (candidate_id)"
    )
    return tuple({(query_of[s], candidate_id, source_of[s]) for s, candidate_id in rows})


def _judged(
    db: Database,
    query_of: Mapping[int, int],
    source_of: Mapping[int, str],
    called: Mapping[str, frozenset[str]],
) -> tuple[Judged, ...]:
    rows = db.execute(
        f"{_SAID} SELECT candidate_id, search_id, rank, verdict, label, wanted "
        "FROM said CROSS JOIN candidates USING (video_id) CROSS JOIN finds USING (candidate_id) "
        "UNION ALL SELECT candidate_id, search_id, rank, 'no', NULL, label "
        "FROM rejections CROSS JOIN finds USING (candidate_id)",
        {"dropped": f"{DROPPED_WHY}%"},
    ).fetchall()
    rows.sort(key=itemgetter(1, 2))
    labels = {label for row in rows for label in row[4:]}
    meant: dict[str | None, frozenset[str]] = {
        label: called.get(label, frozenset({label})) for label in labels - {None}
    }
    meant[None] = frozenset()
    return tuple(
        Judged(query_of[s], candidate, s, rank, verdict, meant[label], meant[wanted], source_of[s])
        for candidate, s, rank, verdict, label, wanted in rows
    )


def _called(db: Database, dropped: Mapping[str, frozenset[str]]) -> dict[str, frozenset[str]]:
    """Return what each name means, as `classes_called`; a class that was dropped keeps its own."""
    called = classes_called(db)
    classes = {name for (name,) in db.execute("SELECT name FROM classes")}
    for label, names in dropped.items():
        for name in names - classes:
            called[name] = called.get(name, frozenset()) | {label}
    return called | {label: frozenset({label}) for label in dropped}


def _keys(facts: QueryFacts, by: By) -> Iterable[str]:
    if by == "query":
        return (facts.text,)
    if by == "language":
        return (facts.language,)
    if by == "source":
        return sorted(facts.by_source)
    if by == "class":
        return sorted(facts.labels)
    return sorted({getattr(use, by) for use in facts.uses if getattr(use, by)})


def _counts(members: list[QueryFacts], source: str | None) -> tuple[int, int, int]:
    """Sum searches, found and new, of one source or of all."""
    if source is None:
        each = [(f.searches, f.found, f.new) for f in members]
    else:
        counts = [f.by_source[source] for f in members]
        each = [(c["searches"], c["found"], c["new"]) for c in counts]
    spent, found, new = (sum(column) for column in zip(*each, strict=True))
    return spent, found, new


def _with_intervals(rows: list[Row]) -> list[Row]:
    tail = (1 - INTERVAL) / 2
    made = []
    for row in rows:
        if row.yes + row.no:
            mean, low, high = posterior(row.yes, row.no, tail, 1 - tail)
            made.append(replace(row, yield_mean=mean, yield_low=low, yield_high=high))
        else:
            made.append(row)
    return made
