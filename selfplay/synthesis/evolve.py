"""The methods `evolve` and `rare`: a teacher writes tasks from tasks, or from draws of a taxonomy (see `coverage`).

`evolve` is Evol-Instruct (Xu et al. 2023, 2304.12244): harder tasks, or new ones of the same kind. A task that cannot be used is
refused with its reason (`task_filters.evolved_fault`). What is left has a reference, a check and its parent, and still has to
pass `admission`.
"""

from collections.abc import Mapping, Sequence
from functools import partial

from selfplay.models import Backend
from selfplay.prompts import synthesis as prompts
from selfplay.prompts.synthesis import DEPTH, Kind
from selfplay.records import Sampling, Task, digest
from selfplay.seeds import rng_of
from selfplay.synthesis.method_result import MethodResult, kind_of, query_teacher, unread_reason
from selfplay.synthesis.task_filters import evolved_fault, rare_fault
from selfplay.synthesis.teacher_problems import problem_fault, shape_of, task_of

METHOD = "evolve"
RARE = "rare"
WAYS = (*DEPTH, "breadth")
_OWN_TAGS = ("depth:", "evolved:", "agreed:", "operation", "difficulty:")
"""Prefixes of tags that describe the parent alone and are not inherited."""


def evolve(
    tasks: Sequence[Task],
    teacher: Backend,
    *,
    ways: Sequence[str] = WAYS,
    depth_limit: int = 3,
    sampling: Sampling,
    seed: int,
) -> MethodResult:
    """One evolution a task, its way drawn by seed. A task that was evolved `depth_limit` times is refused as `too_deep`."""
    result, chosen = MethodResult(METHOD, len(tasks)), list[tuple[Task, str]]()
    for task in tasks:
        if int(task.tag("depth") or 0) >= depth_limit:
            result.refuse(task.id, "too_deep", task.text)
        else:
            chosen.append((task, rng_of("making/evolve", task.id, seed).choice(list(ways))))
    for kind in ("math", "code"):
        _evolve_kind(result, kind, [one for one in chosen if kind_of(one[0]) == kind], teacher, sampling, seed)
    return result


def _evolve_kind(
    result: MethodResult,
    kind: Kind,
    chosen: Sequence[tuple[Task, str]],
    teacher: Backend,
    sampling: Sampling,
    seed: int,
) -> None:
    named = [(f"{task.id}/{way}", prompts.evolve(task.text, way, kind)) for task, way in chosen]
    replies = query_teacher(teacher, METHOD, named, shape_of(kind), sampling=sampling, seed=seed)
    for (task, way), [answer] in zip(chosen, replies, strict=True):
        if answer.value is None:
            result.refuse(task.id, unread_reason(answer), answer.fault)
        elif fault := problem_fault(answer.value, partial(evolved_fault, task.text)):
            result.refuse(task.id, fault, answer.value.task)
        else:
            depth = int(task.tag("depth") or 0) + (way != "breadth")
            kept = [tag for tag in task.tags if not tag.startswith(_OWN_TAGS)]
            result.add(task_of(METHOD, answer.value, (task.id,), (*kept, f"evolved:{way}", f"depth:{depth}")))


def write_rare_tasks(
    draws: Sequence[Mapping[str, str]], teacher: Backend, *, kind: Kind = "math", sampling: Sampling, seed: int
) -> MethodResult:
    """One task a draw (axis -> value), tagged `axis:value`; a drawn task has no parents."""
    result = MethodResult(RARE, len(draws))
    prompts_ = [(f"{n}/{digest(dict(one))}", prompts.rare(one, kind)) for n, one in enumerate(draws)]
    replies = query_teacher(teacher, RARE, prompts_, shape_of(kind), sampling=sampling, seed=seed)
    for one, (name, _), [answer] in zip(draws, prompts_, replies, strict=True):
        if answer.value is None:
            result.refuse(name, unread_reason(answer), answer.fault)
            continue
        if fault := problem_fault(answer.value, partial(rare_fault, dict(one))):
            result.refuse(name, fault, answer.value.task)
            continue
        result.add(task_of(RARE, answer.value, (), tuple(f"{axis}:{value}" for axis, value in one.items())))
    return result
