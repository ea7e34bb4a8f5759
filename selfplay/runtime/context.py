"""The context of a round: the one argument of every phase, `phase(ctx: RoundContext) -> None`.

It gives a phase the configuration, the parent round and its weights, the round's tasks and seeds, the ranks, and the resources
(models, verifiers) that it may open. A phase reads the files of earlier phases through `finished` and `at`, and writes its own
result into the folder `at(PHASE)`; phases pass nothing to each other in memory.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from selfplay.config import Config
from selfplay.records import Sampling, Task
from selfplay.runtime.distributed import Ranks
from selfplay.runtime.progress import Progress
from selfplay.runtime.resources import RunResources
from selfplay.seeds import seed_of
from selfplay.store import Commit, FinishedChunks, RoundState, RunFolder, read_json, read_lines, write_lines
from selfplay.store.run import chain


@dataclass
class RoundContext:
    """The round that is being run, on one rank."""

    number: int
    """Number of the round. Round 0 trains on the anchor, later ones on the student's own attempts."""
    parent: int | None
    """Number of the round whose weights this one starts from; None in round 0."""
    config: Config
    run: RunFolder
    resources: RunResources
    ranks: Ranks
    progress: Progress
    commits: list[Commit]
    """All rounds committed before this one, abandoned ones included."""

    def at(self, phase: str) -> Path:
        """The working folder of a phase."""
        return self.run.phase(self.number, phase)

    def finished(self, phase: str) -> FinishedChunks:
        """The rows that a chunked phase of this round wrote. Raises StoreError if the phase is not done."""
        return FinishedChunks(self.at(phase))

    @cached_property
    def chain(self) -> list[Commit]:
        """The ancestors of this round, oldest first, its parent last. Rolled-back rounds are not among them."""
        return chain(self.commits, self.parent)

    @cached_property
    def state(self) -> RoundState:
        """The state that the gate of the previous round set for this one."""
        return self.commits[-1].state if self.commits else RoundState()

    @property
    def level(self) -> int | None:
        """The curriculum's level in this round; None without a curriculum."""
        curriculum = self.config.propose.curriculum
        return None if curriculum is None else curriculum.level_in(self.number, self.state.level)

    @cached_property
    def proposed(self) -> dict[str, Task]:
        """The round's tasks by id, sorted by id, with their own checks: those that were drawn and those that were synthesized."""
        tasks = [*read_tasks(self.at("propose")), *read_tasks(self.at("synthesize"))]
        return {task.id: task for task in sorted(tasks, key=lambda task: task.id)}

    @cached_property
    def tasks(self) -> dict[str, Task]:
        """The same tasks with the checks that judge them: their own, or `verify.check` if it is set."""
        return {name: self.resources.routed(task) for name, task in self.proposed.items()}

    @property
    def student(self) -> Path:
        """The model folder that samples this round's attempts: that of the parent."""
        return self.run.model(self.parent or 0)

    def identity(self, phase: str) -> str:
        """The hash of the weights that a phase uses: the round's own in `evaluate`, the parent's in all phases before."""
        if phase == "evaluate":
            return str(read_json(self.at("train") / "DONE")["weights"])
        return self.commits[self.parent or 0].outputs["model"]

    def seed(self, phase: str) -> int:
        """The phase's seed in this round."""
        return seed_of(self.config.seed, self.number, phase)

    @property
    def sampling(self) -> Sampling:
        """How attempts are sampled: as configured, at a higher temperature after a roll-back."""
        section = self.config.generate
        return Sampling(
            temperature=section.temperature + self.state.temperature_add,
            top_p=section.top_p,
            top_k=section.top_k,
            max_new_tokens=section.max_new_tokens,
            stop=section.stop,
        )

    def on_main_rank(self, phase: str, action: Callable[[], None]) -> None:
        """Runs `action` on rank 0, unless the phase has its DONE already. All ranks call this and wait for the end."""
        if self.ranks.is_main and not (self.at(phase) / "DONE").is_file():
            self.progress.phase(phase, 1)
            action()
            self.progress.end(phase)
        self.ranks.barrier(phase)

    def note(self, text: str) -> None:
        """Shows the user a note about this round."""
        self.progress.note(f"round {self.number}: {text}")


FILE = "tasks.jsonl"


def write_tasks(folder: Path, tasks: Sequence[Task]) -> None:
    """Writes the tasks of a phase, sorted by id; the write is atomic."""
    write_lines(folder / FILE, [task.to_line().encode() for task in sorted(tasks, key=lambda task: task.id)])


def read_tasks(folder: Path) -> list[Task]:
    """The tasks that a phase wrote; empty if it wrote no file. Raises StoreError if the file is broken."""
    return read_lines(folder / FILE, _parsed) if (folder / FILE).is_file() else []


def _parsed(lines: Sequence[bytes]) -> list[Task]:
    tasks = [Task.from_line(line) for line in lines]
    names = [task.id for task in tasks]
    if names != sorted(set(names)):
        raise ValueError("its tasks are not sorted by id, or an id occurs twice")
    return tasks
