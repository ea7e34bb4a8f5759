"""Teacher traces: a strong model writes solutions to tasks that have none; they are verified like any attempt."""

from collections.abc import Mapping, Sequence

from selfplay.models import Backend
from selfplay.records import Attempt, Outcome, Sampling, Task, Trace, Verdict
from selfplay.synthesis.method_result import kind_of, query_solutions
from selfplay.synthesis.solution_filters import solution_fault
from selfplay.verify import Judged, Verifier, verify

FILTER = "solution_form/1"
"""Verifier name in the verdict that fails a passing solution whose steps do not hold."""


def teacher_traces(
    tasks: Sequence[Task],
    teacher: Backend,
    verifiers: Mapping[str, Verifier],
    *,
    samples: int = 1,
    round: int = 0,
    first: int = 0,
    sampling: Sampling,
    seed: int,
) -> list[Trace]:
    """`samples` traces a task, of origin teacher and numbered from `first`, with verdicts and outcome; none is left out.

    A reply that cannot be read becomes an attempt without text (invalid); an outage, one with `finish_reason` error. A worked
    answer that passes but has a fault (`solution_filters.solution_fault`) fails by a verdict of its own.
    """
    read = query_solutions(teacher, "trace", tasks, sampling=sampling, seed=seed, n=samples)
    whose, attempts = list[Task](), list[Attempt]()
    for task, row in zip(tasks, read, strict=True):
        for number, answer in enumerate(row):
            whose.append(task)
            attempts.append(
                Attempt(
                    task_id=task.id,
                    attempt=first + number,
                    round=round,
                    text=answer.value.solution if answer.value else "",
                    finish_reason="error" if answer.outage else "stop",
                    sampler=sampling.model_dump(mode="json"),
                    model=teacher.identity,
                    origin="teacher",
                )
            )
    judged = verify(whose, attempts, verifiers)
    return [
        Trace(task=task, attempt=attempt, verdicts=one.verdicts, outcome=one.outcome)
        for task, attempt, one in zip(whose, attempts, map(_with_form_verdict, whose, attempts, judged), strict=True)
    ]


def _with_form_verdict(task: Task, attempt: Attempt, judged: Judged) -> Judged:
    if judged.outcome is not Outcome.PASS or kind_of(task) == "code":
        return judged
    fault = solution_fault(attempt.text, task.text)
    if not fault:
        return judged
    verdict = Verdict(verifier=FILTER, outcome=Outcome.FAIL, reason=fault)
    return Judged((*judged.verdicts, verdict), Outcome.FAIL)
