"""Instruction backtranslation (Li et al. 2023, 2308.06259): a teacher writes the instruction that a good text answers.

The text becomes the reference. It cannot be run, so the task's check is a judge with a rubric. The teacher's own score selects
among its instructions and has a minimum; it is a filter, not a verdict.
"""

from collections.abc import Sequence

from pydantic import BaseModel, Field

from selfplay.models import Backend
from selfplay.prompts import synthesis as prompts
from selfplay.records import SYNTHESIZED_SOURCE, Sampling, Task
from selfplay.synthesis.method_result import MethodResult, query_teacher, task_id, unread_reason
from selfplay.synthesis.task_filters import form_fault, instruction_fault

METHOD = "instruct"
RUBRIC = "Full score for a reply that does what the instruction asks, completely, correctly and without padding."
MIN_TEXT_CHARS = 80


class Instruction(BaseModel):
    """An instruction, and the teacher's score of the text as a reply to it."""

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
) -> MethodResult:
    """At most one task per (id, text): of `samples` instructions without a fault, the one with the highest score.

    `least`: lowest score, of the teacher's 1 to 5, that is kept.
    """
    result, asking = MethodResult(METHOD), list[tuple[str, str]]()
    for name, text in texts:
        fault = form_fault(text, limit=20_000) or ("too_short" if len(text.strip()) < MIN_TEXT_CHARS else "")
        if fault:
            result.requested += 1
            result.refuse(name, f"text_{fault}", text)
        else:
            asking.append((name, text))
    named = [(name, prompts.instruction(text)) for name, text in asking]
    replies = query_teacher(teacher, METHOD, named, Instruction, sampling=sampling, seed=seed, n=samples)
    for (name, text), row in zip(asking, replies, strict=True):
        result.requested += len(row)
        good: list[Instruction] = []
        for answer in row:
            if answer.value is None:
                result.refuse(name, unread_reason(answer), answer.fault)
            elif fault := instruction_fault(text, answer.value.task, answer.value.score, least):
                result.refuse(name, fault, answer.value.task)
            else:
                good.append(answer.value)
        good.sort(key=lambda one: -one.score)
        for one in good[1:]:
            result.refuse(name, "not_the_best", one.task)
        for one in good[:1]:
            result.add(_task(name, text, one.task.strip()))
    return result


def _task(name: str, text: str, instruction: str) -> Task:
    prompt = f"{instruction}\n"
    return Task(
        id=task_id(METHOD, prompt),
        prompt=prompt,
        check={"type": "judge", "rubric": RUBRIC},
        reference=text,
        source=f"{SYNTHESIZED_SOURCE}{METHOD}",
        parents=(name,),
    )
