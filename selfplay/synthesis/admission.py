"""Admits a synthesized task only where its verifier works: the reference passes, wrong programs fail, solvers agree.

Tests that a teacher wrote may be wrong, so they are tested themselves. For code: the reference passes its tests; programs that
return a constant fail; most one-place mutants of the reference fail; independent solutions, written from the task alone, pass and
agree with the reference on further inputs. For a final answer: most independent solutions reach it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from selfplay.answers import extract_answer, extract_code
from selfplay.models import Backend
from selfplay.records import Attempt, Outcome, Sampling, Task
from selfplay.runtime.attempts import is_outage
from selfplay.synthesis.method_result import MethodResult, query_solutions
from selfplay.tasks.near_misses import code_near_misses
from selfplay.verify import Judged, Verifier, verify
from selfplay.verify.mutants import mutants, probes, stubs

MIN_KILLED = 0.5
"""Share of the one-place mutants that the tests must fail. It is below 1 because some mutants are right programs."""


@dataclass(frozen=True)
class AdmissionRules:
    """What admission requires."""

    solutions: int = 2
    """Independent solutions requested from the teacher; 0: none, and only the task's own parts are checked."""
    agree: float = 0.5
    """Least share of them that must agree with the reference, in [0, 1]; at least one always must."""
    killed: float = MIN_KILLED
    """Least share of the mutants that must fail, in [0, 1]."""


def admit_tasks(
    result: MethodResult,
    verifiers: Mapping[str, Verifier],
    teacher: Backend | None,
    *,
    rules: AdmissionRules,
    sampling: Sampling,
    seed: int,
) -> MethodResult:
    """The result with the admitted tasks; the others are refused with their reason. `teacher` None: no independent solutions."""
    tasks = result.tasks
    others = _solutions(tasks, teacher, rules.solutions, sampling, seed) if teacher else [[] for _ in tasks]
    needed = rules if teacher else AdmissionRules(0, rules.agree, rules.killed)
    admitted = result.without_tasks()
    for task, texts, fault in zip(tasks, others, admission_faults(tasks, others, verifiers, needed), strict=True):
        if fault:
            admitted.refuse(task.id, fault, task.text)
        else:
            tags = (*task.tags, f"agreed:{len(texts)}") if texts else task.tags
            admitted.add(task.model_copy(update={"tags": tags}))
    return admitted


def admission_faults(
    tasks: Sequence[Task], others: Sequence[Sequence[str]], verifiers: Mapping[str, Verifier], rules: AdmissionRules
) -> list[str]:
    """One word a task, "" where it is admitted; `others`: the independent solutions of each task.

    `no_reference`, `no_tests`, `reference_fails`; `tests_weak` (a constant passes), `tests_blind` (too many mutants pass),
    `tests_unsteady` (a second run differs); `nobody_agrees`, `others_differ`; `outage`.
    """
    return [_fault(task, list(texts), verifiers, rules) for task, texts in zip(tasks, others, strict=True)]


def _fault(task: Task, others: list[str], verifiers: Mapping[str, Verifier], rules: AdmissionRules) -> str:
    if not (task.reference or "").strip():
        return "no_reference"
    if task.check["type"] == "code_tests":
        return _code_fault(task, others, verifiers, rules)
    words = _outcomes(task, [task.reference or "", *others], verifiers)
    if Outcome.ERROR in words:
        return "outage"
    return "reference_fails" if words[0] is not Outcome.PASS else _agreement(words[1:], rules)


def _code_fault(task: Task, others: list[str], verifiers: Mapping[str, Verifier], rules: AdmissionRules) -> str:
    if not task.check.get("source") and not task.check.get("cases"):
        return "no_tests"
    code = extract_code(task.reference or "", str(task.check["entry_point"])) or ""
    # the reference runs first and alone, so that tests which fail everything, or never end, cost a single run
    gold = _outcomes(task, [code], verifiers)[0]
    if gold is not Outcome.PASS:
        return "outage" if gold is Outcome.ERROR else "reference_fails"
    constant = stubs(str(task.check["entry_point"]))
    changed = [*code_near_misses(task.model_copy(update={"reference": code}))[1:], *mutants(code)]
    words = _outcomes(task, [*constant, *changed, *others], verifiers)
    if Outcome.ERROR in words:
        return "outage"
    weak, killed, passed = words[: len(constant)], words[len(constant) :][: len(changed)], words[-len(others) :]
    if any(word in (Outcome.PASS, Outcome.ABSTAIN) for word in weak):
        return "tests_weak"
    if sum(word in (Outcome.FAIL, Outcome.INVALID) for word in killed) < rules.killed * len(changed):
        return "tests_blind"
    passed = passed if others else []
    return (
        _agreement(passed, rules)
        or _differing(task, code, others, passed, verifiers)
        or _unsteady(task, {code: gold, **dict(zip([*constant, *changed], words, strict=False))}, verifiers)
    )


def _unsteady(task: Task, before: Mapping[str, Outcome], verifiers: Mapping[str, Verifier]) -> str:
    """`tests_unsteady` where a second run gives other outcomes: the tests depend on chance, a clock or a counter."""
    again = _outcomes(task, list(before), verifiers)
    if Outcome.ERROR in again:
        return "outage"
    return "" if again == list(before.values()) else "tests_unsteady"


def _agreement(words: Sequence[Outcome], rules: AdmissionRules) -> str:
    if rules.solutions == 0:
        return ""
    good = sum(word is Outcome.PASS for word in words)
    return "" if good and good >= rules.agree * len(words) else "nobody_agrees"


def _differing(
    task: Task, code: str, others: list[str], passed: Sequence[Outcome], verifiers: Mapping[str, Verifier]
) -> str:
    """`others_differ` where a solution that passed answers otherwise than the reference on inputs that no test has.

    Each program runs alone in the sandbox and the answers are compared here, so that none can change what another answers.
    """
    from selfplay.verify.code_tests import CodeTests

    runner, entry = verifiers["code_tests"], str(task.check["entry_point"])
    calls = probes([line for line in str(task.check.get("source", "")).split("\n") if line.strip()], entry)
    good = [text for text, word in zip(others, passed, strict=True) if word is Outcome.PASS]
    if not calls or not good or not isinstance(runner, CodeTests):
        return ""
    right, *found = runner.answers(
        [(extract_code(text, entry) or "", entry, calls) for text in (code, *good)], at_once=3
    )
    if right.lost or any(one.lost for one in found):
        return "outage"
    # an input on which either program raises is outside the task, so it does not count
    return "others_differ" if any(one[n] != right[n] for one in found for n in one.keys() & right.keys()) else ""


def final_outcome(judged: Judged) -> Outcome:
    """The outcome; `invalid` where a user's function raised, which is no outage and would raise again."""
    return Outcome.INVALID if judged.outcome is Outcome.ERROR and not is_outage(judged) else judged.outcome


def _outcomes(task: Task, texts: Sequence[str], verifiers: Mapping[str, Verifier]) -> list[Outcome]:
    attempts = [
        Attempt(task_id=task.id, attempt=n, round=0, text=text, origin="canary") for n, text in enumerate(texts)
    ]
    judged = verify([task] * len(attempts), attempts, verifiers) if attempts else []
    return [final_outcome(one) for one in judged]


def _solutions(tasks: Sequence[Task], teacher: Backend, n: int, sampling: Sampling, seed: int) -> list[list[str]]:
    if n == 0:
        return [[] for _ in tasks]
    read = query_solutions(teacher, "solve", tasks, sampling=sampling, seed=seed, n=n)
    return [[answer.value.solution for answer in row if answer.value is not None] for row in read]


def answer_of(task: Task) -> str:
    """The final answer of a task, from its check or else its reference; "" where it has none."""
    return str(task.check.get("answer") or extract_answer(task.reference or "") or "")
