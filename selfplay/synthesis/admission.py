"""Floor 4: a made task is admitted only with a verifier that works: its reference passes, wrong programs fail, others agree.

A test that a teacher wrote is a guess until it is checked. For code: the reference passes its own tests; programs that give a
constant fail; most one-place mutants of the reference fail; programs that others wrote from the task alone pass, and do what the
reference does on further inputs too. For an answer: most solutions written from the task alone come to it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, Field

from selfplay.answers import extract_answer, extract_code
from selfplay.models import Backend
from selfplay.prompts.making import Kind, solve
from selfplay.records import Attempt, Outcome, Sampling, Task
from selfplay.runtime.verified import is_outage
from selfplay.synthesis.batch import Batch, asked
from selfplay.tasks.near_misses import code_near_misses
from selfplay.verify import Judged, Verifier, verify
from selfplay.verify.mutants import mutants, probes, stubs

MIN_KILLED = 0.5
"""Share of the one-place mutants that the tests must fail: some mutants are right programs too, so not all."""


class Solution(BaseModel):
    """A solution written from the task alone."""

    solution: str = Field(max_length=20_000)


@dataclass(frozen=True)
class Rules:
    """What admission asks for."""

    solutions: int = 2
    """Independent solutions asked of the teacher; 0 asks none, and only the task's own parts are checked."""
    agree: float = 0.5
    """Least share of them that must agree with the reference; at least one always must."""
    killed: float = MIN_KILLED


def admit_made(
    batch: Batch,
    verifiers: Mapping[str, Verifier],
    teacher: Backend | None,
    *,
    rules: Rules,
    sampling: Sampling,
    seed: int,
) -> Batch:
    """The batch with the tasks that hold; the others are refused with their reason. `teacher` None asks no solutions."""
    others = _solutions(batch.tasks, teacher, rules.solutions, sampling, seed) if teacher else [[] for _ in batch.tasks]
    need = rules if teacher else Rules(0, rules.agree, rules.killed)
    found = Batch(batch.maker, batch.asked, [], list(batch.refused))
    for task, texts, fault in zip(batch.tasks, others, faults_of(batch.tasks, others, verifiers, need), strict=True):
        if fault:
            found.refuse(task.id, fault, task.text)
        else:
            tags = (*task.tags, f"agreed:{len(texts)}") if texts else task.tags
            found.take(task.model_copy(update={"tags": tags}))
    return found


def faults_of(
    tasks: Sequence[Task], others: Sequence[Sequence[str]], verifiers: Mapping[str, Verifier], rules: Rules
) -> list[str]:
    """One word a task, "" where it is admitted: `no_reference`, `no_tests`, `reference_fails`, `tests_weak`, `tests_blind`,
    `tests_unsteady`, `nobody_agrees`, `others_differ`, `outage`. `others`: solutions written from each task alone.
    """
    return [_fault(task, list(texts), verifiers, rules) for task, texts in zip(tasks, others, strict=True)]


def _fault(task: Task, others: list[str], verifiers: Mapping[str, Verifier], rules: Rules) -> str:
    if not (task.reference or "").strip():
        return "no_reference"
    if task.check["type"] == "code_tests":
        return _code_fault(task, others, verifiers, rules)
    words = _outcomes(task, [task.reference or "", *others], verifiers)
    if Outcome.ERROR in words:
        return "outage"
    return "reference_fails" if words[0] is not Outcome.PASS else _agreement(words[1:], rules)


def _code_fault(task: Task, others: list[str], verifiers: Mapping[str, Verifier], rules: Rules) -> str:
    if not task.check.get("source") and not task.check.get("cases"):
        return "no_tests"
    code = extract_code(task.reference or "", str(task.check["entry_point"])) or ""
    # alone and first: tests that say no of everything, or never end, cost one run
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
    """Whether the tests say something else of the same programs the second time: they go by chance, a clock or a count."""
    again = _outcomes(task, list(before), verifiers)
    if Outcome.ERROR in again:
        return "outage"
    return "" if again == list(before.values()) else "tests_unsteady"


def _agreement(words: Sequence[Outcome], rules: Rules) -> str:
    if rules.solutions == 0:
        return ""
    good = sum(word is Outcome.PASS for word in words)
    return "" if good and good >= rules.agree * len(words) else "nobody_agrees"


def _differing(
    task: Task, code: str, others: list[str], passed: Sequence[Outcome], verifiers: Mapping[str, Verifier]
) -> str:
    """Whether a solution that passed does otherwise than the reference on inputs that no test has.

    Each runs in the sandbox alone and its answers are compared here, so that none has a hand in what another answers.
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
    # where one of the two raises, the input is outside what the task speaks of: no opinion
    return "others_differ" if any(one[n] != right[n] for one in found for n in one.keys() & right.keys()) else ""


def outcome_of(judged: Judged) -> Outcome:
    """The outcome; `invalid` where a function of the user's raised, which is no outage and would happen again."""
    return Outcome.INVALID if judged.outcome is Outcome.ERROR and not is_outage(judged) else judged.outcome


def _outcomes(task: Task, texts: Sequence[str], verifiers: Mapping[str, Verifier]) -> list[Outcome]:
    attempts = [
        Attempt(task_id=task.id, attempt=n, round=0, text=text, origin="canary") for n, text in enumerate(texts)
    ]
    judged = verify([task] * len(attempts), attempts, verifiers) if attempts else []
    return [outcome_of(one) for one in judged]


def _solutions(tasks: Sequence[Task], teacher: Backend, n: int, sampling: Sampling, seed: int) -> list[list[str]]:
    if n == 0:
        return [[] for _ in tasks]
    prompts = [(task.id, solve(task.text, kind_of(task), str(task.check.get("entry_point", "")))) for task in tasks]
    read = asked(teacher, "solve", prompts, Solution, sampling=sampling, seed=seed, n=n)
    return [[answer.value.solution for answer in row if answer.value is not None] for row in read]


def kind_of(task: Task) -> Kind:
    """How a task is verified."""
    return "code" if task.check["type"] == "code_tests" else "math"


def answer_of(task: Task) -> str:
    """The final answer of a task that has one: its check's, or its reference's; "" for none."""
    return str(task.check.get("answer") or extract_answer(task.reference or "") or "")
