"""`mimecurate release diff`: what differs between two releases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mimecurate.commands.options import json_option, workspace_option
from mimecurate.commands.release_view import working
from mimecurate.console import counted, print_json, print_table, say

if TYPE_CHECKING:
    from pathlib import Path

    from mimecurate.curation.release_diff import ReleaseDiff


@click.command("diff")
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@workspace_option
@json_option
def command(a: str, b: str, workspace: Path, as_json: bool) -> None:
    """Say what differs between two releases.

    Each is NAME@VERSION of the workspace, or the path of an exported release.

    \b
    Example:
      mimecurate release diff mimetics@1.0.0 mimetics@1.1.0
    """
    from mimecurate.curation.release_compare import compare_releases

    with working("comparing"):
        found = compare_releases(a, b, workspace)
    if as_json:
        print_json(found.as_json())
        return
    _show_diff(found)


def _show_diff(found: ReleaseDiff) -> None:
    rows: list[tuple[str, str, object, object]] = []
    rows += [("added", name, "", "") for name in found.added]
    rows += [("removed", name, "", "") for name in found.removed]
    rows += [("relabelled", *change) for change in found.relabelled]
    rows += [(flag, name, before, after) for name, flag, before, after in found.reflagged]
    rows += [
        ("re-trimmed", after, _interval(before), _interval(after))
        for before, after in found.retrimmed
    ]
    rows += [("moved", *change) for change in found.moved]
    rows += [("withheld", name, "", "") for name in found.withheld]
    classes = [
        (what, name)
        for what in ("added", "removed", "changed")
        for name in getattr(found, f"classes_{what}")
    ]
    print_table(["change", "clip_id", "from", "to"], rows)
    if classes:
        print_table(["change", "class"], classes)
    differences = counted(len(rows) + len(classes), "difference")
    say(f"{found.a} and {found.b}: {counted(found.same, 'clip')} the same, {differences}")
    if found.proposed and (rows or classes):
        say(f"a {found.change.name} change: after {found.a} comes {found.proposed}")


def _interval(clip_id: str) -> str:
    from mimecurate.schemas.ids import interval_text
    from mimecurate.schemas.times import parse_time_ms

    return interval_text(*map(parse_time_ms, clip_id.rsplit("_", 2)[1:]))
