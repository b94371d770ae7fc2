"""A baseline for the demo's release that sees no motion."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from sqlite_utils import Database


NAME, VERSION = "demo", "1.0.0"
_SOFTNESS = 4.0  # bits of distance that make a class e times less likely


def score_by_nearest_frame(db: Database, out: Path) -> Path:
    """Score each test clip by the most similar frame of each class among the training clips.

    Similarity is the distance of perceptual hashes: the picture alone, no motion. A class's score
    is the softmax of the negative distance.

    Args:
        db: the workspace's database, with clips of the splits ``train`` and ``test``.
        out: the prediction file to write, ``.npz``.
    """
    train, test = _hashes(db, "train"), _hashes(db, "test")
    classes = sorted({label for _, label, _ in train})
    distances = np.empty((len(test), len(classes)))
    for column, name in enumerate(classes):
        known = np.concatenate([hashes for _, label, hashes in train if label == name])
        for row, (_, _, hashes) in enumerate(test):
            distances[row, column] = np.bitwise_count(hashes[:, None] ^ known[None, :]).min()
    scores = np.exp(-distances / _SOFTNESS)
    scores /= scores.sum(axis=1, keepdims=True)
    np.savez(
        out,
        clip_ids=np.array([clip_id for clip_id, _, _ in test]),
        class_names=np.array(classes),
        scores=scores.astype(np.float32),
    )
    return out


def _hashes(db: Database, split: str) -> list[tuple[str, str, NDArray[np.uint64]]]:
    rows = db.execute(
        "SELECT clip_id, label, frame_hashes FROM clips JOIN media USING (clip_id) "
        "WHERE split = ? ORDER BY clip_id",
        [split],
    )
    return [(c, label, np.frombuffer(blob, ">u8").astype(np.uint64)) for c, label, blob in rows]
