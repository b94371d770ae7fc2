"""`mimecurate classes`: shape the list of classes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mimecurate.commands.discover_candidates import who_name, who_option
from mimecurate.commands.options import json_option, workspace_option
from mimecurate.console import print_csv, print_json, print_table, say

if TYPE_CHECKING:
    from collections.abc import Callable

    from mimecurate.curation.class_changes import Applied, Change
    from mimecurate.curation.class_maps import MapDiff

_IN_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_VERSION = click.IntRange(1, 1_000_000_000)

dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Show what would change; change nothing."
)
reason_option = click.option(
    "--reason", default="", metavar="WORDS", help="Why; kept with the list."
)


@click.group("classes")
def command() -> None:
    """Shape the list of classes.

    Changes reach decisions on clips that no release lists yet; a release keeps the list it was made
    with. Every list there ever was is kept.
    """


@command.command("list")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV that `classes load` reads.")
@click.option("--version", type=_VERSION, metavar="N", help="As it was after change N.")
@click.option("--release", "reference", metavar="NAME@VERSION", help="As a release was made with.")
@workspace_option
@json_option
def list_(
    as_csv: bool, version: int | None, reference: str | None, workspace: Path, as_json: bool
) -> None:
    """List the classes, with their properties and other names.

    \b
    Example:
      mimecurate classes list
      mimecurate classes list --csv > classes.csv
    """
    from mimecurate.curation.class_maps import as_document, map_version, version_of_release
    from mimecurate.curation.classes import COLUMNS, class_rows
    from mimecurate.curation.workspace import open_workspace

    with open_workspace(workspace, read_only=True) as space:
        if reference is not None:
            version = version_of_release(space.db, reference)
        entries = map_version(space.db, version)
    if as_json:
        print_json(as_document(entries))
    elif as_csv:
        print_csv(COLUMNS, class_rows(entries))
    else:
        rows = [(*row[:1], *row[2:6], row[1]) for row in class_rows(entries)]
        print_table(("class", "object", "scene", "superclass", "aliases", "definition"), rows)


@command.command("load")
@click.argument("file", type=_IN_FILE)
@dry_run_option
@reason_option
@who_option
@workspace_option
@json_option
def load(file: Path, workspace: Path, **more: Any) -> None:
    """Add the classes of a CSV file, or replace what is known of them; none is removed.

    Columns: name, and optionally definition, object_size, scene, superclass, aliases, kinetics400,
    kinetics600, kinetics700; `|` stands between several names.

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


@command.command("combine")
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


@command.command("split")
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


@command.command("rename")
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


@command.command("drop")
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


@command.command("history")
@workspace_option
@json_option
def history(workspace: Path, as_json: bool) -> None:
    """List every change of the classes, and the releases made with each list.

    \b
    Example:
      mimecurate classes history
    """
    from mimecurate.curation.class_maps import HISTORY_COLUMNS, list_changes
    from mimecurate.curation.workspace import open_workspace

    with open_workspace(workspace, read_only=True) as space:
        rows = list_changes(space.db)
    if as_json:
        print_json([dict(zip(HISTORY_COLUMNS, row, strict=True)) for row in rows])
    else:
        print_table(HISTORY_COLUMNS, rows)


@command.command("diff")
@click.argument("before", type=_VERSION, metavar="N")
@click.argument("after", type=_VERSION, required=False, metavar="[M]")
@workspace_option
@json_option
def diff(before: int, after: int | None, workspace: Path, as_json: bool) -> None:
    """Say what differs between the list after change N and after change M, or now.

    \b
    Example:
      mimecurate classes diff 1 3
    """
    from mimecurate.curation.class_maps import diff_classes, map_version
    from mimecurate.curation.workspace import open_workspace

    with open_workspace(workspace, read_only=True) as space:
        found = diff_classes(map_version(space.db, before), map_version(space.db, after))
    if as_json:
        print_json(_diff_json(found))
    else:
        _show_diff(found)


@command.command("kinetics")
@click.option("--missing", is_flag=True, help="Only classes that one of them lacks.")
@workspace_option
@json_option
def kinetics(missing: bool, workspace: Path, as_json: bool) -> None:
    """Show what each class is called in Kinetics-400, 600 and 700.

    A class without a name there can't be scored by a model that was trained on it; "≈" stands
    before a name that means nearly the same.

    \b
    Example:
      mimecurate classes kinetics --missing
    """
    from mimecurate.curation.classes import VOCABULARIES, kinetics_names, load_classes
    from mimecurate.curation.workspace import open_workspace

    with open_workspace(workspace, read_only=True) as space:
        names = {entry.name: kinetics_names(entry) for entry in load_classes(space.db)}
    if missing:
        names = {k: v for k, v in names.items() if not all(v[x].names for x in VOCABULARIES)}
    if as_json:
        print_json(
            {
                name: {v: {"names": k.names, "close": k.close} for v, k in known.items()}
                for name, known in names.items()
            }
        )
        return
    cells = [
        (name, *(" | ".join([*k.names, *(f"≈ {c}" for c in k.close)]) for k in known.values()))
        for name, known in names.items()
    ]
    print_table(("class", *VOCABULARIES), cells)


@command.command("superclasses")
@click.option("--kinetics400", is_flag=True, help="The shipped default for Kinetics-400 instead.")
@workspace_option
def superclasses(kinetics400: bool, workspace: Path) -> None:
    """Print the superclasses as JSON for `evaluate --superclasses`.

    The shipped default is the project's own: the paper's Figure 10 is a picture, and its groups are
    not public as text.

    \b
    Example:
      mimecurate classes superclasses --kinetics400 > superclasses.json
    """
    from mimecurate.curation.classes import default_superclasses, load_classes, superclasses
    from mimecurate.curation.workspace import open_workspace

    if kinetics400:
        groups = default_superclasses()
        say("the project's own superclasses, not those of the paper's Figure 10")
    else:
        with open_workspace(workspace, read_only=True) as space:
            groups = superclasses(load_classes(space.db))
    click.echo(json.dumps(groups, indent=2, ensure_ascii=False))


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
                "diff": _diff_json(done.diff),
                "effects": asdict(done.effects),
            }
        )
    else:
        _show(done)


def _show(done: Applied) -> None:
    _show_diff(done.diff)
    e = done.effects
    say(
        f"{done.change.what}: {e.decided:,} decisions take another class, "
        f"{e.undecided_again:,} are to be made again, {e.rejected:,} become no; "
        f"{e.listed:,} clips and {e.queries:,} queries go along"
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


def _show_diff(found: MapDiff) -> None:
    rows: list[tuple[object, ...]] = [("added", name, "", "", "") for name in found.added]
    rows += [("removed", name, "", "", "") for name in found.removed]
    rows += [("changed", name, key, _cell(a), _cell(b)) for name, key, a, b in found.changed]
    print_table(("change", "class", "what", "from", "to"), rows)


def _cell(value: object) -> object:
    return " | ".join(map(str, value)) if isinstance(value, tuple | list) else value


def _diff_json(found: MapDiff) -> dict[str, object]:
    return {
        "added": found.added,
        "removed": found.removed,
        "changed": [
            {"class": name, "property": key, "from": a, "to": b}
            for name, key, a, b in found.changed
        ],
    }
