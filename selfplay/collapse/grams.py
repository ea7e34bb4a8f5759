"""Repetition and variety of n-grams: within a text, between texts, and against a reference.

All take texts (tokens by `str.split`) or a `Stream`; n-grams never cross from one text into the next. Values fall with
corpus size: compare rounds at one token budget only (`texts.measure` does). What has no n-gram raises EmptyMetric.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selfplay.collapse.estimate import Estimate, Floats, jackknife
from selfplay.errors import EmptyMetric
from selfplay.textstats.hashing import Hashes, Ints
from selfplay.textstats.ngrams import Stream, as_stream, gram_hashes, stream_of, tally

Texts = Sequence[str] | Stream


def _grams(where: str, texts: Texts, n: int) -> tuple[Hashes, Ints]:
    hashes, counts = gram_hashes(as_stream(texts), n)
    if hashes.size == 0:
        raise EmptyMetric(f"{where}: no text has {n} tokens or more; leave the metric out of this round")
    return hashes, counts


def distinct_n(texts: Texts, n: int) -> float:
    """Different n-grams over all n-grams, in (0, 1] (Li et al. 2016, N16-1014; they divide by tokens).

    Falls with corpus size (Heaps); texts shorter than n add nothing.
    """
    hashes, _ = _grams("distinct_n", texts, n)
    return tally(hashes)[0].size / hashes.size


def type_token_ratio(texts: Texts) -> float:
    """Different tokens over tokens: `distinct_n` with n = 1."""
    return distinct_n(texts, 1)


def distinct_estimate(texts: Texts, n: int) -> Estimate:
    """`distinct_n` with a delete-one-text jackknife interval (conservative, by Efron and Stein's inequality)."""
    hashes, counts = _grams("distinct_estimate", texts, n)
    different, only_here = different_of(hashes, np.repeat(np.arange(counts.size), counts), counts.size)
    left = np.maximum(hashes.size - counts, 1)
    return jackknife(different / hashes.size, (different - only_here) / left, share=True)


def different_of(hashes: Hashes, owners: NDArray[np.integer], texts: int) -> tuple[int, Ints]:
    """How many different n-grams there are, and how many of them each text alone has (D,). `owners`: each n-gram's text."""
    order = np.argsort(hashes)
    ordered, owners = hashes[order], owners[order]
    first = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    lowest, highest = np.minimum.reduceat(owners, first), np.maximum.reduceat(owners, first)
    return first.size, np.bincount(lowest[lowest == highest], minlength=texts)


def ead(texts: Texts, n: int, vocabulary: int) -> float:
    """Expectation-adjusted distinct: different / (V (1 - ((V-1)/V)^C)) with C n-grams (Liu et al. 2022, 2202.13587).

    Corrects distinct-n for length under a uniform vocabulary of V n-grams: keep V fixed over rounds. May exceed 1.
    """
    hashes, _ = _grams("ead", texts, n)
    expected = -vocabulary * np.expm1(hashes.size * np.log1p(-1.0 / vocabulary))
    return float(tally(hashes)[0].size / expected)


def seq_rep_n(tokens: Texts | Sequence[Sequence[str | int]], n: int) -> float:
    """Mean over texts of 1 - different n-grams / n-grams, in [0, 1) (Welleck et al. 2020, 1908.04319).

    A text of fewer than n tokens counts 0. `tokens`: texts, a Stream, lists of tokens (one a text), or the tokens of
    one text (strings without a space, or ints). Raises EmptyMetric for no text.
    """
    stream = _any_stream(tokens)
    if len(stream.starts) < 2:
        raise EmptyMetric("seq_rep_n: no text was given; leave the metric out of this round")
    return float(repetition(*gram_hashes(stream, n)).mean())


def repetition(hashes: Hashes, counts: Ints) -> Floats:
    """seq-rep-n of each text (D,), from its n-grams as `gram_hashes` gives them: what `seq_rep_n` averages."""
    different = np.zeros(counts.size)
    block = 1_000_000
    ends = np.cumsum(counts)
    start = 0
    while start < counts.size:  # blocks of whole texts bound the memory of the sort
        stop = int(max(start + 1, np.searchsorted(ends, (ends[start - 1] if start else 0) + block)))
        inside = slice(int(ends[start - 1]) if start else 0, int(ends[stop - 1]))
        owner = np.repeat(np.arange(stop - start, dtype=np.uint64), counts[start:stop])
        keys = np.sort((owner << np.uint64(44)) | (hashes[inside] >> np.uint64(20)))
        new = np.concatenate([[True], keys[1:] != keys[:-1]]) if keys.size else np.empty(0, dtype=bool)
        different[start:stop] = np.bincount((keys[new] >> np.uint64(44)).astype(np.int64), minlength=stop - start)
        start = stop
    return np.where(counts > 0, 1.0 - different / np.maximum(counts, 1), 0.0)


def _any_stream(tokens: Texts | Sequence[Sequence[str | int]]) -> Stream:
    if isinstance(tokens, Stream | str):
        return as_stream(tokens)
    rows: list[Any] = list(tokens)
    if rows and all(isinstance(t, str) for t in rows):
        one_text = all(t.split() == [t] for t in rows)
        return stream_of([" ".join(rows)] if one_text else rows)
    if rows and not isinstance(rows[0], Sequence):
        rows = [rows]
    return stream_of([" ".join(str(t).replace(" ", "_") for t in row) for row in rows])


def ngram_collision_u(texts: Texts, n: int) -> float:
    """Chance that two n-grams drawn from the corpus are equal, unbiased: sum c(c-1) / N(N-1). Flat in corpus size.

    The linear-time stand-in for self-BLEU; its inverse is the order-2 effective number of n-grams.
    """
    hashes, _ = _grams("ngram_collision_u", texts, n)
    if hashes.size < 2:
        raise EmptyMetric(f"ngram_collision_u: one {n}-gram, needs two; leave the metric out of this round")
    counts = tally(hashes)[1].astype(np.float64)
    return float((counts * (counts - 1)).sum() / (float(hashes.size) * (hashes.size - 1)))


def collision_estimate(texts: Texts, n: int) -> Estimate:
    """Chance that n-grams from two *different* texts are equal, with a delete-one-text jackknife interval.

    sum_j (c_j^2 - sum_d c_jd^2) / (N^2 - sum_d N_d^2): a U-statistic over pairs of texts. Raises EmptyMetric unless two
    texts have n-grams.
    """
    hashes, counts = _grams("collision_estimate", texts, n)
    if (counts > 0).sum() < 2:
        raise EmptyMetric("collision_estimate: fewer than two texts have n-grams; leave the metric out of this round")
    owners = np.repeat(np.arange(counts.size), counts)
    table = Table.of(hashes, owners)
    inside, size = table.inside.astype(np.float64), counts.astype(np.float64)
    whole = table.total.astype(np.float64)[table.gram]
    with_others = np.bincount(table.owner, weights=inside * (whole - inside), minlength=counts.size)
    pairs = size * (size.sum() - size)
    hits, room = float(with_others.sum()), float(pairs.sum())
    left = (hits - 2 * with_others) / np.maximum(room - 2 * pairs, 1.0)
    return jackknife(hits / room, left)


def ngram_lost(reference: Texts, texts: Texts, n: int, at_least: int = 5) -> float:
    """Share of the reference's n-grams met `at_least` times there that these texts never show, in [0, 1].

    Draw equal numbers of tokens in every round. The tail metric of the n-gram family. Raises EmptyMetric where the
    reference has no such n-gram.
    """
    known, counts = tally(gram_hashes(as_stream(reference), n)[0])
    known = known[counts >= at_least]
    if known.size == 0:
        raise EmptyMetric(f"ngram_lost: no {n}-gram is met {at_least} times in the reference; give more or lower it")
    met = tally(gram_hashes(as_stream(texts), n)[0])[0]
    return 1.0 - float(np.isin(known, met, assume_unique=True).mean())


class Table:
    """Which n-gram stands in which text how often: one entry a (n-gram, text) pair that occurs."""

    def __init__(self, gram: Ints, owner: Ints, inside: Ints, total: Ints) -> None:
        self.gram, self.owner, self.inside, self.total = gram, owner, inside, total
        """n-gram number, text and count of each pair; count of each n-gram overall."""

    @classmethod
    def of(cls, hashes: Hashes, owners: NDArray[np.integer]) -> "Table":
        """Counts pairs by one sort over (hash, text). For samples: it takes 40 bytes an n-gram."""
        order = np.lexsort((owners, hashes))
        h, d = hashes[order], np.asarray(owners)[order].astype(np.int64)
        new_gram = np.concatenate([[True], h[1:] != h[:-1]])
        new_pair = new_gram | np.concatenate([[True], d[1:] != d[:-1]])
        first = np.flatnonzero(new_pair)
        inside = np.diff(np.append(first, h.size))
        gram = np.cumsum(new_gram)[first] - 1
        total = np.bincount(gram, weights=inside).astype(np.int64)
        return cls(gram, d[first], inside, total)
