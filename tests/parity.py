"""Compare models and functions with vectors that the official implementations made.

By hand::

    python tests/parity.py ../shared/parity

Every case found below the folder gets a line: ``ok GROUP/CASE 0.03 of tolerance``, ``FAILED …``
with the first stage that is off, or ``skipped … no such model``, of functions too. The exit status
is 1 if any failed or none was found. Nothing is taken from the names of cases: models are told by
the keys of their state dict and made from the manifest's settings and shapes, weights by the rule
"fill-v1".
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
import torch
from parity_functions import FUNCTIONS
from parity_models import MODELS, ModelParity
from parity_pose import POSE_FUNCTIONS, POSE_MODELS
from parity_weights import Off, check_inputs, fill, make_inputs, save_as_published

from mimecurate.baselines import load_checkpoint

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor, nn

STAGE_TOLERANCE = 1e-3
"""Of a stage's largest value: wider than that of outputs, for it only tells where."""


@dataclass(frozen=True, slots=True)
class Case:
    """One case: its name, its manifest and its arrays."""

    name: str
    manifest: dict[str, Any]
    arrays: dict[str, np.ndarray[Any, Any]]


def find_cases(folder: Path) -> Iterator[Path]:
    """Find every manifest below a folder, in order."""
    for path in sorted(folder.rglob("*.json")):
        with path.open("rb") as file:
            if b'"parity-vector' in file.read(4096):
                yield path


def read_case(path: Path) -> Case:
    manifest = json.loads(path.read_text("utf-8"))
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    if manifest.get("npz"):
        try:
            with np.load(path.with_name(manifest["npz"]), allow_pickle=False) as file:
                arrays = dict(file)
        except FileNotFoundError as error:
            raise Off(f"its arrays {manifest['npz']} are not there") from error
        except (OSError, ValueError, EOFError, BadZipFile) as error:
            raise Off(f"its arrays {manifest['npz']} are no .npz file, or a broken one") from error
    return Case(f"{path.parent.name}/{path.stem}", manifest, arrays)


def run_case(path: Path) -> str:
    """Run one case and say how it went, in one line."""
    name = f"{path.parent.name}/{path.stem}"
    try:
        case = read_case(path)
        if case.manifest["kind"] == "model":
            found = next(
                (m for m in (*MODELS, *POSE_MODELS) if m.matches(case.manifest["state_dict"])), None
            )
            if found is None:
                return f"skipped {name} no such model"
            return f"ok {name} {_run_model(case, found):.2g} of tolerance"
        function = next(
            (run for fits, run in (*FUNCTIONS, *POSE_FUNCTIONS) if fits(case.manifest)), None
        )
        if function is None:
            return f"skipped {name} no such model"
        return f"ok {name} {function(case.manifest, case.arrays):.2g} of tolerance"
    except Off as error:
        return f"FAILED {name} {error}"
    except Exception as error:  # the other cases are to run all the same
        words = " ".join(str(error).split())[:300]
        return f"FAILED {name} {type(error).__name__}: {words}"


def _run_model(case: Case, parity: ModelParity) -> float:
    """Load the filled weights as published, run the model and compare its outputs.

    Returns:
        The largest difference, in tolerances.

    Raises:
        Off: something differs.
    """
    manifest = case.manifest
    fixed = {key: case.arrays[array] for key, array in manifest["fill"]["fixed"].items()}
    state = fill(manifest["state_dict"], fixed, manifest["fill"])
    model = load_in_all_ways(manifest, state, parity)
    inputs = make_inputs(manifest["inputs"], case.arrays)
    check_inputs(manifest["inputs"], inputs)
    with torch.no_grad():
        outputs = parity.call(model, inputs, manifest)
        worst, why = compare_outputs(manifest, case.arrays, outputs)
        if worst <= 1:
            return worst
        where = first_stage_off(manifest, parity, model, inputs)
    raise Off(f"{why}; {where}")


def load_in_all_ways(
    manifest: Mapping[str, Any], state: dict[str, Tensor], parity: ModelParity
) -> nn.Module:
    """Load files of the published layout, without and with counters of batches.

    Raises:
        Off: they do not end in the same model.
    """
    with tempfile.TemporaryDirectory() as folder:
        models = []
        for counters in (False, True):
            path = save_as_published(Path(folder), manifest["checkpoint"], state, counters)
            model = parity.make(manifest).eval()
            load_checkpoint(model, path)
            path.unlink()
            models.append(model)
    first, second = (model.state_dict() for model in models)
    different = [key for key in first if not torch.equal(first[key], second[key])]
    if different:
        raise Off(f"loads otherwise without num_batches_tracked: {different[0]}")
    learnable = sum(p.numel() for p in models[0].parameters())
    if learnable != manifest["param_count"]["learnable"]:
        raise Off(f"{learnable:,} parameters, not {manifest['param_count']['learnable']:,}")
    return models[0]


def compare_outputs(
    manifest: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray[Any, Any]],
    outputs: Mapping[str, Tensor],
) -> tuple[float, str]:
    """Give the largest difference in tolerances, and what it is of."""
    worst, why = 0.0, ""
    for name, output in manifest["outputs"].items():
        if name not in outputs:
            raise Off(f"there is no output {name}")
        mine, stored = outputs[name].numpy().astype(np.float64), arrays[output["array"]]
        if mine.shape != stored.shape:
            return float("inf"), f"{name} is {mine.shape}, not {stored.shape}"
        allowed = manifest["tolerance"][name]
        bound = allowed["atol"] + allowed["rtol"] * np.abs(stored.astype(np.float64))
        times = float(np.max(np.abs(mine - stored) / bound))
        if not times <= worst:  # NaN is the worst
            worst, why = (times if times == times else float("inf")), f"{name} {times:.3g} x off"
    return worst, why


def first_stage_off(
    manifest: Mapping[str, Any],
    parity: ModelParity,
    model: nn.Module,
    inputs: Mapping[str, Tensor],
) -> str:
    """Run the model again and name the first stage whose numbers differ."""
    seen: dict[str, str] = {}
    hooks = []
    for stage in manifest.get("stages", []):

        def look(
            _module: nn.Module, _inputs: object, output: Any, stage: dict[str, Any] = stage
        ) -> None:
            tensor = output[0] if isinstance(output, tuple) else output
            seen.setdefault(stage["stage"], _stage_differs(stage, tensor))

        name = parity.stage(stage["stage"])
        if name in dict(model.named_modules()):
            hooks.append(model.get_submodule(name).register_forward_hook(look))
    parity.call(model, inputs, manifest)
    for hook in hooks:
        hook.remove()
    off = next(((name, why) for name, why in seen.items() if why), None)
    if off is None:
        return f"none of {len(seen)} stages is off: it is behind the last"
    return f"first stage that is off: {off[0]} ({off[1]})"


def _stage_differs(stage: Mapping[str, Any], output: Tensor) -> str:
    if list(output.shape) != stage["shape"]:
        return f"shape {list(output.shape)}, not {stage['shape']}"
    flat = output.flatten().double()
    allowed = STAGE_TOLERANCE * max(stage["absmax"], 1e-12)
    mine = [flat.mean(), flat.std(correction=0), flat.abs().max(), *flat[stage["flat_index"]]]
    stored = [stage["mean"], stage["std"], stage["absmax"], *stage["value"]]
    worst = max(abs(float(a) - b) for a, b in zip(mine, stored, strict=True))
    return "" if worst <= allowed else f"off by {worst:.3g}, largest value {stage['absmax']:.3g}"


def main(folder: str) -> int:
    """Run every case below a folder; return the exit status."""
    paths = list(find_cases(Path(folder)))
    if not paths:
        print(f"{folder}: no parity case found")
        return 1
    lines = []
    for path in paths:
        lines.append(run_case(path))
        print(lines[-1], flush=True)
    return int(any(line.startswith("FAILED") for line in lines))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python tests/parity.py DIR")
    sys.exit(main(sys.argv[1]))
