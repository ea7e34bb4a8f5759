"""Compares two readings part by part, by the rules of the table in docs/math.md.

Numbers are compared here, exactly. Everything else goes to the symbolic worker, which may take until the deadline.
"""

import re
import time
from dataclasses import dataclass
from fractions import Fraction

from selfplay.answers.numerals import Number
from selfplay.errors import OutageError
from selfplay.records import Outcome
from selfplay.verify.math import symbolic
from selfplay.verify.math.readings import Reading
from selfplay.verify.math.spellings import same_unit

MAX_SYMBOLIC = 1_500
"""Most characters of one expression for the symbolic worker; its parser needs seconds for longer ones."""


@dataclass(frozen=True, slots=True)
class Context:
    """Settings that all comparisons of one call share."""

    end: float
    """The deadline, in `time.monotonic()` seconds."""
    precision: int = 6
    tolerance: float = 0.0


def rounds_to(exact: Fraction, decimal: Fraction, places: int) -> bool:
    """Whether `exact` rounds to `decimal` at that many places (either way at a tie)."""
    return bool(abs(exact - decimal) * 2 * 10**places <= 1)


def same_number(gold: Number, answer: Number, precision: int = 6, tolerance: float = 0.0) -> bool:
    """The rules for two numbers; see the table in docs/math.md."""
    if not same_unit(gold.unit, answer.unit):
        return False
    left, right = gold.value, answer.value
    if left == right:
        return True
    if gold.percent != answer.percent and (gold.unit or answer.unit):
        return False  # a percentage is no quantity of something: 5% is not 5 basis points
    if gold.percent != answer.percent and (left / 100 if gold.percent else left) == (
        right / 100 if answer.percent else right
    ):
        return True
    if gold.percent != answer.percent:
        return False
    if tolerance > 0 and abs(left - right) <= Fraction(tolerance):
        return True
    for exact, rounded in ((gold, answer), (answer, gold)):
        places = rounded.decimals
        if places is not None and places >= precision and exact.decimals is None and rounded.value != 0:
            # a value that has a decimal of so many places is not rounded to it: it is that decimal, or another number
            return (exact.value * 10**places).denominator != 1 and rounds_to(exact.value, rounded.value, places)
    return False


def match(gold: Reading, answer: Reading, context: Context) -> Outcome:
    """The outcome for two readings. Raises `symbolic.Overrun` past the deadline, OutageError without a worker."""
    if time.monotonic() > context.end:
        raise symbolic.Overrun
    if _same_written(gold, answer):
        return Outcome.PASS
    if not same_unit(gold.unit, answer.unit):
        return Outcome.FAIL
    if not _names_agree(gold, answer):
        return _symbolic(gold, answer, context) if _turned(gold, answer) else Outcome.FAIL
    if gold.kind == answer.kind == "choice":
        return Outcome.FAIL
    first = _by_value(gold, answer, context)
    if first is None:
        first = _by_kind(gold, answer, context)
    for one, other in ((gold, answer.other), (gold.other, answer)):
        if first is Outcome.FAIL and one is not None and other is not None and "choice" not in (one.kind, other.kind):
            ordered = gold.kind == "choice" and one.kind == other.kind == "list"
            first = _in_order(one.parts, other.parts, context) if ordered else match(one, other, context)
    return first


def _by_value(gold: Reading, answer: Reading, context: Context) -> Outcome | None:
    """`m+n = 12` against 12, which needs no symbols; None for everything else."""
    for one, other in ((gold, answer), (answer, gold)):
        if one.number and not one.name and other.kind == "expr" and other.other and other.other.number:
            return _outcome(
                same_number(
                    gold.number or other.other.number,
                    answer.number or other.other.number,
                    context.precision,
                    context.tolerance,
                )
            )
    return None


def _same_written(gold: Reading, answer: Reading) -> bool:
    """Whether two readings are of one kind, in the same characters, with names and units that agree."""
    same = gold.kind == answer.kind and gold.text == answer.text
    return same and _names_agree(gold, answer) and same_unit(gold.unit, answer.unit)


def _names_agree(gold: Reading, answer: Reading) -> bool:
    return (
        not gold.name
        or not answer.name
        or gold.name == answer.name
        or gold.name.replace(" ", "") == answer.name.replace(" ", "")
    )


def _turned(gold: Reading, answer: Reading) -> bool:
    """Whether two equations may be one: `a = b` and `b = a`, `y = 1/x` and `xy = 1` are of the same letters."""
    if not all(r.kind in ("expr", "number") and _FACTORS.fullmatch(r.name) for r in (gold, answer)):
        return False
    left, right = (set(re.findall(r"[A-Za-z]", _COMMAND.sub("", f"{r.name} {r.source}"))) for r in (gold, answer))
    return left == right and len(left) > 1


def _by_kind(gold: Reading, answer: Reading, context: Context) -> Outcome:
    kinds = (gold.kind, answer.kind)
    if gold.number and answer.number:
        return _outcome(same_number(gold.number, answer.number, context.precision, context.tolerance))
    if "list" in kinds:
        return _lists(gold, answer, context)
    if kinds in (("tuple", "tuple"), ("matrix", "matrix")):
        return Outcome.FAIL if gold.shape != answer.shape else _in_order(gold.parts, answer.parts, context)
    if kinds == ("words", "words"):
        return _outcome(gold.text.replace(" ", "").casefold() == answer.text.replace(" ", "").casefold())
    if "tuple" in kinds and "expr" in kinds and _RELATION.search(gold.source) and _RELATION.search(answer.source):
        return _symbolic(gold, answer, context)
    if {"words", "choice", "tuple", "colons", "phrase"} & set(kinds):
        return _outcome(_same_letters(gold, answer))
    return _symbolic(gold, answer, context)


def _same_letters(gold: Reading, answer: Reading) -> bool:
    """`odd` read once as a word and once as letters; `C` read as a choice and as itself; `Li` and `li`."""
    left, right = (re.sub(r"[\s()\\{}]", "", r.text) for r in (gold, answer))
    name = len(left) == 2 and {left, right} == {left.lower(), left.title()} and bool(re.search("[aeiouy]", left, re.I))
    return (left == right or name) and left.isalpha()


def _outcome(same: bool) -> Outcome:
    return Outcome.PASS if same else Outcome.FAIL


def _in_order(gold: tuple[Reading, ...], answer: tuple[Reading, ...], context: Context) -> Outcome:
    if len(gold) != len(answer):
        return Outcome.FAIL
    worst = Outcome.PASS
    for one, other in zip(gold, answer, strict=True):
        outcome = match(one, other, context)
        if outcome is Outcome.FAIL:
            return outcome
        worst = worst if outcome is Outcome.PASS else outcome
    return worst


def _flat(reading: Reading) -> tuple[Reading, ...]:
    """Parts of a list, those of lists inside it (`1 \\pm \\sqrt 2, 3`) on the same level, each once."""
    if reading.kind != "list":
        return (reading,)
    parts: dict[tuple[str, str, str], Reading] = {}
    for part in reading.parts:
        for leaf in _flat(part):
            parts.setdefault((leaf.name, leaf.text, leaf.unit), leaf)
    return tuple(parts.values())


def _lists(gold: Reading, answer: Reading, context: Context) -> Outcome:
    left, right = _flat(gold), _flat(answer)
    named = _named_tuple(gold, answer) or _named_tuple(answer, gold)
    if named is not None:
        return _in_order(*(named if gold.kind == "tuple" else named[::-1]), context)
    if len(left) != len(right):
        return Outcome.FAIL
    names = [{part.name for part in side if part.name} for side in (left, right)]
    if len(left) > 1 and bool(names[0]) != bool(names[1]) and max(map(len, names)) == len(left):
        # values of different unknowns against bare values: only the order says which is which
        return _in_order(left, right, context)
    return _any_order(left, right, context)


def _named_tuple(one: Reading, other: Reading) -> tuple[tuple[Reading, ...], tuple[Reading, ...]] | None:
    """`(p, q) = (3, 2)` against `p = 3, q = 2`: both parts in the order of the names, else None."""
    wanted = [name for name in one.name.strip("()").split(",") if name]
    given = {part.name: part for part in other.parts}
    if one.kind != "tuple" or other.kind != "list" or len(wanted) != len(one.parts) or set(wanted) != set(given):
        return None
    return one.parts, tuple(given[name] for name in wanted)


def _any_order(gold: tuple[Reading, ...], answer: tuple[Reading, ...], context: Context) -> Outcome:
    """Each part of one matched with a part of the other, equal texts and numbers first."""
    rest = list(answer)
    unread = Outcome.FAIL
    pending = []
    for part in gold:
        twin = next((r for r in rest if _same_written(part, r)), None)
        if twin is None:
            pending.append(part)
        else:
            rest.remove(twin)
    for part in sorted(pending, key=lambda p: p.number is None):
        for candidate in rest:
            outcome = match(part, candidate, context)
            if outcome is Outcome.PASS:
                rest.remove(candidate)
                break
            unread = outcome if outcome is not Outcome.FAIL else unread
        else:
            return unread
    return Outcome.PASS


_FACTORS = re.compile(r"[A-Za-z]{1,3}")
_COMMAND = re.compile(r"\\[A-Za-z]+")
_RELATION = re.compile(r"[<>]|\\(?:le|ge)(?![A-Za-z])")
_PRIMED = re.compile(r"\d\s?(?:\^\s?\{?\s?)?(?:'|\\prime|\")")
"""Minutes or feet, which the worker's grammar drops."""
_SINGLE = re.compile(r"\\?[A-Za-z]+|[A-Z]{2,}\d\w*|\w*\d[A-Z]{2,}\w*")


def _symbolic(gold: Reading, answer: Reading, context: Context) -> Outcome:
    """Asks the worker, since at least one side is an expression."""
    for one, other in ((gold, answer), (answer, gold)):
        if one.number and _SINGLE.fullmatch(other.text) and other.text not in ("e", "\\pi", "pi", "i"):
            return Outcome.FAIL if one is gold or _SINGLE.fullmatch(gold.text) else Outcome.ABSTAIN
    if _same_letters(gold, answer):
        return Outcome.PASS
    if bool(_PRIMED.search(gold.source)) != bool(_PRIMED.search(answer.source)):
        return Outcome.INVALID
    if len(answer.source) > MAX_SYMBOLIC:
        return Outcome.INVALID
    if len(gold.source) > MAX_SYMBOLIC:
        return Outcome.ABSTAIN
    try:
        return _asked(gold, answer, context)
    except OutageError:
        # what an answer is written like is no outage of ours where the reference is a plain number
        if gold.number is None:
            raise
        return Outcome.INVALID


def _asked(gold: Reading, answer: Reading, context: Context) -> Outcome:
    """The outcome that the worker gives."""
    number = gold.number or answer.number
    if number is not None and number.decimals is not None and number.decimals >= context.precision:
        found = symbolic.value((answer if gold.number else gold).source, context.end)
        return Outcome.FAIL if found is None else _outcome(rounds_to(Fraction(found), number.value, number.decimals))
    left, right = _latex(gold), _latex(answer)
    if not _names_agree(gold, answer) or (gold.name != answer.name and ("=" in gold.source or "=" in answer.source)):
        # `2x - y = 3` against `y = 2x - 3`, of which only the right side was kept
        left, right = (
            f"{r.name} = {text}" if r.name and "=" not in r.source else text
            for r, text in ((gold, left), (answer, right))
        )
    reply = symbolic.same(left, right, context.end)
    if isinstance(reply, bool):
        return _outcome(reply)
    return Outcome.INVALID if reply == "answer" else Outcome.ABSTAIN


def _latex(reading: Reading) -> str:
    if reading.number is None:
        return reading.source
    value = reading.number.value / 100 if reading.number.percent else reading.number.value
    sign = "-" if value < 0 else ""
    return f"{sign}\\frac{{{abs(value.numerator)}}}{{{value.denominator}}}" if value.denominator != 1 else str(value)
