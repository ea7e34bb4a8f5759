"""Defines the command `export`, a part of `app.py`: its arguments and its help."""

from pathlib import Path
from typing import Annotated

import typer

from selfplay.cli.arguments import Debug, Run

commands = typer.Typer()


@commands.command()
def export(
    run: Run,
    out: Annotated[
        Path, typer.Option(help="Folder to write; must be new or empty, or that of an earlier --push.")
    ] = Path("exported"),
    round: Annotated[str, typer.Option(help="best, last, or a round number.")] = "best",
    push: Annotated[
        str | None, typer.Option(help="Name on the Hugging Face hub: NAMESPACE/NAME.", show_default=False)
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="With --push: write and list, upload nothing.")] = False,
    public: Annotated[bool, typer.Option("--public", help="New repositories are public; without it private.")] = False,
    data: Annotated[bool, typer.Option("--data/--no-data", help="Whether --push publishes the data set.")] = True,
    dtype: Annotated[
        str | None,
        typer.Option(help="float32, bfloat16 or float16; by default that of the base model.", show_default=False),
    ] = None,
    base_model: Annotated[
        str | None,
        typer.Option(help="Name of the base model on the hub, if the run read it from a folder.", show_default=False),
    ] = None,
    license: Annotated[
        str | None, typer.Option(help="Licence of the model, such as apache-2.0.", show_default=False)
    ] = None,
    data_license: Annotated[
        str | None, typer.Option(help="Licence of the data set; by default tasks.license.", show_default=False)
    ] = None,
    debug: Debug = False,
) -> None:
    """Write the model of a round, or publish it.

    It is a folder with a card. from_pretrained loads it with nothing else; an adapter is merged into its base. The card says what the run
    knows: base and licence, the rounds and what the gate said of each, error rates of the verifiers, decontamination,
    test accuracy with its interval, how to reproduce it. What the run does not know, the card says is unknown.

    With --push the folder has model/, and dataset/ with the accepted attempts that the model comes from, as parquet.
    They are uploaded as NAMESPACE/NAME and NAMESPACE/NAME-data. That takes a token with write access (hf auth login, or
    HF_TOKEN). A round that the gate refused is not pushed.

    Try: selfplay export runs/quickstart --push your-account/my-model --dry-run
    """
    from selfplay.cli.export import Wanted, export_command
    from selfplay.publish import Names

    if push is None and (dry_run or public):
        raise typer.BadParameter("--dry-run and --public go with --push NAMESPACE/NAME, whose names stand in the cards")
    wanted = Wanted(out, dtype, push, dry_run, public)
    names = Names(
        push or "", f"{push}-data" if push and data else None, base_model, license=license, data_license=data_license
    )
    export_command(run, round, wanted, names)
