"""The methods with which a teacher writes new tasks: `evolve`, `rare`, `textbook` and `instruct`.

`evolve` (Evol-Instruct, Xu et al. 2023, 2304.12244) writes harder tasks, or new ones of the same kind; `rare` writes tasks from draws of a
taxonomy (see `coverage`); `textbook` writes a textbook on topics, section by section, and its exercises become tasks. The teacher
gives such a problem with its solution, and its answer or tests. `instruct` (instruction backtranslation, Li et al. 2023, 2308.06259)
writes the instruction that a good text answers: the text becomes the reference, a judge with a rubric checks the task, and the teacher's own score
selects among its instructions.

A task that cannot be used is refused with its reason (`text_filters`). What is left still has to be admitted (`method_result`), except in `instruct`.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Annotated

from pydantic import BaseModel, Field

from selfplay.answers import extract_code
from selfplay.errors import ConfigError
from selfplay.models import Backend
from selfplay.prompts import synthesis as prompts
from selfplay.prompts.synthesis import DEPTH, Kind
from selfplay.records import SYNTHESIZED_SOURCE, Sampling, Task, digest
from selfplay.seeds import rng_of
from selfplay.synthesis.method_result import MethodResult, kind_of, query_teacher, task_id, unread_reason
from selfplay.synthesis.text_filters import (
    evolved_fault,
    exercise_fault,
    form_fault,
    instruction_fault,
    rare_fault,
    section_fault,
    solution_fault,
    stems,
)

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


EVOLVE = "evolve"
RARE = "rare"
WAYS = (*DEPTH, "breadth")
_OWN_TAGS = ("depth:", "evolved:", "agreed:", "operation", "difficulty:")
"""Prefixes of tags that describe the parent alone and are not inherited."""


def evolve(
    tasks: Sequence[Task],
    teacher: Backend,
    *,
    ways: Sequence[str] = WAYS,
    depth_limit: int = 3,
    sampling: Sampling,
    seed: int,
) -> MethodResult:
    """One evolution a task, its way drawn by seed. A task that was evolved `depth_limit` times is refused as `too_deep`."""
    result, chosen = MethodResult(EVOLVE, len(tasks)), list[tuple[Task, str]]()
    for task in tasks:
        if int(task.tag("depth") or 0) >= depth_limit:
            result.refuse(task.id, "too_deep", task.text)
        else:
            chosen.append((task, rng_of("making/evolve", task.id, seed).choice(list(ways))))
    for kind in ("math", "code"):
        _evolve_kind(result, kind, [one for one in chosen if kind_of(one[0]) == kind], teacher, sampling, seed)
    return result


def _evolve_kind(
    result: MethodResult,
    kind: Kind,
    chosen: Sequence[tuple[Task, str]],
    teacher: Backend,
    sampling: Sampling,
    seed: int,
) -> None:
    named = [(f"{task.id}/{way}", prompts.evolve(task.text, way, kind)) for task, way in chosen]
    replies = query_teacher(teacher, EVOLVE, named, shape_of(kind), sampling=sampling, seed=seed)
    for (task, way), [answer] in zip(chosen, replies, strict=True):
        if answer.value is None:
            result.refuse(task.id, unread_reason(answer), answer.fault)
        elif fault := problem_fault(answer.value, partial(evolved_fault, task.text)):
            result.refuse(task.id, fault, answer.value.task)
        else:
            depth = int(task.tag("depth") or 0) + (way != "breadth")
            kept = [tag for tag in task.tags if not tag.startswith(_OWN_TAGS)]
            result.add(task_of(EVOLVE, answer.value, (task.id,), (*kept, f"evolved:{way}", f"depth:{depth}")))


def write_rare_tasks(
    draws: Sequence[Mapping[str, str]], teacher: Backend, *, kind: Kind = "math", sampling: Sampling, seed: int
) -> MethodResult:
    """One task a draw (axis -> value), tagged `axis:value`; a drawn task has no parents."""
    result = MethodResult(RARE, len(draws))
    prompts_ = [(f"{n}/{digest(dict(one))}", prompts.rare(one, kind)) for n, one in enumerate(draws)]
    replies = query_teacher(teacher, RARE, prompts_, shape_of(kind), sampling=sampling, seed=seed)
    for one, (name, _), [answer] in zip(draws, prompts_, replies, strict=True):
        if answer.value is None:
            result.refuse(name, unread_reason(answer), answer.fault)
            continue
        if fault := problem_fault(answer.value, partial(rare_fault, dict(one))):
            result.refuse(name, fault, answer.value.task)
            continue
        result.add(task_of(RARE, answer.value, (), tuple(f"{axis}:{value}" for axis, value in one.items())))
    return result


TEXTBOOK = "textbook"
TopicTree = Mapping[str, Sequence[str]]
"""Topic -> its subtopics; a topic without an entry, or with an empty one, is a leaf."""


class Plan(BaseModel):
    """The section titles of a topic."""

    sections: list[str] = Field(max_length=50)


class WrittenSection(BaseModel):
    """The text of a section and its exercises."""

    text: str = Field(max_length=20_000)
    exercises: list[MathProblem] = Field(max_length=20)


def leaves_of(tree: TopicTree) -> list[tuple[str, ...]]:
    """The path from a root to each leaf. Raises ConfigError on a cycle, an empty name or a tree without a root."""
    children = {child for below in tree.values() for child in below}
    roots = [topic for topic in tree if topic not in children]
    if not roots:
        raise ConfigError(
            f"topics: {', '.join(tree) or 'none'}: no topic is at the top; break the cycle, or give topics"
        )
    found: list[tuple[str, ...]] = []
    left: list[tuple[str, ...]] = [(root,) for root in reversed(roots)]
    met: set[str] = set()
    while left:
        path = left.pop()
        met.add(path[-1])
        if not path[-1].strip():
            raise ConfigError(f"topics: below {' > '.join(path[:-1]) or 'the top'} stands an empty name; remove it")
        below = tree.get(path[-1], ())
        if again := next((child for child in below if child in path), None):
            raise ConfigError(f"topics: {' > '.join((*path, again))} is a cycle; break it")
        left += [(*path, child) for child in reversed(below)]
        if not below:
            found.append(path)
    if lost := sorted(set(tree) - met):
        raise ConfigError(f"topics: {', '.join(lost)} cannot be reached from a top (a cycle); break it")
    return found


def textbook(
    tree: TopicTree, teacher: Backend, *, sections: int = 3, exercises: int = 3, sampling: Sampling, seed: int
) -> MethodResult:
    """Tasks from `exercises` exercises in each of `sections` sections per leaf topic; a section whose text has a fault gives none."""
    paths = leaves_of(tree)
    result = MethodResult(TEXTBOOK)
    planned = list[tuple[str, str]]()
    named = [(" > ".join(path), prompts.topics(" > ".join(path), sections)) for path in paths]
    plans = query_teacher(teacher, f"{TEXTBOOK}/topics", named, Plan, sampling=sampling, seed=seed)
    for (topic, _), [plan] in zip(named, plans, strict=True):
        if plan.value is None:
            result.requested += 1
            result.refuse(topic, unread_reason(plan), plan.fault)
            continue
        planned += _titles(result, topic, plan.value.sections[:sections])
    parts = [(f"{topic}/{title}", prompts.section(topic, title, exercises)) for topic, title in planned]
    read = query_teacher(teacher, f"{TEXTBOOK}/section", parts, WrittenSection, sampling=sampling, seed=seed)
    for (topic, title), [answer] in zip(planned, read, strict=True):
        if answer.value is None:
            result.requested += 1
            result.refuse(f"{topic}/{title}", unread_reason(answer), answer.fault)
        else:
            _exercises(result, topic, title, answer.value, exercises)
    return result


def _titles(result: MethodResult, topic: str, titles: Sequence[str]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for title in titles:
        fault = form_fault(title, limit=120) or ("" if stems(title) else "vague")
        if fault or (topic, title) in found:
            result.requested += 1
            result.refuse(topic, fault or "duplicate", title)
        else:
            found.append((topic, title))
    return found


def _exercises(result: MethodResult, topic: str, title: str, section: WrittenSection, most: int) -> None:
    name = f"section-{digest([topic, title])}"
    given = section.exercises[:most]
    result.requested += max(1, len(given))
    if fault := section_fault(title, section.text):
        for problem in given:
            result.refuse(name, f"section_{fault}", problem.task)
        if not given:
            result.refuse(name, f"section_{fault}", section.text)
        return
    if not given:
        result.refuse(name, "no_exercise", section.text)
    for problem in given:
        fault = problem_fault(problem, lambda task, answer: exercise_fault(title, section.text, task, answer or ""))
        if fault:
            result.refuse(name, fault, problem.task)
        else:
            result.add(task_of(TEXTBOOK, problem, (name,), (f"topic:{topic}", f"section:{title}")))


INSTRUCT = "instruct"
RUBRIC = "Full score for a reply that does what the instruction asks, completely, correctly and without padding."
MIN_TEXT_CHARS = 80


class Instruction(BaseModel):
    """An instruction, and the teacher's score of the text as a reply to it."""

    task: str = Field(max_length=20_000)
    score: float = Field(ge=0, le=10)


def instruct(
    texts: Sequence[tuple[str, str]],
    teacher: Backend,
    *,
    samples: int = 2,
    least: float = 4,
    sampling: Sampling,
    seed: int,
) -> MethodResult:
    """At most one task per (id, text): of `samples` instructions without a fault, the one with the highest score.

    `least`: lowest score, of the teacher's 1 to 5, that is kept.
    """
    result, asking = MethodResult(INSTRUCT), list[tuple[str, str]]()
    for name, text in texts:
        fault = form_fault(text, limit=20_000) or ("too_short" if len(text.strip()) < MIN_TEXT_CHARS else "")
        if fault:
            result.requested += 1
            result.refuse(name, f"text_{fault}", text)
        else:
            asking.append((name, text))
    named = [(name, prompts.instruction(text)) for name, text in asking]
    replies = query_teacher(teacher, INSTRUCT, named, Instruction, sampling=sampling, seed=seed, n=samples)
    for (name, text), row in zip(asking, replies, strict=True):
        result.requested += len(row)
        good: list[Instruction] = []
        for answer in row:
            if answer.value is None:
                result.refuse(name, unread_reason(answer), answer.fault)
            elif fault := instruction_fault(text, answer.value.task, answer.value.score, least):
                result.refuse(name, fault, answer.value.task)
            else:
                good.append(answer.value)
        good.sort(key=lambda one: -one.score)
        for one in good[1:]:
            result.refuse(name, "not_the_best", one.task)
        for one in good[:1]:
            result.add(_instruction_task(name, text, one.task.strip()))
    return result


def _instruction_task(name: str, text: str, instruction: str) -> Task:
    prompt = f"{instruction}\n"
    return Task(
        id=task_id(INSTRUCT, prompt),
        prompt=prompt,
        check={"type": "judge", "rubric": RUBRIC},
        reference=text,
        source=f"{SYNTHESIZED_SOURCE}{INSTRUCT}",
        parents=(name,),
    )
