"""The verifier of type `math`: takes the final answer out of a reply and compares it with the task's."""

import math
from collections.abc import Sequence

from selfplay.answers.extraction import find_answer
from selfplay.records import Attempt, Outcome, Task, Verdict
from selfplay.verify.base import Check, RegisteredVerifier, number_fault, shown
from selfplay.verify.math import equal, unreadable

NAME = "math/1"


class MathAnswer(RegisteredVerifier):
    """Verifier of `math` checks: `{type: math, answer: GOLD}`, with `tolerance` and `precision` of `equal` where the task has them."""

    keys = frozenset({"answer", "tolerance", "precision"})

    @classmethod
    def fault(cls, check: Check) -> str:
        """See `RegisteredVerifier.fault`."""
        if "answer" not in check:
            return "answer is missing; add the right answer"
        if fault := answer_fault(check) or number_fault(check, "tolerance", 0.0, 1e300):
            return fault
        precision = check.get("precision", 6)
        if isinstance(precision, bool) or not isinstance(precision, int) or not 0 <= precision <= 50:
            return f"precision is {shown(precision)}, must be a whole number from 0 to 50, places after the point"
        return ""

    @classmethod
    def golds(cls, check: Check) -> list[str]:
        """See `RegisteredVerifier.golds`."""
        return [str(check["answer"])] if "answer" in check else []

    @classmethod
    def right_replies(cls, check: Check) -> list[str]:
        """Its answer, as a marked reply and bare."""
        return [f"A: {check['answer']}", str(check["answer"])]

    def verify(self, checks: Sequence[Check], tasks: Sequence[Task], attempts: Sequence[Attempt]) -> list[Verdict]:
        """See `Verifier.verify`."""
        return [_judge(check, attempt.text) for check, attempt in zip(checks, attempts, strict=True)]


def _judge(check: Check, text: str) -> Verdict:
    found = find_answer(text)
    if found is None:
        return Verdict(verifier=NAME, outcome=Outcome.INVALID, reason="no answer found")
    options = {key: check[key] for key in ("tolerance", "precision") if check.get(key) is not None}
    outcome = equal(str(check["answer"]), text, **options)
    reason = {Outcome.PASS: "equal", Outcome.FAIL: "wrong_answer"}.get(outcome, outcome.value)
    return Verdict(verifier=NAME, outcome=outcome, reason=reason, evidence=f"answered {found.text[:200]}")


def answer_fault(check: Check) -> str:
    """What is wrong with the `answer` of a check, which is text or a number; "" where nothing is, or it is absent."""
    answer = check.get("answer", "")
    number = isinstance(answer, int | float) and not isinstance(answer, bool) and math.isfinite(answer)
    if isinstance(answer, list):
        first = shown(answer[0]) if answer else "..."
        return (
            f"answer is {shown(answer)}, must be one text or number; for several right answers write verifier: {{type: any, of: "
            f"[{{type: math, answer: {first}}}, ...]}}, for one answer of several parts a text such as '3, 5', and to take a place of a "
            "list set tasks.fields.answer to COLUMN.0"
        )
    if not number and not isinstance(answer, str):
        return f"answer is {shown(answer)}, must be text or a number; write it in quotes"
    return f"answer: {fault}" if "answer" in check and (fault := unreadable(str(answer))) else ""
