"""Floor 3: verdicts by reasoning-gym's own scorers, in a process of their own that is killed at the deadline."""

import re
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from selfplay.answers import extract_answer
from selfplay.errors import OutageError
from selfplay.records import Attempt, Outcome, Task, Verdict, digest
from selfplay.tasks.gym import GymProcess

NAME = "reasoning_gym/1"
MAX_CHARS = 20_000
_CALL = re.compile(r"__|\blambda\b|\bimport\b|\b(?!(?:a?sin|a?cos|a?tan|exp|log|ln|sqrt|abs)\b)[A-Za-z_]\w*\s*\(")


class Gym:
    """Verifier of `reasoning_gym` checks: `{type: reasoning_gym, data: ..., index: ..., threshold: ...}`.

    An answer that looks like a program (a call, an import) is scored in a process of its own, which is thrown away: a
    scorer that evaluates it could be changed by it for those that follow.
    """

    def __init__(self) -> None:
        self._process: GymProcess | None = None
        self._known: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the process."""
        if self._process is not None:
            self._process.close()
            self._process = None

    def verify(
        self, checks: Sequence[Mapping[str, Any]], tasks: Sequence[Task], attempts: Sequence[Attempt]
    ) -> list[Verdict]:
        """See `Verifier.verify`; a scorer that twice comes to no end on an answer is `fail`."""
        specs = {digest(check["data"]): check["data"] for check in checks}
        if not set(specs) <= set(self._known):
            self.close()
            self._known = {name: place for place, name in enumerate(specs)}
        return [
            self._one(check, attempt.text, list(specs.values()))
            for check, attempt in zip(checks, attempts, strict=True)
        ]

    def _scored(self, check: Mapping[str, Any], answer: str, specs: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
        if self._process is None:
            self._process = GymProcess(specs)
            self._known = {digest(spec): place for place, spec in enumerate(specs)}
        reply = self._process.ask(data=self._known[digest(check["data"])], index=check["index"], answer=answer)
        if reply is None or _CALL.search(answer):
            self.close()
        return reply

    def _one(self, check: Mapping[str, Any], text: str, specs: Sequence[dict[str, Any]]) -> Verdict:
        answer = extract_answer(text)
        if answer is None or len(answer) > MAX_CHARS:
            return Verdict(verifier=NAME, outcome=Outcome.INVALID, reason="no answer found")
        try:
            # asked twice: a process that was ended from outside says nothing of the answer
            reply = self._scored(check, answer, specs) or self._scored(check, answer, specs)
        except OutageError as error:
            return Verdict(verifier=NAME, outcome=Outcome.ERROR, reason=str(error)[:500])
        if reply is None:
            return Verdict(verifier=NAME, outcome=Outcome.FAIL, reason="the scorer did not come to an end on it")
        if "score" not in reply:
            return Verdict(
                verifier=NAME, outcome=Outcome.FAIL, reason=f"the scorer raised {reply.get('error', '')}"[:300]
            )
        score = min(1.0, max(0.0, float(reply["score"])))
        outcome = Outcome.PASS if score >= float(check.get("threshold", 1.0)) else Outcome.FAIL
        return Verdict(
            verifier=NAME,
            outcome=outcome,
            reason=f"score {score:.2f}",
            score=score,
            evidence=f"answered {answer[:200]}",
        )
