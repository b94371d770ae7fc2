"""`mimecurate annotate push`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mimecurate.commands.options import json_option, workspace_option
from mimecurate.commands.server_options import open_connection, server_options
from mimecurate.console import print_json, print_table, progress, say

if TYPE_CHECKING:
    from mimecurate.annotation.push import Pushed, PushOptions, PushPlan
    from mimecurate.annotation.send_tasks import RefusedClip

MOST_SHOWN = 20


@click.command("push")
@workspace_option
@server_options
@click.option("--round", "round_", default="1", show_default=True, metavar="NAME", help="Which.")
@click.option("--label", help="Only clips of this class.")
@click.option("--split", help="Only clips of this split.")
@click.option("--video", help="Only clips of this video id.")
@click.option(
    "--limit", type=click.IntRange(min=1), metavar="N", help="At most N, drawn at random."
)
@click.option(
    "--overlap",
    type=click.IntRange(1, 100),
    metavar="N",
    help="How many people answer each clip.  [default: 1]",
)
@click.option(
    "--annotator",
    "annotators",
    multiple=True,
    metavar="EMAIL",
    help="Give this person a project of their own, with every clip; repeat for each.",
)
@click.option(
    "--gold",
    metavar="N|FILE",
    help="Mix in N decided clips, or those in FILE, one id in a line.",
)
@click.option(
    "--predictions",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Pre-fill the class that this prediction file puts first.",
)
@click.option(
    "--media-url",
    metavar="PREFIX",
    help="Where else clips/ is: https://… (with CORS and Range) or s3://bucket/folder.",
)
@click.option(
    "--clips-dir",
    type=click.Path(path_type=Path),
    help="The folder clips/ as that server sees it, e.g. in a container.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be sent, and send nothing.")
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    workspace: Path,
    url: str | None,
    token: str | None,
    round_: str,
    label: str | None,
    split: str | None,
    video: str | None,
    limit: int | None,
    overlap: int | None,
    annotators: tuple[str, ...],
    gold: str | None,
    predictions: Path | None,
    media_url: str | None,
    clips_dir: Path | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Send clips to Label Studio to be labelled.

    A round is a project there, or one for each --annotator, so that nobody sees another's answer.
    Sent are the fetched clips that have no decision yet, shuffled. Done again, it sends what came
    since and never a clip twice. Annotators get the address that is printed, and see one clip after
    the other there. What a browser can't be trusted to play is refused, with the reason.

    \b
    Example:
      mimecurate annotate push --overlap 2 --gold 20
      mimecurate annotate push --round blind --annotator ann@example.org --annotator bo@example.org
      mimecurate annotate push --label archery --limit 50 --dry-run

    Exit status: 0 all sent, 3 some were refused.
    """
    from mimecurate.annotation.push import PushOptions, find_refused, plan_push, push
    from mimecurate.annotation.round_clips import Wanted
    from mimecurate.curation.workspace import open_workspace

    wanted = Wanted(label, split, video, limit, _gold(gold))
    options = PushOptions(round_, wanted, overlap, annotators, predictions, media_url, clips_dir)
    if dry_run:
        with open_workspace(workspace, read_only=True) as space:
            plan = plan_push(space.db, options)
            refused = find_refused(space, plan)
        _show_plan(plan, refused, as_json=as_json)
        ctx.exit(3 if refused else 0)
    with open_workspace(workspace) as space, open_connection(space.root, url, token) as server:
        plan = plan_push(space.db, options)
        with progress("pushing", plan.total) as bar:
            pushed = push(space, server, plan, advance=bar.advance, say=bar.say)
    _show(pushed, options, as_json=as_json)
    ctx.exit(3 if pushed.refused else 0)


def _gold(text: str | None) -> int | tuple[str, ...]:
    from mimecurate.annotation.round_clips import read_gold_file

    if text is None:
        return 0
    return int(text) if text.isascii() and text.isdigit() else read_gold_file(Path(text))


def _show(pushed: Pushed, options: PushOptions, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "project_id": pushed.project_id,
                "project_url": pushed.project_url,
                "created": pushed.created,
                "existing": pushed.existing,
                "updated": pushed.updated,
                "refused": _listed(pushed.refused),
                "projects": [
                    {
                        "project_id": project.project_id,
                        "project_url": project.url,
                        "annotator": project.annotator,
                        "title": project.title,
                        "created": sent.created,
                        "existing": sent.existing,
                        "updated": sent.updated,
                    }
                    for project, sent in pushed.projects
                ],
                "warnings": list(pushed.warnings),
            }
        )
        return
    _say_refused(pushed.refused)
    say(
        f"round {options.round}: {pushed.created:,} clips sent, {pushed.existing:,} were there, "
        f"{pushed.updated:,} brought up to date, {len(pushed.refused):,} refused"
    )
    print_table(
        ["annotator", "address"],
        [[project.annotator or "everyone", project.url] for project, _ in pushed.projects],
    )


def _show_plan(plan: PushPlan, refused: list[RefusedClip], *, as_json: bool) -> None:
    numbers = {
        "clips": len(plan.clips.asked),
        "gold": len(plan.clips.gold),
        "prefilled": len(plan.prefill.labels) if plan.prefill else 0,
        "projects": len(plan.annotators),
    }
    if as_json:
        print_json({"round": plan.options.round, **numbers, "refused": _listed(refused)})
        return
    _say_refused(refused)
    print_table(
        ["what", "number"],
        [[what, f"{number:,}"] for what, number in (numbers | {"refused": len(refused)}).items()],
    )
    for line in plan.remarks:
        say(line)
    say("nothing was sent (--dry-run)")


def _say_refused(refused: tuple[RefusedClip, ...] | list[RefusedClip]) -> None:
    for clip in refused[:MOST_SHOWN]:
        say(f"refused: {clip.clip_id}: {clip.problem}")
    if len(refused) > MOST_SHOWN:
        say(f"refused: {len(refused) - MOST_SHOWN:,} more; --json lists all")


def _listed(refused: tuple[RefusedClip, ...] | list[RefusedClip]) -> list[dict[str, str]]:
    return [{"clip_id": clip.clip_id, "problem": clip.problem} for clip in refused]
