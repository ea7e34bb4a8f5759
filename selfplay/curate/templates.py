"""Finds runs of words that many tasks share (instructions, templates, worked examples), which are no evidence of a leak. Pure.

Words that two protected tasks share show that a text is like the set, not that it repeats one of its tasks; only words that a
single task has show that. A task that is in the set twice counts once, so that it does not hide itself.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from selfplay.textstats.hashing import Hashes
from selfplay.textstats.ngrams import shingles
from selfplay.textstats.words import Words, batches

SEED_WORDS = 6
"""Words (numbers apart) of a run that is counted, and of a seed: a shared seed only makes a pair looked at, so it may be short."""

TEMPLATE_ITEMS = 3
"""From this many protected rows with equal words and different numbers on, the words are a template: such rows are found
with their own numbers only. Two may be a benchmark and its number-changed twin (GSM8K and GSM-Hard)."""

COMMON_TASKS = 2
"""Different protected tasks that make a run of words common."""

COMMON_TRAINING = 10
"""Different training tasks that make a run of words common: more than a leaked question has rewordings."""


def runs_of(hashes: Hashes, offsets: NDArray[np.int64]) -> tuple[Hashes, NDArray[np.int64]]:
    """Hashes of all runs of SEED_WORDS words, and the text of each; texts of fewer words have none."""
    rolled, starts = shingles(hashes, offsets, SEED_WORDS)
    owners = np.repeat(np.arange(len(offsets) - 1), np.diff(starts))
    long = np.diff(offsets)[owners] >= SEED_WORDS if len(owners) else np.zeros(0, bool)
    return rolled[long], owners[long]


def covered(hashes: Hashes, common: Hashes) -> NDArray[np.bool_]:
    """Which words of one text are in a common run."""
    found = np.zeros(len(hashes), np.bool_)
    if len(hashes) >= SEED_WORDS and len(common):
        rolled, _ = shingles(hashes, np.array([0, len(hashes)]), SEED_WORDS)
        for place in np.flatnonzero(_among(rolled, common)).tolist():
            found[place : place + SEED_WORDS] = True
    return found


def without_numbers(block: Words) -> tuple[Hashes, NDArray[np.int64], NDArray[np.int64]]:
    """Hashes of the words that are no numbers, the offsets of the texts in them, and their places among all words."""
    plain = ~block.is_number
    before = np.concatenate([np.zeros(1, np.int64), np.cumsum(plain)])
    return block.hashes[plain], before[block.offsets], np.flatnonzero(plain)


def tasks_of(keys: Sequence[tuple[bytes, str]]) -> list[int]:
    """A number for each row, equal for rows that are one task: `keys` are the words of a row and its numbers.

    Rows with equal words are one task, whatever their numbers, up to TEMPLATE_ITEMS - 1 of them.
    """
    families: dict[bytes, set[str]] = defaultdict(set)
    for words, numbers in keys:
        families[words].add(numbers)
    names: dict[tuple[bytes, str], int] = {}
    return [
        names.setdefault((words, numbers if len(families[words]) >= TEMPLATE_ITEMS or not words else ""), len(names))
        for words, numbers in keys
    ]


def common_runs(
    runs: Hashes, tasks: NDArray[np.int64], least: int, questions: Sequence[Hashes]
) -> tuple[Hashes, list[int]]:
    """Sorted hashes of the runs that `least` tasks or more share, and for each task the one it is a rewording of (else itself).

    `tasks`: the task of each run; `questions`: the words of each task. Two tasks that share all but a few words are one
    task in two wordings, and count once; three such are a template, and count as they are.
    """
    values, counts, order, starts = _by_run(runs, tasks)
    same = list(range(len(questions)))
    scarce = np.flatnonzero((counts >= 2) & (counts <= 2 * (least - 1)))
    shared: dict[tuple[int, int], list[int]] = defaultdict(list)
    for at in scarce.tolist():
        for pair in combinations(order[starts[at] : starts[at + 1]].tolist(), 2):
            shared[pair].append(int(values[at]))
    frequent = values[counts > 2 * (least - 1)]
    twins = [pair for pair, both in shared.items() if _one_task(pair, both, frequent, questions)]
    partners = Counter(task for pair in twins for task in pair)
    for one, other in twins:
        if partners[one] == partners[other] == 1:
            same[other] = one
    merged = np.array(same, np.int64)
    values, counts, _, _ = _by_run(runs, merged[tasks]) if len(runs) else (values, counts, order, starts)
    return values[counts >= least], same


def _by_run(
    runs: Hashes, tasks: NDArray[np.int64]
) -> tuple[Hashes, NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Sorted distinct runs, how many tasks have each, and the tasks in that order with where each run's begin."""
    order = np.lexsort((tasks, runs))
    runs, tasks = runs[order], tasks[order]
    new = np.ones(len(runs), np.bool_)
    new[1:] = (runs[1:] != runs[:-1]) | (tasks[1:] != tasks[:-1])
    runs, tasks = runs[new], tasks[new]
    values, starts, counts = np.unique(runs, return_index=True, return_counts=True)
    return values, counts, tasks, np.append(starts, len(runs))


def _one_task(pair: tuple[int, int], both: Sequence[int], frequent: Hashes, questions: Sequence[Hashes]) -> bool:
    """Whether either task has less than a run of words of its own: then nothing distinguishes the two."""
    least = min(len(questions[task]) for task in pair)
    if not len(frequent) and SEED_WORDS * len(both) < least - SEED_WORDS:
        return False
    known = np.union1d(np.array(both, np.uint64), frequent)
    return all(np.count_nonzero(~covered(questions[task], known)) < SEED_WORDS for task in pair)


def common_in_training(texts: Sequence[str], known: Hashes, least: int) -> Hashes:
    """Those of the sorted runs `known` that stand in `least` different texts or more, sorted. Equal texts count once."""
    found: list[Hashes] = []
    seen: set[bytes] = set()
    for _, block in batches(texts):
        hashes, offsets, _ = without_numbers(block)
        runs, owners = runs_of(hashes, offsets)
        first = np.zeros(len(block), np.bool_)
        for text in range(len(block)):
            key = block.hashes[block.offsets[text] : block.offsets[text + 1]].tobytes()
            first[text] = key not in seen
            seen.add(key)
        sought = first[owners] & _among(runs, known)
        pairs = {(int(run), int(owner)) for run, owner in zip(runs[sought], owners[sought], strict=True)}
        found.append(np.array([run for run, _ in pairs], np.uint64))
    values, counts = np.unique(np.concatenate([np.zeros(0, np.uint64), *found]), return_counts=True)
    return values[counts >= least]


def _among(values: Hashes, known: Hashes) -> NDArray[np.bool_]:
    """Which values are among the sorted `known`."""
    if not len(known):
        return np.zeros(len(values), np.bool_)
    return np.asarray(known[np.minimum(np.searchsorted(known, values), len(known) - 1)] == values)
