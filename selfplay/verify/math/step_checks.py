"""Checks reasoning step by step, as far as arithmetic and simple algebra go.

`right`: the step claims calculations, and all of them hold. `wrong`: one does not hold. `unchecked`: it claims none
that can be read. That a calculation holds does not show that it is the one that the problem asks for: docs/math.md says
what this finds and what it cannot find.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from selfplay.answers import extract_answer, read_number
from selfplay.verify.math.algebra import Unknowns
from selfplay.verify.math.claims import Claim, Side, claims, without_bullets
from selfplay.verify.math.operands import Known

EVIDENCE_CHARS = 300


class StepOutcome(StrEnum):
    """The outcome of checking one step."""

    RIGHT = "right"
    WRONG = "wrong"
    UNCHECKED = "unchecked"

    def __bool__(self) -> bool:
        """Raises TypeError: every word would be true, `wrong` included."""
        raise TypeError(
            f"a step's outcome is not a yes/no: compare it, as in `outcome is StepOutcome.WRONG` (this one: {self.value})"
        )


@dataclass(frozen=True, slots=True)
class StepVerdict:
    """The verdict on one step."""

    index: int
    """From 0."""
    outcome: StepOutcome
    evidence: str = ""
    """The first calculation that does not hold with its value, or those that were checked; bounded."""
    foreign: tuple[str, ...] = ()
    """Numbers used that neither the question nor an earlier step gives: a flag, not part of the outcome."""


@dataclass(frozen=True, slots=True)
class SolutionVerdict:
    """The verdict on a whole solution."""

    steps: tuple[StepVerdict, ...]
    first_wrong: int | None
    """Index of the first wrong step, None where no step is."""
    answer_follows: StepOutcome
    """Whether the final answer is a number the last calculation gives; `unchecked` where there is neither."""
    first_foreign: int | None
    """Index of the first step that uses a number from nowhere; None where none does, or no question was given."""


def check_steps(steps: Sequence[str], question: str | None = None, answer: str | None = None) -> list[StepVerdict]:
    """One verdict per step, in order. With `question`, numbers that neither it nor an earlier step gives are listed in `foreign`.

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
    said = {_rounds(value, number.value, number.decimals or 0) for value in values}
    return next(word for word in (StepOutcome.RIGHT, StepOutcome.UNCHECKED, StepOutcome.WRONG) if word in said)


def _check(index: int, step: str, found: list[Claim], known: Known | None, unknowns: Unknowns) -> StepVerdict:
    said = [pair for claim in found for pair in _pairs(claim)]
    faults = [fault for outcome, fault in said if outcome is StepOutcome.WRONG]
    algebra = unknowns.read(without_bullets(step))
    if algebra.fault:
        faults.append(algebra.fault)
    foreign: tuple[str, ...] = ()
    if known is not None:
        foreign = known.foreign(found)
        known.learn(step, found)
    if faults and not algebra.fault and _holds_as_written(step):
        # `- 3 + 4 = 1`: wrong behind a bullet, right with a minus
        return StepVerdict(index, StepOutcome.UNCHECKED, "", foreign)
    if faults:
        return StepVerdict(index, StepOutcome.WRONG, faults[0][:EVIDENCE_CHARS], foreign)
    checked = [claim for claim in found if _checked(claim)]
    undecided = any(outcome is StepOutcome.UNCHECKED for outcome, _ in said)
    if (checked or algebra.checked) and not undecided:
        shown = "; ".join(" = ".join(side.text for side in claim.sides) for claim in checked) or algebra.evidence
        return StepVerdict(index, StepOutcome.RIGHT, shown[:EVIDENCE_CHARS], foreign)
    return StepVerdict(index, StepOutcome.UNCHECKED, "", foreign)


def _holds_as_written(step: str) -> bool:
    """Whether every calculation holds where a dash at the start of a line is read as a minus."""
    found = claims(step, bullets=False)
    return bool(found) and all(outcome is StepOutcome.RIGHT for claim in found for outcome, _ in _pairs(claim))


def _checked(claim: Claim) -> bool:
    return any(not side.single for side in claim.sides)


def _pairs(claim: Claim) -> list[tuple[StepOutcome, str]]:
    """Of each two neighbouring sides, whether they agree, and what is wrong where they do not."""
    said = []
    for place, (left, right) in enumerate(zip(claim.sides, claim.sides[1:], strict=False), start=2):
        outcome = _agree(left, right, claim, ends=place == len(claim.sides))
        said.append((outcome, f"{left.text} = {_shown(left.value)}, not {right.text}"))
    return said


def _shown(value: Fraction) -> str:
    if value.denominator == 1:
        return str(value)[:60]
    exact = value.denominator
    while exact % 2 == 0:
        exact //= 2
    while exact % 5 == 0:
        exact //= 5
    return f"{float(value):.10g}" if exact == 1 and abs(value) < 10**15 else str(value)[:60]


# Units of one kind with their size; None where it is not fixed.
_MEASURES: list[dict[str, Fraction | None]] = [
    {
        **dict.fromkeys(("second", "sec"), Fraction(1)),
        **dict.fromkeys(("minute", "min"), Fraction(60)),
        **dict.fromkeys(("hour", "hr"), Fraction(3600)),
        "day": Fraction(86400),
        "week": Fraction(7 * 86400),
        "month": None,
        "year": None,
    },
    {
        **dict.fromkeys(("inch", "inche"), Fraction(254, 100)),
        **dict.fromkeys(("foot", "feet"), Fraction(3048, 100)),
        "yard": Fraction(9144, 100),
        "mile": Fraction(5280 * 3048, 100),
        "mm": Fraction(1, 10),
        **dict.fromkeys(("cm", "centimeter"), Fraction(1)),
        **dict.fromkeys(("m", "meter"), Fraction(100)),
        **dict.fromkeys(("km", "kilometer"), Fraction(100_000)),
    },
    {
        **dict.fromkeys(("ounce", "oz", "pound", "lb", "ton")),
        "mg": Fraction(1, 1000),
        **dict.fromkeys(("gram", "g"), Fraction(1)),
        **dict.fromkeys(("kilogram", "kg"), Fraction(1000)),
    },
    {
        **dict.fromkeys(("cent", "penny", "pennie"), Fraction(1)),
        "nickel": Fraction(5),
        "dime": Fraction(10),
        "quarter": Fraction(25),
        "dollar": Fraction(100),
    },
    {
        "cup": Fraction(1),
        "pint": Fraction(2),
        "quart": Fraction(4),
        "gallon": Fraction(16),
        **dict.fromkeys(("liter", "ml", "l", "tablespoon", "teaspoon", "dozen", "pair")),
    },
]


def _converted(left: Side, right: Side) -> StepOutcome | None:
    """Whether two sides agree that are given in different units of one kind; None where they are not."""
    words = [{word.rstrip(".").rstrip("s") for word in side.unit.split()} for side in (left, right)]
    for measure in _MEASURES:
        one, other = words[0] & measure.keys(), words[1] & measure.keys()
        if len(one) == len(other) == 1 and one != other:
            sizes = measure[min(one)], measure[min(other)]
            if sizes[0] is None or sizes[1] is None:
                return StepOutcome.UNCHECKED
            same = left.value * sizes[0] == right.value * sizes[1]
            return StepOutcome.RIGHT if same else StepOutcome.UNCHECKED
        if len(one) > 1 or (one and other and one != other):
            return StepOutcome.UNCHECKED
    return None


def _agree(left: Side, right: Side, claim: Claim, ends: bool) -> StepOutcome:
    """Whether two sides agree, exactly or to the places that the right one states; `ends`: no side follows.

    `unchecked` where words, percents or a rounding to whole numbers leave it open.
    """
    if (plain := _rounded(left.value, right)) is not StepOutcome.WRONG:
        return plain
    if (percent := _percents(left, right)) is not StepOutcome.WRONG:
        return percent
    if not right.single and (running := _running(left, right, ends)) is not StepOutcome.WRONG:
        return running
    if not claim.note and (converted := _converted(left, right)) is not None:
        return converted
    if left.single and right.single and right.decimals == 0 and (claim.approximate or left.unit != right.unit):
        return StepOutcome.UNCHECKED
    if claim.approximate and right.value and abs(left.value - right.value) <= abs(right.value) / 20:
        return StepOutcome.UNCHECKED
    return StepOutcome.WRONG


def _percents(left: Side, right: Side) -> StepOutcome:
    """Whether two sides agree in another reading of their percents; `wrong` where no other reading is usual."""
    if right.percents == (True,) and not any(left.percents):
        # `30 + 20 = 50%`: percent counted in whole numbers
        return _rounds(left.value, right.numbers[0], max(0, right.decimals - 2))
    if left.taken is not None:
        # `100 - 20% = 80` takes the percent of what stands before it
        taken = _rounded(left.taken, right)
        return StepOutcome.UNCHECKED if taken is StepOutcome.WRONG else taken
    if left.loose is None and right.loose is None:
        return StepOutcome.WRONG
    plain_left, plain_right = (side.value if side.loose is None else side.loose for side in (left, right))
    same = _rounds(plain_left, plain_right, max(0, right.decimals - (2 if any(right.percents) else 0)))
    if same is StepOutcome.RIGHT and not (all(left.percents) or all(right.percents)):
        # `25% * 80 = 2000` forgets the percent
        return StepOutcome.UNCHECKED
    return same


_PLAIN_FRACTION = re.compile(r"[-(]*\d+/\d+\)*")


def _running(left: Side, right: Side, ends: bool) -> StepOutcome:
    """Checks a running calculation, `4*200 = 800 + 240 = 1040`: its equals sign refers to the first number alone."""
    if right.share == left.value:
        # `3/3 - 2/3 = 1/3 of 150`
        return StepOutcome.UNCHECKED
    first = _rounds(left.value, right.numbers[0], 0)
    fraction = _PLAIN_FRACTION.fullmatch(right.text) is not None
    if first is StepOutcome.WRONG or (fraction and ends):
        return StepOutcome.WRONG
    return StepOutcome.UNCHECKED if fraction or ends else first


def _rounded(value: Fraction, stated: Side) -> StepOutcome:
    return _rounds(value, stated.value, stated.decimals) if stated.single else _same(value, stated.value)


def _same(value: Fraction, stated: Fraction) -> StepOutcome:
    return StepOutcome.RIGHT if value == stated else StepOutcome.WRONG


def _rounds(value: Fraction, stated: Fraction, places: int) -> StepOutcome:
    """Whether `value` is `stated` to that many decimals: rounded, either way at a tie, or cut off.

    `wrong` where a fraction is stated, which is exact, or where the value itself has no more places. A whole number for a
    value that is none is `unchecked`: nothing shows that it was meant to be rounded.
    """
    scale = 10**places
    value, stated = value * scale, stated * scale
    if value == stated or stated.denominator != 1 or value.denominator == 1:
        return _same(value, stated)
    cut = int(value)
    if stated != cut and abs(value - stated) > Fraction(1, 2):
        return StepOutcome.WRONG
    return StepOutcome.RIGHT if places else StepOutcome.UNCHECKED
