"""One phase in a process of its own (`phase_subprocess: true`): both ends of the pipe between the driver and it.

The driver holds the lease and waits. The child gets the same configuration, plays the phase, and ends with the exit code of what
went wrong; what a person should read it writes to its standard error, a line each.
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
"""What a line of the child's standard error begins with that is worth a person's reading."""
Play = Callable[[Loaded, int, str, Progress], None]
"""Plays one phase: configuration, round number, the phase's name, progress."""
_ROOT = str(Path(__file__).resolve().parents[2])
_BEGIN = (
    f"import json, sys; path = [*json.loads(sys.argv.pop(1)), {_ROOT!r}]; sys.path += [p for p in path if p not in sys.path]; "
    "from selfplay.loop.phase_subprocess import child; from selfplay.loop.run import play_one_phase; "
    "sys.exit(child(play_one_phase))"
)


def run_in_subprocess(config: Path, overrides: Sequence[str], number: int, phase: str, progress: Progress) -> None:
    """Runs one phase of a round in a child process with CONFIG [key=value ...], and raises what it failed with.

    The child gets -P and our own path behind the libraries', so that no file of the working folder takes a library's place.
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


def child(play: Play) -> int:
    """The child: plays the phase that the environment names; its exit code."""
    number, _, phase = os.environ[VARIABLE].partition("/")
    try:
        play(load_config(sys.argv[1], sys.argv[2:]), int(number), phase, Progress(_pass_on))
    except errors.SelfplayError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def _pass_on(event: str, figures: dict[str, Any]) -> None:
    if event == "note":
        print(f"{NOTE}{' '.join(figures['text'].split())}", file=sys.stderr)
