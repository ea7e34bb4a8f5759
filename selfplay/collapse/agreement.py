"""Agreement and error rates of verifiers: Matthews correlation, Cohen's kappa, the breakdown point of a verifier, B-STaR's balance."""

import math
from collections.abc import Sequence

from selfplay.collapse.estimate import Estimate, bootstrap_mean, jackknife
from selfplay.errors import DataError, EmptyMetric

MANY_TASKS = 200
"""Tasks above which a mean's interval is a jackknife's, which costs no resampling."""


def _table(where: str, table: Sequence[float]) -> tuple[float, float, float, float]:
    if len(table) != 4 or min(table) < 0:
        raise DataError(f"{where}: table is {list(table)}, must be four counts [tp, fp, fn, tn]")
    tp, fp, fn, tn = (float(x) for x in table)
    return tp, fp, fn, tn


def mcc(table: Sequence[float]) -> float:
    """Matthews correlation of [tp, fp, fn, tn], in [-1, 1]; 0 where a margin is empty (Matthews 1975)."""
    tp, fp, fn, tn = _table("mcc", table)
    margins = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    return (tp * tn - fp * fn) / math.sqrt(margins) if margins else 0.0


def cohen_kappa(table: Sequence[float]) -> float:
    """Cohen's kappa of [tp, fp, fn, tn]: agreement beyond chance over what chance leaves (Cohen 1960).

    0 where chance alone agrees fully (both always say the same word). Raises EmptyMetric for an empty table.
    """
    tp, fp, fn, tn = _table("cohen_kappa", table)
    n = tp + fp + fn + tn
    if n == 0:
        raise EmptyMetric("cohen_kappa: the table is empty; leave the metric out of this round")
    agreed = (tp + tn) / n
    chance = ((tp + fp) * (tp + fn) + (fn + tn) * (fp + tn)) / n**2
    return (agreed - chance) / (1 - chance) if chance < 1 else 0.0


def breakdown_point(phi: float, psi: float) -> float:
    """p* = 1 / (1 + psi/phi): the generator's error below which most of what the verifier kept is right.

    It does not say whether a loop of filtered training helps; the sign of phi - psi does (docs/collapse.md).
    `phi` = P(kept | right), `psi` = P(kept | wrong) (Feng et al. 2406.07515). A perfect verifier (psi = 0) gives 1; one
    that keeps nothing raises EmptyMetric.
    """
    if phi <= 0 and psi <= 0:
        raise EmptyMetric("breakdown_point: the verifier keeps nothing; leave the metric out of this round")
    return phi / (phi + psi)


def balance_score(unique_correct: Sequence[int], selected: Sequence[int], target: int = 8) -> Estimate:
    """B-STaR's balance over tasks: mean of min(u/target, 1) * u/s with u different right ones among s selected.

    In [0, 1]; a task with nothing selected counts 0 (Zeng et al. 2412.17256). `target` 8 as in their code.
    """
    if len(unique_correct) != len(selected):
        raise DataError(f"balance_score: {len(unique_correct)} tasks against {len(selected)}; give one entry a task")
    scores = [min(u / target, 1.0) * u / s if s else 0.0 for u, s in zip(unique_correct, selected, strict=True)]
    total, n = math.fsum(scores), len(scores)
    return bootstrap_mean(scores) if n <= MANY_TASKS else jackknife(total / n, [(total - x) / (n - 1) for x in scores])
