"""Sums such as `12 + 30 - 4`, checked as mathematics without a sandbox: for trying a loop in seconds."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from selfplay.config.sections import Count, TaskSettings
from selfplay.records import Task, digest
from selfplay.seeds import rng_of, seed_of
from selfplay.tasks.base import Evolved, Evolver, FaultOf, Fixed, Proposal

MAX_TERMS = 12
"""Sums of more terms are not evolved by a further term."""
LEVELS = range(1, 101)
"""Numbers of operations that can be asked for."""
_ID = "sum-"
"""Begins the ids of the tasks that this source makes."""


class Arithmetic(TaskSettings):
    """Procedural: compute a chain of additions and subtractions; its number of operations is its difficulty."""

    source: Literal["arithmetic"]
    anchor: Count = 64
    """Seed tasks with a worked solution: the data of round 0."""
    held_out: Count = 40
    """Tasks in the dev set, and as many in the test set."""
    max_operations: Count = 4
    """Most operations of a task, where no curriculum says."""

    known_license = "apache-2.0"
    endless = True
    templated = True
    evolves = True

    def open(self, *, seed: int, eval_seed: int, folder: Path, fault_of: FaultOf | None = None) -> "ArithmeticSource":
        """See `TaskSettings.open`."""
        return ArithmeticSource(self, seed, eval_seed)


class ArithmeticSource(Evolver):
    """Chains of additions and subtractions, `12 + 30 - 4`; answers are integers."""

    levels = LEVELS

    def __init__(self, section: Arithmetic, seed: int, eval_seed: int) -> None:
        lengths = range(1, section.max_operations + 1)
        held: dict[str, Task] = {}
        for split, word in (("dev", "panel"), ("test", "test")):
            rng, target = rng_of("arithmetic", word, eval_seed), len(held) + section.held_out
            while len(held) < target:
                task = arithmetic_task(
                    [rng.randint(0, 99) for _ in range(1 + rng.choice(lengths))], rng.random() < 0.5, split
                )
                held.setdefault(task.id, task)
        self._held = frozenset(held)
        self._lengths = dict.fromkeys(lengths, 1.0)
        anchor = self._draw(section.anchor, self._lengths, seed_of("anchor", seed), "anchor")
        with_reference = [task.model_copy(update={"reference": solve(task.text)}) for task in anchor.tasks]
        self.fixed = Fixed(
            anchor=with_reference,
            dev=[task for task in held.values() if task.split == "dev"],
            test=[task for task in held.values() if task.split == "test"],
        )

    def propose(self, count: int | None, shares: Mapping[int, float] | None, seed: int) -> Proposal:
        """See `Source.propose`; 100 tasks where count is None."""
        return self._draw(count or 100, shares or self._lengths, seed, "train")

    def can_evolve(self, task: Task) -> bool:
        """See `Evolver.can_evolve`."""
        return task.id.startswith(_ID)

    def evolve(
        self, tasks: Sequence[Task], *, weights: Mapping[str, float] | None, longest: int | None, seed: int
    ) -> list[Evolved]:
        """See `Evolver.evolve`: one more term, or another number. `weights` are not used."""
        known, found = {task.id for task in tasks}, []
        for task in tasks:
            rng, way = rng_of("arithmetic/evolve", task.id, seed), "add_step"
            numbers, minus_first = operands(task.text)
            if rng.random() < 0.5 or len(numbers) > (longest or MAX_TERMS):
                way = "change_argument"
                numbers[rng.randrange(len(numbers))] = rng.randint(0, 99)
            else:
                numbers.append(rng.randint(0, 99))
            new = arithmetic_task(numbers, minus_first)
            reason = "held_out" if new.id in self._held else "known" if new.id in known else ""
            known.add(new.id)
            depth = int(task.tag("depth") or 0) + 1
            tags = (*new.tags, f"evolved:{way}", f"depth:{depth}")
            new = new.model_copy(update={"tags": tags, "parents": (task.id,), "source": "arithmetic/evolved"})
            found.append(Evolved(task, way, None if reason else new, reason))
        return found

    def near_misses(self, task: Task) -> list[str]:
        """Off by one, and no answer at all."""
        return [f"A: {int(task.check['answer']) + 1}", "A:"]

    def solution(self, task: Task) -> str | None:
        """See `Source.solution`."""
        return solve(task.text)

    def has_solution(self, task: Task) -> bool:
        """See `Source.has_solution`: every task has one."""
        return True

    def _draw(self, count: int, shares: Mapping[int, float], seed: int, split: str) -> Proposal:
        rng, found, filtered = rng_of("arithmetic", seed), dict[str, Task](), 0
        while len(found) < count:
            length = rng.choices(list(shares), weights=list(shares.values()))[0]
            task = arithmetic_task([rng.randint(0, 99) for _ in range(1 + length)], rng.random() < 0.5, split)
            filtered += task.id in self._held
            if task.id not in self._held:
                found.setdefault(task.id, task)
        return Proposal([found[name] for name in sorted(found)], filtered)


def arithmetic_task(numbers: list[int], minus_first: bool, split: str = "train") -> Task:
    """The task of these operands with signs alternating from `minus_first`."""
    text = str(numbers[0])
    for place, number in enumerate(numbers[1:]):
        text += f" {'-' if (place % 2 == 0) == minus_first else '+'} {number}"
    prompt = f"Compute {text}\n"
    return Task.model_validate(
        {
            "id": f"{_ID}{digest(prompt)}",
            "prompt": prompt,
            "verifier": {"type": "math", "answer": str(_value(text))},
            "source": "arithmetic",
            "tags": (f"difficulty:{len(numbers) - 1}", "frequency:" + ("rare" if minus_first else "common")),
            "split": split,
        }
    )


def operands(prompt: str) -> tuple[list[int], bool]:
    """The numbers of an arithmetic prompt in order, and whether its first sign is a minus: `arithmetic_task` undone."""
    words = prompt.removeprefix("Compute ").split()
    return [int(word) for word in words[::2]], words[1:2] == ["-"]


def solve(prompt: str) -> str:
    """The worked solution of an arithmetic prompt: each step, then the answer."""
    words = prompt.removeprefix("Compute ").split()
    value, lines = int(words[0]), []
    for sign, number in zip(words[1::2], words[2::2], strict=True):
        after = value + int(number) if sign == "+" else value - int(number)
        lines.append(f"{value} {sign} {number} = {after}")
        value = after
    return "\n".join([*lines, f"A: {value}"])


def _value(text: str) -> int:
    words = text.split()
    return int(words[0]) + sum((1 if s == "+" else -1) * int(n) for s, n in zip(words[1::2], words[2::2], strict=True))
