"""`mimecurate classes load|combine|split|rename|drop`: changes, shown as a diff."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mimecurate.commands.classes_show import diff_json, show_diff
from mimecurate.commands.discover_candidates import who_name, who_option
from mimecurate.commands.options import json_option, workspace_option
from mimecurate.console import counted, print_json, say

if TYPE_CHECKING:
    from collections.abc import Callable

    from mimecurate.curation.class_changes import Applied, Change

_IN_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)

dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Show what would change; change nothing."
)
reason_option = click.option(
    "--reason", default="", metavar="WORDS", help="Why; kept with the list."
)


@click.command("load")
@click.argument("file", type=_IN_FILE)
@dry_run_option
@reason_option
@who_option
@workspace_option
@json_option
def load(file: Path, workspace: Path, **more: Any) -> None:
    """Add the classes of a file, or replace what is known of them; none is removed.

    A name per line, or CSV with the columns name, and optionally definition, object_size, scene,
    superclass, aliases, kinetics400, kinetics600, kinetics700; `|` stands between several names.

    \b
    Example:
      mimecurate classes load classes.csv --dry-run
    """
    from mimecurate.curation.class_changes import load
    from mimecurate.curation.classes import check_kinetics_names, read_classes

    entries = read_classes(file)
    for name, vocabulary, other in check_kinetics_names(entries):
        say(f"note: {name}: {vocabulary} has no class {other!r}")
    _change(workspace, lambda db: load(db, entries), **more)


@click.command("combine")
@click.argument("names", nargs=-1, required=True, metavar="CLASS CLASS…")
@click.option("--into", required=True, metavar="CLASS", help="A new name, or one of theirs.")
@dry_run_option
@reason_option
@who_option
@workspace_option
@json_option
def combine(names: tuple[str, ...], into: str, workspace: Path, **more: Any) -> None:
    """Make one class of several; their names become aliases.

    \b
    Example:
      mimecurate classes combine "reading book" "reading newspaper" --into reading
    """
    from mimecurate.curation.class_changes import combine
    from mimecurate.curation.class_list import normal_class_name

    wanted = [normal_class_name(name) for name in names]
    _change(workspace, lambda db: combine(db, wanted, normal_class_name(into)), **more)


@click.command("split")
@click.argument("name", metavar="CLASS")
@click.option("--into", "parts", multiple=True, required=True, metavar="CLASS", help="A part.")
@click.option("--assign", type=_IN_FILE, help="CSV clip_id,class: which part a clip belongs to.")
@dry_run_option
@reason_option
@who_option
@workspace_option
@json_option
def split(
    name: str, parts: tuple[str, ...], assign: Path | None, workspace: Path, **more: Any
) -> None:
    """Make several classes of one; clips that are not assigned are to be decided again.

    \b
    Example:
      mimecurate classes split drinking --into "drinking water" --into "drinking tea"
    """
    from mimecurate.curation.class_changes import read_assignment, split
    from mimecurate.curation.class_list import normal_class_name

    assigned = read_assignment(assign) if assign else {}
    into = [normal_class_name(part) for part in parts]
    _change(workspace, lambda db: split(db, normal_class_name(name), into, assigned), **more)


@click.command("rename")
@click.argument("old", metavar="CLASS")
@click.argument("new", metavar="NAME")
@dry_run_option
@reason_option
@who_option
@workspace_option
@json_option
def rename(old: str, new: str, workspace: Path, **more: Any) -> None:
    """Call a class something else; the old name stays an alias.

    \b
    Example:
      mimecurate classes rename "tying tie" "tying necktie"
    """
    from mimecurate.curation.class_changes import rename
    from mimecurate.curation.class_list import normal_class_name

    names = normal_class_name(old), normal_class_name(new)
    _change(workspace, lambda db: rename(db, *names), **more)


@click.command("drop")
@click.argument("name", metavar="CLASS")
@click.option("--reason", required=True, metavar="WORDS", help="Why; kept with the list.")
@dry_run_option
@who_option
@workspace_option
@json_option
def drop(name: str, workspace: Path, **more: Any) -> None:
    """Collect a class no more; its clips that no release lists are decided "no".

    \b
    Example:
      mimecurate classes drop hurdling --reason "4 clips after 60 queries"
    """
    from mimecurate.curation.class_changes import drop
    from mimecurate.curation.class_list import normal_class_name

    _change(workspace, lambda db: drop(db, normal_class_name(name)), **more)


def _change(
    workspace: Path,
    plan: Callable[[Any], Change],
    *,
    dry_run: bool,
    reason: str,
    who: str | None,
    as_json: bool,
) -> None:
    from mimecurate.curation.class_changes import apply_change
    from mimecurate.curation.workspace import open_workspace

    with open_workspace(workspace) as space, space.lock("classes", "classes"):
        done = apply_change(
            space.db, plan(space.db), who=who_name(who), reason=reason, dry_run=dry_run
        )
    if as_json:
        from dataclasses import asdict

        print_json(
            {
                "change": done.change.what,
                "version": done.version,
                "diff": diff_json(done.diff),
                "effects": asdict(done.effects),
            }
        )
    else:
        _show(done)


def _show(done: Applied) -> None:
    show_diff(done.diff)
    e = done.effects
    say(
        f"{done.change.what}: decisions that take another class: {e.decided:,}, that are to be "
        f"made again: {e.undecided_again:,}, that become no: {e.rejected:,}; "
        f"{counted(e.listed, 'clip')} and {counted(e.queries, 'query')} go along"
    )
    if e.by_hand:
        each = "; they count for each part" if done.change.splits else ""
        say(f"finds and rejections by hand that go along: {e.by_hand:,}{each}")
    if e.released:
        say(f"released clips that keep their class, for a release is frozen: {e.released:,}")
    if done.version is None:
        say("nothing was changed")
    else:
        say(f"the list is now version {done.version}")
