from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from testbed import need

try:
    import torch
except ImportError:
    need("torch", False, "pip install 'mimecurate[baselines]'")

from killing import run_and_strike, run_until_done
from training import SETTINGS, Heard, Numbers, small_model, train_numbers, weights_of

from mimecurate.baselines.train import freeze, make_optimizer
from mimecurate.baselines.train_report import early_look
from mimecurate.baselines.train_state import load_training
from mimecurate.errors import MimecurateError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

pytestmark = pytest.mark.usefixtures("one_thread")

PROGRAM = Path(__file__).with_name("training.py")


class PowerCutError(BaseException):
    """Ends a training at once, as a kill would."""


class Cut(Numbers):
    """Clips of which the power goes when the N-th is drawn."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self._left = after

    def draw(self, index: int, rng: np.random.Generator) -> Tensor:
        self._left -= 1
        if self._left < 0:
            raise PowerCutError
        return super().draw(index, rng)


def same_weights(one: Path, other: Path) -> bool:
    first, second = weights_of(one), weights_of(other)
    assert list(first) == list(second)
    return all(torch.equal(first[name], second[name]) for name in first)


def metrics(out: Path) -> list[dict[str, float]]:
    lines = map(json.loads, (out / "metrics.jsonl").read_text().splitlines())
    timed = {"seconds", "clips_per_s"}
    return [{name: value for name, value in line.items() if name not in timed} for line in lines]


def test_learns(tmp_path: Path) -> None:
    heard = Heard()

    ended = train_numbers(tmp_path, settings=replace(SETTINGS, epochs=8), heard=heard)

    assert ended.state.best_top1 == 100
    assert ended.state.history[-1]["loss"] < ended.state.history[0]["loss"] / 2
    assert heard.lines[0].startswith("step 1: loss ")
    assert heard.lines[0].endswith("(guessing: 1.099)")
    assert "epoch 8/8 · loss" in heard.lines[-1]
    assert len(heard.notes) == 1 + ended.state.steps == 1 + 8 * 4


def test_seed_decides_everything(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train_numbers(tmp_path / name, settings=replace(SETTINGS, seed=seed))

    assert same_weights(tmp_path / "a/last.pt", tmp_path / "b/last.pt")
    assert metrics(tmp_path / "a") == metrics(tmp_path / "b")
    assert not same_weights(tmp_path / "a/last.pt", tmp_path / "c/last.pt")


def test_workers_change_nothing(tmp_path: Path) -> None:
    train_numbers(tmp_path / "none")
    train_numbers(tmp_path / "two", workers=2)

    assert same_weights(tmp_path / "none/last.pt", tmp_path / "two/last.pt")


@pytest.mark.parametrize(
    ("clips", "save_every_s", "kept"),
    [(3, 0, 0), (30, 0, 4), (41, 0, 5), (75, 0, 9), (3, 600, 0), (30, 600, 4), (75, 600, 8)],
)
def test_taken_up_again_ends_the_same(
    tmp_path: Path, clips: int, save_every_s: float, kept: int
) -> None:
    train_numbers(tmp_path / "whole")

    with pytest.raises(PowerCutError):
        train_numbers(tmp_path / "cut", Cut(clips), save_every_s=save_every_s)
    ended = train_numbers(tmp_path / "cut")

    assert ended.steps_before == kept
    assert same_weights(tmp_path / "whole/last.pt", tmp_path / "cut/last.pt")
    assert same_weights(tmp_path / "whole/best.pt", tmp_path / "cut/best.pt")
    assert metrics(tmp_path / "whole") == metrics(tmp_path / "cut")


def test_killed_in_an_epoch_ends_the_same(tmp_path: Path) -> None:
    train_numbers(tmp_path / "whole", save_every_s=0)
    command = [sys.executable, str(PROGRAM), str(tmp_path / "killed"), "0.01", "0.2"]
    last = tmp_path / "killed/last.pt"

    def steps() -> int:
        try:
            return int(load_training(last)["state"]["steps"])
        except (MimecurateError, OSError):
            return 0

    runs = run_until_done(command, [lambda: steps() >= 6])

    assert [run.returncode for run in runs] == [-signal.SIGKILL, 0]
    assert same_weights(tmp_path / "whole/last.pt", last)
    assert not list(tmp_path.glob("killed/.*"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_writes_a_checkpoint_first(tmp_path: Path, number: signal.Signals) -> None:
    asked = count()

    class Signalled(Numbers):
        def draw(self, index: int, rng: np.random.Generator) -> Tensor:
            if next(asked) == 13:
                os.kill(os.getpid(), number)
            return super().draw(index, rng)

    def end(got: int, frame: object) -> None:
        raise SystemExit(got)

    before = signal.signal(signal.SIGTERM, end)
    heard = Heard()
    try:
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            train_numbers(tmp_path / "stopped", Signalled(), heard=heard)
    finally:
        signal.signal(signal.SIGTERM, before)
    ended = train_numbers(tmp_path / "stopped")
    train_numbers(tmp_path / "whole")

    assert "stopped in epoch 1 after step 2;" in heard.lines[-1]
    assert ended.steps_before == 2
    assert same_weights(tmp_path / "whole/last.pt", tmp_path / "stopped/last.pt")


def test_finished_is_not_done_again(tmp_path: Path) -> None:
    train_numbers(tmp_path)
    clips = Numbers()

    ended = train_numbers(tmp_path, clips)

    assert ended.state.steps == ended.steps_before == 12
    assert clips.drawn == []


def test_other_settings_are_not_taken_up(tmp_path: Path) -> None:
    train_numbers(tmp_path, data="one")

    with pytest.raises(MimecurateError, match=r"lr 0\.1, now 0\.5; seed 0, now 4"):
        train_numbers(tmp_path, settings=replace(SETTINGS, lr=0.5, seed=4), data="one")
    with pytest.raises(MimecurateError, match="another list of clips"):
        train_numbers(tmp_path, data="two")


def test_broken_clips_are_told_and_count_as_wrong(tmp_path: Path) -> None:
    ended = train_numbers(tmp_path, Numbers(broken={4, 5, 6}), replace(SETTINGS, epochs=8))

    assert set(ended.state.left_out) == {"clip004", "clip005", "clip006"}
    assert ended.state.best_top1 == pytest.approx(90)


def test_all_broken_learns_nothing(tmp_path: Path) -> None:
    before = small_model().state_dict()

    ended = train_numbers(tmp_path, Numbers(broken=range(30)), replace(SETTINGS, epochs=1))

    assert ended.state.best_top1 == 0
    after = weights_of(tmp_path / "last.pt")
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("workers", [0, 1])
def test_what_is_wrong_with_all_clips_ends_it(tmp_path: Path, workers: int) -> None:
    class Unfit(Numbers):
        def draw(self, index: int, rng: np.random.Generator) -> Tensor:
            raise MimecurateError("joints in 3 dimensions; the model reads 2")

    with pytest.raises(MimecurateError) as caught:
        train_numbers(tmp_path, Unfit(), workers=workers)
    assert str(caught.value) == "joints in 3 dimensions; the model reads 2"


def test_loss_beyond_numbers_ends_it(tmp_path: Path) -> None:
    with pytest.raises(MimecurateError, match=r"the loss is (nan|inf) at step \d+: .*--lr 1e\+08"):
        train_numbers(tmp_path, settings=replace(SETTINGS, lr=1e9))

    assert not (tmp_path / "last.pt").exists()


def test_early_look_knows_a_loss_that_is_too_high() -> None:
    assert early_look(9, 30.0, 50, 0.1) == []
    assert len(early_look(1, 30.0, 50, 0.1)) == 1
    assert early_look(10, 30.0, 50, 0.1)[1].endswith("begin anew with --lr 0.01")
    assert len(early_look(10, 4.0, 50, 0.1)) == 1


def test_frozen_parts_stay(tmp_path: Path) -> None:
    before = small_model().state_dict()

    train_numbers(tmp_path, settings=replace(SETTINGS, frozen=("0",)))

    after = weights_of(tmp_path / "last.pt")
    assert [n for n in before if torch.equal(before[n], after[n])] == ["0.weight", "0.bias"]


def test_frozen_statistics_stay() -> None:
    model = torch.nn.Sequential(torch.nn.BatchNorm1d(2), torch.nn.Linear(2, 2))

    freeze(model, ("0",))

    assert make_optimizer(model, SETTINGS).param_groups[0]["params"] == [*model[1].parameters()]
    with pytest.raises(MimecurateError, match="--freeze layer9: no part of the model; it has 0, 1"):
        freeze(model, ("layer9",))
    freeze(model, ("1",))
    with pytest.raises(MimecurateError, match="nothing is left to learn"):
        make_optimizer(model, replace(SETTINGS, frozen=("0", "1")))


@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path: Path) -> None:
    train_numbers(tmp_path / "one", model=small_model(dropout=0))
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    command += ["--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0"]

    run = run_and_strike([*command, str(PROGRAM), str(tmp_path / "two"), "0", "0"], timeout_s=100)

    assert run.returncode == 0, run.stderr
    one, two = weights_of(tmp_path / "one/last.pt"), weights_of(tmp_path / "two/last.pt")
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=1e-5, atol=1e-6)
    assert [line["val_top1"] for line in metrics(tmp_path / "one")] == [
        line["val_top1"] for line in metrics(tmp_path / "two")
    ]
