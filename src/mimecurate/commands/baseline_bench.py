"""`mimecurate baseline bench`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from mimecurate.commands.baseline_run import batch_size_option
from mimecurate.commands.options import json_option
from mimecurate.console import counted, print_json, print_table, progress

if TYPE_CHECKING:
    from mimecurate.baselines.run_bench import Bench


@click.command("bench")
@click.argument("model")
@click.option(
    "--clips",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of videos to decode.  [default: one of 10 s at 340x256 is made]",
)
@click.option("--count", type=click.IntRange(1), default=16, show_default=True, help="Of clips.")
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True)
@click.option("--views", type=click.IntRange(1), help="Of a clip.  [default: the model's own]")
@click.option("--device", metavar="cpu|cuda|cuda:N", help="[default: cuda where it is]")
@click.option("--amp", type=click.Choice(["bf16"]), help="Compute in bfloat16 where it is safe.")
@click.option("--compile", is_flag=True, help="Compile the model first (torch.compile).")
@batch_size_option
@click.option("--workers", type=click.IntRange(1, 256), help="Threads.  [default: one per core]")
@click.option(
    "--decoder",
    type=click.Choice(["auto", "torchcodec", "pyav"]),
    default="auto",
    show_default=True,
)
@click.option("--plain-loop", is_flag=True, help="Also a plain loop: OpenCV, clip by clip.")
@json_option
def command(model: str, folder: Path | None, count: int, as_json: bool, **options: Any) -> None:
    """Measure a model here, from decoding to scores.

    With random weights, for the time does not depend on them. Scoring from files and scoring the
    same frames from memory take turns; their ratio says what decoding costs.

    \b
    Example:
      mimecurate baseline bench r2plus1d_18 --device cuda --amp bf16
      mimecurate baseline bench r3d_18 --clips clips/ --count 64 --json
    """
    from mimecurate.baselines import check_torch

    check_torch()
    from mimecurate.baselines.run_bench import bench, find_files

    media = [] if folder is None else find_files(folder)
    steps = 4 * options["rounds"]
    with TemporaryDirectory() as made, progress(model, steps, unit="steps") as bar:
        found = bench(model, Path(made), media=media, clips=count, on_step=bar.advance, **options)
    if as_json:
        print_json(asdict(found))
    else:
        _show(found)


def _show(found: Bench) -> None:
    print_table(["clips/s", "what"], rows_of(found))
    click.echo(
        f"\n{found.model}, {counted(found.views, 'view')} a clip, {found.batch_size} at once, on "
        f"{found.device};\n{found.workers} threads decode with {found.decoder}. "
        f"End to end is {found.ratio:.2f} of from memory."
    )


def rows_of(found: Bench) -> list[tuple[str, str]]:
    """Lay out the rates as rows of a table."""
    rows = [
        (found.from_memory, "from memory: the model alone"),
        (found.end_to_end, "end to end: from files to scores"),
        (found.decoding, "decoding alone: from files to frames"),
    ]
    if found.plain_loop is not None:
        rows.append((found.plain_loop, "plain loop: OpenCV, a clip at a time, float32, eager"))
    return [(f"{rate:.3g}", words) for rate, words in rows]
