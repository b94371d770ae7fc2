"""`mimecurate baseline people import`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mimecurate.commands.options import json_option
from mimecurate.console import counted, print_json, progress, say
from mimecurate.errors import ClipError, InvalidInputError, MimecurateError, Problem, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mimecurate.baselines.people import People
    from mimecurate.baselines.pose_people import FrameFacts

_FAILURES_SHOWN = 5


def _size(ctx: click.Context, parameter: click.Parameter, value: str | None) -> Any:
    if value is None:
        return None
    found = re.fullmatch(r"(\d{1,5})x(\d{1,5})", value)
    if not found or not int(found[1]) or not int(found[2]):
        raise click.BadParameter(f"{value!r}: write WIDTHxHEIGHT in pixels, such as 340x256")
    return int(found[1]), int(found[2])


@click.command("import")
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--format",
    "form",
    required=True,
    type=click.Choice(["openpose", "kinetics-skeleton", "mmaction2", "array"]),
)
@click.option(
    "--out",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The people file, .parquet.",
)
@click.option("--size", callback=_size, metavar="WxH", help="Of the frames, in pixels.")
@click.option("--fps", type=click.FloatRange(1, 1000), help="Frames per second.")
@click.option("--axes", metavar="TMVC", help="Of arrays: T frames, M people, V joints, C numbers.")
@click.option("--layout", help="Order of the joints, where the files don't say it.")
@json_option
@click.pass_context
def command(ctx: click.Context, /, **options: Any) -> None:
    """Make a people file of another program's poses.

    OpenPose's folders of JSON, ST-GCN's kinetics-skeleton, mmaction2's and pyskl's pickles (nothing
    in them is run), or .npz arrays in 2D or 3D of any estimator. Clips that can't be read are
    recorded in the file with all that is wrong.

    \b
    Example:
      mimecurate baseline people import poses/ --format openpose --size 640x360 --out p.parquet
      mimecurate baseline people import ntu60_3danno.pkl --format mmaction2 --out ntu.parquet
      mimecurate baseline people import 3d/ --format array --axes TMVC --out p.parquet

    Exit status: 0 all read, 1 could not be done, 2 wrong usage, 3 some clips failed.
    """
    from mimecurate.baselines.people_writer import write_people

    failures: list[tuple[str, str, str]] = []
    with progress("importing", None) as bar:

        def good() -> Iterator[People]:
            for clip_id, people in _read(options):
                bar.advance()
                if isinstance(people, ClipError):
                    failures.append((clip_id, people.reason.value, str(people)))
                else:
                    yield people

        clips = good()
        try:
            held = write_people(
                options["out"], clips, made_by={"imported": options["form"]}, failures=failures
            )
        except MimecurateError as error:
            if failures:
                problems = [Problem(f"{one_line(name)}: {words}") for name, _, words in failures]
                raise InvalidInputError(str(options["source"]), problems, str(error)) from error
            raise
    if options["as_json"]:
        failed = {clip_id: message for clip_id, _, message in failures}
        print_json({"out": str(options["out"]), "clips": held, "failed": failed})
    else:
        for clip_id, _, message in failures[:_FAILURES_SHOWN]:
            say(f"{one_line(clip_id)}: {message}")
        say(f"{options['out']}: {counted(held, 'clip')}, {len(failures):,} failed")
    ctx.exit(3 if failures else 0)


def _read(options: dict[str, Any]) -> Iterator[tuple[str, People | ClipError]]:
    from mimecurate.baselines import pose_imports

    form, source = options["form"], options["source"]
    if form == "openpose":
        return pose_imports.read_openpose(source, _facts(options))
    if form == "kinetics-skeleton":
        given = options["size"] or options["fps"]
        facts = _facts(options, (340, 256), 30.0) if given else None
        return pose_imports.read_kinetics_skeleton(source, facts)
    if form == "mmaction2":
        return pose_imports.read_mmaction2(source, layout=options["layout"], fps=options["fps"])
    return pose_imports.read_pose_arrays(
        source, _facts(options, (0, 0)), axes=options["axes"], layout=options["layout"]
    )


def _facts(
    options: dict[str, Any], size: tuple[int, int] | None = None, fps: float | None = None
) -> FrameFacts:
    from mimecurate.baselines.pose_people import FrameFacts

    size = options["size"] or size
    if size is None:
        raise click.UsageError("OpenPose's files don't hold the frames' size: give --size WxH.")
    return FrameFacts(size[0], size[1], options["fps"] or fps)
