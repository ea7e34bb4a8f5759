"""Floor 3: terms evaluated in a prime field drawn from a hash: equal values prove equal terms, but for a chance below 2^-70.

Schwartz (1980), Zippel (1979): a polynomial that is not zero is zero at few points of a large field. A term is mapped into
F_p by rules that hold for the real or complex value too, so what is equal as numbers or functions of the term stays equal:

- unknowns, pi, e, log 2, ... are independent random elements;
- i, roots of unity and roots of whole numbers are elements that satisfy their equations (square roots of 2, 3, 5, 7 by Gauss sums);
- e^a, 2^a, x^a with a sum in the exponent are products; sine, cosine and their kin are written by e^(ix);
- any other function is a random element named by its arguments' values: equal arguments give equal values;
- a root of a term is a random one of its roots in F_p. That this is sound needs the term to be no power already, and each
  root is only trusted once the same root was seen not to exist at another draw, which proves it (Kummer).

Only imported by the symbolic worker. Prime and points depend on the pair that is compared, so nobody can aim at them.
"""

import hashlib
import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

import sympy

BITS = 127
"""Bits of the prime."""
MAX_WEIGHT = 2**40
"""Bound of degree, and of bits of a whole number, of a term that is evaluated here; the chance of an error grows with it."""
MAX_DRAWS = 150
MAX_FACTORIAL = 20_000
ROOT = 5040
"""Order of the root of unity that every field has: angles of a whole number of degrees, and i."""
_SMALL = 144
"""2^4 * 3^2: the part of ROOT in which roots are taken; p - 1 holds no further 2 or 3."""
_EXPONENT = 720
"""Denominators of a numeric factor in an exponent that are taken apart: e^(x/2), e^(x/3)."""
_TRIGONOMETRIC = ("sin", "cos", "tan", "cot", "sec", "csc", "sinh", "cosh", "tanh", "coth", "sech", "csch")
Key = tuple[Any, ...] | int | str


class Undecided(Exception):
    """The term cannot be evaluated here: too large, or a division by zero wherever it was tried."""


class _NoRoot(Exception):
    """A root of a term does not exist at this draw, which proves that the term is no power."""


class _Unlucky(Exception):
    """A root of a prime does not exist in this field, which proves nothing."""


class Draw:
    """Random numbers that follow from a seed and a name: the same pair always gets the same ones."""

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
        raise Undecided

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
        """A prime's power with a denominator that divides 12; raises _Unlucky where the field has none."""
        if q not in self.radicals:
            # only the sum fits together with the roots of unity, among which the square roots of these primes are
            root = self._gauss(q) if q in (2, 3, 5, 7) else self.root(q, 2)
            if root is None:
                raise _Unlucky
            self.radicals[q] = root
        if power.denominator <= 2:
            return pow(self.radicals[q], int(power * 2), self.p)
        twelfth = self.root(self.radicals[q], 6)
        if twelfth is None:
            raise _Unlucky
        return pow(twelfth, int(power * 12), self.p)

    def _gauss(self, q: int) -> int:
        """The square root of 2, 3, 5 or 7, from roots of unity."""
        p, z = self.p, pow(self.zeta, ROOT // (8 if q == 2 else q), self.p)
        if q == 2:
            return (z + pow(z, -1, p)) % p
        total = sum((1 if pow(a, (q - 1) // 2, q) == 1 else -1) * pow(z, a, p) for a in range(1, q))
        return total % p if q % 4 == 1 else total * pow(self.i, -1, p) % p


class Point:
    """The evaluation of terms at one point of a field. `opaque` tells whether unequal values may still be equal terms."""

    def __init__(self, field: Field, name: int) -> None:
        self.field, self.p, self.name = field, field.p, name
        self.opaque = False
        self.roots: dict[tuple[int, int], int] = {}
        self.known: dict[Any, int] = {}

    def value(self, term: Any) -> int:
        """The image of a term. Raises Undecided, _NoRoot, and ZeroDivisionError where it divides by zero."""
        found = self.known.get(term)
        if found is None:
            found = self.known[term] = self._value(term) % self.p
        return found

    def _value(self, term: Any) -> int:
        if term.is_Rational:
            return int(term.p) * self.inverse(int(term.q))
        if term.is_Symbol:
            return self.field.element("unknown", term.name, self.name)
        if term.is_Add:
            return sum(self.value(part) for part in term.args)
        if term.is_Mul:
            product = 1
            for part in term.args:
                product = product * self.value(part) % self.p
            return product
        if term is sympy.I:
            return self.field.i
        if isinstance(term, sympy.exp) or term is sympy.E:
            return self.exponential(term.args[0] if term.args else sympy.S.One)
        if term.is_Pow:
            return self.exponential(term.exp) if term.base is sympy.E else self.power(term.base, term.exp)
        return self.function(term)

    def inverse(self, value: int) -> int:
        if value % self.p == 0:
            raise ZeroDivisionError
        return pow(value, -1, self.p)

    def function(self, term: Any) -> int:
        """Functions by what they are made of; what is not known is an element named by its arguments."""
        name = term.func.__name__
        if name == "UnevaluatedExpr":
            return self.value(term.args[0])
        if name == "log":
            return self.logarithm(*term.args)
        if _is_factorial(term) and term.args[0] <= MAX_FACTORIAL:
            return math.factorial(int(term.args[0]))
        if name in _TRIGONOMETRIC:
            return self.trigonometric(name, term.args[0])
        if term.has(sympy.nan, sympy.zoo, sympy.oo, -sympy.oo) and not term.args:
            raise Undecided
        self.opaque = True
        # an unknown function is an unknown, with another value at another point; pi is not
        mine = (self.name,) if isinstance(term, sympy.core.function.AppliedUndef) else ()
        return self.field.element("function", self.key(term), *mine)

    def key(self, node: Any) -> Key:
        """What an element is named by: the head of the node and the values of its parts."""
        head = str(node) if not node.args else f"{node.func.__name__}:{getattr(node.func, 'name', '')}"
        return (
            head,
            *(self.value(part) if isinstance(part, sympy.Expr) else self.key(part) for part in node.args),
        )

    def trigonometric(self, name: str, argument: Any) -> int:
        """Circular and hyperbolic functions by the exponential."""
        hyperbolic = name.endswith("h")
        up = self.exponential(argument if hyperbolic else sympy.I * argument)
        down = self.inverse(up)
        half = self.inverse(2)
        cosine = (up + down) * half
        sine = (up - down) * half * (1 if hyperbolic else self.inverse(self.field.i))
        stem = name.removesuffix("h")
        table: dict[str, Callable[[], int]] = {
            "sin": lambda: sine,
            "cos": lambda: cosine,
            "tan": lambda: sine * self.inverse(cosine),
            "cot": lambda: cosine * self.inverse(sine),
            "sec": lambda: self.inverse(cosine),
            "csc": lambda: self.inverse(sine),
        }
        return table[stem]()

    def logarithm(self, argument: Any, base: Any = None) -> int:
        """log; of a positive rational by its primes."""
        if base is not None:
            return self.logarithm(argument) * self.inverse(self.logarithm(base))
        self.opaque = True
        if argument is sympy.E:
            return 1
        if not (argument.is_Rational and argument > 0):
            return self.field.element("function", ("log", self.value(argument)))
        return sum(n * self.field.element("log", q) for q, n in factors(argument).items())

    def exponential(self, exponent: Any) -> int:
        """e to a sum: the product of its parts; e^(i pi r) is a root of unity."""
        product = 1
        for part, factor in parts(exponent):
            quarter = factor * (ROOT // 2)
            if part == sympy.I * sympy.pi and quarter.denominator == 1:
                product = product * pow(self.field.zeta, int(quarter), self.p) % self.p
            else:
                product = product * self.generator("e", part, factor) % self.p
        return product

    def generator(self, base: Key, part: Any, factor: Fraction) -> int:
        """base^(factor * part) as a power of a random element that stands for base^(part / 720)."""
        self.opaque = True
        steps = factor * _EXPONENT
        if steps.denominator != 1:
            part, steps = part / steps.denominator, Fraction(steps.numerator)
        return pow(self.field.element("power", base, self.value(part)), int(steps), self.p)

    def power(self, base: Any, exponent: Any) -> int:
        """base^exponent: whole powers, roots, and parts with unknowns each by their rule."""
        number = whole_number(exponent)
        if number is not None:
            return self.whole(base, number)
        product = 1
        for part, factor in parts(exponent):
            if part is sympy.S.One:
                product = product * self.rational(base, factor) % self.p
            elif base.is_Rational and base > 0:
                for q, n in factors(base).items():
                    product = product * self.generator(q, part, factor * n) % self.p
            elif base == -1:
                product = product * self.exponential(sympy.I * sympy.pi * part * sympy.Rational(factor)) % self.p
            else:
                product = product * self.generator(("base", self.value(base)), part, factor) % self.p
        return product

    def whole(self, base: Any, exponent: int) -> int:
        value = self.value(base)
        if value == 0 and exponent <= 0:
            raise ZeroDivisionError
        return pow(value, exponent, self.p)

    def rational(self, base: Any, power: Fraction) -> int:
        """A power with a fraction as exponent."""
        if power.denominator == 1:
            return self.whole(base, int(power))
        if base.is_Rational and base != 0 and 12 % power.denominator == 0:
            product = pow(self.field.zeta, int(ROOT // 2 * power), self.p) if base < 0 else 1
            for q, n in factors(abs(base)).items():
                prime_like = q < 10**12 and sympy.isprime(q)
                root = self.field.radical(q, power * n) if prime_like else self.extension(q, power * n)
                product = product * root % self.p
            return product
        return self.extension(self.value(base), power)

    def extension(self, value: int, power: Fraction) -> int:
        """A power of a random k-th root of a term's value, the same root wherever the value comes up again."""
        k = power.denominator
        if k == 1:
            return pow(value, int(power), self.p)
        self.opaque = True
        if k not in (2, 3, 4) or value == 0:
            return pow(self.field.element("root", value, k), power.numerator, self.p)
        if (value, k) not in self.roots:
            root = self.field.root(value, k)
            if root is None and k == 4 and self.field.root(value, 2) is not None:
                # no fourth power, but a square: only a term that is no square is proven to have a fourth root of degree 4
                raise _Unlucky
            if root is None:
                raise _NoRoot
            turn = self.field.element("turn", value, self.name) % k
            self.roots[value, k] = root * pow(self.field.zeta, ROOT // k * turn, self.p) % self.p
        return pow(self.roots[value, k], power.numerator, self.p)


def factors(number: Any) -> dict[int, int]:
    """Primes, and what trial division leaves, of a positive rational, with their powers."""
    found = dict(sympy.factorint(int(number.p), limit=10_000))
    for q, n in sympy.factorint(int(number.q), limit=10_000).items():
        found[q] = found.get(q, 0) - n
    return {int(q): n for q, n in found.items() if q != 1}


def parts(exponent: Any) -> list[tuple[Any, Fraction]]:
    """A sum as (term without a numeric factor, numeric factor) pairs."""
    if terms(exponent) <= 500:
        exponent = sympy.expand_mul(exponent, deep=False) if not exponent.is_Pow else sympy.expand(exponent)
    found = exponent.as_coefficients_dict()
    return [(part, Fraction(int(factor.p), int(factor.q))) for part, factor in found.items()]


def terms(node: Any) -> int:
    """About how many terms a sum has once multiplied out."""
    if node.is_Add:
        return sum(map(terms, node.args))
    if node.is_Mul:
        return min(math.prod(map(terms, node.args)), 10**9)
    if node.is_Pow and node.exp.is_Integer and node.exp > 0:
        return 10**9 if node.exp > 30 else min(math.prod([terms(node.base)] * int(node.exp)), 10**9)
    return 1


def whole_number(node: Any) -> int | None:
    """The value of a calculation with whole numbers that was not carried out; None for anything else or above MAX_WEIGHT."""
    if node.is_Integer:
        return int(node) if abs(node) <= MAX_WEIGHT else None
    if not (node.is_Add or node.is_Mul or node.is_Pow):
        return None
    values = [whole_number(part) for part in node.args]
    if any(value is None for value in values):
        return None
    numbers = [value for value in values if value is not None]
    if node.is_Pow:
        base, exponent = numbers
        if exponent < 0 or (abs(base) > 1 and exponent > 40):
            return None
        total = base**exponent
    else:
        total = sum(numbers) if node.is_Add else math.prod(numbers)
    return total if abs(total) <= MAX_WEIGHT else None


def _is_factorial(node: Any) -> bool:
    return bool(node.func.__name__ == "factorial" and node.args[0].is_Integer and node.args[0] >= 0)


def _bounded(total: int) -> int:
    if total > MAX_WEIGHT:
        raise Undecided
    return total


def coefficient(node: Any) -> int:
    """A bound of the numeric factors of a sum once multiplied out."""
    if node.is_Rational:
        total = abs(int(node.p)) + 1
    elif node.is_Add:
        total = sum(map(coefficient, node.args))
    elif node.is_Mul:
        total = math.prod(map(coefficient, node.args))
    elif node.is_Pow:
        inner, times = coefficient(node.base), whole_number(node.exp)
        if times is None:
            # a tower is too large by its exponent; sqrt(3) has no numeric factor
            coefficient(node.exp)
            times = 1
        total = inner ** max(times, 0) if inner.bit_length() * times < 200 else MAX_WEIGHT + 1
    else:
        total = math.factorial(min(int(node.args[0]), 20)) if _is_factorial(node) else 2
    return _bounded(total)


def weight(node: Any) -> int:
    """A bound of the degree of a term and of the bits of its numbers. Raises Undecided above MAX_WEIGHT."""
    inner = sum(weight(part) for part in node.args) + 1
    if getattr(node, "is_Rational", False):
        return _bounded(int(node.p).bit_length() + int(node.q).bit_length())
    name = node.func.__name__
    if _is_factorial(node):
        return _bounded(int(node.args[0]) * 16)
    if name in ("Pow", "exp"):
        base, exponent = (node.base, node.exp) if name == "Pow" else (sympy.E, node.args[0])
        if exponent.is_Rational:
            return _bounded(weight(base) * (abs(int(exponent.p)) + 1) * 12)
        number = whole_number(exponent)
        if number is not None:
            return _bounded(weight(base) * (abs(number) + 1))
        return _bounded(inner + _EXPONENT * coefficient(exponent) * weight(base))
    if name in _TRIGONOMETRIC:
        return _bounded(inner + _EXPONENT * coefficient(node.args[0]))
    return _bounded(inner)


def bits(node: Any) -> int:
    """About how many bits the numbers of a term have once sympy has worked them out; `weight` must have been asked first."""
    if getattr(node, "is_Rational", False):
        return int(node.p).bit_length() + int(node.q).bit_length()
    if _is_factorial(node):
        return int(node.args[0]) * 16
    total = sum(bits(part) for part in node.args)
    if getattr(node, "is_Pow", False):
        times = int(node.exp.p) if node.exp.is_Rational else whole_number(node.exp)
        return total if times is None else bits(node.base) * max(1, abs(times))
    return total


class Images(NamedTuple):
    """Values of terms in F_p."""

    p: int
    rows: list[list[int]]
    """One list a point, one value a term."""
    opaque: bool
    """Whether unequal values may still belong to equal terms."""


def images(seed: bytes, pair: list[Any], points: int) -> Images:
    """Values of all terms of `pair` at `points` points of one field.

    A draw counts where every root in it exists, and only once every root has been missing at some draw. Raises Undecided.
    """
    if sum(map(weight, pair)) > MAX_WEIGHT:
        raise Undecided
    draw = Draw(seed)
    missing: set[int] = set()
    zeros = 0
    for index in range(MAX_DRAWS):
        field = Field(draw, index)
        at = [Point(field, name) for name in range(points)]
        try:
            rows = [[point.value(term) for term in pair] for point in at]
        except _NoRoot:
            missing.add(len(at[0].roots))
        except _Unlucky:
            pass
        except ZeroDivisionError:
            zeros += 1
            if zeros > 3:
                raise Undecided from None
        else:
            if missing >= set(range(len(at[0].roots))):
                return Images(field.p, rows, any(point.opaque for point in at))
    raise Undecided
