"""Order candidates by what a model says of them: by the wanted class, or by disagreement.

The Mimetics paper (Section 5.1) could not prune candidates with a classifier, as Kinetics does, for
classifiers fail on mimes; in its Table 6 no method has 15 % top-1. So this orders, and discards
nothing. Where a model that looks at the scene is sure of something else, the video is likely out of
context; where it says the wanted class, real objects are likely there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from mimecurate.curation.classes import (
    ClassEntry,
    classes_called,
    kinetics_names,
    load_classes,
)
from mimecurate.evaluation.superclasses import count_probabilities

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from sqlite_utils import Database

    from mimecurate.evaluation.predictions import Predictions

By = Literal["score", "disagreement"]
REMINDER = (
    "classifiers fail on mimes (Mimetics paper, Section 5.1: no method has 15 % top-1): "
    "look in this order, and discard nothing by it alone"
)


@dataclass(frozen=True, slots=True)
class RankedCandidate:
    """What a model says of a clip or a whole candidate."""

    clip_id: str
    """As in the prediction file: a clip's id, or a candidate's video id."""
    video_id: str
    wanted: str
    """The class it was found for; of several, the one with the highest score."""
    score: float
    """Probability of the wanted class."""
    says: str
    """The most probable class."""
    says_score: float
    disagreement: float
    """Probability of the best other class less that of the wanted one."""


@dataclass(frozen=True, slots=True)
class CandidateRanking:
    """Candidates in the order in which to look at them."""

    ranked: tuple[RankedCandidate, ...]
    unknown: int
    """Rows of the prediction file that are no clip or candidate here."""
    settled: int
    """Rows whose video is released, rejected or decided on."""
    without_column: tuple[str, ...]
    """Wanted classes that the model has no column for."""
    without_scores: int


def rank_candidates(
    db: Database, predictions: Predictions, by: By, *, label: str | None = None
) -> CandidateRanking:
    """Order what nobody has settled yet.

    Args:
        db: the workspace's database.
        predictions: scores by clip id, or by video id.
        by: what comes first: a high score of the wanted class, or a high disagreement.
        label: the wanted class; None: what each was found for.
    """
    wanted_of, settled = _wanted(db, predictions.clip_ids)
    columns = _columns(db, predictions.class_names or ())
    rows = np.array([i for i, name in enumerate(predictions.clip_ids) if name in wanted_of], int)
    chances = _probabilities(predictions.scores[rows])
    ranked: list[RankedCandidate] = []
    lacking: set[str] = set()
    without_scores = 0
    for row, chance in zip(rows, chances, strict=True):
        name = predictions.clip_ids[row]
        video_id, labels = wanted_of[name]
        if label is not None:
            if labels and label not in labels:
                continue
            labels = (label,)
        lacking |= {one for one in labels if one not in columns}
        known = [one for one in labels if one in columns]
        if np.isnan(chance).any():
            without_scores += 1
        elif known:
            ranked.append(_rank(name, video_id, known, chance, columns, predictions))
    key = "score" if by == "score" else "disagreement"
    ranked.sort(key=lambda r: (-getattr(r, key), r.clip_id))
    unknown = len(predictions.clip_ids) - len(rows) - settled
    return CandidateRanking(tuple(ranked), unknown, settled, tuple(sorted(lacking)), without_scores)


def _rank(
    name: str,
    video_id: str,
    labels: Sequence[str],
    chance: NDArray[np.float64],
    columns: Mapping[str, tuple[int, ...]],
    predictions: Predictions,
) -> RankedCandidate:
    wanted = max(labels, key=lambda one: chance[list(columns[one])].sum())
    own = list(columns[wanted])
    score = float(chance[own].sum())
    others = chance.copy()
    others[own] = -np.inf
    other = float(others.max()) if len(others) > len(own) else 0.0
    top = int(chance.argmax())
    assert predictions.class_names is not None
    says = wanted if score >= other else predictions.class_names[int(others.argmax())]
    best = max(score, other) if says == wanted else float(chance[top])
    return RankedCandidate(name, video_id, wanted, score, says, best, other - score)


def _wanted(
    db: Database, names: Sequence[str]
) -> tuple[dict[str, tuple[str, tuple[str, ...]]], int]:
    """Find which rows are clips or candidates that nobody settled, and what they were found for."""
    db.execute("CREATE TEMP TABLE IF NOT EXISTS scored (name TEXT PRIMARY KEY)")
    db.execute("DELETE FROM temp.scored")
    db.conn.executemany("INSERT OR IGNORE INTO temp.scored VALUES (?)", [(name,) for name in names])
    found: dict[str, tuple[str, set[str]]] = {}
    for name, video_id, wanted in db.execute(
        "SELECT name, video_id, label FROM temp.scored JOIN clips ON clip_id = name UNION ALL "
        "SELECT name, video_id, NULL FROM temp.scored JOIN candidates ON video_id = name"
    ):
        found.setdefault(name, (video_id, set()))
        if wanted:
            found[name][1].add(wanted)
    for video_id, labels in found.values():
        if not labels:
            labels.update(_found_for(db, video_id))
    over = {
        row[0]
        for row in db.execute(
            "SELECT name FROM temp.scored JOIN clip_verdicts ON clip_id = name "
            "WHERE verdict IN ('yes', 'no')"
        )
    }
    closed = {
        row[0]
        for row in db.execute(
            "SELECT video_id FROM release_rows UNION SELECT video_id FROM rejections "
            "JOIN candidates USING (candidate_id) WHERE label IS NULL"
        )
    }
    called = classes_called(db)
    open_ = {
        name: (video_id, tuple(sorted({n for one in labels for n in called.get(one, {one})})))
        for name, (video_id, labels) in found.items()
        if name not in over and video_id not in closed
    }
    return open_, len(found) - len(open_)


def _found_for(db: Database, video_id: str) -> list[str]:
    rows = db.execute(
        "SELECT label FROM candidates JOIN finds USING (candidate_id) JOIN searches "
        "USING (search_id) JOIN query_classes USING (query_id) WHERE video_id = ?1 UNION "
        "SELECT label FROM manual_finds JOIN candidates USING (candidate_id) "
        "WHERE video_id = ?1 AND label IS NOT NULL",
        [video_id],
    )
    return [row[0] for row in rows]


def _columns(db: Database, class_names: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Find the columns of each class: its own name's, else those of its names in Kinetics."""
    place = {name: i for i, name in enumerate(class_names)}
    columns: dict[str, tuple[int, ...]] = {name: (i,) for name, i in place.items()}
    entries: list[ClassEntry] = load_classes(db)
    for entry in entries:
        if entry.name in columns:
            continue
        names = {n for known in kinetics_names(entry).values() for n in known.names}
        there = tuple(sorted(place[n] for n in {*names, *entry.aliases} if n in place))
        if there:
            columns[entry.name] = there
    return columns


def _probabilities(scores: NDArray[np.floating]) -> NDArray[np.float64]:
    wide = scores.astype(np.float64)
    if not len(wide):
        return wide
    probable, other = count_probabilities(wide, np.ones(len(wide), bool))
    if probable > other:
        return wide
    with np.errstate(invalid="ignore"):
        wide = np.exp(wide - wide.max(axis=1, keepdims=True))
        return np.asarray(wide / wide.sum(axis=1, keepdims=True), np.float64)
