"""`mimecurate baseline people show`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mimecurate.commands.options import json_option
from mimecurate.console import counted, print_json, print_table, say
from mimecurate.errors import MimecurateError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mimecurate.baselines.people import People, Tube


@click.command("show")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("clip_id", required=False)
@click.option(
    "--png", type=click.Path(dir_okay=False, path_type=Path), help="Draw the tubes over time."
)
@click.option("--check", is_flag=True, help="Read the whole file, and say all that is wrong.")
@json_option
def command(file: Path, clip_id: str | None, png: Path | None, check: bool, as_json: bool) -> None:
    """Show the tubes of a clip, or what a people file holds.

    \b
    Example:
      mimecurate baseline people show people.parquet
      mimecurate baseline people show people.parquet 0zFbEjoGlhc_000006_000010 --png tubes.png
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
        raise MimecurateError(f"{file} has no clip {clip_id!r}; it has {len(people):,} others")
    _show_clip(people[clip_id], png, as_json=as_json)


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
    print_table(["what", "value"], list(document.items()))
    for clip_id, message in list(failed.items())[:20]:
        say(f"failed: {clip_id}: {message}")


def _show_clip(people: People, png: Path | None, *, as_json: bool) -> None:
    from mimecurate.baselines.tubes import link_tubes

    tubes = link_tubes(people)
    if png is not None:
        from mimecurate.baselines.people_picture import draw_tubes

        draw_tubes(people, tubes).save(png)
        say(f"{png}: {counted(min(len(tubes), 8), 'tube')} drawn")
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
