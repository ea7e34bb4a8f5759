"""Rewords tasks by translating them into another language and back; each keeps its check.

Numbers, code and names are masked before and restored after. A mask is `⟦n⟧`; a text that holds such a mark itself is refused
(ValueError), so that restoring is always exact. The form of the result is compared with the original (`translation_fault`).
Where a solver is given, it solves the new wording and has to reach the old answer: only that detects a changed meaning.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from pydantic import BaseModel, Field

from selfplay.models import Backend
from selfplay.prompts import synthesis as prompts
from selfplay.records import SYNTHESIZED_SOURCE, Attempt, Outcome, Sampling, Task
from selfplay.synthesis.method_result import (
    MethodResult,
    final_outcome,
    query_solutions,
    query_teacher,
    task_id,
    unread_reason,
)
from selfplay.synthesis.text_filters import STOP, form_fault, words
from selfplay.verify import Verifier, verify

_MASK = re.compile(r"\u27e6(\d{1,4})\u27e7")
_SPACE = "[ \u00a0\u202f]?"
_SYMBOLS = "%|‰|°C|°F|°|€|\\$|£|¥"
_CODE = re.compile(
    r"```.*?```|`[^`\n]+`|https?://\S+|\b\w+(?:_\w+)+\b(?:\([^()\n]*\))?|\b\w+\([^()\n]{0,60}\)", re.DOTALL
)
_AMOUNT = re.compile(
    rf"[$€£¥]{_SPACE}\d+(?:[.,:]\d+)*|\d+(?:[ \u00a0\u202f]\d{{3}})*(?:[.,:/]\d+)*(?:{_SPACE}(?:{_SYMBOLS}))?"
)
_CAPITAL = re.compile(r"[^\W\d_a-z]\w*(?:['\u2019-][^\W\d_]\w*)*")
_UNIT_WORDS = (
    "km m cm mm mi miles mile metres meters feet inches kg g mg pounds ounces litres liters gallons l ml hours hour minutes minute seconds "
    "days weeks months years h min s dollars cents euros pence degrees"
)
_UNITS = frozenset(_UNIT_WORDS.split())
_LESS, _MORE = ({"less", "fewer", "below", "under", "smaller"}, {"more", "greater", "larger", "bigger"})
_NOT = {"not", "never", "no", "cannot", "pas", "nicht", "kein"}
_STARTER_WORDS = (
    "how what which who when where why if each every there find write compute calculate give show after before some most all on in at by for from "
    "during suppose let then he she they it we you i his her their this that these those a an the and but so two three four five combien quel quelle "
    "dans chaque wie was create define return implement explain describe list name draw consider assume given one note please tell thank thanks "
    "yes no is are was were do does did have has can could would will should my your our with as not never nobody everyone everybody nothing "
)
_STARTERS = frozenset(_STARTER_WORDS.split()) | frozenset(word for text in STOP.values() for word in text.split())


def mask(text: str) -> tuple[str, list[str]]:
    """The text with code, amounts and names replaced by marks, and the text that each mark stands for.

    Raises ValueError where the text itself holds such a mark.
    """
    if _MASK.search(text):
        raise ValueError("holds a mark such as \u27e60\u27e7 itself")
    spans = _spans(text)
    out, at, kept = [], 0, list[str]()
    for start, end in spans:
        out += [text[at:start], f"\u27e6{len(kept)}\u27e7"]
        kept.append(text[start:end])
        at = end
    return "".join([*out, text[at:]]), kept


def restore(text: str, kept: list[str]) -> str | None:
    """The text with every mark replaced by what it stands for; None where a mark is missing, unknown or repeated."""
    found = [int(number) for number in _MASK.findall(text)]
    if sorted(found) != list(range(len(kept))):
        return None
    return _MASK.sub(lambda mark: kept[int(mark[1])], text)


def names(text: str) -> list[str]:
    """Capitalised words other than common first words of a sentence; possessive endings are cut off."""
    found = []
    for match in _CAPITAL.finditer(text):
        word = re.sub(r"['\u2019]s$", "", match[0])
        before = text[: match.start()].rstrip()
        begins = not before or before[-1] in '.!?:;"\u201c\u00ab(\n\u00bf\u00a1'
        if word[0].isupper() and word.casefold() not in _STARTERS and (len(word) > 1 or not begins):
            found.append(word)
    return found


def translation_fault(original: str, back: str) -> str:
    """What is wrong with a text that was translated and translated back; "" where its form is right.

    The faults of `form_fault`, and what differs from the original: `amounts`, `code`, `names`, `units`, `accents`, `direction`
    (more for less, a lost negation), `question`; `answered`, `length`, `unchanged`. Only solving the text shows whether its answer
    is still the same.
    """
    if fault := form_fault(back, original):
        return fault
    checks = (
        ("amounts", Counter(_amounts(original)) == Counter(_amounts(back))),
        ("code", Counter(_CODE.findall(original)) == Counter(_CODE.findall(back))),
        (
            "names",
            set(names(original)) <= set(names(back)) | set(words(back, stop=False)) | set(re.findall(r"\w+", back)),
        ),
        ("units", _units(original) == _units(back)),
        ("accents", not _accents(original) or _accents(back) * 3 >= _accents(original)),
        ("direction", _direction(original) == _direction(back)),
        ("question", "?" not in original or "?" in back),
        ("answered", not re.search(r"\banswer(?: is|:)", back, re.IGNORECASE) or "answer" in original.lower()),
        ("length", 0.5 <= len(back) / len(original) <= 2.0),
        ("unchanged", not _same_phrasing(original, back)),
    )
    return next((name for name, holds in checks if not holds), "")


def _spans(text: str) -> list[tuple[int, int]]:
    """Spans to be masked, in order and without overlap; code takes precedence over amounts, and amounts over names."""
    taken: list[tuple[int, int]] = [match.span() for match in _CODE.finditer(text)]
    found = [match.span() for match in _AMOUNT.finditer(text)]
    wanted = Counter(names(text))
    found += [match.span() for match in _CAPITAL.finditer(text) if match[0] in wanted]
    for start, end in found:
        if all(end <= a or start >= b for a, b in taken):
            taken.append((start, end))
    return sorted(taken)


def _amounts(text: str) -> list[str]:
    return [re.sub(r"\s", " ", match[0]) for match in _AMOUNT.finditer(_CODE.sub(" ", text))]


def _units(text: str) -> set[str]:
    return {word.rstrip("s") for word in re.findall(r"[a-z]+", text.lower()) if word in _UNITS and len(word) > 2}


def _accents(text: str) -> int:
    return sum(len(unicodedata.normalize("NFD", c)) > 1 for c in text if c.isalpha())


def _direction(text: str) -> tuple[bool, bool, int]:
    found = words(text, stop=False)
    negations = sum(word in _NOT or word.endswith(("n't", "n\u2019t")) for word in found)
    return any(w in _LESS for w in found), any(w in _MORE for w in found), min(negations, 1)


def _same_phrasing(one: str, other: str) -> bool:
    first, second = words(one, stop=False), words(other, stop=False)
    return first == second or SequenceMatcher(None, first, second, autojunk=False).ratio() > 0.92


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
