"""List programs evolved without a model: a harder task, another argument, a sibling; the tests follow from the steps.

In depth: a step is added, an argument changed, a common operation made a rare one. In breadth: all operations new, at the
same length. A new task is made by `make_task` like any other, so its tests reject the programs that `make_task` rejects.
"""

import random
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from selfplay.records import Task
from selfplay.seeds import rng_of
from selfplay.tasks.base import Evolved
from selfplay.tasks.list_programs.operations import BY_NAME, OPERATIONS, RARE, Chain, Step, read, run
from selfplay.tasks.list_programs.programs import MAX_LENGTH, OperationNames, chain_of, drawn, make_task

WAYS = ("add_step", "change_argument", "rarer", "breadth")
_PATIENCE = 40


@dataclass(frozen=True)
class Drawing:
    """How a new operation is drawn."""

    weights: Mapping[str, float] | None = None
    """Of all operations; None: equally likely."""
    longest: int = MAX_LENGTH
    """No step is added to a chain of this length."""

    def one(self, names: Sequence[str], rng: random.Random) -> str:
        """One of `names`."""
        if self.weights is None:
            return rng.choice(names)
        return rng.choices(names, weights=[max(self.weights.get(name, 0.0), 0.01) for name in names])[0]


def evolve(
    tasks: Sequence[Task],
    *,
    ways: Sequence[str] = WAYS,
    seed: int,
    exclude: Collection[OperationNames] = frozenset(),
    drawing: Drawing | None = None,
) -> list[Evolved]:
    """One evolution a task, its way drawn by seed; in order. Ids of `tasks` and of earlier evolutions are `known`.

    A new task names its parent, its way (`evolved:...`) and its depth (`depth:n`, one more than its parent's). A chain
    that is as long as it may be is evolved in another way than by a step, where `ways` has one.
    """
    known, found, drawing = {task.id for task in tasks}, [], drawing or Drawing()
    for task in tasks:
        rng = rng_of("listprograms/evolve", task.id, seed)
        open_ = [way for way in ways if way != "add_step" or len(chain_of(task)) < drawing.longest] or list(ways)
        way = open_[rng.randrange(len(open_))]
        new, reason = _evolved(task, way, rng, exclude, known, drawing)
        if new is not None:
            known.add(new.id)
        found.append(Evolved(task, way, new, reason))
    return found


def _evolved(
    task: Task,
    way: str,
    rng: random.Random,
    exclude: Collection[OperationNames],
    known: Collection[str],
    drawing: Drawing,
) -> tuple[Task | None, str]:
    reason, parent = "tests_too_weak", chain_of(task)
    for _ in range(_PATIENCE):
        chain, why = _changed(parent, way, rng, drawing)
        if chain is None:
            return None, why
        names = tuple(step.operation for step in chain)
        if len(names) > 1 and names in exclude:
            reason = "held_out"
            continue
        made = make_task(chain)
        if made is None or made.id in known:
            reason = reason if made is None else "known"
            continue
        if all(run(parent, args[0]) == out for args, out in made.check["cases"]):
            continue  # such as another number appended and dropped again: the parent's program would pass
        depth = int(task.tag("depth") or 0) + 1
        tags = (*made.tags, f"evolved:{way}", f"depth:{depth}")
        return made.model_copy(update={"tags": tags, "parents": (task.id,), "source": "listprograms/evolved"}), ""
    return None, reason


def _changed(chain: Chain, way: str, rng: random.Random, drawing: Drawing) -> tuple[Chain | None, str]:
    """The chain evolved in one way, or None and why it cannot be."""
    unused = [op.name for op in OPERATIONS if op.name not in {step.operation for step in chain}]
    if way == "add_step":
        if len(chain) >= drawing.longest:
            return None, "too_long"
        at = rng.randrange(len(chain) + 1)
        return (*chain[:at], _step(drawing.one(unused, rng), rng), *chain[at:]), ""
    if way == "change_argument":
        places = [n for n, step in enumerate(chain) if step.argument is not None]
        if not places:
            return None, "no_argument"
        at = rng.choice(places)
        return (*chain[:at], _step(chain[at].operation, rng, chain[at].argument), *chain[at + 1 :]), ""
    if way == "rarer":
        places = [n for n, step in enumerate(chain) if step.operation not in RARE] or list(range(len(chain)))
        at = rng.choice(places)
        return (*chain[:at], _step(drawing.one([u for u in unused if u in RARE], rng), rng), *chain[at + 1 :]), ""
    return tuple(_step(name, rng) for name in drawn(len(chain), rng, drawing.weights)), ""


def _step(name: str, rng: random.Random, but: int | None = None) -> Step:
    choices = [k for k in BY_NAME[name].arguments if k != but]
    return Step(name, rng.choice(choices) if choices else None)


def read_program(text: str) -> Chain:
    """The steps of a program in the anchor's form, read from its comments; empty for a stub."""
    found = []
    for line in text.splitlines():
        with suppress(ValueError):
            found.append(read(line.strip().removeprefix("# ")))
    return tuple(found)
