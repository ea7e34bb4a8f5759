"""Tries the user's own functions on a few texts before a run: right replies, near misses, and others."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from selfplay.records import Attempt, Outcome, Task
from selfplay.verify.base import PYTHON, Verifier
from selfplay.verify.python_function import AT, RAISED
from selfplay.verify.routing import leaves

TASKS = 3
"""Tasks on which each function is tried."""
NEAR_MISSES = 2
"""Near misses of each of them."""
TEXTS = ("", "42", "I do not know.")
"""Tried besides reference and near misses: what any student may write."""


@dataclass(frozen=True)
class Tried:
    """The result of trying one function."""

    kind: str
    """`python:package.module:function`."""
    tries: int
    failures: Mapping[str, int]
    """Message of the first exception of each kind -> how often that kind left it without a verdict."""

    @property
    def broken(self) -> bool:
        """Whether it never gave a verdict."""
        return sum(self.failures.values()) == self.tries


def try_functions(tasks: Sequence[Task], near_misses: Sequence[Sequence[str]], verifier: Verifier) -> list[Tried]:
    """Each `python:` function that a task's check names, on up to TASKS of its tasks. Raises ConfigError where one cannot be imported."""
    found: dict[str, list[tuple[Task, Mapping[str, object], Sequence[str]]]] = {}
    for task, misses in zip(tasks, near_misses, strict=True):
        for check in leaves(task.check):
            if str(check["type"]).startswith(f"{PYTHON}:"):
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
