"""`mimecurate baseline people show`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mimecurate.commands.options import json_option, workspace_option
from mimecurate.console import counted, pairs_text, print_json, print_table, say
from mimecurate.errors import ClipError, MimecurateError, plain_words

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from mimecurate.baselines.people import People, Tube


_FAILURES_SHOWN = 20


class _ClipCommand(click.Command):
    """A command whose last argument is a clip id, which may begin with ``-``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Say how to write such an id where it was taken for an option."""
        dashed = next((a for a in args if a.startswith("-") and "_0" in a), None)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if dashed is None:
                raise
            raise click.UsageError(
                f"{error.format_message()} A clip id that begins with '-' stands last, after --: "
                f"show FILE -- {dashed}",
                ctx,
            ) from error


@click.command("show", cls=_ClipCommand)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("clip_id", required=False)
@click.option(
    "--png",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Draw the tubes over time, on the clip's frames where its media are found.",
)
@click.option(
    "--clips",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the media, for --png.  [default: the workspace's clips]",
)
@click.option("--check", is_flag=True, help="Read the whole file, and say all that is wrong.")
@json_option
@workspace_option
def command(
    file: Path,
    clip_id: str | None,
    png: Path | None,
    clips: Path | None,
    check: bool,
    as_json: bool,
    workspace: Path,
) -> None:
    """Show the tubes of a clip, or what a people file holds.

    A tube's score is the sum of its detections' scores. Of a clip the tubes with the best single
    detections come first; --png draws 8.

    \b
    Example:
      mimecurate baseline people show people.parquet
      mimecurate baseline people show people.parquet 0zFbEjoGlhc_000006_000010 --png tubes.png
      mimecurate baseline people show people.parquet -- -ID_that_begins_with_a_dash
      mimecurate baseline people show people.parquet --check
    """
    from mimecurate.baselines.people_file import check_people_file, open_people

    if png is not None and clip_id is None:
        raise click.UsageError("--png wants a CLIP_ID.")
    if check:
        check_people_file(file)
    people = open_people(file)
    if clip_id is None:
        _show_file(people, as_json=as_json)
        return
    if clip_id not in people:
        raise MimecurateError(_absent(file, people, clip_id))
    found = people[clip_id]
    if png is not None:
        _draw(found, png, clips or workspace / "clips")
    _show_clip(found, as_json=as_json)


def _absent(file: Path, people: Mapping[str, People], clip_id: str) -> str:
    from mimecurate.baselines.people_file import PeopleFile

    if isinstance(people, PeopleFile):
        for failed, reason, message in people.failures:
            if failed == clip_id:
                return f"{file} has no people of {clip_id}, which failed: {reason}: {message}"
    return f"{file} has no clip {clip_id!r}; it has {counted(len(people), 'other')}"


def _show_file(people: Mapping[str, People], *, as_json: bool) -> None:
    from mimecurate.baselines.people_file import PeopleFile

    document: dict[str, Any] = {"clips": len(people)}
    if isinstance(people, PeopleFile):
        header = people.header
        document |= {
            "detections": int(people.clips.rows[-1]),
            "layout": header.layout,
            "dimensions": header.dimensions,
            "features": header.features,
            "made_by": dict(header.made_by),
            "failed": {clip_id: message for clip_id, _, message in people.failures},
        }
    if as_json:
        print_json(document)
        return
    failed = document.pop("failed", {})
    if "made_by" in document:
        document["made_by"] = pairs_text(document["made_by"])
    print_table(["what", "value"], list(document.items()))
    for clip_id, message in list(failed.items())[:_FAILURES_SHOWN]:
        say(f"failed: {clip_id}: {message}")
    if len(failed) > _FAILURES_SHOWN:
        say(f"and {len(failed) - _FAILURES_SHOWN:,} more; --json lists all")


def _draw(people: People, png: Path, folder: Path) -> None:
    from mimecurate.baselines.people_picture import COLOURS, draw_tubes
    from mimecurate.baselines.tubes import link_tubes

    tubes = link_tubes(people)
    frames, ground = _frames(people, folder)
    try:
        draw_tubes(people, tubes, frames).save(png)
    except (OSError, ValueError) as error:
        raise MimecurateError(f"{png}: can't be written: {plain_words(error)}") from error
    which = counted(len(tubes), "tube")
    if len(tubes) > len(COLOURS):
        which = f"the {len(COLOURS)} of {which} with the best detections"
    say(f"{png}: {which}, {ground}")


def _frames(people: People, folder: Path) -> tuple[list[NDArray[np.uint8]], str]:
    """Decode the frames to draw on, if they can be had; and say what the ground is."""
    from importlib.util import find_spec

    from mimecurate.baselines.people_picture import moments_of
    from mimecurate.evaluation.report_media import find_media

    path = find_media(folder, [people.clip_id]).get(people.clip_id) if folder.is_dir() else None
    if path is None:
        return [], f"on grey: {folder} has no media of the clip"
    if find_spec("torch") is None:
        return [], "on grey: frames take torch; pip install 'mimecurate[baselines]'"
    from mimecurate.baselines.decode import open_video

    try:
        with open_video(path) as video:
            moments = [min(moment, video.frames - 1) for moment in moments_of(people)]
            frames = [video.read([m])[0].permute(1, 2, 0).contiguous().numpy() for m in moments]
    except ClipError as error:
        return [], f"on grey: {error}"
    return frames, f"on the frames of {path}"


def _show_clip(people: People, *, as_json: bool) -> None:
    from mimecurate.baselines.tubes import link_tubes

    tubes = link_tubes(people)
    rows = [_row(number, tube) for number, tube in enumerate(tubes, 1)]
    if as_json:
        names = ("tube", "start", "frames", "filled_in", "score", "first_box")
        print_json(
            {
                "clip_id": people.clip_id,
                "frames": people.frames,
                "detections": len(people.frame),
                "tubes": [dict(zip(names, row, strict=True)) for row in rows],
            }
        )
        return
    say(
        f"{people.clip_id}: {counted(people.frames, 'frame')} of {people.width} x "
        f"{people.height}, {counted(len(people.frame), 'detection')}, {counted(len(tubes), 'tube')}"
    )
    print_table(
        ["tube", "start", "frames", "filled in", "score", "first box"],
        [[*row[:5], " ".join(f"{edge:.0f}" for edge in row[5])] for row in rows],
    )


def _row(number: int, tube: Tube) -> list[Any]:
    filled = int((tube.detection < 0).sum())
    return [number, tube.start, len(tube.boxes), filled, tube.score, tube.boxes[0].tolist()]
