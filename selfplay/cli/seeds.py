"""`selfplay run --seeds` runs one configuration once per seed, and compares the runs."""

import os
from pathlib import Path

from selfplay.cli.compare import compare_command
from selfplay.cli.run import RunDisplay
from selfplay.config import Loaded, load_config
from selfplay.errors import ConfigError, GateStopped
from selfplay.loop import run as run_loop


def run_seeds(path: Path, overrides: list[str], seeds: str) -> None:
    """Runs a configuration once per seed as NAME-seed-S, one after the other, then writes the page that compares them.

    `seed` differs, `eval.seed` does not: all runs are measured on the same held-out tasks, so that they can be paired. The same command
    resumes; finished seeds are passed over. A seed that its gate stops counts as done, and GateStopped is raised after the comparison.
    Raises ConfigError on a list that is not one of different non-negative integers, with an override of `seed`, or under a launcher
    of several ranks, which is started once for each run.
    """
    numbers = parse_seeds(seeds)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError(
            "--seeds cannot run under a launcher of several ranks; launch once per seed with seed=S and --name"
        )
    if any(text.partition("=")[0].strip() == "seed" for text in overrides):
        raise ConfigError("seed is set together with --seeds, which sets it; remove one of the two")
    name = load_config(path, overrides).config.name
    family = [load_config(path, [*overrides, f"seed={n}", f'name="{name}-seed-{n}"']) for n in numbers]
    stopped = [error for loaded in family if (error := _run(loaded)) is not None]
    runs_dir = Path(family[0].config.runs_dir)
    compare_command([runs_dir / loaded.config.name for loaded in family], runs_dir / f"{name}-seeds.html")
    if stopped:
        raise stopped[0]


def _run(loaded: Loaded) -> GateStopped | None:
    try:
        with RunDisplay(loaded) as display:
            finished = run_loop(loaded, listener=display.hear, on_commit=display.committed)
    except GateStopped as stopped:
        return stopped
    display.finished(finished)
    return None


def parse_seeds(text: str) -> list[int]:
    """The seeds of a list such as `0,1,2`. Raises ConfigError if it has anything else, or a seed twice."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise ConfigError(f"--seeds is {text!r}; give non-negative integers such as 0,1,2")
    numbers = [int(part) for part in parts]
    if len({*numbers}) < len(numbers):
        raise ConfigError(f"--seeds is {text!r}, which has a seed twice; give each once")
    return numbers
