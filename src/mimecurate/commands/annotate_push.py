"""`mimecurate annotate push`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mimecurate.commands.options import json_option, workspace_option
from mimecurate.commands.server_options import open_connection, server_options
from mimecurate.console import counted, print_json, print_table, progress, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mimecurate.annotation.push import Pushed, PushPlan
    from mimecurate.annotation.rounds import Project
    from mimecurate.annotation.send_tasks import RefusedClip, Sent

    _Row = tuple[str | None, Project | None, Sent]
    """Whose a project is; where it is, if it is made; and what became of its tasks."""

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
    from mimecurate.annotation.push import (
        PushOptions,
        find_refused,
        plan_push,
        planned_projects,
        push,
    )
    from mimecurate.annotation.round_clips import Wanted
    from mimecurate.curation.workspace import open_workspace

    wanted = Wanted(label, split, video, limit, _gold(gold))
    options = PushOptions(round_, wanted, overlap, annotators, predictions, media_url, clips_dir)
    if dry_run:
        with open_workspace(workspace, read_only=True) as space:
            plan = plan_push(space.db, options)
            refused = find_refused(space, plan)
            projects = planned_projects(space.db, plan, refused)
        _show(plan, projects, refused, plan.remarks, dry_run=True, as_json=as_json)
        ctx.exit(3 if refused else 0)
    with open_workspace(workspace) as space, open_connection(space.root, url, token) as server:
        plan = plan_push(space.db, options)
        with progress("pushing", plan.total, unit="tasks") as bar:
            done = push(space, server, plan, advance=bar.advance, say=bar.say)
    projects = _projects_of(done)
    _show(plan, projects, done.refused, done.warnings, dry_run=False, as_json=as_json)
    ctx.exit(3 if done.refused else 0)


def _gold(text: str | None) -> int | tuple[str, ...]:
    from mimecurate.annotation.round_clips import read_gold_file

    if text is None:
        return 0
    return int(text) if text.isascii() and text.isdigit() else read_gold_file(Path(text))


def _projects_of(pushed: Pushed) -> list[_Row]:
    return [(project.annotator, project, sent) for project, sent in pushed.projects]


def _show(
    plan: PushPlan,
    projects: Sequence[_Row],
    refused: Sequence[RefusedClip],
    warnings: Sequence[str],
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Say what was done, or in the same form what would be."""
    if as_json:
        print_json(_document(plan, projects, refused, warnings, dry_run=dry_run))
        return
    _say_refused(refused)
    created, existing, updated = (
        sum(getattr(sent, name) for _, _, sent in projects)
        for name in ("created", "existing", "updated")
    )
    parts = [f"{counted(plan.overlap, 'answer')} to each clip"]
    if plan.clips.gold:
        parts.append(counted(len(plan.clips.gold), "gold clip"))
    if plan.prefill:
        parts.append(f"{len(plan.prefill.labels):,} pre-filled")
    did = ["would be sent", "there already"] if dry_run else ["sent", "there before"]
    done = [f"{counted(created, 'task')} {did[0]}", f"{existing:,} {did[1]}"]
    done += [] if dry_run else [f"{updated:,} updated"]
    done.append(f"{len(refused):,} refused")
    say(f"round {plan.options.round} ({', '.join(parts)}): {', '.join(done)}")
    print_table(
        ["annotator", "address"],
        [
            [annotator or "everyone", project.url if project else "made by the push"]
            for annotator, project, _ in projects
        ],
    )
    if dry_run:
        for line in warnings:
            say(line)
        say("nothing was sent (--dry-run)")


def _document(
    plan: PushPlan,
    projects: Sequence[_Row],
    refused: Sequence[RefusedClip],
    warnings: Sequence[str],
    *,
    dry_run: bool,
) -> dict[str, object]:
    rows = [
        {
            "project_id": project.project_id if project else None,
            "project_url": project.url if project else None,
            "annotator": annotator,
            "title": project.title if project else None,
            "created": sent.created,
            "existing": sent.existing,
            "updated": None if dry_run else sent.updated,
        }
        for annotator, project, sent in projects
    ]
    return {
        "project_id": rows[0]["project_id"],
        "project_url": rows[0]["project_url"],
        "created": sum(sent.created for _, _, sent in projects),
        "existing": sum(sent.existing for _, _, sent in projects),
        "updated": None if dry_run else sum(sent.updated for _, _, sent in projects),
        "refused": [{"clip_id": clip.clip_id, "problem": clip.problem} for clip in refused],
        "round": plan.options.round,
        "overlap": plan.overlap,
        "clips": len(plan.clips.asked),
        "gold": len(plan.clips.gold),
        "prefilled": len(plan.prefill.labels) if plan.prefill else 0,
        "projects": rows,
        "warnings": list(warnings),
        "dry_run": dry_run,
    }


def _say_refused(refused: Sequence[RefusedClip]) -> None:
    for clip in refused[:MOST_SHOWN]:
        say(f"refused: {clip.clip_id}: {clip.problem}")
    if len(refused) > MOST_SHOWN:
        say(f"refused: {len(refused) - MOST_SHOWN:,} more; --json lists all")
