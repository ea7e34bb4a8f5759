"""A value with its 95 % interval. One function for each kind of quantity, so that every interval of a kind is the same.

| quantity | function | interval |
|---|---|---|
| count of successes | `wilson` | Wilson 1927 |
| mean of what lies in a range: pass@k, shares, heterozygosity | `bounded_mean` | Wilson's, on the effective number of tasks |
| its paired change between rounds | `paired_delta` with `span` | Tango 1998, on matched moments |
| mean or ratio without a bound: nats, lengths | `mean_of`, `ratio_of_sums`, `paired_delta` | Hall 1992 |
| quantile | `quantile_of` | order statistics, exact |
| distinct counts, U-statistics | `jackknife` | Efron and Stein 1981 |

`benchmarks/interval_coverage.py` simulates how often each holds the truth. Where no interval does, the ends are infinite
and `Estimate.keyed` leaves them out. Pure numpy, nothing is drawn at random. Shapes: `P` units (tasks, or texts).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from selfplay.errors import DataError, EmptyMetric

Floats = NDArray[np.float64]
Z95 = 1.959964
"""Two-sided 95 % point of the normal law, to the digits that published Wilson intervals use."""
FEWEST = 40
"""Units below which a mean without a bound has no interval: its spread cannot be told from so few."""
FEWEST_BOUNDED = 8
"""Units below which the spread of a bounded mean is not estimated: each counts as one trial, with a wider interval."""
EQUAL = 1e-15
"""Variance of a share up to which its delete-one values are equal, but for rounding."""
RARE_LOWER = (0.0, 0.0513, 0.3554, 0.8177)
"""95 % lower bounds of a Poisson mean after 0, 1, 2 and 3 events."""
RARE_SHARE = 0.25
"""Share of rare events up to which these bounds are used."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number, its 95 % interval and the number of units (texts, tasks, trials) it rests on."""

    value: float
    lo: float
    """-infinity, with `hi` infinity, where there is no interval."""
    hi: float
    n: int = 0

    def __float__(self) -> float:
        """The value alone."""
        return float(self.value)

    def keyed(self, key: str) -> dict[str, float]:
        """The value as `key` and, where there is an interval, its ends as `key_lo` and `key_hi`."""
        ends = {f"{key}_lo": self.lo, f"{key}_hi": self.hi}
        return {key: self.value, **(ends if math.isfinite(self.hi - self.lo) else {})}


def _between(value: float, lo: float, hi: float, n: float) -> Estimate:
    """The interval, widened to hold its value; none where it is not finite or has no width, which would read as certainty."""
    if not (math.isfinite(hi - lo) and lo < hi):
        return Estimate(value, -math.inf, math.inf, int(n))
    return Estimate(value, min(lo, value), max(hi, value), int(n))


# ---- shares and other bounded quantities ----


def wilson(successes: float, n: float, z: float = Z95) -> Estimate:
    """Wilson score interval of a proportion (Wilson 1927); stays inside [0, 1] and has width at 0 and at n.

    For independent trials: attempts at one task are not, see `bounded_mean`. Where about 0.2 successes or failures are
    expected it holds the truth in 83 % only, which `bounded_mean` mends. Raises EmptyMetric for n = 0: no trials say
    nothing, and 0.0 would read as a failure.
    """
    if n <= 0:
        raise EmptyMetric(f"wilson: n is {n}, nothing was tried; leave the metric out of this round")
    if not 0 <= successes <= n < math.inf:
        raise DataError(f"wilson: successes is {successes}, must lie in 0..{n}; check the counts")
    p, zz = successes / n, z * z / n
    centre, half = (p + zz / 2) / (1 + zz), z * math.sqrt(p * (1 - p) / n + zz / (4 * n)) / (1 + zz)
    lo = 0.0 if successes == 0 else max(0.0, centre - half)
    hi = 1.0 if successes == n else min(1.0, centre + half)
    return Estimate(p, lo, hi, int(n))


def _rare_aware(p: float, n: float, z: float) -> tuple[float, float]:
    """Wilson's ends, with the Poisson bound after up to three rare events in place of his (Brown, Cai and DasGupta 2001)."""
    plain = wilson(p * n, n, z)

    def least(rate: float, lower: float) -> float:
        events = rate * n
        if rate > RARE_SHARE or events > len(RARE_LOWER) - 1:
            return lower
        return min(lower, float(np.interp(events, range(len(RARE_LOWER)), RARE_LOWER)) / n)

    return least(p, plain.lo), 1 - least(1 - p, 1 - plain.hi)


def bounded_mean(
    values: ArrayLike, weights: ArrayLike | None = None, *, low: float = 0.0, high: float = 1.0, trials: float = 1.0
) -> Estimate:
    """Weighted mean over units of a quantity that lies in [low, high], with a score interval that stays there.

    Wilson's interval on the effective number of trials p(1-p)/variance (Korn and Graubard 1998), with Student's t. The
    effective number is at most `trials` a unit: independent draws that a unit's value is an average of (attempts over k
    for pass@k); so a unit not yet met may be as far off as one trial. Values all at one end count as one trial a unit.
    `weights`: 0 leaves a unit out, such as a task without right attempts. NaN units are left out. Raises EmptyMetric
    where nothing is left, DataError for values outside the range.
    """
    x, w = _weighted("bounded_mean", values, weights)
    share = (x - low) / (high - low)
    if share.min() < -1e-9 or share.max() > 1 + 1e-9:
        raise DataError(f"bounded_mean: values from {x.min():g} to {x.max():g}, must lie in {low:g}..{high:g}")
    share = np.where(share < 1e-9, 0.0, np.where(share > 1 - 1e-9, 1.0, share))
    p = float((share * w).sum() / w.sum())
    n, z = _effective_trials(share, w, p, trials)
    lo, hi = _rare_aware(p, n, z)
    return _between(low + p * (high - low), low + lo * (high - low), low + hi * (high - low), x.size)


def _weighted(where: str, values: ArrayLike, weights: ArrayLike | None) -> tuple[Floats, Floats]:
    """Finite values of positive weight, and their weights."""
    x = np.asarray(values, dtype=np.float64).ravel()
    w = np.ones(x.size) if weights is None else np.asarray(weights, dtype=np.float64).ravel()
    if x.shape != w.shape:
        raise DataError(f"{where}: {x.size} values but {w.size} weights; give one of each")
    kept = np.isfinite(x) & (w > 0)
    if not kept.any():
        raise EmptyMetric(f"{where}: no finite value; leave the metric out of this round")
    return x[kept], w[kept]


def _effective_trials(share: Floats, w: Floats, p: float, trials: float) -> tuple[float, float]:
    """The effective number of trials behind a mean of shares, and the two-sided 95 % point that goes with it."""
    units = float(w.sum() ** 2 / (w**2).sum())
    if units < FEWEST_BOUNDED:
        return units, t975(max(1, int(units) - 1))
    if p in (0.0, 1.0) or bool(np.all((share == 0) | (share == 1))):
        return units, Z95
    variance = float((w**2 * (share - p) ** 2).sum()) / float(w.sum()) ** 2 * units / (units - 1)
    most = units * max(1.0, trials)
    telling = min(
        int(units), int((share > 0).sum()), int((share < 1).sum())
    )  # those that show how far a unit may be off
    return min(p * (1 - p) / variance, most) if variance > 0 else most, t975(max(3, telling - 1))


def tango(gained: float, lost: float, n: float, z: float = Z95) -> Estimate:
    """Difference of two paired proportions, (gained - lost)/n, with Tango's score interval (Tango 1998).

    `gained`, `lost`: units that are right in one round only, of `n` units in both; real numbers are allowed. It holds the
    truth at few discordant pairs, where a bootstrap has no width, and is mirrored when the rounds change places. Raises EmptyMetric for n = 0.
    """
    if n <= 0:
        raise EmptyMetric(f"tango: n is {n}, nothing is paired; leave the metric out of this round")
    if not (gained >= 0 and lost >= 0 and gained + lost <= n * (1 + 1e-9) and n < math.inf):
        raise DataError(f"tango: gained {gained} and lost {lost} of n = {n}; check the counts")
    lo, hi = -_tango_upper(lost, gained, n, z), _tango_upper(gained, lost, n, z)
    return _between((gained - lost) / n, lo, hi, n)


def _tango_upper(gained: float, lost: float, n: float, z: float) -> float:
    """The largest difference that the score test does not reject, by bisection."""
    lo, hi = (gained - lost) / n, 1.0
    for _ in range(36):
        middle = (lo + hi) / 2
        b = (2 * n - gained + lost) * middle - gained - lost
        only_lost = (math.sqrt(max(b * b + 8 * n * lost * middle * (1 - middle), 0.0)) - b) / (4 * n)
        variance = n * (2 * only_lost + middle * (1 - middle))
        held = (gained - lost - n * middle) >= -z * math.sqrt(max(variance, 0.0))
        lo, hi = (middle, hi) if held else (lo, middle)
    return hi


def paired_delta(
    now: ArrayLike,
    first: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    span: float | None = None,
    trials: float = 1.0,
) -> Estimate:
    """Mean of (now - first) over the same units in the same order.

    `span`: largest possible change of one unit (1 for shares), or None if there is no bound. With a span the interval is
    `tango`'s for the law on {-r, 0, r} that has the changes' first two moments: for 0 and 1 it is Tango's own.
    Without one it is that of `mean_of`. `trials` as for `bounded_mean`: r is at least span/trials. A unit that is NaN
    in either round is left out. Raises DataError on unequal lengths, EmptyMetric where nothing is left.
    """
    now_P, first_P = np.asarray(now, dtype=np.float64).ravel(), np.asarray(first, dtype=np.float64).ravel()
    if now_P.shape != first_P.shape:
        raise DataError(
            f"paired_delta: {now_P.size} against {first_P.size} units; give the same tasks in the same order"
        )
    change, w = _weighted("paired_delta", now_P - first_P, weights)
    if span is None:
        return ratio_of_sums(change * w, w)
    units = float(w.sum() ** 2 / (w**2).sum())
    each = change * w / w.sum() * units / span
    moved, squared, total = float(np.abs(each).sum()), float((each**2).sum()), float(each.sum())
    least = 1 / max(1.0, trials) if units >= FEWEST_BOUNDED else 1.0
    step = min(1.0, max(squared / moved, least)) if moved > 0 else 1.0
    either = min(units, max(abs(total) / step, squared / step**2))
    z = Z95 if step > 1 - 1e-9 or units < FEWEST_BOUNDED else t975(int(units) - 1)
    gained, lost = (max(0.0, (either + sign * total / step) / 2) for sign in (1, -1))
    found = tango(gained, lost, units, z)
    scale = step * span
    return _between(found.value * scale, found.lo * scale, found.hi * scale, change.size)


# ---- quantities without a bound ----


def mean_of(values: ArrayLike, *, fewest: int = FEWEST, least: float = -math.inf) -> Estimate:
    """Mean over units of a quantity without an upper bound: see `ratio_of_sums`. NaN units are left out."""
    x, w = _weighted("mean_of", values, None)
    return ratio_of_sums(x, w, fewest=fewest, least=least)


def ratio_of_sums(tops: ArrayLike, bottoms: ArrayLike, *, fewest: int = FEWEST, least: float = -math.inf) -> Estimate:
    """sum(tops) / sum(bottoms), such as nats a token, with Hall's interval over units (tasks, texts).

    Hall 1992: Student's t after a cubic transformation that takes the skew out; on the linearised residuals. A plain t
    or a percentile bootstrap misses the long tail of nats and lengths. No interval below `fewest` units or where all
    are equal. `least`: what the quantity cannot fall below. Units that are not finite are left out. Raises
    EmptyMetric where the bottoms sum to nothing,
    DataError on unequal lengths.
    """
    tops_P, bottoms_P = np.asarray(tops, dtype=np.float64).ravel(), np.asarray(bottoms, dtype=np.float64).ravel()
    if tops_P.shape != bottoms_P.shape:
        raise DataError(f"ratio_of_sums: {tops_P.size} against {bottoms_P.size} units; give one of each")
    finite = np.isfinite(tops_P) & np.isfinite(bottoms_P)
    tops_P, bottoms_P = tops_P[finite], bottoms_P[finite]
    if tops_P.size == 0 or not bottoms_P.sum() > 0:
        raise EmptyMetric("ratio_of_sums: nothing to divide by; leave the metric out of this round")
    value, n = float(tops_P.sum() / bottoms_P.sum()), tops_P.size
    residual = (tops_P - value * bottoms_P) / float(bottoms_P.mean())
    spread = float(residual.std())
    if n < max(2, fewest) or not spread > 1e-12 * max(1.0, abs(value)):
        return _between(value, value, value, n)
    skew, reach = float((residual**3).mean()) / spread**3, t975(n - 1) / math.sqrt(n)
    down, up = (spread * math.sqrt(n / (n - 1)) * _hall(skew, n, y) for y in (reach, -reach))
    return _between(value, max(least, value - down), value - up, n)


def _hall(skew: float, n: int, y: float) -> float:
    """The studentised deviation whose transform u + g u^2/3 + g^2 u^3/27 + g/(6n) is y, with skew g."""
    if abs(skew) < 1e-6:
        return y
    return 3 / skew * (float(np.cbrt(1 + skew * (y - skew / (6 * n)))) - 1)


def quantile_of(values: ArrayLike, q: float) -> Estimate:
    """Quantile (linear between order statistics) with the exact order-statistic interval (Thompson 1936).

    The ranks r and s are those that a binomial(n, q) leaves with at most 2.5 % on each side, whatever the law of the
    values. No interval where the sample is too small for one: below 36 values for q = 0.9, 368 for 0.99.
    """
    x = np.sort(_weighted("quantile_of", values, None)[0])
    if not 0 < q < 1:
        raise DataError(f"quantile_of: q is {q}, must lie between 0 and 1")
    below = np.cumsum(_binomial(x.size, q))  # P(B <= i)
    lower = int(np.searchsorted(below, 0.025, side="right"))  # the rank r with P(B <= r - 1) at most 2.5 %
    upper = int(np.searchsorted(below, 0.975)) + 1  # the rank s with P(B >= s) at most 2.5 %
    value = float(np.quantile(x, q))
    ends = (float(x[lower - 1]), float(x[upper - 1])) if lower >= 1 and upper <= x.size else (value, value)
    return _between(value, *ends, x.size)


def _binomial(n: int, q: float) -> Floats:
    """Chances of 0..n successes."""
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])
    i = np.arange(n + 1)
    return np.asarray(np.exp(logs[n] - logs[i] - logs[n - i] + i * math.log(q) + (n - i) * math.log1p(-q)))


def jackknife(value: float, left_out: ArrayLike, *, share: bool = False) -> Estimate:
    """95 % interval from delete-one values (Efron and Stein 1981): se^2 = (n-1)/n sum (v_i - mean)^2.

    For smooth statistics and U-statistics only. It serves distinct counts rarefied below the sample size, where a
    bootstrap with replacement would draw duplicates and read them as collapse. `share`: the value lies in [0, 1], and the
    interval is Wilson's on the effective number of trials, which has width at 0 and 1; else it is Student's t.
    """
    left_P = np.asarray(left_out, dtype=np.float64)
    n = left_P.size
    if n < 2 or not (math.isfinite(value) and np.isfinite(left_P).all()):
        return _between(value, value, value, n)
    variance = (n - 1) / n * float(((left_P - left_P.mean()) ** 2).sum())
    if not share:
        half = t975(n - 1) * math.sqrt(variance)
        return _between(value, value - half, value + half, n)
    p = min(1.0, max(0.0, value))
    trials = p * (1 - p) / variance if variance > EQUAL and 0 < p < 1 else n
    return _between(value, *_rare_aware(p, trials, t975(n - 1)), n)


# ---- tests and trends ----


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
    """Least-squares slope per round with its 95 % t interval; needs three points, else the interval is infinite.

    The interval takes the points as independent, which rounds of one run are not: each builds on the last, and the interval
    then holds the truth half of the time. Use it for means over seeds.
    """
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
    half = t975(y.size - 2) * math.sqrt(float((residual**2).sum()) / (y.size - 2) / spread)
    return Estimate(b, b - half, b + half, y.size)


def t975(df: int) -> float:
    """97.5 % point of Student's t for df >= 1: table for few degrees of freedom, Cornish-Fisher above (error < 0.001)."""
    table = {1: 12.7062, 2: 4.3027, 3: 3.1824, 4: 2.7764, 5: 2.5706, 6: 2.4469, 7: 2.3646}
    z = Z95
    return table.get(df) or z + (z**3 + z) / (4 * df) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * df**2)
