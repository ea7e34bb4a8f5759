"""The training loop; read this file first. A run is a sequence of rounds; a round is the phases of PHASES, in order, then a COMMIT.

Round 0 trains the student on the anchor, the fixed training tasks with known solutions. In each later round:

    propose     draws the round's tasks from the task source
    synthesize  adds new tasks, if configured
    generate    samples the student's attempts at the tasks
    verify      judges every attempt
    correct     gives failed attempts a second try, if configured
    audit       measures the error rates of the verifiers
    curate      selects attempts and writes the training rows and preference pairs
    train       trains the student on them
    evaluate    measures the new weights on the dev set and the test set
    gate        decides whether the run continues, warns, rolls back or stops

All state is on disk. A phase works in its own folder `RUN/rounds/NNN/PHASE` and writes a file DONE there when it ends; a phase
with a DONE is not run again, so the same command resumes a run. A round counts once `RUN/rounds/NNN/COMMIT` exists. Under a
launcher the ranks share the chunks of generate, verify, correct, synthesize and evaluate, and train together; all other work
is done by rank 0.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from selfplay.collapse import sight
from selfplay.config import Config, Loaded
from selfplay.config.faults import positioned
from selfplay.config.load import resolved_text, science_of
from selfplay.config.metrics import best_round
from selfplay.errors import ConfigError, GateStopped
from selfplay.loop.commit import commit_round
from selfplay.loop.gate import gate
from selfplay.loop.phase_subprocess import run_in_subprocess
from selfplay.loop.session import LOG, OnCommit, Session, session_of
from selfplay.phases.audit import audit
from selfplay.phases.correct import correct
from selfplay.phases.curate import curate
from selfplay.phases.evaluate import evaluate
from selfplay.phases.generate import generate
from selfplay.phases.propose import propose
from selfplay.phases.synthesize import synthesize
from selfplay.phases.train import train
from selfplay.phases.verify import verify
from selfplay.runtime.context import RoundContext
from selfplay.runtime.distributed import Ranks, join
from selfplay.runtime.progress import Listener, Progress, timed
from selfplay.runtime.resources import RunResources
from selfplay.runtime.set_up import check_servers, check_set_up
from selfplay.store import Commit, Lease, RunFolder

Phase = Callable[[RoundContext], None]

PHASES: tuple[Phase, ...] = (
    propose,
    synthesize,
    generate,
    verify,
    correct,
    audit,
    curate,
    train,
    evaluate,
    gate,
)
"""The phases of a round, in order. The name of a phase, of its folder and of its `time/` key is that of its function."""
OF_ROUND_0 = ("curate", "train", "evaluate", "gate")
KEEP_STUDENT_BEFORE = ("gate", "propose", "generate")
"""Phases before which the student stays in memory: the model that was evaluated samples the next round's attempts."""


@dataclass(frozen=True)
class Finished:
    """The result of a run: its folder and its committed rounds."""

    path: Path
    commits: list[Commit] = field(default_factory=list)

    @property
    def best(self) -> int:
        """The best round by the dev set, as the gate names it."""
        return best_round(self.commits)


def run(loaded: Loaded, *, listener: Listener | None = None, on_commit: OnCommit | None = None) -> Finished:
    """Starts or resumes a run; returns once all rounds are committed. Every rank of a launch calls it.

    `listener` receives progress events (see `selfplay.runtime.progress.Listener`). `on_commit` is called with each new round, on
    rank 0 alone.

    Raises GateStopped (exit 4) if the gate ended the run, OutageError (3) if the same command can resume it later,
    Interrupted (130), ConfigError or DataError (2), StoreError (1).
    """
    config = loaded.config
    with session_of(loaded, listener, on_commit) as session, _opened(loaded, session) as (folder, resources):
        while len(commits := _committed(folder, resources.ranks)) <= config.rounds:
            ctx = context_of(config, folder, resources, session.progress, commits)
            for phase in _phases_in_turn(ctx, loaded):
                phase(ctx)
            if ctx.ranks.is_main:
                session.committed(folder, commit_round(ctx, phases_of(config, ctx.number)))
            ctx.ranks.barrier("committed")
            ctx.progress.check_stop()
        return Finished(folder.path, commits)


def _phases_in_turn(ctx: RoundContext, loaded: Loaded) -> Iterator[Phase]:
    """The phases of a round that the caller has to run, one after another. With `phase_subprocess` they are run here, and it gives none."""
    ctx.progress.round(ctx.number, ctx.config.rounds)
    names = phases_of(ctx.config, ctx.number)
    if ctx.ranks.is_main and ctx.run.round(ctx.number).exists():
        done = ", ".join(name for name in names if (ctx.at(name) / "DONE").is_file())
        ctx.progress.note(f"resuming round {ctx.number}: {done or 'nothing'} done")
    for name in names:
        if ctx.config.phase_subprocess:
            run_in_subprocess(loaded.path, loaded.overrides, ctx.number, name, ctx.progress)
        else:
            with surrounded(ctx, name) as phase:
                yield phase


@contextlib.contextmanager
def _opened(loaded: Loaded, session: Session) -> Iterator[tuple[RunFolder, RunResources]]:
    """The run folder and its resources. Rank 0 locks the folder and checks it and the set-up before any model is loaded."""
    config, progress = loaded.config, session.progress
    ranks = join(config.launch.ranks, config.launch.device)
    if config.phase_subprocess and ranks.world_size > 1:
        raise ConfigError(
            f"phase_subprocess is true under a launcher with {ranks.world_size} ranks; set it to false, or use plain selfplay run"
        )
    folder = RunFolder(Path(config.runs_dir) / config.name)
    note = progress.note if ranks.is_main else LOG.warning
    with contextlib.closing(
        RunResources(config, loaded.path.resolve().parent, ranks, folder.path, note, progress.written)
    ) as resources:
        if not ranks.is_main:
            yield folder, resources
            return
        with Lease(folder.path):
            try:
                check_set_up(resources)
            except ConfigError as error:
                raise ConfigError(positioned(str(error), loaded.origins, str(loaded.path))) from None
            start = {"config": str(loaded.path.resolve()), "overrides": list(loaded.overrides)}
            if anew := folder.open(science_of(config), resources.fingerprint_files(), resolved_text(loaded), start):
                progress.note(anew)
            if not folder.commits():
                check_servers(resources)
            folder.rebuild_metrics()
            session.opened(folder)
            for limit in resources.student_engine.limits():
                progress.note(limit)
            if blind := sight(len(resources.source.fixed.dev)):
                progress.note(blind)
            yield folder, resources


def context_of(
    config: Config, folder: RunFolder, resources: RunResources, progress: Progress, commits: list[Commit]
) -> RoundContext:
    """The context of the round that follows `commits`."""
    parent = commits[-1].next_parent if commits else None
    return RoundContext(len(commits), parent, config, folder, resources, resources.ranks, progress, commits)


def phases_of(config: Config, number: int) -> list[str]:
    """The names of a round's phases. Round 0 samples nothing; synthesize, correct and audit run only if they are configured."""
    configured = {
        "synthesize": config.propose.synthesize is not None,
        "correct": config.correct.attempts > 0,
        "audit": bool(config.audit.canaries or config.audit.share),
    }
    return [name for name in map(name_of, PHASES) if (configured.get(name, True) if number else name in OF_ROUND_0)]


@contextlib.contextmanager
def surrounded(ctx: RoundContext, name: str) -> Iterator[Phase]:
    """Gives a phase by its name, to be run in this process. Frees the student if the phase does not use it, and measures the time."""
    with timed(ctx.at(name), ctx.progress, write=ctx.ranks.is_main):
        if name not in KEEP_STUDENT_BEFORE:
            ctx.resources.release()
        if name == "train":
            ctx.resources.owned.make_room()
        yield next(phase for phase in PHASES if name_of(phase) == name)
    ctx.progress.check_stop()


def run_one_phase(loaded: Loaded, number: int, name: str, progress: Progress) -> None:
    """Runs one phase of a round by its name, in the child process of `phase_subprocess: true`."""
    config = loaded.config
    folder, ranks = RunFolder(Path(config.runs_dir) / config.name), join(None, config.launch.device)
    with contextlib.closing(
        RunResources(config, loaded.path.resolve().parent, ranks, folder.path, progress.note)
    ) as resources:
        ctx = context_of(config, folder, resources, progress, folder.commits()[:number])
        with surrounded(ctx, name) as phase:
            phase(ctx)


def name_of(phase: Any) -> str:
    """The name of a phase: that of its function."""
    return str(phase.__name__)


def _committed(folder: RunFolder, ranks: Ranks) -> list[Commit]:
    """The committed rounds; rank 0 reads them, all ranks get them. Raises GateStopped if the gate stopped the run after the last."""
    rows = [commit.model_dump(mode="json") for commit in folder.commits()] if ranks.is_main else None
    commits = [Commit.model_validate(row) for row in ranks.broadcast("commits", rows)]
    if commits and commits[-1].action == "stop":
        raise GateStopped(f"{folder.path}: stopped by the gate after round {commits[-1].round}: {commits[-1].reason}")
    return commits
