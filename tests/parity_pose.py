"""The pose models' part of the parity check: ST-GCN, its graphs and its feeder."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from parity_models import ModelParity
from parity_weights import Off, shape_of

from mimecurate import baselines
from mimecurate.baselines.people import People
from mimecurate.baselines.pose_clips import filled
from mimecurate.baselines.pose_inputs import best_of_frames
from mimecurate.baselines.protocol import PoseProtocol
from mimecurate.baselines.skeleton_graphs import Layout, adjacency, find_layout
from mimecurate.baselines.stgcn import rename_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor, nn

    from mimecurate.baselines.skeleton_graphs import Strategy

    Manifest = Mapping[str, Any]
    Arrays = Mapping[str, np.ndarray[Any, Any]]

_THEIRS = {
    "openpose": "openpose18",
    "ntu-rgb+d": "ntu25",
    "nturgb+d": "ntu25_mm",
    "ntu_edge": "ntu24",
    "coco": "coco17",
}
"""Their names of layouts."""

_MODES = {"stgcn_spatial": "spatial", "spatial": "directed", "binary_adj": "neighbours"}
"""pyskl's and mmaction2's names of strategies."""


def _layout(name: str) -> str:
    if name not in _THEIRS:
        raise Off(f"no such layout: {name}")
    return _THEIRS[name]


def _make_original(manifest: Manifest) -> nn.Module:
    settings = manifest["constructor"]
    graph = settings["graph_args"]
    dropout = settings.get("dropout")
    return baselines.build(
        "stgcn_2d",
        layout=_layout(graph["layout"]),
        strategy=graph.get("strategy", "uniform"),
        max_hop=graph.get("max_hop", 1),
        channels=settings["in_channels"],
        num_classes=settings["num_class"],
        edge_importance=settings.get("edge_importance_weighting", True),
        dropout=dropout if isinstance(dropout, int | float) else 0.0,
    )


def _make_pyskl(manifest: Manifest) -> nn.Module:
    settings = manifest["constructor"]
    graph = settings["graph_cfg"]
    joints = shape_of(manifest["state_dict"]["backbone.gcn.0.gcn.A"])[-1]
    normalised = shape_of(manifest["state_dict"]["backbone.data_bn.weight"])[0]
    return baselines.build(
        "stgcn_coco17",
        layout=_layout(graph["layout"]),
        strategy=_MODES.get(graph["mode"], graph["mode"]),
        max_hop=graph.get("max_hop", 1),
        channels=normalised // joints,
        num_classes=settings["num_classes"],
        edge_importance="backbone.gcn.0.gcn.PA" in manifest["state_dict"],
        dropout=settings.get("tcn_dropout", 0.0),
    )


def _call_original(model: nn.Module, inputs: Mapping[str, Tensor], _: Manifest) -> dict[str, Any]:
    return {"logits": model(inputs["x"])}


def _call_pyskl(model: nn.Module, inputs: Mapping[str, Tensor], _: Manifest) -> dict[str, Any]:
    """Theirs is (N, M, T, V, C); ours (N, C, T, V, M)."""
    return {"logits": model(inputs["x"].permute(0, 4, 2, 3, 1))}


POSE_MODELS = (
    ModelParity("st_gcn_networks.0.gcn.conv.weight", _make_original, _call_original),
    ModelParity(
        "backbone.gcn.0.tcn.conv.weight",
        _make_pyskl,
        _call_pyskl,
        stage=lambda name: re.sub(r"^backbone\.(gcn(?=\.\d+$))?", _stage_root, name),
    ),
)


def _stage_root(match: re.Match[str]) -> str:
    return "st_gcn_networks" if match[1] else ""


def _worst(mine: Any, stored: Any, tolerance: Mapping[str, float], name: str) -> float:
    """Give the largest difference in tolerances; more than 1 is off."""
    if mine.shape != stored.shape:
        raise Off(f"{name} is {mine.shape}, not {stored.shape}")
    bound = tolerance["atol"] + tolerance["rtol"] * np.abs(stored)
    worst = float(np.max(np.abs(mine.astype(np.float64) - stored) / bound, initial=0.0))
    if not worst <= 1:
        raise Off(f"{name} is {worst:.3g} tolerances off")
    return worst


_GRAPH = re.compile(r"^(?P<layout>.+)__(?P<strategy>\w+?)__hop(?P<hops>\d+)$")


def _is_graphs(manifest: Manifest) -> bool:
    return bool(manifest["arrays"]) and all(_GRAPH.match(name) for name in manifest["arrays"])


def graphs(manifest: Manifest, arrays: Arrays) -> float:
    """Compare every stack of adjacency matrices; those of pyskl's code have its modes."""
    theirs = "pyskl" in manifest["source"]["repo"] or "mmaction" in manifest["source"]["repo"]
    worst = 0.0
    for name, stored in arrays.items():
        match = _GRAPH.match(name)
        assert match is not None
        strategy = match["strategy"]
        mine = adjacency(
            _graph_layout(match["layout"], manifest["params"]),
            cast("Strategy", _MODES[strategy] if theirs else strategy),
            max_hop=int(match["hops"]),
            dilation=int(manifest["params"].get("dilation", 1)),
        )
        worst = max(worst, _worst(mine, stored, manifest["tolerance"], name))
    return worst


def _graph_layout(name: str, params: Mapping[str, Any]) -> Layout:
    """Find the layout, and compare what the manifest says of it."""
    layout = find_layout(_layout(name))
    for centre in ("centre_joint", f"{name}_centre"):
        if params.get(centre, layout.centre) != layout.centre:
            raise Off(f"the centre of {name} is {layout.centre}, not {params[centre]}")
    bones = params.get(f"{name}_edges")
    if bones is not None and {tuple(bone) for bone in bones} != set(layout.bones):
        raise Off(f"{name} has other bones")
    return layout


def _is_feeder(manifest: Manifest) -> bool:
    return "num_person_out" in manifest.get("params", {})


def feeder(manifest: Manifest, arrays: Arrays) -> float:
    """Compare what a kinetics-skeleton file becomes; the drawing of frames is not part of it."""
    params = manifest["params"]
    if any(params.get(name) for name in ("random_choose", "random_move", "pose_matching")):
        raise Off("draws at random")
    people = skeleton_people(manifest["data"])
    protocol = PoseProtocol(
        frames=max(300, params["window_size"]),
        layout="openpose18",
        persons=params["num_person_out"],
    )
    sequence = best_of_frames(people, protocol, 3, among=params["num_person_in"])
    return _worst(filled(sequence, protocol), arrays["out__x"], manifest["tolerance"], "x")


def skeleton_people(document: Mapping[str, Any]) -> People:
    """Read the people of a kinetics-skeleton document; a frame is as wide and high as 1."""
    found = [
        (frame["frame_index"], person) for frame in document["data"] for person in frame["skeleton"]
    ]
    found.sort(key=lambda pair: int(pair[0]))
    n = len(found)
    joints = np.array([person["pose"] for _, person in found], np.float32).reshape(n, 18, 2)
    scores = np.array([person["score"] for _, person in found], np.float32).reshape(n, 18)
    return People(
        clip_id="case",
        frames=int(found[-1][0]) + 1 if found else 0,
        width=1,
        height=1,
        fps=None,
        layout="openpose18",
        frame=np.array([index for index, _ in found], np.int32),
        boxes=np.zeros((n, 4), np.float32),
        scores=np.ones(n, np.float32),
        joints=joints,
        joint_scores=scores,
    )


def _is_key_map(manifest: Manifest) -> bool:
    data = manifest.get("data")
    return isinstance(data, dict) and "edge_importance.0" in data.get("key_map", {})


def key_map(manifest: Manifest, _arrays: Arrays) -> float:
    """Map every key of pyskl's layout; those of the authors stay."""
    for ours, theirs in manifest["data"]["key_map"].items():
        blocks = re.match(r"(.*)\{(\d+)\.\.(\d+)\}(\S*)", theirs)
        names = (
            [f"{blocks[1]}{i}{blocks[4]}" for i in range(int(blocks[2]), int(blocks[3]) + 1)]
            if blocks
            else [theirs]
        )
        for name in (*names, ours):
            got = list(rename_keys({name: torch.zeros(1)}))
            if got != [ours]:
                raise Off(f"{name} becomes {got}, not {ours}")
    return 0.0


POSE_FUNCTIONS: tuple[
    tuple[Callable[[Manifest], bool], Callable[[Manifest, Arrays], float]], ...
] = ((_is_graphs, graphs), (_is_feeder, feeder), (_is_key_map, key_map))
