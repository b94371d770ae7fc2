from __future__ import annotations

import struct
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from testbed import need

try:
    import torch
except ImportError:
    need("torch", False, "pip install 'mimecurate[baselines]'")

from killing import small_disk
from torch import nn
from training import CLASSES, SETTINGS, small_model

from mimecurate.baselines.tensorboard_events import EventFile, masked_crc32c
from mimecurate.baselines.train_start import estimate_memory, resolved_parts
from mimecurate.baselines.train_state import (
    TrainedModel,
    TrainState,
    load_training,
    read_trained,
    resumed,
    save_checkpoint,
)
from mimecurate.errors import MimecurateError

if TYPE_CHECKING:
    from pathlib import Path

TRAINED = TrainedModel("numbers", {"features": 12}, CLASSES, "abc")


def save(path: Path, state: TrainState | None = None, width: int = 12) -> None:
    model = small_model(width)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, 0.9)
    model(torch.ones(1, width)).sum().backward()
    optimizer.step()
    save_checkpoint(
        path,
        TRAINED,
        replace(SETTINGS, frozen=("0", "3")),
        state or TrainState(),
        weights=model.state_dict(),
        optimizer=optimizer.state_dict(),
    )


def test_checkpoint_holds_all_and_only_data(tmp_path: Path) -> None:
    state = TrainState(epoch=2, step=3, steps=11, history=[{"loss": 0.5}], left_out={"a": "b"})

    save(tmp_path / "last.pt", state)

    path = tmp_path / "last.pt"
    document = torch.load(path, weights_only=True)
    assert read_trained(path) == TRAINED
    settings = replace(SETTINGS, frozen=("0", "3"))
    assert resumed(document, path, TRAINED, settings) == state
    assert document["optimizer"]["state"][0]["momentum_buffer"].shape == (16, 12)
    assert list(tmp_path.iterdir()) == [path]


def test_other_files_are_no_training(tmp_path: Path) -> None:
    torch.save({"state_dict": {}}, tmp_path / "other.pt")
    torch.save(small_model(), tmp_path / "pickled.pt")
    (tmp_path / "cut.pt").write_bytes((tmp_path / "pickled.pt").read_bytes()[:900])

    for name, words in (
        ("other.pt", "not a checkpoint of `mimecurate baseline train`"),
        ("pickled.pt", "only tensors are read, and nothing is run"),
        ("cut.pt", "no checkpoint, or a broken one"),
        ("none.pt", "can't be read: No such file"),
    ):
        assert read_trained(tmp_path / name) is None
        with pytest.raises(MimecurateError, match=words) as caught:
            load_training(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_full_disk_leaves_the_checkpoint_before() -> None:
    with small_disk(1 << 16) as folder:
        save(folder / "last.pt", TrainState(epoch=1))
        with pytest.raises(MimecurateError, match=r"last\.pt can't be written"):
            save(folder / "last.pt", TrainState(epoch=2), width=2000)

        assert load_training(folder / "last.pt")["state"]["epoch"] == 1
        assert [path.name for path in folder.iterdir()] == ["last.pt"]


def test_tensorboard_reads_the_scalars(tmp_path: Path) -> None:
    with EventFile(tmp_path) as events:
        events.add(1, {"loss": 2.5, "lr": 0.1})
        events.add(300, {"loss": 9.0})

    (path,) = tmp_path.iterdir()
    data, found = path.read_bytes(), []
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        assert struct.unpack("<I", data[8:12])[0] == masked_crc32c(data[:8])
        event, data = data[12 : 12 + length], data[12 + length :]
        assert struct.unpack("<I", data[:4])[0] == masked_crc32c(event)
        found.append(event[9:])
        data = data[4:]
    assert found[0] == b"\x1a\x0dbrain.Event:2"
    scalar = b"\x0a\x04loss\x15" + struct.pack("<f", 9.0)
    assert found[2] == b"\x10\xac\x02" + b"\x2a\x0d" + b"\x0a\x0b" + scalar


def test_tensorboard_itself_reads_what_a_resumed_run_wrote(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing import event_accumulator as accumulator

    with EventFile(tmp_path) as events:
        events.add(1, {"loss": 2.5})
        events.add(300, {"loss": 9.0})
    with EventFile(tmp_path, first_step=201) as events:
        events.add(300, {"loss": 1.25})

    read = accumulator.EventAccumulator(str(tmp_path))
    read.Reload()

    assert [(s.step, s.value) for s in read.Scalars("loss")] == [(1, 2.5), (300, 1.25)]


def test_memory_counts_weights_gradients_momentum_and_what_is_kept() -> None:
    model = nn.Sequential(nn.Linear(10, 20, bias=False), nn.ReLU(), nn.Linear(20, 5, bias=False))

    assert estimate_memory(model, torch.empty(10), 7) == 4 * (3 * 300 + 7 * (10 + 20))
    model[0].weight.requires_grad_(False)
    assert estimate_memory(model, torch.empty(10), 7) == 4 * (300 + 2 * 100 + 7 * 20)


def test_backbone_is_all_but_the_classifier() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 3)))

    assert resolved_parts(model, ("backbone",), ("1.1.weight", "1.1.bias")) == ("0", "1.0")
    assert resolved_parts(model, ("0",), ()) == ("0",)
