"""A source with a finite pool of tasks, which is drawn from without repetition."""

import random
from collections.abc import Mapping, Sequence
from itertools import zip_longest

from selfplay.records import Task
from selfplay.seeds import rng_of
from selfplay.tasks.base import Fixed, Proposal, Source
from selfplay.tasks.levels import UNTRIED, spread


class PoolSource(Source):
    """A finite pool of training tasks with its held-out parts. Its levels are those that a training task is tagged with.

    `filtered`: training tasks that are not in the pool because they are held out, or ask the same as a held-out one.
    """

    def __init__(self, pool: Sequence[Task], fixed: Fixed, filtered: int = 0) -> None:
        self.pool, self.fixed, self._filtered = list(pool), fixed, filtered
        self.levels = {task.difficulty for task in self.pool if task.difficulty is not None}

    def propose(self, count: int | None, shares: Mapping[int, float] | None, seed: int) -> Proposal:
        """See `Source.propose` and `draw`."""
        return Proposal(draw(self.pool, count, seed, shares), self._filtered)


def draw(pool: Sequence[Task], count: int | None, seed: int, shares: Mapping[int, float] | None = None) -> list[Task]:
    """`count` tasks of a pool without repetition, by seed; all where count is None or too large; sorted by id.

    `shares`: share of the tasks at each level of difficulty; then no task of another level is drawn. What one level is
    short of, the others give, those with the largest share first: the round is smaller only where all of them are used up.
    """
    if shares is not None:
        pool = _drawn_at(pool, len(pool) if count is None else count, shares, rng_of("draw/levels", seed))
    elif count is not None and count < len(pool):
        pool = rng_of("draw", seed).sample(sorted(pool, key=lambda task: task.id), count)
    return sorted(pool, key=lambda task: task.id)


def _drawn_at(pool: Sequence[Task], count: int, shares: Mapping[int, float], rng: random.Random) -> list[Task]:
    """See `draw`. Within a level, tasks that were tried before and tasks that were not take turns while there are both."""
    groups: dict[int, list[Task]] = {level: [] for level in shares}
    for task in rng.sample(sorted(pool, key=lambda task: task.id), len(pool)):
        if task.difficulty in groups:
            groups[task.difficulty].append(task)
    for level, tasks in groups.items():
        parts = [[t for t in tasks if (UNTRIED in t.tags) == new] for new in (False, True)]
        groups[level] = [task for pair in zip_longest(*parts) for task in pair if task is not None]
    wanted = spread(shares, count)
    taken = [task for level, number in wanted.items() for task in groups[level][:number]]
    by_share = sorted(shares, key=lambda level: -shares[level])
    left = [task for level in by_share for task in groups[level][wanted[level] :]]
    return [*taken, *left[: count - len(taken)]]
