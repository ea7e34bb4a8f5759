"""Variants of solved tasks with other numbers, names and things; a formula gives the answer of each variant.

A teacher gives the formula and the variants, and both are checked. Without a teacher, `renumber` draws new numbers for a
formula that is known. A formula is `+ - * /` and brackets over `n0, n1, ...` (the task's numbers in order) and constants;
anything else is refused. Values are exact fractions. A formula is used only where it gives the known answer of its task.
"""

import ast
import re
from collections.abc import Sequence
from fractions import Fraction

from pydantic import BaseModel, Field

from selfplay.models import Backend
from selfplay.prompts import synthesis as prompts
from selfplay.records import SYNTHESIZED_SOURCE, Sampling, Task
from selfplay.seeds import rng_of
from selfplay.synthesis.method_result import MethodResult, answer_of, query_teacher, task_id, unread_reason
from selfplay.synthesis.text_filters import NUMBER, content_words, numbers, task_fault

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


METHOD = "variants"
_ID_PREFIX = "variant"
"""Begins the ids of variants, and seeds their draws."""
_MAX_DRAWS = 60
"""Draws of new numbers before a variant is refused as `impossible`."""


class Variant(BaseModel):
    """One variant and its answer, as a teacher writes them."""

    task: str = Field(max_length=20_000)
    answer: str = Field(max_length=400)


class Variants(BaseModel):
    """The formula of a task's answer, and variants of the task."""

    formula: str = Field(max_length=400)
    variants: list[Variant] = Field(max_length=20)


def vary(tasks: Sequence[Task], teacher: Backend, *, count: int = 3, sampling: Sampling, seed: int) -> MethodResult:
    """At most `count` variants of each task whose check is a final answer; other tasks are refused as `no_answer`.

    A variant's check is the value of the formula, never the teacher's answer; its reference is the formula with its numbers.
    """
    result = MethodResult(METHOD)
    solved = [task for task in tasks if task.check["type"] == "math" and answer_of(task)]
    for task in tasks:
        if task not in solved:
            result.requested += 1
            result.refuse(task.id, "no_answer", task.text)
    named = [(task.id, prompts.vary(task.text, answer_of(task), count)) for task in solved]
    replies = query_teacher(teacher, _ID_PREFIX, named, Variants, sampling=sampling, seed=seed)
    for task, [answer] in zip(solved, replies, strict=True):
        if answer.value is None:
            result.requested += 1
            result.refuse(task.id, unread_reason(answer), answer.fault)
            continue
        given = answer.value.variants[:count]
        result.requested += max(1, len(given))
        if not given:
            result.refuse(task.id, "empty", "")
        for one in given:
            formula = answer.value.formula
            if fault := variant_fault(task.text, answer_of(task), formula, one.task, one.answer):
                result.refuse(task.id, fault, one.task)
            else:
                result.add(_variant(task, one.task.strip(), formula))
    return result


def renumber(task: Task, formula: str, count: int, seed: int) -> MethodResult:
    """`count` variants with other numbers, drawn by seed without a teacher.

    All are refused as `no_formula` where the formula does not give the task's answer.
    """
    result, old = MethodResult(METHOD, count), amounts(task.text)
    if not gives_answer(formula, task.text, answer_of(task)):
        for _ in range(count):
            result.refuse(task.id, "no_formula", formula)
        return result
    rng = rng_of("making/renumber", task.id, seed)
    for _ in range(count):
        for _ in range(_MAX_DRAWS):
            new = [value if value in (0, 1) else Fraction(rng.randint(2, max(3, int(2 * value)))) for value in old]
            text = _with_numbers(task.text, [str(value) for value in new])
            found = evaluate(formula, new)
            if found and not variant_fault(task.text, answer_of(task), formula, text, str(found[0])):
                break
        else:
            result.refuse(task.id, "impossible", task.text)
            continue
        result.add(_variant(task, text.strip(), formula))
    return result


def _with_numbers(text: str, new: list[str]) -> str:
    left = iter(new)
    return NUMBER.sub(lambda found: next(left, found[0]), text)


def _variant(parent: Task, text: str, formula: str) -> Task:
    values = amounts(text)
    found = evaluate(formula, values)
    value = str(found[0]) if found else ""
    shown = formula.replace(" ", "")
    for place in range(len(values) - 1, -1, -1):
        shown = shown.replace(f"n{place}", str(values[place]))
    kept = [tag for tag in parent.tags if not tag.startswith(("agreed:", "variant"))]
    return Task(
        id=task_id(_ID_PREFIX, text),
        prompt=f"{text}\n",
        check={"type": "math", "answer": value},
        reference=f"{shown} = {value}\nA: {value}",
        source=f"{SYNTHESIZED_SOURCE}{METHOD}",
        parents=(parent.id,),
        tags=(*kept, "variant"),
    )
