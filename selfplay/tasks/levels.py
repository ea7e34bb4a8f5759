"""Levels of difficulty: which of them a round draws its tasks at, and when the curriculum moves on. Pure.

A task has a level where its source tags it `difficulty:n`. Tasks of a finite pool without that tag get one from their own
record: all that earlier rounds attempted are ranked by their pass rate and cut into as many levels of equal size as the
curriculum has (`end`), the easiest being level 1; tasks of equal pass rate share the easiest level that any of them reaches.
A task that was never attempted is drawn as one of the next level, and has no vote on whether that level is mastered.
"""

from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence

from selfplay.config.tree import Curriculum
from selfplay.errors import DataError
from selfplay.records import Task
from selfplay.tasks.base import Source

Tally = tuple[int, int]
"""Right attempts, and all attempts."""
AT_LEVEL = 0.6
"""Share of the mastered tasks that are drawn at the level itself: what was mastered last is forgotten first."""
UNTRIED = "untried"
"""Tag of a task whose level stands for a pass rate that nobody has measured yet."""


def level_shares(curriculum: Curriculum, level: int, levels: Collection[int]) -> dict[int, float]:
    """Share of a round's tasks by level, sum 1: one and two levels above the current one, and the rest up to it.

    Of the rest most are at the current level and the others below, but none at the easiest level once there is another
    one. `levels`: those that the source has; those above `end` are left out. Raises DataError where none is left.
    """
    level = min(max(level, curriculum.start), curriculum.end)
    within = [one for one in sorted(levels) if one <= curriculum.end]
    if not within:
        raise DataError(f"propose.curriculum: there is no level from 1 to end = {curriculum.end} to draw tasks at")
    mastered, above = [n for n in within if n <= level], [n for n in within if n > level]
    current, below = (mastered or above)[-1 if mastered else 0], mastered[1:-1]
    rest = 1 - curriculum.next_share - curriculum.after_share
    shares = dict.fromkeys(below, rest * (1 - AT_LEVEL) / max(1, len(below)))
    shares[current] = rest * (AT_LEVEL if below else 1.0)
    for place, share in enumerate((curriculum.next_share, curriculum.after_share)):
        one = above[min(place, len(above) - 1)] if above else current
        shares[one] = shares.get(one, 0.0) + share
    return {one: share for one, share in shares.items() if share > 0}


def next_level(curriculum: Curriculum, level: int, right: Mapping[int, Tally]) -> int:
    """The level of the next round: it moves on while `advance_at` of the attempts at the next level tried were right.

    `right`: (right attempts, attempts) of this round's training tasks by level; dev set and test set have no say.
    """
    level = min(max(level, curriculum.start), curriculum.end)
    for one in sorted(right):
        passed, attempts = right[one]
        if not level < one <= curriculum.end or not attempts:
            continue
        if passed / attempts < curriculum.advance_at:
            break
        level = one
    return level


def with_levels(pool: Sequence[Task], tallies: Mapping[str, Tally], curriculum: Curriculum, level: int) -> list[Task]:
    """The tasks of a pool, those without a difficulty tagged by what earlier rounds measured (see above).

    `tallies`: (right attempts, attempts) by task id. `level`: the current one.
    """
    level = min(max(level, curriculum.start), curriculum.end)
    unknown = [task for task in pool if task.difficulty is None]
    failed = {task.id: 1 - _pass_rate(*tallies[task.id]) for task in unknown if tallies.get(task.id, (0, 0))[1]}
    ranked, found = sorted(failed.values()), list[Task]()
    for task in pool:
        tags: tuple[str, ...] = ()
        if task.id in failed:
            tags = (f"difficulty:{1 + curriculum.end * bisect_left(ranked, failed[task.id]) // len(ranked)}",)
        elif task.difficulty is None:
            tags = (f"difficulty:{min(level + 1, curriculum.end)}", UNTRIED)
        found.append(task.model_copy(update={"tags": (*task.tags, *tags)}) if tags else task)
    return found


def _pass_rate(passed: int, attempts: int) -> float:
    """The pass rate with one success and one failure added (Laplace), so that a few attempts do not decide."""
    return (passed + 1) / (attempts + 2)


def check_curriculum(curriculum: Curriculum, source: Source) -> None:
    """Raises DataError where a curriculum cannot draw a single task of the source at a level of its own."""
    if any(task.difficulty is None for task in source.pool):
        return  # such tasks get a level from their pass rate
    levels = sorted(source.levels)
    if not levels:
        raise DataError("propose.curriculum is set, but tasks of this source have no difficulty; remove it")
    if levels[0] > curriculum.end:
        raise DataError(
            f"propose.curriculum.end is {curriculum.end}, but the easiest training task has difficulty {levels[0]}; raise "
            "end, or lower the tasks' difficulties"
        )


def spread(shares: Mapping[int, float], count: int) -> dict[int, int]:
    """`count` split in the given shares (any positive scale) by largest remainder, in ascending order of the keys."""
    total = sum(shares.values())
    exact = {key: count * share / total for key, share in shares.items()}
    counts = {key: int(value) for key, value in exact.items()}
    by_remainder = sorted(exact, key=lambda key: (counts[key] - exact[key], key))
    for key in by_remainder[: count - sum(counts.values())]:
        counts[key] += 1
    return dict(sorted(counts.items()))
