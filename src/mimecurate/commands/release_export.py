"""`mimecurate release export`: write a release for others."""

from __future__ import annotations

from pathlib import Path

import click

from mimecurate.commands.options import json_option, workspace_option
from mimecurate.commands.release_view import working
from mimecurate.console import counted, print_json, say

_FORMATS = ("bundle", "kinetics", "parquet", "croissant", "huggingface", "fiftyone", "mmaction2")


@click.command("export")
@click.argument("release", metavar="R")
@click.option(
    "--format", "format_", type=click.Choice(_FORMATS), required=True, help="What to write."
)
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="A new folder; for a bundle it may be a .zip.",
)
@workspace_option
@json_option
def command(release: str, format_: str, out: Path, workspace: Path, as_json: bool) -> None:
    """Write a release for others.

    bundle is complete and can be verified. huggingface, fiftyone and mmaction2 come with the clips
    whose media are in the workspace.

    \b
    Example:
      mimecurate release export mimetics@1.1.0 --format bundle --out mimetics-1.1.0.zip
      mimecurate release export mimetics@1.1.0 --format mmaction2 --out mmaction2/mimetics
    """
    from mimecurate.curation.release_edition import load_edition
    from mimecurate.curation.release_export import export_release

    with working("writing"):
        done = export_release(load_edition(release, workspace), format_, out)
    for notice in done.notices:
        say(f"note: {notice}")
    say(f"wrote {done.path}: {counted(done.files, 'file')}, {counted(done.bytes, 'byte')}")
    if as_json:
        print_json(
            {
                "path": str(done.path),
                "format": format_,
                "files": done.files,
                "bytes": done.bytes,
                "notices": done.notices,
            }
        )
