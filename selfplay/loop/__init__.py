"""Floor 6: the loop. The file to read first: `run` plays rounds, and a round is its phases in order, then its COMMIT.

All state is on disk: a phase that is DONE is not played again, a round is committed whole or not at all, and the same
command resumes. Rank 0 alone decides what comes next and writes what is not a chunk.
"""

import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from selfplay.config import Loaded
from selfplay.config.resolved import resolved_text, science_of
from selfplay.errors import ConfigError, GateStopped
from selfplay.loop import gate
from selfplay.loop.beside import Beside
from selfplay.loop.commit import commit_round
from selfplay.loop.round import Round
from selfplay.loop.steps import PHASES, phases_of, run_phase
from selfplay.runtime.distributed import join
from selfplay.runtime.progress import Progress
from selfplay.runtime.resources import RunResources
from selfplay.store import Commit, Lease, RunFolder

LOG = logging.getLogger("selfplay")
Opened = Callable[[RunFolder], None]
Committed = Callable[[RunFolder, Commit], None]


@dataclass(frozen=True)
class Finished:
    """What a run came to."""

    path: Path
    commits: list[Commit] = field(default_factory=list)

    @property
    def best(self) -> int:
        """The round with the best dev accuracy."""
        return gate.best_round(self.commits)


def run(
    loaded: Loaded,
    *,
    progress: Progress | None = None,
    opened: Opened | None = None,
    on_commit: Committed | None = None,
    beside: Beside | None = None,
) -> Finished:
    """Runs or resumes; returns once all rounds are committed. On every rank of a launch alike.

    `opened` is called once the folder is ours and checked, `on_commit` after each round; both on rank 0 alone. `beside`
    does what no phase waits for; the rounds are the same without it.

    Raises GateStopped (exit 4) where the gate ended the run, OutageError (3) where the same command will go on,
    Interrupted (130), ConfigError (2), StoreError (1).
    """
    config, progress = loaded.config, progress or Progress()
    ranks = join(config.launch.ranks, config.launch.device)
    if config.isolate and ranks.world_size > 1:
        raise ConfigError(
            f"isolate is true under a launcher with {ranks.world_size} ranks; set isolate=false, or use plain selfplay run"
        )
    folder = RunFolder(Path(config.runs_dir) / config.name)
    note = progress.note if ranks.is_main else LOG.warning
    with contextlib.closing(RunResources(config, loaded.path.resolve().parent, ranks, folder.path, note)) as resources:
        if not ranks.is_main:
            return _rounds(loaded, folder, resources, progress, None, None)
        with Lease(folder.path):
            resources.check_set_up()
            folder.open(science_of(config), resources.fingerprint_files(), resolved_text(loaded))
            folder.rebuild_metrics()
            if opened:
                opened(folder)
            return _rounds(loaded, folder, resources, progress, on_commit, beside)


def _rounds(
    loaded: Loaded,
    folder: RunFolder,
    resources: RunResources,
    progress: Progress,
    on_commit: Committed | None,
    beside: Beside | None,
) -> Finished:
    """Plays what is owed, round by round, as rank 0 reads it from the folder."""
    config, ranks = loaded.config, resources.ranks
    while True:
        commits = [
            Commit.model_validate(c)
            for c in ranks.broadcast(
                "commits", [c.model_dump(mode="json") for c in folder.commits()] if ranks.is_main else None
            )
        ]
        if commits and commits[-1].action == "stop":
            raise GateStopped(
                f"{folder.path}: stopped by the gate after round {commits[-1].round}: {commits[-1].reason}"
            )
        if len(commits) > config.rounds:
            return Finished(folder.path, commits)
        parent = commits[-1].next_parent if commits else None
        progress.round(len(commits))
        this = Round(len(commits), parent, config, folder, resources, ranks, progress, commits, beside)
        if ranks.is_main and this.run.round(this.number).exists():
            progress.note(
                f"resuming round {this.number}: {', '.join(p for p in PHASES if (this.at(p) / 'DONE').is_file()) or 'nothing'} done"
            )
        run_round(this, loaded)
        if ranks.is_main:
            commit = commit_round(this)
            if on_commit:
                on_commit(folder, commit)
        ranks.barrier("committed")
        progress.check_stop()


def run_round(this: Round, loaded: Loaded) -> None:
    """The phases of a round, each once: what is DONE is passed over."""
    for name in phases_of(this.config, this.number):
        if this.config.isolate:
            from selfplay.loop.phase_subprocess import play_apart

            play_apart(loaded.path, loaded.overrides, this.number, name, this.progress)
        else:
            run_phase(this, name)
