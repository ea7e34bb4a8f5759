"""Floor 3: `equal`: does an answer say the same as the reference? Exact where both are literals, symbolic where not.

The rules (one table, the same in docs/math.md):

| case | rule |
|---|---|
| two exact numbers | equal as fractions; never by rounding |
| a decimal of at least `precision` places against an exact value that is none (1/3, sqrt 2) | equal where it is that value rounded to its places |
| `tolerance` > 0 | two numbers that differ by at most that much are equal |
| percent against percent | their numbers are compared |
| percent against plain | 20% equals 20 (the question asked for percent) and 0.2, nothing else |
| unit on one side | ignored |
| unit on both | must name the same unit; none is converted |
| list, set, union | order does not count, number of parts does |
| tuple, interval, matrix | order and kind of brackets count |
| `x = 5` against `5` | equal; two different names are not |
| choice | the letters are compared; `B) 12` equals `B`, and `12` |
| words | equal without regard to case |
"""

import re
import time
from functools import lru_cache

from selfplay.answers.extraction import Found, find_answer
from selfplay.answers.numerals import read_number
from selfplay.errors import OutageError
from selfplay.records import Outcome
from selfplay.verify.math import symbolic
from selfplay.verify.math.arithmetic import Hopeless
from selfplay.verify.math.matching import Context, match, same_number
from selfplay.verify.math.readings import Reading, read

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
    `precision`: places from which on a decimal may stand for an exact value, see the module. `tolerance`: absolute. Never
    raises on an answer, whatever it holds. A first symbolic call also waits for its worker to start.
    """
    quick = _literals(gold, answer or "", precision, tolerance)
    if quick is not None:
        return quick
    context = Context(time.monotonic() + deadline_seconds, precision, tolerance)
    found = find_answer(answer) if answer else None
    if found is None or not gold.strip():
        return Outcome.INVALID
    try:
        given = read(found.text)
    except Hopeless:
        return Outcome.INVALID
    reference = _reference(gold)
    if reference is None:
        return Outcome.ABSTAIN
    if found.hedged and not _may_be_list(found, reference):
        return Outcome.INVALID
    try:
        return match(reference, given, context)
    except symbolic.Overrun:
        return Outcome.INVALID
    except OutageError:
        return Outcome.ERROR


@lru_cache(maxsize=4096)
def _reference(gold: str) -> Reading | None:
    """The reading of a reference, which many attempts are compared with; None where it cannot be read."""
    found = find_answer(gold)
    try:
        return read(found.text) if found else None
    except Hopeless:
        return None


def _literals(gold: str, answer: str, precision: int, tolerance: float) -> Outcome | None:
    """The outcome where both are short plain numbers, which most are; None leaves it to the long way."""
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


def _may_be_list(found: Found, reference: Reading) -> bool:
    """`3 or 4` answers a reference that is itself a list; to one that is a single value it is a hedge."""
    return reference.kind == "list" and bool(re.search(r"\bor\b", found.text))
