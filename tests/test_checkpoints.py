from __future__ import annotations

import io
import json
import os
import pickle
import struct
import tarfile
from collections import OrderedDict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import need_torch  # noqa: F401
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from mimecurate.baselines import load_checkpoint
from mimecurate.baselines.checkpoints import read_checkpoint, unwrap
from mimecurate.errors import MimecurateError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from random import Random

    from torch import Tensor


class Little(nn.Module):
    """A model with a convolution, batch normalisation, a buffer and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(1, 2, 1)
        self.bn1 = nn.BatchNorm3d(2)
        self.fc = nn.Linear(2, 3)
        self.register_buffer("graph", torch.eye(2))


class Renaming(Little):
    @staticmethod
    def rename_keys(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {key.replace("cls_head.", "fc."): value for key, value in state.items()}


def filled(seed: int = 0) -> OrderedDict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return OrderedDict(
        (key, torch.rand(value.shape, generator=generator) if value.is_floating_point() else value)
        for key, value in Little().state_dict().items()
    )


def without_counters(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}


def prefixed(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {prefix + key: value for key, value in state.items()}


def holds(model: nn.Module, state: Mapping[str, Tensor]) -> bool:
    own = model.state_dict()
    return all(torch.equal(own[key], value) for key, value in state.items())


LAYOUTS: dict[str, Callable[[dict[str, Tensor]], Any]] = {
    "bare": lambda s: s,
    "3D-ResNets": lambda s: {
        "epoch": 200,
        "arch": "resnext-101",
        "state_dict": prefixed(s, "module."),
        "optimizer": {"state": {0: {"momentum_buffer": torch.ones(1)}}, "param_groups": []},
    },
    "IntegralAction": lambda s: {"epoch": 29, "network": prefixed(s, "module."), "optimizer": {}},
    "mmcv": lambda s: {"meta": {"epoch": 16, "time": "now"}, "state_dict": s},
    "nested": lambda s: {"model": {"state_dict": prefixed(s, "model.module.")}},
    "compiled": lambda s: {"model": prefixed(s, "_orig_mod.")},
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("counters", [False, True], ids=["uncounted", "counted"])
@pytest.mark.parametrize("is_zip", [False, True], ids=["old", "zip"])
def test_published_layouts_load(tmp_path: Path, layout: str, counters: bool, is_zip: bool) -> None:
    state = dict(filled()) if counters else without_counters(filled())
    path = tmp_path / "best.pth.tar"
    torch.save(LAYOUTS[layout](state), path, _use_new_zipfile_serialization=is_zip)
    model = Little()
    load_checkpoint(model, path)
    assert holds(model, state)
    other = Little()
    load_checkpoint(other, LAYOUTS[layout](state))
    assert holds(other, state)


def test_a_counter_that_the_model_has_not_is_left_out() -> None:
    model = nn.Sequential(nn.Linear(1, 1))
    state = {k: v + 1 for k, v in model.state_dict().items()}
    load_checkpoint(model, {**state, "1.num_batches_tracked": torch.tensor(3)})
    assert holds(model, state)


def test_names_go_through_the_models_own_map() -> None:
    state = {k.replace("fc.", "cls_head."): v for k, v in filled().items()}
    with pytest.raises(MimecurateError, match=r"2 of 10 are missing: fc\.weight, fc\.bias"):
        load_checkpoint(Little(), state)
    model = Renaming()
    load_checkpoint(model, state)
    assert holds(model, filled())


def test_half_precision_is_widened() -> None:
    state = {k: v.half() if v.is_floating_point() else v for k, v in filled().items()}
    model = Little()
    load_checkpoint(model, state)
    assert model.fc.weight.dtype == torch.float32
    assert torch.equal(model.fc.weight, state["fc.weight"].float())


def broken(change: Callable[[OrderedDict[str, Tensor]], object]) -> OrderedDict[str, Tensor]:
    state = filled()
    change(state)
    return state


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s.pop("bn1.running_var"), r"1 of 10 are missing: bn1\.running_var"),
        (lambda s: s.pop("graph"), "1 of 10 are missing: graph"),
        (lambda s: s.update({"x.y": torch.ones(1)}), r"1 are not the model's: x\.y"),
        (
            lambda s: s.update({"fc.weight": torch.ones(5, 2)}),
            r"1 have another shape: fc\.weight is 5x2, not 3x2",
        ),
        (
            lambda s: s.update({"fc.weight": torch.ones(1).expand(1 << 40, 1 << 20)}),
            r"fc\.weight is 1099511627776x1048576, not 3x2",
        ),
        (
            lambda s: s["fc.bias"].fill_(float("nan")),
            r"1 hold NaN, infinity or no real numbers: fc\.bias",
        ),
        (
            lambda s: s["conv1.weight"].fill_(float("inf")),
            r"hold NaN, infinity or no real numbers: conv1\.weight",
        ),
        (
            lambda s: s.update({"fc.bias": torch.ones(3, dtype=torch.complex64)}),
            r"no real numbers: fc\.bias",
        ),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_is_loaded(
    tmp_path: Path, change: Callable[[OrderedDict[str, Tensor]], object], words: str
) -> None:
    path = tmp_path / "weights.pth"
    torch.save(broken(change), path)
    model = Little()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(MimecurateError, match=words) as caught:
        load_checkpoint(model, path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    assert holds(model, before)


def test_all_that_is_wrong_is_said_at_once() -> None:
    state = {f"layer{i}.weight": torch.ones(1) for i in range(9)}
    with pytest.raises(MimecurateError) as caught:
        load_checkpoint(Little(), {**state, "fc.bias": torch.ones(4)})
    words = str(caught.value)
    assert "8 of 10 are missing: graph, conv1.weight, conv1.bias, bn1.weight and 4 more" in words
    assert "9 are not the model's: layer0.weight" in words
    assert "fc.bias is 4, not 3" in words


class Runs:
    """Runs a command when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("kind", ["zip", "old", "pickle"])
def test_a_pickle_that_would_run_something_is_refused(tmp_path: Path, kind: str) -> None:
    path, trace = tmp_path / "evil.pth", tmp_path / "it-ran"
    content = {"state_dict": {**filled(), "fc.bias": Runs(trace)}}
    if kind == "pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=kind == "zip")
    with pytest.raises(MimecurateError, match=r"evil\.pth: not loaded: ") as caught:
        load_checkpoint(Little(), path)
    assert "\n" not in str(caught.value)
    assert not trace.exists()


def test_a_whole_pickled_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    torch.save(Little(), path)
    with pytest.raises(MimecurateError, match=r"it wants \S*test_checkpoints\.Little; only"):
        load_checkpoint(Little(), path)


def test_files_that_are_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(MimecurateError, match=r"none\.pth: can't be read: No such file"):
        read_checkpoint(tmp_path / "none.pth")
    with pytest.raises(MimecurateError, match="can't be read: Is a directory"):
        read_checkpoint(tmp_path)
    for name, content in {"empty": b"", "page": b"<!doctype html>", "zip": b"PK\3\4" * 9}.items():
        path = tmp_path / f"{name}.pth"
        path.write_bytes(content)
        with pytest.raises(MimecurateError, match=name) as caught:
            read_checkpoint(path)
        assert "\n" not in str(caught.value)
    path = tmp_path / "real.tar"
    with tarfile.open(path, "w") as tar:
        tar.add(tmp_path / "page.pth", "sys_info")
    with pytest.raises(MimecurateError, match=r"real\.tar"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([1, 2], "holds a list, not a state dict"),
        (torch.ones(2), "holds a Tensor, not a state dict"),
        ({"epoch": 3}, "holds no state dict .*: epoch no tensor"),
        ({}, "it is empty"),
        ({"state_dict": {}}, "it is empty"),
        (
            {"a.b": torch.ones(1), "module.a.b": torch.ones(1)},
            r"holds a\.b twice, with and without a prefix",
        ),
    ],
)
def test_contents_that_are_no_state_dict(content: object, words: str) -> None:
    with pytest.raises(MimecurateError, match=words):
        unwrap(content, "x.pth")


@settings(max_examples=60, deadline=None)
@given(st.booleans(), st.booleans(), st.randoms(use_true_random=False))
def test_a_damaged_file_loads_whole_or_not_at_all(is_zip: bool, cut: bool, random: Random) -> None:
    buffer = io.BytesIO()
    torch.save({"state_dict": filled()}, buffer, _use_new_zipfile_serialization=is_zip)
    content = bytearray(buffer.getvalue())
    place = random.randrange(len(content))
    if cut:
        del content[place:]
    else:
        content[place] ^= random.randrange(1, 256)
    model, words = Little(), ""
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with TemporaryDirectory() as folder:
        path = Path(folder, "x.pth")
        path.write_bytes(content)
        try:
            load_checkpoint(model, path)
        except MimecurateError as error:
            words = str(error)
    assert "\n" not in words
    if words:
        assert holds(model, before)
    else:  # neither format has a checksum that torch looks at: a number may have changed
        assert not cut
        assert all(value.isfinite().all() for value in model.state_dict().values())


def test_a_model_on_the_meta_device_is_refused() -> None:
    with torch.device("meta"):
        model = Little()
    with pytest.raises(ValueError, match="meta device"):
        load_checkpoint(model, filled())


def safetensors(state: Mapping[str, Tensor]) -> bytes:
    """Write the format by its description, independently of the reader."""
    kinds = {torch.float32: "F32", torch.int64: "I64", torch.float16: "F16"}
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data = b""
    for key, value in state.items():
        raw = value.contiguous().numpy().tobytes()
        header[key] = {
            "dtype": kinds[value.dtype],
            "shape": list(value.shape),
            "data_offsets": [len(data), len(data) + len(raw)],
        }
        data += raw
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def test_safetensors_load(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(safetensors(filled()))
    model = Little()
    load_checkpoint(model, path)
    assert holds(model, filled())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no safetensors file"),
        (b"\xff" * 40, "no safetensors file: header of"),
        (struct.pack("<Q", 4) + b"nope", "its header is no JSON"),
        (struct.pack("<Q", 2) + b"[]", "its header is no object"),
        (struct.pack("<Q", 8) + b'{"a": 1}', "'a' is described wrongly"),
        (safetensors({"a": torch.ones(4)})[:-3], "'a' does not fit its place, or is cut off"),
        (
            safetensors({"a": torch.ones(4)}).replace(b"[4]", b"[9]"),
            "'a' does not fit its place",
        ),
    ],
)
def test_broken_safetensors_are_refused(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    with pytest.raises(MimecurateError, match=words):
        read_checkpoint(path)
