"""The share of texts that repeat an earlier one, exactly or nearly: MinHash finds candidates, exact Jaccard decides."""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from selfplay.collapse.estimate import Estimate, Floats, jackknife
from selfplay.errors import EmptyMetric
from selfplay.textstats.hashing import ROWS, U32, Hashes, Ints, band, mix, sketches
from selfplay.textstats.ngrams import Stream, as_stream, gram_hashes

BANDS = 16
"""Bands of 4 values of a sketch: a pair meets in one with probability 0.9998 at similarity 0.8. Curation, which must
miss none, takes twice as many."""
MOST_UNLIKE = 100_000
"""Pairs that are remembered to be unlike: most that meet in one band meet in more."""


def text_hashes(texts: Sequence[str]) -> Hashes:
    """64-bit content hash of each text, white space at its ends and its runs of white space made one."""
    digests = (blake2b(" ".join(t.split()).encode("utf-8", "surrogatepass"), digest_size=8).digest() for t in texts)
    return np.frombuffer(b"".join(digests), dtype=np.uint64)


def exact_dup_rate(texts: Sequence[str] | Hashes) -> float:
    """Share of the texts that an earlier one equals (white space apart), in [0, 1): 1 - different / all."""
    return exact_dup_estimate(texts).value


def exact_dup_estimate(texts: Sequence[str] | Hashes) -> Estimate:
    """`exact_dup_rate` with a delete-one jackknife interval. Raises EmptyMetric for no text."""
    hashes = texts if isinstance(texts, np.ndarray) else text_hashes(texts)
    if hashes.size == 0:
        raise EmptyMetric("exact_dup_rate: no text was given; leave the metric out of this round")
    _, inverse, counts = np.unique(hashes, return_inverse=True, return_counts=True)
    alone = (counts == 1)[inverse]
    n, different = hashes.size, counts.size
    return jackknife(1 - different / n, 1 - (different - alone) / max(n - 1, 1), share=True)


def near_duplicates(texts: Sequence[str] | Stream, threshold: float = 0.8, n: int = 5) -> list[tuple[int, int, float]]:
    """Texts whose n-gram set is alike an earlier one's: (earlier, later, exact Jaccard >= threshold), one a later text.

    In each band a text is compared with the bucket's first and the one before it, so the work stays linear also where
    thousands are alike. Texts shorter than n have no n-grams and are near nothing. Equal texts count.
    """
    stream = as_stream(texts)
    sets = _Sets(stream, n)
    signatures = sketches((sets.hashes >> np.uint64(32)).astype(np.uint32), sets.ends, BANDS * ROWS)
    found: dict[int, tuple[int, float]] = {}
    known = np.zeros(sets.sizes.size, dtype=bool)
    unlike: set[tuple[int, int]] = set()
    usable = np.flatnonzero(sets.sizes > 0)
    for number in range(BANDS):
        rows = band(signatures, number)[usable].astype(np.uint64)
        for earlier, later in _candidates(rows, usable, signatures, threshold, known):
            if later in found or (earlier, later) in unlike:
                continue
            alike = sets.jaccard(earlier, later)
            if alike >= threshold:
                found[later] = (earlier, alike)
                known[later] = True
            elif len(unlike) < MOST_UNLIKE:
                unlike.add((earlier, later))
    return sorted((earlier, later, alike) for later, (earlier, alike) in found.items())


def _candidates(
    rows: Hashes, texts: Ints, signatures: U32, threshold: float, known: NDArray[np.bool_]
) -> list[tuple[int, int]]:
    """Pairs (earlier, later) of one band that may be alike, but for later texts that are known to be."""
    key = rows[:, 0].copy()
    for i in range(1, rows.shape[1]):
        key = mix(key) + rows[:, i]
    order = np.argsort(key, kind="stable")
    same = np.concatenate([[False], key[order][1:] == key[order][:-1]])
    heads = np.maximum.accumulate(np.where(same, 0, np.arange(order.size)))
    later = np.flatnonzero(same)
    pairs = np.concatenate([np.stack([heads[later], later], 1), np.stack([later - 1, later], 1)])
    pairs = texts[order[pairs]]
    pairs = pairs[~known[pairs[:, 1]]]
    alike = np.empty(len(pairs))
    for at in range(0, len(pairs), 20_000):  # bounds the memory of the comparison
        part = pairs[at : at + 20_000]
        alike[at : at + 20_000] = (signatures[part[:, 0]] == signatures[part[:, 1]]).mean(axis=1)
    return [(int(a), int(b)) for a, b in pairs[alike >= threshold - 0.2]]


class _Sets:
    """The different n-grams of each text, sorted, read on demand."""

    def __init__(self, stream: Stream, n: int) -> None:
        self.hashes, self.sizes = gram_hashes(stream, n)
        self.ends = np.concatenate([[0], np.cumsum(self.sizes)])
        self.cached: dict[int, Hashes] = {}

    def of(self, text: int) -> Hashes:
        """Sorted different hashes of one text."""
        if text not in self.cached:
            if len(self.cached) > 5000:
                self.cached.clear()
            self.cached[text] = np.unique(self.hashes[self.ends[text] : self.ends[text + 1]])
        return self.cached[text]

    def jaccard(self, a: int, b: int) -> float:
        """Exact Jaccard of two texts' n-gram sets."""
        both = np.concatenate([self.of(a), self.of(b)])
        both.sort()
        common = int((both[1:] == both[:-1]).sum())
        return common / (both.size - common)


def near_dup_estimate(texts: Sequence[str] | Stream, threshold: float = 0.8, n: int = 5) -> Estimate:
    """Share of the texts alike an earlier one (see `near_duplicates`), with a jackknife interval over texts."""
    stream = as_stream(texts)
    size = stream.lengths.size
    if size == 0:
        raise EmptyMetric("near_dup_rate: no text was given; leave the metric out of this round")
    marked = np.zeros(size)
    for _, later, _ in near_duplicates(stream, threshold, n):
        marked[later] = 1
    total = float(marked.sum())
    left: Floats = (total - marked) / max(size - 1, 1)
    return jackknife(total / size, left, share=True)


def near_dup_rate(texts: Sequence[str] | Stream, threshold: float = 0.8, n: int = 5) -> float:
    """The value of `near_dup_estimate`."""
    return near_dup_estimate(texts, threshold, n).value
