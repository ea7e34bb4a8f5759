"""Floor 3: verdicts on final answers: takes the answer out of a reply and compares it with the gold one."""

from collections.abc import Mapping, Sequence
from typing import Any

from selfplay.answers.extraction import find_answer
from selfplay.records import Attempt, Outcome, Task, Verdict
from selfplay.verify.math import equal

NAME = "math/1"


class MathAnswer:
    """Verifier of `math` checks: `{type: math, answer: GOLD}`, with `tolerance` and `precision` of `equal` where the task has them."""

    def verify(
        self, checks: Sequence[Mapping[str, Any]], tasks: Sequence[Task], attempts: Sequence[Attempt]
    ) -> list[Verdict]:
        """See `Verifier.verify`."""
        return [_judge(check, attempt.text) for check, attempt in zip(checks, attempts, strict=True)]


def _judge(check: Mapping[str, Any], text: str) -> Verdict:
    found = find_answer(text)
    if found is None:
        return Verdict(verifier=NAME, outcome=Outcome.INVALID, reason="no answer found")
    options = {key: check[key] for key in ("tolerance", "precision") if check.get(key) is not None}
    outcome = equal(str(check["answer"]), text, **options)
    reason = {Outcome.PASS: "equal", Outcome.FAIL: "wrong_answer"}.get(outcome, outcome.value)
    return Verdict(verifier=NAME, outcome=outcome, reason=reason, evidence=f"answered {found.text[:200]}")
