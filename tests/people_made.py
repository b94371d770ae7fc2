"""People that tests make up."""

from __future__ import annotations

import numpy as np

from mimecurate.baselines.people import People


def made_people(
    clip_id: str,
    counts: list[int],
    *,
    seed: int = 0,
    layout: str = "coco17",
    joints: int = 17,
    dimensions: int = 2,
    features: int = 0,
    fps: float | None = 29.97,
) -> People:
    """People of a clip with so many of them in each frame."""
    rng = np.random.default_rng(seed)
    n = sum(counts)
    corners = rng.uniform(0, 200, (n, 2)).astype(np.float32)
    return People(
        clip_id=clip_id,
        frames=len(counts),
        width=320,
        height=240,
        fps=fps,
        layout=layout,
        frame=np.repeat(np.arange(len(counts), dtype=np.int32), counts),
        boxes=np.concatenate([corners, corners + 40], axis=1),
        scores=rng.random(n, np.float32),
        joints=rng.uniform(0, 240, (n, joints, dimensions)).astype(np.float32),
        joint_scores=rng.random((n, joints), np.float32),
        features=rng.random((n, features), np.float32) if features else None,
    )


def same(one: People, two: People) -> None:
    """Fail unless both hold the same, bit for bit."""
    facts = ("clip_id", "frames", "width", "height", "fps", "layout")
    assert [getattr(one, f) for f in facts] == [getattr(two, f) for f in facts]
    for name in ("frame", "boxes", "scores", "joints", "joint_scores"):
        first, second = getattr(one, name), getattr(two, name)
        assert first.dtype == second.dtype, name
        np.testing.assert_array_equal(first, second, err_msg=name)
    if one.features is None or two.features is None:
        assert one.features is two.features
    else:
        np.testing.assert_array_equal(one.features, two.features)
