"""`mimecurate baseline run`."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from mimecurate.baselines.speed import Speed
from mimecurate.commands.options import json_option, workspace_option
from mimecurate.console import counted, print_json, progress, say

if TYPE_CHECKING:
    from mimecurate.baselines.run_model import RunResult
    from mimecurate.console import Progress

_IN_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_IN_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_MOST_SHOWN = 10
_MAX_BATCH = 65_536


def _batch_size(
    ctx: click.Context, parameter: click.Parameter, value: str
) -> int | Literal["auto"]:
    if value == "auto":
        return "auto"
    if value.isascii() and value.isdigit() and 0 < int(value[:6]) <= _MAX_BATCH:
        return int(value)
    raise click.BadParameter(f"{value!r}: auto, or a number from 1 to {_MAX_BATCH}")


batch_size_option = click.option(
    "--batch-size",
    callback=_batch_size,
    metavar="auto|N",
    default="auto",
    show_default=True,
    help="Views at once.",
)


@click.command("run")
@click.argument("model")
@click.option("--release", required=True, metavar="R", help="NAME@VERSION, or an exported release.")
@click.option(
    "--out",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The prediction file: .parquet, .npz or .csv.",
)
@click.option(
    "--weights",
    metavar="FILE|NAME|random",
    help="A file, a name among the published, or random.  [default: the published]",
)
@click.option("--labels", type=_IN_FILE, help="Names of the weights' classes, one per line.")
@click.option("--clips", type=_IN_FOLDER, help="Folder of the media.  [default: the workspace's]")
@click.option("--people", type=_IN_FILE, help="People of the clips, for pose models.")
@click.option("--flow", type=_IN_FOLDER, help="Optical flow of the clips, for flow models.")
@click.option("--device", metavar="cpu|cuda|cuda:N", help="[default: cuda where it is]")
@click.option("--amp", type=click.Choice(["bf16"]), help="Compute in bfloat16 where it is safe.")
@click.option("--compile", is_flag=True, help="Compile the model first (torch.compile).")
@batch_size_option
@click.option(
    "--workers",
    type=click.IntRange(1, 256),
    metavar="N",
    help="Threads that decode.  [default: one per core]",
)
@click.option(
    "--decoder",
    type=click.Choice(["auto", "torchcodec", "pyav"]),
    default="auto",
    show_default=True,
    help="auto: torchcodec where it runs.",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N clips.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True)
@click.option("--dry-run", is_flag=True, help="Say what would be scored, and score nothing.")
@workspace_option
@json_option
@click.pass_context
def command(
    ctx: click.Context, /, model: str, as_json: bool, dry_run: bool, **options: Any
) -> None:
    """Score a release with a model; write a prediction file.

    Decodes each clip, samples and crops as the model's authors did, averages over the views, and
    writes a row per clip for `mimecurate evaluate`. How it was made is in the file. A clip that
    can't be scored gets no row, and the file says why. Run the same line again after a crash or
    Ctrl-C: only the rest is done.

    \b
    Example:
      mimecurate baseline run r3d_18 --release mimetics@1.0.0 --out r3d.parquet
      mimecurate baseline run r3d_18 --release R --weights random --out try.csv
      torchrun --standalone --nproc-per-node 4 -m mimecurate baseline run r3d_18 …

    Exit status: 0 all scored, 1 could not be done, 2 wrong usage, 3 some clips failed.
    """
    from mimecurate import baselines

    baselines.check_torch()
    if dry_run:
        _show_plan(model, options, as_json=as_json)
        return
    with ExitStack() as stack:
        view = RunView(model, stack)
        result = baselines.run(
            model,
            **options,
            on_plan=view.plan,
            on_clips=view.clips,
            on_bytes=view.bytes,
        )
        view.close()
    if is_first_rank():
        if as_json:
            print_json(as_document(model, result))
        else:
            show_result(result)
    ctx.exit(3 if result.failed else 0)


class RunView:
    """Progress with clips per second and the time left; quiet in all but the first process."""

    def __init__(self, model: str, stack: ExitStack) -> None:
        """Show nothing yet."""
        self._model, self._stack = model, stack
        self._bar: Progress | None = None
        self._download: Progress | None = None
        self._total = self._done = 0
        self._speed = Speed(0)

    def bytes(self, done: int, total: int | None) -> None:
        """Show a download of weights."""
        if self._download is None:
            self._download = self._stack.enter_context(
                progress("downloading weights", total, unit="bytes")
            )
            self._done = 0
        self._download.advance(done - self._done)
        self._done = done

    def plan(self, clips: int, finished: int) -> None:
        """Begin."""
        self.close()
        self._total, self._done = clips - finished, 0
        self._speed = Speed(self._total)
        if is_first_rank() and finished:
            say(f"{counted(finished, 'clip')} finished before")
        if is_first_rank() and self._total:
            self._bar = self._stack.enter_context(progress(self._model, self._total))

    def clips(self, number: int) -> None:
        """Count clips that are done."""
        if self._bar is None:
            return
        number = min(number, self._total - self._done)
        self._done += number
        self._bar.advance(number, note=self._speed.count(number))

    def close(self) -> None:
        """Take the bars away."""
        self._stack.close()
        self._bar = None


def is_first_rank() -> bool:
    """Say whether this process is to talk, of those that `torchrun` started."""
    import os

    return os.environ.get("RANK", "0") == "0"


def as_document(model: str, result: RunResult) -> dict[str, Any]:
    """Lay a result out as JSON."""
    scored = result.clips - min(result.skipped, result.clips)
    return {
        "model": model,
        "out": str(result.out),
        "clips": result.clips,
        "skipped": result.skipped,
        "failed": dict(result.failed),
        "seconds": round(result.seconds, 3),
        "clips_per_s": round(scored / result.seconds, 3) if result.seconds else None,
        "note": result.manifest.get("note"),
    }


def show_result(result: RunResult) -> None:
    """Say in words how a run ended."""
    note = result.manifest.get("note")
    has = f"{result.out} has" if result.clips == result.skipped else f"wrote {result.out}:"
    say(f"{has} {counted(result.clips, 'clip')}" + (f"; {note}" if note else ""))
    for clip_id, words in list(result.failed.items())[:_MOST_SHOWN]:
        say(f"  {clip_id}: {words}")
    if len(result.failed) > _MOST_SHOWN:
        say(f"  and {len(result.failed) - _MOST_SHOWN:,} more; the file's manifest names all")
    if result.failed:
        say(f"{counted(len(result.failed), 'clip')} without scores: `evaluate` counts them wrong")


def _show_plan(model: str, options: dict[str, Any], *, as_json: bool) -> None:
    from mimecurate.baselines.run_model import plan

    found = plan(model, **options)
    if as_json:
        print_json(found)
        return
    say(f"{model}: {counted(found['clips'], 'clip')} of {found['release']}")
    say(f"{found['finished']:,} finished before, {found['without_media']:,} without media")
