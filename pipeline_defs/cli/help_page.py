"""Help pages of groups of commands: the commands under the panels they belong to, each with its whole first sentence.

Plain text, made without rich, which takes longer to load than everything else that ``pipeline --help`` needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer
from typer.core import TyperCommand, TyperGroup

from pipeline_defs.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from typer._click.formatting import HelpFormatter

_LONGEST = 200
"""More characters than the first sentence of any command has."""


class PanelGroup(TyperGroup):
    """A group whose help page lists commands panel by panel, and which shows that page when no command is named."""

    def format_commands(self, ctx: typer.Context, formatter: HelpFormatter) -> None:  # type: ignore[override]
        """Write one section for each panel, in the order in which the panels come up."""
        panels: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if not isinstance(command, (TyperCommand, TyperGroup)) or command.hidden:
                continue
            panel = command.rich_help_panel if isinstance(command.rich_help_panel, str) else "Commands"
            panels.setdefault(panel, []).append((name, command.get_short_help_str(_LONGEST)))
        for panel, rows in panels.items():
            with formatter.section(panel):
                formatter.write_dl(rows)

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Show the help page where a command is missing; that is a wrong use all the same."""
        if not args and not ctx.resilient_parsing:
            typer.echo(ctx.get_help(), err=True)
            raise typer.Exit(ExitCode.USAGE)
        return super().parse_args(ctx, args)


def command_group(help_text: str) -> typer.Typer:
    """Make a group of commands, such as ``pipeline db``."""
    return typer.Typer(cls=PanelGroup, help=help_text)
