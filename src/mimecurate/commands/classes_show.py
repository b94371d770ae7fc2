"""`mimecurate classes list|history|diff|kinetics|superclasses`: the list, as it is and was."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from mimecurate.commands.options import json_option, workspace_option
from mimecurate.console import print_csv, print_json, print_table, say

if TYPE_CHECKING:
    from pathlib import Path

    from mimecurate.curation.class_maps import MapDiff

_VERSION = click.IntRange(1, 1_000_000_000)


@click.command("list")
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


@click.command("history")
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


@click.command("diff")
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
        print_json(diff_json(found))
    else:
        show_diff(found)


@click.command("kinetics")
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


@click.command("superclasses")
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


def show_diff(found: MapDiff) -> None:
    """Print what differs between two lists."""
    rows: list[tuple[object, ...]] = [("added", name, "", "", "") for name in found.added]
    rows += [("removed", name, "", "", "") for name in found.removed]
    rows += [("changed", name, key, _cell(a), _cell(b)) for name, key, a, b in found.changed]
    print_table(("change", "class", "what", "from", "to"), rows)


def _cell(value: object) -> object:
    return " | ".join(map(str, value)) if isinstance(value, tuple | list) else value


def diff_json(found: MapDiff) -> dict[str, object]:
    """Write what differs between two lists as JSON."""
    return {
        "added": found.added,
        "removed": found.removed,
        "changed": [
            {"class": name, "property": key, "from": a, "to": b}
            for name, key, a, b in found.changed
        ],
    }
