"""Arguments and options that several commands share, and the list of commands."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

Config = Annotated[str, typer.Argument(help="A YAML file; without it config.yaml of this folder.", show_default=False)]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(help="key=value pairs that override it, such as rounds=6 gate.action=observe.", show_default=False),
]
Run = Annotated[Path, typer.Argument(help="A run folder, such as runs/quickstart.", show_default=False)]
CONFIG = "config.yaml"
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


class Commands(TyperGroup):
    """The list of commands, each with its first sentence whole: it is wrapped where it is long, and never cut."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """See `TyperGroup`."""
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, command.get_short_help_str(10_000)) for name, command in found if command and not command.hidden]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
