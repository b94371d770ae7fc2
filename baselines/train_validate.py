"""Measure a model while it trains: on every clip of a list, as `evaluate` counts them."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import torch
    from numpy.typing import NDArray
    from torch import nn

    from mimecurate.baselines.train_ranks import Ranks, StopSignals

TOP = 5
_LEAST = 1e-12
"""A probability is taken to be no smaller, so that the loss stays a number."""


@dataclass(frozen=True, slots=True)
class Scored:
    """The scores of one clip.

    Attributes:
        index: of the clip.
        scores: float32[C], probabilities; ``None`` if it has none.
        why: it has none.
    """

    index: int
    scores: NDArray[np.float32] | None
    why: str = ""


class ValClips(Protocol):
    """The clips to measure on."""

    @property
    def clip_ids(self) -> Sequence[str]:
        """Name them."""
        ...

    @property
    def labels(self) -> Sequence[int]:
        """Give the number of each one's class."""
        ...

    def __len__(self) -> int:
        """Count them."""
        ...

    def scores(
        self, model: nn.Module, indices: Sequence[int], device: torch.device, workers: int
    ) -> Iterator[Scored]:
        """Score clips with a model that is in evaluation mode."""
        ...


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured.

    Attributes:
        top1: accuracy in percent.
        numbers: ``val_top1``, ``val_top5``, ``val_mean_class_top1`` in percent, ``val_loss``.
        left_out: clips without scores, which count as wrong, and why.
        began_s: when, by `time.monotonic`.
    """

    top1: float
    numbers: dict[str, float]
    left_out: dict[str, str]
    began_s: float


def measure(
    model: nn.Module,
    val: ValClips,
    *,
    ranks: Ranks,
    device: torch.device,
    workers: int,
    stop: StopSignals,
) -> Measured | None:
    """Measure on all clips; one without scores counts as wrong, a tie against the model.

    Returns:
        ``None`` if a signal came meanwhile.
    """
    began_s = time.monotonic()
    model.eval()
    places: dict[int, tuple[int, float]] = {}
    left_out: dict[str, str] = {}
    for scored in val.scores(model, range(ranks.rank, len(val), ranks.size), device, workers):
        if scored.scores is None:
            left_out[val.clip_ids[scored.index]] = scored.why
        else:
            places[scored.index] = place_of(scored.scores, val.labels[scored.index])
        if stop.asked:
            break
    if ranks.counts(0, stop.asked)[2]:
        return None
    numbers = numbers_of(ranks.merged(places), val.labels)
    return Measured(numbers["val_top1"], numbers, ranks.merged(left_out), began_s)


def place_of(scores: NDArray[np.float32], label: int) -> tuple[int, float]:
    """Give how many classes score at least as high as the true one, and the loss.

    >>> place_of(np.array([0.25, 0.5, 0.25], np.float32), 0)[0]
    2
    """
    own = float(scores[label])
    if not math.isfinite(own):
        return len(scores), -math.log(_LEAST)
    above = int(np.count_nonzero(~(scores < own))) - 1
    return above, -math.log(max(own, _LEAST))


def numbers_of(places: dict[int, tuple[int, float]], labels: Sequence[int]) -> dict[str, float]:
    """Sum up the places of the clips that have scores; the others are wrong.

    >>> numbers = numbers_of({0: (0, 0.1), 1: (7, 3.1)}, [0, 0, 1])
    >>> {name: round(number, 2) for name, number in numbers.items()}
    {'val_top1': 33.33, 'val_top5': 33.33, 'val_mean_class_top1': 25.0, 'val_loss': 1.6}
    """
    right: dict[int, list[bool]] = {}
    for index, label in enumerate(labels):
        right.setdefault(label, []).append(index in places and places[index][0] == 0)
    losses = [loss for _, loss in places.values()]
    among = sum(place < TOP for place, _ in places.values())
    per_class = [sum(each) / len(each) for each in right.values()]
    return {
        "val_top1": 100 * sum(map(sum, right.values())) / len(labels),
        "val_top5": 100 * among / len(labels),
        "val_mean_class_top1": 100 * sum(per_class) / len(per_class),
        "val_loss": sum(losses) / len(losses) if losses else -math.log(_LEAST),
    }
