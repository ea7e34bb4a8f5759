"""Floor 2: where tasks come from. A source gives the anchor, the dev set, the test set, and each round's tasks.

`open_source(section, ...)` opens the one a configuration names; adding a source is one file and one line there.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from selfplay.config.sections import (
    Arithmetic,
    Gsm8k,
    Gsm8kRecorded,
    HumanEval,
    JsonlTasks,
    ListPrograms,
    Mbpp,
    ReasoningGym,
    WordProblems,
)
from selfplay.records import Task
from selfplay.seeds import rng_of


class Proposal(NamedTuple):
    """The tasks of a round, and what was refused on the way."""

    tasks: Sequence[Task]
    """Sorted by id."""
    refused: int = 0
    """Draws refused because their operation sequence, or their text, is held out."""


@dataclass(frozen=True)
class Fixed:
    """What never changes in a run."""

    anchor: Sequence[Task]
    """With references: the data of round 0."""
    dev: Sequence[Task]
    test: Sequence[Task]
    human_text: Sequence[Task] = ()
    """Tasks with references that are never trained on: their likelihood is followed."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Name of each file read -> sha256 of its content, for the fingerprint."""
    places: Mapping[str, str] = field(default_factory=dict)
    """Task id -> where its row stands, such as `tasks.jsonl:12`; no entry for a task that is made."""


class Source(Protocol):
    """A source of tasks."""

    fixed: Fixed
    pool: Sequence[Task]
    """All training tasks; empty where there is no end of them."""

    def propose(self, count: int | None, lengths: Mapping[int, float] | None, seed: int) -> Proposal:
        """The training tasks of a round, deterministic by seed, sorted by id.

        `count` None: all there are. `lengths`: shares by operation count, from sources that have one; None: its own.
        """
        ...

    def near_misses(self, task: Task) -> list[str]:
        """Replies that are almost right and must fail: what `selfplay check` holds the verifiers to."""
        ...

    def solution(self, task: Task) -> str | None:
        """A right reply, for the audit alone: the student never sees it. None where there is none to be had."""
        ...

    def has_solution(self, task: Task) -> bool:
        """Whether `solution` gives one, told without making it."""
        ...


Section = (
    ListPrograms | Arithmetic | JsonlTasks | Gsm8k | Gsm8kRecorded | Mbpp | HumanEval | WordProblems | ReasoningGym
)


def open_source(
    section: Section,
    *,
    seed: int,
    eval_seed: int,
    folder: Path,
    fault_of: Callable[[Mapping[str, Any]], str] | None = None,
) -> Source:
    """Opens the source of a config section; relative paths count from `folder`.

    `fault_of` says what is wrong with the check of a row (`selfplay.verify.faults.fault_of`); None: checks are not looked at. Raises
    DataError where a file is missing, empty or malformed: all faults at once, one a line, each with file and line.
    """
    from selfplay.tasks import gym, problems, procedural, tables

    if isinstance(section, ListPrograms):
        return procedural.ListProgramsSource(section, seed, eval_seed)
    if isinstance(section, Arithmetic):
        return procedural.ArithmeticSource(section, seed, eval_seed)
    if isinstance(section, WordProblems):
        return problems.open_problems(section, eval_seed, folder, fault_of)
    if isinstance(section, ReasoningGym):
        return gym.open_gym(section, seed, eval_seed)
    return tables.open_table(section, eval_seed, folder, fault_of)


def draw(pool: Sequence[Task], count: int | None, seed: int) -> list[Task]:
    """`count` tasks of a finite pool without repetition, by seed; all where count is None or too large; sorted by id."""
    if count is not None and count < len(pool):
        pool = rng_of("draw", seed).sample(sorted(pool, key=lambda task: task.id), count)
    return sorted(pool, key=lambda task: task.id)
