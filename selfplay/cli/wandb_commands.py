"""The commands that send to W&B. Each parses its arguments and calls one function; they are part of `selfplay.cli.app`."""

from pathlib import Path
from typing import Annotated

import typer

from selfplay.cli.arguments import Debug, Run

commands = typer.Typer()

Entity = Annotated[
    str, typer.Option(help="User or team at W&B; by default that of the runs, or of the key.", show_default=False)
]
DryRun = Annotated[
    Path | None, typer.Option(help="Write it to this JSON file instead of saving it.", show_default=False)
]


@commands.command()
def track(run: Run, debug: Debug = False) -> None:
    """Send to W&B the rounds that it lacks of a run.

    All rounds, if it has none. Run it again at any time.
    """
    from selfplay.cli.track import track_command

    track_command(run)


@commands.command()
def wandb_workspace(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Run folders: their project is taken, and panels of metrics that none of them has are left out.",
            show_default=False,
        ),
    ] = None,
    project: Annotated[
        str, typer.Option(help="Project at W&B; by default that of the runs, or selfplay.", show_default=False)
    ] = "",
    entity: Entity = "",
    name: Annotated[str, typer.Option(help="Name of the workspace.")] = "selfplay",
    dry_run: DryRun = None,
    debug: Debug = False,
) -> None:
    """Make a W&B workspace that shows arms side by side.

    Sections of panels for quality, diversity, tails, gate and cost. The runs are grouped by arm and family, with the
    round as axis. Needs the extra `workspace`; each call saves a new workspace.

    Try: selfplay wandb-workspace runs/quickstart --dry-run workspace.json
    """
    from selfplay.cli.wandb_pages import workspace_command

    workspace_command(runs or [], project, entity, name, dry_run)


@commands.command()
def wandb_report(
    runs: Annotated[list[Path], typer.Argument(help="Run folders, at least two.", show_default=False)],
    entity: Entity = "",
    title: Annotated[str, typer.Option(help="Title; by default the names of the runs.", show_default=False)] = "",
    dry_run: DryRun = None,
    debug: Debug = False,
) -> None:
    """Make a W&B report that compares runs.

    It says what `selfplay compare` says, with panels of these runs alone. Needs the extra `workspace`; each call saves
    a new report.

    Try: selfplay wandb-report runs/quickstart runs/quickstart-unverified --dry-run report.json
    """
    from selfplay.cli.wandb_pages import report_command

    report_command(runs, entity, title, dry_run)
