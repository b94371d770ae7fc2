from __future__ import annotations

import json
import shutil
import zlib
from typing import TYPE_CHECKING, Any

import need_torch  # noqa: F401
import numpy as np
import parity
import pytest
import torch
from parity_weights import Off, fill, make_inputs, save_as_published

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

QUICK = {
    "resnext101_3d/resnext101_2018_flow_16f",
    "i3d/hassony2_i3d_rgb_16f_224",
    "stgcn/stgcn_kinetics_n1_t64_m1",
    "stgcn/pyskl_stgcn_coco_ntu60",
}
"""A model case of each layout; `python tests/parity.py` runs all in CI."""
THEIRS = ("tsm/", "integralaction/", "jmrn_potion/", "metrics/multi_label")
"""Of models and functions that are not here."""


@pytest.fixture
def cases(shared: Path) -> dict[str, Path]:
    found = {f"{p.parent.name}/{p.stem}": p for p in parity.find_cases(shared / "parity")}
    assert len(found) > 40
    return found


def test_open_cases_pass(cases: dict[str, Path]) -> None:
    for name, path in cases.items():
        is_model = json.loads(path.read_text())["kind"] == "model"
        if is_model and name not in QUICK:
            continue
        line = parity.run_case(path)
        kind = "skipped" if name.startswith(THEIRS) else "ok"
        assert line.startswith(f"{kind} {name} "), line


@pytest.mark.slow
def test_all_open_cases_pass(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert parity.main(str(shared / "parity")) == 0
    for line in capsys.readouterr().out.splitlines():
        kind, name, *_ = line.split()
        assert kind == ("skipped" if name.startswith(THEIRS) else "ok"), line


def changed(path: Path, folder: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """Copy a case with its manifest changed, under another name."""
    manifest = json.loads(path.read_text())
    change(manifest)
    copy = folder / "cases" / "other" / "renamed.json"
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.write_text(json.dumps(manifest))
    if manifest["npz"]:
        shutil.copy(path.with_name(manifest["npz"]), copy.parent)
    return copy


def test_names_of_cases_do_not_matter(cases: dict[str, Path], tmp_path: Path) -> None:
    path = cases["stgcn/stgcn_kinetics_n1_t64_m1"]
    copy = changed(path, tmp_path, lambda m: m.update(id="renamed", group="other"))
    assert parity.run_case(copy).startswith("ok other/renamed 0.0")


def move_output(manifest: dict[str, Any]) -> None:
    manifest["tolerance"]["logits"] = {"rtol": 0, "atol": 1e-12}
    manifest["stages"][3]["value"][0] += 1


def test_a_difference_fails_and_says_where(
    cases: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = changed(cases["stgcn/stgcn_kinetics_n1_t64_m1"], tmp_path, move_output)
    stage = json.loads(copy.read_text())["stages"][3]["stage"]
    assert parity.main(str(tmp_path)) == 1
    line = capsys.readouterr().out
    assert line.startswith("FAILED other/renamed logits ")
    assert f"first stage that is off: {stage} (off by 1" in line


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m["fill"].update(check_abs_sum=1.0), "filled otherwise"),
        (lambda m: m["fill"].update(gain=2.0), "not filled as meant|filled otherwise"),
        (lambda m: m["inputs"][0].update(seed=5), "input x is not made as meant"),
        (lambda m: m["param_count"].update(learnable=7), "parameters, not 7"),
        (lambda m: m["state_dict"].update({"z.weight": "float32[1]"}), "z.weight|filled otherwise"),
        (lambda m: m["outputs"].update(more={"array": "x", "shape": [1]}), "no output more"),
        (lambda m: m.update(npz="missing.npz"), "its arrays missing.npz are not there"),
    ],
)
def test_a_wrong_manifest_fails(
    cases: dict[str, Path],
    tmp_path: Path,
    change: Callable[[dict[str, Any]], None],
    words: str,
) -> None:
    path = cases["stgcn/stgcn_kinetics_n1_t64_m1"]
    manifest = json.loads(path.read_text())
    change(manifest)
    copy = tmp_path / "renamed.json"
    copy.write_text(json.dumps(manifest))
    if manifest["npz"] != "missing.npz":
        shutil.copy(path.with_name(manifest["npz"]), tmp_path)
    line = parity.run_case(copy)
    assert line.startswith("FAILED ")
    assert any(word in line for word in words.split("|")), line
    assert "\n" not in line


def test_a_folder_without_cases_fails(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    assert parity.main(str(tmp_path)) == 1


def test_the_rule_for_weights() -> None:
    spec = {
        "bn.weight": "float32[3]",
        "bn.running_var": "float32[3]",
        "bn.num_batches_tracked": "int64[]",
        "fc.weight": "float32[4,9]",
        "fc.bias": "float32[4]",
        "A": "float32[2,2]",
    }
    rule = {"rule": "fill-v1", "gain": 4.0, "check": {}, "check_abs_sum": 0.0}
    eye = np.eye(2, dtype=np.float32)
    with pytest.raises(Off, match="filled otherwise"):
        fill(spec, {"A": eye}, rule)
    generator = torch.Generator().manual_seed(zlib.crc32(b"fc.weight"))
    expected = torch.randn(4, 9, generator=generator) * 2 / 3
    total = 0.0
    try:
        fill(spec, {"A": eye}, rule)
    except Off as error:
        total = float(str(error).split()[3].rstrip(","))
    state = fill(spec, {"A": eye}, {**rule, "check_abs_sum": total})
    assert torch.allclose(state["fc.weight"], expected)
    assert state["A"].tolist() == [[1, 0], [0, 1]]
    assert (state["bn.running_var"] >= 1).all()
    assert state["bn.num_batches_tracked"] == 0


def test_the_rule_for_inputs() -> None:
    entry = {
        "name": "x",
        "kind": "randn+offset",
        "seed": 3,
        "shape": [2, 3, 4],
        "offset_shape": [1, 3, 1],
        "offset_scale": 2.0,
        "then": [{"op": "mul", "by": 0.5}, {"op": "zero", "index": ":, 1:"}],
    }
    x = make_inputs([entry], {})["x"]
    first, second = (torch.Generator().manual_seed(s) for s in (3, 4))
    noise = torch.randn(2, 3, 4, generator=first)
    whole = (noise + 2 * torch.randn(1, 3, 1, generator=second)) * 0.5
    assert torch.equal(x[:, 0], whole[:, 0])
    assert not x[:, 1:].any()


def test_files_are_written_as_the_manifest_words_it(tmp_path: Path) -> None:
    state = {"fc.weight": torch.ones(1), "bn.num_batches_tracked": torch.tensor(0)}
    layout = {
        "container": 'dict with keys "epoch", "arch" ("resnext-101"), "state_dict", "optimizer"',
        "prefix_in_file": '"module." on every key',
    }
    old = torch.load(save_as_published(tmp_path, layout, state, False), weights_only=True)
    assert list(old) == ["state_dict", "epoch", "arch", "optimizer"]
    assert list(old["state_dict"]) == ["module.fc.weight"]
    bare = {"container": "the file is the bare state dict", "prefix_in_file": "none"}
    new = torch.load(save_as_published(tmp_path, bare, state, True), weights_only=True)
    assert list(new) == ["fc.weight", "bn.num_batches_tracked"]
