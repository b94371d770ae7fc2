"""Train a model on clips: SGD, one checkpoint after every epoch, and the same weights every time.

What is drawn depends on the seed, the epoch and the clip alone, and dropout on the seed and the
step, not on workers, on GPUs or on where a run was stopped and taken up again. The loss is
cross-entropy, averaged over the clips of a step.
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from mimecurate.baselines.speed import rate_text
from mimecurate.baselines.tensorboard_events import EventFile
from mimecurate.baselines.train_batches import batches_of, epoch_batches
from mimecurate.baselines.train_ranks import Ranks, StopSignals
from mimecurate.baselines.train_report import check_loss, early_look, epoch_line, write_metrics
from mimecurate.baselines.train_state import (
    BEST,
    LAST,
    TrainedModel,
    TrainSettings,
    TrainState,
    load_training,
    remove_unfinished,
    resumed,
    save_checkpoint,
)
from mimecurate.baselines.train_validate import Measured, measure
from mimecurate.errors import MimecurateError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import NoReturn, Self

    from mimecurate.baselines.train_batches import Batch, TrainClips
    from mimecurate.baselines.train_validate import ValClips

SCALAR_STEPS = 10
SAVE_EVERY_S = 600.0


class Watcher(Protocol):
    """Who is told how the training goes."""

    def say(self, line: str) -> None:
        """Take a line for people."""
        ...

    def advance(self, done: int = 1, *, note: str | None = None) -> None:
        """Count steps; ``note`` says how the training stands."""
        ...


@dataclass(frozen=True, slots=True)
class Trained:
    """How a training ended.

    Attributes:
        state: its last.
        steps_before: steps that earlier runs had done.
        seconds: that this run took.
    """

    state: TrainState
    steps_before: int
    seconds: float


def fit(
    model: nn.Module,
    train: TrainClips,
    val: ValClips,
    settings: TrainSettings,
    trained: TrainedModel,
    out: Path,
    *,
    device: torch.device | str = "cpu",
    workers: int = 0,
    watcher: Watcher,
    save_every_s: float = SAVE_EVERY_S,
) -> Trained:
    """Train to the end, from the start or from where the last checkpoint in ``out`` is.

    Args:
        model: with the weights to begin with.
        train: the clips to learn from.
        val: the clips to measure on after every epoch.
        settings: of the optimizer, the order and the length.
        trained: what the checkpoints say of themselves.
        out: a folder for ``last.pt``, ``best.pt``, ``metrics.jsonl`` and ``tensorboard/``.
        device: where to compute.
        workers: processes that read clips, for each GPU; 0: none, read between the steps.
        watcher: is told how it goes.
        save_every_s: seconds between checkpoints within an epoch.

    Raises:
        MimecurateError: the loss is no number any more, or a checkpoint can't be read or written.
        KeyboardInterrupt: Ctrl-C; a checkpoint was written first.
    """
    began = time.monotonic()
    device = torch.device(device)
    ranks = Ranks.of_torchrun()
    out.mkdir(parents=True, exist_ok=True)
    model.to(device)
    freeze(model, settings.frozen)
    optimizer = make_optimizer(model, settings)
    state = _start(model, optimizer, out, trained, settings)
    steps_before = state.steps
    run = _Run(model, optimizer, settings, trained, state, out, device, ranks, watcher)
    run.net = ranks.wrap(model, device)
    watcher.advance(state.steps)
    with run, StopSignals() as stop:
        while state.epoch < settings.epochs:
            _train_epoch(run, train, workers, stop, save_every_s)
            measured = measure(model, val, ranks=ranks, device=device, workers=workers, stop=stop)
            if measured is None:
                _stop(run, stop)
            _end_epoch(run, measured)
    return Trained(state, steps_before, time.monotonic() - began)


def make_optimizer(model: nn.Module, settings: TrainSettings) -> torch.optim.SGD:
    """Make SGD over all that is not frozen.

    Raises:
        MimecurateError: everything is.
    """
    learned = [p for p in model.parameters() if p.requires_grad]
    if not learned:
        raise MimecurateError(f"--freeze {' '.join(settings.frozen)}: nothing is left to learn")
    return torch.optim.SGD(
        learned,
        lr=settings.lr,
        momentum=settings.momentum,
        nesterov=settings.nesterov,
        weight_decay=settings.weight_decay,
    )


def freeze(model: nn.Module, frozen: tuple[str, ...]) -> None:
    """Keep parts of a model as they are; statistics of normalisation in them do not move either.

    Args:
        model: the model.
        frozen: names of its parts, or beginnings of them: ``layer1`` is ``layer1.0.conv1`` too.

    Raises:
        MimecurateError: the model has no such part.
    """
    for prefix in frozen:
        inside = [p for name, p in model.named_parameters() if _is_within(name, prefix)]
        if not inside:
            parts = ", ".join(name for name, _ in model.named_children())
            raise MimecurateError(f"--freeze {prefix}: no part of the model; it has {parts}")
        for parameter in inside:
            parameter.requires_grad_(False)


class _Run:
    """What the steps of a training share."""

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.SGD,
        settings: TrainSettings,
        trained: TrainedModel,
        state: TrainState,
        out: Path,
        device: torch.device,
        ranks: Ranks,
        watcher: Watcher,
    ) -> None:
        self.model, self.optimizer, self.settings = model, optimizer, settings
        self.trained, self.state, self.out = trained, state, out
        self.device, self.ranks, self.watcher = device, ranks, watcher
        self.net: nn.Module = model
        self.events: EventFile | None = None
        self.saved_s = self.epoch_s = time.monotonic()
        self.clips = 0

    def __enter__(self) -> Self:
        if self.ranks.rank == 0 and self.state.epoch < self.settings.epochs:
            self.events = EventFile(self.out / "tensorboard", first_step=self.state.steps + 1)
        return self

    def __exit__(self, *_: object) -> None:
        if self.events is not None:
            self.events.close()

    def save(self, name: str) -> None:
        """Write a checkpoint, in one process of all; never one whose loss is no number."""
        check_loss(self.state.loss_sum, self.state, self.settings)
        self.saved_s = time.monotonic()
        if self.ranks.rank == 0:
            save_checkpoint(
                self.out / name,
                self.trained,
                self.settings,
                self.state,
                weights=self.model.state_dict(),
                optimizer=self.optimizer.state_dict(),
            )


def _start(
    model: nn.Module,
    optimizer: torch.optim.SGD,
    out: Path,
    trained: TrainedModel,
    settings: TrainSettings,
) -> TrainState:
    path = out / LAST
    if not path.exists():
        return TrainState()
    document = load_training(path)
    state = resumed(document, path, trained, settings)
    model.load_state_dict(document["state_dict"])
    optimizer.load_state_dict(document["optimizer"])
    remove_unfinished(out)
    return state


def _train_epoch(
    run: _Run,
    train: TrainClips,
    workers: int,
    stop: StopSignals,
    save_every_s: float,
) -> None:
    state, settings, ranks = run.state, run.settings, run.ranks
    lr = settings.lr_at(state.epoch)
    for group in run.optimizer.param_groups:
        group["lr"] = lr
    _train_mode(run.net, run.model, settings.frozen)
    plan = epoch_batches(len(train), settings.batch_size, settings.seed, state.epoch)
    left = [batch[ranks.rank :: ranks.size] for batch in plan[state.step :]]
    run.epoch_s, run.clips = time.monotonic(), 0
    recent: list[float] = []
    batches = batches_of(train, left, settings.seed, state.epoch, workers, run.device)
    with closing(batches):  # whatever happens, the processes that read clips end
        while (batch := _next(run, batches, stop)) is not None:
            total, stopping, loss, correct = _step(run, train, batch, stop)
            state.step += 1
            state.steps += 1
            state.loss_sum += loss
            state.correct += correct
            state.seen += total
            state.left_out.update(batch.failed)
            run.clips += total
            check_loss(loss, state, settings)
            recent = [*recent[1 - SCALAR_STEPS :], loss / max(total, 1)]
            _show_step(run, lr, recent)
            if stopping:
                _stop(run, stop)
            if ranks.agree(time.monotonic() - run.saved_s >= save_every_s):
                run.save(LAST)


def _next(run: _Run, batches: Iterator[Batch], stop: StopSignals) -> Batch | None:
    try:
        return next(batches, None)
    except RuntimeError:  # SIGTERM to all processes ends those that read clips, too
        if stop.asked and run.ranks.size == 1:
            _stop(run, stop)
        raise


def _step(
    run: _Run, train: TrainClips, batch: Batch, stop: StopSignals
) -> tuple[int, bool, float, int]:
    """Take one step.

    Returns:
        How many clips all processes had, whether one was told to stop, the sum of the losses of
        all clips, and how many clips were right.
    """
    ranks = run.ranks
    if batch.fatal:
        raise MimecurateError(batch.fatal)
    fewest, total, stopping = ranks.counts(len(batch.labels), stop.asked)
    if (
        fewest == 0 or batch.samples is None
    ):  # no gradient can be had of nothing; one process's is all processes'
        return 0, stopping, 0.0, 0
    _seed_dropout(run.settings.seed, run.state.steps, ranks.rank)
    labels = batch.labels.to(run.device, non_blocking=True)
    with torch.autocast(run.device.type, torch.bfloat16, enabled=run.settings.amp == "bf16"):
        logits = run.net(train.to_inputs(batch.samples.to(run.device, non_blocking=True)))
    summed = F.cross_entropy(logits.float(), labels, reduction="sum")
    run.optimizer.zero_grad(set_to_none=True)
    (summed * (ranks.size / total)).backward()  # type: ignore[no-untyped-call]
    run.optimizer.step()
    correct = (logits.detach().argmax(1) == labels).sum()
    loss_sum, right = ranks.sums(summed.detach(), correct)
    return total, stopping, loss_sum, int(right)


def _train_mode(net: nn.Module, model: nn.Module, frozen: tuple[str, ...]) -> None:
    net.train()
    for name, module in model.named_modules():
        if any(_is_within(name, prefix) for prefix in frozen):
            module.eval()


def _is_within(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(f"{prefix}.")


def _seed_dropout(seed: int, step: int, rank: int) -> None:
    (state,) = np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)
    torch.manual_seed(int(state) >> 1)


def _show_step(run: _Run, lr: float, recent: list[float]) -> None:
    if run.events is None:
        return
    state = run.state
    loss = sum(recent) / len(recent)
    for line in early_look(state.steps, loss, len(run.trained.class_names), lr):
        run.watcher.say(line)
    if state.steps % SCALAR_STEPS == 0:
        run.events.add(state.steps, {"loss/step": loss, "lr": lr})
    rate = rate_text(run.clips, time.monotonic() - run.epoch_s)
    best = f" · best {state.best_top1:.1f} %" if state.best_epoch else ""
    note = f"epoch {state.epoch + 1} · loss {loss:.3f} · lr {lr:g}{best} · {rate}"
    run.watcher.advance(1, note=note)


def _end_epoch(run: _Run, measured: Measured) -> None:
    state = run.state
    seconds = time.monotonic() - run.epoch_s
    line = {
        "epoch": state.epoch + 1,
        "step": state.steps,
        "lr": run.settings.lr_at(state.epoch),
        "loss": state.loss_sum / max(state.seen, 1),
        "train_top1": 100 * state.correct / max(state.seen, 1),
        **measured.numbers,
        "clips_per_s": run.clips / max(measured.began_s - run.epoch_s, 1e-9),
        "seconds": seconds,
    }
    state.left_out.update(measured.left_out)
    state.left_out = run.ranks.merged(state.left_out)
    is_best = measured.top1 > state.best_top1
    if is_best:
        state.best_epoch, state.best_top1 = state.epoch + 1, measured.top1
    state.history.append(line)
    check_loss(line["loss"], state, run.settings)
    state.end_epoch()
    if is_best:
        run.save(BEST)
    run.save(LAST)
    if run.events is None:
        return
    write_metrics(run.out, state)
    run.events.add(
        state.steps,
        {
            "loss/train": line["loss"],
            "loss/val": line["val_loss"],
            "top1/train": line["train_top1"],
            "top1/val": line["val_top1"],
        },
    )
    run.watcher.say(epoch_line(line, run.settings.epochs, is_best=is_best))


def _stop(run: _Run, stop: StopSignals) -> NoReturn:
    """Write a checkpoint and end as the signal would have ended the process."""
    run.save(LAST)
    state = run.state
    run.watcher.say(
        f"stopped in epoch {state.epoch + 1} after step {state.steps}; {run.out / LAST} is "
        "written: the same command goes on from there"
    )
    stop.end()
