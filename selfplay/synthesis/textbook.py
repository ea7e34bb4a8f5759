"""Floor 4: a textbook from topics: sections, then their text and exercises; an exercise is a task with its section as parent."""

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, Field

from selfplay.errors import ConfigError
from selfplay.models import Backend
from selfplay.prompts import making as prompts
from selfplay.records import Sampling, digest
from selfplay.synthesis.batch import Batch, asked, why_unread
from selfplay.synthesis.evolve import MathProblem, problem_fault, task_of
from selfplay.synthesis.faults import form_fault
from selfplay.synthesis.lessons import exercise_fault, section_fault
from selfplay.synthesis.words import stems

MAKER = "textbook"
Tree = Mapping[str, Sequence[str]]
"""Topic -> its subtopics; a topic without an entry, or with none, is a leaf."""


class Plan(BaseModel):
    """The sections of a topic."""

    sections: list[str] = Field(max_length=50)


class Section(BaseModel):
    """A section with its exercises."""

    text: str = Field(max_length=20_000)
    exercises: list[MathProblem] = Field(max_length=20)


def leaves_of(tree: Tree) -> list[tuple[str, ...]]:
    """Paths from the roots to the leaves. Raises ConfigError on a cycle, an empty name, or a tree without a root."""
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
    tree: Tree, teacher: Backend, *, sections: int = 3, exercises: int = 3, sampling: Sampling, seed: int
) -> Batch:
    """Exercises of `sections` sections a leaf topic, `exercises` each; a section whose text has a fault gives none."""
    paths = leaves_of(tree)
    batch = Batch(MAKER)
    planned = list[tuple[str, str]]()
    named = [(" > ".join(path), prompts.topics(" > ".join(path), sections)) for path in paths]
    plans = asked(teacher, f"{MAKER}/topics", named, Plan, sampling=sampling, seed=seed)
    for (topic, _), [plan] in zip(named, plans, strict=True):
        if plan.value is None:
            batch.asked += 1
            batch.refuse(topic, why_unread(plan), plan.fault)
            continue
        planned += _titles(batch, topic, plan.value.sections[:sections])
    parts = [(f"{topic}/{title}", prompts.section(topic, title, exercises)) for topic, title in planned]
    read = asked(teacher, f"{MAKER}/section", parts, Section, sampling=sampling, seed=seed)
    for (topic, title), [answer] in zip(planned, read, strict=True):
        if answer.value is None:
            batch.asked += 1
            batch.refuse(f"{topic}/{title}", why_unread(answer), answer.fault)
        else:
            _exercises(batch, topic, title, answer.value, exercises)
    return batch


def _titles(batch: Batch, topic: str, titles: Sequence[str]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for title in titles:
        fault = form_fault(title, limit=120) or ("" if stems(title) else "vague")
        if fault or (topic, title) in found:
            batch.asked += 1
            batch.refuse(topic, fault or "duplicate", title)
        else:
            found.append((topic, title))
    return found


def _exercises(batch: Batch, topic: str, title: str, section: Section, most: int) -> None:
    name = f"section-{digest([topic, title])}"
    given = section.exercises[:most]
    batch.asked += max(1, len(given))
    if fault := section_fault(title, section.text):
        for problem in given:
            batch.refuse(name, f"section_{fault}", problem.task)
        if not given:
            batch.refuse(name, f"section_{fault}", section.text)
        return
    if not given:
        batch.refuse(name, "no_exercise", section.text)
    for problem in given:
        fault = problem_fault(problem, lambda task, answer: exercise_fault(title, section.text, task, answer or ""))
        if fault:
            batch.refuse(name, fault, problem.task)
        else:
            batch.take(task_of(MAKER, problem, (name,), (f"topic:{topic}", f"section:{title}")))
