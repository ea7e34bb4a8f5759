"""What a task source is. It gives the anchor, the dev set, the test set, and the training tasks of each round.

A source is one file: its settings, a `TaskSettings` whose `open` gives a `Source`. `config/registry.py` names it in one line.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

from selfplay.records import Task

FaultOf = Callable[[Mapping[str, Any]], str]
"""Says what is wrong with a verifier block, "" where nothing is: see `selfplay.verify.faults.fault_of`."""


class Proposal(NamedTuple):
    """The training tasks of a round, and how many draws were refused."""

    tasks: Sequence[Task]
    """Sorted by id, each id once."""
    refused: int = 0
    """Draws refused because the dev set or the test set holds the same task."""


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


class Source(Protocol):
    """An open source of tasks."""

    fixed: Fixed
    pool: Sequence[Task]
    """All training tasks; empty where the source makes new ones without end."""

    @property
    def levels(self) -> Collection[int]:
        """The levels of difficulty that tasks can be drawn at; empty where tasks have no difficulty."""
        ...

    def propose(self, count: int | None, levels: Mapping[int, float] | None, seed: int) -> Proposal:
        """The training tasks of a round; the same arguments give the same tasks.

        `count` None: all there are. `levels`: share of the tasks at each level of difficulty; None: as the source pleases.
        """
        ...

    def near_misses(self, task: Task) -> list[str]:
        """Replies that are almost right and must fail; `selfplay check` tries the verifiers with them."""
        ...

    def solution(self, task: Task) -> str | None:
        """A right reply, which the audit uses and the student never sees; None where the source knows none."""
        ...

    def has_solution(self, task: Task) -> bool:
        """Whether `solution` gives a reply, without making it."""
        ...


def is_procedural(task: Task) -> bool:
    """Whether a program drew or evolved the task, as its id says, and nobody has reworded it since."""
    return task.id.startswith(("list-", "sum-"))


class Evolved(NamedTuple):
    """A task made from another one by program, or the reason why there is none."""

    parent: Task
    way: str
    task: Task | None
    reason: str = ""
    """`held_out`, `known`, `tests_too_weak` (no draw has tests that the parent's program fails), `too_long`, `no_argument`;
    "" where there is a task."""


@runtime_checkable
class WeightedSource(Protocol):
    """A source that can draw tasks by the values of its axes; its settings name them with `axes`."""

    def propose_weighted(
        self, count: int, levels: Mapping[int, float] | None, seed: int, weights: Mapping[str, float] | None
    ) -> Proposal:
        """As `Source.propose`. `weights`: how likely each value of the axes is to be drawn; None: equally likely."""
        ...


@runtime_checkable
class Evolver(Protocol):
    """A source that can evolve its tasks by program; its settings say so with `evolves`."""

    def evolve(
        self, tasks: Sequence[Task], *, weights: Mapping[str, float] | None, longest: int | None, seed: int
    ) -> list[Evolved]:
        """One evolution of each task, in order, never a held-out one.

        `weights`: how likely each operation is to be drawn; None: equally likely. `longest`: the difficulty beyond which
        no step is added; None: the source's own limit.
        """
        ...

    def solution(self, task: Task) -> str | None:
        """See `Source.solution`."""
        ...

    def near_misses(self, task: Task) -> list[str]:
        """See `Source.near_misses`."""
        ...
