"""A group of commands that imports each one when it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Mapping


class LazyGroup(click.Group):
    """A group whose command ``name`` is ``command`` in the module ``<package>.<prefix><name>``.

    Its ``--help`` imports none of them, and shows their lines whole.
    """

    def __init__(
        self,
        *args: Any,
        package: str,
        commands: Mapping[str, str],
        prefix: str = "",
        where: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        """Make a group.

        Args:
            args: for click.
            package: that the modules are in.
            commands: the name of each command, in order, with its line of help.
            prefix: what modules' names begin with.
            where: ``module:name`` after the prefix, of commands that share a module.
            more: for click.
        """
        super().__init__(*args, **more)
        self._lines = dict(commands)
        self._module = f"{package}.{prefix}"
        self._where = dict(where or {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands in the order of the work."""
        return list(self._lines)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in self._lines:
            return None
        module, _, name = self._where.get(cmd_name, cmd_name).partition(":")
        command = getattr(import_module(self._module + module), name or "command")
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self._lines.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command; a name that is nearly one is said."""
        name = args[0]
        if not ctx.resilient_parsing and name not in self._lines and not name.startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(name, self._lines, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            ctx.fail(f"no such command: {name!r}{hint}")
        return super().resolve_command(ctx, args)
