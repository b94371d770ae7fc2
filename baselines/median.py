"""The median of 5 x 5 pixels, by comparing whole planes: no sort, no gather, any device."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

if TYPE_CHECKING:
    from torch import Tensor

_SORT = ((0, 3), (1, 4), (0, 2), (1, 3), (0, 1), (2, 4), (1, 2), (3, 4), (2, 3))
"""Comparators that sort five values: the lower goes to the first place, the higher to the other."""
# fmt: off
_SELECT = (
    (0, 3), (1, 4), (0, 2), (1, 3), (2, 4), (3, 4), (2, 3), (5, 8), (6, 9), (6, 8), (5, 6), (7, 9),
    (6, 7), (8, 9), (7, 8), (10, 13), (11, 14), (10, 12), (11, 13), (10, 11), (12, 14), (11, 12),
    (13, 14), (12, 13), (15, 18), (16, 19), (15, 17), (16, 18), (15, 16), (17, 19), (16, 17),
    (17, 18), (20, 23), (21, 24), (20, 22), (21, 23), (20, 21), (22, 24), (21, 22), (15, 8), (3, 7),
    (12, 20), (21, 13), (13, 8), (12, 7), (20, 9), (21, 7), (20, 11), (7, 11), (21, 17), (13, 7),
    (21, 13), (21, 20), (7, 17), (13, 16), (13, 20), (7, 16), (20, 4), (7, 4),
)
# fmt: on
"""Comparators that bring the median of 25 to place `_MEDIAN`, where place ``5 r + c`` holds the
value of rank r in column c. Found by search from sorted rows and forgetful selection, dropping
each comparator without which all 7,776 patterns of zeros and ones still come out right: enough for
any values, by the 0-1 principle."""
_MEDIAN = 7


def median5(planes: Tensor) -> Tensor:
    """Take the median of the 5 x 5 pixels around each; beyond the border it is repeated.

    Args:
        planes: ``(N, C, H, W)``, floating point. Not changed.

    Returns:
        The same shape. As OpenCV's `medianBlur` of size 5.

    >>> median5(torch.eye(6)[None, None]).max().item()
    0.0
    """
    height, width = planes.shape[-2:]
    padded = F.pad(planes, (2, 2, 2, 2), mode="replicate")
    column = [padded[..., i : i + height, :] for i in range(5)]
    for low, high in _SORT:
        a, b = column[low], column[high]
        column[low], column[high] = torch.minimum(a, b), torch.maximum(a, b)
    places: list[Tensor] = [rank[..., c : c + width] for rank in column for c in range(5)]
    for low, high, keeps_low, keeps_high in _STEPS:
        a, b = places[low], places[high]
        if keeps_low:
            places[low] = torch.minimum(a, b)
        if keeps_high:
            places[high] = torch.maximum(a, b)
    return places[_MEDIAN]


def _needed_steps() -> tuple[tuple[int, int, bool, bool], ...]:
    """Say of each comparator of `_SELECT` whether its low and its high end are used later."""
    needed = {_MEDIAN}
    steps = []
    for low, high in reversed(_SELECT):
        steps.append((low, high, low in needed, high in needed))
        needed |= {low, high}
    return tuple(reversed(steps))


_STEPS = _needed_steps()
