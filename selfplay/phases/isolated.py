"""Floor 4: one phase in a process of its own (`isolate: true`): started by the driver, which holds the lease."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from selfplay import errors
from selfplay.phases.watch import Watch

VARIABLE = "SELFPLAY_PHASE"
"""Set in the child: round number and phase, such as `3/train`."""


def play_apart(config: Path, overrides: Sequence[str], number: int, phase: str, watch: Watch) -> None:
    """Runs one phase through `python -m selfplay.loop.apart CONFIG [key=value ...]`, and raises what it failed with."""
    watch.phase(phase, 1)
    command = [sys.executable, "-m", "selfplay.loop.apart", str(config), *overrides]
    done = subprocess.run(
        command, env={**os.environ, VARIABLE: f"{number}/{phase}"}, stderr=subprocess.PIPE, text=True, check=False
    )
    watch.end(phase)
    if done.returncode:
        text = done.stderr.strip().splitlines()
        kinds = [errors.ConfigError, errors.OutageError, errors.Interrupted]
        kind = next((k for k in kinds if k.exit_code == done.returncode), errors.SelfplayError)
        raise kind(
            f"round {number}, phase {phase}, in its own process: {text[-1] if text else f'ended with {done.returncode}'}"
        )
