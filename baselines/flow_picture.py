"""A picture of a clip's flow, for people: direction of motion as colour, speed as strength.

After the Middlebury benchmark (Baker et al., "A Database and Evaluation Methodology for Optical
Flow", IJCV 2011): hue is the direction, white is still; here with an even circle of hues.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from mimecurate.baselines.flow_store import restore

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WHEEL = 128
"""Pixels across the wheel that says which colour is which direction."""


def colour_flow(flow: NDArray[np.float32], strongest: float) -> NDArray[np.uint8]:
    """Paint flow.

    Args:
        flow: ``(2, H, W)``, x and y.
        strongest: pixels per frame that are painted in full colour, and all above.

    Returns:
        ``(H, W, 3)`` RGB.

    >>> colour_flow(np.zeros((2, 1, 1), np.float32), 1.0).tolist()
    [[[255, 255, 255]]]
    """
    angle = np.arctan2(flow[1], flow[0]) / (2 * np.pi) % 1
    strength = np.clip(np.hypot(flow[0], flow[1]) / strongest, 0, 1)
    planes = [np.rint(255 * plane).astype(np.uint8) for plane in (angle, strength)]
    hsv = np.stack([*planes, np.full_like(planes[0], 255)], -1)
    return np.asarray(Image.fromarray(hsv, "HSV").convert("RGB"))


def flow_strip(stored: NDArray[np.uint8], pictures: int = 6) -> Image.Image:
    """Lay pictures of flow side by side, evenly spread over the clip, and the wheel after them.

    Full colour is the speed that 99.5 % of all pixels stay below, but at least 1 pixel per frame.

    Args:
        stored: ``(N, 2, H, W)``, as `mimecurate.baselines.flow_store.read_flow` gives it.
        pictures: how many, at most.
    """
    rows = np.unique(np.linspace(0, len(stored) - 1, pictures).round().astype(int))
    flow = restore(stored[rows])
    strongest = max(1.0, float(np.quantile(np.hypot(flow[:, 0], flow[:, 1]), 0.995)))
    painted = [colour_flow(planes, strongest) for planes in flow]
    height = flow.shape[2]
    side = min(_WHEEL, height)
    wheel = np.full((height, side, 3), 255, np.uint8)
    wheel[:side] = _wheel(side)
    return Image.fromarray(np.concatenate([*painted, wheel], axis=1))


def _wheel(side: int) -> NDArray[np.uint8]:
    at = np.linspace(-1, 1, side, dtype=np.float32)
    x, y = np.meshgrid(at, at)
    inside = np.hypot(x, y) <= 1
    return colour_flow(np.where(inside, np.stack([x, y]), 0).astype(np.float32), 1.0)
