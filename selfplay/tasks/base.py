"""What a task source is. It gives the anchor, the dev set, the test set, and the training tasks of each round.

A source is one file: its settings, a `TaskSettings` whose `open` gives a `Source`. `config/registry.py` names it in one line.
A finite set of tasks is a `PoolSource` (`pool.py`).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from selfplay.records import Task
from selfplay.tasks.near_misses import near_misses_of

FaultOf = Callable[[Mapping[str, Any]], str]
"""Says what is wrong with a verifier block, "" where nothing is: see `selfplay.verify.faults.fault_of`."""


class Proposal(NamedTuple):
    """The training tasks of a round, and how many draws were filtered out."""

    tasks: Sequence[Task]
    """Sorted by id, each id once."""
    filtered: int = 0
    """Draws left out because the dev set or the test set holds the same task."""


@dataclass(frozen=True)
class Fixed:
    """The tasks that stay the same for the whole run."""

    anchor: Sequence[Task]
    """Tasks with references: the data of round 0."""
    dev: Sequence[Task]
    test: Sequence[Task]
    human_text: Sequence[Task] = ()
    """Tasks with references that are never trained on; the student's likelihood of them is followed."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Name of each file read -> sha256 of its content, for the fingerprint."""
    places: Mapping[str, str] = field(default_factory=dict)
    """Task id -> where its row stands, such as `tasks.jsonl:12`; no entry for a task made by a program."""


class Source(ABC):
    """An open source of tasks. One of your own sets `fixed` and has `propose`, and sets `levels` where its tasks have a difficulty."""

    fixed: Fixed
    pool: Sequence[Task] = ()
    """All training tasks; empty where the source makes new ones without end."""
    levels: Collection[int] = ()
    """The levels of difficulty that tasks can be drawn at, as in their tags `difficulty:n`; empty where they have none."""

    @abstractmethod
    def propose(self, count: int | None, shares: Mapping[int, float] | None, seed: int) -> Proposal:
        """The training tasks of a round; the same arguments give the same tasks.

        `count` None: all there are. `shares`: share of the tasks at each level of difficulty; None: as the source pleases.
        """

    def near_misses(self, task: Task) -> list[str]:
        """Replies that are almost right and must fail; `selfplay check` tries the verifiers with them.

        By default the task's own, or made from its answer or its reference.
        """
        return near_misses_of(task)

    def solution(self, task: Task) -> str | None:
        """A right reply, which the audit uses and the student never sees; None where the source knows none.

        By default the reference.
        """
        return task.reference

    def has_solution(self, task: Task) -> bool:
        """Whether `solution` gives a reply. Override it where making one costs something."""
        return self.solution(task) is not None


class WeightedSource(Source):
    """A source that can draw tasks by the values of its axes; its settings name them with `axes`."""

    @abstractmethod
    def propose_weighted(
        self, count: int, shares: Mapping[int, float] | None, seed: int, weights: Mapping[str, float] | None
    ) -> Proposal:
        """As `Source.propose`. `weights`: how likely each value of the axes is to be drawn; None: equally likely."""


class Evolved(NamedTuple):
    """A task made from another one by program, or the reason why there is none."""

    parent: Task
    way: str
    task: Task | None
    reason: str = ""
    """`held_out`, `known`, `tests_too_weak` (no draw has tests that the parent's program fails), `too_long`, `no_argument`;
    "" where there is a task."""


class Evolver(Source):
    """A source that can evolve its tasks by program; its settings say so with `evolves`."""

    @abstractmethod
    def can_evolve(self, task: Task) -> bool:
        """Whether a task is of a form that `evolve` reads: drawn or evolved by this source, and not reworded since."""

    @abstractmethod
    def evolve(
        self, tasks: Sequence[Task], *, weights: Mapping[str, float] | None, longest: int | None, seed: int
    ) -> list[Evolved]:
        """One evolution of each task, in order, never a held-out one.

        `weights`: how likely each operation is to be drawn; None: equally likely. `longest`: the difficulty beyond which
        no step is added; None: the source's own limit.
        """
