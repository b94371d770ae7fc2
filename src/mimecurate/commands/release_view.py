"""What the commands of `mimecurate release` share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mimecurate.console import print_table, say

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from mimecurate.schemas.versions import Version

MOST_SHOWN = 20
IN_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)

card_option = click.option(
    "--card", type=IN_FILE, help="TOML with title, authors, licence and the like."
)


def working(what: str) -> AbstractContextManager[object]:
    """Show on a terminal that something is going on."""
    from rich.console import Console

    return Console(stderr=True).status(what)


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
