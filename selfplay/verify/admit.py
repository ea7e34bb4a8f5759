"""Floor 3: a task is admitted where its gold answer passes its own verifier and near misses fail.

Serves `selfplay check` before a run, and the makers of new tasks within one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from selfplay.records import Attempt, Outcome, Task
from selfplay.verify.routing import Judged, Verifier, verify


@dataclass(frozen=True)
class Admission:
    """What came of holding one task to its verifier."""

    task_id: str
    admitted: bool
    problem: str
    """What is wrong, "" where nothing is."""
    gold_checked: bool
    near_misses_checked: int


def admit(
    tasks: Sequence[Task], near_misses: Sequence[Sequence[str]], verifiers: Mapping[str, Verifier]
) -> list[Admission]:
    """Checks each task's `reference` (where it has one) and its near misses; one result a task, in order.

    An `error` verdict is not held against a task: it is named as a problem of the set-up.
    """
    asked: list[tuple[int, str]] = []
    for place, (task, misses) in enumerate(zip(tasks, near_misses, strict=True)):
        asked += [(place, task.reference)] if task.reference is not None else []
        asked += [(place, text) for text in misses]
    attempts = [
        Attempt(task_id=tasks[place].id, attempt=n, round=0, text=text, origin="canary")
        for n, (place, text) in enumerate(asked)
    ]
    words = verify([tasks[place] for place, _ in asked], attempts, verifiers)
    found: list[list[Outcome]] = [[] for _ in tasks]
    for (place, _), judged in zip(asked, words, strict=True):
        found[place].append(_seen(judged))
    return [_admission(task, outcomes) for task, outcomes in zip(tasks, found, strict=True)]


def _seen(judged: Judged) -> Outcome:
    """What the tests made of it: a pass in the candidate's own process counts here, where no candidate is hostile."""
    inside = [v for v in judged.verdicts if v.details.get("trust") == "in_process" and v.reason == "passed"]
    return Outcome.PASS if inside and judged.outcome is Outcome.ABSTAIN else judged.outcome


def _admission(task: Task, outcomes: list[Outcome]) -> Admission:
    has_gold = task.reference is not None
    gold, misses = (outcomes[0] if has_gold else None), outcomes[1 if has_gold else 0 :]
    problem = ""
    if Outcome.ERROR in outcomes:
        problem = "the verifier is out of order (error verdict); run selfplay doctor"
    elif gold is not None and gold is not Outcome.PASS:
        problem = f"the gold answer is judged {gold.value}; mend the reference or the tests"
    elif Outcome.PASS in misses:
        problem = f"near miss {misses.index(Outcome.PASS)} passes; the tests cannot tell, add cases"
    return Admission(task.id, not problem, problem, has_gold, len(misses))
