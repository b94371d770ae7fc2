"""`mimecurate release withdraw`: take clips down."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mimecurate.commands.options import json_option, workspace_option
from mimecurate.commands.release_view import working
from mimecurate.console import counted, print_json, say

if TYPE_CHECKING:
    from pathlib import Path


@click.command("withdraw")
@click.argument("name", metavar="NAME")
@click.option("--clip", "clips", multiple=True, metavar="CLIP_ID", help="May be repeated.")
@click.option(
    "--video", "videos", multiple=True, metavar="VIDEO_ID", help="All its clips; may be repeated."
)
@click.option("--reason", required=True, help="Why; it is published with the release.")
@click.option("--by", "decided_by", default="", metavar="WHO", help="Who decided it.")
@click.option("--yes", is_flag=True, help="Do not ask; the deletion can't be undone.")
@workspace_option
@json_option
def command(
    name: str,
    clips: tuple[str, ...],
    videos: tuple[str, ...],
    reason: str,
    decided_by: str,
    yes: bool,
    workspace: Path,
    as_json: bool,
) -> None:
    """Take clips down.

    Deletes the media, what releases say of the clips, and the link and title of a video none of
    whose clips is left; and freezes the next MAJOR version without them. Their ids and the reason
    stay, and digests of earlier versions still verify.

    \b
    Example:
      mimecurate release withdraw mimetics --video 0zFbEjoGlhc --reason "asked by the owner"
    """
    from mimecurate.curation.release_withdraw import withdraw as take_down
    from mimecurate.curation.workspace import open_workspace
    from mimecurate.schemas.release import check_reason

    try:
        check_reason(reason)
    except ValueError as error:
        raise click.UsageError(f"--reason: {error}") from error
    if not clips and not videos:
        raise click.UsageError("name what to withdraw with --clip or --video")
    if not yes:
        click.confirm("Media and links are deleted for good. Go on?", abort=True, err=True)
    with open_workspace(workspace) as space, working("withdrawing"):
        done = take_down(
            space, name, reason, clip_ids=clips, video_ids=videos, decided_by=decided_by
        )
    if as_json:
        print_json(
            {
                "release": done.reference,
                "digest": done.digest,
                "withdrawn": done.clips,
                "files_removed": done.files_removed,
                "also_listed_by": list(done.also_listed_by),
                "traces": done.traces,
            }
        )
    say(f"{counted(done.clips, 'clip')} withdrawn, {counted(done.files_removed, 'file')} deleted")
    say(f"frozen: {done.reference}" if done.reference else "the latest release lists none of them")
    for other in done.also_listed_by:
        say(f"{other} lists some of them too: mimecurate release withdraw {other.split('@')[0]} …")
    if done.traces:
        say(f"note: mimecurate.db may still hold traces of what was deleted: {done.traces};")
        say("      mend that and give the same line again")
