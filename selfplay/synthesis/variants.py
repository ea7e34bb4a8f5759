"""Variants of solved tasks with other numbers, names and things; a formula gives the answer of each variant.

A teacher gives the formula and the variants, and both are checked (`formulas`). Without a teacher, `renumber` draws new numbers
for a formula that is known.
"""

from collections.abc import Sequence
from fractions import Fraction

from pydantic import BaseModel, Field

from selfplay.models import Backend
from selfplay.prompts import synthesis as prompts
from selfplay.records import SYNTHESIZED_SOURCE, Sampling, Task
from selfplay.seeds import rng_of
from selfplay.synthesis.admission import answer_of
from selfplay.synthesis.formulas import amounts, evaluate, gives_answer, variant_fault
from selfplay.synthesis.method_result import MethodResult, task_id
from selfplay.synthesis.teacher_queries import query_teacher, unread_reason
from selfplay.synthesis.text_features import NUMBER

METHOD = "variants"
_NAME = "variant"
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
    replies = query_teacher(teacher, _NAME, named, Variants, sampling=sampling, seed=seed)
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
        id=task_id(_NAME, text),
        prompt=f"{text}\n",
        check={"type": "math", "answer": value},
        reference=f"{shown} = {value}\nA: {value}",
        source=f"{SYNTHESIZED_SOURCE}{METHOD}",
        parents=(parent.id,),
        tags=(*kept, "variant"),
    )
