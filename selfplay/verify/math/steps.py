"""Floor 3: reasoning checked step by step, as far as arithmetic and simple algebra can see.

`right`: the step claims a calculation, and every one it claims holds. `wrong`: one does not. `unchecked`: it claims none
that can be read. That a calculation holds says nothing of whether it is the one the problem asks for: see docs/math.md
for what this finds and what it cannot.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from selfplay.answers import extract_answer, read_number
from selfplay.verify.math.algebra import Unknowns
from selfplay.verify.math.claims import Claim, Side, claims
from selfplay.verify.math.operands import Known

EVIDENCE_CHARS = 300


class StepOutcome(StrEnum):
    """What the reader says of one step."""

    RIGHT = "right"
    WRONG = "wrong"
    UNCHECKED = "unchecked"

    def __bool__(self) -> bool:
        """Refused: every word would be true, `wrong` included."""
        raise TypeError(
            f"a step's outcome is not a yes/no: compare it, as in `outcome is StepOutcome.WRONG` (this one: {self.value})"
        )


@dataclass(frozen=True, slots=True)
class StepVerdict:
    """What is said of one step."""

    index: int
    """From 0."""
    outcome: StepOutcome
    evidence: str = ""
    """The first calculation that does not hold with its value, or those that were checked; bounded."""
    foreign: tuple[str, ...] = ()
    """Numbers used that neither the question nor an earlier step gives: a flag, not part of the outcome."""


@dataclass(frozen=True, slots=True)
class SolutionVerdict:
    """What is said of a whole solution."""

    steps: tuple[StepVerdict, ...]
    first_wrong: int | None
    """Index of the first wrong step, None where no step is."""
    answer_follows: StepOutcome
    """Whether the final answer is a number the last calculation gives; `unchecked` where there is neither."""
    first_foreign: int | None
    """Index of the first step that uses a number from nowhere; None where none does, or no question was given."""


def check_steps(steps: Sequence[str], question: str | None = None, answer: str | None = None) -> list[StepVerdict]:
    """One verdict a step, in order. With `question`, numbers that come from nowhere are flagged in `foreign`.

    With `answer`, the evidence of the last step says so where the answer does not follow from the calculations; no
    outcome changes by it. Never raises on what a model wrote; reads at most 4,000 characters of a step.
    """
    verdicts, found = _read(steps, question)
    if answer is not None and verdicts and _follows(found, answer) is StepOutcome.WRONG:
        last = verdicts[-1]
        evidence = f"{last.evidence}; the answer {answer[:60]} is not what the last calculation gives".lstrip("; ")
        verdicts[-1] = StepVerdict(last.index, last.outcome, evidence[:EVIDENCE_CHARS], last.foreign)
    return verdicts


def _read(steps: Sequence[str], question: str | None) -> tuple[list[StepVerdict], list[list[Claim]]]:
    """The verdicts and the claims of each step."""
    known = Known(question) if question is not None else None
    unknowns = Unknowns()
    found = [claims(step) for step in steps]
    return [_check(i, step, found[i], known, unknowns) for i, step in enumerate(steps)], found


def check_solution(steps: Sequence[str], question: str | None = None, answer: str | None = None) -> SolutionVerdict:
    """The verdicts of `check_steps` and what they say together."""
    verdicts, found = _read(steps, question)
    follows = _follows(found, answer) if answer is not None else StepOutcome.UNCHECKED
    foreign = next((v.index for v in verdicts if v.foreign), None)
    return SolutionVerdict(tuple(verdicts), first_wrong(verdicts), follows, foreign)


def first_wrong(verdicts: Sequence[StepVerdict]) -> int | None:
    """Index of the first wrong step, or None."""
    return next((v.index for v in verdicts if v.outcome is StepOutcome.WRONG), None)


def answer_follows(steps: Sequence[str], answer: str) -> StepOutcome:
    """Whether the answer is the result of the last step that calculates anything (to its own rounding)."""
    return _follows([claims(step) for step in steps], answer)


def _follows(found: Sequence[list[Claim]], answer: str) -> StepOutcome:
    text = extract_answer(answer)
    number = read_number(text) if text else None
    last = next((one for one in reversed(found) if one), None)
    if number is None or not last:
        return StepOutcome.UNCHECKED
    results = [side for claim in last for side in claim.sides[1:]]
    values = {value for side in results for value in (side.value, *side.numbers)}
    if any(_rounds(value, number.value, number.decimals or 0) for value in values):
        return StepOutcome.RIGHT
    return StepOutcome.WRONG


def _check(index: int, step: str, found: list[Claim], known: Known | None, unknowns: Unknowns) -> StepVerdict:
    faults = [fault for claim in found if (fault := _fault(claim))]
    algebra = unknowns.read(step)
    if algebra.fault:
        faults.append(algebra.fault)
    foreign: tuple[str, ...] = ()
    if known is not None:
        foreign = known.foreign(found)
        known.learn(step, found)
    if faults:
        return StepVerdict(index, StepOutcome.WRONG, faults[0][:EVIDENCE_CHARS], foreign)
    checked = [claim for claim in found if _checked(claim)]
    if checked or algebra.checked:
        shown = "; ".join(" = ".join(side.text for side in claim.sides) for claim in checked) or algebra.evidence
        return StepVerdict(index, StepOutcome.RIGHT, shown[:EVIDENCE_CHARS], foreign)
    return StepVerdict(index, StepOutcome.UNCHECKED, "", foreign)


def _checked(claim: Claim) -> bool:
    return any(not side.single for side in claim.sides)


def _fault(claim: Claim) -> str:
    """What is wrong with a claim, "" where it holds or cannot be judged."""
    for left, right in zip(claim.sides, claim.sides[1:], strict=False):
        if not _holds(left, right, claim):
            return f"{left.text} = {_shown(left.value)}, not {right.text}"
    return ""


def _shown(value: Fraction) -> str:
    if value.denominator == 1:
        return str(value)[:60]
    exact = value.denominator
    while exact % 2 == 0:
        exact //= 2
    while exact % 5 == 0:
        exact //= 5
    return f"{float(value):.10g}" if exact == 1 and abs(value) < 10**15 else str(value)[:60]


_MEASURES = [
    {"second", "sec", "minute", "min", "hour", "hr", "day", "week", "month", "year"},
    {"inch", "inche", "foot", "feet", "yard", "mile", "cm", "m", "km", "mm", "meter", "kilometer", "centimeter"},
    {"ounce", "oz", "pound", "lb", "ton", "gram", "g", "kg", "kilogram", "mg"},
    {"cent", "dollar", "penny", "pennie", "nickel", "dime", "quarter"},
    {"cup", "pint", "quart", "gallon", "liter", "ml", "l", "tablespoon", "teaspoon", "dozen", "pair"},
]


def _converts(left: str, right: str) -> bool:
    """Whether the sides are given in different units of one kind, so that their numbers need not agree."""
    words = [{word.rstrip(".").rstrip("s") for word in unit.split()} for unit in (left, right)]
    for measure in _MEASURES:
        one, other = words[0] & measure, words[1] & measure
        if len(one) > 1 or (one and other and one != other):
            return True
    return False


def _holds(left: Side, right: Side, claim: Claim) -> bool:
    """Whether two sides agree, exactly or to the places that the right one states; True where it cannot be judged."""
    if left.value == right.value or _rounds(left.value, right.value, right.decimals):
        return True
    if (
        right.percents == (True,)
        and not any(left.percents)
        and _rounds(left.value, right.numbers[0], max(0, right.decimals - 2))
    ):
        # `30 + 20 = 50%`: percent counted in whole numbers
        return True
    if any(side.loose is not None for side in (left, right)):
        plain_left, plain_right = (side.value if side.loose is None else side.loose for side in (left, right))
        if _rounds(plain_left, plain_right, max(0, right.decimals - (2 if any(right.percents) else 0))):
            return True
    if left.single and right.single and right.decimals == 0:
        return left.value == right.value or claim.approximate or left.unit != right.unit
    if any(left.percents) and left.additive and not all(left.percents):
        # `100 - 20% = 80` is no calculation with 0.2
        return True
    if not right.single and right.numbers and _rounds(left.value, right.numbers[0], 0):
        # a running calculation: `4*200 = 800 + 240 = 1040`
        return True
    if claim.approximate and right.value and abs(left.value - right.value) <= abs(right.value) / 20:
        return True
    return not claim.note and _converts(left.unit, right.unit)


def _rounds(value: Fraction, stated: Fraction, places: int) -> bool:
    """Whether `value` is `stated` to that many places: rounded either way at a tie, or cut off; whole numbers as well."""
    if value == stated:
        return True
    scale = 10**places
    if (value * scale).denominator == 1:
        return False
    return bool(abs(value - stated) * scale < 1)
