"""`equal` decides whether an answer equals the reference: exactly if both are literals, symbolically otherwise.

The rules are the table of docs/math.md, and each of its lines on two readings a test in tests/test_math_rules.py.
"""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from selfplay.answers.extraction import find_answer, find_marked
from selfplay.answers.numerals import plain, read_number
from selfplay.answers.statements import Found, hedges
from selfplay.errors import OutageError
from selfplay.records import Outcome
from selfplay.verify.math import symbolic
from selfplay.verify.math.arithmetic import Hopeless
from selfplay.verify.math.matching import Context, match, same_number
from selfplay.verify.math.readings import Reading, read
from selfplay.verify.math.spellings import MAX_ANSWER, canonical

DEADLINE_SECONDS = 5.0


def equal(
    gold: str,
    answer: str | None,
    *,
    deadline_seconds: float = DEADLINE_SECONDS,
    precision: int = 6,
    tolerance: float = 0.0,
) -> Outcome:
    """Whether `answer` gives the same value as the reference `gold`; both may be whole replies, read by `extract_answer`.

    `pass` and `fail` as it says; `invalid` where there is no answer, or a hedge, or one that cannot be read or worked out
    within `deadline_seconds` (wall clock, for all of parsing and comparing); `abstain` where the reference itself cannot be
    read; `error` where a symbolic comparison is needed and math-verify is missing or its worker does not come up.
    `precision`: places from which on a decimal may stand for an exact value. `tolerance`: absolute. Never
    raises on an answer, whatever it holds. A first symbolic call also waits for its worker to start.
    """
    quick = _literals(gold, answer or "", precision, tolerance)
    if quick is not None:
        return quick
    context = Context(time.monotonic() + deadline_seconds, precision, tolerance)
    reference = _reference(gold)
    if reference.fault:
        return Outcome.INVALID if not gold.strip() else Outcome.ABSTAIN
    found = find_answer(answer) if answer else None
    stated = "" if found is None or found.denied else found.text
    shouted = (
        f"{stated}!" if stated and (answer or "").rstrip().endswith(f"{stated}!") else ""
    )  # or a factorial: `A: 100!`
    if any(_same_text(text, (answer or "", stated, shouted)) for text in reference.texts):
        return Outcome.PASS
    if found is None or found.denied:
        return Outcome.INVALID
    texts = [found.text]
    if reference.reading is not None and _names_several(reference.reading) and not found.marked:
        # what a sentence states last is one value: against several, a short answer is read whole too
        texts += [answer.strip(" .")] if answer and len(answer) <= MAX_WHOLE else []
    try:
        return _best(reference.reading, texts, found, context)
    except symbolic.Overrun:
        return Outcome.INVALID
    except OutageError:
        return Outcome.ERROR


def _best(reference: Reading | None, texts: list[str], found: Found, context: Context) -> Outcome:
    """The outcome of the first text that passes; if none passes, that of the first."""
    outcomes = []
    for text in texts:
        try:
            given = read(text)
        except Hopeless:
            outcomes.append(Outcome.INVALID)
            continue
        if reference is None:
            return Outcome.ABSTAIN
        hedged = text == found.text and found.hedged and not _may_be_several(found, reference)
        outcomes.append(Outcome.INVALID if hedged else match(reference, given, context))
    return Outcome.PASS if Outcome.PASS in outcomes else outcomes[0]


def unreadable(gold: str) -> str:
    """Why a reference cannot be read as one answer, in a sentence with its remedy; "" where it can.

    A reference that is too large to work out is readable: an answer that says the same in the same characters equals it.
    """
    return _reference(gold).fault


_PROSE = re.compile(r"(?<![\\A-Za-z])[^\W\d_]{3,}[ ,&-]+[^\W\d_]{2,}")
"""Two adjacent words: such a text is compared as a whole, as `Marie & Pierre Curie` is."""


def needs_symbols(gold: str) -> bool:
    """Whether comparing with a reference takes the symbolic worker: it is no number, choice or words, nor a list of these."""
    reading = _reference(gold).reading
    return reading is not None and any(not _PROSE.search(one.source) for one in _expressions(reading))


def unparsed(gold: str, seconds: float = DEADLINE_SECONDS) -> str:
    """Why the symbolic worker cannot read a reference that needs it, in a sentence with its remedy; "" where it can.

    "" too where that takes over `seconds`: an answer in the same characters equals it. Raises OutageError without a worker.
    """
    reading = _reference(gold).reading
    for one in _expressions(reading) if reading is not None else ():
        try:
            if not symbolic.readable(one.source, time.monotonic() + seconds):
                return f"the reference {gold.strip()[:60]!r} cannot be read as mathematics; write its LaTeX in full, or words"
        except symbolic.Overrun:
            continue
    return ""


def _expressions(reading: Reading) -> Iterator[Reading]:
    """The parts of a reading that only the symbolic worker can compare."""
    if reading.kind == "expr" and reading.other is None:
        yield reading
    for part in reading.parts:
        yield from _expressions(part)


@dataclass(frozen=True, slots=True)
class _Reference:
    texts: tuple[str, ...]
    """What it says, and the text of the option where it is one."""
    reading: Reading | None = None
    """None where it is compared by its text alone."""
    fault: str = ""


_MISSING = frozenset({"None", "nan", "NaN", "NaT", "null"})
"""What programs print for a missing value; the word `none` is an answer."""
MAX_WHOLE = 200
"""Most characters of an unmarked answer that is read whole if the reference names several values."""
MAX_WORDS = 40
"""Most words of a reference that marks no answer; a longer one is a solution that states no answer."""


@lru_cache(maxsize=4096)
def _reference(gold: str) -> _Reference:
    """Reads a reference, with which many attempts are compared. It is read whole, unless it marks its answer as a reply does."""
    marked = find_marked(gold)
    text = (marked.text if marked else gold).strip()
    shown = f"the reference {text[:60]!r}"
    fault = ""
    if not text:
        fault = "the reference is empty; give the answer"
    elif text in _MISSING:
        fault = f"{shown} is no value but a missing one; give the answer, or leave the task out"
    elif _unbalanced(text):
        fault = f"{shown} has braces that do not match; write its LaTeX in full"
    elif marked is None and len(text.split()) > MAX_WORDS:
        fault = (
            f"{shown}... has more than {MAX_WORDS} words and marks no answer; give the answer alone or in \\boxed{{}}"
        )
    elif len(text) > MAX_ANSWER:
        fault = f"{shown}... has {len(text)} characters, more than {MAX_ANSWER}; give the answer alone"
    if fault:
        return _Reference((text,), fault=fault)
    try:
        reading = read(text)
    except Hopeless:
        return _Reference((text,))
    option = (reading.other.source,) if reading.kind == "choice" and reading.other else ()
    return _Reference((text, *option), reading)


def _unbalanced(text: str) -> bool:
    depth = 0
    for ch in re.sub(r"\\\\|\\[{}]", "", text):
        depth += (ch == "{") - (ch == "}")
        if depth < 0:
            return True
    return depth != 0


def _same_text(gold: str, answers: tuple[str, ...]) -> bool:
    """Whether one of the texts equals the reference character by character, apart from LaTeX decoration and spaces."""
    wanted = _folded(gold)
    return any(len(text) <= MAX_ANSWER and text and _folded(text) == wanted for text in answers)


def _folded(text: str) -> str:
    """Text for comparison by characters; several words in small letters."""
    text = plain(text)
    spoken = " " in text and text.replace(" ", "").isalpha() and all(len(word) > 1 for word in text.split())
    return canonical(text.casefold() if spoken else text)


def _literals(gold: str, answer: str, precision: int, tolerance: float) -> Outcome | None:
    """The outcome if both are short plain numbers, as most are; None leaves the comparison to the full rules."""
    if (
        len(gold) > 40
        or len(answer) > 40
        or not gold[:1].isdigit()
        or not answer[-1:].isdigit()
        or not answer.isascii()
    ):
        return None
    if gold == answer and gold.isdigit():
        return Outcome.PASS
    left, right = read_number(gold), read_number(answer)
    if left is None or right is None or "," in gold or "," in answer:
        return None
    return Outcome.PASS if same_number(left, right, precision, tolerance) else Outcome.FAIL


def _may_be_several(found: Found, reference: Reading) -> bool:
    """`3 or 4` answers a reference that is itself a list, `12 apples and 5 pears` one that is such a phrase."""
    if not _names_several(reference):
        return False
    if not re.search(r"\bor\b", found.text):
        return not hedges(found.text)
    # alternatives are values; a date has parts too, and "1 May, 1941 or 1941" names another one
    return bool(re.search(r"\bor\b", reference.source or reference.text)) or all(
        part.kind not in ("phrase", "words") for part in reference.parts
    )


def _names_several(reference: Reading) -> bool:
    """Whether a reference is, or may be read as, more than one value."""
    return any(r is not None and r.kind in ("list", "phrase") for r in (reference, reference.other))
