"""Computes the exact value of a written calculation. It has its own tokenizer and grammar; Python evaluates nothing.

It reads + - * / ^ ** ! % brackets, `\\times \\cdot \\div \\frac \\sqrt` (exact roots), mixed numbers, thousands separators, products
without a sign before a bracket. Every value is an exact fraction below MAX_BITS; input that is larger or nested deeper is refused.
"""

import math
import re
from fractions import Fraction

MAX_BITS = 14_000
"""Most bits of numerator plus denominator of any intermediate value (about 4,200 digits)."""
MAX_DEPTH = 40
"""Most levels of nested brackets."""
MAX_CHARS = 6_000
MAX_FACTORIAL = 1_000


class Hopeless(ValueError):
    """Raised for a calculation whose value is too large, or that is nested too deeply, to be computed."""


_TOKEN = re.compile(
    r"\s*(?:(?P<num>\d{1,3}(?:(?:,|\{,\})\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d*)?|\.\d+)"
    r"|(?P<op>\*\*|//|[-+*/^!%()\[\]{}]|\\(?:times|cdot|div|frac|sqrt)(?![A-Za-z])|[x×÷·](?=\s*[\d($])))"
)
_OPERATORS = {"**": "^", "\\times": "*", "\\cdot": "*", "·": "*", "×": "*", "x": "*", "\\div": "/", "÷": "/"}
_CLOSERS = {"(": ")", "[": "]", "{": "}"}


def exact(numeral: str) -> Fraction:
    """The value of plain digits with at most one decimal point; several times faster than `Fraction(text)`."""
    whole, _, part = numeral.partition(".")
    return Fraction(int(whole + part), 10 ** len(part)) if part else Fraction(int(whole))


def tokens(text: str) -> list[str | Fraction] | None:
    """The calculation as numbers and operators; None if the text contains anything else."""
    found: list[str | Fraction] = []
    at, end = 0, len(text)
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            return found if not text[at:].strip() else None
        if number := match["num"]:
            if len(number) > MAX_CHARS // 3:
                raise Hopeless(f"a literal of {len(number)} digits")
            found.append(exact(number.replace("{,}", "").replace(",", "")))
        else:
            operator = match["op"]
            if operator == "//":
                return None
            found.append(_OPERATORS.get(operator, operator))
        at = match.end()
    return found


class _Reader:
    """A recursive-descent parser over the tokens; None from any level means that this is not a calculation."""

    def __init__(self, items: list[str | Fraction]) -> None:
        self.items, self.at, self.depth = items, 0, 0

    def peek(self) -> str:
        """The operator or bracket that is next; "" before a number and at the end."""
        if self.at < len(self.items):
            item = self.items[self.at]
            # comparing a fraction with a string is slow, so the class is checked first
            return item if item.__class__ is str else ""
        return ""

    def take(self, wanted: str) -> bool:
        if self.peek() == wanted:
            self.at += 1
            return True
        return False

    def total(self) -> Fraction | None:
        value = self.product()
        while value is not None and self.peek() in ("+", "-"):
            sign = self.peek()
            self.at += 1
            right = self.product()
            if right is None:
                return None
            value = _bounded(value + right if sign == "+" else value - right)
        return value

    def product(self) -> Fraction | None:
        value = self.signed()
        while value is not None:
            item = self.peek()
            if item in ("*", "/"):
                self.at += 1
            elif item not in ("(", "[", "\\frac", "\\sqrt"):
                break
            right = self.signed()
            if right is None or (item == "/" and right == 0):
                return None
            value = _bounded(value / right if item == "/" else value * right)
        return value

    def signed(self) -> Fraction | None:
        sign = 1
        for _ in range(3):
            if self.take("-"):
                sign = -sign
            elif not self.take("+"):
                break
        value = self.power()
        return None if value is None else sign * value

    def power(self) -> Fraction | None:
        value = self.atom()
        if value is None or not self.take("^"):
            return value
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Hopeless("powers nested too deeply")
        exponent = self.signed()
        self.depth -= 1
        return None if exponent is None else raised(value, exponent)

    def atom(self) -> Fraction | None:
        item = self.items[self.at] if self.at < len(self.items) else ""
        self.at += 1
        value: Fraction | None
        if isinstance(item, Fraction):
            value = item
            after = self.items[self.at : self.at + 7]
            if len(after) == 7 and after[0] == "\\frac" and item.denominator == 1 and _whole_fraction(after):
                self.at += 7
                value = item + after[2] / after[5]  # type: ignore[operator]
        elif item in _CLOSERS:
            value = self.bracket(item)
        elif item == "\\frac":
            top, bottom = self.group(), self.group()
            value = None if top is None or not bottom else _bounded(top / bottom)
        elif item == "\\sqrt":
            inside = self.group()
            value = None if inside is None else exact_root(inside)
        else:
            return None
        while value is not None and self.peek() in ("!", "%"):
            if self.take("%"):
                value = value / 100
            else:
                self.at += 1
                value = _factorial(value)
        return value

    def bracket(self, opener: str) -> Fraction | None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Hopeless("brackets nested too deeply")
        value = self.total()
        self.depth -= 1
        return value if self.take(_CLOSERS[opener]) else None

    def group(self) -> Fraction | None:
        return self.bracket("{") if self.take("{") else None


def _whole_fraction(after: list[str | Fraction]) -> bool:
    """Whether seven tokens are `\\frac { a } { b }` with whole numbers: a mixed number where one stands before."""
    shape = (after[1], after[3], after[4], after[6]) == ("{", "}", "{", "}")
    return shape and all(isinstance(n, Fraction) and n.denominator == 1 and n > 0 for n in (after[2], after[5]))


def _bounded(value: Fraction) -> Fraction:
    if value.numerator.bit_length() + value.denominator.bit_length() > MAX_BITS:
        raise Hopeless("a value of more than 4,000 digits")
    return value


def raised(base: Fraction, exponent: Fraction) -> Fraction | None:
    """`base` to `exponent`, exact, or None (0 to a negative power, a root that is not exact). Raises Hopeless when too large."""
    if exponent.denominator == 2:
        root = exact_root(base)
        return None if root is None else raised(root, Fraction(exponent.numerator))
    if exponent.denominator != 1 or (base == 0 and exponent < 0):
        return None
    if base in (0, 1):
        return base if exponent else Fraction(1)
    if base == -1:
        return Fraction(-1 if exponent.numerator % 2 else 1)
    if abs(exponent) * (base.numerator.bit_length() + base.denominator.bit_length() - 1) > MAX_BITS:
        raise Hopeless(f"a power with exponent {str(exponent)[:20]}")
    return base**exponent.numerator


def exact_root(value: Fraction) -> Fraction | None:
    """The square root if it is a fraction, else None."""
    if value < 0:
        return None
    top, bottom = math.isqrt(value.numerator), math.isqrt(value.denominator)
    return Fraction(top, bottom) if top * top == value.numerator and bottom * bottom == value.denominator else None


def _factorial(value: Fraction) -> Fraction | None:
    if value.denominator != 1 or value < 0:
        return None
    if value > MAX_FACTORIAL:
        raise Hopeless(f"the factorial of {str(value)[:20]}")
    return Fraction(math.factorial(value.numerator))


def evaluate(text: str) -> Fraction | None:
    """The exact value of a calculation; None if the text is not one. Raises Hopeless beyond the limits, and nothing else."""
    if len(text) > MAX_CHARS:
        raise Hopeless(f"a calculation of {len(text)} characters")
    items = tokens(text)
    return value_of(items) if items else None


def value_of(items: list[str | Fraction]) -> Fraction | None:
    """As `evaluate`, on tokens."""
    reader = _Reader(items)
    value = reader.total()
    return value if reader.at == len(items) else None
