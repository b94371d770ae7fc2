from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import need_torch  # noqa: F401
import numpy as np
import parity
import pytest
import torch
from testbed import need

from mimecurate import baselines
from mimecurate.baselines.skeleton_graphs import adjacency
from mimecurate.baselines.stgcn import StGcn, class_names, rename_keys
from mimecurate.errors import MimecurateError, SettingError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import Tensor


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Two threads on two busy cores wait for each other more than they work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


PYSKL = {
    "data_bn.": "backbone.data_bn.",
    "fcn.": "cls_head.fc_cls.",
    ".tcn.0.": ".gcn.bn.",
    ".tcn.2.": ".tcn.conv.",
    ".tcn.3.": ".tcn.bn.",
    ".residual.0.": ".residual.conv.",
    ".residual.1.": ".residual.bn.",
    "st_gcn_networks.": "backbone.gcn.",
}


def seeded(seed: int = 0, **settings: int | float | str | bool) -> StGcn:
    """A small-output model whose every entry matters, normalisations and importances too."""
    torch.manual_seed(seed)
    model = StGcn(**{"layout": "coco17", "num_classes": 7, **settings})  # type: ignore[arg-type]
    with torch.no_grad():
        for name, entry in model.state_dict().items():
            if name.endswith(("running_mean", "bias")):
                entry.normal_(0, 0.1)
            elif name.startswith("edge_importance") or name.endswith("running_var"):
                entry.uniform_(0.5, 1.5)
    return model.eval()


def clips(n: int, *, frames: int = 16, joints: int = 17, persons: int = 2) -> Tensor:
    return torch.randn(n, 3, frames, joints, persons, generator=torch.Generator().manual_seed(n))


def as_pyskl(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same weights with pyskl's names: the graph once a block, the head a matrix."""
    theirs: dict[str, Tensor] = {}
    for key, value in state.items():
        if key == "A":
            theirs |= {f"backbone.gcn.{block}.gcn.A": value.clone() for block in range(10)}
        elif key.startswith("edge_importance."):
            theirs[f"backbone.gcn.{key.rpartition('.')[2]}.gcn.PA"] = value
        else:
            for ours, name in PYSKL.items():
                key = key.replace(ours, name) if not key.startswith("backbone.data_bn") else key
            theirs[key] = value[:, :, 0, 0] if key == "cls_head.fc_cls.weight" else value
    return theirs


@pytest.mark.parametrize(
    ("layout", "classes", "parameters"),
    [("openpose18", 400, 3_177_140), ("ntu25", 60, 3_098_832), ("coco17", 60, 3_088_704)],
)
def test_it_has_as_many_parameters_as_published(layout: str, classes: int, parameters: int) -> None:
    model = StGcn(layout, num_classes=classes)
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert len(model.state_dict()) == 172


def test_a_batch_scores_as_its_clips_do() -> None:
    model, x = seeded(), clips(8)
    with torch.no_grad():
        together = model(x)
        alone = torch.cat([model(one[None]) for one in x])
    assert together.shape == (8, 7)
    assert torch.allclose(together, alone, atol=1e-5)


def test_people_who_are_not_there_count_in_the_mean() -> None:
    model, x = seeded(), clips(2)
    x[..., 1] = 0
    with torch.no_grad():
        features = [model.features(x[..., m : m + 1]) for m in (0, 1)]
        assert torch.allclose(model.features(x), (features[0] + features[1]) / 2, atol=1e-5)
        assert not torch.allclose(model(x), model(x[..., :1]), atol=1e-3)
        assert torch.allclose(model.score_alone(x[..., :1], 2), model(x), atol=1e-5)
        assert torch.allclose(model.score_alone(x[..., :1], 1), model(x[..., :1]), atol=1e-6)


def test_the_order_of_people_does_not_matter_and_that_of_frames_does() -> None:
    model, x = seeded(), clips(1)
    with torch.no_grad():
        assert torch.allclose(model(x), model(x.flip(4)), atol=1e-5)
        assert not torch.allclose(model(x), model(x.flip(2)), atol=1e-4)


def test_a_joint_reaches_only_its_neighbours_in_one_block() -> None:
    model = seeded()
    block, graph = model.get_submodule("st_gcn_networks.0.gcn"), model.A
    x = torch.zeros(1, 3, 4, 17)
    with torch.no_grad():
        before = block(x, graph)
        x[:, :, 1, 9] = 5.0  # the left wrist, in one frame
        moved = (block(x, graph) - before).abs().amax(dim=1)[0] > 1e-6
    linked = torch.tensor(adjacency("coco17", "uniform")[0][9] > 0)
    assert torch.equal(moved[1], linked)
    assert not moved[[0, 2, 3]].any()


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_it_takes_any_number_of_frames(frames: int) -> None:
    with torch.no_grad():
        assert seeded()(clips(1, frames=frames)).shape == (1, 7)


def test_settings_change_the_graph_and_the_entries() -> None:
    assert seeded(strategy="distance").A.shape == (2, 17, 17)
    assert seeded(max_hop=2).A.shape == (5, 17, 17)
    plain = seeded(edge_importance=False)
    assert not [name for name in plain.state_dict() if name.startswith("edge_importance")]
    with torch.no_grad():
        assert plain(clips(1)).shape == (1, 7)
        assert seeded(channels=2)(clips(1)[:, :2]).shape == (1, 7)
    with pytest.raises(SettingError, match="no such layout"):
        StGcn("coco18")


def test_dropout_is_there_in_training_but_for_the_first_block() -> None:
    model = seeded(dropout=0.5).train()
    rates = [part.p for part in model.modules() if isinstance(part, torch.nn.Dropout)]
    assert rates == [0.0, *[0.5] * 9]
    x = clips(4)
    assert not torch.allclose(model(x), model(x))
    assert model.train(False) is model
    with torch.no_grad():
        assert torch.equal(model(x), model(x))


def test_every_parameter_learns() -> None:
    model = seeded().train()
    model(clips(4)).square().sum().backward()
    still = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == []


def test_both_published_layouts_load_the_same_model(tmp_path: Path) -> None:
    source, x = seeded(seed=1), clips(2)
    state = source.state_dict()
    files = {
        "original.pt": {f"module.{key}": value for key, value in state.items()},
        "bare.pt": dict(state),
        "pyskl.pth": {"meta": {"epoch": 16}, "state_dict": as_pyskl(state)},
    }
    assert len(as_pyskl(state)) == 181
    for name, content in files.items():
        torch.save(content, tmp_path / name)
        model = seeded(seed=2)
        baselines.load_checkpoint(model, tmp_path / name)
        with torch.no_grad():
            assert torch.equal(model(x), source(x)), name


def test_renaming_leaves_the_own_names_alone() -> None:
    state = seeded().state_dict()
    assert list(rename_keys(state)) == list(state)


def test_graphs_that_differ_from_block_to_block_are_refused() -> None:
    state = as_pyskl(seeded().state_dict())
    state["backbone.gcn.4.gcn.A"] = state["backbone.gcn.4.gcn.A"] + 0.01
    with pytest.raises(MimecurateError, match=r"gcn\.4\.gcn\.A differs from the graph"):
        baselines.load_checkpoint(seeded(), {"state_dict": state})


def test_weights_of_another_layout_do_not_load() -> None:
    with pytest.raises(MimecurateError, match="have another shape: A is 3x17x17, not 3x18x18"):
        baselines.load_checkpoint(seeded(layout="openpose18"), seeded().state_dict())


def test_the_classes_of_the_kinetics_weights_are_in_alphabetical_order() -> None:
    names = class_names("stgcn_2d")
    assert len(names) == 400
    assert list(names) == sorted(names, key=str.lower)


def test_the_parity_cases_pass(shared: Path) -> None:
    folder = shared / "parity" / "cases"
    need("shared", folder.is_dir(), f"no folder {folder}")
    paths = [*(folder / "stgcn").glob("*.json"), *(folder / "graphs_mm").glob("*.json")]
    assert len(paths) >= 9
    lines = [parity.run_case(path) for path in paths]
    assert [line for line in lines if not line.startswith("ok ")] == []


def test_the_parity_check_sees_a_wrong_graph(shared: Path, tmp_path: Path) -> None:
    """A graph by the paper's rule instead of the authors' code is far off."""
    case = shared / "parity" / "cases" / "stgcn" / "graph_openpose.json"
    need("shared", case.is_file(), f"no file {case}")
    with np.load(case.with_suffix(".npz")) as file:
        arrays = dict(file)
    arrays["openpose__spatial__hop1"] = arrays["openpose__spatial__hop1"].transpose(0, 2, 1)
    np.savez(tmp_path / "graph_openpose.npz", **arrays)
    shutil.copy(case, tmp_path)
    assert "FAILED" in parity.run_case(tmp_path / case.name)
    manifest = json.loads(case.read_text("utf-8"))
    manifest["params"]["centre_joint"] = 0
    (tmp_path / case.name).write_text(json.dumps(manifest), encoding="utf-8")
    assert "centre of openpose is 1, not 0" in parity.run_case(tmp_path / case.name)


@pytest.mark.gpu
def test_a_gpu_scores_as_the_cpu() -> None:
    need("gpu", torch.cuda.is_available(), "no CUDA device")
    model, x = seeded(), clips(8, frames=64)
    with torch.no_grad():
        cpu = model(x)
        gpu = model.cuda()(x.cuda()).cpu()
    assert torch.allclose(cpu, gpu, atol=1e-2 * cpu.abs().max())
