"""A value with its interval, and the resampling that every interval comes from.

Pure numpy; every random draw comes from a seed that the caller gives. Shapes: `P` tasks (or texts), `B` resamples,
`M` metrics.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from selfplay.errors import DataError, EmptyMetric

Floats = NDArray[np.float64]
Z95 = 1.959964
"""Two-sided 95 % point of the normal law, to the digits that published Wilson intervals use."""
KEPT_WEIGHTS = 500_000
"""Largest matrix of weights that is kept, in numbers: 4 MB each, sixteen of them."""

NORMAL_ABOVE = 2000
"""Units above which a mean's interval is taken from the normal law: resampling says the same and costs seconds."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number, its 95 % interval and the number of units (texts, tasks, trials) it rests on."""

    value: float
    lo: float
    hi: float
    n: int = 0

    def __float__(self) -> float:
        """The value alone."""
        return float(self.value)


def wilson(successes: float, n: float, z: float = Z95) -> Estimate:
    """Wilson score interval of a proportion (Wilson 1927); stays inside [0, 1] and has width at 0 and at n.

    Raises EmptyMetric for n = 0: no trials say nothing, and 0.0 would read as a failure.
    """
    if n <= 0:
        raise EmptyMetric(f"wilson: n is {n}, nothing was tried; leave the metric out of this round")
    if not 0 <= successes <= n:
        raise DataError(f"wilson: successes is {successes}, must lie in 0..{n}; check the counts")
    p, zz = successes / n, z * z / n
    centre, half = (p + zz / 2) / (1 + zz), z * math.sqrt(p * (1 - p) / n + zz / (4 * n)) / (1 + zz)
    lo = 0.0 if successes == 0 else max(0.0, centre - half)
    hi = 1.0 if successes == n else min(1.0, centre + half)
    return Estimate(p, lo, hi, int(n))


def resample_weights(units: int, resamples: int, seed: int) -> Floats:
    """Multinomial bootstrap weights (B, P), each row summing to 1: one matrix serves all metrics and both rounds.

    Using the same matrix for two rounds of the same tasks is what makes their difference paired. Not to be written to:
    the matrices asked for last are kept, since drawing one costs more than all that is done with it.
    """
    return (_kept_weights if units * resamples <= KEPT_WEIGHTS else _drawn_weights)(units, resamples, seed)


def _drawn_weights(units: int, resamples: int, seed: int) -> Floats:
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(units, np.full(units, 1.0 / units), size=resamples).astype(np.float64) / units
    weights.flags.writeable = False
    return weights


_kept_weights = lru_cache(maxsize=16)(_drawn_weights)


def interval(value: float, draws_B: Floats, n: int) -> Estimate:
    """95 % percentile interval of the finite draws; always holds the value itself."""
    finite = draws_B[np.isfinite(draws_B)]
    if finite.size == 0:
        return Estimate(value, value, value, n)
    lo, hi = np.quantile(finite, [0.025, 0.975])
    return Estimate(value, min(float(lo), value), max(float(hi), value), n)


def bootstrap_mean(values: ArrayLike, *, resamples: int = 1000, seed: int = 0) -> Estimate:
    """Mean over units, percentile bootstrap interval. NaN units are left out; raises EmptyMetric if none is left."""
    values_P = np.asarray(values, dtype=np.float64).ravel()
    values_P = values_P[np.isfinite(values_P)]
    if values_P.size == 0:
        raise EmptyMetric("bootstrap_mean: no finite value; leave the metric out of this round")
    mean = float(values_P.mean())
    if values_P.size > NORMAL_ABOVE:
        half = Z95 * float(values_P.std(ddof=1)) / math.sqrt(values_P.size)
        return Estimate(mean, mean - half, mean + half, values_P.size)
    draws = resample_weights(values_P.size, resamples, seed) @ values_P
    return interval(mean, draws, values_P.size)


def ratio_of_sums(tops: ArrayLike, bottoms: ArrayLike, *, resamples: int = 1000, seed: int = 0) -> Estimate:
    """sum(tops) / sum(bottoms), such as nats a token, with a percentile bootstrap over units (tasks).

    The bias is of order 1/n. Raises EmptyMetric where the bottoms sum to nothing, DataError on unequal lengths.
    """
    tops_P, bottoms_P = np.asarray(tops, dtype=np.float64), np.asarray(bottoms, dtype=np.float64)
    if tops_P.shape != bottoms_P.shape:
        raise DataError(f"ratio_of_sums: {tops_P.size} against {bottoms_P.size} units; give one of each")
    if tops_P.size == 0 or bottoms_P.sum() <= 0:
        raise EmptyMetric("ratio_of_sums: nothing to divide by; leave the metric out of this round")
    weights = resample_weights(tops_P.size, resamples, seed)
    with np.errstate(invalid="ignore", divide="ignore"):
        draws = (weights @ tops_P) / (weights @ bottoms_P)
    return interval(float(tops_P.sum() / bottoms_P.sum()), draws, tops_P.size)


def paired_delta(now: ArrayLike, first: ArrayLike, *, resamples: int = 1000, seed: int = 0) -> Estimate:
    """Mean of (now - first) over the same units in the same order, with a paired bootstrap interval.

    A unit that is NaN in either round is left out of both. Raises DataError on unequal lengths.
    """
    now_P, first_P = np.asarray(now, dtype=np.float64), np.asarray(first, dtype=np.float64)
    if now_P.shape != first_P.shape:
        raise DataError(
            f"paired_delta: {now_P.shape} against {first_P.shape} units; give the same tasks in the same order"
        )
    return bootstrap_mean(now_P - first_P, resamples=resamples, seed=seed)


def jackknife(value: float, left_out: ArrayLike) -> Estimate:
    """Normal 95 % interval from delete-one values (Efron and Stein 1981): se^2 = (n-1)/n sum (v_i - mean)^2.

    For smooth statistics and U-statistics only. It serves distinct counts rarefied below the sample size, where a
    bootstrap with replacement would draw duplicates and read them as collapse.
    """
    left_P = np.asarray(left_out, dtype=np.float64)
    n = left_P.size
    if n < 2 or not math.isfinite(value):
        return Estimate(value, value, value, n)
    half = Z95 * math.sqrt((n - 1) / n * float(((left_P - left_P.mean()) ** 2).sum()))
    return Estimate(value, value - half, value + half, n)


def holm(p_values: Sequence[float], alpha: float) -> list[bool]:
    """Which hypotheses are rejected at family-wise error alpha (Holm 1979), in the given order; NaN never is."""
    order = sorted((p, i) for i, p in enumerate(p_values) if math.isfinite(p))
    rejected = [False] * len(p_values)
    for step, (p, i) in enumerate(order):
        if p > alpha / (len(order) - step):
            break
        rejected[i] = True
    return rejected


def slope(values: Sequence[float], rounds: Sequence[float] | None = None) -> Estimate:
    """Least-squares slope per round with its 95 % t interval; needs three points, else the interval is infinite."""
    y = np.asarray(values, dtype=np.float64)
    x = np.arange(y.size, dtype=np.float64) if rounds is None else np.asarray(rounds, dtype=np.float64)
    x, y = x[np.isfinite(y)], y[np.isfinite(y)]
    if y.size < 2:
        raise EmptyMetric(f"slope: {y.size} finite points, needs two; wait for another round")
    centred = x - x.mean()
    spread = float((centred**2).sum())
    b = float((centred * y).sum() / spread)
    if y.size < 3:
        return Estimate(b, -math.inf, math.inf, y.size)
    residual = y - y.mean() - b * centred
    half = _t975(y.size - 2) * math.sqrt(float((residual**2).sum()) / (y.size - 2) / spread)
    return Estimate(b, b - half, b + half, y.size)


def _t975(df: int) -> float:
    """97.5 % point of Student's t: table for few degrees of freedom, Cornish-Fisher above (error < 0.001)."""
    table = {1: 12.7062, 2: 4.3027, 3: 3.1824, 4: 2.7764, 5: 2.5706, 6: 2.4469, 7: 2.3646}
    z = Z95
    return table.get(df) or z + (z**3 + z) / (4 * df) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * df**2)
