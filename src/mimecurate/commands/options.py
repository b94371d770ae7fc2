"""Options that several commands share, and options made from the table of settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from mimecurate.errors import SettingError
from mimecurate.schemas.setting_values import convert
from mimecurate.schemas.settings import SETTINGS, Chosen, choose

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Command = TypeVar("Command", bound="Callable[..., object]")


def workspace_option(command: Command) -> Command:
    """Add ``-w/--workspace`` and ``-v/--verbose``."""
    command = click.option(
        "-v",
        "--verbose",
        is_flag=True,
        expose_value=False,
        callback=_be_verbose,
        help="Say more, on stderr.",
    )(command)
    return click.option(
        "-w",
        "--workspace",
        type=click.Path(file_okay=False, path_type=Path),
        envvar="MIMECURATE_WORKSPACE",
        default=Path("."),
        show_default="the current folder",
        help="The workspace's folder.",
    )(command)


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
trim_iou_option = click.option(
    "--trim-iou",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    help="Overlap (IoU) from which two trims agree; 1: only equal ones.",
)


def setting_options(section: str) -> Callable[[Command], Command]:
    """Add an option for each setting of ``section``; they arrive as ``fetch_workers=…``."""

    def add(command: Command) -> Command:
        for setting in reversed([s for s in SETTINGS if s.name.startswith(section + ".")]):
            default = f"  [default: {setting.default_text}]" if setting.default_text else ""
            command = click.option(
                setting.option,
                setting.name.replace(".", "_"),
                metavar="|".join(setting.choices) or _METAVARS[setting.kind],
                help=setting.help + default,
            )(command)
        return command

    return add


def chosen_settings(workspace: Path, options: Mapping[str, object]) -> dict[str, Chosen]:
    """Settle the settings from the options of `setting_options`, the environment and the file."""
    given = {s.name: options.get(s.name.replace(".", "_")) for s in SETTINGS}
    for setting in SETTINGS:
        if given[setting.name] is not None:
            try:
                convert(setting, given[setting.name], setting.option)
            except SettingError as error:
                raise click.UsageError(str(error)) from error
    return choose(workspace, given)


_METAVARS = {
    "integer": "N",
    "number": "SECONDS",
    "text": "TEXT",
    "path": "FILE",
    "size": "BYTES",
    "switch": "BOOL",
}


def _be_verbose(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        from mimecurate.console import log_to_stderr

        log_to_stderr()
