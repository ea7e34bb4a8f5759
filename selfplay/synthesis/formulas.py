"""Floor 4: the answer of a task as a formula in its numbers, so that a variant brings its verifier along. Pure.

A formula is `+ - * /` and brackets over `n0, n1, ...` (the task's numbers in order) and constants; anything else is refused.
Values are exact fractions. A formula counts only where it gives the known answer of the task it was made for.
"""

import ast
import re
from collections.abc import Sequence
from fractions import Fraction

from selfplay.synthesis.faults import task_fault
from selfplay.synthesis.words import content, numbers

MAX_NODES = 60
_NAME = re.compile(r"n(\d{1,2})")
_LIMIT = Fraction(10) ** 30
_FACTOR = 10
"""A variant's number is at most this many times larger or smaller than the one it stands for."""


def evaluate(formula: str, values: Sequence[Fraction]) -> tuple[Fraction, list[Fraction]] | None:
    """The value and all values on the way; None where it is no such formula, divides by nought or grows beyond 10^30."""
    try:
        tree = ast.parse(formula.strip()[:400], mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    if sum(1 for _ in ast.walk(tree)) > MAX_NODES:
        return None
    steps: list[Fraction] = []
    try:
        value = _value(tree.body, values, steps)
    except (ValueError, ZeroDivisionError):
        return None
    return value, steps


def amounts(text: str) -> list[Fraction]:
    """The numbers of a text in order, as fractions; `1,000` is a thousand, `3,5` three and a half."""
    return [found for found in map(read, numbers(text)) if found is not None]


def read(text: str) -> Fraction | None:
    """A number or simple fraction; None where it is neither."""
    text = text.strip().replace("$", "").rstrip("%")
    text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", text).replace(",", ".")
    try:
        return Fraction(text) if len(text) < 40 else None
    except (ValueError, ZeroDivisionError):
        return None


def carries(formula: str, task: str, answer: str) -> bool:
    """Whether a formula gives the task's known answer, and reads its numbers: a constant carries nothing."""
    found, known = evaluate(formula, amounts(task)), read(answer)
    return bool(_NAME.search(formula)) and found is not None and known is not None and found[0] == known


def variant_fault(parent: str, answer: str, formula: str, task: str, claimed: str) -> str:
    """What is wrong with a variant; "" where its answer is the formula's.

    As `task_fault`; and `other_task` (more than numbers, names and things differ), `unchanged`, `numbers` (not as many, not whole
    where the parent's were, not positive, or out of scale), `no_formula`, `impossible` (a value on the way turns negative or broken
    where the parent's did not), `wrong_answer`.
    """
    if fault := task_fault(task, claimed, parent):
        return fault
    if not carries(formula, parent, answer):
        return "no_formula"
    old, new = amounts(parent), amounts(task)
    if len(old) != len(new) or not all(map(_in_scale, old, new)):
        return "numbers"
    if _differences(parent, task) > 3:
        return "other_task"
    if old == new and len(content(task) ^ content(parent)) < 2:
        return "unchanged"
    before, after = evaluate(formula, old), evaluate(formula, new)
    if before is None or after is None or not all(map(_kept, before[1], after[1])):
        return "impossible"
    said = read(claimed)
    return "" if said is not None and said == after[0] else "wrong_answer"


def _in_scale(old: Fraction, new: Fraction) -> bool:
    whole = old.denominator > 1 or new.denominator == 1
    return whole and (old <= 0 or new > 0) and (old == 0 or abs(old) / _FACTOR <= abs(new) <= abs(old) * _FACTOR)


def _kept(old: Fraction, new: Fraction) -> bool:
    """A count stays a count: what was not negative stays so. That a quotient is whole cannot be asked of every variant."""
    return old < 0 or new >= 0


def _differences(one: str, other: str) -> int:
    """Words of matter that came in, those that begin with a capital (names) aside."""
    named = {word.casefold().rstrip("s") for word in re.findall(r"\b[A-Z]\w+", other)}
    first = content(re.sub(r"[/]", " ", one))
    return len((content(re.sub(r"[/]", " ", other)) - first) - named) + 4 * (_units(one) != _units(other))


def _units(text: str) -> list[str]:
    return re.findall(
        r"\b(?:km/h|m/s|mph|km|m|cm|kg|g|minutes?|hours?|seconds?|days?|litres?|miles?)\b|[$\u20ac\u00a3%]", text
    )


def _value(node: ast.expr, values: Sequence[Fraction], steps: list[Fraction]) -> Fraction:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
        return _bounded(Fraction(str(node.value)))
    if isinstance(node, ast.Name) and (found := _NAME.fullmatch(node.id)):
        if int(found[1]) >= len(values):
            raise ValueError("a number that the task does not have")
        return values[int(found[1])]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand, values, steps)
    if not isinstance(node, ast.BinOp):
        raise ValueError("no formula")
    left, right = _value(node.left, values, steps), _value(node.right, values, steps)
    if isinstance(node.op, ast.Add):
        value = left + right
    elif isinstance(node.op, ast.Sub):
        value = left - right
    elif isinstance(node.op, ast.Mult):
        value = left * right
    elif isinstance(node.op, ast.Div):
        value = left / right
    else:
        raise ValueError("no formula")
    steps.append(_bounded(value))
    return value


def _bounded(value: Fraction) -> Fraction:
    if abs(value) > _LIMIT:
        raise ValueError("too large")
    return value
