"""Samples completions and turns them into attempts, for all phases that sample."""

from collections.abc import Sequence
from typing import Any, Literal

from selfplay.models import Backend
from selfplay.records import Attempt, Completion, Request, Sampling

Origin = Literal["student", "teacher"]
RETRIES = 1
"""How often completions that failed through an outage are requested once more."""


def complete_all(
    backend: Backend, requests: Sequence[Request], n: int, sampling: Sampling, seed: int
) -> list[list[Completion]]:
    """Returns n completions for each request; those that failed through an outage are requested once more."""
    completions = backend.complete(requests, n=n, sampling=sampling, seed=seed)
    for _ in range(RETRIES):
        failed = [i for i, row in enumerate(completions) if any(c.finish_reason == "error" for c in row)]
        if not failed:
            break
        retried = backend.complete([requests[i] for i in failed], n=n, sampling=sampling, seed=seed)
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
