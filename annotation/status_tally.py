"""Counts a round in one pass over its clips and the answers to each, both in the clips' order."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from mimecurate.curation.classes import class_of_alias
from mimecurate.schemas.flags import FLAGS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sqlite_utils import Database

GOLD_FIELDS = ("verdict", "label", *(flag.name for flag in FLAGS))
_GOLD = ", ".join(f"gold.{name}" for name in GOLD_FIELDS)
_ASKED = f"""SELECT asked.clip_id, clips.label, wanted, owners, has_draft, predicted_label, {_GOLD}
    FROM (
        SELECT clip_id, max(drafts > 0) AS has_draft, max(gold_decision) AS gold_decision,
            max(predicted_label) AS predicted_label,
            sum(CASE WHEN tasks.gone_at IS NOT NULL OR projects.gone_at IS NOT NULL THEN 0
                WHEN projects.annotator IS NULL THEN overlap ELSE 1 END) AS wanted,
            json_group_array(projects.annotator) FILTER (WHERE projects.annotator IS NOT NULL
                AND tasks.gone_at IS NULL AND projects.gone_at IS NULL) AS owners
        FROM tasks JOIN projects USING (project_key) JOIN rounds USING (round)
        WHERE round = ? GROUP BY clip_id) AS asked
    JOIN clips USING (clip_id) LEFT JOIN decisions AS gold ON decision_id = gold_decision
    ORDER BY asked.clip_id"""
_VOTES = f"""SELECT clip_id, annotator, skipped,
        json_extract(details, '$.updated_by') IS NOT NULL, {", ".join(GOLD_FIELDS)}
    FROM current_annotations WHERE round = ?
    ORDER BY clip_id, annotator, skipped, at DESC, annotation_id DESC"""
_DRAFTS = """SELECT clip_id, drafts.annotator FROM drafts JOIN projects USING (project_key)
    WHERE round = ?"""


@dataclass(slots=True)
class AnnotatorTally:
    """What one person did."""

    counts: Counter[str] = field(default_factory=Counter)
    """Of ``answers``, ``skipped``, ``drafts``, ``edited``, ``shown`` (a class was filled in) and
    ``kept``."""
    gold: Counter[str] = field(default_factory=Counter)
    """By field: answers that can be compared with what is known."""
    right: Counter[str] = field(default_factory=Counter)
    """By field: those that are right."""


@dataclass(slots=True)
class Tally:
    """What there is of a round."""

    classes: dict[str | None, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """By class: ``clips``, ``done``, ``open``, ``skipped``, ``drafts``."""
    people: dict[str, AnnotatorTally] = field(default_factory=lambda: defaultdict(AnnotatorTally))
    answers: int = 0
    answers_left: int = 0
    _still: int = 0
    _touched: Counter[str] = field(default_factory=Counter)
    _own_open: Counter[str] = field(default_factory=Counter)
    _owners: set[str] = field(default_factory=set)
    now_called: Mapping[str, str] = field(default_factory=dict)
    """The class that an earlier name of one means."""

    def open_for(self, annotator: str) -> int:
        """Count the clips that want an answer which this person neither answered nor skipped."""
        if annotator in self._owners:
            return self._own_open[annotator]
        return self._still - self._touched[annotator]

    def add(self, asked: Sequence[Any], votes: Mapping[str, Sequence[Any]]) -> None:
        """Count one clip.

        Args:
            asked: a row of the clips.
            votes: the row of each annotator's answer to it.
        """
        _, label, wanted, owners_json, has_draft, predicted, *gold = asked
        owners = set(json.loads(owners_json))
        given = sum(not vote[2] for vote in votes.values())
        self._owners |= owners
        for annotator in owners - votes.keys():
            self._own_open[annotator] += 1
        if given < wanted and not owners:
            self._still += 1
            self._touched.update(votes.keys())
        for annotator, vote in votes.items():
            _add_vote(self.people[annotator], vote, predicted, gold, self.now_called)
        self.answers += given
        self.answers_left += max(wanted - given, 0)
        if wanted or votes:
            is_open = given < wanted
            self.classes[label].update(
                clips=1,
                done=given > 0 and not is_open,
                open=is_open,
                skipped=is_open and given < len(votes),
                drafts=is_open and bool(has_draft),
            )

    def add_drafts(self, drafts: Mapping[str, set[str]]) -> None:
        """Count the drafts of each person."""
        for annotator, clips in drafts.items():
            self.people[annotator].counts["drafts"] += len(clips)
        for annotator in self._owners:
            self.people[annotator].counts["drafts"] += 0


def tally_round(db: Database, name: str) -> Tally:
    """Count what there is of a round."""
    tally = Tally(now_called=class_of_alias(db))
    drafts: dict[str, set[str]] = defaultdict(set)
    for clip_id, annotator in db.execute(_DRAFTS, [name]):
        drafts[annotator].add(clip_id)
    answered = _answers_by_clip(db, name)
    clip_id, votes = next(answered, (None, {}))
    for asked in db.execute(_ASKED, [name]):
        while clip_id is not None and clip_id < asked[0]:
            clip_id, votes = next(answered, (None, {}))
        found = votes if clip_id == asked[0] else {}
        tally.add(asked, found)
        for annotator, vote in found.items():
            if not vote[2]:
                drafts[annotator].discard(asked[0])
    tally.add_drafts({annotator: clips for annotator, clips in drafts.items() if clips})
    return tally


def _answers_by_clip(
    db: Database, name: str
) -> Iterator[tuple[str | None, dict[str, Sequence[Any]]]]:
    """Yield each clip with one answer of each annotator: the latest; a skip only if that is all."""
    for clip_id, rows in groupby(db.execute(_VOTES, [name]), key=itemgetter(0)):
        votes: dict[str, Sequence[Any]] = {}
        for row in rows:
            votes.setdefault(row[1], row)
        yield clip_id, votes


def _add_vote(
    tally: AnnotatorTally,
    vote: Sequence[Any],
    predicted: str | None,
    gold: Sequence[Any],
    now_called: Mapping[str, str],
) -> None:
    _, _, is_skip, is_edited, *said = vote
    tally.counts["edited"] += is_edited
    if is_skip:
        tally.counts["skipped"] += 1
        return
    tally.counts["answers"] += 1
    label = said[GOLD_FIELDS.index("label")]
    if predicted is not None and label is not None:
        tally.counts["shown"] += 1
        tally.counts["kept"] += now_called.get(label, label) == now_called.get(predicted, predicted)
    for name, known, answer in zip(GOLD_FIELDS, gold, said, strict=True):
        if known is not None and answer is not None:
            names = now_called if name == "label" else {}
            tally.gold[name] += 1
            tally.right[name] += names.get(known, known) == names.get(answer, answer)
