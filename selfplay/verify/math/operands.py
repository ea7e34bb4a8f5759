"""Finds numbers of a step that neither the question nor an earlier step gives. They are a flag for the reader, never a verdict."""

import re
from fractions import Fraction

from selfplay.verify.math.arithmetic import exact
from selfplay.verify.math.claims import Claim

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
_CONSTANTS = {
    "dozen annual noon clock a.m p.m am pm": (12,), "month": (12, 30, 31, 28, 4), "inch foot feet": (12, 3), "yard": (3,),
    "year": (12, 52, 4, 30, 31, 28, 365), "week daily": (7, 52, 4), "every day": (7,), "each day": (7,), "per day": (7,), "a day": (7,),
    "minute hour second mph min": (60, 3600, 24), "day": (24,), "% percent cent meter cm tax interest discount $ rate increase": (100, "0.01"),
    "centur": (100,), "kilo kg km gram liter ml": (1000,), "pound ounce oz": (16,), "mile": (5280,),
    "gallon quart pint square side": (4, 8), "weekend average remaining rest": (2,), "decade": (10,), "nickel dime penn": (5, 10, 25),
}  # fmt: skip
"""Words of the text and the constants that they bring, such as 12 for feet; matched at the start of a word."""
_STEMS = {
    stem: tuple(map(Fraction, constants))
    for stems, constants in _CONSTANTS.items()
    for stem in ([stems] if stems.endswith(" day") else stems.split(" "))
}
_STEM = re.compile(
    "|".join(
        rf"{'' if stem in '%$' else chr(92) + 'b'}{re.escape(stem)}" for stem in sorted(_STEMS, key=len, reverse=True)
    )
)
_NUMBER = re.compile(r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d{1,30})(?:\.\d{1,30})?|\.\d{1,30}")
_PERCENT = re.compile(r"\s?(?:\\?%|percent\b)")
_ALWAYS = (Fraction(0), Fraction(1))


class Known:
    """Numbers that a solution may use: those of the question and its usual constants, then the results of its steps."""

    def __init__(self, question: str) -> None:
        self.values: set[Fraction] = set(_ALWAYS)
        self._text(question)

    def _text(self, text: str) -> None:
        text = text[:4000].lower()
        for match in _NUMBER.finditer(text):
            value = exact(match[0].replace(",", ""))
            percent = bool(_PERCENT.match(text, match.end()))
            self._add(value / 100 if percent else value, percent)
        for word in re.findall(r"[a-z]+", text):
            if word in _WORDS:
                self._add(_WORDS[word], False)
        for stem in set(_STEM.findall(text)):
            self.values.update(_STEMS[stem])

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
        """Unknown numbers on the left sides of the step's claims; if the step has notes, only these are read."""
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
        """Adds what a step contributes: its results, and all numbers that it names in words or digits outside its calculations."""
        for claim in found:
            for side in claim.sides:
                self.values.add(side.value)
                self.values |= set(side.numbers) if side.single else set()
        self._text(step if not found else "")
