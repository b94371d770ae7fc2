"""`mimecurate release`: make, list and compare releases."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mimecurate.commands.options import json_option, trim_iou_option, workspace_option
from mimecurate.commands.release_contamination import contamination
from mimecurate.commands.release_publish import check, export, rehydrate, withdraw, working
from mimecurate.console import counted, print_json, print_table, progress, say

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mimecurate.console import Progress
    from mimecurate.curation.release_create import CreatedRelease
    from mimecurate.curation.release_diff import ReleaseDiff
    from mimecurate.schemas.versions import Version

_IN_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_MOST_SHOWN = 20

card_option = click.option(
    "--card", type=_IN_FILE, help="TOML with title, authors, licence and the like."
)


@click.group("release")
def command() -> None:
    """Freeze, compare, export and re-hydrate releases."""


for _other in (withdraw, export, check, rehydrate, contamination):
    command.add_command(_other)


@command.command("import")
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
def import_(
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
    for clip_id, reason in list(clips.items())[:_MOST_SHOWN]:
        say(f"  {clip_id}: {reason}")
    if len(clips) > _MOST_SHOWN:
        say(f"  and {len(clips) - _MOST_SHOWN:,} more; --json lists all")


@command.command("create")
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
def create(
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


@command.command("list")
@click.argument("name", required=False)
@workspace_option
@json_option
def list_(name: str | None, workspace: Path, as_json: bool) -> None:
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


@command.command("show")
@click.argument("release", metavar="[R]", required=False)
@workspace_option
@json_option
@click.pass_context
def show(ctx: click.Context, release: str | None, workspace: Path, as_json: bool) -> None:
    """Show what is in a release: NAME@VERSION, or the path of an exported one.

    Without R, list the releases of the workspace.

    \b
    Example:
      mimecurate release show mimetics@1.0.0 --json
    """
    from mimecurate.curation.release_edition import show_any

    if release is None:
        ctx.invoke(list_, name=None, workspace=workspace, as_json=as_json)
        return
    shown = show_any(release, workspace)
    if as_json:
        print_json(shown)
        return
    said = ("name", "version", "status", "digest", "parent", "created", "origin", "withheld")
    print_table(["release", ""], [(key, shown[key]) for key in said if shown[key]])
    print_counts(shown)
    print_table(["class", "clips"], sorted(shown["per_class"].items()))


@command.command("diff")
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@workspace_option
@json_option
def diff(a: str, b: str, workspace: Path, as_json: bool) -> None:
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


def checked_name(name: str) -> str:
    """Return a release's name, or say that it can't be one."""
    from mimecurate.schemas.versions import check_name

    try:
        return check_name(name)
    except ValueError as error:
        raise click.UsageError(f"--name: {error}") from error


def checked_version(text: str) -> Version:
    """Return a version, or say that it is none."""
    from mimecurate.schemas.versions import parse_version

    try:
        return parse_version(text)
    except ValueError as error:
        raise click.UsageError(f"--version: {error}") from error


def print_counts(counts: Any, digest: str | None = None) -> None:
    """Print clips, videos, classes, splits and subsets."""
    if digest:
        say(f"digest {digest}")
    rows = [
        ("clips", counts["clips"]),
        ("videos", counts["videos"]),
        ("classes", counts["classes"]),
    ]
    rows += [(f"split {name}", number) for name, number in counts["splits"].items()]
    rows += [(name, number) for name, number in counts["subsets"].items() if name != "all"]
    print_table(["", "count"], rows)


def _advance(bar: Progress) -> Any:
    last = 0

    def advance(done: int, total: int | None) -> None:
        nonlocal last
        bar.advance(done - last)
        last = done

    return advance
