"""`mimecurate baseline flow`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mimecurate.baselines.cores import usable_cores
from mimecurate.baselines.speed import Speed
from mimecurate.commands.options import json_option, workspace_option
from mimecurate.console import counted, print_json, progress, say
from mimecurate.errors import MimecurateError, MissingExtraError, plain_words

if TYPE_CHECKING:
    from mimecurate.baselines.flow_run import FlowReport, FlowSettings
    from mimecurate.baselines.raft import Raft

_FAILURES_SHOWN = 5


@click.command("flow")
@click.option(
    "--release",
    "reference",
    metavar="R",
    help="NAME@VERSION, or an exported release; required without --clips.",
)
@click.option(
    "--clips",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the media; without --release, all of them.  [default: the workspace's clips]",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the flow; what is there already stays.",
)
@click.option(
    "--method",
    type=click.Choice(["tvl1", "opencv", "raft_large", "raft_small"]),
    default="tvl1",
    show_default=True,
    help="opencv: TV-L1 too, on the CPU.",
)
@click.option("--split", help="The clips of one split.")
@click.option(
    "--short-side",
    type=click.IntRange(16, 4096),
    default=256,
    show_default=True,
    metavar="N",
    help="Resize frames so before.",
)
@click.option("--weights", metavar="FILE|random", help="Of RAFT.  [default: torchvision's own]")
@click.option("--device", metavar="cpu|cuda|cuda:N", help="[default: cuda where it is]")
@click.option("--compile", "compiled", is_flag=True, help="Compile TV-L1; slow to start.")
@click.option(
    "--workers",
    type=click.IntRange(1, 256),
    metavar="N",
    help="Clips at the same time.  [default: one per core; 2 on a GPU]",
)
@click.option("--show", metavar="CLIP_ID", help="Write a picture of this clip's flow, and stop.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@json_option
@workspace_option
@click.pass_context
def command(ctx: click.Context, /, **options: Any) -> None:
    """Compute the optical flow of clips, once: of a release, or all of a folder.

    Each clip's flow becomes one file, of 8 bits and cut off at 20 pixels as the two-stream papers
    have it. Run the same line again after a crash or Ctrl-C: only the rest is done, and clips
    whose file has changed. Clips that fail are recorded in OUT/failed.json.

    \b
    Example:
      mimecurate baseline flow --release mimetics@1.0.0 --out flow --device cuda
      mimecurate baseline flow --clips media/ --out raft --method raft_large
      mimecurate baseline flow --out flow --show 0zFbEjoGlhc_000006_000010

    Exit status: 0 all there, 1 could not be done, 2 wrong usage, 3 some clips failed.
    """
    if options["show"] is not None:
        _show(options["out"], options["show"])
        return
    _check_usage(options)
    clips = _clips(options)
    settings, workers = _settings(options)
    if options["dry_run"]:
        _dry_run(clips, settings, options)
        return
    report = _run(clips, settings, workers, options["out"])
    _print(report, options)
    ctx.exit(3 if report.failed else 0)


def _check_usage(options: dict[str, Any]) -> None:
    if options["reference"] is None and options["clips"] is None:
        raise click.UsageError("Give --release R, or --clips DIR for all clips of a folder.")
    if options["split"] is not None and options["reference"] is None:
        raise click.UsageError("--split is of a release: give --release R.")
    if options["weights"] is not None and not options["method"].startswith("raft"):
        raise click.UsageError(f"--weights is for RAFT; {options['method']} has none.")
    if options["compiled"] and options["method"] != "tvl1":
        raise click.UsageError("--compile is for --method tvl1.")
    if options["method"] == "opencv" and options["device"] not in (None, "cpu"):
        raise click.UsageError("--method opencv runs on the CPU alone; tvl1 is the same elsewhere.")


def _clips(options: dict[str, Any]) -> dict[str, Path | None]:
    from mimecurate.baselines.clip_files import find_clip_files

    return find_clip_files(
        options["reference"],
        options["clips"] or options["workspace"] / "clips",
        options["workspace"],
        split=options["split"],
    )


def _settings(options: dict[str, Any]) -> tuple[FlowSettings, int]:
    from mimecurate.baselines.flow_run import FlowSettings

    device, cores = _device(options), usable_cores()
    workers = options["workers"] or (cores if device == "cpu" else 2)
    weights, sha256 = None, None
    if options["method"].startswith("raft"):
        weights, sha256 = _weights(options["method"], options["weights"], options["dry_run"])
    settings = FlowSettings(
        options["method"],
        options["short_side"],
        device,
        weights,
        sha256,
        options["compiled"],
        max(1, cores // workers),
    )
    return settings, workers


def _device(options: dict[str, Any]) -> str:
    """Settle the device: as named, else CUDA where it is; OpenCV's is the CPU."""
    if options["method"] == "opencv":
        return "cpu"
    if options["dry_run"]:
        return options["device"] or "cuda where it is"
    _need_torch()
    from mimecurate.baselines.devices import find_device

    return str(find_device(options["device"]))


def _weights(method: Raft, given: str | None, is_dry: bool) -> tuple[str, str | None]:
    """Give the file of RAFT's weights, downloaded if need be, and its SHA-256."""
    if given == "random":
        say("random weights: this flow means nothing; it is for trying only")
        return given, None
    _need_torch()
    from mimecurate.baselines.raft import raft_weights
    from mimecurate.baselines.weights import fetch_weights, file_sha256, weights_folder

    if given is None and is_dry:
        return raft_weights(method).name, None
    if given is not None and not Path(given).is_file():
        raise MimecurateError(f"--weights {given}: no such file")
    path = Path(given) if given else fetch_weights(raft_weights(method), weights_folder())
    return str(path), file_sha256(path)


def _run(
    clips: dict[str, Path | None], settings: FlowSettings, workers: int, out: Path
) -> FlowReport:
    from mimecurate.baselines.flow_run import check_settings, run_flow

    check_settings(out, settings)
    _need_torch()
    from mimecurate.baselines.flow_clip import check_method

    check_method(settings)
    with progress("flow", len(clips)) as bar:
        speed = Speed(len(clips))

        def note(clip_id: str, outcome: str) -> None:
            bar.advance(note=speed.count(failed=outcome == "failed", skipped=outcome == "present"))

        return run_flow(clips, out, settings, workers=workers, on_result=note)


def _need_torch() -> None:
    from importlib.util import find_spec

    if find_spec("torch") is None:
        raise MissingExtraError("torch", "baselines")


def _dry_run(
    clips: dict[str, Path | None], settings: FlowSettings, options: dict[str, Any]
) -> None:
    from mimecurate.baselines.flow_run import check_settings
    from mimecurate.baselines.flow_store import flow_path

    if settings.weights in (None, "random") or settings.weights_sha256:
        check_settings(options["out"], settings)
    there = sum(flow_path(options["out"], clip_id).is_file() for clip_id in clips)
    missing = sum(path is None for path in clips.values())
    if options["as_json"]:
        print_json({"clips": len(clips), "present": there, "without_media": missing})
        return
    say(
        f"{counted(len(clips), 'clip')}: {there:,} with flow (each is checked against its clip), "
        f"{missing:,} without a file; {settings.method} on {settings.device}, "
        f"shorter side {settings.short_side}"
    )


def _print(report: FlowReport, options: dict[str, Any]) -> None:
    from mimecurate.baselines.flow_run import FAILURES_FILE

    if options["as_json"]:
        print_json(
            {
                "computed": report.computed,
                "present": report.present,
                "failed": len(report.failed),
                "by_reason": report.by_reason,
                "clips": report.failed,
            }
        )
    say(
        f"{report.computed:,} computed, {report.present:,} there before, "
        f"{len(report.failed):,} failed"
    )
    if options["as_json"] or not report.failed:
        return
    for clip_id, failure in list(report.failed.items())[:_FAILURES_SHOWN]:
        say(f"  {clip_id}: {failure['reason']}: {failure['message']}")
    say(f"all in {options['out'] / FAILURES_FILE}; run the same line again to try them again")


def _show(folder: Path, clip_id: str) -> None:
    from mimecurate.baselines.flow_picture import flow_strip
    from mimecurate.baselines.flow_store import read_flow

    try:
        picture = flow_strip(read_flow(folder, clip_id))
    except ValueError as error:
        raise MimecurateError(f"--show {clip_id}: {error}") from error
    path = Path(f"{clip_id}.png")
    try:
        picture.save(path)
    except OSError as error:
        raise MimecurateError(f"{path} can't be written: {plain_words(error)}") from error
    say(f"wrote {path}")
