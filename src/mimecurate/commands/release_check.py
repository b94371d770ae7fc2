"""`mimecurate release check`: verify a release, and look for its videos in training lists."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mimecurate.commands.options import json_option, workspace_option
from mimecurate.commands.release_view import IN_FILE, working
from mimecurate.console import counted, print_json, say

if TYPE_CHECKING:
    from mimecurate.curation.contamination import Contamination
    from mimecurate.curation.release_bundle_check import CheckedBundle


@click.command("check")
@click.argument("release", metavar="R")
@click.option(
    "--train-list",
    "lists",
    type=IN_FILE,
    multiple=True,
    metavar="FILE",
    help="Also look for its videos in this training list: Kinetics CSV, or any that `fetch --urls` "
    "reads; may be repeated.",
)
@workspace_option
@json_option
@click.pass_context
def command(
    ctx: click.Context, release: str, lists: tuple[Path, ...], workspace: Path, as_json: bool
) -> None:
    """Verify an exported release that somebody made or changed: a folder or .zip.

    Digest, checksums, rows, counts and Croissant; everything that is wrong is listed.

    With --train-list its videos are looked for in training lists, by video and by interval, per
    class; R may then be NAME@VERSION of the workspace too. A list of video ids alone will do; each
    counts as seen whole.

    \b
    Example:
      mimecurate release check mimetics-1.1.0.zip
      mimecurate release check mimetics@1.0.0 --train-list kinetics400/train.csv

    Exit status: 0 whole, 1 it is not, 3 some of its videos are in a training list.
    """
    from mimecurate.curation.release_read import is_bundle
    from mimecurate.errors import InvalidInputError

    shown: dict[str, Any] = {}
    try:
        if is_bundle(release):
            shown |= _verify(Path(release))
        elif not lists:
            raise click.UsageError(
                f"{release!r} is no folder or .zip of an exported release; NAME@VERSION of the "
                "workspace can be looked for with --train-list"
            )
        found = _look(release, workspace, lists) if lists else None
    except InvalidInputError as error:
        if not as_json:
            raise
        problems = [
            {"message": p.message, "line": p.line, "column": p.column} for p in error.problems
        ]
        print_json({"ok": False, "problems": problems})
        ctx.exit(1)
    if found is not None:
        from mimecurate.commands.contamination_view import contamination_json, show_contamination

        shown["contamination"] = contamination_json(found)
        if not as_json:
            show_contamination(found)
    if as_json:
        print_json(shown)
    ctx.exit(3 if found is not None and found.overlaps else 0)


def _verify(path: Path) -> dict[str, Any]:
    from mimecurate.curation.release_bundle_check import check_bundle

    with working("checking"):
        found: CheckedBundle = check_bundle(path)
    for part in found.not_checked:
        say(f"not checked: {part}")
    say(f"{found.reference} is whole: {counted(found.clips, 'clip')}, {found.withheld:,} withheld")
    say(f"digest {found.digest}")
    name, _, version = found.reference.partition("@")
    return {
        "ok": True,
        "name": name,
        "version": version,
        "digest": found.digest,
        "clips": found.clips,
        "withheld": found.withheld,
        "files": found.files,
        "not_checked": list(found.not_checked),
    }


def _look(release: str, workspace: Path, lists: tuple[Path, ...]) -> Contamination:
    import contextlib

    from mimecurate.curation.contamination import find_contamination
    from mimecurate.curation.release_read import load_release
    from mimecurate.curation.url_list import read_url_list

    clips = load_release(release, workspace).clips
    with contextlib.ExitStack() as stack:
        stack.enter_context(working("reading training lists"))
        streams = [(str(path), stack.enter_context(path.open("rb"))) for path in lists]
        return find_contamination(
            clips,
            ((name, read_url_list(s, name=name, allow_files=True)) for name, s in streams),
        )
