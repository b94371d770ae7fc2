"""How fast people answer, and how long the rest will take: from when answers were submitted.

Label Studio's lead time counts while a clip is open, and so does a lunch break. An answer's time of
work is therefore the time since the same person's answer before it; where that is over `IDLE_S`,
there was a break, and the lead time stands in, up to `IDLE_S`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

IDLE_S = 300.0
"""A longer gap between two answers is a break, a longer lead time is idleness."""
MIN_ANSWERS = 5
"""Fewer answers give no pace and no estimate."""


@dataclass(frozen=True, slots=True)
class Answer:
    """When an answer was first submitted, and how long its clip was open."""

    at_s: float
    """Seconds since the epoch."""
    lead_s: float | None
    """None: unknown."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast somebody answers."""

    answers: int
    active_s: float
    """Time of work, without breaks."""
    median_s: float | None
    """Median lead time of the answers that took at most `IDLE_S`."""
    idle: int
    """Answers whose lead time was over `IDLE_S`, left out of the median."""

    @property
    def per_hour(self) -> float | None:
        """Answers in an hour of work; None for too few answers."""
        if self.answers < MIN_ANSWERS or self.active_s <= 0:
            return None
        return self.answers * 3600 / self.active_s


@dataclass(frozen=True, slots=True)
class Estimate:
    """How much work is left."""

    answers_left: int
    seconds_per_answer: float | None
    """Mean time of work; None: too few answers to tell."""
    based_on: int
    """How many answers that mean is over."""
    annotators: int
    """Who answered in the seven days up to the last answer."""

    @property
    def hours(self) -> float | None:
        """Hours of work left, of all annotators together."""
        if self.answers_left == 0:
            return 0.0
        if self.seconds_per_answer is None:
            return None
        return self.answers_left * self.seconds_per_answer / 3600

    @property
    def words(self) -> str:
        """The estimate with what it is based on."""
        if self.answers_left == 0:
            return "All answers are there."
        left = f"{self.answers_left:,} answers are left"
        if self.hours is None or self.seconds_per_answer is None:
            return f"{left}; {MIN_ANSWERS} answers must be there before the rest can be estimated."
        each = ""
        if self.annotators > 1:
            each = f", {hours_words(self.hours / self.annotators)} for each of {self.annotators}"
        return (
            f"{left}: about {hours_words(self.hours)} of work{each}, at "
            f"{self.seconds_per_answer:.0f} s an answer (mean of {self.based_on:,}; "
            f"breaks over {IDLE_S / 60:.0f} min left out)."
        )


def pace_of(answers: Sequence[Answer]) -> Pace:
    """Work out how fast somebody answers.

    Args:
        answers: of one person, in any order.

    >>> pace = pace_of([Answer(0, 20), Answer(30, 25), Answer(60, 25), Answer(4000, 900)])
    >>> pace.active_s, pace.median_s, pace.idle
    (380.0, 25.0, 1)
    """
    ordered = sorted(answers, key=lambda answer: answer.at_s)
    leads = [answer.lead_s for answer in ordered if answer.lead_s is not None]
    busy = [lead for lead in leads if lead <= IDLE_S]
    active_s = _after_a_break(ordered[0]) if ordered else 0.0
    for before, answer in pairwise(ordered):
        gap_s = answer.at_s - before.at_s
        active_s += gap_s if gap_s <= IDLE_S else _after_a_break(answer)
    median_s = float(median(busy)) if busy else None
    return Pace(len(ordered), float(active_s), median_s, len(leads) - len(busy))


def estimate(answers_left: int, paces: Iterable[Pace], annotators: int) -> Estimate:
    """Estimate the work that is left from what was done.

    >>> estimate(120, [Pace(10, 300.0, 25.0, 0), Pace(20, 300.0, 14.0, 0)], 2).words
    '120 answers are left: about 40 min of work, 20 min for each of 2, at 20 s an answer \
(mean of 30; breaks over 5 min left out).'
    """
    known = list(paces)
    done = sum(pace.answers for pace in known)
    active_s = sum(pace.active_s for pace in known)
    per_answer = active_s / done if done >= MIN_ANSWERS and active_s > 0 else None
    return Estimate(answers_left, per_answer, done, annotators)


def hours_words(hours: float) -> str:
    """Say a number of hours.

    >>> hours_words(0.2), hours_words(3.14)
    ('12 min', '3.1 h')
    """
    return f"{hours * 60:.0f} min" if hours < 1 else f"{hours:,.1f} h"


def _after_a_break(answer: Answer) -> float:
    return 0.0 if answer.lead_s is None else min(answer.lead_s, IDLE_S)
