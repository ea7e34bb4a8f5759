"""Floor 6: one round in hand: where it lies, what it stands on, and what it works with."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from selfplay.config import Config
from selfplay.loop.beside import Beside
from selfplay.phases import propose
from selfplay.runtime.distributed import Ranks
from selfplay.runtime.progress import Progress
from selfplay.runtime.resources import RunResources
from selfplay.seeds import seed_of
from selfplay.store import Commit, RunFolder, read_json
from selfplay.store.run import chain
from selfplay.synthesis.rounds import read_made
from selfplay.tasks.book import TaskBook


@dataclass
class Round:
    """One round in hand: where it lies, what it stands on, and what it works with."""

    number: int
    parent: int | None
    config: Config
    run: RunFolder
    resources: RunResources
    ranks: Ranks
    progress: Progress
    commits: list[Commit]
    """The rounds committed before it."""
    beside: Beside | None = None
    """Who works beside the loop, on rank 0; None where nobody does."""

    def at(self, phase: str) -> Path:
        """Working folder of a phase."""
        return self.run.phase(self.number, phase)

    @cached_property
    def chain(self) -> list[Commit]:
        """The rounds it stands on, oldest first."""
        return chain(self.commits, self.parent)

    @cached_property
    def knobs(self) -> dict[str, Any]:
        """State that earlier rounds left: the curriculum's edge, changes of roll-backs."""
        return self.commits[-1].knobs if self.commits else {}

    @cached_property
    def tasks(self) -> TaskBook:
        """The round's tasks, once proposed and made, as they are judged."""
        return self.proposed if self.config.verify.check is None else self.proposed.changed(self.resources.routed)

    @cached_property
    def proposed(self) -> TaskBook:
        """The round's tasks with their own checks: drawn, and made."""
        return propose.read_tasks(self.at("propose")).merged(read_made(self.at("make")))

    def forget_tasks(self) -> None:
        """Drops the tasks that are parsed: training has no use for them, and its collections of garbage would walk them all."""
        for name in ("proposed", "tasks"):
            if name in self.__dict__:  # as a cached property is, once it was asked for
                self.__dict__[name].forget()

    @property
    def student(self) -> Path:
        """Weights that write this round's attempts: the parent's."""
        return self.run.model(self.parent or 0)

    def identity(self, phase: str) -> str:
        """Hash of the weights a phase works with: the parent's until training, then the round's own."""
        if phase == "evaluate":
            return str(read_json(self.at("train") / "DONE")["weights"])
        return self.commits[self.parent or 0].outputs["model"]

    def seed(self, phase: str) -> int:
        """The phase's seed in this round."""
        return seed_of(self.config.seed, self.number, phase)
