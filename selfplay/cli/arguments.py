"""Arguments and options that several commands share. With `app` and `wandb_commands` the only files that import typer."""

from pathlib import Path
from typing import Annotated

import typer

Config = Annotated[str, typer.Argument(help="A YAML file; without it config.yaml of this folder.", show_default=False)]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(help="key=value pairs that override it, such as rounds=6 gate.action=observe.", show_default=False),
]
Run = Annotated[Path, typer.Argument(help="A run folder, such as runs/quickstart.", show_default=False)]
CONFIG = "config.yaml"
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
