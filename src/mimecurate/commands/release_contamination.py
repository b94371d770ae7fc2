"""`mimecurate release contamination`: does a training list have the release's videos?"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mimecurate.commands.options import json_option, workspace_option
from mimecurate.console import print_json, print_table, say

if TYPE_CHECKING:
    from mimecurate.curation.contamination import ClassContamination, Contamination

_MOST_SHOWN = 20


@click.command("contamination")
@click.argument("release", metavar="R")
@click.option(
    "--train",
    "lists",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    required=True,
    metavar="FILE",
    help="A training list: Kinetics CSV, or any that `fetch --urls` reads; may be repeated.",
)
@workspace_option
@json_option
@click.pass_context
def contamination(
    ctx: click.Context, release: str, lists: tuple[Path, ...], workspace: Path, as_json: bool
) -> None:
    """Look for a release's videos in training lists, by video and by interval, per class.

    A list of video ids alone will do; then each counts as seen whole.

    \b
    Example:
      mimecurate release contamination mimetics@1.0.0 --train kinetics400/train.csv

    Exit status: 0 none of its videos is in a list, 3 some are.
    """
    from mimecurate.curation.contamination import find_contamination
    from mimecurate.curation.release_read import load_release
    from mimecurate.curation.url_list import read_url_list

    clips = load_release(release, workspace).clips
    with contextlib.ExitStack() as stack:
        streams = [(str(path), stack.enter_context(path.open("rb"))) for path in lists]
        found = find_contamination(
            clips,
            ((name, read_url_list(s, name=name, allow_files=True)) for name, s in streams),
        )
    if as_json:
        print_json(_as_json(found))
    else:
        _show(found)
    ctx.exit(3 if found.overlaps else 0)


def _as_json(found: Contamination) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "train_rows": found.train_rows,
        "overall": asdict(found.overall),
        "per_class": {name: asdict(counts) for name, counts in found.per_class.items()},
        "overlaps": [{**asdict(o), "same_seconds": o.same_seconds} for o in found.overlaps],
    }


def _show(found: Contamination) -> None:
    columns = ("class", "clips", "videos", "of seen videos", "seen", "as this class")
    touched = [(n, c) for n, c in found.per_class.items() if c.clips_of_seen_videos]
    print_table(columns, [_row(n, c) for n, c in [*touched, ("all", found.overall)]])
    rows = [
        (o.clip_id, o.label, f"{o.train_list}:{o.line}", o.train_label, o.overlap_ms / 1000)
        for o in found.overlaps[:_MOST_SHOWN]
    ]
    if rows:
        print_table(("clip_id", "class", "list", "listed as", "seconds shared"), rows)
    if len(found.overlaps) > _MOST_SHOWN:
        say(f"and {len(found.overlaps) - _MOST_SHOWN:,} more; --json lists all")
    say(f"{found.train_rows:,} training rows read")


def _row(name: str, c: ClassContamination) -> tuple[object, ...]:
    return (
        name,
        c.clips,
        c.videos,
        c.clips_of_seen_videos,
        c.clips_seen,
        c.clips_seen_as_this_class,
    )
