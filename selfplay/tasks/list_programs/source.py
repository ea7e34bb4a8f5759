"""List programs as a source: its settings, its held-out parts, and the draws of a round."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from selfplay.config.sections import Count, TaskSettings
from selfplay.records import Task
from selfplay.seeds import seed_of
from selfplay.tasks.base import Evolved, Evolver, FaultOf, Fixed, Proposal, WeightedSource
from selfplay.tasks.list_programs import programs
from selfplay.tasks.list_programs.correcting import corrections, wrong_of
from selfplay.tasks.list_programs.evolving import Drawing, evolve
from selfplay.tasks.list_programs.operations import OPERATIONS


class ListPrograms(TaskSettings):
    """Procedural: write a Python function from a chain of list operations in English, checked by hidden tests. The number of
    operations is the difficulty."""

    source: Literal["list_programs"]
    anchor: Count = 400
    """Seed tasks with a solution: the data of round 0."""
    per_length: Count = 100
    """Held-out tasks for each operation count, once for the dev set and once for the test set."""
    human_text: Count = 100
    """Further seed solutions, never trained on, whose likelihood is followed."""
    correction_rows: int = Field(0, ge=0)
    """Corrections made by program (a wrong solution, its evidence, the right one) that are added to the anchor, so that a
    small student knows the form of a second try; useful with `correct.attempts: 1`."""

    known_license = "apache-2.0"
    language = "en"
    endless = True
    templated = True
    evolves = True
    scripted_student = False
    axes: ClassVar[Mapping[str, tuple[str, ...]]] = {"operation": tuple(operation.name for operation in OPERATIONS)}

    def open(self, *, seed: int, eval_seed: int, folder: Path, fault_of: FaultOf | None = None) -> "ListProgramsSource":
        """See `TaskSettings.open`."""
        return ListProgramsSource(self, seed, eval_seed)


class ListProgramsSource(Evolver, WeightedSource):
    """List programs: see `selfplay.tasks.list_programs`."""

    levels = range(1, programs.MAX_LENGTH + 1)

    def __init__(self, section: ListPrograms, seed: int, eval_seed: int) -> None:
        held_out = programs.held_out(eval_seed, section.per_length)
        self._sequences = frozenset(programs.sequence_of(task) for task in held_out)
        single = [_apart(task) for task in programs.one_operation(eval_seed)]
        anchor = programs.anchor(seed, section.anchor, self._sequences)
        mended = corrections(seed, section.correction_rows, self._sequences)
        known = {task.id for task in anchor}
        fresh = programs.anchor(seed_of("human_text", seed), 2 * section.human_text, self._sequences)
        human = [task for task in fresh if task.id not in known][: section.human_text]
        self._singles = {task.id for task in single}
        self.fixed = Fixed(
            anchor=[*anchor, *mended],
            dev=[task for task in held_out if task.split == "dev"],
            test=[*(task for task in held_out if task.split == "test"), *single],
            human_text=human,
        )

    def propose(self, count: int | None, shares: Mapping[int, float] | None, seed: int) -> Proposal:
        """See `Source.propose`; held-out operation sequences are filtered out and counted; 400 tasks where count is None."""
        return self.propose_weighted(count or 400, shares, seed, None)

    def propose_weighted(
        self, count: int, shares: Mapping[int, float] | None, seed: int, weights: Mapping[str, float] | None
    ) -> Proposal:
        """See `WeightedSource.propose_weighted`: by the weights of the operations."""
        shares = shares or dict.fromkeys(programs.HELD_OUT_LENGTHS, 1.0)
        tasks, filtered = programs.propose(seed, count, shares, self._sequences, weights)
        kept = [task for task in tasks if task.id not in self._singles]
        return Proposal(kept, filtered + len(tasks) - len(kept))

    def can_evolve(self, task: Task) -> bool:
        """See `Evolver.can_evolve`."""
        return task.id.startswith(programs.ID)

    def evolve(
        self, tasks: Sequence[Task], *, weights: Mapping[str, float] | None, longest: int | None, seed: int
    ) -> list[Evolved]:
        """See `Evolver.evolve`; never a held-out sequence."""
        drawing = Drawing(weights, longest or programs.MAX_LENGTH)
        found = evolve(tasks, seed=seed, exclude=self._sequences, drawing=drawing)
        return [
            one._replace(task=None, reason="held_out") if one.task is not None and one.task.id in self._singles else one
            for one in found
        ]

    def near_misses(self, task: Task) -> list[str]:
        """A right program with one step changed, and stubs; of a correction, the program that it corrects in their place."""
        if "correction" in task.tags:
            return [wrong_of(task), "def f(xs):\n    return []\n"]
        return [programs.near_miss(task), "def f(xs):\n    return xs\n", "def f(xs):\n    return []\n"]

    def solution(self, task: Task) -> str | None:
        """See `Source.solution`: the reference, or the usual program of the task's chain."""
        return task.reference or programs.solution(programs.chain_of(task))

    def has_solution(self, task: Task) -> bool:
        """See `Source.has_solution`: every task has one."""
        return True


def _apart(task: Task) -> Task:
    """Marked so that it is reported by its stratum, and not in the headline figure."""
    return task.model_copy(update={"tags": (*task.tags, "apart")})
