"""`mimecurate release show`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mimecurate.commands.options import json_option, workspace_option
from mimecurate.commands.release_list import command as list_command
from mimecurate.commands.release_view import print_counts
from mimecurate.console import print_json, print_table

if TYPE_CHECKING:
    from pathlib import Path


@click.command("show")
@click.argument("release", metavar="[R]", required=False)
@workspace_option
@json_option
@click.pass_context
def command(ctx: click.Context, release: str | None, workspace: Path, as_json: bool) -> None:
    """Show what is in a release: NAME@VERSION, or the path of an exported one.

    Without R, list the releases of the workspace.

    \b
    Example:
      mimecurate release show mimetics@1.0.0 --json
    """
    from mimecurate.curation.release_edition import show_any

    if release is None:
        ctx.invoke(list_command, name=None, workspace=workspace, as_json=as_json)
        return
    shown = show_any(release, workspace)
    if as_json:
        print_json(shown)
        return
    said = ("name", "version", "status", "digest", "parent", "created", "origin", "withheld")
    print_table(["release", ""], [(key, shown[key]) for key in said if shown[key]])
    print_counts(shown)
    print_table(["class", "clips"], sorted(shown["per_class"].items()))
