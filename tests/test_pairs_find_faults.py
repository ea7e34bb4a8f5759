"""The generated cases find faults: each is put around the public functions, and cases that were right before go wrong."""

import re
from collections.abc import Callable, Iterable
from functools import cache

import pytest

from selfplay.verify.math import equal
from tests.pairs import code_replies, judge_replies, mathematics, subject
from tests.pairs.code_replies import CodeCase
from tests.pairs.judge_replies import JudgeCase
from tests.pairs.mathematics import Pair

SEED = 51407
# some faults show in few integers; relations cost a solver each
COUNTS = {"integer": 1000, "polynomial": 60, "equation": 60, "quadratic": 60, "inequality": 60}
Verdict = Callable[[str, str], str]


@cache
def decided_rightly(kind: str) -> tuple[Pair, ...]:
    """The pairs of a kind that the code as it is decides as they were made."""
    made = mathematics.pairs(SEED, COUNTS.get(kind, 100), kind)
    return tuple(p for p in made if (subject.verdict(p.gold, p.reply) == "pass") is p.equal)


def rewritten(change: Callable[[str], str]) -> Verdict:
    """A comparison that changes both texts first."""
    return lambda gold, reply: subject.verdict(change(gold), change(reply))


def without(pattern: str, put: str = "") -> Verdict:
    """A comparison that does not see a part of both texts."""
    return rewritten(lambda text: re.sub(pattern, put, text))


def reply_through(change: Callable[[str], str]) -> Verdict:
    """A comparison that changes the reply first."""
    return lambda gold, reply: subject.verdict(gold, change(reply))


def passing(found: bool) -> str:
    return "pass" if found else "fail"


def any_of(gold: str, parts: Iterable[str]) -> str:
    return passing(any(subject.verdict(gold, part) == "pass" for part in parts if part.strip()))


def last_numbers_agree(gold: str, reply: str) -> str:
    ends = [re.findall(r"\d+(?:\.\d+)?", text)[-1:] for text in (gold, reply)]
    return passing(bool(ends[0]) and ends[0] == ends[1])


def either_of_two(gold: str, reply: str) -> str:
    return any_of(gold, [reply, *re.split(r"\bor\b|\\text\{ or \}|\\quad", reply)])


def any_box(gold: str, reply: str) -> str:
    return any_of(gold, [reply, *re.findall(r"\\f?boxed?\{.*?\}(?=[\s.$]|$)", reply)])


def any_line(gold: str, reply: str) -> str:
    return any_of(gold, [reply, *reply.splitlines()])


def in_places(text: str) -> str:
    return re.sub(r"\d+\.\d+", lambda number: f"{float(number[0]):.1f}", text)


def any_power_of_ten(gold: str, reply: str) -> str:
    return any_of(gold, [reply, reply.replace("%", "e1").replace("\\", ""), re.sub(r"(\d+)(?!.*\d)", r"\g<1>0", reply)])


def sorted_digits(text: str) -> str:
    return re.sub(r"\(([^()]*)\)", lambda m: "(" + ", ".join(sorted(re.split(r",\s*", m[1]))) + ")", text)


def sorted_cells(text: str) -> str:
    return re.sub(
        r"(?<=matrix\})(.*?)(?=\\end)", lambda m: " & ".join(sorted(c.strip() for c in re.split(r"&|\\\\", m[1]))), text
    )


def sorted_names(text: str) -> str:
    values = sorted(re.findall(r"= ?([^,\s$\\]+)", text))
    return ", ".join(values) if len(values) > 1 else text


def loose(gold: str, reply: str) -> str:
    return str(equal(gold, reply, tolerance=1.0).value)


def coarse(gold: str, reply: str) -> str:
    return str(equal(gold, reply, precision=1).value)


UNITS = r"\b(cm|m|km|kg|centi|kilo|inches|miles|(centi|kilo)?meters|kilograms|liters|apples|days|hours|minutes|students|pages|square)\b"
FAULTS_OF_MATHEMATICS: dict[str, tuple[Verdict, str]] = {
    "signs are not seen": (without(r"[-−]"), "integer"),
    "signs of terms are not seen": (rewritten(lambda t: t.replace("-", "+")), "polynomial"),
    "numbers are rounded": (rewritten(in_places), "decimal"),
    "a difference of one counts as equal": (loose, "integer"),
    "one place is precise enough": (coarse, "rounded"),
    "denominators are not seen": (without(r"(?<=\d)/\d+|(?<=\})\{\d+\}"), "fraction"),
    "the point of a decimal is not seen": (without(r"(?<=\d)\.(?=\d)"), "decimal"),
    "commas are decimal points": (rewritten(lambda t: re.sub(r"(?<=\d),(?=\d)", ".", t)), "integer"),
    "exponents are not seen": (without(r"\^\{?-?\d+\}?|e-?\d+"), "scientific"),
    "powers are not seen": (without(r"\^\{?\d\}?"), "polynomial"),
    "the last number decides": (last_numbers_agree, "named values"),
    "the last number decides, words": (last_numbers_agree, "two counts"),
    "the reference anywhere in the reply is enough": (lambda g, r: passing(g.strip("$") in r), "integer"),
    "brackets of an interval are all round": (rewritten(lambda t: t.replace("[", "(").replace("]", ")")), "interval"),
    "coordinates are sorted": (rewritten(sorted_digits), "tuple"),
    "a set may lack members": (lambda g, r: any_of(r, [g, *re.split(r",|and", g.strip("{}\\$"))]), "list"),
    "order counts in a set": (lambda g, r: passing(subject.verdict(g, r) == "pass" and g.strip("${}\\") in r), "set"),
    "cells of a matrix are sorted": (rewritten(sorted_cells), "matrix"),
    "names of values are not seen": (rewritten(sorted_names), "named values"),
    "the name on the left is not seen": (without(r"\b[a-z] = | = [a-z]\b"), "assignment"),
    "an equation is its left side": (without(r"= [^$\\\n]*"), "equation"),
    "constants of an equation are not seen": (without(r"(?<![\w^])\d+(?![\w])", "1"), "quadratic"),
    "directions are not seen": (rewritten(lambda t: t.replace(">", "<").replace(r"\g", r"\l")), "inequality"),
    "open is closed": (
        rewritten(lambda t: re.sub(r"(?<=[<>])=", "", t).replace(r"\le ", "< ").replace(r"\ge ", "> ")),
        "inequality",
    ),
    "units are not seen": (without(UNITS), "unit"),
    "currencies are not seen": (without(r"\\?\$(?=\d)|€|£|dollars|euros|pounds"), "money"),
    "million and thousand are not seen": (without(r"thousand|million|billion"), "large words"),
    "a percentage is any power of ten of it": (any_power_of_ten, "percent"),
    "morning is evening": (rewritten(lambda t: re.sub(r"(?i)\b[ap]\.?m\b\.?", "AM", t)), "clock time"),
    "a negated word is the word": (without(r"\bnot "), "word"),
    "a denied value is stated": (without(r"\bnot "), "integer"),
    "the letter of a choice is not seen": (without(r"(?<![A-Za-z])[A-E](?![A-Za-z])", "B"), "choice"),
    "capitals count": (lambda g, r: passing(subject.verdict(g, r) == "pass" and g.strip("$") in r), "yes or no"),
    "bases are not seen": (without(r"_\{?\d\}?"), "base"),
    "parts of a ratio are swapped freely": (
        rewritten(lambda t: re.sub(r"[\d]+(?: ?: ?\d+)+", lambda m: ":".join(sorted(re.findall(r"\d+", m[0]))), t)),
        "ratio",
    ),
    "pi is one": (without(r"\*?\\?(pi|π)"), "pi"),
    "i is not seen": (rewritten(lambda t: re.sub(r"\b(\d*)i\b", r"\1", t)), "complex"),
    "roots are not seen": (without(r"\\sqrt|sqrt"), "radical"),
    "either of two answers is enough": (either_of_two, "integer"),
    "any box is enough": (any_box, "fraction"),
    "any line is enough": (any_line, "integer"),
    "thoughts are read": (reply_through(lambda t: re.sub(r"</?think>", "", t)), "word"),
    "the first line is the answer": (reply_through(lambda t: t.splitlines()[0] if t else t), "integer"),
    "the last line is the answer": (reply_through(lambda t: t.splitlines()[-1] if t else t), "integer"),
    "LaTeX is not read": (lambda g, r: "invalid" if "\\" in r else subject.verdict(g, r), "fraction"),
    "a fault is a pass": (lambda g, r: passing(subject.verdict(g, r) != "fail"), "integer"),
}


@pytest.mark.parametrize("fault", FAULTS_OF_MATHEMATICS)
def test_pairs_find_a_comparison_that(fault: str) -> None:
    verdict, kind = FAULTS_OF_MATHEMATICS[fault]
    pairs = decided_rightly(kind)
    found = [pair for pair in pairs if (verdict(pair.gold, pair.reply) == "pass") is not pair.equal]
    assert len(pairs) >= 30 and len(found) >= 2, (len(pairs), found)


def blocks(reply: str) -> list[str]:
    return re.findall(r"```[^\n]*\n(.*?)```", reply, re.DOTALL)


FAULTS_OF_CODE: dict[str, Callable[[str, str | None], str | None]] = {
    "takes the first block": lambda reply, name: next(iter(blocks(reply)), None),
    "takes the last block": lambda reply, name: next(reversed(blocks(reply)), None),
    "joins all blocks": lambda reply, name: "\n".join(blocks(reply)) or None,
    "needs a fence": lambda reply, name: subject.code_of(reply, name) if "```" in reply else None,
    "takes the whole reply": lambda reply, name: reply,
    "reads thoughts": lambda reply, name: subject.code_of(re.sub(r"</?think>", "", reply), name),
    "keeps carriage returns out": lambda reply, name: None if "\r" in reply else subject.code_of(reply, name),
    "takes the longest block": lambda reply, name: max(blocks(reply), key=len, default=None),
    "drops the first line": lambda reply, name: (subject.code_of(reply, name) or "").partition("\n")[2] or None,
}


@cache
def programs_found() -> tuple[CodeCase, ...]:
    made = [code_replies.case(SEED, index) for index in range(600)]
    return tuple(c for c in made if (code_replies.verdict(c, subject.code_of) == "pass") is c.equal)


@pytest.mark.parametrize("fault", FAULTS_OF_CODE)
def test_replies_find_an_extractor_that(fault: str) -> None:
    found = [c for c in programs_found() if (code_replies.verdict(c, FAULTS_OF_CODE[fault]) == "pass") is not c.equal]
    assert len(found) >= 2, fault


def score_of(text: str | None) -> float | None:
    return float(text) if text is not None else None


def first_match(pattern: str, reply: str, *, last: bool = False) -> float | None:
    found = re.findall(pattern, reply)
    return score_of(found[-1 if last else 0]) if found else None


def held(reply: str) -> float | None:
    score = first_match(r'"score": (-?\d+(?:\.\d+)?)', reply)
    return None if score is None else min(max(score, 0.0), 10.0)


OBJECT = r'\{[^{}]*"score": (\d+(?:\.\d+)?)[^{}]*\}'
FAULTS_OF_GRADES: dict[str, Callable[[str], float | None]] = {
    "takes the first object": lambda reply: first_match(OBJECT, reply),
    "takes the last object": lambda reply: first_match(OBJECT, reply, last=True),
    "takes any number named score": lambda reply: first_match(r'"score": (\d+(?:\.\d+)?)', reply, last=True),
    "brings a score into the range": held,
    "takes any number": lambda reply: first_match(r"\d+(?:\.\d+)?", reply, last=True),
    "reads thoughts": lambda reply: subject.grade_of(re.sub(r"</?think>", "", reply)),
    "mends what is cut off": lambda reply: subject.grade_of(reply) or subject.grade_of(reply + "}"),
    "needs the object alone": lambda reply: subject.grade_of(reply) if reply.startswith("{") else None,
    "drops the fraction": lambda reply: None if (found := subject.grade_of(reply)) is None else float(int(found)),
    "takes the higher of two": lambda reply: max(map(float, re.findall(OBJECT, reply)), default=None),
}


@cache
def grades_found() -> tuple[JudgeCase, ...]:
    made = [judge_replies.case(SEED, index) for index in range(600)]
    return tuple(c for c in made if (judge_replies.verdict(c, subject.grade_of) == "pass") is c.equal)


@pytest.mark.parametrize("fault", FAULTS_OF_GRADES)
def test_replies_find_a_reader_of_grades_that(fault: str) -> None:
    found = [c for c in grades_found() if (judge_replies.verdict(c, FAULTS_OF_GRADES[fault]) == "pass") is not c.equal]
    assert len(found) >= 2, fault
