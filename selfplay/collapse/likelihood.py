"""Metrics of likelihoods: the tails of human text, the divergence from round 0, token entropy.

Log-probabilities are natural. `D` texts, ragged `T` tokens a text. The caller ran the model; nothing here does.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from selfplay.collapse.estimate import Estimate, Floats, bootstrap_mean, interval, resample_weights
from selfplay.errors import DataError, EmptyMetric

TAIL_KEYS = {"nll_p90": 0.9, "nll_p99": 0.99}
BLOCK = 2**16
"""Weights (resamples x tokens) that are in memory at once."""


def _flat(nll_D_T: Sequence[ArrayLike]) -> tuple[Floats, Floats]:
    rows = [np.asarray(row, dtype=np.float64).ravel() for row in nll_D_T]
    values = np.concatenate(rows) if rows else np.empty(0)
    owner = np.repeat(np.arange(len(rows)), [row.size for row in rows])
    finite = np.isfinite(values)
    return values[finite], owner[finite].astype(np.float64)


def nll_quantile(nll_D_T: Sequence[ArrayLike], q: float) -> float:
    """Quantile of the per-token negative log-likelihood, nats. Raises EmptyMetric for no token."""
    values, _ = _flat(nll_D_T)
    if values.size == 0:
        raise EmptyMetric("nll_quantile: no finite token; leave the metric out of this round")
    return float(np.quantile(values, q))


def nll_cvar(nll_D_T: Sequence[ArrayLike], share: float = 0.1) -> float:
    """Mean nats of the worst `share` of tokens (conditional value at risk): the tail that a mean hides."""
    values, _ = _flat(nll_D_T)
    if values.size == 0:
        raise EmptyMetric("nll_cvar: no finite token; leave the metric out of this round")
    worst = max(1, round(share * values.size))
    return float(np.sort(values)[-worst:].mean())


def likelihood_metrics(
    nll_D_T: Sequence[ArrayLike], first: Sequence[ArrayLike] | None = None, *, resamples: int = 200, seed: int = 0
) -> dict[str, float]:
    """Keys of frozen human text that was never trained on: collapse_quality/human_nll (mean nats a token), collapse_tails/
    nll_p90, nll_p99, nll_cvar10, each with `_lo`, `_hi` and, given round 0's `first` on the same texts, `_delta`.

    Intervals resample texts. Only differences can be read, since the text's own entropy is unknown. Raises DataError
    where the two rounds have unlike numbers of texts; empty gives an empty dict.
    """
    if first is not None and len(first) != len(nll_D_T):
        raise DataError(f"likelihood: {len(nll_D_T)} texts against {len(first)} at round 0; score the same texts")
    values, owner = _flat(nll_D_T)
    if values.size == 0:
        return {}
    weights = resample_weights(len(nll_D_T), resamples, seed)
    now = _tail_draws(values, owner, weights)
    base = _tail_draws(*_flat(first), weights) if first is not None else {}
    out: dict[str, float] = {}
    for key, (value, draws) in now.items():
        out |= _put(key, interval(value, draws, len(nll_D_T)))
        if key in base:
            before, draws_before = base[key]
            out |= _put(f"{key}_delta", interval(value - before, draws - draws_before, len(nll_D_T)))
    return out


def _put(key: str, estimate: Estimate) -> dict[str, float]:
    return {key: estimate.value, f"{key}_lo": estimate.lo, f"{key}_hi": estimate.hi}


def _tail_draws(values: Floats, owner: Floats, weights_B_D: Floats) -> dict[str, tuple[float, Floats]]:
    """Mean, quantiles and CVaR of the tokens, with each text's weight on its tokens."""
    order = np.argsort(values)
    ordered, of = values[order], owner[order].astype(np.int64)
    plain = np.full((1, weights_B_D.shape[1]), 1.0)
    many = max(1, BLOCK // ordered.size)
    blocks = [weights_B_D[start : start + many] for start in range(0, len(weights_B_D), many)]
    table = np.concatenate([_weighted(ordered, block.take(of, axis=1)) for block in [plain, *blocks]])
    names = ["collapse_quality/human_nll", *(f"collapse_tails/{k}" for k in TAIL_KEYS), "collapse_tails/nll_cvar10"]
    return {name: (float(table[0, i]), table[1:, i]) for i, name in enumerate(names)}


def _weighted(ordered_T: Floats, weights_B_T: Floats) -> Floats:
    """(B, figures): mean, quantiles and CVaR under each row of weights; NaN where a row has none."""
    total = weights_B_T.sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        below = np.cumsum(weights_B_T, axis=1) / total[:, None]
        places = np.array([np.searchsorted(row, list(TAIL_KEYS.values())) for row in below])
        at = ordered_T[np.minimum(places, ordered_T.size - 1)]
        worst = np.where(below > 0.9, weights_B_T, 0.0)
        kept = worst.sum(1)
        cvar = np.where(kept > 0, (ordered_T * worst).sum(1) / kept, ordered_T[-1])
        mean = (ordered_T * weights_B_T).sum(1) / total
    found = np.column_stack([mean, at, cvar])
    found[total <= 0] = np.nan
    return found


def kl_from_samples(log_p: ArrayLike, log_q: ArrayLike) -> Estimate:
    """KL(p || q) in nats from log-probabilities of samples drawn from p, never negative in expectation or in value.

    Schulman's k3, mean of (q/p - 1 - log q/p): unbiased and lower in spread than the plain mean of log p/q. Drawn from
    the new student with q = round 0 it is the reverse KL; drawn from round 0 with q = the new student, the forward one,
    which sees dropped modes. Per token or per sequence, as the inputs are. Non-finite pairs are left out.
    """
    p, q = np.asarray(log_p, dtype=np.float64).ravel(), np.asarray(log_q, dtype=np.float64).ravel()
    if p.shape != q.shape:
        raise DataError(f"kl_from_samples: {p.size} against {q.size} log-probabilities; score the same samples")
    ratio = np.clip(q - p, -700.0, 700.0)
    return bootstrap_mean(np.exp(ratio) - 1 - ratio)


def token_entropy(logprobs_D_T: Sequence[ArrayLike]) -> Estimate:
    """Mean -log p of sampled tokens, nats, resampled over texts: the policy's entropy if sampled at temperature 1, top-p 1.

    On free-running samples or on frozen round-0 prefixes: log both under their own names. It can rise while the answers'
    entropy falls.
    """
    means = [-float(np.mean(row)) for row in (np.asarray(r, dtype=np.float64) for r in logprobs_D_T) if row.size]
    return bootstrap_mean(means)


def entropy_of_distributions(log_probabilities_T_V: ArrayLike) -> Floats:
    """Entropy in nats of each of T full next-token distributions, given as log-probabilities or logits (T, V)."""
    logits = np.asarray(log_probabilities_T_V, dtype=np.float64)
    shifted = logits - logits.max(axis=-1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return np.asarray(-(np.exp(log_p) * np.where(np.isfinite(log_p), log_p, 0.0)).sum(axis=-1))
