"""Exact and small-sample tests of a change on the same tasks, one-sided, and the smallest fall that a dev set shows.

Pure numpy. Arrays may have leading axes (many runs at once); tests act on the last one or elementwise.
"""

import math
from typing import Any

import numpy as np

from selfplay.collapse.estimate import Z95, Estimate, Floats
from selfplay.errors import DataError, EmptyMetric

ITERATIONS = 500
"""Most steps of the continued fraction; it converges in about the square root of its larger parameter."""
TINY = 1e-300
MOST_TASKS = 1_000_000
"""Largest dev set that `dev_tasks_needed` tries."""

_log_gamma = np.vectorize(math.lgamma, otypes=[np.float64])


def beta_cdf(a: Any, b: Any, x: Any) -> Floats:
    """Regularised incomplete beta function I_x(a, b), elementwise, for a, b > 0 and x in [0, 1].

    Lentz's continued fraction (Press et al., Numerical Recipes, 6.4); the relative error is below 1e-12.
    """
    a, b, x = (np.array(part, np.float64) for part in np.broadcast_arrays(a, b, x))
    swapped = x > (a + 1) / (a + b + 2)
    a, b, x = np.where(swapped, b, a), np.where(swapped, a, b), np.where(swapped, 1 - x, x)
    with np.errstate(divide="ignore", invalid="ignore"):
        front = _log_gamma(a + b) - _log_gamma(a) - _log_gamma(b) + a * np.log(x) + b * np.log1p(-x)
        value = np.where(x > 0, np.exp(front) * _fraction(a, b, x) / a, 0.0)
    return np.clip(np.where(swapped, 1 - value, value), 0.0, 1.0)


def _fraction(a: Floats, b: Floats, x: Floats) -> Floats:
    """The continued fraction of the incomplete beta function, by the modified method of Lentz."""
    c = np.ones_like(x)
    d = 1 / _apart(1 - (a + b) * x / (a + 1))
    h = d.copy()
    for m in range(1, ITERATIONS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d, c = 1 / _apart(1 + even * d), _apart(1 + even / c)
        h *= d * c
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d, c = 1 / _apart(1 + odd * d), _apart(1 + odd / c)
        step = d * c
        h *= step
        if bool(np.all(np.abs(step - 1) < 1e-13)):
            break
    return h


def _apart(values: Floats) -> Floats:
    """The values, kept away from 0."""
    return np.where(np.abs(values) < TINY, TINY, values)


def sign_test(lost: Any, gained: Any) -> Floats:
    """Exact one-sided p of "no more tasks are lost than gained" (McNemar's exact test): P(X >= lost), X ~ Bin(lost + gained, 1/2).

    1 where no task is lost; 0.5^lost where none is gained, so never a certainty.
    """
    lost, gained = (np.asarray(part, np.float64) for part in np.broadcast_arrays(lost, gained))
    p = beta_cdf(np.maximum(lost, 1), gained + 1, 0.5)
    return np.where(lost > 0, p, 1.0)


def student_upper(t: Any, freedom: Any) -> Floats:
    """P(T > t) for Student's t with `freedom` degrees of freedom (at least 1)."""
    t, freedom = (np.asarray(part, np.float64) for part in np.broadcast_arrays(t, freedom))
    tail = 0.5 * beta_cdf(freedom / 2, 0.5, freedom / (freedom + t * t))
    return np.where(t > 0, tail, 1 - tail)


def mean_fell(change: Floats, margin: float = 0.0, fewest: int = 5) -> Floats:
    """One-sided p of "the mean change over tasks is at least -margin", by a paired t test; over the last axis.

    NaN tasks are left out. Degrees of freedom are those of the tasks that changed, less one: where few change, the
    spread is known from few. 1 with fewer than `fewest` of them. Equal changes have no spread: there, the sign test.
    """
    there = ~np.isnan(change)
    known = np.where(there, change, 0.0)
    n, moved = there.sum(-1), (known != 0).sum(-1)
    many = np.maximum(n, 2)
    mean = known.sum(-1) / many
    spread = np.sqrt(np.maximum((known * known).sum(-1) - many * mean * mean, 0) / (many - 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(spread > 1e-9, (-mean - margin) / (spread / np.sqrt(many)), 0.0)
    p = student_upper(t, np.maximum(moved - 1, 1))
    same = np.where(mean < -margin, sign_test((known < 0).sum(-1), (known > 0).sum(-1)), 1.0)
    return np.where((moved >= fewest) & (n >= 2), np.where(spread > 1e-9, p, same), 1.0)


# ---- what a dev set can show ----


def fall_power(tasks: int, fall: float, discordance: float, alpha: float) -> float:
    """Exact power of the sign test on `tasks` tasks against a true fall of the mean by `fall`.

    `discordance`: share of tasks whose outcome differs between two rounds of an unchanged student, half of it each way;
    the fall is lost on top of it. Sums over the number of tasks that differ and over those lost.
    """
    lost, gained = discordance / 2 + fall, discordance / 2
    differ = min(1.0, lost + gained)
    if tasks < 1 or differ <= 0:
        return 0.0
    mean, reach = tasks * differ, 8 * math.sqrt(tasks * differ * (1 - differ)) + 8
    m = np.arange(max(0, math.floor(mean - reach)), min(tasks, math.ceil(mean + reach)) + 1, dtype=np.float64)
    log_chance = _log_choose(tasks, m) + _log_power(differ, m) + _log_power(1 - differ, tasks - m)
    critical = _critical(m, alpha)
    share = lost / (lost + gained)
    reached = np.where(critical <= m, beta_cdf(np.maximum(critical, 1), np.maximum(m - critical, 0) + 1, share), 0.0)
    return float((np.exp(log_chance) * reached).sum())


def _log_choose(n: float, k: Floats) -> Floats:
    return np.asarray(math.lgamma(n + 1) - _log_gamma(k + 1) - _log_gamma(n - k + 1))


def _log_power(base: float, power: Floats) -> Floats:
    return np.where(power > 0, power * math.log(base), 0.0) if base > 0 else np.where(power > 0, -np.inf, 0.0)


def _critical(m: Floats, alpha: float) -> Floats:
    """For each number of tasks that differ, the fewest lost at which the sign test reaches `alpha`; m + 1 where none does."""
    low, high = np.ceil(m / 2), m + 1
    while bool(np.any(low < high)):
        middle = np.floor((low + high) / 2)
        reached = (middle <= m) & (sign_test(middle, np.maximum(m - middle, 0)) <= alpha)
        low, high = np.where(reached, low, np.minimum(middle + 1, high)), np.where(reached, middle, high)
    return high


def minimum_detectable_fall(tasks: int, *, alpha: float, discordance: float = 0.1, power: float = 0.8) -> float | None:
    """The smallest fall of the mean, a multiple of 0.005, that the sign test sees with this power; None if it sees no fall at all.

    Raises DataError if `discordance` is not in [0, 1), or `power` not in (0, 1).
    """
    _checked(discordance, power)
    steps = int((1 - discordance / 2) / 0.005)
    if tasks < 1 or fall_power(tasks, steps * 0.005, discordance, alpha) < power:
        return None
    low, high = 0, steps
    while high - low > 1:
        middle = (low + high) // 2
        enough = fall_power(tasks, middle * 0.005, discordance, alpha) >= power
        low, high = (low, middle) if enough else (middle, high)
    return round(high * 0.005, 3)


def tasks_needed(fall: float, *, alpha: float, discordance: float = 0.1, power: float = 0.8) -> int:
    """The fewest tasks on which the sign test sees a fall of the mean by `fall` with this power.

    Raises DataError if `fall` or `power` is not in (0, 1), `discordance` not in [0, 1), or if a million tasks are too few for it.
    """
    _checked(discordance, power)
    if not 0 < fall < 1:
        raise DataError(f"tasks needed: fall is {fall}; give a fall of the mean between 0 and 1, such as 0.1")
    high = 8
    while fall_power(high, fall, discordance, alpha) < power:
        high *= 2
        if high > MOST_TASKS:
            raise DataError(f"tasks needed: a fall of {fall} needs more than {MOST_TASKS} tasks; give a larger fall")
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        enough = fall_power(middle, fall, discordance, alpha) >= power
        low, high = (low, middle) if enough else (middle, high)
    return high


def _checked(discordance: float, power: float) -> None:
    if not 0 <= discordance < 1:
        raise DataError(f"smallest fall: discordance is {discordance}; give a share of the tasks from 0 to below 1")
    if not 0 < power < 1:
        raise DataError(f"smallest fall: power is {power}; give a chance between 0 and 1, such as 0.8")


def paired_change(lost: int, gained: int, tasks: int) -> Estimate:
    """Change of a share on the same tasks, with the 95 % interval of Bonett and Price (2012), which has width at every count.

    Raises EmptyMetric without tasks.
    """
    if tasks <= 0:
        raise EmptyMetric("paired change: no task in both rounds; leave the metric out of this round")
    fewer, more = (lost + 1) / (tasks + 2), (gained + 1) / (tasks + 2)
    half = Z95 * math.sqrt((fewer + more - (more - fewer) ** 2) / (tasks + 2))
    value = (gained - lost) / tasks
    return Estimate(value, max(-1.0, min(value, more - fewer - half)), min(1.0, max(value, more - fewer + half)), tasks)
