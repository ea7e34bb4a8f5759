"""All randomness comes from here. Same parts, same seed, on every machine and Python version.

Never Python's `hash()` (salted per process), never a global generator.
"""

import hashlib
import random


def seed_of(*parts: int | str) -> int:
    """A 63-bit seed from the parts in order, such as (run seed, round, phase, chunk id).

    sha256 over the unambiguous joined representation, so ("a", "b") and ("ab",) differ.
    """
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def rng_of(*parts: int | str) -> random.Random:
    """A private generator seeded with `seed_of(*parts)`."""
    return random.Random(seed_of(*parts))
