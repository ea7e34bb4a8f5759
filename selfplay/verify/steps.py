"""The verifier of type `steps`: fails a solution that claims a calculation which does not hold.

It does not ask whether the calculations are the right ones, so it passes little: only where the task's known answer follows from
steps that hold.
"""

from collections.abc import Sequence

from selfplay.records import Attempt, Outcome, Task, Verdict
from selfplay.verify.base import Check, RegisteredVerifier
from selfplay.verify.math import StepOutcome, check_solution, equal
from selfplay.verify.math_answer import answer_fault
from selfplay.verify.routing import leaves

NAME = "steps/1"
MAX_STEPS = 200
"""Further lines of a solution are not read."""


class Steps(RegisteredVerifier):
    """Verifier of `steps` checks: `{type: steps}`; each line of the solution is a step.

    Fails where a step claims a calculation that does not hold. Passes where some were checked, all of them hold, and the
    solution's final answer is both what the last calculation gives and the task's own: the `answer` of this check
    (`{type: steps, answer: "18"}`) or of a `math` check that stands beside it. Abstains otherwise, so always where there is no
    such answer: right arithmetic about something else earns nothing. The answer of a check that was replaced and kept for the
    audit is not used. The evidence names the line, never what would have been right.
    """

    keys = frozenset({"answer"})

    @classmethod
    def fault(cls, check: Check) -> str:
        """See `RegisteredVerifier.fault`."""
        return answer_fault(check)

    @classmethod
    def golds(cls, check: Check) -> list[str]:
        """See `RegisteredVerifier.golds`."""
        return [str(check["answer"])] if "answer" in check else []

    def verify(self, checks: Sequence[Check], tasks: Sequence[Task], attempts: Sequence[Attempt]) -> list[Verdict]:
        """See `Verifier.verify`."""
        return [
            _steps(attempt.text, _known_answers(check, task))
            for check, task, attempt in zip(checks, tasks, attempts, strict=True)
        ]


def _steps(text: str, answers: Sequence[str]) -> Verdict:
    lines = [line for line in text.splitlines() if line.strip()]
    said = check_solution(lines[:MAX_STEPS], answer=text)
    wrong = next((one for one in said.steps if one.outcome is StepOutcome.WRONG), None)
    right = sum(one.outcome is StepOutcome.RIGHT for one in said.steps)
    counts = {"right": right, "unchecked": sum(one.outcome is StepOutcome.UNCHECKED for one in said.steps)}
    if wrong is not None:
        return Verdict(
            verifier=NAME,
            outcome=Outcome.FAIL,
            reason=f"step {wrong.index + 1} does not hold",
            evidence=lines[wrong.index][:240],
            details={**counts, "first_wrong": wrong.index, "calculated": wrong.evidence},
        )
    outcome, reason = Outcome.ABSTAIN, f"{right} steps hold"
    if not right:
        reason = "no step to check"
    elif said.answer_follows is not StepOutcome.RIGHT:
        reason += ", and the final answer is not shown to follow from them"
    elif not answers:
        reason += ", and the task has no answer to compare theirs with"
    elif all(equal(answer, text) is not Outcome.PASS for answer in answers):
        reason += ", and their answer is not shown to be the task's"
    else:
        outcome, reason = Outcome.PASS, f"{reason}, and the answer follows from them"
    return Verdict(verifier=NAME, outcome=outcome, reason=reason, details=counts)


def _known_answers(check: Check, task: Task) -> list[str]:
    """The answer that the check gives, and those of the `math` checks beside it."""
    beside = [leaf for leaf in leaves(task.check) if leaf["type"] == "math"]
    return [str(one["answer"]) for one in (check, *beside) if one.get("answer") is not None]
