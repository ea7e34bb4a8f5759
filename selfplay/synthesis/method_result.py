"""How a synthesis method asks the teacher, and what it returns: tasks, and every refused reply with its reason."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from pydantic import BaseModel, Field

from selfplay.models import Backend
from selfplay.models.structured import Answer, ask
from selfplay.prompts.synthesis import Kind, solve
from selfplay.records import Message, Request, Sampling, Task, digest
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


SHOWN_CHARS = 600
"""Characters that are kept of a refused reply."""


@dataclass(frozen=True)
class RefusedReply:
    """A reply that did not become a task."""

    method: str
    parent: str
    """Id of what the method was asked about."""
    reason: str
    """One word: `unchanged`, `no_answer`, `injected`, ...; `outage` where the backend failed."""
    text: str = ""


@dataclass
class MethodResult:
    """The tasks and refused replies of one method."""

    method: str
    requested: int = 0
    """Replies requested, or draws made: always the tasks plus the refused replies."""
    tasks: list[Task] = field(default_factory=list)
    refused: list[RefusedReply] = field(default_factory=list)

    def refuse(self, parent: str, reason: str, text: str = "") -> None:
        """Records a refused reply."""
        self.refused.append(RefusedReply(self.method, parent, reason, text[:SHOWN_CHARS]))

    def add(self, task: Task) -> None:
        """Adds a task; refuses it as `duplicate` where its id is already there."""
        if any(task.id == known.id for known in self.tasks):
            self.refuse(task.id, "duplicate", task.text)
        else:
            self.tasks.append(task)

    def without_tasks(self) -> "MethodResult":
        """A new result with the same requests and refusals and no task yet, to be filled by a later check."""
        return MethodResult(self.method, self.requested, [], list(self.refused))

    @property
    def counts(self) -> dict[str, int]:
        """Number of tasks under `kept`, and of refused replies under each reason."""
        return {"kept": len(self.tasks), **dict(sorted(Counter(one.reason for one in self.refused).items()))}


def task_id(prefix: str, prompt: str) -> str:
    """The id of a synthesized task: equal prompts give equal ids."""
    return f"{prefix}-{digest(prompt)}"
