"""The batches of an epoch, drawn from the seed, and the processes that read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mimecurate.baselines.train_ranks import ignore_ctrl_c
from mimecurate.errors import ClipError, MimecurateError

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from numpy.typing import NDArray

Drawn = tuple[int, int]
"""An epoch, and the number of a clip."""


class TrainClips(Protocol):
    """The clips to learn from."""

    @property
    def clip_ids(self) -> Sequence[str]:
        """Name them."""
        ...

    @property
    def labels(self) -> Sequence[int]:
        """Give the number of each one's class."""
        ...

    def __len__(self) -> int:
        """Count them."""
        ...

    def draw(self, index: int, rng: np.random.Generator) -> Tensor:
        """Draw one sample of a clip; ``rng`` decides all that is random of it.

        Raises:
            ClipError: it can't be read.
        """
        ...

    def to_inputs(self, samples: Tensor) -> Tensor:
        """Turn a batch of samples, on the model's device, into the model's input."""
        ...


@dataclass(frozen=True, slots=True)
class Batch:
    """Samples of one step, as far as the clips could be read.

    Attributes:
        samples: their inputs, stacked; ``None`` if there is none.
        labels: int64[N].
        failed: clip ids that could not be read, and why.
        fatal: why no clip can be read, if so; empty otherwise.
    """

    samples: Tensor | None
    labels: Tensor
    failed: dict[str, str]
    fatal: str


def epoch_batches(clips: int, batch_size: int, seed: int, epoch: int) -> list[NDArray[np.int64]]:
    """Split the clips of an epoch into batches, in random order and each clip once.

    The batches differ by one clip at the most: a last small one would upset batch normalisation.

    >>> [len(batch) for batch in epoch_batches(10, 4, seed=0, epoch=0)]
    [4, 3, 3]
    """
    order = np.random.default_rng([seed, epoch]).permutation(clips)
    return np.array_split(order, -(-clips // batch_size))


def batches_of(
    clips: TrainClips,
    batches: Sequence[NDArray[np.int64]],
    seed: int,
    epoch: int,
    workers: int,
    device: torch.device,
) -> Generator[Batch]:
    """Read batches of clips, in order.

    Args:
        clips: where from.
        batches: the numbers of the clips of each.
        seed: of what is drawn.
        epoch: which is drawn for.
        workers: processes to read with.
        device: where the batches will go.
    """
    yield from DataLoader(
        _Draws(clips, seed),
        batch_sampler=[[(epoch, int(index)) for index in batch] for batch in batches],
        collate_fn=_collate,
        num_workers=workers,
        worker_init_fn=begin_worker,
        pin_memory=device.type == "cuda",
        generator=torch.Generator().manual_seed(seed),
    )


class _Draws(Dataset["_Read"]):
    def __init__(self, clips: TrainClips, seed: int) -> None:
        self._clips, self._seed = clips, seed

    def __getitem__(self, drawn: Drawn) -> _Read:
        epoch, index = drawn
        rng = np.random.default_rng([self._seed, epoch, index])
        try:
            return _Read(self._clips.draw(index, rng), self._clips.labels[index])
        except ClipError as error:
            return _Read(clip_id=self._clips.clip_ids[index], why=f"{error.reason}: {error}")
        except MimecurateError as error:  # as such it would not get out of a worker in one line
            return _Read(fatal=str(error))


@dataclass(frozen=True, slots=True)
class _Read:
    sample: Tensor | None = None
    label: int = -1
    clip_id: str = ""
    why: str = ""
    fatal: str = ""


def _collate(read: list[_Read]) -> Batch:
    samples = [each.sample for each in read if each.sample is not None]
    labels = [each.label for each in read if each.sample is not None]
    return Batch(
        torch.stack(samples) if samples else None,
        torch.tensor(labels, dtype=torch.int64),
        {each.clip_id: each.why for each in read if each.why},
        next((each.fatal for each in read if each.fatal), ""),
    )


def begin_worker(worker: int) -> None:
    """Begin a process that reads clips: one thread, and no ear for Ctrl-C."""
    ignore_ctrl_c()
    torch.set_num_threads(1)
