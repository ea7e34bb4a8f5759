"""Error rates of a verifier, from a sample that a second check verified again and from canaries. Pure functions.

phi = P(kept | right) is its true positive rate, psi = P(kept | wrong) its false positive rate. Retraining on what it keeps multiplies
the odds of being right by phi / psi (docs/collapse.md), so the sign of Youden's J = phi - psi decides (Youden 1950). The strata
are sampled separately, at shares of their own: the attempts it accepted, those it rejected, and those that are wrong for certain,
such as truncated ones. Their sizes are known.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from selfplay.collapse.estimate import Estimate, Floats, wilson
from selfplay.errors import ConfigError, DataError
from selfplay.records import Outcome
from selfplay.seeds import rng_of

WRONG = frozenset({Outcome.FAIL, Outcome.INVALID})
DECIDED = WRONG | {Outcome.PASS}
TAIL, Z_WIDE = 0.0125, 2.241403
"""Share of the draws beyond each end of an interval, and the normal point for it: wider than 95 %, so that 95 % intervals hold where
the verifier errs by task (`benchmarks/verifier_audit.py`)."""
DRAWS = 5_000
"""Draws of the shares from their posterior, from which the intervals of the rates are read."""


@dataclass(frozen=True)
class Stratum:
    """The re-checked sample of one kind of attempts: the accepted ones, or the rejected ones."""

    total: int
    """Attempts of this kind in the round, sampled or not."""
    right: int
    wrong: int
    """By the second check; its abstentions and errors count in neither."""
    worth: float | None = None
    """Number of independent attempts that the sample is worth (see `worth`); None: all of it."""

    def __post_init__(self) -> None:
        if min(self.right, self.wrong) < 0 or self.right + self.wrong > self.total:
            raise DataError(
                f"audit: {self.right} right and {self.wrong} wrong of {self.total}; give counts of a sample"
            )
        if self.worth is not None and self.checked and not self.worth > 0:
            raise DataError(
                f"audit: the sample is worth {self.worth} independent attempts; give a number above 0, or None"
            )

    @property
    def checked(self) -> int:
        """Attempts on which the second check had an opinion."""
        return self.right + self.wrong

    @property
    def unknown(self) -> bool:
        """Whether there are such attempts, and none of them was decided."""
        return self.total > 0 and self.checked == 0


@dataclass(frozen=True)
class Audit:
    """Rates with 95 % intervals; None where the sample does not determine them."""

    precision: Estimate | None
    """P(right | kept)."""
    phi: Estimate | None
    psi: Estimate | None
    youden_j: Estimate | None
    """phi - psi, from -1 to 1: below 0 the verifier prefers what is wrong."""
    p_star: Estimate | None
    """phi / (phi + psi): the error rate up to which most of what is kept is right. No decision uses it."""
    error: Estimate | None
    """The student's error rate before the filter."""
    margin: Estimate | None
    """`p_star` - `error`."""

    def metrics(self, prefix: str = "collapse_quality") -> dict[str, float]:
        """Flat keys with `_lo` and `_hi`: `verifier_tpr` (phi), `verifier_fpr` (psi), `verifier_youden_j`, `verifier_precision`,
        `verifier_error`, `breakdown_error` (p*) and `breakdown_error_margin`, each below `prefix`."""
        rates = {
            "verifier_precision": self.precision,
            "verifier_tpr": self.phi,
            "verifier_fpr": self.psi,
            "verifier_youden_j": self.youden_j,
            "verifier_error": self.error,
            "breakdown_error": self.p_star,
            "breakdown_error_margin": self.margin,
        }
        return {key: value for name, rate in rates.items() for key, value in flat(f"{prefix}/{name}", rate).items()}


def flat(key: str, rate: Estimate | None) -> dict[str, float]:
    """`key`, `key_lo` and `key_hi`; {} for None."""
    return {} if rate is None else {key: rate.value, f"{key}_lo": rate.lo, f"{key}_hi": rate.hi}


def audit(
    accepted: Stratum, rejected: Stratum | None, *, known_wrong: int = 0, attempts_worth: float | None = None
) -> Audit:
    """The verifier's rates from the strata, each checked in part.

    `known_wrong`: attempts that were not kept and are wrong for certain, such as truncated ones. `rejected` None: the second check
    only adds to the first, so it can overturn no rejection. All rejections then belong to `known_wrong`, phi, J and p* are None,
    and psi and the error rate hold by the standard of the first check. `attempts_worth`: number of independent attempts that all
    attempts are worth (see `worth`); None: all of them.

    With a = P(right | kept), r = P(right | rejected) and A, R, W attempts kept, rejected and known to be wrong, Bayes gives
    phi = A a / (A a + R r) and psi = A (1 - a) / (A (1 - a) + R (1 - r) + W). The intervals are the points at `TAIL` and 1 - `TAIL` of
    the rates over draws of a, r and the sizes from their Jeffreys posteriors (Beta and Dirichlet with 1/2), where a share whose count is
    0 ends at 0 (Brown, Cai and DasGupta 2001): never of zero width. `benchmarks/verifier_audit.py` simulates their coverage. A
    stratum of which nothing was decided, and 0/0, leave what depends on them None.
    """
    if known_wrong < 0 or not (attempts_worth is None or attempts_worth >= 0):
        raise DataError(
            f"audit: known_wrong is {known_wrong} and attempts_worth {attempts_worth}; give counts of attempts, from 0 on"
        )
    precision = _wilson(accepted) if accepted.checked else None
    if accepted.unknown or (rejected is not None and rejected.unknown):
        return Audit(precision, None, None, None, None, None, None)
    draws = _Draws(accepted, rejected, known_wrong, attempts_worth)
    psi, error = draws.estimate(_psi, -1, 1), draws.estimate(_error, -1, -1)
    if rejected is None:
        return Audit(precision, None, psi, None, None, error, None)
    phi, j, p_star = (draws.estimate(rate, 1, -1) for rate in (_phi, _youden_j, _p_star))
    return Audit(precision, phi, psi, j, p_star, error, draws.estimate(_margin, 1, 0))


@dataclass(frozen=True)
class _Round:
    """Sizes of the strata and shares of right attempts in them, each as an array of one number or of draws."""

    kept: Floats
    rejected: Floats
    known_wrong: Floats
    a: Floats
    r: Floats


def _phi(one: _Round) -> Floats:
    right = one.kept * one.a
    return right / (right + one.rejected * one.r)


def _psi(one: _Round) -> Floats:
    wrong = one.kept * (1 - one.a)
    return wrong / (wrong + one.rejected * (1 - one.r) + one.known_wrong)


def _error(one: _Round) -> Floats:
    return 1 - (one.kept * one.a + one.rejected * one.r) / (one.kept + one.rejected + one.known_wrong)


def _youden_j(one: _Round) -> Floats:
    return _phi(one) - _psi(one)


def _p_star(one: _Round) -> Floats:
    phi = _phi(one)
    return phi / (phi + _psi(one))


def _margin(one: _Round) -> Floats:
    return _p_star(one) - _error(one)


class _Draws:
    """The rates at the counts, and over draws of what the counts leave open."""

    def __init__(
        self, accepted: Stratum, rejected: Stratum | None, known_wrong: int, attempts_worth: float | None
    ) -> None:
        rng = np.random.default_rng(0)
        second = rejected or Stratum(0, 0, 0)
        sizes = np.asarray([accepted.total, second.total, known_wrong], dtype=np.float64)
        self.n = accepted.checked + second.checked + known_wrong
        self.at = _Round(sizes[:1], sizes[1:2], sizes[2:], _point(accepted), _point(second))
        # A kind that cannot occur has no weight; one that can and did not has that of half an attempt.
        possible = np.asarray([True, rejected is not None, known_wrong > 0 or rejected is None])
        scale = min(1.0, (attempts_worth or sizes.sum()) / max(1.0, sizes.sum()))
        drawn = rng.standard_gamma(sizes * scale + 0.5, (DRAWS, 3)).T * possible[:, None]
        self._sizes = (drawn[0], drawn[1], drawn[2])
        self._a, self._r = (_Share.of(stratum, rng) for stratum in (accepted, second))

    def estimate(self, rate: Callable[[_Round], Floats], a: int, r: int) -> Estimate | None:
        """The rate with its interval; None where it is 0/0 at the counts. `a`, `r`: 1 if it rises with that share, -1 if it falls,
        0 if it does neither everywhere."""
        with np.errstate(invalid="ignore", divide="ignore"):
            value = float(rate(self.at)[0])
            low, high = (rate(_Round(*self._sizes, self._a.end(a * way), self._r.end(r * way))) for way in (-1, 1))
        if math.isnan(value):
            return None
        lo, hi = float(np.quantile(low, TAIL)), float(np.quantile(high, 1 - TAIL))
        return Estimate(value, min(lo, value), max(hi, value), self.n)


@dataclass(frozen=True)
class _Share:
    """Draws of a share from its Jeffreys posterior, and the same with an end that the counts do not exclude."""

    drawn: Floats
    low: Floats
    high: Floats

    @classmethod
    def of(cls, stratum: Stratum, rng: np.random.Generator) -> "_Share":
        right, wrong = _counts(stratum)
        drawn = rng.beta(right + 0.5, wrong + 0.5, DRAWS)
        low, high = np.zeros(DRAWS) if not stratum.right else drawn, np.ones(DRAWS) if not stratum.wrong else drawn
        return cls(drawn, low, high)

    def end(self, way: int) -> Floats:
        """The draws for the upper end (1), the lower end (-1) or no end (0) of a rate."""
        return (self.drawn, self.high, self.low)[way]


def _point(stratum: Stratum) -> Floats:
    return np.asarray([stratum.right / max(1, stratum.checked)])


def _counts(stratum: Stratum) -> tuple[float, float]:
    """Right and wrong attempts of a sample, as many as it is worth."""
    scale = 1.0 if stratum.worth is None else min(1.0, stratum.worth / max(1, stratum.checked))
    return stratum.right * scale, stratum.wrong * scale


def _wilson(stratum: Stratum) -> Estimate:
    right, wrong = _counts(stratum)
    found = wilson(right, right + wrong, Z_WIDE)
    return Estimate(found.value, found.lo, found.hi, stratum.checked)


def worth(tasks: Iterable[str]) -> float:
    """Number of independent attempts that attempts at these tasks are worth, if those at one task are all judged alike.

    n^2 / sum of m^2 with m attempts at a task (Kish 1965); 0 for none. The truth lies between that and n.
    """
    counts = Counter(tasks).values()
    return sum(counts) ** 2 / sum(m * m for m in counts) if counts else 0.0


def sample(count: int, share: float, seed: int, *parts: int | str, at_least: int = 1) -> list[int]:
    """Which of `count` attempts are verified again: a share of them (rounded up), but no fewer than `at_least` if there are so many.

    Indexes in order, evenly spaced from a random start, so that neighbours (attempts at one task) are seldom drawn together and each
    has the same chance. The same for the same seed parts. Raises ConfigError for a share outside [0, 1]; 0 draws none.
    """
    if not 0 <= share <= 1:
        raise ConfigError(f"audit: share is {share}, must be in [0, 1]; 0 switches the audit off")
    size = min(count, max(math.ceil(count * share), at_least)) if share else 0
    start = rng_of(seed, "audit", *parts).random()
    return [min(count - 1, int((place + start) * count / size)) for place in range(size)]


def stratum(total: int, outcomes: Sequence[Outcome], tasks: Sequence[str] | None = None) -> Stratum:
    """A stratum from the second check's outcomes: pass is right, fail and invalid are wrong, others count in neither.

    `tasks`: the task of each attempt, in the same order; None: each attempt is a task of its own.
    """
    right = sum(outcome is Outcome.PASS for outcome in outcomes)
    wrong = sum(outcome in WRONG for outcome in outcomes)
    if tasks is not None and len(tasks) != len(outcomes):
        raise DataError(f"audit: {len(tasks)} tasks for {len(outcomes)} outcomes; give the task of each attempt")
    decided = [task for task, word in zip(tasks or (), outcomes, strict=False) if word in DECIDED]
    return Stratum(total, right, wrong, None if tasks is None else worth(decided))


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
