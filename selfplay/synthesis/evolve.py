"""Floor 4: Evol-Instruct (Xu et al. 2023, 2304.12244): harder tasks from tasks, and new ones beside them, by a teacher.

A task that cannot be used is eliminated with its reason (`faults.evolved_fault`); what is left has a reference, a check and its
parent, and still has to pass `admission`.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated

from pydantic import BaseModel, Field

from selfplay.answers import extract_code
from selfplay.models import Backend
from selfplay.prompts import making as prompts
from selfplay.prompts.making import DEPTH, Kind
from selfplay.records import Sampling, Task
from selfplay.seeds import rng_of
from selfplay.synthesis.admission import kind_of
from selfplay.synthesis.batch import Batch, asked, task_id, why_unread
from selfplay.synthesis.faults import evolved_fault
from selfplay.synthesis.lessons import solution_fault

WAYS = (*DEPTH, "breadth")
MAKER = "evolve"
_IDENTIFIER = r"^[A-Za-z_][A-Za-z0-9_]{0,60}$"


class MathProblem(BaseModel):
    """A task with a final answer, as a teacher writes it."""

    task: str = Field(max_length=20_000)
    solution: str = Field(max_length=20_000)
    answer: str = Field(max_length=400)


class CodeProblem(BaseModel):
    """A task with tests, as a teacher writes it."""

    task: str = Field(max_length=20_000)
    entry_point: str = Field(pattern=_IDENTIFIER)
    solution: str = Field(max_length=20_000)
    tests: list[Annotated[str, Field(max_length=5000)]] = Field(max_length=60)


Problem = MathProblem | CodeProblem
TextFault = Callable[[str, str | None], str]
"""Called with a task's text and its answer (None: it has tests); a word, "" where nothing is wrong."""


def evolve(
    tasks: Sequence[Task],
    teacher: Backend,
    *,
    ways: Sequence[str] = WAYS,
    depth_limit: int = 3,
    sampling: Sampling,
    seed: int,
) -> Batch:
    """One evolution a task, its way drawn by seed. A task that was evolved `depth_limit` times is not asked about: `too_deep`."""
    batch, asking = Batch(MAKER, len(tasks)), list[tuple[Task, str]]()
    for task in tasks:
        if int(task.tag("depth") or 0) >= depth_limit:
            batch.refuse(task.id, "too_deep", task.text)
        else:
            asking.append((task, rng_of("making/evolve", task.id, seed).choice(list(ways))))
    for kind in ("math", "code"):
        _ask(batch, kind, [one for one in asking if kind_of(one[0]) == kind], teacher, sampling, seed)
    return batch


def _ask(
    batch: Batch, kind: Kind, part: Sequence[tuple[Task, str]], teacher: Backend, sampling: Sampling, seed: int
) -> None:
    named = [(f"{task.id}/{way}", prompts.evolve(task.text, way, kind)) for task, way in part]
    found = asked(teacher, MAKER, named, shape_of(kind), sampling=sampling, seed=seed)
    for (task, way), [answer] in zip(part, found, strict=True):
        if answer.value is None:
            batch.refuse(task.id, why_unread(answer), answer.fault)
            continue
        fault = problem_fault(answer.value, partial(evolved_fault, task.text))
        if fault:
            batch.refuse(task.id, fault, answer.value.task)
            continue
        depth = int(task.tag("depth") or 0) + (way != "breadth")
        kept = [tag for tag in task.tags if not tag.startswith(("depth:", "evolved:", "agreed:", "operation"))]
        batch.take(task_of(MAKER, answer.value, (task.id,), (*kept, f"evolved:{way}", f"depth:{depth}")))


def problem_fault(problem: Problem, text_fault: TextFault) -> str:
    """What is wrong with a problem as a teacher wrote it: its text by `text_fault`, then its solution by form."""
    if isinstance(problem, MathProblem):
        fault = text_fault(problem.task, problem.answer)
        return fault or _named("solution", solution_fault(_closed(problem)))
    if fault := text_fault(problem.task, None):
        return fault
    code = extract_code(problem.solution, problem.entry_point)
    if not code or f"def {problem.entry_point}" not in code:
        return "no_answer"
    return "" if any("assert" in test for test in problem.tests) else "no_tests"


def task_of(maker: str, problem: Problem, parents: tuple[str, ...], tags: tuple[str, ...]) -> Task:
    """The task of a problem that has no fault."""
    prompt = f"{problem.task.strip()}\n"
    check: dict[str, object]
    if isinstance(problem, MathProblem):
        check, reference = {"type": "math", "answer": problem.answer.strip()}, _closed(problem)
    else:
        source = "\n".join(test.strip() for test in problem.tests)
        check = {"type": "code_tests", "entry_point": problem.entry_point, "source": source, "model_written": True}
        reference = extract_code(problem.solution, problem.entry_point) or ""
        prompt = f"{prompt}Name the function {problem.entry_point}.\n" if problem.entry_point not in prompt else prompt
    return Task(
        id=task_id(maker, prompt),
        prompt=prompt,
        check=check,
        reference=reference,
        source=f"made/{maker}",
        parents=parents,
        tags=tags,
    )


def shape_of(kind: Kind) -> type[MathProblem] | type[CodeProblem]:
    """What a teacher's reply is read into."""
    return CodeProblem if kind == "code" else MathProblem


def _closed(problem: MathProblem) -> str:
    """The solution with its answer line, which a teacher may leave to the `answer` field."""
    text = problem.solution.strip()
    last = text.splitlines()[-1] if text else ""
    return text if problem.answer.strip() in last and ":" in last else f"{text}\nA: {problem.answer.strip()}"


def _named(part: str, fault: str) -> str:
    return f"{part}_{fault}" if fault else ""
