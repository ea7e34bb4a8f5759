"""How a synthesis method asks the teacher, what it returns, and which of its tasks are admitted.

A method returns tasks, and every refused reply with its reason. A task is admitted only if its verifier works. Tests that a teacher wrote may be
wrong, so they are tested themselves. For code: the reference passes its tests; programs that return a constant fail; most one-place mutants
of the reference fail; independent solutions, written from the task alone, pass and agree with the reference on further inputs. For a final
answer: most independent solutions reach it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from pydantic import BaseModel, Field

from selfplay.answers import extract_answer, extract_code
from selfplay.models import Backend
from selfplay.models.structured import Answer, ask
from selfplay.prompts.synthesis import Kind, solve
from selfplay.records import Attempt, Message, Outcome, Request, Sampling, Task, digest
from selfplay.runtime.attempts import is_outage
from selfplay.seeds import seed_of
from selfplay.tasks.near_misses import code_near_misses
from selfplay.verify import Judged, Verifier, verify
from selfplay.verify.mutants import mutants, probes, stubs

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
