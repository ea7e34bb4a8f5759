"""The attempts of a round as curation reads them: whole tasks with verdicts and corrections, chunk by chunk."""

from collections.abc import Callable, Iterator, Mapping
from itertools import repeat
from typing import Literal, NamedTuple

from selfplay.models.base import Encoder
from selfplay.records import Attempt, Request, Task, Trace
from selfplay.runtime.context import RoundContext
from selfplay.runtime.verified import Corrected, VerifiedAttempt, read_corrections
from selfplay.verify import Judged


class Group(NamedTuple):
    """What curation takes into memory at once: whole tasks with all their attempts."""

    tasks: list[Task]
    """One an attempt."""
    attempts: list[Attempt]
    judged: list[Judged]
    asked: Mapping[str, Request] = {}
    """By attempt id, where it was asked by another prompt than its task's own."""


def groups_of(ctx: RoundContext) -> Iterator[Group]:
    """Tasks, attempts and verdicts, chunk by chunk: the attempts of one task, corrections too, always stand in one chunk."""
    corrected = read_corrections(ctx.finished("correct")) if ctx.config.correct.attempts else repeat(list[Corrected]())
    attempts = ctx.finished("generate").iter_records(Attempt)
    verified = ctx.finished("verify").iter_records(VerifiedAttempt)
    for first, told, more in zip(attempts, verified, corrected, strict=False):
        made = [*first, *(one.attempt for one in more)]
        judged = [*(Judged(one.verdicts, one.outcome) for one in told), *(one.judged for one in more)]
        asked = {one.attempt.id: one.asked for one in more}
        yield Group([ctx.tasks[a.task_id] for a in made], made, judged, asked)


class Encoding:
    """Opens the encoder at the first attempt whose sampler gave no token ids; most runs never need it."""

    def __init__(self, open_encoder: Callable[[], Encoder]) -> None:
        self._open, self._encoder = open_encoder, None

    def completed(self, group: Group, task: Task, attempt: Attempt) -> Attempt:
        """The attempt with token ids, made from its text and the prompt it was asked by where it has none."""
        if attempt.completion_ids is not None and attempt.prompt_ids is not None:
            return attempt
        asked = group.asked.get(attempt.id) or Request.of(task)
        self._encoder = encoder = self._encoder or self._open()
        ids = {
            "prompt_ids": tuple(encoder.prompt(asked)),
            "completion_ids": tuple(encoder.completion(attempt.text)),
        }
        return attempt.model_copy(update={**ids, "retokenised": True})

    def traces(self, group: Group) -> list[Trace]:
        """The group's attempts with their verdicts, not decided on yet."""
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
        """What a row is made from: a correction, where only its final solution is taught, stands under the task's own prompt."""
        if trace.attempt.turn == 0 or corrections == "whole":
            return trace
        self._encoder = encoder = self._encoder or self._open()
        ids = tuple(encoder.prompt(Request.of(trace.task)))
        return trace.model_copy(update={"attempt": trace.attempt.model_copy(update={"prompt_ids": ids})})

    _encoder: Encoder | None
