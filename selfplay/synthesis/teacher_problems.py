"""The problems that a teacher writes (a task, its solution, its answer or tests), checked and turned into tasks."""

from collections.abc import Callable
from typing import Annotated

from pydantic import BaseModel, Field

from selfplay.answers import extract_code
from selfplay.prompts.synthesis import Kind
from selfplay.records import SYNTHESIZED_SOURCE, Task
from selfplay.synthesis.method_result import task_id
from selfplay.synthesis.solution_filters import solution_fault

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
"""Called with a task's text and its answer (None: it has tests instead); returns a one-word fault, "" where there is none."""


def shape_of(kind: Kind) -> type[MathProblem] | type[CodeProblem]:
    """The shape that a teacher's reply is parsed into."""
    return CodeProblem if kind == "code" else MathProblem


def problem_fault(problem: Problem, text_fault: TextFault) -> str:
    """What is wrong with a problem: its text by `text_fault`, then the form of its solution; "" where nothing is."""
    if isinstance(problem, MathProblem):
        if fault := text_fault(problem.task, problem.answer):
            return fault
        fault = solution_fault(_with_answer_line(problem))
        return f"solution_{fault}" if fault else ""
    if fault := text_fault(problem.task, None):
        return fault
    code = extract_code(problem.solution, problem.entry_point)
    if not code or f"def {problem.entry_point}" not in code:
        return "no_answer"
    return "" if any("assert" in test for test in problem.tests) else "no_tests"


def task_of(method: str, problem: Problem, parents: tuple[str, ...], tags: tuple[str, ...]) -> Task:
    """The task of a problem that has no fault."""
    prompt = f"{problem.task.strip()}\n"
    check: dict[str, object]
    if isinstance(problem, MathProblem):
        check, reference = {"type": "math", "answer": problem.answer.strip()}, _with_answer_line(problem)
    else:
        source = "\n".join(test.strip() for test in problem.tests)
        check = {"type": "code_tests", "entry_point": problem.entry_point, "source": source, "model_written": True}
        reference = extract_code(problem.solution, problem.entry_point) or ""
        prompt = f"{prompt}Name the function {problem.entry_point}.\n" if problem.entry_point not in prompt else prompt
    return Task(
        id=task_id(method, prompt),
        prompt=prompt,
        check=check,
        reference=reference,
        source=f"{SYNTHESIZED_SOURCE}{method}",
        parents=parents,
        tags=tags,
    )


def _with_answer_line(problem: MathProblem) -> str:
    """The solution ending with its answer line, which a teacher may leave to the `answer` field."""
    text = problem.solution.strip()
    last = text.splitlines()[-1] if text else ""
    return text if problem.answer.strip() in last and ":" in last else f"{text}\nA: {problem.answer.strip()}"
