"""Evol-Instruct (Xu et al. 2023, 2304.12244): a teacher writes harder tasks from tasks, or new ones of the same kind.

A task that cannot be used is refused with its reason (`task_filters.evolved_fault`). What is left has a reference, a check and
its parent, and still has to pass `admission`.
"""

from collections.abc import Sequence
from functools import partial

from selfplay.models import Backend
from selfplay.prompts import synthesis as prompts
from selfplay.prompts.synthesis import DEPTH, Kind
from selfplay.records import Sampling, Task
from selfplay.seeds import rng_of
from selfplay.synthesis.method_result import MethodResult
from selfplay.synthesis.task_filters import evolved_fault
from selfplay.synthesis.teacher_problems import problem_fault, shape_of, task_of
from selfplay.synthesis.teacher_queries import kind_of, query_teacher, unread_reason

METHOD = "evolve"
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
