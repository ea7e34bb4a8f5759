"""Runs one phase in a child process (`phase_subprocess: true`): the parent's side and the child's side.

The parent holds the run's lease and waits. The child reads the same configuration, runs the phase, and exits with the code of the
error that it met. It writes notes for the user to its standard error, one per line, and the parent forwards them.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from selfplay import errors
from selfplay.config import Loaded, load_config
from selfplay.runtime.progress import Progress

VARIABLE = "SELFPLAY_PHASE"
"""Set in the child: round number and phase, such as `3/train`."""
NOTE = "note: "
"""Prefix of those lines of the child's standard error that are notes for the user."""
RunPhase = Callable[[Loaded, int, str, Progress], None]
"""Runs one phase. Arguments: configuration, round number, name of the phase, progress."""
_ROOT = str(Path(__file__).resolve().parents[2])
_BEGIN = (
    f"import json, sys; path = [*json.loads(sys.argv.pop(1)), {_ROOT!r}]; sys.path += [p for p in path if p not in sys.path]; "
    "from selfplay.loop.phase_subprocess import child; from selfplay.loop.run import run_one_phase; "
    "sys.exit(child(run_one_phase))"
)


def run_in_subprocess(config: Path, overrides: Sequence[str], number: int, phase: str, progress: Progress) -> None:
    """Runs one phase of a round in a child process with CONFIG [key=value ...]; raises the error that the child ended with.

    The child is started with -P, and the package's path comes after the libraries' paths, so that no file of the working
    directory shadows a library.
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


def child(run_phase: RunPhase) -> int:
    """The child's main function: runs the phase that the environment names; returns the exit code."""
    number, _, phase = os.environ[VARIABLE].partition("/")
    try:
        run_phase(load_config(sys.argv[1], sys.argv[2:]), int(number), phase, Progress(_print_note))
    except errors.SelfplayError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def _print_note(event: str, figures: dict[str, Any]) -> None:
    if event == "note":
        print(f"{NOTE}{' '.join(figures['text'].split())}", file=sys.stderr)
