"""A teacher writes a textbook on topics, section by section; each exercise becomes a task with its section as parent."""

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, Field

from selfplay.errors import ConfigError
from selfplay.models import Backend
from selfplay.prompts import synthesis as prompts
from selfplay.records import Sampling, digest
from selfplay.synthesis.method_result import MethodResult, query_teacher, unread_reason
from selfplay.synthesis.solution_filters import exercise_fault, section_fault
from selfplay.synthesis.task_filters import form_fault
from selfplay.synthesis.teacher_problems import MathProblem, problem_fault, task_of
from selfplay.synthesis.text_features import stems

METHOD = "textbook"
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
    result = MethodResult(METHOD)
    planned = list[tuple[str, str]]()
    named = [(" > ".join(path), prompts.topics(" > ".join(path), sections)) for path in paths]
    plans = query_teacher(teacher, f"{METHOD}/topics", named, Plan, sampling=sampling, seed=seed)
    for (topic, _), [plan] in zip(named, plans, strict=True):
        if plan.value is None:
            result.requested += 1
            result.refuse(topic, unread_reason(plan), plan.fault)
            continue
        planned += _titles(result, topic, plan.value.sections[:sections])
    parts = [(f"{topic}/{title}", prompts.section(topic, title, exercises)) for topic, title in planned]
    read = query_teacher(teacher, f"{METHOD}/section", parts, WrittenSection, sampling=sampling, seed=seed)
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
            result.add(task_of(METHOD, problem, (name,), (f"topic:{topic}", f"section:{title}")))
