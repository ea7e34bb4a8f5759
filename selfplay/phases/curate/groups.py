"""Reads the attempts of a round for curation: whole tasks with verdicts and corrections, chunk by chunk."""

from collections.abc import Callable, Iterator, Mapping
from itertools import repeat
from typing import Literal, NamedTuple

from selfplay.models.base import Encoder
from selfplay.records import Attempt, Request, Task, Trace
from selfplay.runtime.context import RoundContext
from selfplay.runtime.verified import Corrected, VerifiedAttempt, read_corrections
from selfplay.verify import Judged


class Group(NamedTuple):
    """The part of a round that curation holds in memory at once: some tasks with all their attempts."""

    tasks: list[Task]
    """The task of each attempt."""
    attempts: list[Attempt]
    judged: list[Judged]
    requests: Mapping[str, Request] = {}
    """Attempt id -> its request, for attempts with another prompt than their task's own (corrections)."""


def groups_of(ctx: RoundContext) -> Iterator[Group]:
    """Tasks, attempts and verdicts, chunk by chunk. All attempts at a task, corrections included, are in the same chunk."""
    corrected = read_corrections(ctx.finished("correct")) if ctx.config.correct.attempts else repeat(list[Corrected]())
    attempts = ctx.finished("generate").iter_records(Attempt)
    verified = ctx.finished("verify").iter_records(VerifiedAttempt)
    for first, judged_first, more in zip(attempts, verified, corrected, strict=False):
        attempts_of_chunk = [*first, *(one.attempt for one in more)]
        judged = [*(Judged(one.verdicts, one.outcome) for one in judged_first), *(one.judged for one in more)]
        requests = {one.attempt.id: one.request for one in more}
        yield Group([ctx.tasks[a.task_id] for a in attempts_of_chunk], attempts_of_chunk, judged, requests)


class Encoding:
    """Adds missing token ids to attempts. It opens the encoder at the first attempt without ids, which most runs do not have."""

    def __init__(self, open_encoder: Callable[[], Encoder]) -> None:
        self._open, self._encoder = open_encoder, None

    def completed(self, group: Group, task: Task, attempt: Attempt) -> Attempt:
        """The attempt with token ids; if it has none, they are encoded from its prompt and its text."""
        if attempt.completion_ids is not None and attempt.prompt_ids is not None:
            return attempt
        request = group.requests.get(attempt.id) or Request.of(task)
        self._encoder = encoder = self._encoder or self._open()
        ids = {
            "prompt_ids": tuple(encoder.prompt(request)),
            "completion_ids": tuple(encoder.completion(attempt.text)),
        }
        return attempt.model_copy(update={**ids, "retokenised": True})

    def traces(self, group: Group) -> list[Trace]:
        """The group's attempts with their verdicts, without a decision yet."""
        return [
            Trace(
                task=t,
                attempt=self.completed(group, t, a),
                verdicts=j.verdicts,
                outcome=j.outcome,
            )
            for t, a, j in zip(group.tasks, group.attempts, group.judged, strict=True)
        ]

    def taught(self, trace: Trace, corrections: Literal["final", "whole"]) -> Trace:
        """The trace from which a training row is built. With `final`, a correction gets the task's own prompt in place of its own."""
        if trace.attempt.turn == 0 or corrections == "whole":
            return trace
        self._encoder = encoder = self._encoder or self._open()
        ids = tuple(encoder.prompt(Request.of(trace.task)))
        return trace.model_copy(update={"attempt": trace.attempt.model_copy(update={"prompt_ids": ids})})

    _encoder: Encoder | None
