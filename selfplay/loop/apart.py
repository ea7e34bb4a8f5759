"""Floor 6: the child process of `isolate: true`: plays one phase of one round and ends. Started by the driver alone."""

import os
import sys
from pathlib import Path
from typing import Any

from selfplay.config import load_config
from selfplay.errors import SelfplayError
from selfplay.loop.phase_subprocess import NOTE, VARIABLE
from selfplay.loop.round import Round
from selfplay.loop.steps import run_phase
from selfplay.runtime.distributed import join
from selfplay.runtime.progress import Progress
from selfplay.runtime.resources import RunResources
from selfplay.store import RunFolder


def main() -> int:
    """Exit code of the phase."""
    number, _, phase = os.environ[VARIABLE].partition("/")
    loaded = load_config(sys.argv[1], sys.argv[2:])
    config = loaded.config
    run = RunFolder(Path(config.runs_dir) / config.name)
    ranks, commits = join(None, config.launch.device), run.commits()
    progress = Progress(_tell)
    resources = RunResources(config, loaded.path.resolve().parent, ranks, run.path, progress.note)
    parent = commits[-1].next_parent if commits else None
    try:
        run_phase(Round(int(number), parent, config, run, resources, ranks, progress, commits), phase)
    except SelfplayError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    finally:
        resources.close()
    return 0


def _tell(event: str, figures: dict[str, Any]) -> None:
    """Notes are the driver's to pass on, a line each."""
    if event == "note":
        print(f"{NOTE}{' '.join(figures['text'].split())}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
