"""Weights, inputs and files of parity cases, made from their manifests alone."""

from __future__ import annotations

import math
import re
import zlib
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    import numpy as np
    from torch import Tensor

ENTRY = re.compile(r"(\w+)\[([\d,]*)\]")
RELATIVE = 1e-5
"""How far a fill or an input may be from the manifest's check."""


class Off(Exception):
    """A case differs from what is stored."""


def shape_of(entry: str) -> tuple[int, ...]:
    """Read the shape of ``float32[128,64,1,1]``."""
    match = ENTRY.fullmatch(entry)
    assert match is not None, entry
    return tuple(int(n) for n in match[2].split(",") if n)


def fill(
    spec: Mapping[str, str], fixed: Mapping[str, np.ndarray[Any, Any]], rule: Mapping[str, Any]
) -> dict[str, Tensor]:
    """Make every tensor of a state dict by the rule "fill-v1".

    Raises:
        Off: another rule is wanted, or the check fails.
    """
    if rule["rule"] != "fill-v1":
        raise Off(f"unknown rule for weights: {rule['rule']}")
    state = {}
    for key, entry in spec.items():
        dtype = getattr(torch, entry.partition("[")[0])
        value = torch.from_numpy(fixed[key]) if key in fixed else _drawn(key, spec, rule["gain"])
        state[key] = value.to(dtype) if dtype.is_floating_point else torch.zeros((), dtype=dtype)
    for key, first in rule["check"].items():
        got = state[key].flatten()[: len(first)].tolist()
        if any(abs(a - b) > RELATIVE * max(1.0, abs(b)) for a, b in zip(got, first, strict=True)):
            raise Off(f"the weights of {key} are not filled as meant")
    total = sum(float(v.double().abs().sum()) for v in state.values() if v.is_floating_point())
    if abs(total - rule["check_abs_sum"]) > RELATIVE * rule["check_abs_sum"]:
        raise Off(f"weights sum to {total}, not to {rule['check_abs_sum']}: filled otherwise")
    return state


def _drawn(key: str, spec: Mapping[str, str], gain: float) -> Tensor:
    shape = shape_of(spec[key])
    r = _randn(zlib.crc32(key.encode()), shape)
    parent, _, kind = key.rpartition(".")
    if kind == "running_mean" or kind == "bias":
        return 0.1 * r
    if kind == "running_var":
        return 1 + 0.1 * r.abs()
    is_norm = len(shape) == 1 or f"{parent}.running_mean" in spec
    if kind == "weight" and not is_norm:
        return r * math.sqrt(gain / math.prod(shape[1:]))
    return 1 + 0.1 * r


def _randn(seed: int, shape: Iterable[int]) -> Tensor:
    generator = torch.Generator(device="cpu").manual_seed(seed)
    return torch.randn(tuple(shape), generator=generator, dtype=torch.float32)


def make_inputs(
    entries: Iterable[Mapping[str, Any]], arrays: Mapping[str, np.ndarray[Any, Any]]
) -> dict[str, Tensor]:
    """Make the inputs of a case, by name."""
    made = {}
    for entry in entries:
        if entry["kind"] == "stored":
            x = torch.from_numpy(arrays[entry["array"]])
        else:
            x = _randn(entry["seed"], entry["shape"])
        if entry["kind"] == "randn+offset":
            level = _randn(entry["seed"] + 1, entry["offset_shape"])
            x = x + entry.get("offset_scale", 2.0) * level
        for step in entry.get("then", []):
            x = _follow(x, step)
        made[entry["name"]] = x
    return made


def _follow(x: Tensor, step: Mapping[str, Any]) -> Tensor:
    if step["op"] == "mul":
        return x * float(step["by"])
    if step["op"] == "zero":
        x = x.clone()
        x[_index(step["index"])] = 0
        return x
    raise Off(f"unknown step of an input: {step['op']}")


def _index(text: str) -> tuple[Any, ...]:
    """Read the text of a slice.

    >>> _index(":, 90:, ..., 1")
    (slice(None, None, None), slice(90, None, None), Ellipsis, 1)
    """
    parts: list[Any] = []
    for part in text.replace(" ", "").split(","):
        if part == "...":
            parts.append(...)
        elif ":" in part:
            parts.append(slice(*(int(n) if n else None for n in part.split(":"))))
        else:
            parts.append(int(part))
    return tuple(parts)


def check_inputs(entries: Iterable[Mapping[str, Any]], inputs: Mapping[str, Tensor]) -> None:
    """Compare inputs with the manifest's check.

    Raises:
        Off: they were made otherwise.
    """
    for entry in entries:
        if not (check := entry.get("check")):
            continue
        flat = inputs[entry["name"]].flatten().double()
        first, last = check["first4"], check["last2"]
        mine = [*flat[: len(first)].tolist(), *flat[-len(last) :].tolist(), float(flat.sum())]
        stored = [*first, *last, check["sum"]]
        scale = [1.0] * (len(stored) - 1) + [float(flat.abs().sum())]
        for a, b, size in zip(mine, stored, scale, strict=True):
            if abs(a - b) > RELATIVE * max(1.0, abs(b), size):
                raise Off(f"input {entry['name']} is not made as meant: {a} where {b} is stored")


def save_as_published(
    folder: Path, layout: Mapping[str, Any], state: Mapping[str, Tensor], counters: bool
) -> Path:
    """Save weights as their publishers do: wrapped, with a prefix, as the manifest words it.

    Args:
        folder: where to.
        layout: the manifest's ``checkpoint``.
        state: the weights by official name.
        counters: keep ``num_batches_tracked``, and write a zip file as torch does since 1.6; else
            leave them out, and write the older format.
    """
    prefix = "module." if '"module."' in layout.get("prefix_in_file", "") else ""
    kept = {
        prefix + key: value
        for key, value in state.items()
        if counters or not key.endswith("num_batches_tracked")
    }
    container = layout.get("container", "")
    quoted = re.findall(r'"([^"]+)"', container)
    wrapper = next((w for w in ("state_dict", "network", "model") if w in quoted), None)
    content: dict[str, Any] = kept
    if wrapper is not None and "bare state dict" not in container:
        optimizer = {"state": {}, "param_groups": [{"lr": 0.1, "params": [0]}]}
        beside = {"epoch": 3, "arch": "resnext-101", "optimizer": optimizer, "meta": {"epoch": 3}}
        content = {wrapper: kept, **{k: v for k, v in beside.items() if k in quoted}}
    path = folder / ("counted.pth" if counters else "old.pth.tar")
    torch.save(content, path, _use_new_zipfile_serialization=counters)
    return path
