"""Floor 4: teacher traces: a strong model writes solutions for tasks that have none; verified like any other attempt."""

from collections.abc import Mapping, Sequence

from selfplay.models import Backend
from selfplay.prompts import making as prompts
from selfplay.records import Attempt, Outcome, Sampling, Task, Trace, Verdict
from selfplay.synthesis.admission import Solution, kind_of
from selfplay.synthesis.batch import asked
from selfplay.synthesis.lessons import solution_fault
from selfplay.verify import Judged, Verifier, verify

FILTER = "solution_form/1"
"""The verifier's name on solutions that were right and are still not fit to learn from."""


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
    """`samples` traces a task, origin teacher, numbered from `first`, with verdicts and outcome; nothing is left out.

    A reply that cannot be read is an attempt without text (invalid); an outage is one with `finish_reason` error. A worked answer that
    passes but whose steps do not hold (`lessons.solution_fault`) fails, by a verdict of its own.
    """
    named = [
        (task.id, prompts.solve(task.text, kind_of(task), str(task.check.get("entry_point", "")))) for task in tasks
    ]
    read = asked(teacher, "trace", named, Solution, sampling=sampling, seed=seed, n=samples)
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
        for task, attempt, one in zip(whose, attempts, map(_held_to_form, whose, attempts, judged), strict=True)
    ]


def _held_to_form(task: Task, attempt: Attempt, judged: Judged) -> Judged:
    if judged.outcome is not Outcome.PASS or kind_of(task) == "code":
        return judged
    fault = solution_fault(attempt.text, task.text)
    if not fault:
        return judged
    verdict = Verdict(verifier=FILTER, outcome=Outcome.FAIL, reason=fault)
    return Judged((*judged.verdicts, verdict), Outcome.FAIL)
