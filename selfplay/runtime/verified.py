"""Verdicts and corrections, as several phases ask for them and read them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from selfplay.records import Attempt, Outcome, Record, Request, Task, Verdict
from selfplay.runtime.chunk_runner import Json
from selfplay.store import FinishedChunks
from selfplay.verify import Judged, Verifier, verify
from selfplay.verify.python_function import RAISED

Verifiers = Mapping[str, Verifier]
RETRIES = 1
"""How often attempts whose verdict is `error` are judged again, before their share counts."""
COPY = "copy/1"
"""The verifier's name on corrections that repeat what they correct."""


def verify_with_retry(tasks: Sequence[Task], attempts: Sequence[Attempt], verifiers: Verifiers) -> list[Judged]:
    """Judges, and judges once more what came out as `error` by an outage."""
    judged = verify(tasks, attempts, verifiers)
    for _ in range(RETRIES):
        broken = [i for i, one in enumerate(judged) if is_outage(one)]
        if not broken:
            break
        again = verify([tasks[i] for i in broken], [attempts[i] for i in broken], verifiers)
        for i, one in zip(broken, again, strict=True):
            judged[i] = one
    return judged


def is_outage(judged: Judged) -> bool:
    """Whether an attempt has no outcome because something of ours was down: asked again it may have one.

    A verifier of the user's that raised on the attempt (`RAISED` in its details) would raise again: that is an error of this
    one attempt, which is counted and shown, and no reason to stop.
    """
    if judged.outcome is not Outcome.ERROR:
        return False
    errors = [verdict for verdict in judged.verdicts if verdict.outcome is Outcome.ERROR]
    return not errors or any(RAISED not in verdict.details for verdict in errors)


class VerifiedAttempt(Record):
    """What a chunk keeps of one judged attempt."""

    task_id: str
    attempt: int
    finish_reason: Literal["stop", "length", "error"]
    """The attempt's."""
    outcome: Outcome
    verdicts: tuple[Verdict, ...]

    @classmethod
    def of(cls, attempt: Attempt, judged: Judged) -> "VerifiedAttempt":
        """Of an attempt and what was said of it."""
        return cls(
            task_id=attempt.task_id,
            attempt=attempt.attempt,
            finish_reason=attempt.finish_reason,
            outcome=judged.outcome,
            verdicts=judged.verdicts,
        )


def row_of(attempt: Attempt, judged: Judged) -> Json:
    """The same as JSON, for rows that keep more."""
    return VerifiedAttempt.of(attempt, judged).model_dump(mode="json")


@dataclass(frozen=True)
class Corrected:
    """A correction as it was made: what was asked, what came, and what the verifiers say."""

    asked: Request
    attempt: Attempt
    judged: Judged


def read_corrections(corrected: FinishedChunks) -> Iterator[list[Corrected]]:
    """The corrections, chunk by chunk."""
    for rows in corrected.iter_json():
        yield [
            Corrected(
                Request.model_validate(row["asked"]),
                Attempt.model_validate(row["made"]),
                Judged(tuple(Verdict.model_validate(v) for v in row["verdicts"]), Outcome(row["outcome"])),
            )
            for row in rows
        ]
