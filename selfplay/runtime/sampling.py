"""Attempts, as several phases make and read them."""

from collections.abc import Sequence
from typing import Any, Literal

from selfplay.models import Backend
from selfplay.records import Attempt, Completion, Request, Sampling

Origin = Literal["student", "teacher"]
RETRIES = 1
"""How often completions that failed on our side are asked again, before their share counts."""


def complete_all(
    backend: Backend, requests: Sequence[Request], n: int, sampling: Sampling, seed: int
) -> list[list[Completion]]:
    """n completions a request; those that failed on our side are asked once more."""
    found = backend.complete(requests, n=n, sampling=sampling, seed=seed)
    for _ in range(RETRIES):
        broken = [i for i, row in enumerate(found) if any(c.finish_reason == "error" for c in row)]
        if not broken:
            break
        again = backend.complete([requests[i] for i in broken], n=n, sampling=sampling, seed=seed)
        for i, row in zip(broken, again, strict=True):
            found[i] = [new if old.finish_reason == "error" else old for old, new in zip(found[i], row, strict=True)]
    return found


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
    """The record of one completion. `sampler`: the Sampling it was drawn with, as JSON."""
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
