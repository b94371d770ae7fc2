"""Where a training is, and its checkpoints: written whole or not at all, read without executing.

A checkpoint is a dictionary of tensors, numbers, texts and lists that
`torch.load(weights_only=True)` reads: the model's ``state_dict``, its name, settings and class
names, the optimizer, and how far the training is. The learning rate is a function of the epoch
and every random number one of the seed and the step, so there is no state of either to keep.
"""

from __future__ import annotations

import contextlib
import uuid
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal

import torch

from mimecurate.baselines.checkpoints import read_document
from mimecurate.curation.media_store import publish
from mimecurate.errors import MimecurateError, plain_words

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FORMAT = "mimecurate training 1"
LAST, BEST = "last.pt", "best.pt"


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """What decides the weights that come out, beside the lists, the clips and the machine.

    Attributes:
        epochs: how often every clip is seen.
        batch_size: clips of one step, over all GPUs together.
        lr: the learning rate at the start.
        momentum: of SGD.
        nesterov: whether it is Nesterov's.
        weight_decay: of every learned value.
        drops: after which parts of the epochs (0 to 1) the rate falls to a tenth.
        seed: of the order of clips, the augmentation, new weights and dropout.
        amp: ``bf16`` computes in bfloat16 where it may.
        frozen: parts of the model, by the beginning of their names, that stay as they are.
        augment: whether joints are moved, and frames cropped, resized and mirrored, at random.
    """

    epochs: int
    batch_size: int
    lr: float
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 1e-4
    drops: tuple[float, ...] = ()
    seed: int = 0
    amp: Literal["off", "bf16"] = "off"
    frozen: tuple[str, ...] = ()
    augment: bool = True

    def lr_at(self, epoch: int) -> float:
        """Give the learning rate of an epoch, counted from 0.

        >>> settings = TrainSettings(epochs=50, batch_size=64, lr=0.1, drops=(0.4, 0.6))
        >>> [settings.lr_at(epoch) for epoch in (0, 19, 20, 30)]
        [0.1, 0.1, 0.01, 0.001]
        """
        fallen = sum(epoch >= round(part * self.epochs) for part in self.drops)
        return float(f"{self.lr * 10.0**-fallen:.12g}")


@dataclass(slots=True)
class TrainState:
    """How far a training is.

    Attributes:
        epoch: epochs that are done, their validation included.
        step: steps that are done of the next one.
        steps: steps that are done in all.
        loss_sum: over the clips of the epoch under way.
        correct: of those clips, how many were right (as they were augmented).
        seen: how many of them there were.
        best_epoch: the epoch, counted from 1, with the best validation; 0: none yet.
        best_top1: its top-1 accuracy in percent.
        history: one line per epoch that is done.
        left_out: clips that could not be read, and why.
    """

    epoch: int = 0
    step: int = 0
    steps: int = 0
    loss_sum: float = 0.0
    correct: int = 0
    seen: int = 0
    best_epoch: int = 0
    best_top1: float = -1.0
    history: list[dict[str, float]] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)

    def end_epoch(self) -> None:
        """Count the epoch under way as done."""
        self.epoch += 1
        self.step, self.loss_sum, self.correct, self.seen = 0, 0.0, 0, 0


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """What a checkpoint says of itself: enough to build the model again and to run it.

    Attributes:
        model: its name, as `baseline list` has it.
        model_settings: what its builder was given beside the number of classes.
        class_names: of its outputs, in order.
        data: digest of the list of clips it was trained on.
    """

    model: str
    model_settings: Mapping[str, Any]
    class_names: tuple[str, ...]
    data: str = ""


def save_checkpoint(
    path: Path,
    trained: TrainedModel,
    settings: TrainSettings,
    state: TrainState,
    *,
    weights: Mapping[str, Any],
    optimizer: Mapping[str, Any],
) -> None:
    """Write a checkpoint; whatever happens meanwhile, ``path`` is whole, the old or the new one.

    Args:
        path: the file.
        trained: what the model is.
        settings: of the training.
        state: how far it is.
        weights: the model's state dict.
        optimizer: the optimizer's.

    Raises:
        MimecurateError: it can't be written.
    """
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    document = {
        "format": FORMAT,
        "model": trained.model,
        "model_settings": dict(trained.model_settings),
        "class_names": list(trained.class_names),
        "data": trained.data,
        "settings": asdict(settings) | {"drops": list(settings.drops)},
        "state": asdict(state),
        "state_dict": dict(weights),
        "optimizer": dict(optimizer),
    }
    try:
        torch.save(document, unfinished)
        publish(unfinished, path)
    except (OSError, RuntimeError) as error:  # torch turns a full disk into a RuntimeError
        raise MimecurateError(f"{path} can't be written: {plain_words(error)}") from error
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)


def remove_unfinished(folder: Path) -> None:
    """Remove what a killed run left half written."""
    for path in folder.glob(".*.pt.*.part"):
        path.unlink(missing_ok=True)


def load_training(path: Path) -> dict[str, Any]:
    """Read a checkpoint that `save_checkpoint` wrote; nothing in it is executed.

    Raises:
        MimecurateError: it can't be read, or is something else.
    """
    document = read_document(path)
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise MimecurateError(f"{path}: not a checkpoint of `mimecurate baseline train`")
    return document


def trained_model(document: object, name: str = "the checkpoint") -> TrainedModel | None:
    """Say which model a checkpoint holds and what its outputs are called.

    Args:
        document: what `torch.load` gave; it may be anything.
        name: of its file, for errors.

    Returns:
        ``None`` if it was not written by `save_checkpoint`.

    Raises:
        MimecurateError: it says that it was, and lacks what that writes.
    """
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        return None
    try:
        return TrainedModel(
            str(document["model"]),
            {str(key): value for key, value in dict(document["model_settings"]).items()},
            tuple(map(str, document["class_names"])),
            str(document["data"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise MimecurateError(f"{name}: a broken checkpoint of a training: {error}") from error


def read_trained(path: Path) -> TrainedModel | None:
    """Say which model a file holds and what its outputs are called.

    Returns:
        ``None`` if the file is no checkpoint of a training here, whatever else it is.
    """
    try:
        return trained_model(load_training(path), str(path))
    except MimecurateError:
        return None


def resumed(
    document: Mapping[str, Any], path: Path, trained: TrainedModel, settings: TrainSettings
) -> TrainState:
    """Take up a training where its checkpoint left it.

    Raises:
        MimecurateError: it was begun with other settings, classes or clips; says which.
    """
    before = dict(document["settings"])
    now = asdict(settings)
    other = [
        f"{name.replace('_', ' ')} {_shown(before.get(name))}, now {_shown(now[name])}"
        for name in now
        if _shown(before.get(name)) != _shown(now[name])
    ]
    was = trained_model(document)
    assert was is not None
    if was.model != trained.model or dict(was.model_settings) != dict(trained.model_settings):
        other.insert(0, f"model {was.model} {dict(was.model_settings) or ''}".rstrip())
    if was.class_names != trained.class_names:
        other.append(f"{len(was.class_names)} classes that are not the list's")
    elif was.data != trained.data:
        other.append("another list of clips")
    if other:
        raise MimecurateError(
            f"{path} was begun otherwise ({'; '.join(other)}); give what it was begun with to go "
            "on, or another --out to begin anew"
        )
    known = {f.name for f in fields(TrainState)}
    return TrainState(**{k: v for k, v in document["state"].items() if k in known})


def _shown(value: object) -> str:
    return str(list(value)) if isinstance(value, list | tuple) else str(value)
