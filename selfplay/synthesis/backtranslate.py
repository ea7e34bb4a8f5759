"""Floor 4: tasks in new words by way of another language, through any chat backend, the verifier kept.

Numbers, code and names are masked before and restored after. What comes back is compared by form (`translation_fault`); and where
a solver is given, it solves the new wording and must come to the old answer: only that sees a meaning that was turned round.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, Field

from selfplay.models import Backend
from selfplay.prompts import making as prompts
from selfplay.records import Attempt, Outcome, Sampling, Task
from selfplay.synthesis.admission import Solution, kind_of, outcome_of
from selfplay.synthesis.batch import Batch, asked, task_id, why_unread
from selfplay.synthesis.faults import form_fault
from selfplay.synthesis.translation import mask, restore, translation_fault
from selfplay.verify import Verifier, verify

MAKER = "backtranslate"


class Text(BaseModel):
    """A translation."""

    text: str = Field(max_length=40_000)


@dataclass
class _Way:
    """A task on its way through the other language."""

    task: Task
    masked: str
    kept: list[str]
    there: str = ""


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
) -> Batch:
    """One rewording a task, with its check, reference and tags; tagged `pivot:...`, and `invariant` where it was solved anew.

    `solver` with `verifiers`: who solves the new wording, and who says whether its answer is the old one.
    """
    batch, ways = Batch(MAKER, len(tasks)), list[_Way]()
    for task in tasks:
        try:
            masked, kept = mask(task.text)
        except ValueError:
            batch.refuse(task.id, "holds_marks", task.text)
            continue
        ways.append(_Way(task, masked, kept))
    there = _translated(batch, "there", [(w, w.masked) for w in ways], pivot, translator, sampling, seed)
    for way, text in there:
        way.there = text
    back = _translated(batch, "back", [(w, w.there) for w, _ in there], language, translator, sampling, seed)
    made: list[Task] = []
    for way, text in back:
        whole = restore(text, way.kept)
        fault = "marks" if whole is None else translation_fault(way.task.text.strip(), whole.strip())
        if fault:
            batch.refuse(way.task.id, fault, whole or text)
        else:
            made.append(_reworded(way.task, (whole or "").strip(), pivot))
    for task, fault in zip(made, _changed(made, solver, verifiers, sampling, seed), strict=True):
        if fault:
            batch.refuse(task.parents[0], fault, task.text)
        else:
            batch.take(task.model_copy(update={"tags": (*task.tags, "invariant")}) if solver else task)
    return batch


def _translated(
    batch: Batch,
    leg: str,
    texts: Sequence[tuple[_Way, str]],
    into: str,
    translator: Backend,
    sampling: Sampling,
    seed: int,
) -> list[tuple[_Way, str]]:
    """What came through one leg with all its marks; the rest is refused."""
    named = [(way.task.id, prompts.translate(text, into)) for way, text in texts]
    found = []
    read = asked(translator, f"{MAKER}/{leg}", named, Text, sampling=sampling, seed=seed)
    for (way, _), [answer] in zip(texts, read, strict=True):
        if answer.value is None:
            batch.refuse(way.task.id, why_unread(answer), answer.fault)
            continue
        text = answer.value.text
        whole = restore(text, way.kept)
        fault = "marks" if whole is None else form_fault(whole)
        if fault:
            batch.refuse(way.task.id, fault, text)
        else:
            found.append((way, text))
    return found


def _reworded(task: Task, text: str, pivot: str) -> Task:
    prompt = f"{text}\n"
    changed = {
        "id": task_id(MAKER, prompt),
        "prompt": prompt,
        "messages": None,
        "parents": (task.id,),
        "source": f"made/{MAKER}",
        "tags": (*task.tags, f"pivot:{pivot}"),
        "split": "train",
    }
    return task.model_copy(update=changed)


def _changed(
    tasks: Sequence[Task],
    solver: Backend | None,
    verifiers: Mapping[str, Verifier] | None,
    sampling: Sampling,
    seed: int,
) -> list[str]:
    """One word a task: "" where the new wording has the old answer, `answer_changed`, `unsolved` or `outage`."""
    if solver is None or verifiers is None or not tasks:
        return ["" for _ in tasks]
    named = [
        (task.id, prompts.solve(task.text, kind_of(task), str(task.check.get("entry_point", "")))) for task in tasks
    ]
    read = asked(solver, f"{MAKER}/solve", named, Solution, sampling=sampling, seed=seed)
    attempts = [
        Attempt(task_id=task.id, attempt=0, round=0, text=a.value.solution if a.value else "", origin="teacher")
        for task, [a] in zip(tasks, read, strict=True)
    ]
    said = verify(tasks, attempts, verifiers)
    words = {Outcome.PASS: "", Outcome.FAIL: "answer_changed", Outcome.ERROR: "outage"}
    return [
        "outage" if answer.outage else words.get(outcome_of(one), "unsolved")
        for one, [answer] in zip(said, read, strict=True)
    ]
