"""Samples attempts, judges them, and reads verdicts and corrections, for all phases that do so.

Completions and verdicts that failed through an outage are requested once more before they count.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Literal

from selfplay.models import Backend, PromptBatch
from selfplay.records import Attempt, Completion, Outcome, Record, Request, Sampling, Task, Verdict
from selfplay.runtime.chunk_runner import Json
from selfplay.runtime.progress import Progress
from selfplay.store import FinishedChunks
from selfplay.verify import Judged, Verifier, verify
from selfplay.verify.python_function import RAISED

Origin = Literal["student", "teacher"]


def complete_all(
    backend: Backend,
    requests: Sequence[Request],
    n: int,
    sampling: Sampling,
    seed: int,
    progress: Progress | None = None,
) -> list[list[Completion]]:
    """Returns n completions for each request; those that failed through an outage are requested once more.

    `progress`: hears how far the call has come; None: nobody does.
    """
    with nullcontext() if progress is None else progress.sampling(len(requests) * n, sampling.max_new_tokens):
        return _with_retry(backend, requests, n, sampling, seed)


def _with_retry(
    backend: Backend, requests: Sequence[Request], n: int, sampling: Sampling, seed: int
) -> list[list[Completion]]:
    completions = backend.complete(requests, n=n, sampling=sampling, seed=seed)
    return _without_outages(backend, PromptBatch(requests, n, seed), sampling, completions)


def complete_each(
    backend: Backend, batches: Iterable[PromptBatch], sampling: Sampling, progress: Progress
) -> Iterator[tuple[PromptBatch, list[list[Completion]]]]:
    """As `complete_all` for each batch, in any order: an engine may begin a batch before the last is done.

    `progress` hears how far the batch that was begun last has come.
    """

    def begun() -> Iterator[PromptBatch]:
        for batch in batches:
            progress.begin(len(batch.requests) * batch.n, sampling.max_new_tokens)
            yield batch

    for batch, completions in backend.complete_each(begun(), sampling):
        made = _without_outages(backend, batch, sampling, completions)
        progress.settle()
        yield batch, made


def _without_outages(
    backend: Backend, batch: PromptBatch, sampling: Sampling, completions: list[list[Completion]]
) -> list[list[Completion]]:
    """The completions of a batch, those that failed requested once more."""
    for _ in range(RETRIES):
        failed = [i for i, row in enumerate(completions) if any(c.finish_reason == "error" for c in row)]
        if not failed:
            break
        requests = [batch.requests[i] for i in failed]
        retried = backend.complete(requests, n=batch.n, sampling=sampling, seed=batch.seed)
        for i, row in zip(failed, retried, strict=True):
            completions[i] = [
                new if old.finish_reason == "error" else old for old, new in zip(completions[i], row, strict=True)
            ]
    return completions


def attempt_of(
    task_id: str,
    number: int,
    completion: Completion,
    sampler: dict[str, Any],
    model: str,
    chunk: int,
    round: int,
    origin: Origin = "student",
) -> Attempt:
    """The attempt with the text and token ids of one completion. `sampler`: its Sampling as JSON."""
    return Attempt(
        task_id=task_id,
        attempt=number,
        round=round,
        text=completion.text,
        prompt_ids=completion.prompt_ids,
        completion_ids=completion.completion_ids,
        logprobs=completion.logprobs,
        finish_reason=completion.finish_reason,
        sampler=sampler,
        model=model,
        chunk=chunk,
        origin=origin,
        retokenised=completion.retokenised,
    )


Verifiers = Mapping[str, Verifier]
RETRIES = 1
"""How often what failed through an outage is done once more: completions, and attempts whose verdict is `error`."""
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


def passed(outcome: Outcome | str) -> bool | None:
    """Whether an attempt passed, for the progress display; None where nobody could tell."""
    found = Outcome(outcome)
    return None if found in (Outcome.ERROR, Outcome.ABSTAIN) else found is Outcome.PASS


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
