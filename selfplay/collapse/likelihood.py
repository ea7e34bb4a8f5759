"""Metrics of likelihoods: the tails of human text, the divergence from round 0, token entropy.

Log-probabilities are natural. `D` texts, ragged `T` tokens a text. The caller ran the model; nothing here does.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from selfplay.collapse.estimate import FEWEST, Estimate, Floats, mean_of, quantile_of, ratio_of_sums
from selfplay.errors import DataError, EmptyMetric

TAIL_KEYS = {"nll_p90": 0.9, "nll_p99": 0.99}
WORST = 0.1
"""Share of the tokens or texts that `nll_cvar10` is a mean of."""
FEWEST_FOR_WORST = 100
"""Texts below which the mean of the worst tenth has no interval; its change needs four times as many."""


def _tokens(nll_D_T: Sequence[ArrayLike]) -> Floats:
    """All finite values in one array."""
    rows = [np.asarray(row, dtype=np.float64).ravel() for row in nll_D_T]
    values = np.concatenate(rows) if rows else np.empty(0)
    return values[np.isfinite(values)]


def nll_quantile(nll_D_T: Sequence[ArrayLike], q: float) -> float:
    """Quantile of the per-token negative log-likelihood, nats. Raises EmptyMetric for no token."""
    values = _tokens(nll_D_T)
    if values.size == 0:
        raise EmptyMetric("nll_quantile: no finite token; leave the metric out of this round")
    return float(np.quantile(values, q))


def nll_cvar(nll_D_T: Sequence[ArrayLike], share: float = WORST) -> float:
    """Mean nats of the worst `share` of tokens (conditional value at risk): the tail that a mean hides."""
    values = _tokens(nll_D_T)
    if values.size == 0:
        raise EmptyMetric("nll_cvar: no finite token; leave the metric out of this round")
    worst = max(1, round(share * values.size))
    return float(np.sort(values)[-worst:].mean())


def likelihood_metrics(nll_D_T: Sequence[ArrayLike], first: Sequence[ArrayLike] | None = None) -> dict[str, float]:
    """Keys of frozen human text that was never trained on: collapse_quality/human_nll (mean nats a token), collapse_tails/
    nll_p90, nll_p99, nll_cvar10, with `_lo` and `_hi` where an interval holds and, given round 0's `first`, `_delta`.

    Texts are the units. A quantile has an interval where each text gives one number (its mean) and there are enough of
    them, its change never; nll_cvar10 from 100 texts on, its change from 400. Only differences can be read, since the text's own entropy is
    unknown. Where `first` is given, the same finite tokens of both rounds are read. Raises DataError where the two
    rounds have unlike texts; empty gives an empty dict.
    """
    now = [np.asarray(row, dtype=np.float64).ravel() for row in nll_D_T]
    before = [np.asarray(row, dtype=np.float64).ravel() for row in first] if first is not None else now
    if [row.size for row in before] != [row.size for row in now]:
        raise DataError(f"likelihood: {len(now)} texts against {len(before)} at round 0; score the same texts")
    kept = [np.isfinite(a) & np.isfinite(b) for a, b in zip(now, before, strict=True)]
    now, before = ([row[k] for row, k in zip(rows, kept, strict=True) if k.any()] for rows in (now, before))
    if not now:
        return {}
    sizes = np.asarray([row.size for row in now], dtype=np.float64)
    out: dict[str, float] = {}
    for key, fewest, paired_fewest, sums in (
        ("collapse_quality/human_nll", FEWEST, FEWEST, _sums),
        ("collapse_tails/nll_cvar10", FEWEST_FOR_WORST, 4 * FEWEST_FOR_WORST, _worst_sums),
    ):
        out |= ratio_of_sums(sums(now), sizes, fewest=fewest, least=0.0).keyed(key)
        if first is not None:
            out |= ratio_of_sums(sums(now) - sums(before), sizes, fewest=paired_fewest).keyed(f"{key}_delta")
    return out | _quantiles(now, before if first is not None else None)


def _sums(rows: Sequence[Floats]) -> Floats:
    return np.asarray([row.sum() for row in rows])


def _worst_sums(rows: Sequence[Floats]) -> Floats:
    """Per text the sum of x_worst + (x - x_worst)+ / share, whose mean over tokens is the CVaR (Rockafellar and Uryasev 2000)."""
    values = np.sort(np.concatenate(rows))
    worst = max(1, round(WORST * values.size))
    at, share = float(values[-worst]), worst / values.size
    return _sums([at + np.maximum(row - at, 0.0) / share for row in rows])


def _quantiles(now: Sequence[Floats], before: Sequence[Floats] | None) -> dict[str, float]:
    """Quantiles of the tokens; with the exact interval where each text is one number, since tokens of a text are alike."""
    values, out = np.concatenate(now), dict[str, float]()
    for name, q in TAIL_KEYS.items():
        key, found = f"collapse_tails/{name}", quantile_of(values, q)
        out |= found.keyed(key) if values.size == len(now) else {key: found.value}
        if before is not None:
            out[f"{key}_delta"] = found.value - float(np.quantile(np.concatenate(before), q))
    return out


def kl_from_samples(log_p: ArrayLike, log_q: ArrayLike) -> Estimate:
    """KL(p || q) in nats from log-probabilities of samples drawn from p, never negative in expectation or in value.

    Schulman's k3, mean of (q/p - 1 - log q/p): unbiased, and lower in spread than the plain mean of log p/q where p and q
    are close (per token, a round apart). Far apart (whole sequences, several nats) it is not: q/p is rarely huge, and
    most samples miss it, so the mean comes out as log p/q less 1; take the plain mean of log p/q there. Drawn from the
    new student with q = round 0 it is the reverse KL; drawn from round 0 with q = the new student, the forward one,
    which sees dropped modes. Per token or per sequence, as the inputs are. Non-finite pairs are left out.
    """
    p, q = np.asarray(log_p, dtype=np.float64).ravel(), np.asarray(log_q, dtype=np.float64).ravel()
    if p.shape != q.shape:
        raise DataError(f"kl_from_samples: {p.size} against {q.size} log-probabilities; score the same samples")
    ratio = np.clip(q - p, -700.0, 700.0)
    return mean_of(np.exp(ratio) - 1 - ratio, least=0.0)


def token_entropy(logprobs_D_T: Sequence[ArrayLike]) -> Estimate:
    """Mean over texts of -log p of sampled tokens, nats: the policy's entropy if sampled at temperature 1, top-p 1.

    On free-running samples or on frozen round-0 prefixes: log both under their own names. It can rise while the answers'
    entropy falls.
    """
    means = [-float(np.mean(row)) for row in (np.asarray(r, dtype=np.float64) for r in logprobs_D_T) if row.size]
    return mean_of(means)


def entropy_of_distributions(log_probabilities_T_V: ArrayLike) -> Floats:
    """Entropy in nats of each of T full next-token distributions, given as log-probabilities or logits (T, V)."""
    logits = np.asarray(log_probabilities_T_V, dtype=np.float64)
    shifted = logits - logits.max(axis=-1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return np.asarray(-(np.exp(log_p) * np.where(np.isfinite(log_p), log_p, 0.0)).sum(axis=-1))
