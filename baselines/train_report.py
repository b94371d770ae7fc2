"""What a training tells: its first losses, each epoch, and that something is wrong."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from mimecurate.baselines.speed import duration_text, rate_text
from mimecurate.curation.media_store import publish
from mimecurate.errors import MimecurateError

if TYPE_CHECKING:
    from pathlib import Path

    from mimecurate.baselines.train_state import TrainSettings, TrainState

EARLY_STEPS = (1, 10, 50, 100)
"""Steps after which the loss is shown and judged."""
HIGH_LOSS = 2.0
"""From step 10 on, a loss this many times that of guessing is said to be too high."""


def early_look(step: int, loss: float, classes: int, lr: float) -> list[str]:
    """Judge the loss of the first steps.

    Args:
        step: counted from 1.
        loss: the mean over the last steps.
        classes: how many there are; guessing has a loss of their logarithm.
        lr: the learning rate.

    Returns:
        Lines to show; none but after `EARLY_STEPS`.

    >>> early_look(10, 0.7, 2, 0.1)
    ['step 10: loss 0.700 (guessing: 0.693)']
    """
    if step not in EARLY_STEPS:
        return []
    guessing = math.log(classes)
    lines = [f"step {step}: loss {loss:.3f} (guessing: {guessing:.3f})"]
    if step >= 10 and loss > HIGH_LOSS * guessing:
        lines.append(
            f"the loss is {loss / guessing:.1f} times that of guessing: the learning rate is too "
            f"high; stop, and begin anew with --lr {lr / 10:g}"
        )
    return lines


def check_loss(loss: float, state: TrainState, settings: TrainSettings) -> None:
    """Raise `MimecurateError` if the loss is no number any more."""
    if math.isfinite(loss):
        return
    without = ", or leave out --amp" if settings.amp != "off" else ""
    raise MimecurateError(
        f"the loss is {loss} at step {state.steps}: the learning rate {settings.lr:g} is too "
        f"high; begin anew with --lr {settings.lr / 10:g}{without}"
    )


def write_metrics(out: Path, state: TrainState) -> None:
    """Write ``metrics.jsonl``: one line per epoch, whole or not at all."""
    path = out / "metrics.jsonl"
    unfinished = path.with_suffix(".part")
    try:
        unfinished.write_text("".join(json.dumps(line) + "\n" for line in state.history), "utf-8")
        publish(unfinished, path)
    except OSError as error:
        raise MimecurateError(f"{path} can't be written: {error.strerror}") from error


def epoch_line(line: dict[str, Any], epochs: int, *, is_best: bool) -> str:
    """Say in one line how an epoch went."""
    left_s = (epochs - line["epoch"]) * line["seconds"]
    left = f" · {duration_text(left_s)} left" if left_s else ""
    rate = rate_text(1, 1 / max(line["clips_per_s"], 1e-9))
    return (
        f"epoch {line['epoch']:.0f}/{epochs} · loss {line['loss']:.3f} · lr {line['lr']:g} · "
        f"top-1 {line['train_top1']:.1f} %, val {line['val_top1']:.1f} %"
        f"{' (best)' if is_best else ''} · {rate}{left}"
    )
