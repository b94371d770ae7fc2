"""`mimecurate config`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from mimecurate.commands.options import json_option, workspace_option
from mimecurate.console import print_json, print_table

if TYPE_CHECKING:
    from pathlib import Path

    from mimecurate.schemas.setting_values import Value
    from mimecurate.schemas.settings import Chosen


@click.command("config")
@workspace_option
@json_option
def command(workspace: Path, as_json: bool) -> None:
    """Show every setting, its value and where it comes from.

    A setting is taken from the command's option, else from the environment, else from
    mimecurate.toml in the workspace, else it has its default.

    \b
    Example:
      MIMECURATE_FETCH_WORKERS=8 mimecurate config
    """
    from mimecurate.schemas.settings import choose

    chosen = choose(workspace)
    if as_json:
        print_json(
            {name: {"value": _shown(c), "origin": c.origin} for name, c in sorted(chosen.items())}
        )
        return
    print_table(
        ["setting", "value", "origin", "variable", "meaning"],
        [
            [
                name,
                _shown_text(c),
                c.origin,
                c.setting.variable,
                c.setting.help,
            ]
            for name, c in chosen.items()
        ],
    )


def _shown_text(chosen: Chosen) -> str:
    from mimecurate.schemas.setting_values import size_text

    value = _shown(chosen)
    if chosen.setting.kind == "size" and isinstance(value, int):
        return size_text(value)
    return "" if value is None else str(value)


def _shown(chosen: Chosen) -> Value:
    """Return a setting's value without the password that a proxy's address may hold."""
    if isinstance(chosen.value, str):
        return re.sub(r"//[^/@]*@", "//***@", chosen.value)
    return chosen.value
