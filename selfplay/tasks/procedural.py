"""Floor 2: the procedural sources behind one face: list programs, and arithmetic for trying a loop in seconds."""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from selfplay.config.sections import Arithmetic, ListPrograms
from selfplay.records import Task, digest
from selfplay.seeds import rng_of, seed_of
from selfplay.tasks import Fixed, Proposal, listprograms
from selfplay.tasks.book import TaskBook, line_of
from selfplay.tasks.listprograms.correcting import corrections, wrong_of
from selfplay.tasks.listprograms.evolving import Drawing, Evolved, evolve

MAX_TERMS = 12
"""Sums of more terms are not evolved by a term."""


@runtime_checkable
class Evolver(Protocol):
    """A source whose tasks can be evolved by program."""

    def evolve(
        self, tasks: Sequence[Task], *, weights: Mapping[str, float] | None, longest: int | None, seed: int
    ) -> list[Evolved]:
        """One evolution a task, in order, never a held-out one. `weights` of operations; `longest`: no step beyond it."""
        ...

    def solution(self, task: Task) -> str | None:
        """See `Source.solution`."""
        ...

    def near_misses(self, task: Task) -> list[str]:
        """See `Source.near_misses`."""
        ...


def is_procedural(task: Task) -> bool:
    """Whether a task has the form of these sources: drawn or evolved by program, no correction, reworded by nobody."""
    return task.id.startswith(("list-", "sum-"))


class ListProgramsSource:
    """List programs: see `selfplay.tasks.listprograms`."""

    pool: Sequence[Task] = ()

    def __init__(self, section: ListPrograms, seed: int, eval_seed: int) -> None:
        held_out = listprograms.held_out(eval_seed, section.per_length)
        self._sequences = frozenset(listprograms.sequence_of(task) for task in held_out)
        single = [_apart(task) for task in listprograms.one_operation(eval_seed)]
        anchor = listprograms.anchor(seed, section.anchor, self._sequences)
        mended = corrections(seed, section.correction_rows, self._sequences)
        known = {task.id for task in anchor}
        fresh = listprograms.anchor(seed_of("human_text", seed), 2 * section.human_text, self._sequences)
        human = [task for task in fresh if task.id not in known][: section.human_text]
        self._singles = {task.id for task in single}
        self.fixed = Fixed(
            anchor=[*anchor, *mended],
            dev=[task for task in held_out if task.split == "dev"],
            test=[*(task for task in held_out if task.split == "test"), *single],
            human_text=human,
        )

    def propose(
        self,
        count: int | None,
        lengths: Mapping[int, float] | None,
        seed: int,
        weights: Mapping[str, float] | None = None,
    ) -> Proposal:
        """See `Source.propose`; held-out operation sequences are refused and counted. `weights`: of all operations."""
        shares = lengths or dict.fromkeys(listprograms.HELD_OUT_LENGTHS, 1.0)
        tasks, refused = listprograms.propose(seed, count or 400, shares, self._sequences, weights)
        kept = tasks.without(self._singles)
        return Proposal(kept, refused + len(tasks) - len(kept))

    def evolve(
        self, tasks: Sequence[Task], *, weights: Mapping[str, float] | None, longest: int | None, seed: int
    ) -> list[Evolved]:
        """See `Evolver.evolve`; never a held-out sequence."""
        drawing = Drawing(weights, longest or listprograms.MAX_LENGTH)
        found = evolve(tasks, seed=seed, exclude=self._sequences, drawing=drawing)
        return [
            one._replace(task=None, reason="held_out") if one.task is not None and one.task.id in self._singles else one
            for one in found
        ]

    def near_misses(self, task: Task) -> list[str]:
        """A right program with one step changed, and stubs; of a correction, the program that it corrects in their place."""
        if "correction" in task.tags:
            return [wrong_of(task), "def f(xs):\n    return []\n"]
        return [listprograms.near_miss(task), "def f(xs):\n    return xs\n", "def f(xs):\n    return []\n"]

    def solution(self, task: Task) -> str | None:
        """See `Source.solution`: the reference, or the usual program of the task's chain."""
        return task.reference or listprograms.solution(listprograms.chain_of(task))

    def has_solution(self, task: Task) -> bool:
        """See `Source.has_solution`: every task has one."""
        return True


def _apart(task: Task) -> Task:
    """Marked so that it is reported by its stratum, and not in the headline figure."""
    return task.model_copy(update={"tags": (*task.tags, "apart")})


class ArithmeticSource:
    """Chains of additions and subtractions, `12 + 30 - 4`, tagged by operation count; answers are integers."""

    pool: Sequence[Task] = ()

    def __init__(self, section: Arithmetic, seed: int, eval_seed: int) -> None:
        lengths = range(1, section.max_operations + 1)
        held: dict[str, Task] = {}
        for split in ("dev", "test"):
            rng, target = rng_of("arithmetic", split, eval_seed), len(held) + section.held_out
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

    def propose(self, count: int | None, lengths: Mapping[int, float] | None, seed: int) -> Proposal:
        """See `Source.propose`."""
        return self._draw(count or 100, lengths or self._lengths, seed, "train")

    def evolve(
        self, tasks: Sequence[Task], *, weights: Mapping[str, float] | None, longest: int | None, seed: int
    ) -> list[Evolved]:
        """See `Evolver.evolve`: a term more, or another number; `weights` are of no use here."""
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

    def _draw(self, count: int, lengths: Mapping[int, float], seed: int, split: str) -> Proposal:
        rng, lines, refused = rng_of("arithmetic", seed), dict[str, bytes](), 0
        while len(lines) < count:
            length = rng.choices(list(lengths), weights=list(lengths.values()))[0]
            task = arithmetic_task([rng.randint(0, 99) for _ in range(1 + length)], rng.random() < 0.5, split)
            refused += task.id in self._held
            if task.id not in self._held:
                lines.setdefault(task.id, line_of(task))
        return Proposal(TaskBook.of_lines(lines), refused)


def arithmetic_task(numbers: list[int], minus_first: bool, split: str = "train") -> Task:
    """The task of these operands with signs alternating from `minus_first`."""
    text = str(numbers[0])
    for place, number in enumerate(numbers[1:]):
        text += f" {'-' if (place % 2 == 0) == minus_first else '+'} {number}"
    prompt = f"Compute {text}\n"
    return Task.model_validate(
        {
            "id": f"sum-{digest(prompt)}",
            "prompt": prompt,
            "verifier": {"type": "math", "answer": str(_value(text))},
            "source": "arithmetic",
            "tags": (f"operations:{len(numbers) - 1}", "frequency:" + ("rare" if minus_first else "common")),
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
