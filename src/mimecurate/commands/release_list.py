"""`mimecurate release list`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mimecurate.commands.options import json_option, workspace_option
from mimecurate.console import print_json, print_table

if TYPE_CHECKING:
    from pathlib import Path


@click.command("list")
@click.argument("name", required=False)
@workspace_option
@json_option
def command(name: str | None, workspace: Path, as_json: bool) -> None:
    """List the releases of the workspace.

    \b
    Example:
      mimecurate release list
    """
    from mimecurate.curation.release_read import list_releases, show_release
    from mimecurate.curation.workspace import open_workspace

    with open_workspace(workspace, read_only=True) as space:
        shown = [show_release(space.db, row) for row in list_releases(space.db, name)]
    columns = ("name", "version", "status", "clips", "videos", "classes", "created", "digest")
    if as_json:
        print_json([{c: release[c] for c in (*columns, "parent", "withheld")} for release in shown])
        return
    print_table(
        columns,
        [
            [*(release[c] for c in columns[:-2]), release["created"][:10], release["digest"][:12]]
            for release in shown
        ],
    )
