"""Rewords tasks by translating them into another language and back; each keeps its check.

Numbers, code and names are masked before and restored after. The form of the result is compared with the original
(`translation_fault`). Where a solver is given, it solves the new wording and has to reach the old answer: only that detects a
changed meaning.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, Field

from selfplay.models import Backend
from selfplay.prompts import synthesis as prompts
from selfplay.records import SYNTHESIZED_SOURCE, Attempt, Outcome, Sampling, Task
from selfplay.synthesis.admission import final_outcome
from selfplay.synthesis.method_result import MethodResult, task_id
from selfplay.synthesis.task_filters import form_fault
from selfplay.synthesis.teacher_queries import query_solutions, query_teacher, unread_reason
from selfplay.synthesis.translation import mask, restore, translation_fault
from selfplay.verify import Verifier, verify

METHOD = "backtranslate"


class Translation(BaseModel):
    """The translated text."""

    text: str = Field(max_length=40_000)


@dataclass
class _Passage:
    """A task while it is translated."""

    task: Task
    masked: str
    kept: list[str]
    translated: str = ""
    """The text in the other language, with its marks."""


def backtranslate(
    tasks: Sequence[Task],
    translator: Backend,
    *,
    pivot: str = "French",
    language: str = "English",
    solver: Backend | None = None,
    verifiers: Mapping[str, Verifier] | None = None,
    sampling: Sampling,
    seed: int,
) -> MethodResult:
    """One rewording a task, with its check, reference and tags; tagged `pivot:LANGUAGE`, and `invariant` where a solver
    confirmed its answer.

    `pivot` and `language`: the other language, and the one of the tasks. `solver` and `verifiers`: what solves the new wording,
    and what compares the answers; None: the answer is not checked.
    """
    result, passages = MethodResult(METHOD, len(tasks)), list[_Passage]()
    for task in tasks:
        try:
            masked, kept = mask(task.text)
        except ValueError:
            result.refuse(task.id, "holds_marks", task.text)
            continue
        passages.append(_Passage(task, masked, kept))
    there = _translate(result, "there", [(p, p.masked) for p in passages], pivot, translator, sampling, seed)
    for passage, text in there:
        passage.translated = text
    back = _translate(result, "back", [(p, p.translated) for p, _ in there], language, translator, sampling, seed)
    reworded: list[Task] = []
    for passage, text in back:
        whole = restore(text, passage.kept)
        fault = "marks" if whole is None else translation_fault(passage.task.text.strip(), whole.strip())
        if fault:
            result.refuse(passage.task.id, fault, whole or text)
        else:
            reworded.append(_reworded(passage.task, (whole or "").strip(), pivot))
    for task, fault in zip(reworded, _answer_faults(reworded, solver, verifiers, sampling, seed), strict=True):
        if fault:
            result.refuse(task.parents[0], fault, task.text)
        else:
            result.add(task.model_copy(update={"tags": (*task.tags, "invariant")}) if solver else task)
    return result


def _translate(
    result: MethodResult,
    leg: str,
    texts: Sequence[tuple[_Passage, str]],
    into: str,
    translator: Backend,
    sampling: Sampling,
    seed: int,
) -> list[tuple[_Passage, str]]:
    """The translations that kept all their marks; the others are refused. `leg`: `there` or `back`."""
    named = [(passage.task.id, prompts.translate(text, into)) for passage, text in texts]
    found = []
    read = query_teacher(translator, f"{METHOD}/{leg}", named, Translation, sampling=sampling, seed=seed)
    for (passage, _), [answer] in zip(texts, read, strict=True):
        if answer.value is None:
            result.refuse(passage.task.id, unread_reason(answer), answer.fault)
            continue
        text = answer.value.text
        whole = restore(text, passage.kept)
        fault = "marks" if whole is None else form_fault(whole)
        if fault:
            result.refuse(passage.task.id, fault, text)
        else:
            found.append((passage, text))
    return found


def _reworded(task: Task, text: str, pivot: str) -> Task:
    prompt = f"{text}\n"
    changed = {
        "id": task_id(METHOD, prompt),
        "prompt": prompt,
        "messages": None,
        "parents": (task.id,),
        "source": f"{SYNTHESIZED_SOURCE}{METHOD}",
        "tags": (*task.tags, f"pivot:{pivot}"),
        "split": "train",
    }
    return task.model_copy(update=changed)


def _answer_faults(
    tasks: Sequence[Task],
    solver: Backend | None,
    verifiers: Mapping[str, Verifier] | None,
    sampling: Sampling,
    seed: int,
) -> list[str]:
    """One word a task: "" where the new wording has the old answer; else `answer_changed`, `unsolved` or `outage`."""
    if solver is None or verifiers is None or not tasks:
        return ["" for _ in tasks]
    read = query_solutions(solver, f"{METHOD}/solve", tasks, sampling=sampling, seed=seed)
    attempts = [
        Attempt(task_id=task.id, attempt=0, round=0, text=a.value.solution if a.value else "", origin="teacher")
        for task, [a] in zip(tasks, read, strict=True)
    ]
    judged = verify(tasks, attempts, verifiers)
    words = {Outcome.PASS: "", Outcome.FAIL: "answer_changed", Outcome.ERROR: "outage"}
    return [
        "outage" if answer.outage else words.get(final_outcome(one), "unsolved")
        for one, [answer] in zip(judged, read, strict=True)
    ]
