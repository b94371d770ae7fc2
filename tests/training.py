"""Small trainings: clips made of numbers, and a program that trains on them, to be killed."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from mimecurate.baselines.train import Trained, fit
from mimecurate.baselines.train_state import TrainedModel, TrainSettings
from mimecurate.baselines.train_validate import Scored
from mimecurate.errors import ClipError, Reason

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from numpy.typing import NDArray

CLASSES = ("bowing", "clapping", "waving")
SETTINGS = TrainSettings(epochs=3, batch_size=8, lr=0.1, drops=(0.67,))


class Numbers:
    """Clips of which each is a vector with its class in it, under noise drawn anew every time."""

    def __init__(
        self,
        count: int = 30,
        *,
        width: int = 12,
        broken: Collection[int] = (),
        pause_s: float = 0.0,
    ) -> None:
        self.clip_ids = [f"clip{index:03d}" for index in range(count)]
        self.labels = [index % len(CLASSES) for index in range(count)]
        self.width, self._broken, self._pause_s = width, broken, pause_s
        self.drawn: list[int] = []

    def __len__(self) -> int:
        return len(self.clip_ids)

    def vector(self, index: int) -> NDArray[np.float32]:
        if index in self._broken:
            raise ClipError(Reason.CORRUPT, "cut off")
        vector = np.zeros(self.width, np.float32)
        vector[self.labels[index]] = 2.0
        return vector

    def draw(self, index: int, rng: np.random.Generator) -> Tensor:
        self.drawn.append(index)
        time.sleep(self._pause_s)
        return torch.from_numpy(self.vector(index) + rng.normal(size=self.width).astype("f4"))

    def to_inputs(self, samples: Tensor) -> Tensor:
        return samples

    def scores(
        self, model: nn.Module, indices: Sequence[int], device: torch.device, workers: int
    ) -> Iterator[Scored]:
        for index in indices:
            try:
                inputs = torch.from_numpy(self.vector(index))[None].to(device)
            except ClipError as error:
                yield Scored(index, None, str(error))
                continue
            with torch.inference_mode():
                yield Scored(index, model(inputs).softmax(1)[0].cpu().numpy())


class Heard:
    """Keeps what a training says."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.notes: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)

    def advance(self, done: int = 1, *, note: str | None = None) -> None:
        self.notes.append(note or "")


def small_model(width: int = 12, *, dropout: float = 0.2, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(width, 16), nn.ReLU(), nn.Dropout(dropout), nn.Linear(16, len(CLASSES))
    )


def train_numbers(
    out: Path,
    clips: Numbers | None = None,
    settings: TrainSettings = SETTINGS,
    *,
    model: nn.Module | None = None,
    heard: Heard | None = None,
    data: str = "",
    workers: int = 0,
    save_every_s: float = 600,
) -> Trained:
    clips = clips or Numbers()
    return fit(
        model or small_model(),
        clips,
        clips,
        settings,
        TrainedModel("numbers", {}, CLASSES, data),
        out,
        workers=workers,
        watcher=heard or Heard(),
        save_every_s=save_every_s,
    )


def weights_of(path: Path) -> dict[str, Tensor]:
    weights: dict[str, Tensor] = torch.load(path, weights_only=True)["state_dict"]
    return weights


if __name__ == "__main__":
    torch.set_num_threads(1)
    train_numbers(
        Path(sys.argv[1]),
        Numbers(pause_s=float(sys.argv[2])),
        model=small_model(dropout=float(sys.argv[3])),
        save_every_s=0,
    )
