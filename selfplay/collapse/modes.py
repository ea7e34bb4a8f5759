"""How many different answers there are: Hill numbers, unseen mass, entropy, and how fast variety is lost.

`counts` is how often each different thing (answer, program, token) was seen. Every diversity number is a function of
the sample size; each docstring says how, and what to hold equal.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from selfplay.collapse.estimate import Floats, slope
from selfplay.collapse.passes import miss_chance
from selfplay.errors import DataError, EmptyMetric


def counts_of(things: Iterable[Any] | Mapping[Any, float]) -> Floats:
    """Positive counts from counts, from a mapping of counts, or from texts (then of their tokens, `str.split`)."""
    if isinstance(things, str):
        things = [things]
    values = list(things.values()) if isinstance(things, Mapping) else list(things)
    if values and isinstance(values[0], str):
        values = list(Counter(token for text in values for token in text.split()).values())
    counts = np.asarray(values, dtype=np.float64).ravel()
    if np.any(counts < 0) or not np.all(np.isfinite(counts)):
        raise DataError("counts: a count is negative or not finite; give how often each thing was seen")
    return counts[counts > 0]


def _some(where: str, counts: Iterable[Any] | Mapping[Any, float]) -> Floats:
    kept = counts_of(counts)
    if kept.size == 0:
        raise EmptyMetric(f"{where}: nothing was counted; leave the metric out of this round")
    return kept


def entropy_bits(counts: Iterable[Any] | Mapping[Any, float]) -> float:
    """Shannon entropy in bits of counts, or of the tokens (`str.split`) of texts; biased low by (S-1)/(2 n ln 2)."""
    kept = _some("entropy_bits", counts)
    p = kept / kept.sum()
    return float(abs(-(p * np.log2(p)).sum()))


def entropy_miller_madow(counts: Iterable[Any] | Mapping[Any, float]) -> float:
    """Shannon entropy in nats with the first-order bias correction (S-1)/(2n) (Miller 1955)."""
    kept = _some("entropy_miller_madow", counts)
    return entropy_bits(kept) * math.log(2) + (kept.size - 1) / (2 * float(kept.sum()))


def hill0_rarefied(counts: Iterable[Any] | Mapping[Any, float], draws: int) -> float:
    """Expected number of different things in `draws` of the sample (Hurlbert 1971): compare at equal draws only."""
    kept = _some("hill0_rarefied", counts)
    total = float(kept.sum())
    if not 1 <= draws <= total:
        raise DataError(f"hill0_rarefied: draws is {draws}, must lie in 1..{total:.0f} (the sample); lower it")
    return float((1.0 - miss_chance(total, kept, draws)).sum())


def hill1(counts: Iterable[Any] | Mapping[Any, float]) -> float:
    """exp of Shannon entropy, plug-in: effective number of things; biased low by about (S-1)/(2n), so keep n equal."""
    return math.exp(entropy_bits(counts) * math.log(2))


def hill2_u(counts: Iterable[Any] | Mapping[Any, float]) -> float:
    """1 / sum c(c-1)/n(n-1): effective number by the unbiased collision chance (Simpson 1949); flat in n.

    Blind to rare things. infinity where nothing was seen twice. Raises EmptyMetric for n < 2.
    """
    kept = _some("hill2_u", counts)
    n = float(kept.sum())
    if n < 2:
        raise EmptyMetric("hill2_u: one thing was seen once, needs n >= 2; leave the metric out of this round")
    collisions = float((kept * (kept - 1)).sum())
    return n * (n - 1) / collisions if collisions else math.inf


def good_turing_unseen(counts: Iterable[Any] | Mapping[Any, float]) -> float:
    """Chance that the next draw is something new: singletons / n (Good 1953). Noisy for small n: pool over tasks."""
    kept = _some("good_turing_unseen", counts)
    return float((kept == 1).sum() / kept.sum())


def chao1(counts: Iterable[Any] | Mapping[Any, float]) -> float:
    """Lower bound on how many different things exist: S + f1 (f1-1) / (2 (f2+1)) (Chao 1984, bias-corrected form)."""
    kept = _some("chao1", counts)
    once, twice = float((kept == 1).sum()), float((kept == 2).sum())
    return kept.size + once * (once - 1) / (2 * (twice + 1))


def heterozygosity(counts: Iterable[Any] | Mapping[Any, float]) -> float:
    """Chance that two draws differ, unbiased: 1 - sum c(c-1)/n(n-1)."""
    return 1.0 - 1.0 / hill2_u(counts)


def effective_population(heterozygosities: Sequence[float]) -> float:
    """N_e in draws a round: -1 / slope of log heterozygosity over rounds (Wright-Fisher decay (1 - 1/N)^t).

    infinity where the slope is 0 or more. It has no interval: rounds of one run build on each other, so that their
    residuals are no independent errors; run it on several seeds. Rounds with heterozygosity 0 or less end the fit: the
    logarithm has nothing to say beyond fixation. Raises EmptyMetric with fewer than two usable rounds.
    """
    usable: list[float] = []
    for h in heterozygosities:
        if not h > 0:
            break
        usable.append(math.log(h))
    if len(usable) < 2:
        raise EmptyMetric("effective_population: needs two rounds with variety left; wait for another round")
    fall = slope(usable).value
    return -1 / fall if fall < 0 else math.inf
