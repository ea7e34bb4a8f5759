"""Bounds the degree, the bits of the numbers and the length of a term without computing it. Only the symbolic worker imports it."""

import math
from typing import Any

import sympy

MAX_WEIGHT = 2**40
"""Bound of degree, and of bits of a whole number, of a term that a field may evaluate; the chance of an error grows with it."""
EXPONENT = 720
"""A numeric factor of an exponent is a whole number of parts of this size: e^(x/2), e^(x/3)."""
TRIGONOMETRIC = ("sin", "cos", "tan", "cot", "sec", "csc", "sinh", "cosh", "tanh", "coth", "sech", "csch")


class Undecided(Exception):
    """Raised if the term cannot be evaluated here: it is too large, or divides by zero at every point that was tried."""


def terms(node: Any) -> int:
    """The approximate number of terms of a sum after multiplying out."""
    if node.is_Add:
        return sum(map(terms, node.args))
    if node.is_Mul:
        return min(math.prod(map(terms, node.args)), 10**9)
    if node.is_Pow and node.exp.is_Integer and node.exp > 0:
        return 10**9 if node.exp > 30 else min(math.prod([terms(node.base)] * int(node.exp)), 10**9)
    return 1


def whole_number(node: Any) -> int | None:
    """The value of an unevaluated calculation with whole numbers; None for anything else, or above MAX_WEIGHT."""
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


def is_factorial(node: Any) -> bool:
    """Whether a term is n! of a whole number."""
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
        total = math.factorial(min(int(node.args[0]), 20)) if is_factorial(node) else 2
    return _bounded(total)


def weight(node: Any) -> int:
    """A bound of the degree of a term and of the bits of its numbers. Raises Undecided above MAX_WEIGHT."""
    inner = sum(weight(part) for part in node.args) + 1
    if getattr(node, "is_Rational", False):
        return _bounded(int(node.p).bit_length() + int(node.q).bit_length())
    name = node.func.__name__
    if is_factorial(node):
        return _bounded(int(node.args[0]) * 16)
    if name in ("Pow", "exp"):
        base, exponent = (node.base, node.exp) if name == "Pow" else (sympy.E, node.args[0])
        if exponent.is_Rational:
            return _bounded(weight(base) * (abs(int(exponent.p)) + 1) * 12)
        number = whole_number(exponent)
        if number is not None:
            return _bounded(weight(base) * (abs(number) + 1))
        return _bounded(inner + EXPONENT * coefficient(exponent) * weight(base))
    if name in TRIGONOMETRIC:
        return _bounded(inner + EXPONENT * coefficient(node.args[0]))
    return _bounded(inner)


def bits(node: Any) -> int:
    """About how many bits the numbers of a term have once sympy has worked them out; `weight` must have been asked first."""
    if getattr(node, "is_Rational", False):
        return int(node.p).bit_length() + int(node.q).bit_length()
    if is_factorial(node):
        return int(node.args[0]) * 16
    total = sum(bits(part) for part in node.args)
    if getattr(node, "is_Pow", False):
        times = int(node.exp.p) if node.exp.is_Rational else whole_number(node.exp)
        return total if times is None else bits(node.base) * max(1, abs(times))
    return total
