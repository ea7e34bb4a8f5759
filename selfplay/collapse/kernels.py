"""Diversity of vectors: Vendi score, RKE and its unbiased form, coverage; and hashed n-gram features.

No score of features can exceed their number: vectors in d dimensions that have nothing in common still have a mean
squared cosine of about 1/d, so hashed features of width d end near d. Read them where they are well below.

`n` points, `d` features, K an n x n similarity matrix with ones on its diagonal. The features are part of the metric:
say which. Plug-in scores grow with n (44 -> 60 from 100 to 20,000 points of one source): hold n fixed, or use `rke_u`.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from selfplay.collapse.estimate import Estimate, Floats, jackknife
from selfplay.errors import DataError, EmptyMetric
from selfplay.textstats.ngrams import Stream, as_stream, gram_hashes


def _order(q: float | str) -> float:
    order = math.inf if str(q) == "inf" else float(q)
    if math.isnan(order) or order < 0:
        raise DataError(f"vendi: q is {q}, must be >= 0 or inf")
    return order


def hill_of_eigenvalues(eigenvalues: ArrayLike, q: float | str = 1) -> float:
    """exp of the order-q entropy of eigenvalues that are scaled to sum to 1; rounding below 1e-14 counts as 0."""
    order = _order(q)
    p = np.asarray(eigenvalues, dtype=np.float64)
    p = p[p > 1e-14]
    p = p / p.sum()
    if order == 1:
        return float(np.exp(-(p * np.log(p)).sum()))
    if order == math.inf:
        return float(1 / p.max())
    return float((p**order).sum() ** (1 / (1 - order)))


def _checked(matrix: ArrayLike, where: str) -> Floats:
    array = np.asarray(matrix, dtype=np.float64)
    if array.ndim != 2 or array.size == 0:
        raise EmptyMetric(f"{where}: the matrix has shape {array.shape}, needs one point or more; leave the metric out")
    if not np.all(np.isfinite(array)):
        raise DataError(f"{where}: the matrix has values that are not finite; drop these points first")
    return array


def vendi(kernel: ArrayLike, q: float | str = 1) -> float:
    """Effective number of points: exp of the order-q entropy of the eigenvalues of K/n (Friedman and Dieng 2210.02410).

    1 for all the same, n for all different. q = 1 Shannon, 2 collision (RKE), inf 1/largest; smaller q sees rarer ones.
    """
    K = _checked(kernel, "vendi")
    if K.shape[0] != K.shape[1]:
        raise DataError(f"vendi: kernel has shape {K.shape}, must be square; for features use vendi_dual")
    return hill_of_eigenvalues(np.linalg.eigvalsh(K / K.shape[0]), q)


def _unit_rows(features: ArrayLike, where: str) -> Floats:
    X = _checked(features, where)
    norms = np.linalg.norm(X, axis=1, keepdims=True)
    return X / np.where(norms > 0, norms, 1.0)


def vendi_dual(features: ArrayLike, q: float | str = 1) -> float:
    """Vendi score of the cosine kernel from features (n, d): eigenvalues of X'X/n, d x d instead of n x n. Zero rows count
    as points unlike all others only in n, so drop empty texts before."""
    X = _unit_rows(features, "vendi_dual")
    return hill_of_eigenvalues(np.linalg.eigvalsh(X.T @ X / X.shape[0]), q)


def rke(kernel: ArrayLike) -> float:
    """1 / ||K/n||_F^2 = Vendi of order 2 (Jalali et al. 2023), plug-in: grows with n."""
    K = _checked(kernel, "rke")
    return float(K.shape[0] ** 2 / (K**2).sum())


def rke_u(features: ArrayLike) -> float:
    """Order-2 effective number from features (n, d), unbiased in its inverse: 1 / mean over pairs i != j of cos^2.

    (n-1) / (n ||X'X/n||_F^2 - 1): the same at every n, where the plug-in grows. It ends near d: see the top. infinity where
    no pair is alike at all. Raises EmptyMetric for n < 2.
    """
    return _rke_u(features).value


def rke_estimate(features: ArrayLike) -> Estimate:
    """`rke_u` with a delete-one jackknife interval, in O(n d^2)."""
    return _rke_u(features, interval=True)


def _rke_u(features: ArrayLike, interval: bool = False) -> Estimate:
    X = _unit_rows(features, "rke_u")
    n = X.shape[0]
    if n < 2:
        raise EmptyMetric("rke_u: one point, needs two; leave the metric out of this round")
    C = X.T @ X
    own = (X**2).sum(axis=1) ** 2
    pairs = float((C**2).sum() - own.sum())
    value = n * (n - 1) / pairs if pairs > 1e-12 else math.inf
    if not interval or not math.isfinite(value) or n < 3:
        return Estimate(value, value, value, n)
    with_others = ((X @ C) * X).sum(axis=1) - own
    left = np.maximum(pairs - 2 * with_others, 1e-12)
    return jackknife(value, (n - 1) * (n - 2) / left)


def hashed_features(texts: Sequence[str] | Stream, n: int = 1, width: int = 512) -> Floats:
    """Count sketch of the n-grams, rows of unit length (D, width); a text without n-grams is a zero row.

    Each n-gram's hash picks a column and a sign, so that cosines are kept on average (Weinberger et al. 2009, 0902.2206).
    Counts enter by their square root, or the commonest words would carry every cosine.
    """
    stream = as_stream(texts)
    hashes, counts = gram_hashes(stream, n)
    column = (hashes % np.uint64(width)).astype(np.int64)
    sign = 1.0 - 2.0 * ((hashes >> np.uint64(40)) & np.uint64(1)).astype(np.float64)
    X = np.empty((counts.size, width))
    ends = np.concatenate([[0], np.cumsum(counts)])
    step = 2000
    for start in range(0, counts.size, step):
        stop = min(start + step, counts.size)
        inside = slice(int(ends[start]), int(ends[stop]))
        owner = np.repeat(np.arange(stop - start), counts[start:stop])
        cells = np.bincount(owner * width + column[inside], sign[inside], (stop - start) * width)
        X[start:stop] = cells.reshape(stop - start, width)
    X = np.sign(X) * np.sqrt(np.abs(X))
    norms = np.linalg.norm(X, axis=1, keepdims=True)
    return np.asarray(X / np.where(norms > 0, norms, 1.0))


def coverage(reference: ArrayLike, points: ArrayLike, k: int = 5) -> float:
    """Share of the reference points with a point inside their k-th-neighbour radius (Naeem et al. 2020, 2002.09797).

    n x m distances, so for sets of up to a few thousand; hold both sizes fixed. Raises EmptyMetric for k or fewer
    reference points.
    """
    A, B = _checked(reference, "coverage"), _checked(points, "coverage")
    if A.shape[0] <= k:
        raise EmptyMetric(f"coverage: {A.shape[0]} reference points, needs more than k = {k}; leave the metric out")
    own = _square_distances(A, A)
    np.fill_diagonal(own, np.inf)
    radius = np.partition(own, k - 1, axis=1)[:, k - 1]
    return float((_square_distances(A, B).min(axis=1) <= radius).mean())


def _square_distances(A: Floats, B: Floats) -> Floats:
    return np.asarray((A**2).sum(1)[:, None] + (B**2).sum(1)[None] - 2 * A @ B.T)
