"""How far one round's word distribution is from another's: Jensen-Shannon, Kullback-Leibler, vocabulary kept."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from selfplay.collapse.estimate import Floats
from selfplay.errors import DataError, EmptyMetric

Side = Sequence[str] | Mapping[str, float]
"""Texts (then their tokens by `str.split` count), or counts by token."""


def token_counts(side: Side) -> Mapping[str, float]:
    """Counts by token."""
    if isinstance(side, Mapping):
        return side
    texts: Iterable[str] = [side] if isinstance(side, str) else side
    return Counter(token for text in texts for token in text.split())


def _shares(where: str, first: Side, second: Side, alpha: float) -> tuple[Floats, Floats]:
    if alpha < 0:
        raise DataError(f"{where}: alpha is {alpha}, must be >= 0")
    a, b = token_counts(first), token_counts(second)
    if not a or not b:
        raise EmptyMetric(f"{where}: one side has no token; leave the metric out of this round")
    names = sorted(set(a) | set(b))
    p = np.asarray([a.get(t, 0) for t in names], dtype=np.float64) + alpha
    q = np.asarray([b.get(t, 0) for t in names], dtype=np.float64) + alpha
    return p / p.sum(), q / q.sum()


def _kl_bits(p: Floats, q: Floats) -> float:
    seen = p > 0
    with np.errstate(divide="ignore"):
        return float((p[seen] * np.log2(p[seen] / q[seen])).sum())


def kl_divergence_bits(first: Side, second: Side, alpha: float = 0.5) -> float:
    """KL(first || second) in bits of the unigrams over the joint vocabulary, `alpha` added to every count.

    infinity for alpha = 0 where the second lacks a token of the first. Depends on sample size: compare equal draws.
    """
    return max(0.0, _kl_bits(*_shares("kl_divergence_bits", first, second, alpha)))


def js_divergence_bits(first: Side, second: Side, alpha: float = 0.5) -> float:
    """Jensen-Shannon divergence in bits, in [0, 1], of the unigrams over the joint vocabulary (Lin 1991)."""
    p, q = _shares("js_divergence_bits", first, second, alpha)
    middle = (p + q) / 2
    return max(0.0, (_kl_bits(p, middle) + _kl_bits(q, middle)) / 2)


def vocabulary_kept(first: Side, second: Side) -> float:
    """Share of the first side's different tokens that the second has, in [0, 1]."""
    a, b = token_counts(first), token_counts(second)
    if not a:
        raise EmptyMetric("vocabulary_kept: the first side has no token; leave the metric out of this round")
    return sum(token in b for token in a) / len(a)
