"""Floor 3: verdicts on final answers: takes the answer out of a reply and compares it with the gold one."""

from collections.abc import Mapping, Sequence
from typing import Any

from selfplay.answers import extract_answer
from selfplay.records import Attempt, Outcome, Task, Verdict
from selfplay.verify.math import equal

NAME = "math/1"


class MathAnswer:
    """Verifier of `math` checks: `{type: math, answer: GOLD}`."""

    def verify(
        self, checks: Sequence[Mapping[str, Any]], tasks: Sequence[Task], attempts: Sequence[Attempt]
    ) -> list[Verdict]:
        """See `Verifier.verify`."""
        return [_judge(str(check["answer"]), attempt.text) for check, attempt in zip(checks, attempts, strict=True)]


def _judge(gold: str, text: str) -> Verdict:
    answer = extract_answer(text)
    if answer is None:
        return Verdict(verifier=NAME, outcome=Outcome.INVALID, reason="no answer found")
    outcome = equal(gold, answer)
    reason = {Outcome.PASS: "equal", Outcome.FAIL: "wrong_answer"}.get(outcome, outcome.value)
    return Verdict(verifier=NAME, outcome=outcome, reason=reason, evidence=f"answered {answer[:200]}")
