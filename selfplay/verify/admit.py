"""Admits a task where its gold answer passes its own verifier and its near misses fail.

Used by `selfplay check` before a run, and by the synthesis of new tasks during one.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from selfplay.records import Attempt, Outcome, Task
from selfplay.verify.base import PYTHON, Judged, Verifier, registered_name, verifier_class
from selfplay.verify.python_function import RAISED
from selfplay.verify.routing import leaves, verify

SHOWN_CHARS = 400
"""Characters shown of a near miss that passes."""


@dataclass(frozen=True)
class Admission:
    """The result of testing one task against its verifier."""

    task_id: str
    admitted: bool
    problem: str
    """What is wrong with it; "" where nothing is."""
    gold_checked: bool
    near_misses_checked: int


def admit(
    tasks: Sequence[Task],
    near_misses: Sequence[Sequence[str]],
    verifiers: Mapping[str, Verifier],
    place_of: Callable[[str], str] = str,
) -> list[Admission]:
    """Verifies each task's `reference` (where it has one) and its near misses; one result per task, in order.

    An `error` verdict counts as a problem of the set-up, or of tests that cannot run at all, not of the task. `place_of`: names the
    function of a `python:` check and where it stands, for messages.
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
        _admission(task, outcomes, texts, broken.get(place, ""), raised.get(place, ""), place_of)
        for place, (task, outcomes, texts) in enumerate(zip(tasks, found, near_misses, strict=True))
    ]


def _cannot_run(judged: Judged) -> str:
    """Why the tests cannot run on any program, such as a missing import or a syntax error of theirs; "" where they ran."""
    words = (v for v in judged.verdicts if v.outcome is Outcome.ERROR and v.reason == "infra_error")
    return next((v.evidence for v in words if v.evidence.startswith("tests")), "")


def try_answers(tasks: Sequence[Task], verifiers: Mapping[str, Verifier]) -> list[tuple[int, str]]:
    """Per task: how many right replies its checks themselves give were tried, and why the task is not sound ("" where it is).

    A task whose own answer does not pass cannot be solved in the usual form. Each single check is asked alone.
    """
    asked = [
        (place, leaf, reply)
        for place, task in enumerate(tasks)
        for leaf in leaves(task.check)
        for reply in verifier_class(leaf["type"]).right_replies(leaf)
    ]
    tried, problems = Counter(place for place, _, _ in asked), dict[int, str]()
    for kind in sorted({leaf["type"] for _, leaf, _ in asked}):
        rows = [row for row in asked if row[1]["type"] == kind]
        attempts = [
            Attempt(task_id=tasks[place].id, attempt=n, round=0, text=reply, origin="canary")
            for n, (place, _, reply) in enumerate(rows)
        ]
        given = [tasks[place] for place, _, _ in rows]
        verdicts = verifiers[registered_name(kind)].verify([leaf for _, leaf, _ in rows], given, attempts)
        for (place, _, reply), verdict in zip(rows, verdicts, strict=True):
            if verdict.outcome is not Outcome.PASS:
                shown = json.dumps(_clipped(reply), ensure_ascii=False)
                why = f"its own answer, replied as {shown}, is judged {verdict.outcome.value}; write the answer in another form"
                problems.setdefault(place, why)
    return [(tried[place], problems.get(place, "")) for place in range(len(tasks))]


def _raised(judged: Judged) -> str:
    """What the user's functions raised on it; "" where none did, or something of ours failed too."""
    errors = [verdict for verdict in judged.verdicts if verdict.outcome is Outcome.ERROR]
    return errors[0].reason if errors and all(RAISED in verdict.details for verdict in errors) else ""


def _seen(judged: Judged) -> Outcome:
    """The outcome, where a pass inside the candidate's own process counts: no candidate is hostile here."""
    inside = [v for v in judged.verdicts if v.details.get("trust") == "in_process" and v.reason == "passed"]
    return Outcome.PASS if inside and judged.outcome is Outcome.ABSTAIN else judged.outcome


def _admission(
    task: Task,
    outcomes: list[Outcome],
    texts: Sequence[str],
    broken: str,
    raised: str,
    place_of: Callable[[str], str],
) -> Admission:
    has_gold = task.reference is not None
    gold, misses = (outcomes[0] if has_gold else None), outcomes[1 if has_gold else 0 :]
    let_by = next((n for n, word in enumerate(misses) if word in (Outcome.PASS, Outcome.ABSTAIN)), None)
    functions = sorted({str(leaf["type"]) for leaf in leaves(task.check) if str(leaf["type"]).startswith(f"{PYTHON}:")})
    by = " and ".join(map(place_of, functions))
    problem = ""
    if broken:
        problem = f"it cannot be judged, whatever the reply; {broken}"
    elif Outcome.ERROR in outcomes:
        problem = f"the verifier does not work{f': {raised}' if raised else ' (error verdict); run selfplay doctor'}"
    elif gold is not None and gold is not Outcome.PASS:
        shown = json.dumps(_clipped(task.reference or ""), ensure_ascii=False)
        problem = f"the gold answer is judged {gold.value}"
        problem += (
            f" by {by}: {shown}; correct the function, or the reference"
            if by
            else "; correct the reference or the tests"
        )
    elif let_by is not None and by:
        shown = json.dumps(_clipped(texts[let_by]), ensure_ascii=False)
        problem = (
            f"near miss {let_by} is judged {misses[let_by].value} by {by}: {shown}; correct the function, or remove the near miss if "
            "it is right"
        )
    elif let_by is not None:
        shown = json.dumps(_clipped(texts[let_by]), ensure_ascii=False)
        problem = (
            f"near miss {let_by} is judged {misses[let_by].value}, so it is no canary, and the tests cannot tell it from a right reply: "
            f"{shown}; add cases that it fails, or remove it if it is right"
        )
    return Admission(task.id, not problem, problem, has_gold, len(misses))


def _clipped(text: str) -> str:
    """A text short enough for one line of a message. Keeps its end, where a near miss made from a reference differs from it."""
    half = SHOWN_CHARS // 2
    return text if len(text) <= SHOWN_CHARS else f"{text[:half]} ... {text[-half:]}"
