"""Floor 4: instruction backtranslation (Li et al. 2023, 2308.06259): from a good text to the task that it answers.

The text becomes the reference; nobody can run it, so the task's check is a judge with a rubric. The teacher's own score picks among
its instructions and is held to a least value; it is a filter, no verdict.
"""

from collections.abc import Sequence

from pydantic import BaseModel, Field

from selfplay.models import Backend
from selfplay.prompts import making as prompts
from selfplay.records import Sampling, Task
from selfplay.synthesis.batch import Batch, asked, task_id, why_unread
from selfplay.synthesis.faults import form_fault, instruction_fault

MAKER = "instruct"
RUBRIC = "Full score for a reply that does what the instruction asks, completely, correctly and without padding."
MIN_TEXT_CHARS = 80


class Instruction(BaseModel):
    """An instruction, and how good a reply the text is to it."""

    task: str = Field(max_length=20_000)
    score: float = Field(ge=0, le=10)


def instruct(
    texts: Sequence[tuple[str, str]],
    teacher: Backend,
    *,
    samples: int = 2,
    least: float = 4,
    sampling: Sampling,
    seed: int,
) -> Batch:
    """At most one task a text `(id, text)`: the instruction of the best score among `samples` that has no fault."""
    batch, asking = Batch(MAKER), list[tuple[str, str]]()
    for name, text in texts:
        fault = form_fault(text, limit=20_000) or ("too_short" if len(text.strip()) < MIN_TEXT_CHARS else "")
        if fault:
            batch.asked += 1
            batch.refuse(name, f"text_{fault}", text)
        else:
            asking.append((name, text))
    named = [(name, prompts.instruction(text)) for name, text in asking]
    found = asked(teacher, MAKER, named, Instruction, sampling=sampling, seed=seed, n=samples)
    for (name, text), row in zip(asking, found, strict=True):
        batch.asked += len(row)
        good: list[Instruction] = []
        for answer in row:
            if answer.value is None:
                batch.refuse(name, why_unread(answer), answer.fault)
            elif fault := instruction_fault(text, answer.value.task, answer.value.score, least):
                batch.refuse(name, fault, answer.value.task)
            else:
                good.append(answer.value)
        good.sort(key=lambda one: -one.score)
        for one in good[1:]:
            batch.refuse(name, "not_the_best", one.task)
        for one in good[:1]:
            batch.take(_task(name, text, one.task.strip()))
    return batch


def _task(name: str, text: str, instruction: str) -> Task:
    prompt = f"{instruction}\n"
    return Task(
        id=task_id(MAKER, prompt),
        prompt=prompt,
        check={"type": "judge", "rubric": RUBRIC},
        reference=text,
        source=f"made/{MAKER}",
        parents=(name,),
    )
