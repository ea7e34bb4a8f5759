"""Sends a method's prompts to the teacher and reads each reply as one JSON object of a known shape."""

from collections.abc import Sequence
from typing import TypeVar

from pydantic import BaseModel, Field

from selfplay.models import Backend
from selfplay.models.structured import Answer, ask
from selfplay.prompts.synthesis import Kind, solve
from selfplay.records import Message, Request, Sampling, Task
from selfplay.seeds import seed_of

Shape = TypeVar("Shape", bound=BaseModel)


class Solution(BaseModel):
    """A solution that a teacher writes from the task alone."""

    solution: str = Field(max_length=20_000)


def query_teacher(
    teacher: Backend,
    name: str,
    prompts: Sequence[tuple[str, tuple[Message, ...]]],
    shape: type[Shape],
    *,
    sampling: Sampling,
    seed: int,
    n: int = 1,
) -> list[list[Answer[Shape]]]:
    """`n` parsed replies to each of the (id, messages) prompts. `name` and the ids seed the draws; they are not sent."""
    requests = [Request(task_id=f"{name}/{key}", messages=messages) for key, messages in prompts]
    return ask(teacher, requests, shape, n=n, sampling=sampling, seed=seed_of(seed, name)) if requests else []


def query_solutions(
    teacher: Backend, name: str, tasks: Sequence[Task], *, sampling: Sampling, seed: int, n: int = 1
) -> list[list[Answer[Solution]]]:
    """`n` solutions of each task, written from the task alone. `name` as in `query_teacher`."""
    prompts = [(task.id, solve(task.text, kind_of(task), str(task.check.get("entry_point", "")))) for task in tasks]
    return query_teacher(teacher, name, prompts, Solution, sampling=sampling, seed=seed, n=n)


def kind_of(task: Task) -> Kind:
    """How a task is verified: by running its tests (`code`), or by its final answer (`math`)."""
    return "code" if task.check["type"] == "code_tests" else "math"


def unread_reason(answer: Answer[Shape]) -> str:
    """Why a reply has no value: `outage`, or `off_format`."""
    return "outage" if answer.outage else "off_format"
