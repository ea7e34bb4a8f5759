"""Floor 6: one phase in a process of its own (`isolate: true`): started by the driver, which holds the lease."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from selfplay import errors
from selfplay.runtime.progress import Progress

VARIABLE = "SELFPLAY_PHASE"
"""Set in the child: round number and phase, such as `3/train`."""
NOTE = "note: "
"""What a line of the child's standard error begins with that is worth a person's reading."""
_ROOT = str(Path(__file__).resolve().parents[2])
_BEGIN = (
    f"import json, sys; path = [*json.loads(sys.argv.pop(1)), {_ROOT!r}]; sys.path += [p for p in path if p not in sys.path]; "
    "from selfplay.loop.apart import main; sys.exit(main())"
)


def play_apart(config: Path, overrides: Sequence[str], number: int, phase: str, progress: Progress) -> None:
    """Runs one phase in `selfplay.loop.apart` with CONFIG [key=value ...], and raises what it failed with.

    -P, and our own path behind the libraries': what lies in the working folder takes no library's place.
    """
    progress.phase(phase, 1)
    command = [sys.executable, "-P", "-c", _BEGIN, json.dumps(sys.path), str(config), *overrides]
    done = subprocess.run(
        command, env={**os.environ, VARIABLE: f"{number}/{phase}"}, stderr=subprocess.PIPE, text=True, check=False
    )
    progress.end(phase)
    lines = done.stderr.strip().splitlines()
    for line in lines:
        if line.startswith(NOTE):
            progress.note(line.removeprefix(NOTE))
    if done.returncode:
        text = [line for line in lines if not line.startswith(NOTE)]
        kinds = [errors.ConfigError, errors.OutageError, errors.Interrupted]
        kind = next((k for k in kinds if k.exit_code == done.returncode), errors.SelfplayError)
        raise kind(
            f"round {number}, phase {phase}, in its own process: {text[-1] if text else f'ended with {done.returncode}'}"
        )
