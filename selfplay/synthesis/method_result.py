"""What a synthesis method returns: tasks, and every refused reply with its reason. Nothing is lost."""

from collections import Counter
from dataclasses import dataclass, field

from selfplay.records import Task, digest

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
