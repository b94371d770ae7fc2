"""`mimecurate release create`: freeze what was decided."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mimecurate.commands.options import json_option, trim_iou_option, workspace_option
from mimecurate.commands.release_view import (
    card_option,
    checked_name,
    checked_version,
    print_counts,
    working,
)
from mimecurate.console import print_json, say

if TYPE_CHECKING:
    from pathlib import Path

    from mimecurate.curation.release_create import CreatedRelease


@click.command("create")
@click.option("--name", required=True, help="Name of the release.")
@click.option("--version", metavar="V", help="Its version; without, nothing is frozen.")
@click.option(
    "--from",
    "source",
    type=click.Choice(["decisions", "annotations"]),
    default="decisions",
    show_default=True,
    help="What was decided; or a majority of annotations, with decisions before it.",
)
@click.option(
    "--min-annotators",
    type=click.IntRange(min=1),
    default=2,
    show_default=True,
    help="Annotators that a majority needs.",
)
@trim_iou_option
@click.option("--where", metavar="SQL", help="Only clips for which this holds.")
@click.option(
    "--split",
    "splits",
    multiple=True,
    metavar="NAME[=SQL]",
    help="The split of all clips, or of those for which this holds; may be repeated.",
)
@click.option("--fresh", is_flag=True, help="Leave out what the release before lists.")
@click.option(
    "--allow", multiple=True, metavar="CHECK", help="Accept what a check finds; may be repeated."
)
@card_option
@workspace_option
@json_option
def command(
    name: str,
    version: str | None,
    source: Any,
    min_annotators: int,
    trim_iou: float,
    where: str | None,
    splits: tuple[str, ...],
    fresh: bool,
    allow: tuple[str, ...],
    card: Path | None,
    workspace: Path,
    as_json: bool,
) -> None:
    """Freeze what was decided.

    The release starts from the one before it of the same name: clips that were decided on take what
    was decided, the others stay. Without --version nothing is frozen; you see what would be, what
    the checks find, and the version that the changes ask for.

    \b
    Example:
      mimecurate release create --name mimetics
      mimecurate release create --name mimetics --version 1.1.0
      mimecurate release create --name mimes --split "val=label LIKE 'p%'" --split test
    """
    from mimecurate.curation.release_cards import read_card
    from mimecurate.curation.release_create import Recipe, create_release
    from mimecurate.curation.workspace import open_workspace

    parts = [_split(text) for text in splits]
    recipe = Recipe(source, min_annotators, where, parts, fresh, trim_iou)
    with open_workspace(workspace) as space, working("freezing"):
        made = create_release(
            space,
            checked_name(name),
            checked_version(version) if version else None,
            recipe,
            allow=allow,
            card=read_card(card) if card else None,
        )
    if as_json:
        print_json(_created_json(made))
        return
    _show_created(made, allow)


def _split(text: str) -> tuple[str, str | None]:
    name, equals, where = text.partition("=")
    try:
        from mimecurate.schemas.release import check_split

        return check_split(name), where if equals else None
    except ValueError as error:
        raise click.UsageError(f"--split {text!r}: {error}") from error


def _created_json(made: CreatedRelease) -> dict[str, object]:
    from dataclasses import asdict

    return {
        "name": made.name,
        "version": str(made.version),
        "digest": made.digest,
        "parent": made.parent,
        "frozen": made.frozen,
        "change": made.changes.change.name if made.parent else None,
        "changes": asdict(made.changes),
        "findings": [
            {"check": f.name, "help": f.help, "count": f.count, "examples": list(f.examples)}
            for f in made.findings
        ],
        **made.counts,
    }


def _show_created(made: CreatedRelease, allow: tuple[str, ...]) -> None:
    from mimecurate.schemas.versions import Change

    for finding in made.findings:
        accepted = "accepted" if finding.name in allow else "to be accepted with --allow"
        say(f"{finding.name}: {finding.help} ({finding.count:,}; {accepted})")
        if finding.name not in allow:
            for example in finding.examples:
                say(f"  {example}")
    if made.parent:
        say(f"since {made.parent}: {made.changes} ({made.changes.change.name})")
    reference = f"{made.name}@{made.version}"
    if made.frozen:
        say(f"frozen: {reference}")
    elif made.parent and made.changes.change is Change.PATCH:
        say(f"nothing to freeze but another card: with --card it would be {reference}")
    else:
        to_allow = "".join(f" --allow {f.name}" for f in made.findings if f.name not in allow)
        say(f"nothing was frozen; to freeze {reference}, add --version {made.version}{to_allow}")
    print_counts(made.counts, made.digest)
