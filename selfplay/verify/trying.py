"""Floor 3: functions of the user's own, tried on a few texts before a run: what is right, what is nearly so, and what is neither."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from selfplay.records import Attempt, Outcome, Task
from selfplay.verify.custom import AT, RAISED
from selfplay.verify.routing import Verifier, leaves

TASKS = 3
"""Tasks on which each function is tried."""
NEAR_MISSES = 2
"""Near misses of each of them."""
TEXTS = ("", "42", "I do not know.")
"""Beside reference and near misses, where there are any: what any student may write."""


@dataclass(frozen=True)
class Tried:
    """What came of trying one function."""

    kind: str
    """`python:package.module:function`."""
    tries: int
    failures: Mapping[str, int]
    """How often it gave no verdict, by the first of each kind of exception in words."""

    @property
    def broken(self) -> bool:
        """Whether it never gave a verdict."""
        return sum(self.failures.values()) == self.tries


def try_functions(tasks: Sequence[Task], near_misses: Sequence[Sequence[str]], verifier: Verifier) -> list[Tried]:
    """Each `python:` function that a task's check names, on up to TASKS of its tasks. Raises ConfigError where one cannot be imported."""
    found: dict[str, list[tuple[Task, Mapping[str, object], Sequence[str]]]] = {}
    for task, misses in zip(tasks, near_misses, strict=True):
        for check in leaves(task.check):
            if str(check["type"]).startswith("python:"):
                found.setdefault(str(check["type"]), []).append((task, check, misses))
    return [_tried(kind, items[:: -(-len(items) // TASKS)], verifier) for kind, items in sorted(found.items())]


def _tried(kind: str, items: Sequence[tuple[Task, Mapping[str, object], Sequence[str]]], verifier: Verifier) -> Tried:
    asked = [
        (task, check, text)
        for task, check, misses in items
        for text in (*([task.reference] if task.reference is not None else []), *misses[:NEAR_MISSES], *TEXTS)
    ]
    attempts = [Attempt(task_id=task.id, attempt=n, round=0, text=text) for n, (task, _, text) in enumerate(asked)]
    verdicts = verifier.verify([check for _, check, _ in asked], [task for task, _, _ in asked], attempts)
    failures: Counter[str] = Counter()
    first: dict[tuple[str, str], str] = {}
    for verdict in verdicts:
        if verdict.outcome is Outcome.ERROR:
            key = str(verdict.details.get(RAISED)), str(verdict.details.get(AT))
            failures[first.setdefault(key, verdict.reason or "it returned `error`")] += 1
    return Tried(kind, len(asked), failures)
