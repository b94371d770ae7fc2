"""`mimecurate release`: make, compare and publish releases."""

from __future__ import annotations

from mimecurate.commands.lazy_group import LazyGroup

command = LazyGroup(
    "release",
    package="mimecurate.commands",
    prefix="release_",
    commands={
        "import": "Import a release that others published.",
        "create": "Freeze what was decided.",
        "list": "List the releases of the workspace.",
        "show": "Show what is in a release.",
        "diff": "Say what differs between two releases.",
        "export": "Write a release for others.",
        "check": "Verify an exported release; look for it in training lists.",
        "rehydrate": "Fetch what a release lists, and report what is left of it.",
        "withdraw": "Take clips down.",
    },
    short_help="Freeze, compare, export and re-hydrate releases.",
    help="""Freeze, compare, export and re-hydrate releases.

    \b
    Example:
      mimecurate release create --name mimes                what would be frozen
      mimecurate release create --name mimes --version 1.0.0
      mimecurate release export mimes@1.0.0 --format bundle --out mimes-1.0.0.zip
    """,
)
