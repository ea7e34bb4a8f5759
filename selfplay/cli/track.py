"""`selfplay track` sends a run to W&B after the fact."""

from pathlib import Path

from selfplay.cli.run import tracked
from selfplay.config import load_config
from selfplay.errors import ConfigError, SelfplayError
from selfplay.loop.run_view import open_run
from selfplay.loop.tracked import send


def track_command(run: Path) -> None:
    """Sends what W&B lacks of a run's committed rounds, and prints where they are.

    The configuration is the run's own copy, so that it works on another machine. Raises ConfigError while the run is going on or without
    a committed round, and SelfplayError if no session could be opened (the reason is in the warnings).
    """
    opened = open_run(run)
    if opened.state() == "running":
        raise ConfigError(f"{run}: the run is going on and sends its rounds itself; wait until it ends")
    if not opened.rounds:
        raise ConfigError(f"{run}: has no finished round yet, so there is nothing to send; continue the run first")
    mode, why, new = send(load_config(opened.path / "config.yaml"), opened.path)
    if mode == "disabled":
        raise SelfplayError(f"{run}: W&B is disabled ({why}); set WANDB_MODE=online or offline, and run it again")
    rounds = f"{len(opened.rounds)} round{'s' * (len(opened.rounds) != 1)}"
    print(f"{run}: {rounds}, {mode} ({why})" + ("" if new else "; W&B's files have all of them, nothing was sent"))
    for line in tracked(opened.path):
        print(line)
