"""Floor 3: do the numbers a step uses come from somewhere? A flag to look at, never a verdict."""

import re
from fractions import Fraction

from selfplay.verify.math.claims import Claim, scan

_WORDS = {
    word: Fraction(value)
    for value, words in {
        1: "one first", 2: "two second half halves twice double doubled doubles both pair pairs couple other another twins",
        3: "three third thirds thrice triple tripled triples triplets", 4: "four fourth fourths quarter quarters quadruple",
        5: "five fifth fifths", 6: "six sixth sixths", 7: "seven seventh sevenths", 8: "eight eighth eighths", 9: "nine ninth ninths",
        10: "ten tenth tenths", 11: "eleven", 12: "twelve dozen dozens", 13: "thirteen", 14: "fourteen", 15: "fifteen", 16: "sixteen",
        17: "seventeen", 18: "eighteen", 19: "nineteen", 20: "twenty score", 30: "thirty", 40: "forty", 50: "fifty", 60: "sixty",
        70: "seventy", 80: "eighty", 90: "ninety", 100: "hundred", 1000: "thousand", 10**6: "million",
    }.items()
    for word in words.split()
}  # fmt: skip
_UNITS = [
    (re.compile(r"\b(?:dozen|year|annual|month|inch|foot|feet|noon|clock|a\.?m|p\.?m)", re.IGNORECASE), (12,)),
    (re.compile(r"\b(?:week|daily|every day|per day|each day|a day)", re.IGNORECASE), (7,)),
    (re.compile(r"\b(?:year|annual|weekly|week)", re.IGNORECASE), (52, 4)),
    (re.compile(r"\b(?:month|year)", re.IGNORECASE), (30, 31, 28, 365, 4)),
    (re.compile(r"\b(?:minute|hour|second|mph|min\b)", re.IGNORECASE), (60, 3600)),
    (re.compile(r"\b(?:day|hour)", re.IGNORECASE), (24,)),
    (re.compile(r"%|percent|cent|meter|cm|tax|interest|discount|\$|rate|centur|increase", re.IGNORECASE), (100, "0.01")),
    (re.compile(r"\b(?:kilo|kg|km|gram|liter|ml|meter)", re.IGNORECASE), (1000,)),
    (re.compile(r"\b(?:yard|foot|feet)", re.IGNORECASE), (3,)),
    (re.compile(r"\b(?:pound|ounce|oz)", re.IGNORECASE), (16,)),
    (re.compile(r"\bmile", re.IGNORECASE), (5280,)),
    (re.compile(r"\b(?:gallon|quart|quarters?|pint|square|side)", re.IGNORECASE), (4, 8)),
    (re.compile(r"\b(?:weekend|average|remaining|rest)", re.IGNORECASE), (2,)),
    (re.compile(r"\b(?:decade)", re.IGNORECASE), (10,)),
    (re.compile(r"\b(?:nickel|dime|quarter|penn)", re.IGNORECASE), (5, 10, 25)),
]  # fmt: skip
_ALWAYS = (Fraction(0), Fraction(1))


class Known:
    """Numbers that a solution may use: those of the question and its usual constants, then the results of its steps."""

    def __init__(self, question: str) -> None:
        self.values: set[Fraction] = set(_ALWAYS)
        self._text(question)

    def _text(self, text: str) -> None:
        for token in scan(text[:4000]):
            if token.kind == "num":
                self._add(token.value, token.percent)
            elif token.kind == "letter" and (number := re.match(r"\$?[\d,.]*\d", token.text)):
                self._add(Fraction(number[0].lstrip("$").replace(",", "")), False)
        for word in re.findall(r"[a-z]+", text.lower()):
            if word in _WORDS:
                self._add(_WORDS[word], False)
        for pattern, constants in _UNITS:
            if pattern.search(text):
                self.values.update(map(Fraction, constants))

    def _add(self, value: Fraction, percent: bool) -> None:
        self.values.add(value)
        if percent or 0 < value < 1:
            share = value
            self.values |= {share, share * 100, 1 - share, 1 + share, 100 - share * 100, 100 + share * 100}
        if 1 < value <= 100:
            # a number may be meant as percent, and `a third` as 1/3
            share = value / 100
            self.values |= {share, 1 - share, 1 + share, 100 - value, 100 + value, 1 / value}

    def foreign(self, found: list[Claim]) -> tuple[str, ...]:
        """Numbers on the left sides of the step's claims that are not known; notes speak for the step where it has any."""
        notes = [claim for claim in found if claim.note]
        seen: list[str] = []
        step: set[Fraction] = set()
        for claim in notes or found:
            for number in claim.sides[0].numbers:
                if not self._has(number) and not self._has(abs(number)) and number not in step:
                    seen.append(str(number) if number.denominator == 1 else f"{float(number):.6g}")
            step |= {side.value for side in claim.sides}
        return tuple(dict.fromkeys(seen))

    def _has(self, number: Fraction) -> bool:
        if number in self.values:
            return True
        if number.denominator == 1:
            return False
        places = max(2, len(str(float(number)).partition(".")[2]))
        return any(abs(number - value) * 10 ** min(places, 6) < 1 for value in self.values)

    def learn(self, step: str, found: list[Claim]) -> None:
        """Add what a step gives: its results, and all numbers it names in words or digits outside its calculations."""
        for claim in found:
            for side in claim.sides:
                self.values.add(side.value)
                self.values |= set(side.numbers) if side.single else set()
        self._text(step if not found else "")
