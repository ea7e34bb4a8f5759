"""Error rates of a verifier, from a sample that a stronger check verified again and from canaries. Pure functions.

phi = P(kept | right) is its true positive rate, psi = P(kept | wrong) its false positive rate. Training on what it keeps helps
while the student's error rate is below p* = 1 / (1 + psi/phi) (Feng et al. 2406.07515). Accepted and rejected attempts are
sampled separately, at shares of their own, and the rates are computed from both strata.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from selfplay.collapse.agreement import breakdown_point
from selfplay.collapse.estimate import Estimate, wilson
from selfplay.errors import ConfigError, DataError
from selfplay.records import Outcome
from selfplay.seeds import rng_of

Z_JOINT = 2.241403
"""Two-sided 97.5 % point of the normal law: two such intervals hold together with 95 %."""


@dataclass(frozen=True)
class Stratum:
    """The re-checked sample of one kind of attempts: the accepted ones, or the rejected ones."""

    total: int
    """Attempts of this kind in the round, sampled or not."""
    right: int
    wrong: int
    """By the stronger check; its abstentions and errors count in neither."""

    def __post_init__(self) -> None:
        if min(self.right, self.wrong) < 0 or self.right + self.wrong > self.total:
            raise DataError(
                f"audit: {self.right} right and {self.wrong} wrong of {self.total}; give counts of a sample"
            )

    @property
    def checked(self) -> int:
        """Attempts on which the stronger check had an opinion."""
        return self.right + self.wrong


@dataclass(frozen=True)
class Audit:
    """Rates with 95 % intervals; None where the sample does not determine them."""

    precision: Estimate | None
    """P(right | kept)."""
    missed: Estimate | None
    """P(right | rejected)."""
    phi: Estimate | None
    psi: Estimate | None
    p_star: Estimate | None
    error: Estimate | None
    """The student's error rate before the filter: compare it with `p_star`."""

    def metrics(self, prefix: str = "collapse_quality") -> dict[str, float]:
        """Flat keys with `_lo` and `_hi`: `verifier_tpr` (phi), `verifier_fpr` (psi), `verifier_precision`, `verifier_error`,
        `breakdown_error` (p*) and `breakdown_error_margin` (p* - error), each below `prefix`."""
        rates = {
            "verifier_precision": self.precision,
            "verifier_tpr": self.phi,
            "verifier_fpr": self.psi,
            "verifier_error": self.error,
            "breakdown_error": self.p_star,
        }
        if self.p_star is not None and self.error is not None:
            low, high = self.p_star.lo - self.error.hi, self.p_star.hi - self.error.lo
            rates["breakdown_error_margin"] = Estimate(self.p_star.value - self.error.value, low, high, self.p_star.n)
        out: dict[str, float] = {}
        for name, rate in rates.items():
            if rate is not None:
                out |= {f"{prefix}/{name}": rate.value, f"{prefix}/{name}_lo": rate.lo, f"{prefix}/{name}_hi": rate.hi}
        return out


def audit(accepted: Stratum, rejected: Stratum) -> Audit:
    """The verifier's rates from two strata, each checked in part.

    With a = P(right | kept) and r = P(right | rejected), Bayes gives phi = A a / (A a + R r) for A kept and R rejected
    attempts, psi likewise with 1 - a and 1 - r. Both are monotone in a and r, so the corners of two 97.5 % Wilson
    intervals bound them with at least 95 %. A stratum that is empty (total 0) counts as known; one that was not
    checked leaves what depends on it None.
    """
    a, r = _share(accepted), _share(rejected)
    precision = wilson(accepted.right, accepted.checked) if accepted.checked else None
    missed = wilson(rejected.right, rejected.checked) if rejected.checked else None
    if a is None or r is None:
        return Audit(precision, missed, None, None, None, None)
    kept, lost, n = accepted.total, rejected.total, accepted.checked + rejected.checked
    phi = _bounded(lambda x, y: _ratio(kept * x, lost * y), a, r, n)
    psi = _bounded(lambda x, y: _ratio(kept * (1 - x), lost * (1 - y)), a, r, n)
    error = _bounded(lambda x, y: _ratio(kept * (1 - x) + lost * (1 - y), kept * x + lost * y), a, r, n)
    return Audit(precision, missed, phi, psi, _p_star(phi, psi, n), error)


def _share(stratum: Stratum) -> Estimate | None:
    if stratum.total == 0:
        return Estimate(0.0, 0.0, 0.0, 0)  # weighs nothing below
    return wilson(stratum.right, stratum.checked, Z_JOINT) if stratum.checked else None


def _ratio(part: float, rest: float) -> float | None:
    return part / (part + rest) if part + rest > 0 else None


def _bounded(rate: Callable[[float, float], float | None], a: Estimate, r: Estimate, n: int) -> Estimate | None:
    """The rate at the point, and its range over the corners; None where the point is 0/0."""
    value = rate(a.value, r.value)
    corners = [c for x in (a.lo, a.hi) for y in (r.lo, r.hi) if (c := rate(x, y)) is not None]
    return None if value is None else Estimate(value, min([*corners, value]), max([*corners, value]), n)


def _p_star(phi: Estimate | None, psi: Estimate | None, n: int) -> Estimate | None:
    if phi is None or psi is None or phi.value + psi.value <= 0:
        return None
    low = breakdown_point(phi.lo, psi.hi) if phi.lo + psi.hi > 0 else 0.0
    high = breakdown_point(phi.hi, psi.lo) if phi.hi + psi.lo > 0 else 1.0
    return Estimate(breakdown_point(phi.value, psi.value), low, high, n)


def sample(count: int, share: float, seed: int, *parts: int | str, at_least: int = 1) -> list[int]:
    """Which of `count` attempts are verified again: a share of them (rounded up), but no fewer than `at_least` if there are so many.

    Indexes in order, the same for the same seed parts. Raises ConfigError for a share outside [0, 1]; 0 draws none.
    """
    if not 0 <= share <= 1:
        raise ConfigError(f"audit: share is {share}, must be in [0, 1]; 0 switches the audit off")
    size = min(count, max(math.ceil(count * share), at_least)) if share else 0
    return sorted(rng_of(seed, "audit", *parts).sample(range(count), size))


def stratum(total: int, outcomes: Sequence[Outcome]) -> Stratum:
    """A stratum from the stronger check's outcomes: pass is right, fail and invalid are wrong, others count in neither."""
    right = sum(outcome is Outcome.PASS for outcome in outcomes)
    wrong = sum(outcome in (Outcome.FAIL, Outcome.INVALID) for outcome in outcomes)
    return Stratum(total, right, wrong)


@dataclass(frozen=True)
class Canaries:
    """How attempts of known truth were judged."""

    right: int
    wrong: int
    right_dropped: tuple[str, ...]
    """Ids of known right ones that did not pass: the verifier is too strict, or does not work."""
    wrong_accepted: tuple[str, ...]
    """Ids of known wrong ones that passed: the run has to stop."""
    undecided: int
    """Errors and abstentions: counted nowhere."""

    @property
    def alarm(self) -> bool:
        """Whether a known wrong one was accepted: one is enough."""
        return bool(self.wrong_accepted)

    def metrics(self, prefix: str = "canary") -> dict[str, float]:
        """Flat counts: `canary/right`, `/wrong`, `/right_dropped`, `/wrong_accepted`, `/undecided`."""
        counts = {
            "right": self.right,
            "wrong": self.wrong,
            "right_dropped": len(self.right_dropped),
            "wrong_accepted": len(self.wrong_accepted),
            "undecided": self.undecided,
        }
        return {f"{prefix}/{name}": float(count) for name, count in counts.items()}


def canaries(truth: Mapping[str, Literal["right", "wrong"]], outcomes: Mapping[str, Outcome]) -> Canaries:
    """Compares the known truth of canary attempts (by attempt id) with their outcomes.

    Raises DataError for a canary without an outcome, which would otherwise count as caught.
    """
    if absent := sorted(truth.keys() - outcomes.keys()):
        raise DataError(
            f"audit: canary {absent[0]} and {len(absent) - 1} more have no outcome; verify them with the rest"
        )
    undecided = {key for key in truth if outcomes[key] in (Outcome.ERROR, Outcome.ABSTAIN)}
    passed = {key for key in truth if outcomes[key] is Outcome.PASS}
    right = {key for key, word in truth.items() if word == "right"}
    wrong = truth.keys() - right
    return Canaries(
        len(right), len(wrong), tuple(sorted(right - passed - undecided)), tuple(sorted(wrong & passed)), len(undecided)
    )
