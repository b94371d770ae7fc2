"""`mimecurate discover windows|rank`: what to look at, in media and by predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mimecurate.commands.discover_candidates import class_option, wanted_class
from mimecurate.commands.options import json_option, workspace_option
from mimecurate.console import counted, print_csv, print_json, print_table, progress, say

_IN_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("windows")
@click.argument("video_ids", nargs=-1, metavar="[VIDEO_ID…]")
@class_option
@click.option(
    "--tubes",
    type=_IN_FILE,
    help="Only where people are: a people file, as `baseline people` writes it, or CSV "
    "video_id,start,end in seconds.",
)
@click.option("--workers", type=click.IntRange(1, 64), default=2, show_default=True, metavar="N")
@workspace_option
@click.pass_context
def windows(
    ctx: click.Context,
    video_ids: tuple[str, ...],
    label: str | None,
    tubes: Path | None,
    workers: int,
    workspace: Path,
) -> None:
    """Propose windows of 1 to 10 s in long videos that are here, as a list for `fetch --urls`.

    A window never spans a cut; shots over 10 s are divided evenly. What a release lists or somebody
    rejected is left out. The exact interval is settled in the trim of the labelling screen.

    \b
    Example:
      mimecurate discover windows --class archery > windows.csv
      mimecurate fetch --urls windows.csv

    Exit status: 0 done, 3 some files could not be read.
    """
    from mimecurate.commands.discover_tubes import tubes_of
    from mimecurate.curation.discover_windows import (
        long_media,
        propose_all,
        why_no_media,
    )
    from mimecurate.curation.workspace import open_workspace
    from mimecurate.errors import ClipError
    from mimecurate.schemas.times import format_seconds

    with open_workspace(workspace, read_only=True) as space:
        label = wanted_class(space.db, label)
        media = long_media(space.db, video_ids=video_ids, label=label)
        left_out = why_no_media(space.db, video_ids=video_ids, label=label)
    people = tubes_of(tubes, media) if tubes else None
    rows: list[tuple[str, str, str, str, str]] = []
    failed = 0
    with progress("looking for shots", len(media), unit="files") as bar:
        for one, found in propose_all(workspace, media, people, workers=workers):
            bar.advance()
            if isinstance(found, ClipError):
                failed += 1
                bar.say(f"{one.clip_id}: {found}")
                continue
            rows += [
                (one.url, format_seconds(a), format_seconds(b), one.label or "", one.video_id)
                for a, b in found
            ]
    rows.sort(key=lambda row: row[4])
    print_csv(("url", "start", "end", "label", "video_id"), rows)
    say(f"{counted(len(rows), 'window')} in {counted(len(media) - failed, 'file')}")
    if not media:
        why = ", ".join(f"{count:,} {words}" for words, count in left_out.items())
        say(f"files left out: {why}" if why else "no file is here that it could look at")
    elif not rows and not failed:
        say("no shot of 1 s or more" + (" shows people by --tubes" if tubes else ""))
    ctx.exit(3 if failed else 0)


@click.command("rank")
@click.argument("predictions", type=_IN_FILE)
@click.option(
    "--by",
    type=click.Choice(["score", "disagreement"]),
    default="disagreement",
    show_default=True,
    help="First what the model is sure is the wanted class, or sure is another.",
)
@class_option
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, metavar="N")
@workspace_option
@json_option
def rank(
    predictions: Path, by: Any, label: str | None, limit: int, workspace: Path, as_json: bool
) -> None:
    """Order candidates by a prediction file, whose rows are clips or whole videos.

    Classifiers fail on mimes, so this orders and discards nothing. Where a model that looks at the
    scene is sure of another class, the video is likely out of context.

    \b
    Example:
      mimecurate discover rank rgb.npz --by disagreement --class "playing guitar"
    """
    from dataclasses import asdict

    from mimecurate.curation.workspace import open_workspace
    from mimecurate.evaluation.candidate_ranking import REMINDER, rank_candidates
    from mimecurate.evaluation.predictions import load_predictions

    scores = load_predictions(predictions)
    with open_workspace(workspace) as space:
        label = wanted_class(space.db, label)
        found = rank_candidates(space.db, scores, by, label=label)
    say(f"reminder: {REMINDER}")
    for name in found.without_column:
        say(f"no column for class {name!r}")
    if as_json:
        print_json([asdict(row) for row in found.ranked])
        return
    columns = ("clip_id", "wanted", "score", "says", "says_score", "disagreement")
    print_table(columns, [[getattr(r, c) for c in columns] for r in found.ranked[:limit]])
    say(
        f"{len(found.ranked):,} ranked; {found.settled:,} settled already, "
        f"{found.unknown:,} unknown here, {found.without_scores:,} without scores"
    )
