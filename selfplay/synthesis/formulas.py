"""The answer of a task as a formula in its numbers, from which the answer of a variant follows. Pure.

A formula is `+ - * /` and brackets over `n0, n1, ...` (the task's numbers in order) and constants; anything else is refused.
Values are exact fractions. A formula is used only where it gives the known answer of the task it was written for.
"""

import ast
import re
from collections.abc import Sequence
from fractions import Fraction

from selfplay.synthesis.task_filters import task_fault
from selfplay.synthesis.text_features import content_words, numbers

MAX_NODES = 60
_NAME = re.compile(r"n(\d{1,2})")
_LIMIT = Fraction(10) ** 30
_FACTOR = 10
"""A variant's number is at most this many times larger or smaller than the number it replaces."""


def evaluate(formula: str, values: Sequence[Fraction]) -> tuple[Fraction, list[Fraction]] | None:
    """The value and all intermediate values; None where the text is no such formula, divides by zero or exceeds 10^30."""
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
    return [found for found in map(read_amount, numbers(text)) if found is not None]


def read_amount(text: str) -> Fraction | None:
    """The value of a number or simple fraction, `$` and `%` ignored; None where the text is neither."""
    text = text.strip().replace("$", "").rstrip("%")
    text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", text).replace(",", ".")
    try:
        return Fraction(text) if len(text) < 40 else None
    except (ValueError, ZeroDivisionError):
        return None


def gives_answer(formula: str, task: str, answer: str) -> bool:
    """Whether a formula uses the task's numbers and gives its known answer; false for a constant."""
    found, known = evaluate(formula, amounts(task)), read_amount(answer)
    return bool(_NAME.search(formula)) and found is not None and known is not None and found[0] == known


def variant_fault(parent: str, answer: str, formula: str, task: str, claimed: str) -> str:
    """What is wrong with a variant; "" where its claimed answer is the formula's.

    The faults of `task_fault`, and `no_formula` (it does not give the parent's answer), `numbers` (another count, not whole where
    the parent's were, not positive, or out of scale), `other_task` (more than numbers, names and things differ), `unchanged`,
    `impossible` (an intermediate value turns negative where the parent's did not), `wrong_answer`.
    """
    if fault := task_fault(task, claimed, parent):
        return fault
    if not gives_answer(formula, parent, answer):
        return "no_formula"
    old, new = amounts(parent), amounts(task)
    if len(old) != len(new) or not all(map(_in_scale, old, new)):
        return "numbers"
    if _differences(parent, task) > 3:
        return "other_task"
    if old == new and len(content_words(task) ^ content_words(parent)) < 2:
        return "unchanged"
    before, after = evaluate(formula, old), evaluate(formula, new)
    if before is None or after is None or not all(map(_keeps_sign, before[1], after[1])):
        return "impossible"
    said = read_amount(claimed)
    return "" if said is not None and said == after[0] else "wrong_answer"


def _in_scale(old: Fraction, new: Fraction) -> bool:
    whole = old.denominator > 1 or new.denominator == 1
    return whole and (old <= 0 or new > 0) and (old == 0 or abs(old) / _FACTOR <= abs(new) <= abs(old) * _FACTOR)


def _keeps_sign(old: Fraction, new: Fraction) -> bool:
    """Whether a value that was not negative stays so. Whole quotients cannot be required: few variants would have them."""
    return old < 0 or new >= 0


def _differences(one: str, other: str) -> int:
    """Content words that are new in `other`, names (a capital) aside; other units count as four."""
    named = {word.casefold().rstrip("s") for word in re.findall(r"\b[A-Z]\w+", other)}
    first = content_words(re.sub(r"[/]", " ", one))
    return len((content_words(re.sub(r"[/]", " ", other)) - first) - named) + 4 * (_units(one) != _units(other))


def _units(text: str) -> list[str]:
    return re.findall(
        r"\b(?:km/h|m/s|mph|km|m|cm|kg|g|minutes?|hours?|seconds?|days?|litres?|miles?)\b|[$\u20ac\u00a3%]", text
    )


def _value(node: ast.expr, values: Sequence[Fraction], steps: list[Fraction]) -> Fraction:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
        return _bounded(Fraction(str(node.value)))
    if isinstance(node, ast.Name) and (found := _NAME.fullmatch(node.id)):
        if int(found[1]) >= len(values):
            raise ValueError("a number that the task lacks")
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
