"""Training rows from traces and from the anchor."""

from selfplay.models.base import Encoder
from selfplay.models.encode import row_of
from selfplay.records import Request, Row, Task, Trace


def row_of_trace(trace: Trace) -> Row:
    """The training row of an accepted attempt, on the exact ids that were sampled."""
    prompt, completion = trace.attempt.prompt_ids or (), trace.attempt.completion_ids or ()
    return row_of(prompt, completion, source=trace.attempt.id, difficulty=trace.task.difficulty)


def anchor_row(encoder: Encoder, task: Task) -> Row:
    """The training row of a task's reference."""
    prompt, completion = encoder.prompt(Request.of(task)), encoder.completion(task.reference or "")
    return row_of(prompt, completion, kind="anchor", source=task.id, difficulty=task.difficulty)
