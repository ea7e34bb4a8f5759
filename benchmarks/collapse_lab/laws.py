"""Level 0 of the lab: closed-form laws of recursive training, simulated and held against their bars in seconds.

Each law returns a `Check`. They prove the simulators and the estimators before anything rests on them; bars as
registered in docs/dev/collapse-lab.md.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from selfplay.collapse import effective_population, hashed_features, pass_at_k_s, rke_u
from selfplay.collapse.estimate import Floats


@dataclass(frozen=True)
class Check:
    """One prediction held against what was measured."""

    name: str
    predicted: float
    measured: float
    bar: str
    """The rule in words."""
    lo: float
    hi: float
    """The rule: `measured` lies in [lo, hi]. A bound that is NaN is never met."""
    unmoved: float | None = None
    """What a simulator in which nothing is lost would measure, where the bar is about a loss: the bar must not hold for it."""

    def accepts(self, value: float) -> bool:
        """Whether the bar would hold for this value; never for NaN."""
        return bool(self.lo <= value <= self.hi)

    @property
    def holds(self) -> bool:
        """Whether the bar holds."""
        return self.accepts(self.measured)

    def to_dict(self) -> dict[str, Any]:
        """For JSON: all fields, and `holds`; a number that is not finite is None."""
        row = asdict(self) | {"holds": self.holds}
        return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}


def _near(name: str, predicted: float, measured: float, by: float, bar: str, unmoved: float | None = None) -> Check:
    return Check(name, predicted, measured, bar, predicted - by, predicted + by, unmoved)


def _close(name: str, predicted: float, measured: float, share: float, unmoved: float | None = None) -> Check:
    return _near(name, predicted, measured, share * abs(predicted), f"within {share:.0%}", unmoved)


def _regression_errors(accumulate: bool, rounds: int, reps: int, seed: int) -> tuple[Floats, float]:
    """Mean squared parameter error after each refit, and the base sigma^2 d / (T - d - 1) with d = 10, T = 100, sigma = 1."""
    rng = np.random.default_rng(seed)
    d, T = 10, 100
    truth = rng.standard_normal((reps, d))
    gram, moment = np.zeros((reps, d, d)), np.zeros((reps, d))
    teacher, errors = truth, []
    for _ in range(rounds):
        X = rng.standard_normal((reps, T, d))
        y = np.einsum("rtd,rd->rt", X, teacher) + rng.standard_normal((reps, T))
        fresh_gram, fresh_moment = X.transpose(0, 2, 1) @ X, np.einsum("rtd,rt->rd", X, y)
        gram = gram + fresh_gram if accumulate else fresh_gram
        moment = moment + fresh_moment if accumulate else fresh_moment
        teacher = np.linalg.solve(gram, moment[..., None])[..., 0]
        errors.append(float(((teacher - truth) ** 2).sum(axis=1).mean()))
    return np.asarray(errors), d / (T - d - 1)


def regression_replace(seed: int = 0) -> Check:
    """Replacing the data, the error grows by the same step each round (Gerstgrasser et al. 2404.01413)."""
    errors, base = _regression_errors(False, 10, 600, seed)
    step = float(np.polyfit(np.arange(1, 11), errors, 1)[0])
    return _close("linear regression, replace: error step a round / base", 1.0, step / base, 0.1, unmoved=0.0)


def regression_accumulate(seed: int = 0) -> Check:
    """Accumulating, the error stays below pi^2/6 of the base however many rounds (same paper)."""
    errors, base = _regression_errors(True, 20, 1000, seed)
    wanted = float(sum(1 / i**2 for i in range(1, 21)))
    name = "linear regression, accumulate: error at round 20 / base"
    return _close(name, wanted, float(errors[-1] / base), 0.05, unmoved=1.0)


def _wright_fisher(accumulate: bool, draws: int, rounds: int, reps: int, seed: int) -> Floats:
    """Mean heterozygosity 1 - sum p^2 by round of a 50-way categorical refitted on its own draws."""
    rng = np.random.default_rng(seed)
    p = np.full((reps, 50), 1 / 50)
    pooled, out = np.zeros((reps, 50)), []
    for _ in range(rounds):
        drawn = rng.multinomial(draws, p).astype(np.float64)
        pooled = pooled + drawn if accumulate else drawn
        p = pooled / pooled.sum(axis=1, keepdims=True)
        out.append(float((1 - (p**2).sum(axis=1)).mean()))
    return np.asarray(out)


def discrete_replace(seed: int = 0) -> Check:
    """Variety decays as (1 - 1/M)^t (Wright-Fisher)."""
    h = _wright_fisher(False, 500, 20, 200, seed)
    measured, wanted = float(h[-1] / h[0]), (1 - 1 / 500) ** 19
    name = "categorical, replace: H_20 / H_1 at M = 500"
    return _near(name, wanted, measured, 0.01, "within 0.01", unmoved=1.0)


def discrete_accumulate(seed: int = 0) -> Check:
    """Pooling all rounds, variety settles at about exp(-pi^2 / 6M) of the start: the bar is a quarter of that small loss."""
    h = _wright_fisher(True, 1000, 60, 60, seed)
    wanted = float(np.exp(-(np.pi**2) / 6 / 1000))
    measured = float(h[-1] / (1 - 1 / 50))
    name = "categorical, accumulate: H_60 / H_0 at M = 1000"
    return _near(name, wanted, measured, 0.0004, "within 0.0004", unmoved=1.0)


def _zipf_tail(seed: int, reps: int = 80, V: int = 1000, M: int = 5000) -> tuple[Floats, Floats]:
    """Tail mass and tail coverage by round 1..20: the tail is the least likely items that hold a tenth of the mass."""
    rng = np.random.default_rng(seed)
    zipf = 1 / np.arange(1, V + 1)
    zipf /= zipf.sum()
    tail = np.cumsum(zipf[::-1])[::-1] <= 0.1
    p, mass, covered = np.tile(zipf, (reps, 1)), [], []
    for _ in range(20):
        drawn = rng.multinomial(M, p)
        p = drawn / M
        mass.append(float(p[:, tail].sum(axis=1).mean()))
        covered.append(float((drawn[:, tail] > 0).mean()))
    return np.asarray(mass), np.asarray(covered)


def tail_mass_stays(seed: int = 0) -> Check:
    """The tail's probability mass is a martingale: it says nothing of collapse."""
    mass, _ = _zipf_tail(seed)
    return _close("Zipf, replace: tail mass at round 20", 0.1, float(mass[-1]), 0.05)


def tail_coverage_falls(seed: int = 0) -> Check:
    """While the number of tail items still met falls first and far."""
    _, covered = _zipf_tail(seed)
    ratio = float(covered[-1] / covered[0])
    return Check("Zipf, replace: tail coverage, round 20 / round 1", 0.13, ratio, "<= 0.25", 0.0, 0.25, unmoved=1.0)


def _accuracy_after_filter(error: float, psi: float, rng: np.random.Generator) -> float:
    """Test accuracy of a linear classifier trained on labels with this error, after a verifier with phi = 1 and psi."""
    d, n = 20, 120_000
    mean = np.zeros(d)
    mean[0] = 1.4
    truth = rng.choice([-1.0, 1.0], n)
    X = rng.standard_normal((n, d)) + truth[:, None] * mean
    wrong = rng.random(n) < error
    kept = ~wrong | (rng.random(n) < psi)
    given = np.where(wrong, -truth, truth)
    w = (X[kept] * given[kept, None]).mean(axis=0)
    test = rng.choice([-1.0, 1.0], 4000)
    return float((np.sign((rng.standard_normal((4000, d)) + test[:, None] * mean) @ w) == test).mean())


def verifier_breakdown(seed: int = 0) -> list[Check]:
    """Below the generator error p* = 1/(1 + psi/phi) filtered training recovers the truth, above it the opposite (Feng)."""
    rng = np.random.default_rng(seed)
    out = []
    for psi in (1.0, 0.5, 0.2):
        point = 1 / (1 + psi)
        below = _accuracy_after_filter(point - 0.03, psi, rng)
        above = _accuracy_after_filter(point + 0.03, psi, rng)
        name = f"verifier psi/phi = {psi}: accuracy just"
        out.append(Check(f"{name} below p*", 0.92, below, ">= 0.85", 0.85, 1.0))
        out.append(Check(f"{name} above p*", 0.08, above, "<= 0.15", 0.0, 0.15))
    return out


def population_recovered(seed: int = 0) -> Check:
    """N_e estimated from the decay of variety gives back the number of draws a round."""
    return _close(
        "N_e from 10 rounds at M = 16",
        16.0,
        effective_population(_wright_fisher(False, 16, 10, 400, seed).tolist()),
        0.1,
        unmoved=math.inf,
    )


def rke_flat(seed: int = 0) -> Check:
    """The unbiased RKE of one source is the same at n = 50 and n = 4000."""
    rng = np.random.default_rng(seed)

    def texts(n: int) -> list[str]:
        return [" ".join(f"t{t}w{x}" for x in rng.integers(4, size=12)) for t in rng.integers(40, size=n)]

    small = 1 / float(np.mean([1 / rke_u(hashed_features(texts(50))) for _ in range(60)]))  # unbiased in its inverse
    return _close("RKE_u at n = 50 against n = 4000", rke_u(hashed_features(texts(4000))), small, 0.03)


def pass_at_k_s_exact(seed: int = 0) -> Check:
    """Pass@K-S by the polynomial equals the share over many random draws."""
    rng = np.random.default_rng(seed)
    labels = np.asarray([0] * 20 + [1] * 6 + [2] * 3 + [3] * 2 + [4])
    hits = [np.unique(x[x > 0]).size >= 2 for x in (rng.permutation(labels)[:8] for _ in range(20_000))]
    wanted = pass_at_k_s(32, [6, 3, 2, 1], 8, 2)
    return _close("Pass@8-2 by the polynomial against 20,000 draws", wanted, float(np.mean(hits)), 0.03)


LAWS: tuple[Callable[[int], Check | list[Check]], ...] = (
    regression_replace,
    regression_accumulate,
    discrete_replace,
    discrete_accumulate,
    tail_mass_stays,
    tail_coverage_falls,
    verifier_breakdown,
    population_recovered,
    rke_flat,
    pass_at_k_s_exact,
)


def check_laws(seed: int = 0) -> list[Check]:
    """All laws, in order: about 3 seconds on one core."""
    out: list[Check] = []
    for law in LAWS:
        found = law(seed)
        out += found if isinstance(found, list) else [found]
    return out
