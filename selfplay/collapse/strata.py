"""Strata of the dev tasks that round 0 fixes without tags, and pass@n in each: does the tail fall faster than the rest?

A rare task is one with rare words, a long text, or a shape of solution that the anchor seldom shows; the fixed tasks alone decide
that, so no round can move it. A stratum by solve rate is chosen by outcomes. If it were chosen by the attempts that it is then measured
on, luck would be chosen too, and an unchanged student would seem to gain on its hardest tasks (regression to the mean). So one half
of round 0's attempts chooses, and the other half is round 0's value.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from selfplay.collapse.estimate import Estimate, bounded_mean, paired_delta
from selfplay.collapse.passes import miss_chance
from selfplay.textstats.ngrams import stream_of, tally, units_of

FEWEST_TASKS = 8
"""Fewest tasks of a stratum: below it a mean says nothing, and the stratum is left out."""
RARE_SHARE = 0.25
Counts = Mapping[str, tuple[int, int]]
"""Task id -> attempts and right ones."""


def rarest_quarter(values: Sequence[float]) -> list[bool] | None:
    """Which values lie in the highest quarter. Ties stay together, so the share may differ from a quarter, up to a half.

    None where no such cut leaves FEWEST_TASKS on either side: too few values, or nearly all the same.
    """
    if len(values) < 2 * FEWEST_TASKS:
        return None
    bar = float(np.quantile(values, 1 - RARE_SHARE))
    marked = [value >= bar for value in values]
    if sum(marked) > len(values) / 2:
        marked = [value > bar for value in values]
    return marked if FEWEST_TASKS <= sum(marked) <= len(values) / 2 else None


def surprisals(texts: Sequence[str], corpus: Sequence[str]) -> list[float]:
    """Mean of -log p of each text's words, in nats, with p the share of a word in the corpus, one occurrence added to each word.

    Characters take the place of words in scripts without spaces. A text without words has 0: nothing in it is rare.
    """
    units = units_of(corpus or texts)
    hashes, counts = tally(stream_of(corpus, units).tokens)
    stream = stream_of(texts, units)
    place = np.searchsorted(hashes, stream.tokens)
    known = np.append(hashes, 0)[place] == stream.tokens if hashes.size else np.zeros(stream.tokens.size, bool)
    met = np.where(known, np.append(counts, 0)[place], 0)
    nats = np.log(counts.sum() + hashes.size + 1) - np.log(met + 1)
    sums = np.bincount(stream.owners(), nats, len(texts))
    return [float(x) for x in sums / np.maximum(stream.lengths, 1)]


def lengths(texts: Sequence[str]) -> list[float]:
    """Words of each text, or characters in scripts without spaces."""
    return [float(n) for n in stream_of(texts, units_of(texts)).lengths]


def solve_rate_strata(right: Mapping[str, Sequence[bool]]) -> tuple[dict[str, str], dict[str, tuple[int, int]]]:
    """Strata by the solve rate in every second attempt, and (attempts, right ones) of the others, which are round 0's value.

    never: 0, low: up to .25, middle: up to .75, high: above. A task with one attempt has no stratum. `right`: task id -> outcomes in the
    order of sampling.
    """
    strata: dict[str, str] = {}
    rest: dict[str, tuple[int, int]] = {}
    for task, outcomes in right.items():
        if len(outcomes) >= 2:
            chosen, other = outcomes[::2], outcomes[1::2]
            rate = sum(chosen) / len(chosen)
            strata[task] = "never" if rate == 0 else "low" if rate <= 0.25 else "middle" if rate <= 0.75 else "high"
            rest[task] = len(other), sum(other)
    return strata, rest


def pass_at_n_keys(name: str, strata: Mapping[str, str], now: Counts, first: Counts | None) -> dict[str, float]:
    """`collapse_tails/NAME_STRATUM_pass_at_n` with interval and, given round 0's counts, the paired change.

    n is the smallest number of attempts at any of the tasks in either round; more attempts are rarefied to it. Tasks that a round lacks
    are left out of both, and a stratum of fewer than FEWEST_TASKS is left out.
    """
    tasks = [task for task in strata if task in now and (first is None or task in first)]
    if not tasks:
        return {}
    n = min(counts[task][0] for counts in (now, first or now) for task in tasks)
    solved = {task: _solved(now[task], n) for task in tasks}
    before = {task: _solved(first[task], n) for task in tasks} if first is not None else None
    return stratum_keys(f"collapse_tails/{name}", "pass_at_n", strata, solved, before)


def _solved(counts: tuple[int, int], n: int) -> float:
    return float(1.0 - miss_chance(counts[0], counts[1], n))


def stratum_keys(
    prefix: str,
    what: str,
    strata: Mapping[str, str],
    now: Mapping[str, float],
    first: Mapping[str, float] | None,
) -> dict[str, float]:
    """`PREFIX_STRATUM_WHAT` for each stratum: the mean over its tasks, and its paired change where `first` is given.

    Strata `rare` and `common` also give `PREFIX_gap_WHAT`, rare minus common, and its change: below 0 the rare tasks lost more.
    """
    out: dict[str, float] = {}
    values: dict[str, Estimate] = {}
    changes: dict[str, Estimate] = {}
    for stratum in sorted(set(strata.values())):
        tasks = [task for task, name in strata.items() if name == stratum and task in now]
        tasks = [task for task in tasks if first is None or task in first]
        if len(tasks) < FEWEST_TASKS:
            continue
        key = f"{prefix}_{stratum}_{what}"
        values[stratum] = bounded_mean([now[task] for task in tasks])
        out |= values[stratum].keyed(key)
        if first is not None:
            changes[stratum] = paired_delta([now[t] for t in tasks], [first[t] for t in tasks], span=1.0)
            out |= changes[stratum].keyed(f"{key}_delta")
    for found, end in ((values, ""), (changes, "_delta")):
        if {"rare", "common"} <= found.keys():
            out |= difference(found["rare"], found["common"]).keyed(f"{prefix}_gap_{what}{end}")
    return out


def difference(a: Estimate, b: Estimate) -> Estimate:
    """a - b of two independent estimates, its interval from theirs (Newcombe 1998, method 10; Zou and Donner 2008).

    Ends of their own may be asymmetric, as those of a share near 0 or 1 are.
    """
    value = a.value - b.value
    below = math.hypot(a.value - a.lo, b.hi - b.value)
    above = math.hypot(a.hi - a.value, b.value - b.lo)
    return Estimate(value, value - below, value + above, min(a.n, b.n))
