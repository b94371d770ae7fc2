"""Which query to spend next: classes furthest from their target, at the best yield that may be.

A query that was never asked has no yield of its own; it is judged by what queries of its template,
language and class gave. Each of these moves the overall yield by the ratio of its own to it, drawn
towards 1 where little was verified; the product is the mean of the query's Beta prior, which is
worth `PRIOR_WEIGHT` verified videos. What the query itself gave is then added. Ranking goes by a
high quantile of that posterior (an upper confidence bound), or by a draw from it (Thompson
sampling), so that what is little known is tried and what is known to be poor is not.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mimecurate.curation.classes import classes_called
from mimecurate.curation.discover_economics import (
    INTERVAL,
    QueryFacts,
    Use,
    clips_per_class,
    exhausted,
    last_verdicts,
    read_ledger,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from numpy.typing import NDArray
    from sqlite_utils import Database

    from mimecurate.curation.discover import SearchJob
    from mimecurate.curation.discover_economics import Ledger
    from mimecurate.curation.query_sets import Query

TARGET = 15
"""Good clips wanted of each class: Mimetics has 14.3."""
PRIOR_WEIGHT = 4.0
OPTIMISM = 0.8
"""The quantile that ranks."""
FIRST_YIELD = 0.05
"""Taken as known from a single video before anything is verified."""
FIRST_RESULTS = 50.0
_SHRINK_VIDEOS = 20.0
_SHRINK_ANSWERS = 50.0
_LOWEST, _HIGHEST = 1e-4, 0.9
_ALL = ("all", "")


@dataclass(frozen=True, slots=True)
class NextQuery:
    """A query that could be asked, or asked further."""

    query_id: int
    text: str
    language: str
    labels: tuple[str, ...]
    need: int
    """Clips that its neediest class lacks."""
    searches: int
    yes: int
    no: int
    mean: float
    """Of the posterior of the yield, with its interval."""
    low: float
    high: float
    new_per_search: float
    """Videos nobody found before that a search is expected to bring."""
    score: float
    """Good videos that a search may bring, weighted by how far the class is from its target."""
    exhausted: str
    """Why it should not be asked; empty if it may be."""


def rank_queries(
    db: Database,
    *,
    target: int = TARGET,
    seed: int | None = None,
    ledger: Ledger | None = None,
    among: Collection[int] | None = None,
) -> list[NextQuery]:
    """Rank the queries that have something left to ask.

    A class that the workspace's list does not have, such as one that was dropped, needs nothing.

    Args:
        db: the workspace's database.
        target: good clips wanted of each class.
        seed: draw from the posteriors with this seed; None: take their `OPTIMISM` quantile.
        ledger: what `read_ledger` gives, where that was read already.
        among: only these rows of queries; None: all whose answers did not come to an end.

    Returns:
        Best first; those that are exhausted, or whose classes have enough, last.
    """
    from scipy.special import betaincinv

    ledger = ledger or read_ledger(db, with_fetched=False)
    have = clips_per_class(db)
    wanted = frozenset(name for (name,) in db.execute("SELECT name FROM classes"))
    facts = [
        f
        for f in ledger.queries.values()
        if (not any(f.ended.values()) if among is None else f.query_id in among)
    ]
    if not facts:
        return []
    verdicts = last_verdicts(ledger)
    yes = np.array([sum(verdicts.get(f.query_id, ())) for f in facts], float)
    total = np.array([len(verdicts.get(f.query_id, ())) for f in facts], float)
    prior = _priors(ledger, facts)
    a, b = PRIOR_WEIGHT * prior + yes, PRIOR_WEIGHT * (1 - prior) + total - yes
    tail = (1 - INTERVAL) / 2
    mean, low, high = a / (a + b), betaincinv(a, b, tail), betaincinv(a, b, 1 - tail)
    chosen = betaincinv(a, b, OPTIMISM) if seed is None else np.random.default_rng(seed).beta(a, b)
    news = _new_per_search(ledger, facts)
    needs = [_need(f, have, target, wanted) for f in facts]
    ranked = [
        NextQuery(
            f.query_id,
            f.text,
            f.language,
            tuple(sorted(f.labels)),
            needs[i],
            f.searches,
            int(yes[i]),
            int(total[i] - yes[i]),
            float(mean[i]),
            float(low[i]),
            float(high[i]),
            float(news[i]),
            float(chosen[i] * news[i] * needs[i] / max(target, 1)),
            exhausted(f, verdicts.get(f.query_id, [])),
        )
        for i, f in enumerate(facts)
    ]
    return sorted(ranked, key=lambda n: (n.exhausted != "", -n.score, n.query_id))


def best_first(
    db: Database,
    jobs: Sequence[SearchJob],
    *,
    target: int = TARGET,
    unstored: Iterable[Query] = (),
) -> list[SearchJob]:
    """Order the jobs of a run by rank; exhausted queries and classes with enough are left out.

    Args:
        db: the workspace's database.
        jobs: the run's.
        target: good clips wanted of each class.
        unstored: the queries of the jobs, where they may not be in the database yet.
    """
    asked = {job.query_id for job in jobs}
    ledger = read_ledger(db, with_fetched=False)
    uses: dict[tuple[str, str], list[Use]] = defaultdict(list)
    called = classes_called(db)
    for query in unstored:
        uses[query.text, query.language] += [
            Use(label, query.template, query.phrase)
            for label in (called.get(query.label, {query.label}) if query.label else ())
        ]
    new = {
        job.query_id: QueryFacts(
            job.query_id, *(key := (job.query.text, job.query.language)), uses=uses[key]
        )
        for job in jobs
        if job.query_id not in ledger.queries
    }
    ledger = replace(ledger, queries={**ledger.queries, **new})
    place = {
        ranked.query_id: i
        for i, ranked in enumerate(rank_queries(db, target=target, ledger=ledger, among=asked))
        if not ranked.exhausted and ranked.need > 0
    }
    return sorted(
        (job for job in jobs if job.query_id in place), key=lambda job: place[job.query_id]
    )


def _priors(ledger: Ledger, facts: Sequence[QueryFacts]) -> NDArray[np.float64]:
    """Expect of each query what others like it gave; a video that many found counts once."""
    answers: dict[tuple[str, str], dict[int, bool]] = defaultdict(dict)
    factors = {query_id: _factors(f) for query_id, f in ledger.queries.items()}
    for one, answer in zip(ledger.judged, ledger.answers, strict=True):
        if answer is not None:
            for key in factors[one.query_id]:
                of = answers[key]
                of[one.candidate_id] = answer or of.get(one.candidate_id, False)
    everything = answers[_ALL]
    overall = (sum(everything.values()) + FIRST_YIELD) / (len(everything) + 1)
    ratio = {
        key: (sum(of.values()) + _SHRINK_VIDEOS * overall) / (len(of) + _SHRINK_VIDEOS) / overall
        for key, of in answers.items()
    }
    means = [overall * math.prod(ratio.get(k, 1.0) for k in _factors(f)[1:]) for f in facts]
    return np.clip(means, _LOWEST, _HIGHEST)


def _factors(facts: QueryFacts) -> list[tuple[str, str]]:
    """What a query shares with others; the first is shared by all."""
    keys = {("template", use.template) for use in facts.uses}
    keys |= {("class", use.label) for use in facts.uses}
    return [_ALL, ("language", facts.language), *sorted(keys)]


def _new_per_search(ledger: Ledger, facts: Sequence[QueryFacts]) -> NDArray[np.float64]:
    """Expect as many results as searches gave so far, and new ones as classes still give."""
    asked = [f for f in ledger.queries.values() if f.searches]
    found = sum(f.found for f in asked)
    each = found / sum(f.searches for f in asked) if found else FIRST_RESULTS
    overall = sum(f.new for f in asked) / found if found else 1.0
    by_class: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for f in asked:
        for label in f.labels:
            by_class[label][0] += f.new
            by_class[label][1] += f.found
    shares = []
    for f in facts:
        counts = [by_class[label] for label in f.labels if label in by_class]
        shrunk = [_shrunk(new, answers, overall) for new, answers in counts] or [overall]
        shares.append(_shrunk(f.new, f.found, sum(shrunk) / len(shrunk)))
    return each * np.array(shares)


def _shrunk(part: float, whole: float, towards: float) -> float:
    return (part + _SHRINK_ANSWERS * towards) / (whole + _SHRINK_ANSWERS)


def _need(facts: QueryFacts, have: Mapping[str, int], target: int, wanted: Collection[str]) -> int:
    if not facts.labels:
        return 1
    labels = [label for label in facts.labels if not wanted or label in wanted]
    return max((max(0, target - have.get(label, 0)) for label in labels), default=0)
