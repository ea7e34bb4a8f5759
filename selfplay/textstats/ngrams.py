"""Hashes of runs of n tokens or words, which never cross from one text into the next, and how often each occurs."""

import numpy as np
from numpy.typing import NDArray

from selfplay.errors import DataError
from selfplay.textstats.hashing import STEP, Hashes, Ints, mix
from selfplay.textstats.token_stream import Stream

_SHINGLE_FACTOR = 0xD6E8FEB86659FD93


def gram_hashes(stream: Stream, n: int, owners: NDArray[np.int32] | None = None) -> tuple[Hashes, Ints]:
    """Hash of each n-gram in order of place, and how many each text has (D,); a text of fewer than n tokens has none.

    Two different n-grams share a hash with a chance of about N^2 / 2^65 for N n-grams. `owners` saves computing
    `stream.owners()` again. Raises DataError for n < 1.
    """
    if n < 1:
        raise DataError(f"n-grams: n is {n}, must be >= 1")
    counts = np.maximum(stream.lengths - n + 1, 0)
    total = stream.tokens.size - n + 1
    if n == 1 or total <= 0:
        return (stream.tokens if n == 1 else stream.tokens[:0]), counts
    owners = stream.owners() if owners is None else owners
    return mix(_rolled(stream.tokens, n, STEP)[owners[:total] == owners[n - 1 :]]), counts


def shingles(hashes: Hashes, offsets: Ints, n: int) -> tuple[Hashes, Ints]:
    """Hashes of all runs of n words within each text, and the offsets of the texts in them.

    A text of 1 to n-1 words is one shingle, all its words; a text without words is the one shingle `mix(0)`, which the
    caller replaces: texts too short for n words must not look alike for that.
    """
    counts = np.diff(offsets)
    out_counts = np.maximum(counts - n + 1, 1)
    out_offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(out_counts)])
    rolled = _rolled(np.concatenate([hashes, np.zeros(n, np.uint64)]), n, _SHINGLE_FACTOR)
    place = np.arange(out_offsets[-1], dtype=np.int64) + np.repeat(offsets[:-1] - out_offsets[:-1], out_counts)
    found = rolled[np.minimum(place, len(rolled) - 1)]
    for d in np.flatnonzero(counts < n):
        short = int(counts[d])
        for value in hashes[offsets[d] : offsets[d + 1]]:
            short = (short * _SHINGLE_FACTOR + int(value)) & 0xFFFFFFFFFFFFFFFF
        found[out_offsets[d]] = short if counts[d] else 0
    return mix(found), out_offsets


def _rolled(hashes: Hashes, n: int, factor: int) -> Hashes:
    """A polynomial of each n neighbours, their order counted."""
    total = len(hashes) - n + 1
    rolled = hashes[:total].copy()
    for i in range(1, n):
        rolled *= np.uint64(factor)
        rolled += hashes[i : total + i]
    return rolled


def tally(hashes: Hashes, spoil: bool = False) -> tuple[Hashes, Ints]:
    """Different hashes, sorted, and how often each occurs; `spoil` sorts the given array itself and saves a copy.

    (`np.unique` is ten times slower at this size.)
    """
    if hashes.size == 0:
        return hashes, np.empty(0, dtype=np.int64)
    if spoil:
        hashes.sort()
    ordered = hashes if spoil else np.sort(hashes)
    first = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    return ordered[first], np.diff(np.append(first, ordered.size))
