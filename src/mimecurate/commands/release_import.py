"""`mimecurate release import`: a release that others published."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mimecurate.commands.options import json_option, workspace_option
from mimecurate.commands.release_view import (
    MOST_SHOWN,
    card_option,
    checked_name,
    checked_version,
    print_counts,
)
from mimecurate.console import counted, print_json, progress, say

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mimecurate.console import Progress


@click.command("import")
@click.argument("source", type=click.Path(exists=True, path_type=Path), metavar="DIR")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["mimetics", "kinetics", "bundle"]),
    required=True,
    help="The official Mimetics v1.0 files; lists as Kinetics has them (CSV, or JSON as "
    "ActivityNet has it); or what `release export` writes.",
)
@click.option("--name", help="Name of the release; a bundle says its own.")
@click.option("--version", metavar="V", help="Its version, e.g. 1.0.0; a bundle says its own.")
@card_option
@workspace_option
@json_option
def command(
    source: Path,
    format_: Any,
    name: str | None,
    version: str | None,
    card: Path | None,
    workspace: Path,
    as_json: bool,
) -> None:
    """Import a release that others published.

    Videos, clips and classes become known to the workspace, and the release is frozen as it is.
    Nothing is imported if anything is wrong; everything that is wrong is listed.

    \b
    Example:
      mimecurate release import mimetics_v1.0 --format mimetics --name mimetics --version 1.0.0
      mimecurate release import kinetics400 --format kinetics --name kinetics400 --version 1.0.0
    """
    from mimecurate.curation.release_cards import read_card
    from mimecurate.curation.release_import import import_release
    from mimecurate.curation.workspace import open_workspace

    if format_ != "bundle" and not (name and version):
        raise click.UsageError(f"--name and --version are needed with --format {format_}")
    with open_workspace(workspace) as space, progress("reading", None) as bar:
        done = import_release(
            space,
            source,
            format=format_,
            name=checked_name(name) if name else None,
            version=checked_version(version) if version else None,
            card=read_card(card) if card else None,
            on_progress=_advance(bar),
        )
    for check_name, count in done.findings.items():
        say(f"note: {check_name}: {count:,}")
    _say_still_here(done.still_here)
    say(f"{'was there already' if done.was_there else 'imported'}: {done.reference}")
    if as_json:
        name, _, version = done.reference.partition("@")
        print_json(
            {
                "name": name,
                "version": version,
                "digest": done.digest,
                "was_there": done.was_there,
                "findings": dict(done.findings),
                "still_here": dict(done.still_here),
                **done.counts,
            }
        )
    else:
        print_counts(done.counts, done.digest)


def _say_still_here(clips: Mapping[str, str]) -> None:
    if clips:
        number = counted(len(clips), "clip")
        say(f"note: withdrawn by its makers, and still in this workspace: {number}")
        say("      take them down with: mimecurate release withdraw NAME --clip ID --reason …")
    for clip_id, reason in list(clips.items())[:MOST_SHOWN]:
        say(f"  {clip_id}: {reason}")
    if len(clips) > MOST_SHOWN:
        say(f"  and {len(clips) - MOST_SHOWN:,} more; --json lists all")


def _advance(bar: Progress) -> Any:
    last = 0

    def advance(done: int, total: int | None) -> None:
        nonlocal last
        bar.advance(done - last)
        last = done

    return advance
