"""Floor 4: what a maker gives back: tasks, and every reply that was refused, with its reason. Nothing is lost."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from pydantic import BaseModel

from selfplay.models import Backend
from selfplay.models.structured import Answer, ask
from selfplay.records import Message, Request, Sampling, Task, digest
from selfplay.seeds import seed_of

Shape = TypeVar("Shape", bound=BaseModel)
SHOWN_CHARS = 600
"""Of a refused reply so much is kept."""


@dataclass(frozen=True)
class Refused:
    """A reply that did not become a task."""

    maker: str
    parent: str
    """Id of what it was asked about."""
    reason: str
    """A short word: `unchanged`, `no_answer`, `injected`, ...; `outage` where the backend failed."""
    text: str = ""


@dataclass
class Batch:
    """What came of one maker."""

    maker: str
    asked: int = 0
    """Replies asked for, or draws made."""
    tasks: list[Task] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)

    def refuse(self, parent: str, reason: str, text: str = "") -> None:
        """Keeps why a reply was refused."""
        self.refused.append(Refused(self.maker, parent, reason, text[:SHOWN_CHARS]))

    def take(self, task: Task) -> None:
        """Keeps a task, unless the batch has it already."""
        if any(task.id == known.id for known in self.tasks):
            self.refuse(task.id, "duplicate", task.text)
        else:
            self.tasks.append(task)

    @property
    def counts(self) -> dict[str, int]:
        """Replies by what became of them: `made` and every reason."""
        return {"made": len(self.tasks), **dict(sorted(Counter(one.reason for one in self.refused).items()))}


def asked(
    backend: Backend,
    maker: str,
    prompts: Sequence[tuple[str, tuple[Message, ...]]],
    shape: type[Shape],
    *,
    sampling: Sampling,
    seed: int,
    n: int = 1,
) -> list[list[Answer[Shape]]]:
    """`n` readings a prompt. The prompts' names tell draws apart; they are no part of what is sent."""
    requests = [Request(task_id=f"{maker}/{name}", messages=messages) for name, messages in prompts]
    return ask(backend, requests, shape, n=n, sampling=sampling, seed=seed_of(seed, maker)) if requests else []


def why_unread(answer: Answer[Shape]) -> str:
    """The reason for a reply that could not be read: `outage`, or `off_format`."""
    return "outage" if answer.outage else "off_format"


def task_id(maker: str, prompt: str) -> str:
    """The id of a made task: the same prompt is the same task."""
    return f"{maker}-{digest(prompt)}"
