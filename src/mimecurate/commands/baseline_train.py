"""`mimecurate baseline train`."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mimecurate.commands.options import json_option, workspace_option
from mimecurate.console import counted, print_json, print_table, progress, say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mimecurate.baselines.train import Trained, Watcher
    from mimecurate.baselines.train_model import Plan

_DIR = click.Path(file_okay=False, path_type=Path)
_FILE = click.Path(exists=True, path_type=Path)


@click.command("train")
@click.argument("model")
@click.option(
    "--train",
    required=True,
    metavar="LIST",
    help="Clips to learn from: CSV with label and Kinetics' columns or clip_id, or a release; "
    "LIST:SPLIT takes one split.",
)
@click.option("--val", required=True, metavar="LIST", help="Clips to measure on, every epoch.")
@click.option("--people", type=_FILE, help="The people of the clips, for models of people.")
@click.option("--clips", type=_DIR, help="Folder of the clips' media.  [default: the workspace's]")
@click.option("--out", type=_DIR, help="Folder of the checkpoints.  [default: trained/MODEL]")
@click.option("--epochs", type=click.IntRange(1), metavar="N", help="How often each clip is seen.")
@click.option("--batch-size", type=click.IntRange(1), metavar="N", help="Of all GPUs together.")
@click.option("--lr", type=click.FloatRange(0, min_open=True), metavar="RATE", help="At the start.")
@click.option(
    "--weights",
    metavar="FILE|NAME|random",
    help="To begin with.  [default: published ones for models of frames, else random]",
)
@click.option(
    "--freeze",
    "frozen",
    multiple=True,
    metavar="PART",
    help="Leave a part as it is, e.g. layer1; backbone: all but the classifier.",
)
@click.option("--device", metavar="cpu|cuda|cuda:N", help="[default: cuda where it is]")
@click.option(
    "--amp",
    type=click.Choice(["off", "bf16"]),
    default="off",
    show_default=True,
    help="Compute in bfloat16 where that may be.",
)
@click.option(
    "--augment/--no-augment",
    default=True,
    show_default=True,
    help="Move joints, or crop, resize and mirror frames, at random.",
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True)
@click.option(
    "--workers",
    type=click.IntRange(0),
    metavar="N",
    help="Processes that read clips, per GPU.  [default: cores less one, at most 8]",
)
@click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")
@json_option
@workspace_option
@click.pass_context
def command(ctx: click.Context, /, model: str, dry_run: bool, as_json: bool, **given: Any) -> None:
    """Train a pose model, or fine-tune an RGB one.

    Settings are those of the model's paper where it gives them; --dry-run shows them. With another
    number of --epochs the learning rate falls after the same shares of them. After every epoch
    last.pt is written, and best.pt where validation was best so far; the same command again goes
    on from last.pt. `baseline run MODEL --weights best.pt` needs nothing else.

    \b
    Example:
      mimecurate baseline train stgcn_2d --train k400.csv:train --val k400.csv:val \\
          --people k400-people.parquet --dry-run
      mimecurate baseline train r2plus1d_18 --train train.csv --val val.csv \\
          --freeze backbone --epochs 5
      torchrun --nproc-per-node 4 -m mimecurate baseline train …

    Exit status: 0 done, 1 could not be done, 2 wrong usage, 3 done but some clips were left out.
    """
    from mimecurate.baselines import check_torch

    check_torch()
    from mimecurate.baselines.train_model import TrainOptions, plan_training, run_training

    talks = os.environ.get("RANK", "0") == "0"
    plan = plan_training(model, TrainOptions(**given))
    if dry_run:
        _show_plan(plan, as_json=as_json)
        return
    if talks:
        for line in _plan_lines(plan):
            say(line)
    with _watching(plan, talks=talks) as watcher:
        trained = run_training(plan, watcher)
    if talks:
        _show(plan, trained, as_json=as_json)
    ctx.exit(3 if plan.missing or trained.state.left_out else 0)


class _Silent:
    """What the processes beside the first say."""

    def say(self, line: str) -> None:
        """Say nothing."""

    def advance(self, done: int = 1, *, note: str | None = None) -> None:
        """Show nothing."""


@contextlib.contextmanager
def _watching(plan: Plan, *, talks: bool) -> Iterator[Watcher]:
    if not talks:
        yield _Silent()
        return
    total = plan.steps_per_epoch * plan.settings.epochs
    with progress("training", total, unit="steps") as bar:
        yield bar


def _plan_lines(plan: Plan) -> list[str]:
    settings = plan.settings
    rates = [settings.lr_at(epoch) for epoch in range(settings.epochs)]
    falls = [f"{rate:g} from epoch {rates.index(rate) + 1}" for rate in dict.fromkeys(rates)]
    kept = "" if plan.start.kept_head or plan.start.weights == "random" else ", new classifier"
    shares = ", ".join(f"{100 * part:g} %" for part in settings.drops)
    train, val = plan.clips
    lines = [
        f"{plan.card.name} from {plan.start.weights}{kept}; to {plan.out}",
        f"{counted(len(train), 'clip')} to learn from, {counted(len(val), 'clip')} to measure on",
        f"{counted(settings.epochs, 'epoch')} of {counted(plan.steps_per_epoch, 'step')}, "
        f"batches of {settings.batch_size}; lr {', '.join(falls)}"
        + (f": a tenth after {shares} of the epochs" if shares else ""),
        *plan.remarks,
    ]
    if settings.frozen:
        lines.append(f"left as they are: {', '.join(settings.frozen)}")
    return lines


def _show_plan(plan: Plan, *, as_json: bool) -> None:
    memory = plan.memory_bytes()
    train, val = plan.lists
    if as_json:
        print_json(
            {
                **_about(plan),
                "steps_per_epoch": plan.steps_per_epoch,
                "memory_bytes": memory,
                "per_class": {"train": train.per_class, "val": val.per_class},
                "missing": dict(plan.missing),
                "remarks": list(plan.remarks),
            }
        )
        return
    in_val = val.per_class
    rows = [[name, count, in_val.get(name, 0)] for name, count in train.per_class.items()]
    print_table(["class", "train", "val"], rows)
    for line in _plan_lines(plan):
        say(line)
    say(f"memory on the device: about {memory / 1e9:.1f} GB; fewer with a smaller --batch-size")
    say("nothing was trained (--dry-run)")


def _about(plan: Plan) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "model": plan.card.name,
        "weights": plan.start.weights,
        "classes": list(plan.class_names),
        "train": {"list": plan.lists[0].name, "clips": len(plan.clips[0])},
        "val": {"list": plan.lists[1].name, "clips": len(plan.clips[1])},
        "settings": asdict(plan.settings),
        "out": str(plan.out),
    }


def _show(plan: Plan, trained: Trained, *, as_json: bool) -> None:
    from mimecurate.baselines.train_state import BEST, LAST

    state = trained.state
    left_out = {**plan.missing, **state.left_out}
    if as_json:
        print_json(
            {
                **_about(plan),
                "steps": state.steps,
                "steps_before": trained.steps_before,
                "seconds": trained.seconds,
                "best": {"epoch": state.best_epoch, "val_top1": state.best_top1},
                "history": state.history,
                "checkpoints": {"best": str(plan.out / BEST), "last": str(plan.out / LAST)},
                "left_out": left_out,
            }
        )
        return
    if trained.steps_before == state.steps:
        say(f"nothing was left to do; {plan.out / LAST} is of the last epoch")
    elif trained.steps_before:
        say(f"{trained.steps_before:,} of {state.steps:,} steps had been done before")
    if left_out:
        from mimecurate.baselines.train_model import LEFT_OUT

        say(f"{counted(len(left_out), 'clip')} left out; {plan.out / LEFT_OUT} says which and why")
    say(
        f"best: epoch {state.best_epoch}, val top-1 {state.best_top1:.1f} %; {plan.out / BEST}\n"
        f"next: mimecurate baseline run {plan.card.name} --weights {plan.out / BEST} …"
    )
