"""Linear equations in one unknown, solved line by line: each line must have the solution of the line before.

It reads `1,750x + 2,250 = 57,500`, `(x * 35 * 50) + 30 = 57`, `x = 20`. A line that introduces a new equation (`we are given`,
`we can write`) starts a new chain: arithmetic cannot tell whether it is the right equation.
"""

import re
from dataclasses import dataclass
from fractions import Fraction

_ATOM = re.compile(
    r"\s*(?:(?P<num>\$?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d{1,18})(?:\.\d{1,12})?|\.\d{1,12})(?P<percent>%)?|(?P<var>[A-Za-z])(?![A-Za-z'])|(?P<op>[-+*/()×·÷−]))"
)
_EQUATION = re.compile(
    r"[\dA-Za-z$.,()+\-*/×·÷−% ]{1,120}=[\dA-Za-z$.,()+\-*/×·÷−% ]{1,120}(?:=[\dA-Za-z$.,()+\-*/×·÷−% ]{1,120})*"
)
_AFRESH = re.compile(
    r"\b(?:given|write|set up|set|let|know|represent|suppose|assume|if|since|equation|also|another|formula|because|cost|total|number|where)\b",
    re.IGNORECASE,
)
Line = tuple[Fraction, Fraction]
"""a and b of a*x + b."""


@dataclass(frozen=True, slots=True)
class AlgebraFound:
    """The result of checking the equations of one step."""

    fault: str = ""
    checked: bool = False
    evidence: str = ""


class Unknowns:
    """The last equation of each unknown, while the steps are read in order."""

    def __init__(self) -> None:
        self.last: dict[str, tuple[Fraction, str]] = {}

    def read(self, step: str) -> AlgebraFound:
        """Compares the step's equations with the earlier ones."""
        if "=" not in step or len(step) > 1000 or not re.search(r"(?<![A-Za-z])[A-Za-z](?![A-Za-z'])", step):
            return AlgebraFound()
        step = re.sub(r"^\s*Step \d+:", "", step)
        found = AlgebraFound()
        for name, solution, text in _solutions(step):
            before = self.last.get(name)
            self.last[name] = (solution, text)
            if before is None or _AFRESH.search(step):
                continue
            if not _agree(before[0], solution, text):
                return AlgebraFound(
                    f"{before[1]} gives {name} = {_decimal(before[0])}, and {text} gives {_decimal(solution)}"
                )
            found = AlgebraFound(checked=True, evidence=text)
        return found


def _decimal(value: Fraction) -> str:
    return str(value) if value.denominator == 1 or value.denominator > 10**6 else f"{float(value):.6g}"


def _agree(before: Fraction, now: Fraction, text: str) -> bool:
    stated = re.search(r"\.(\d+)\s*$", text)
    places = len(stated[1]) if stated else 0
    return before == now or (
        abs(before - now) * 10**places < 1 and (now * 10**places).denominator == 1 and before.denominator != 1
    )


def _solutions(step: str) -> list[tuple[str, Fraction, str]]:
    """(unknown, solution, text) of each equation with exactly one unknown and one solution."""
    found = []
    for match in _EQUATION.finditer(step):
        sides = match[0].split("=")
        if len(sides) != 2:
            continue
        left, right = _longest(sides[0], at_end=True), _longest(sides[1], at_end=False)
        if left is None or right is None or len({left[1], right[1]} - {""}) != 1:
            continue
        (a, b), (c, d) = left[0], right[0]
        if a != c:
            found.append((left[1] or right[1], (d - b) / (a - c), f"{left[2]} = {right[2]}"))
    return found


def _longest(text: str, at_end: bool) -> tuple[Line, str, str] | None:
    """The linear term that the text ends (or starts) with, its unknown, and its text."""
    pieces = _tails(text) if at_end else _heads(text)
    for piece in pieces[:40]:
        read = _linear(piece.strip().rstrip(".,"))
        if read is not None:
            return read[0], read[1], piece.strip().rstrip(".,")
    return None


_JOINS = tuple("+-*/×·÷−(")


def _tails(text: str) -> list[str]:
    """The text and its suffixes, longest first; none starts after a sign: `630 / x` has no suffix `x`."""
    cuts = [m.start() for m in re.finditer(r"(?<=[\s,:])(?=[\d(A-Za-z$.-])", text)]
    return [text, *(text[cut:] for cut in cuts if not text[:cut].rstrip().endswith(_JOINS))]


def _heads(text: str) -> list[str]:
    """The text and its prefixes, longest first; none ends before a sign."""
    cuts = [m.start() for m in re.finditer(r"(?<=[\dA-Za-z)%])(?=[\s,.])", text)]
    return [text, *(text[:cut] for cut in reversed(cuts) if not text[cut:].lstrip().startswith(_JOINS))]


def _linear(text: str) -> tuple[Line, str] | None:
    """Reads a text that is nothing but `a*x + b`; also gives the unknown's letter ("" if it has none)."""
    items: list[Fraction | str] = []
    names: set[str] = set()
    at = 0
    while at < len(text):
        match = _ATOM.match(text, at)
        if match is None:
            return None
        if number := match["num"]:
            items.append(Fraction(number.lstrip("$").replace(",", "")) / (100 if match["percent"] else 1))
        elif match["var"]:
            names.add(match["var"])
            items.append("var")
        else:
            items.append({"×": "*", "·": "*", "÷": "/", "−": "-"}.get(match["op"], match["op"]))
        at = match.end()
    if not items or len(names) > 1 or len(items) > 60:
        return None
    value, end = _sum(items, 0, 0)
    return (value, next(iter(names), "")) if value is not None and end == len(items) else None


def _sum(items: list[Fraction | str], at: int, depth: int) -> tuple[Line | None, int]:
    value, at = _product(items, at, depth)
    while value is not None and at < len(items) and items[at] in ("+", "-"):
        sign = 1 if items[at] == "+" else -1
        right, at = _product(items, at + 1, depth)
        value = None if right is None else (value[0] + sign * right[0], value[1] + sign * right[1])
    return value, at


def _product(items: list[Fraction | str], at: int, depth: int) -> tuple[Line | None, int]:
    value, at = _factor(items, at, depth)
    while value is not None and at < len(items) and items[at] not in ("+", "-", ")"):
        divide = items[at] == "/"
        explicit = items[at] in ("*", "/")
        if not explicit and isinstance(items[at], Fraction):
            return None, at
        right, at = _factor(items, at + explicit, depth)
        value = None if right is None else _combined(value, right, divide)
    return value, at


def _combined(left: Line, right: Line, divide: bool) -> Line | None:
    if divide:
        return (left[0] / right[1], left[1] / right[1]) if right[0] == 0 and right[1] != 0 else None
    if left[0] and right[0]:
        return None
    return (left[0] * right[1] + right[0] * left[1], left[1] * right[1])


def _factor(items: list[Fraction | str], at: int, depth: int) -> tuple[Line | None, int]:
    if at >= len(items) or depth > 12:
        return None, at
    item = items[at]
    if isinstance(item, Fraction):
        return (Fraction(0), item), at + 1
    if item == "var":
        return (Fraction(1), Fraction(0)), at + 1
    if item == "-":
        value, at = _factor(items, at + 1, depth + 1)
        return (None if value is None else (-value[0], -value[1])), at
    if item == "(":
        value, at = _sum(items, at + 1, depth + 1)
        return (value, at + 1) if value is not None and at < len(items) and items[at] == ")" else (None, at)
    return None, at
