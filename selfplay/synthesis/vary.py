"""Floor 4: variants of solved tasks: other numbers, names and things, and the verifier carried along by a formula.

With a teacher: it gives the formula and the variants, and both are checked (`formulas`). Without one, `renumber` draws the numbers
itself from a formula that is known.
"""

from collections.abc import Sequence
from fractions import Fraction

from pydantic import BaseModel, Field

from selfplay.models import Backend
from selfplay.prompts import making as prompts
from selfplay.records import Sampling, Task
from selfplay.seeds import rng_of
from selfplay.synthesis.admission import answer_of
from selfplay.synthesis.batch import Batch, asked, task_id, why_unread
from selfplay.synthesis.formulas import amounts, carries, evaluate, variant_fault
from selfplay.synthesis.words import NUMBER

MAKER = "variant"
_PATIENCE = 60


class Variant(BaseModel):
    """One variant."""

    task: str = Field(max_length=20_000)
    answer: str = Field(max_length=400)


class Variants(BaseModel):
    """The formula of a task's answer, and variants of it."""

    formula: str = Field(max_length=400)
    variants: list[Variant] = Field(max_length=20)


def vary(tasks: Sequence[Task], teacher: Backend, *, count: int = 3, sampling: Sampling, seed: int) -> Batch:
    """At most `count` variants a task whose check is an answer; others are refused as `no_answer`.

    The variant's check is the formula's value, never the teacher's word; its reference is the formula with its numbers.
    """
    batch = Batch(MAKER)
    solved = [task for task in tasks if task.check["type"] == "math" and answer_of(task)]
    for task in tasks:
        if task not in solved:
            batch.asked += 1
            batch.refuse(task.id, "no_answer", task.text)
    named = [(task.id, prompts.vary(task.text, answer_of(task), count)) for task in solved]
    found = asked(teacher, MAKER, named, Variants, sampling=sampling, seed=seed)
    for task, [answer] in zip(solved, found, strict=True):
        if answer.value is None:
            batch.asked += 1
            batch.refuse(task.id, why_unread(answer), answer.fault)
            continue
        given = answer.value.variants[:count]
        batch.asked += max(1, len(given))
        if not given:
            batch.refuse(task.id, "empty", "")
        for one in given:
            formula = answer.value.formula
            if fault := variant_fault(task.text, answer_of(task), formula, one.task, one.answer):
                batch.refuse(task.id, fault, one.task)
            else:
                batch.take(_variant(task, one.task.strip(), formula))
    return batch


def renumber(task: Task, formula: str, count: int, seed: int) -> Batch:
    """`count` variants with other numbers, drawn here; no teacher. Refused as `no_formula` where it does not carry the answer."""
    batch, old = Batch(MAKER, count), amounts(task.text)
    if not carries(formula, task.text, answer_of(task)):
        for _ in range(count):
            batch.refuse(task.id, "no_formula", formula)
        return batch
    rng = rng_of("making/renumber", task.id, seed)
    for _ in range(count):
        for _ in range(_PATIENCE):
            new = [value if value in (0, 1) else Fraction(rng.randint(2, max(3, int(2 * value)))) for value in old]
            text = _with_numbers(task.text, [str(value) for value in new])
            found = evaluate(formula, new)
            if found and not variant_fault(task.text, answer_of(task), formula, text, str(found[0])):
                break
        else:
            batch.refuse(task.id, "impossible", task.text)
            continue
        batch.take(_variant(task, text.strip(), formula))
    return batch


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
        id=task_id(MAKER, text),
        prompt=f"{text}\n",
        check={"type": "math", "answer": value},
        reference=f"{shown} = {value}\nA: {value}",
        source=f"made/{MAKER}",
        parents=(parent.id,),
        tags=(*kept, "variant"),
    )
