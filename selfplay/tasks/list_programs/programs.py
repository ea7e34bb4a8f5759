"""The tasks of list programs: the prompt has steps in English, the answer is a Python function, the tests are hidden.

A task follows from its steps alone, with its prompt, hidden inputs and id, so the same chain is the same task in every
round and split. Three draws, each deterministic by its seed: `anchor` (with solutions, operations by
Zipf's law), `held_out` (dev set and test set, operations equally often) and `propose` (unlimited, no solutions, never an
operation sequence that is held out). No operation stands twice in one chain.
"""

import random
from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from selfplay.errors import DataError
from selfplay.records import Task, digest
from selfplay.seeds import rng_of
from selfplay.tasks.levels import spread
from selfplay.tasks.list_programs.operations import (
    BY_NAME,
    OPERATIONS,
    RARE,
    ZIPF,
    Chain,
    Step,
    english,
    python,
    read,
    run,
    run_all,
    shortened_agrees,
)

OperationNames = tuple[str, ...]
"""Operation names in order, arguments left out: the unit in which held-out tasks are kept apart."""
Split = Literal["train", "anchor", "dev", "test"]

CASES = 8
"""Hidden inputs of a task."""
ANCHOR_LENGTHS = {1: 0.125, 2: 0.375, 3: 0.5}
"""Share of the anchor's tasks by operation count."""
HELD_OUT_LENGTHS = (2, 3, 4, 5, 6)
ID = "list-"
"""Begins the ids of the tasks that this source makes."""
MAX_LENGTH = 10
"""Longest chain that can be asked for; the check for shortened programs is exponential in it."""
USUAL_SHARE = 0.75
"""How often an anchor solution writes an operation in its usual way where there are several."""

_FIRST = "Write f(xs) that does this to a list:"
_LAST = "return the list"
# The end is written as a step like the others, so that a student copies it from the prompt and need not count.

_CANDIDATE_INPUTS = 14
_NUMBERS = range(-12, 21)
_MIN_DISTINCT = 4
_PATIENCE = 20_000


def make_task(chain: Chain, split: Split = "train") -> Task | None:
    """The task of a chain, without a solution; None where its tests would be too weak.

    A chain is rejected where its results are empty on many inputs, nearly the same on all, too large, or those of a program with a
    step left out.
    """
    prompt = _prompt(chain)
    rng = rng_of("listprograms/inputs", prompt)
    inputs = [rng.choices(_NUMBERS, k=rng.randint(6, 10)) for _ in range(_CANDIDATE_INPUTS)]
    outputs = run_all(chain, inputs)
    if outputs is None:
        return None
    cases = [(xs, out) for xs, out in zip(inputs, outputs, strict=True) if out][:CASES]
    if len(cases) < CASES or len({tuple(out) for _, out in cases}) < _MIN_DISTINCT:
        return None
    if shortened_agrees(chain, [xs for xs, _ in cases], [out for _, out in cases]):
        return None
    names = [step.operation for step in chain]
    frequency = "rare" if RARE.intersection(names) else "common"
    return Task(
        id=f"{ID}{digest(prompt)}",
        prompt=prompt,
        check={"type": "code_tests", "entry_point": "f", "cases": [[[xs], out] for xs, out in cases]},
        source="listprograms",
        tags=(f"difficulty:{len(chain)}", f"frequency:{frequency}", *(f"operation:{name}" for name in names)),
        split=split,
    )


def solution(chain: Chain, rng: random.Random | None = None) -> str:
    """A right program, in the form that the anchor teaches: every step echoed as a comment above its line.

    `rng` None writes every operation in its usual way; else one use in four takes another way where there is one.
    """
    lines = ["def f(xs):"]
    for step in chain:
        ways = len(BY_NAME[step.operation].codes)
        variant = rng.randrange(1, ways) if rng and ways > 1 and rng.random() > USUAL_SHARE else 0
        lines += [f"    # {english(step)}", f"    xs = {python(step, variant)}"]
    return "\n".join([*lines, f"    # {_LAST}", "    return xs\n"])


def sequence_of(task: Task) -> OperationNames:
    """The task's operation names in order, arguments left out."""
    return tuple(tag.removeprefix("operation:") for tag in task.tags if tag.startswith("operation:"))


def chain_of(task: Task) -> Chain:
    """The steps, read back from the prompt. Raises DataError on a prompt that is not one of ours."""
    first, *lines = task.text.splitlines()
    if first != _FIRST or lines[-1:] != [f"- {_LAST}"]:
        raise DataError(
            f"task {task.id}: the prompt starts {first[:60]!r}, not as a list program does; use its own source"
        )
    try:
        return tuple(read(line.removeprefix("- ")) for line in lines[:-1])
    except ValueError as error:
        raise DataError(f"task {task.id}: {error}") from None


def near_miss(task: Task, seed: int = 0) -> str:
    """A program with one step changed (another operation or another argument) that fails the task's own tests."""
    chain, rng = chain_of(task), rng_of("listprograms/near_miss", task.id, seed)
    for _ in range(_PATIENCE):
        at = rng.randrange(len(chain))
        if chain[at].argument is not None and rng.random() < 0.5:
            other = _step(chain[at].operation, rng)
        else:
            other = _step(rng.choice(OPERATIONS).name, rng)
        changed = (*chain[:at], other, *chain[at + 1 :])
        if any(run(changed, args[0]) != expected for args, expected in task.check["cases"]):
            return solution(changed)
    raise DataError(f"task {task.id}: no near miss found in {_PATIENCE} draws; its tests are too weak")


def anchor(seed: int, n: int = 400, exclude: Collection[OperationNames] = frozenset()) -> list[Task]:
    """`n` tasks of 1 to 3 operations with solutions (`reference`); operations follow Zipf's law, prompts are unique.

    `exclude`: held-out sequences, which never occur. Operations are drawn from an urn with the law's own counts,
    so that the tail is as thin as it should be and not thinner.
    """
    rng = rng_of("listprograms/anchor", seed)
    lengths = _spread(ANCHOR_LENGTHS, n)
    slots = sum(lengths)
    urn = {op.name: slots * weight / sum(ZIPF) for op, weight in zip(OPERATIONS, ZIPF, strict=True)}
    tasks: dict[str, Task] = {}
    # Singles first: while the urn is full they can follow the law with unique prompts.
    for length in sorted(lengths):
        for _ in range(_PATIENCE):
            names = _weighted_distinct(urn, length, rng)
            task = _admitted(names, rng, exclude, "anchor")
            if task is not None and task.id not in tasks:
                break
        else:
            raise DataError(f"anchor: no further task of {length} operations after {len(tasks)} of {n}; ask for fewer")
        tasks[task.id] = task.model_copy(update={"reference": solution(chain_of(task), rng)})
        for name in names:
            urn[name] -= 1
    out = list(tasks.values())
    rng.shuffle(out)
    return out


def held_out(eval_seed: int, per_length: int = 100, lengths: Sequence[int] = HELD_OUT_LENGTHS) -> list[Task]:
    """Dev set and test set: `per_length` tasks each of every length, no sequence twice in either, operations equally often.

    No task has a reference. One-operation tasks cannot be kept apart from the anchor: see `one_operation`.
    """
    rng = rng_of("listprograms/held_out", eval_seed)
    taken: set[OperationNames] = set()
    out: list[Task] = []
    splits: tuple[Split, Split] = ("dev", "test")
    for split in splits:
        for length in lengths:
            out += _balanced(length, per_length, split, taken, rng)
    return out


def one_operation(eval_seed: int) -> list[Task]:
    """One task for each operation, to be reported apart: their sequences are in the anchor too. Split `test`."""
    rng = rng_of("listprograms/one_operation", eval_seed)
    out: list[Task] = []
    for op in OPERATIONS:
        task = None
        while task is None:
            task = make_task((_step(op.name, rng),), "test")
        out.append(task)
    return out


def propose(
    seed: int,
    n: int,
    lengths: Mapping[int, float],
    exclude: Collection[OperationNames] = frozenset(),
    weights: Mapping[str, float] | None = None,
) -> tuple[list[Task], int]:
    """`n` fresh tasks without solutions, sorted by id, and how many draws `exclude` refused; operations equally likely, or by `weights`.

    `lengths`: share of the tasks by operation count (any positive scale). `exclude`: held-out operation sequences, as
    `sequence_of` gives them; sequences of one operation are never refused. Raises DataError where a length has no
    further task.
    """
    rng = rng_of("listprograms/propose", seed)
    found: dict[str, Task] = {}
    refused = 0
    for length in _spread(lengths, n):
        for _ in range(_PATIENCE):
            names = drawn(length, rng, weights)
            if length > 1 and names in exclude:
                refused += 1
                continue
            task = _admitted(names, rng, (), "train")
            if task is not None and task.id not in found:
                break
        else:
            raise DataError(f"propose: no further task of {length} operations after {len(found)} of {n}; ask for fewer")
        found[task.id] = task
    return [found[name] for name in sorted(found)], refused


def _prompt(chain: Chain) -> str:
    return "\n".join([_FIRST, *(f"- {english(step)}" for step in chain), f"- {_LAST}", ""])


def _step(name: str, rng: random.Random) -> Step:
    arguments = BY_NAME[name].arguments
    return Step(name, rng.choice(arguments) if arguments else None)


def _admitted(
    names: OperationNames, rng: random.Random, exclude: Collection[OperationNames], split: Split
) -> Task | None:
    """The task of these operations with drawn arguments; None where it is excluded or its tests would be too weak."""
    if len(names) > 1 and names in exclude:
        return None
    return make_task(tuple(_step(name, rng) for name in names), split)


def _balanced(length: int, n: int, split: Split, taken: set[OperationNames], rng: random.Random) -> list[Task]:
    """`n` tasks of one length; always the least used operations next, with more slack the longer none is admitted."""
    used = dict.fromkeys((op.name for op in OPERATIONS), 0)
    out: list[Task] = []
    while len(out) < n:
        for attempt in range(_PATIENCE):
            slack = 1 + attempt / 50
            chosen = sorted(used, key=lambda name: used[name] + slack * rng.random())[:length]
            rng.shuffle(chosen)
            names = tuple(chosen)
            task = _admitted(names, rng, taken, split)
            if task is not None:
                break
        else:
            raise DataError(f"held_out: no further task of {length} operations after {len(out)} of {n}; ask for fewer")
        taken.add(names)
        out.append(task)
        for name in names:
            used[name] += 1
    return out


def _spread(shares: Mapping[int, float], n: int) -> list[int]:
    """`n` lengths in the given shares, by largest remainder, in ascending order."""
    total = sum(shares.values())
    if total <= 0 or min(shares.values(), default=0) < 0 or any(not 1 <= length <= MAX_LENGTH for length in shares):
        raise DataError(
            f"lengths: {dict(shares)} must map operation counts 1..{MAX_LENGTH} to shares >= 0 of positive sum; fix it"
        )
    return [length for length, count in spread(shares, n).items() for _ in range(count)]


def drawn(length: int, rng: random.Random, weights: Mapping[str, float] | None = None) -> OperationNames:
    """`length` different operations, equally likely, or in proportion to `weights` (of all operations)."""
    if weights is None:
        return tuple(op.name for op in rng.sample(OPERATIONS, length))
    return _weighted_distinct(weights, length, rng)


def _weighted_distinct(weights: Mapping[str, float], length: int, rng: random.Random) -> OperationNames:
    """`length` different names, each drawn in proportion to its weight (at least a trace of one)."""
    left = {name: max(weight, 0.01) for name, weight in weights.items()}
    names: list[str] = []
    for _ in range(length):
        name = rng.choices(list(left), weights=list(left.values()))[0]
        names.append(name)
        del left[name]
    return tuple(names)
