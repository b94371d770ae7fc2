"""How each official function is told and compared: one entry of `FUNCTIONS` each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from parity_weights import Off

from mimecurate.baselines.i3d import I3D
from mimecurate.evaluation.metrics import Hits, score
from mimecurate.evaluation.ranks import rank_true_class

Manifest = Mapping[str, Any]
Arrays = Mapping[str, np.ndarray[Any, Any]]


def _entries(manifest: Manifest) -> list[dict[str, Any]]:
    """Give the list ``data`` of a manifest, where it has one."""
    data = manifest.get("data")
    return data if isinstance(data, list) else []


def _have(*names: str) -> Callable[[Manifest], bool]:
    """Tell a case whose every entry of ``data`` has these names."""

    def fits(manifest: Manifest) -> bool:
        entries = _entries(manifest)
        return bool(entries) and all(name in entry for entry in entries for name in names)

    return fits


def _maps(first_key: str) -> Callable[[Manifest], bool]:
    """Tell a case that maps keys, ``first_key`` among them."""

    def fits(manifest: Manifest) -> bool:
        data = manifest.get("data")
        return isinstance(data, dict) and first_key in data.get("key_map", {})

    return fits


def i3d_keys(manifest: Manifest, _arrays: Arrays) -> float:
    """Map every key of hassony2's layout; those of piergiaj's stay."""
    for theirs, ours in manifest["data"]["key_map"].items():
        got = [next(iter(I3D.rename_keys({key: torch.zeros(1)}))) for key in (theirs, ours)]
        if got != [ours, ours]:
            raise Off(f"{theirs} becomes {got[0]}, not {ours}")
    return 0.0


def single_label(manifest: Manifest, arrays: Arrays) -> float:
    """Compare top-k and mean class accuracy where mmaction2's definitions are ours.

    With ties, ours is the lower of its bounds: a tie counts against the model. Its mean runs over
    predicted classes too, which add zeros: ours times the share of classes that have clips.
    """
    tolerance, worst = manifest["tolerance"], 0.0
    for entry in _entries(manifest):
        scores, labels = (arrays[f"{kind}__{entry['i']}"] for kind in ("scores", "labels"))
        ranks = rank_true_class(scores, labels)
        pairs = [
            (float(np.mean(ranks.rank <= int(k))), bounds[0])
            for k, bounds in entry["top_k_accuracy_tie_bounds"].items()
        ]
        zeros, inside = np.zeros(len(labels), np.int64), np.ones(len(labels), bool)
        best = scores.max(axis=1, keepdims=True)
        if not ((scores == best).sum(axis=1) > 1).any():
            with_clips = np.unique(labels)
            seen = np.union1d(with_clips, scores.argmax(axis=1))
            found = score(Hits.from_ranks(ranks.rank), labels, zeros, inside).mean_class_top1
            assert found is not None
            mean = found / 100 * len(with_clips) / len(seen)
            pairs.append((mean, entry["mean_class_accuracy"]))
        for mine, stored in pairs:
            allowed = tolerance["atol"] + tolerance["rtol"] * abs(stored)
            worst = max(worst, abs(mine - stored) / allowed)
    if worst > 1:
        raise Off(f"a metric is {worst:.3g} tolerances off")
    return worst


FUNCTIONS: tuple[tuple[Callable[[Manifest], bool], Callable[[Manifest, Arrays], float]], ...] = (
    (_maps("mixed_3b.branch_0.conv3d.weight"), i3d_keys),
    (_have("top_k_accuracy_tie_bounds", "mean_class_accuracy"), single_label),
)
"""What tells a case by its manifest, and what runs it: it returns the difference in tolerances."""
