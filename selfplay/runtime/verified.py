"""Judges attempts, and reads verdicts and corrections, for all phases that do so."""

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
"""How often attempts whose verdict is `error` are judged once more."""
COPY = "copy/1"
"""Name of the verifier in the verdict on a correction that repeats the attempt it corrects."""


def verify_with_retry(tasks: Sequence[Task], attempts: Sequence[Attempt], verifiers: Verifiers) -> list[Judged]:
    """Judges attempts; those that an outage left as `error` are judged once more."""
    judged = verify(tasks, attempts, verifiers)
    for _ in range(RETRIES):
        failed = [i for i, one in enumerate(judged) if is_outage(one)]
        if not failed:
            break
        retried = verify([tasks[i] for i in failed], [attempts[i] for i in failed], verifiers)
        for i, one in zip(failed, retried, strict=True):
            judged[i] = one
    return judged


def is_outage(judged: Judged) -> bool:
    """Whether an attempt has no outcome because of an outage (a sandbox, server or worker failed), so that a retry may succeed.

    A function of the user's that raised on the attempt (`RAISED` in the verdict's details) would raise again. That is an error of
    this attempt, which is counted and shown, and no outage.
    """
    if judged.outcome is not Outcome.ERROR:
        return False
    errors = [verdict for verdict in judged.verdicts if verdict.outcome is Outcome.ERROR]
    return not errors or any(RAISED not in verdict.details for verdict in errors)


def outage_example(judged: Sequence[Judged]) -> str:
    """The reason of the first error verdict, such as a refused connection; "" if there is none."""
    return next((v.reason or v.verifier for one in judged for v in one.verdicts if v.outcome is Outcome.ERROR), "")


class VerifiedAttempt(Record):
    """The row that a chunk keeps of one judged attempt."""

    task_id: str
    attempt: int
    finish_reason: Literal["stop", "length", "error"]
    """The attempt's."""
    outcome: Outcome
    verdicts: tuple[Verdict, ...]

    @classmethod
    def of(cls, attempt: Attempt, judged: Judged) -> "VerifiedAttempt":
        """Builds the row from an attempt and its verdicts."""
        return cls(
            task_id=attempt.task_id,
            attempt=attempt.attempt,
            finish_reason=attempt.finish_reason,
            outcome=judged.outcome,
            verdicts=judged.verdicts,
        )


def row_of(attempt: Attempt, judged: Judged) -> Json:
    """The same row as JSON, for phases that add columns."""
    return VerifiedAttempt.of(attempt, judged).model_dump(mode="json")


@dataclass(frozen=True)
class Corrected:
    """A correction: its request, the new attempt, and the verdicts on it."""

    request: Request
    attempt: Attempt
    judged: Judged


def read_corrections(corrected: FinishedChunks) -> Iterator[list[Corrected]]:
    """The corrections of a finished phase `correct`, chunk by chunk."""
    for rows in corrected.iter_json():
        yield [
            Corrected(
                Request.model_validate(row["asked"]),
                Attempt.model_validate(row["made"]),
                Judged(tuple(Verdict.model_validate(v) for v in row["verdicts"]), Outcome(row["outcome"])),
            )
            for row in rows
        ]
