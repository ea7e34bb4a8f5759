"""One mixing function for 64-bit hashes, and the array types that hashes come in."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Ints = NDArray[np.int64]

STEP = 0x9E3779B97F4A7C15
"""The odd constant of splitmix64, as the factor of polynomial hashes."""
_BLOCK = 1 << 20
"""Values mixed at once, so that temporaries stay in the cache."""


def mix(values: Any) -> Hashes:
    """Spreads 64-bit values over all bits, without collisions (the finaliser of splitmix64, Steele et al. 2014)."""
    mixed: Hashes = np.asarray(values, np.uint64).copy()
    flat = mixed.reshape(-1)
    for at in range(0, flat.size, _BLOCK):
        part = flat[at : at + _BLOCK]
        part ^= part >> np.uint64(30)
        part *= np.uint64(0xBF58476D1CE4E5B9)
        part ^= part >> np.uint64(27)
        part *= np.uint64(0x94D049BB133111EB)
        part ^= part >> np.uint64(31)
    return mixed
