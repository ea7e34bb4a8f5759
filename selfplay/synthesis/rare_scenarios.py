"""The method `rare`: a teacher writes a task for each draw from a taxonomy (see `coverage`)."""

from collections.abc import Mapping, Sequence
from functools import partial

from selfplay.models import Backend
from selfplay.prompts import synthesis as prompts
from selfplay.prompts.synthesis import Kind
from selfplay.records import Sampling, digest
from selfplay.synthesis.method_result import MethodResult
from selfplay.synthesis.task_filters import rare_fault
from selfplay.synthesis.teacher_problems import problem_fault, shape_of, task_of
from selfplay.synthesis.teacher_queries import query_teacher, unread_reason

METHOD = "rare"


def write_rare_tasks(
    draws: Sequence[Mapping[str, str]], teacher: Backend, *, kind: Kind = "math", sampling: Sampling, seed: int
) -> MethodResult:
    """One task a draw (axis -> value), tagged `axis:value`; a drawn task has no parents."""
    result = MethodResult(METHOD, len(draws))
    prompts_ = [(f"{n}/{digest(dict(one))}", prompts.rare(one, kind)) for n, one in enumerate(draws)]
    replies = query_teacher(teacher, METHOD, prompts_, shape_of(kind), sampling=sampling, seed=seed)
    for one, (name, _), [answer] in zip(draws, prompts_, replies, strict=True):
        if answer.value is None:
            result.refuse(name, unread_reason(answer), answer.fault)
            continue
        if fault := problem_fault(answer.value, partial(rare_fault, dict(one))):
            result.refuse(name, fault, answer.value.task)
            continue
        result.add(task_of(METHOD, answer.value, (), tuple(f"{axis}:{value}" for axis, value in one.items())))
    return result
