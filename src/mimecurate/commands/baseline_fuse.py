"""`mimecurate baseline fuse`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mimecurate.commands.options import json_option
from mimecurate.console import counted, print_json, say
from mimecurate.errors import MimecurateError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mimecurate.baselines.fuse import Fused
    from mimecurate.evaluation.predictions import Predictions

_IN_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def _weights(
    ctx: click.Context, parameter: click.Parameter, text: str | None
) -> list[float] | None:
    if text is None:
        return None
    try:
        weights = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise click.BadParameter(f"{text!r}: write numbers with commas: 1,2") from error
    if not all(math.isfinite(w) and w >= 0 for w in weights) or not any(weights):
        raise click.BadParameter(f"{text!r}: weights are 0 or more, and not all 0")
    return weights


@click.command("fuse")
@click.argument("predictions", nargs=-1, required=True, type=_IN_FILE)
@click.option(
    "--out",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The prediction file to write: .parquet, .npz or .csv.",
)
@click.option(
    "--weights", callback=_weights, metavar="1,2,…", help="One per file.  [default: all alike]"
)
@click.option(
    "--scores",
    type=click.Choice(["auto", "probabilities", "logits"]),
    default="auto",
    show_default=True,
    help="What the files hold; logits go through softmax.",
)
@click.option(
    "--missing",
    type=click.Choice(["error", "skip"]),
    default="error",
    show_default=True,
    help="A clip or class that isn't in every file.",
)
@click.option("--classes", type=_IN_FILE, help="Class names for a file that has none (mmaction2).")
@json_option
def command(predictions: tuple[Path, ...], **options: Any) -> None:
    """Average the class probabilities of prediction files: late fusion.

    Any file that `evaluate` reads will do. Rows are matched by clip id and columns by class name.
    The file that is written names its sources, with their SHA-256.

    \b
    Example:
      mimecurate baseline fuse rgb.parquet flow.parquet --out two-stream.parquet
      mimecurate baseline fuse rgb.npz flow.csv --weights 1,2 --missing skip --out fused.npz
    """
    from mimecurate.baselines.fuse import fuse, fusion_manifest
    from mimecurate.baselines.prediction_file import check_output, write_predictions

    out, weights = options["out"], options["weights"]
    _check_usage(predictions, out, weights)
    check_output(out)
    systems = _load(predictions, options["classes"])
    fused = fuse(systems, weights=weights, scores=options["scores"], missing=options["missing"])
    manifest = fusion_manifest(systems, weights, fused, options["missing"], _notes(predictions))
    write_predictions(out, fused.class_names, fused, manifest)
    if options["as_json"]:
        print_json(
            {
                "out": str(out),
                "clips": len(fused.clip_ids),
                "classes": len(fused.class_names),
                "skipped_clips": len(fused.skipped_clips),
                "skipped_classes": len(fused.skipped_classes),
                "sources": manifest["settings"]["sources"],
            }
        )
    else:
        _show(fused, systems, manifest["settings"]["sources"], out)


def _check_usage(predictions: tuple[Path, ...], out: Path, weights: Sequence[float] | None) -> None:
    if weights is not None and len(weights) != len(predictions):
        raise click.UsageError(
            f"{len(weights)} weights for {len(predictions)} prediction files; give one for each."
        )
    if any(out.resolve() == path.resolve() for path in predictions):
        raise click.UsageError(f"--out {out} would write over a source; give another path.")


def _load(paths: tuple[Path, ...], classes: Path | None) -> list[Predictions]:
    """Read the files; the list of class names is for those that have none."""
    from mimecurate.evaluation.predictions import load_predictions

    systems = [load_predictions(path) for path in paths]
    return [
        load_predictions(path, classes=classes)
        if classes and system.class_names is None
        else system
        for path, system in zip(paths, systems, strict=True)
    ]


def _notes(paths: tuple[Path, ...]) -> list[str]:
    """Read what the files' own manifests say one should know of them."""
    import json

    from mimecurate.baselines.run_resume import raw_manifest
    from mimecurate.evaluation.prediction_manifest import parse_manifest

    notes = []
    for path in paths:
        try:
            found = parse_manifest(json.dumps(raw_manifest(path))) or {}
        except MimecurateError:
            continue  # another program's file
        if "note" in found:
            notes.append(f"{path.name}: {found['note']}")
    return notes


def _show(
    fused: Fused, systems: Sequence[Predictions], sources: Sequence[dict[str, Any]], out: Path
) -> None:
    for system, source in zip(systems, sources, strict=True):
        say(f"{system.file}: {source['scores']}, share {source['weight']:.3g}")
    if fused.skipped_clips or fused.skipped_classes:
        say(
            f"left out, not in every file: {counted(len(fused.skipped_clips), 'clip')}, "
            f"{counted(len(fused.skipped_classes), 'class')}"
        )
    say(
        f"wrote {out}: {counted(len(fused.clip_ids), 'clip')}, "
        f"{counted(len(fused.class_names), 'class')}"
    )
