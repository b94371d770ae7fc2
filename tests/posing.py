"""Makes people for the tests of pose models: persons who stand apart, each in one tube."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mimecurate.baselines.joint_layouts import names_of
from mimecurate.baselines.people import People

if TYPE_CHECKING:
    from collections.abc import Sequence


def people(
    *spans: tuple[int, int],
    layout: str = "openpose18",
    dimensions: int = 2,
    features: int = 0,
    frames: int = 0,
    seed: int = 0,
    **changes: Any,
) -> People:
    """Make one person for each span of frames (first, end), 50 pixels apart.

    Joints are anywhere in the person's box; scores from 0.5 to 1; frames are 1000 x 500 pixels.
    """
    rng = np.random.default_rng(seed)
    rows = sorted((frame, who) for who, (a, b) in enumerate(spans) for frame in range(a, b))
    n, joints = len(rows), len(names_of(layout))
    left = np.array([50.0 * who for _, who in rows], np.float32)
    made = {
        "clip_id": "abcdefghijk_000000_000010",
        "frames": frames or max((end for _, end in spans), default=0),
        "width": 1000,
        "height": 500,
        "fps": None,
        "layout": layout,
        "frame": np.array([frame for frame, _ in rows], np.int32),
        "boxes": np.stack([left, left * 0, left + 40, left * 0 + 90], axis=1).reshape(n, 4),
        "scores": rng.uniform(0.5, 1, n).astype(np.float32),
        "joints": rng.uniform(0, 40, (n, joints, dimensions)).astype(np.float32)
        + left[:, None, None],
        "joint_scores": rng.uniform(0.5, 1, (n, joints)).astype(np.float32),
        "features": rng.normal(size=(n, features)).astype(np.float32) if features else None,
    }
    return People(**{**made, **changes})


def by_frame(found: People, frame: int) -> Sequence[int]:
    """Give the rows of a frame."""
    rows: list[int] = np.flatnonzero(found.frame == frame).tolist()
    return rows
