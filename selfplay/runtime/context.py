"""One round in hand: where it lies, what it starts from, and what its phases work with.

Every phase is `phase(ctx: RoundContext) -> None`. It opens what it needs, and what it found is in the files that it wrote.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from selfplay.config import Config
from selfplay.records import Sampling, Task
from selfplay.runtime.distributed import Ranks
from selfplay.runtime.progress import Progress
from selfplay.runtime.resources import RunResources
from selfplay.runtime.round_tasks import read_tasks
from selfplay.seeds import seed_of
from selfplay.store import Commit, FinishedChunks, RoundState, RunFolder, read_json
from selfplay.store.run import chain

MAX_ANCHOR_SHARE = 0.95
"""However often the gate rolls back, so much of the training rows is anchor at most."""


@dataclass
class RoundContext:
    """One round in hand, on one rank."""

    number: int
    """The round: 0 trains on the anchor, later ones on the student's own work."""
    parent: int | None
    """The round whose weights it starts from; None in round 0."""
    config: Config
    run: RunFolder
    resources: RunResources
    ranks: Ranks
    progress: Progress
    commits: list[Commit]
    """All rounds committed before it, abandoned ones included."""

    def at(self, phase: str) -> Path:
        """The working folder of a phase."""
        return self.run.phase(self.number, phase)

    def finished(self, phase: str) -> FinishedChunks:
        """What a chunked phase of this round wrote. Raises StoreError where it is not done."""
        return FinishedChunks(self.at(phase))

    @cached_property
    def chain(self) -> list[Commit]:
        """The rounds that this one stands on, oldest first, its parent last."""
        return chain(self.commits, self.parent)

    @cached_property
    def state(self) -> RoundState:
        """What the round before left for this one."""
        return self.commits[-1].state if self.commits else RoundState()

    @property
    def level(self) -> int | None:
        """The curriculum's level in this round; None without a curriculum."""
        curriculum = self.config.propose.curriculum
        return None if curriculum is None else curriculum.level_in(self.number, self.state.level)

    @cached_property
    def proposed(self) -> dict[str, Task]:
        """The round's tasks by id, in the order of the ids, with their own checks: drawn and synthesized."""
        tasks = [*read_tasks(self.at("propose")), *read_tasks(self.at("synthesize"))]
        return {task.id: task for task in sorted(tasks, key=lambda task: task.id)}

    @cached_property
    def tasks(self) -> dict[str, Task]:
        """The same tasks as they are judged: by their own checks, or as `verify.check` says."""
        return {name: self.resources.routed(task) for name, task in self.proposed.items()}

    @property
    def student(self) -> Path:
        """The weights that write this round's attempts: the parent's."""
        return self.run.model(self.parent or 0)

    def identity(self, phase: str) -> str:
        """The hash of the weights that a phase works with: the parent's until training, then the round's own."""
        if phase == "evaluate":
            return str(read_json(self.at("train") / "DONE")["weights"])
        return self.commits[self.parent or 0].outputs["model"]

    def seed(self, phase: str) -> int:
        """The phase's seed in this round."""
        return seed_of(self.config.seed, self.number, phase)

    @property
    def sampling(self) -> Sampling:
        """How attempts are sampled: as configured, and warmer after a roll-back."""
        section = self.config.generate
        return Sampling(
            temperature=section.temperature + self.state.temperature_add,
            top_p=section.top_p,
            top_k=section.top_k,
            max_new_tokens=section.max_new_tokens,
            stop=section.stop,
        )

    def on_main_rank(self, phase: str, action: Callable[[], None]) -> None:
        """Plays a phase that rank 0 alone plays, once: not again where it is DONE. All ranks call it and wait for the end."""
        if self.ranks.is_main and not (self.at(phase) / "DONE").is_file():
            self.progress.phase(phase, 1)
            action()
            self.progress.end(phase)
        self.ranks.barrier(phase)

    def note(self, text: str) -> None:
        """Tells a person something about this round."""
        self.progress.note(f"round {self.number}: {text}")
