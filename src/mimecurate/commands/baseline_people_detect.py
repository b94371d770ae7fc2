"""`mimecurate baseline people detect`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mimecurate.baselines.speed import Speed
from mimecurate.commands.options import json_option, workspace_option
from mimecurate.console import counted, print_json, progress, say
from mimecurate.errors import ClipError, MimecurateError, Reason

if TYPE_CHECKING:
    from mimecurate.baselines.keypoint_rcnn import Detector
    from mimecurate.baselines.people import People
    from mimecurate.baselines.people_writer import PeopleWriter

_FAILURES_SHOWN = 5


@click.command("detect")
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
    type=click.Path(dir_okay=False, path_type=Path),
    help="The people file, .parquet.",
)
@click.option("--weights", metavar="FILE|random", help="[default: torchvision's, COCO_V1]")
@click.option(
    "--mediapipe",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE.task",
    help="Use MediaPipe's Pose Landmarker instead, with this model.",
)
@click.option("--world", is_flag=True, help="MediaPipe's joints in 3D, in metres.")
@click.option("--device", metavar="cpu|cuda|cuda:N", help="[default: cuda where it is]")
@click.option(
    "--every",
    type=click.IntRange(1, 10),
    default=1,
    show_default=True,
    metavar="N",
    help="Look at every Nth frame; tubes fill in between.",
)
@click.option(
    "--min-score",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    help="Leave out people below it.",
)
@click.option("--features", is_flag=True, help="Keep 1024 features of each person (4 kB).")
@click.option(
    "--short-side",
    type=click.IntRange(32, 2000),
    default=800,
    show_default=True,
    metavar="PIXELS",
    help="Resize frames so before.",
)
@click.option(
    "--batch-size", type=click.IntRange(1, 256), default=4, show_default=True, metavar="N"
)
@click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="Of random."
)
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@json_option
@workspace_option
@click.pass_context
def command(ctx: click.Context, /, **options: Any) -> None:
    """Find people and their joints in clips with Keypoint R-CNN.

    The file holds a box, a score and 17 joints (coco17) for each person in each frame. Run the
    same line again after a crash or Ctrl-C: only the rest is done. Clips that can't be decoded are
    recorded in the file, and tried again.

    \b
    Example:
      mimecurate baseline people detect --release mimetics@1.0.0 --out people.parquet
      mimecurate baseline people detect --clips media/ --out p.parquet --weights random --every 10

    Exit status: 0 all done, 1 could not be done, 2 wrong usage, 3 some clips failed.
    """
    from mimecurate.baselines import check_torch

    clips = _clips(options)
    if options["dry_run"]:
        missing = sum(path is None for path in clips.values())
        numbers = {"clips": len(clips), "without_media": missing}
        if options["as_json"]:
            print_json(numbers)
        else:
            say(f"{counted(len(clips), 'clip')}, {missing} without media; nothing was done")
        return
    check_torch()
    from mimecurate.baselines.people_writer import PeopleWriter

    if options["world"] and options["mediapipe"] is None:
        raise click.UsageError("--world is for --mediapipe.")
    if options["mediapipe"] is not None and (options["features"] or options["weights"]):
        raise click.UsageError("--mediapipe has no --features and no --weights.")
    detector, made_by = _detector(options) if options["mediapipe"] is None else _mediapipe(options)
    with PeopleWriter(options["out"], _header(made_by, options), batch_clips=8) as writer:
        failed = _detect(detector, writer, clips, options)
        skipped = len(writer.done & clips.keys()) - failed.pop("done")
        held = writer.finish()
    _report(held, skipped, failed["failures"], made_by, options)
    ctx.exit(3 if failed["failures"] else 0)


def _clips(options: dict[str, Any]) -> dict[str, Path | None]:
    from mimecurate.baselines.clip_files import find_clip_files

    if options["reference"] is None and options["clips"] is None:
        raise click.UsageError("Give --release R, or --clips DIR for all clips of a folder.")
    folder = options["clips"] or options["workspace"] / "clips"
    return find_clip_files(options["reference"], folder, options["workspace"])


def _detector(options: dict[str, Any]) -> tuple[Detector, dict[str, Any]]:
    from mimecurate.baselines.devices import find_device
    from mimecurate.baselines.keypoint_rcnn import Detector, published_weights
    from mimecurate.baselines.run_setup import versions
    from mimecurate.baselines.weights import file_sha256, weights_folder

    device = find_device(options["device"])
    given = options["weights"]
    if given == "random":
        say("random weights: what is found are no people; for trying alone")
        path = None
    elif given is not None:
        path = Path(given)
        if not path.is_file():
            raise MimecurateError(f"--weights {given}: no such file; or say random, for trying")
    else:
        path = published_weights(weights_folder(options["workspace"]))
    settings = {name: options[name] for name in ("min_score", "short_side")}
    made_by = {
        "model": "keypointrcnn_resnet50_fpn",
        "weights": "random" if path is None else file_sha256(path),
        "every": options["every"],
        **settings,
        **({"seed": options["seed"]} if path is None else {}),
        "versions": versions(),
    }
    detector = Detector(path, device=device, seed=options["seed"], **settings)
    return detector, made_by


def _mediapipe(options: dict[str, Any]) -> tuple[None, dict[str, Any]]:
    from mimecurate.baselines.run_setup import versions
    from mimecurate.baselines.weights import file_sha256

    return None, {
        "model": "mediapipe_pose_landmarker",
        "weights": file_sha256(options["mediapipe"]),
        "every": options["every"],
        "versions": versions(),
    }


def _header(made_by: dict[str, Any], options: dict[str, Any]) -> Any:
    from mimecurate.baselines.people_table import Header

    if options["mediapipe"] is not None:
        return Header("mediapipe33", 33, 3 if options["world"] else 2, 0, made_by)
    from mimecurate.baselines.keypoint_rcnn import FEATURES, JOINTS, LAYOUT

    return Header(LAYOUT, JOINTS, 2, FEATURES if options["features"] else 0, made_by)


def _detect(
    detector: Detector | None,
    writer: PeopleWriter,
    clips: dict[str, Path | None],
    options: dict[str, Any],
) -> dict[str, Any]:
    failures: dict[str, str] = {}
    done = 0
    with progress("finding people", len(clips)) as bar:
        speed = Speed(len(clips))
        for clip_id, path in clips.items():
            if clip_id in writer.done:
                bar.advance(note=speed.count(skipped=True))
                continue
            try:
                if path is None:
                    raise ClipError(Reason.UNAVAILABLE, "there are no media of it")
                people = _people_of(detector, clip_id, path, options)
            except ClipError as error:
                failures[clip_id] = error.reason
                writer.fail(clip_id, error.reason, str(error))
            else:
                writer.add(people)
                done += 1
            bar.advance(note=speed.count(failed=clip_id in failures))
    writer.flush()
    return {"failures": failures, "done": done}


def _people_of(
    detector: Detector | None, clip_id: str, path: Path, options: dict[str, Any]
) -> People:
    from mimecurate.baselines.decode import open_video

    if detector is None:
        from mimecurate.baselines.mediapipe_poses import find_poses

        with open_video(path) as video:
            return find_poses(
                video,
                clip_id,
                options["mediapipe"],
                dimensions=3 if options["world"] else 2,
                every=options["every"],
            )
    from mimecurate.baselines.keypoint_rcnn import detect_people

    with open_video(path, device=detector.device) as video:
        return detect_people(
            detector,
            video,
            clip_id,
            every=options["every"],
            batch_size=options["batch_size"],
            features=options["features"],
        )


def _report(
    held: int,
    skipped: int,
    failures: dict[str, str],
    made_by: dict[str, Any],
    options: dict[str, Any],
) -> None:
    if options["as_json"]:
        print_json(
            {
                "out": str(options["out"]),
                "clips": held,
                "skipped": skipped,
                "failed": failures,
                "made_by": made_by,
            }
        )
        return
    for clip_id, reason in list(failures.items())[:_FAILURES_SHOWN]:
        say(f"{clip_id}: {reason}")
    say(
        f"{options['out']}: {counted(held, 'clip')}, {skipped:,} of them there before, "
        f"{len(failures):,} failed"
    )
