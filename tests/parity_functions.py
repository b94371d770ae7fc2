"""How each official function is told and compared: one entry of `FUNCTIONS` each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from parity_weights import Off

from mimecurate.baselines import sampling, transforms
from mimecurate.baselines.i3d import I3D
from mimecurate.baselines.registry import find_card
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


def _of_2018(fits: Callable[[Manifest], bool]) -> Callable[[Manifest], bool]:
    """Tell a case of the preprocessing whose range is 0 to 255."""
    return lambda manifest: fits(manifest) and "NOT divided" in manifest["params"].get("range", "")


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


def clips_2018(manifest: Manifest, _arrays: Arrays) -> float:
    """Compare the clips that 3D-ResNets-PyTorch tests in its release of 2018."""
    for entry in _entries(manifest):
        frames, length = entry["n_frames"], entry["clip_length"]
        clips = sampling.consecutive_clips(frames, length)
        _same_clips(clips, entry["clips"], f"{length} of {frames} frames")
    return 0.0


def clips_2020(manifest: Manifest, _arrays: Arrays) -> float:
    """Compare the clips that 3D-ResNets-PyTorch chooses since 2020."""
    for entry in _entries(manifest):
        frames, length = entry["n_frames"], entry["clip_length"]
        for name, stored in entry.items():
            if name not in {"n_frames", "clip_length"}:
                clips = _chosen_2020(name, frames, length)
                stored_clips = [stored] if name == "centre_clip" else stored
                _same_clips(clips, stored_clips, f"{name}: {length} of {frames} frames")
    return 0.0


def _chosen_2020(name: str, frames: int, length: int) -> list[list[int]]:
    number = int(name.rpartition("_")[2].removeprefix("stride") or 0) if name[-1].isdigit() else 0
    if name.startswith("inference_sliding_window_stride"):
        return sampling.sliding_windows(frames, length, number)
    if name.startswith("validation_even_"):
        return sampling.even_clips(frames, length, number)
    if name == "centre_clip":
        return [sampling.centre_clip(frames, length)]
    raise Off(f"unknown way to choose clips: {name}")


def _same_clips(clips: list[list[int]], stored: list[list[int]], where: str) -> None:
    """Compare frame numbers, from 0, with stored ones, from 1, written out or as first, last, T."""
    mine = [[number + 1 for number in clip] for clip in clips]
    if len(mine) != len(stored):
        raise Off(f"{where}: {len(mine)} clips, not {len(stored)}")
    for clip, other in zip(mine, stored, strict=True):
        is_summary = len(other) == 3 != len(clip)
        if ([clip[0], clip[-1], len(clip)] if is_summary else clip) != other:
            raise Off(f"{where}: a clip is {clip[:20]}, not {other[:20]}")


def frames_2018(manifest: Manifest, arrays: Arrays) -> float:
    """Compare the preprocessing of 2018: resize, crop, and subtract the mean from bytes."""
    protocol = find_card("resnext101_rgb_16f").protocol
    assert protocol is not None
    params, allowed, worst = manifest["params"], manifest["tolerance"], 0.0
    if [*protocol.mean, *protocol.std] != [*params["mean"], *params["std"]]:
        raise Off(f"mean and deviation are {protocol.mean}, {protocol.std}")
    for entry in _entries(manifest):
        height, width = entry["out_shape"][1:]
        protocol = replace(protocol, short_side=min(height, width), crop=(height, width))
        generator = torch.Generator().manual_seed(entry["image_seed"])
        shape = (entry["height"], entry["width"], 3)
        image = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
        frames = transforms.resize(image.permute(2, 0, 1)[None].contiguous(), protocol)
        views = transforms.crop(frames, protocol)
        mine = transforms.normalise(views, protocol)[0, :, 0].numpy()
        if list(mine.shape) != entry["out_shape"]:
            raise Off(f"{entry['name']} becomes {mine.shape}, not {entry['out_shape']}")
        stored = arrays[f"value__{entry['name']}"]
        differences = np.abs(mine.flatten()[arrays[f"index__{entry['name']}"]] - stored)
        bound = allowed["atol"] + allowed["rtol"] * np.abs(stored)
        worst = max(worst, float((differences / bound).max()))
    if not worst <= 1:
        raise Off(f"a pixel is {worst:.3g} tolerances off")
    return worst


FUNCTIONS: tuple[tuple[Callable[[Manifest], bool], Callable[[Manifest, Arrays], float]], ...] = (
    (_maps("mixed_3b.branch_0.conv3d.weight"), i3d_keys),
    (_have("n_frames", "clip_length", "clips"), clips_2018),
    (_have("n_frames", "clip_length", "centre_clip"), clips_2020),
    (_of_2018(_have("image_seed", "height", "width", "out_shape")), frames_2018),
    (_have("top_k_accuracy_tie_bounds", "mean_class_accuracy"), single_label),
)
"""What tells a case by its manifest, and what runs it: it returns the difference in tolerances."""
