"""Evaluates terms in a prime field drawn from a hash: equal values prove equal terms, except with a chance below 2^-70.

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

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

import sympy

from selfplay.verify.math.field import ROOT, Draw, Field, Unlucky
from selfplay.verify.math.sizes import (
    EXPONENT,
    MAX_WEIGHT,
    TRIGONOMETRIC,
    Undecided,
    is_factorial,
    terms,
    weight,
    whole_number,
)

MAX_DRAWS = 150
MAX_FACTORIAL = 20_000
Key = tuple[Any, ...] | int | str


class _NoRoot(Exception):
    """A root of a term does not exist at this draw, which proves that the term is no power."""


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

    def unit(self, term: Any) -> int:
        """The value of a term that must not be 0, as under a logarithm."""
        value = self.value(term)
        if value == 0:
            raise ZeroDivisionError
        return value

    def inverse(self, value: int) -> int:
        """1 / value."""
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
        if is_factorial(term) and term.args[0] <= MAX_FACTORIAL:
            return math.factorial(int(term.args[0]))
        if name in TRIGONOMETRIC:
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
        return (head, *(self.value(part) if isinstance(part, sympy.Expr) else self.key(part) for part in node.args))

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
            return self.field.element("function", ("log", self.unit(argument)))
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
        steps = factor * EXPONENT
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
                product = product * self.generator(("base", self.unit(base)), part, factor) % self.p
        return product

    def whole(self, base: Any, exponent: int) -> int:
        """A power with a whole number as exponent."""
        return pow(self.value(base) if exponent > 0 else self.unit(base), exponent, self.p)

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
        if value == 0:
            raise ZeroDivisionError
        if k not in (2, 3, 4):
            return pow(self.field.element("root", value, k), power.numerator, self.p)
        if (value, k) not in self.roots:
            root = self.field.root(value, k)
            if root is None and k == 4 and self.field.root(value, 2) is not None:
                # no fourth power, but a square: only a term that is no square is proven to have a fourth root of degree 4
                raise Unlucky
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
        except Unlucky:
            pass
        except ZeroDivisionError:
            zeros += 1
            if zeros > 3:
                raise Undecided from None
        else:
            if missing >= set(range(len(at[0].roots))):
                return Images(field.p, rows, any(point.opaque for point in at))
    raise Undecided
