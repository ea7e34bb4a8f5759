"""A prime field drawn from a seed, with a root of unity, and roots of its elements. Only imported by the symbolic worker."""

import hashlib
import math
from fractions import Fraction
from typing import Any

BITS = 127
"""Bits of the prime."""
ROOT = 5040
"""Order of the root of unity that every field has: angles of a whole number of degrees, and i."""
_SMALL = 144
"""2^4 * 3^2: the part of ROOT in which roots are taken; p - 1 holds no further 2 or 3."""


class Unlucky(Exception):
    """Raised if a root of a prime does not exist in this field, which proves nothing."""


class Draw:
    """Random numbers derived from a seed and a name: the same pair always gets the same ones."""

    def __init__(self, seed: bytes) -> None:
        self.seed = seed

    def number(self, *name: Any) -> int:
        """At least 0 and below 2^256."""
        return int.from_bytes(hashlib.sha256(self.seed + repr(name).encode()).digest(), "big")


def _probably_prime(n: int) -> bool:
    """Miller and Rabin's test; the candidates are random, so a few fixed bases leave no chance that counts."""
    odd = n - 1
    twos = (odd & -odd).bit_length() - 1
    odd >>= twos
    for base in (2, 3, 5, 7, 11, 13, 17, 19):
        x = pow(base, odd, n)
        if x in (1, n - 1):
            continue
        for _ in range(twos - 1):
            x = x * x % n
            if x == n - 1:
                break
        else:
            return False
    return True


def prime(draw: Draw, index: int) -> int:
    """The index-th prime p of BITS bits with p - 1 divisible by ROOT and by no higher power of 2 or 3."""
    room = 2 ** (BITS - 1) // ROOT
    m = room + draw.number("prime", index) % room
    while True:
        p: int = m * ROOT + 1
        # 111,546,435 is the product of the odd primes up to 23
        if math.gcd(m, 6) == 1 and math.gcd(p, 111_546_435) == 1 and _probably_prime(p):
            return p
        m += 1


class Field:
    """One prime field with its constants; `at` gives the evaluator of one point."""

    def __init__(self, draw: Draw, index: int) -> None:
        self.draw, self.index = draw, index
        self.p = p = prime(draw, index)
        self.zeta = self._root_of_unity()
        self.i = pow(self.zeta, ROOT // 4, p)
        self.rest = (p - 1) // _SMALL
        part = pow(self.zeta, ROOT // _SMALL, p)
        self.logs: dict[int, int] = {}
        power = 1
        for j in range(_SMALL):
            self.logs[power] = j
            power = power * part % p
        self.powers = {j: value for value, j in self.logs.items()}
        self.radicals: dict[int, int] = {}

    def _root_of_unity(self) -> int:
        for attempt in range(1, 1000):
            root = pow(self.element("zeta", attempt), (self.p - 1) // ROOT, self.p)
            if all(pow(root, ROOT // q, self.p) != 1 for q in (2, 3, 5, 7)):
                return root
        raise Unlucky

    def element(self, *name: Any) -> int:
        """A random element other than 0 that is the same for the same name."""
        return self.draw.number(self.index, *name) % (self.p - 1) + 1

    def root(self, value: int, k: int) -> int | None:
        """One k-th root of a value, k a divisor of 144; None where the field has none."""
        p = self.p
        if value == 0:
            return 0
        # F_p's units are a product of cyclic groups of order 144 and `rest`, which are coprime
        small = pow(value, self.rest * pow(self.rest, -1, _SMALL), p)
        large = value * pow(small, -1, p) % p
        j = self.logs[small]
        if j % k:
            return None
        return self.powers[j // k] * pow(large, pow(k, -1, self.rest), p) % p

    def radical(self, q: int, power: Fraction) -> int:
        """A prime's power with a denominator that divides 12; raises Unlucky where the field has none."""
        if q not in self.radicals:
            # only the sum fits together with the roots of unity, among which the square roots of these primes are
            root = self._gauss(q) if q in (2, 3, 5, 7) else self.root(q, 2)
            if root is None:
                raise Unlucky
            self.radicals[q] = root
        if power.denominator <= 2:
            return pow(self.radicals[q], int(power * 2), self.p)
        twelfth = self.root(self.radicals[q], 6)
        if twelfth is None:
            raise Unlucky
        return pow(twelfth, int(power * 12), self.p)

    def _gauss(self, q: int) -> int:
        """The square root of 2, 3, 5 or 7, from roots of unity."""
        p, z = self.p, pow(self.zeta, ROOT // (8 if q == 2 else q), self.p)
        if q == 2:
            return (z + pow(z, -1, p)) % p
        total = sum((1 if pow(a, (q - 1) // 2, q) == 1 else -1) * pow(z, a, p) for a in range(1, q))
        return total % p if q % 4 == 1 else total * pow(self.i, -1, p) % p
