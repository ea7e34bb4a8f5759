"""pass@k and related estimators of k draws from n attempts, always without replacement.

A bootstrap with replacement is biased (one right of 64 gives best@64 = 0.62 instead of 1); everything here is exact
hypergeometric. `n` attempts, `c` right ones, `k` drawn; `P` tasks. All functions take numbers or equal-shaped arrays
unless they say otherwise, and return a float for numbers, an array for arrays.
"""

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import overload

import numpy as np
from numpy.typing import ArrayLike

from selfplay.collapse.estimate import Floats
from selfplay.errors import DataError, EmptyMetric


def miss_chance(n: ArrayLike, c: ArrayLike, k: ArrayLike) -> Floats:
    """C(n-c, k) / C(n, k): the chance that k draws of n hold none of the c. Exact product form, no factorials.

    Arrays broadcast. Cost grows with the largest min(c, k). Callers check the ranges.
    """
    n_P, c_P, k_P = np.broadcast_arrays(*(np.asarray(x, dtype=np.float64) for x in (n, c, k)))
    few, many = np.minimum(c_P, k_P), np.maximum(c_P, k_P)  # the ratio is symmetric in c and k
    log = np.zeros(n_P.shape)
    impossible = many + few > n_P
    for i in range(int(few.max(initial=0))):
        inside = (i < few) & ~impossible
        log += np.log1p(-np.divide(many, n_P - i, out=np.zeros(n_P.shape), where=inside))
    return np.where(impossible, 0.0, np.exp(log))


def _checked(where: str, n: ArrayLike, c: ArrayLike, k: ArrayLike) -> None:
    n_P, c_P, k_P = (np.asarray(x, dtype=np.float64) for x in (n, c, k))
    if n_P.size == 0:
        raise EmptyMetric(f"{where}: no task was given; leave the metric out of this round")
    if np.any(k_P < 1) or np.any(k_P > n_P):
        raise DataError(
            f"{where}: k is {k_P.tolist()}, must lie in 1..n with n = {n_P.tolist()}; draw more attempts or ask for a smaller k"
        )
    if np.any(c_P < 0) or np.any(c_P > n_P):
        raise DataError(f"{where}: c is {c_P.tolist()}, must lie in 0..n with n = {n_P.tolist()}; check the counts")


def _same_kind(result: Floats, *given: ArrayLike) -> float | Floats:
    return float(result) if all(np.ndim(x) == 0 for x in given) else result


@overload
def pass_at_k(n: int, c: int, k: int) -> float: ...
@overload
def pass_at_k(n: ArrayLike, c: ArrayLike, k: ArrayLike) -> float | Floats: ...
def pass_at_k(n: ArrayLike, c: ArrayLike, k: ArrayLike) -> float | Floats:
    """Chance that k of n attempts hold a right one: 1 - C(n-c, k) / C(n, k), unbiased (Chen et al. 2021, 2107.03374).

    The spread is tolerable for k up to n/2. Raises DataError unless 1 <= k <= n and 0 <= c <= n.
    """
    _checked("pass_at_k", n, c, k)
    return _same_kind(1.0 - miss_chance(n, c, k), n, c, k)


@overload
def pass_hat_k(n: int, c: int, k: int) -> float: ...
@overload
def pass_hat_k(n: ArrayLike, c: ArrayLike, k: ArrayLike) -> float | Floats: ...
def pass_hat_k(n: ArrayLike, c: ArrayLike, k: ArrayLike) -> float | Floats:
    """Chance that k of n attempts are all right: C(c, k) / C(n, k), written pass^k (Yao et al. 2024, 2406.12045)."""
    _checked("pass_hat_k", n, c, k)
    return _same_kind(miss_chance(n, np.subtract(n, c), k), n, c, k)


def unique_correct_at_k(n: int, cluster_counts: Sequence[int], k: int) -> float:
    """Expected number of different right solutions among k of n attempts, by hypergeometric rarefaction.

    `cluster_counts`: how many of the n attempts fall in each cluster of right ones; their sum may be below n, the rest
    is wrong. Empty means none right, and gives 0. One cluster gives pass@k. Clusters are the caller's: by answer, by
    canonical syntax tree, or by behaviour, and say which. Source: sum_j 1 - C(n-c_j, k) / C(n, k), Hurlbert 1971.
    """
    counts = np.asarray(list(cluster_counts), dtype=np.float64)
    _checked("unique_correct_at_k", n, counts.sum(), k)
    return float((1.0 - miss_chance(n, counts, k)).sum()) if counts.size else 0.0


def pass_at_k_s(n: int, cluster_counts: Sequence[int], k: int, s: int) -> float:
    """Chance that k of n attempts hold at least s different right solutions (Pass@K-S, B-STaR, 2412.17256), exact.

    The coefficient of x^k y^(>= s) in (1+x)^w prod_j (1 + y((1+x)^c_j - 1)), over C(n, k), with w wrong attempts;
    B-STaR samples it. s = 0 gives 1. Arguments as for `unique_correct_at_k`. Scaled by C(n, k) at the end, in floats: exact to
    about 1e-12 for n up to 500.
    """
    counts = [int(c) for c in cluster_counts if c > 0]
    _checked("pass_at_k_s", n, sum(counts), k)
    if s <= 0:
        return 1.0
    fewer = np.zeros((s, k + 1))  # row: clusters met (below s); column: attempts drawn
    fewer[0] = _choose_row(n - sum(counts), k)
    for c in counts:
        met = _choose_row(c, k)
        met[0] = 0.0
        shifted = np.zeros_like(fewer)
        for row in range(1, s):
            shifted[row] = np.convolve(fewer[row - 1], met)[: k + 1]
        fewer = fewer + shifted
    total = _choose_row(n, k)[k]
    return float(min(1.0, max(0.0, 1.0 - fewer[:, k].sum() / total)))


def _choose_row(n: int, k: int) -> Floats:
    """C(n, 0..k) as floats."""
    row = np.ones(k + 1)
    for i in range(1, k + 1):
        row[i] = row[i - 1] * max(n - i + 1, 0) / i
    return row


def majority_at_k(answers: Sequence[Sequence[Hashable | None]], gold: Sequence[Hashable], k: int) -> float:
    """Share of questions whose most common answer among the first k is the gold one.

    Of equally common answers the one met first wins; None does not vote, and a question without votes is wrong. Raises
    DataError unless there are as many golds as questions; EmptyMetric if there is none.
    """
    if len(answers) != len(gold):
        raise DataError(f"majority_at_k: {len(answers)} questions but {len(gold)} golds; give one gold a question")
    if not gold:
        raise EmptyMetric("majority_at_k: no question was given; leave the metric out of this round")
    if k < 1:
        raise DataError(f"majority_at_k: k is {k}, must be >= 1")
    votes = (Counter(a for a in row[:k] if a is not None).most_common(1) for row in answers)
    return sum(bool(v) and v[0][0] == g for v, g in zip(votes, gold, strict=True)) / len(gold)


def polarisation(n: ArrayLike, c: ArrayLike) -> float:
    """Var(rho) / (mean rho (1 - mean rho)) over tasks, in [0, 1]: 1 when each task is always or never solved.

    E[rho^2] is estimated by c(c-1)/n(n-1), so that sampling noise is not read as spread; may come out slightly below 0.
    Fine-tuning drives it up while pass@k falls (Dang et al. 2504.10478). Raises EmptyMetric if all or no attempt is
    right (then it says nothing), n < 2, or there is one task.
    It has no interval: none holds at pass rates near 0 or 1.
    """
    n_P, c_P = np.asarray(n, dtype=np.float64), np.asarray(c, dtype=np.float64)
    n_P = np.broadcast_to(n_P, c_P.shape)
    if c_P.size < 2 or np.any(n_P < 2):
        raise EmptyMetric("polarisation: needs two tasks with two attempts or more; leave the metric out of this round")
    mean, square = float((c_P / n_P).mean()), float((c_P * (c_P - 1) / (n_P * (n_P - 1))).mean())
    if mean in (0.0, 1.0):
        raise EmptyMetric(f"polarisation: mean pass rate is {mean}; spread between tasks cannot be seen there")
    return (square - mean**2) / (mean * (1 - mean))


def support_retention(c_first: ArrayLike, c_now: ArrayLike) -> float:
    """Share of the tasks solved in the first round (c > 0) that are solved now; same tasks, same n in both.

    Below 1 by luck alone: compare with `expected_retention`. Raises EmptyMetric if none was solved at first.
    """
    first, now = np.asarray(c_first) > 0, np.asarray(c_now) > 0
    if not first.any():
        raise EmptyMetric("support_retention: no task was solved in the first round; leave the metric out")
    return float((first & now).sum() / first.sum())


def support_expansion(c_first: ArrayLike, c_now: ArrayLike) -> float:
    """Tasks solved now but not in the first round, over all tasks; same tasks, same n in both."""
    first, now = np.asarray(c_first) > 0, np.asarray(c_now) > 0
    if first.size == 0:
        raise EmptyMetric("support_expansion: no task was given; leave the metric out of this round")
    return float((now & ~first).mean())


def expected_retention(n: int, c_first: ArrayLike, c_now: ArrayLike) -> float:
    """The retention that two draws of one unchanged student would show, from the pooled counts.

    If the rounds are exchangeable, each task's pooled s of 2n attempts fall to the two rounds by chance: unsolved in
    one with q = C(2n-s, n) / C(2n, n), so the ratio is sum(1 - 2q) / sum(1 - q) over tasks with s > 0. This is the noise
    floor that a fixed bar on retention lacks.
    """
    pooled = np.asarray(c_first, dtype=np.float64) + np.asarray(c_now, dtype=np.float64)
    pooled = pooled[pooled > 0]
    if pooled.size == 0:
        raise EmptyMetric("expected_retention: no task was solved in either round; leave the metric out")
    q = miss_chance(2 * n, pooled, n)
    return float((1 - 2 * q).sum() / (1 - q).sum())
