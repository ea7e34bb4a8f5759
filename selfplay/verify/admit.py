"""Floor 3: a task is admitted where its gold answer passes its own verifier and near misses fail.

Serves `selfplay check` before a run, and the makers of new tasks within one.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from selfplay.records import Attempt, Outcome, Task
from selfplay.verify.custom import RAISED
from selfplay.verify.routing import Judged, Verifier, leaves, verify

SHOWN_CHARS = 400
"""Of a near miss that passes so much is shown."""


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

    An `error` verdict is not held against a task: it is named as a problem of the set-up, or of tests that cannot run at all.
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
    broken: dict[int, str] = {}
    raised: dict[int, str] = {}
    for (place, _), judged in zip(asked, words, strict=True):
        found[place].append(_seen(judged))
        if why := _cannot_run(judged):
            broken.setdefault(place, why)
        if why := _raised(judged):
            raised.setdefault(place, why)
    return [
        _admission(task, outcomes, texts, broken.get(place, ""), raised.get(place, ""))
        for place, (task, outcomes, texts) in enumerate(zip(tasks, found, near_misses, strict=True))
    ]


def _cannot_run(judged: Judged) -> str:
    """Why tests did not run, whatever the program: an import of theirs is missing, they do not parse; "" where they did."""
    words = (v for v in judged.verdicts if v.outcome is Outcome.ERROR and v.reason == "infra_error")
    return next((v.evidence for v in words if v.evidence.startswith("tests")), "")


def try_answers(tasks: Sequence[Task], verifiers: Mapping[str, Verifier]) -> list[tuple[int, str]]:
    """The answer of each `math` check given as a reply, as `A: ...` and bare: how many were tried of a task, and why it is not sound.

    A task that its own answer does not pass cannot be solved in the usual form. Each check is asked alone, without those beside it.
    """
    asked = [
        (place, leaf, reply)
        for place, task in enumerate(tasks)
        for leaf in leaves(task.check)
        if leaf["type"] == "math"
        for reply in (f"A: {leaf['answer']}", str(leaf["answer"]))
    ]
    attempts = [
        Attempt(task_id=tasks[place].id, attempt=n, round=0, text=reply, origin="canary")
        for n, (place, _, reply) in enumerate(asked)
    ]
    checks = [leaf for _, leaf, _ in asked]
    verdicts = verifiers["math"].verify(checks, [tasks[place] for place, _, _ in asked], attempts) if asked else []
    tried, problems = Counter(place for place, _, _ in asked), dict[int, str]()
    for (place, _, reply), verdict in zip(asked, verdicts, strict=True):
        if verdict.outcome is not Outcome.PASS:
            shown = json.dumps(_clipped(reply), ensure_ascii=False)
            why = f"its own answer, replied as {shown}, is judged {verdict.outcome.value}; write the answer in another form"
            problems.setdefault(place, why)
    return [(tried[place], problems.get(place, "")) for place in range(len(tasks))]


def _raised(judged: Judged) -> str:
    """What functions of the user's raised on it, "" where none did, or something of ours was down too."""
    errors = [verdict for verdict in judged.verdicts if verdict.outcome is Outcome.ERROR]
    return errors[0].reason if errors and all(RAISED in verdict.details for verdict in errors) else ""


def _seen(judged: Judged) -> Outcome:
    """What the tests made of it: a pass in the candidate's own process counts here, where no candidate is hostile."""
    inside = [v for v in judged.verdicts if v.details.get("trust") == "in_process" and v.reason == "passed"]
    return Outcome.PASS if inside and judged.outcome is Outcome.ABSTAIN else judged.outcome


def _admission(task: Task, outcomes: list[Outcome], texts: Sequence[str], broken: str, raised: str) -> Admission:
    has_gold = task.reference is not None
    gold, misses = (outcomes[0] if has_gold else None), outcomes[1 if has_gold else 0 :]
    let_by = next((n for n, word in enumerate(misses) if word in (Outcome.PASS, Outcome.ABSTAIN)), None)
    problem = ""
    if broken:
        problem = f"it cannot be judged, whatever the reply; {broken}"
    elif Outcome.ERROR in outcomes:
        problem = f"the verifier is out of order{f': {raised}' if raised else ' (error verdict); run selfplay doctor'}"
    elif gold is not None and gold is not Outcome.PASS:
        problem = f"the gold answer is judged {gold.value}; mend the reference or the tests"
    elif let_by is not None:
        shown = json.dumps(_clipped(texts[let_by]), ensure_ascii=False)
        problem = (
            f"near miss {let_by} is judged {misses[let_by].value}, so it is no canary, and the tests cannot tell it from a right reply: "
            f"{shown}; add cases that it fails, or take it away if it is right"
        )
    return Admission(task.id, not problem, problem, has_gold, len(misses))


def _clipped(text: str) -> str:
    """A text that is short enough for one line of a message, its end kept: what was made of a reference differs there."""
    half = SHOWN_CHARS // 2
    return text if len(text) <= SHOWN_CHARS else f"{text[:half]} ... {text[-half:]}"
