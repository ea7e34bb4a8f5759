"""One mixing function for 64-bit hashes, the array types that hashes come in, and MinHash (Broder 1997).

Texts that share many n-grams are found by their sketches. No pair is decided by a sketch alone.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Ints = NDArray[np.int64]

STEP = 0x9E3779B97F4A7C15
"""The odd constant of splitmix64, as the factor of polynomial hashes."""
_BLOCK = 1 << 20
"""Values mixed at once, so that temporaries stay in the cache."""


def mix(values: Any, spoil: bool = False) -> Hashes:
    """Spreads 64-bit values over all bits, without collisions (the finaliser of splitmix64, Steele et al. 2014).

    `spoil` mixes the given array of 64-bit values itself and saves a copy.
    """
    mixed: Hashes = values if spoil else np.array(values, np.uint64)
    flat = mixed.reshape(-1)
    for at in range(0, flat.size, _BLOCK):
        part = flat[at : at + _BLOCK]
        part ^= part >> np.uint64(30)
        part *= np.uint64(0xBF58476D1CE4E5B9)
        part ^= part >> np.uint64(27)
        part *= np.uint64(0x94D049BB133111EB)
        part ^= part >> np.uint64(31)
    return mixed


U32 = NDArray[np.uint32]

PERMUTATIONS = 128
"""Hash functions of a sketch: standard error of the similarity 0.04 at 0.7."""

BANDS = 32
"""Bands of 4 values each: a pair meets in one with probability 0.56 at similarity 0.4, 0.99985 at 0.7, 0.9999999 at 0.8."""

ROWS = PERMUTATIONS // BANDS
_MULTIPLIERS: U32 = (mix(np.arange(1, PERMUTATIONS + 1, dtype=np.uint64)) | np.uint64(1)).astype(np.uint32)


def sketches(hashes: U32, offsets: Ints, permutations: int = PERMUTATIONS) -> U32:
    """(D, permutations): the sketch of each text from its n-gram hashes, `hashes[offsets[d]:offsets[d + 1]]`.

    The sketch of a text without n-grams is 0; the share of equal values in two sketches estimates the Jaccard similarity.
    """
    found = np.zeros((len(offsets) - 1, permutations), np.uint32)
    for d in np.flatnonzero(np.diff(offsets)).tolist():
        found[d] = (hashes[offsets[d] : offsets[d + 1], None] * _MULTIPLIERS[:permutations]).min(axis=0)
    return found


def band(found: U32, number: int) -> U32:
    """(D, ROWS): the values of one band; texts that agree in all of them are candidates."""
    return found[:, number * ROWS : (number + 1) * ROWS]
