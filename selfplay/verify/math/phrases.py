"""Answers that are words and numbers together: times, ratios, compound quantities, phrases.

None of them is ever reduced to one of its numbers: `6:30 PM` is not 30, `3 out of 5` is not 5. Each is brought to a
canonical text, and equal texts are equal answers.
"""

import re

from selfplay.answers.numerals import read_number
from selfplay.verify.math.units import unit_words

_CLOCK = re.compile(r"(\d{1,2})(?::(\d{2}))?(?::(\d{2}))?\s?([ap])\.?\s?m\.?", re.IGNORECASE)
_COLONS = re.compile(r"-?\d{1,40}(?:\s?:\s?\d{1,40})+")
_COMPOUND_UNITS = frozenset([
    "year", "month", "week", "day", "hour", "minute", "second", "mile", "yard", "foot", "inch", "kilometer", "meter",
    "centimeter", "pound", "ounce", "kilogram", "gram", "dollar", "cent", "degree", "liter", "milliliter",
])  # fmt: skip
_QUANTITY = re.compile(r"(\d[\d,.]*)\s?([A-Za-z]{1,12})\.?(?:,?\s(?:and\s)?|,\s?|$)")
_TOKEN = re.compile(r"\\[A-Za-z]+|[A-Za-z]+(?:'[a-z]+)?|\d+(?:\s?:\s?\d+)+|\d[\d,]*(?:\.\d+)?|\S")
_WORD = re.compile(
    r"(?:^|[\s(])(?=[A-Za-z]*[aeiouyAEIOUY])(?:[A-Za-z]{4,}|(?i:of|to|if|is|in|at|by|as|on|an|no|or|th))(?![A-Za-z])"
)
_SHORT_WORD = re.compile(r"(?:^|[\s(])(?=[A-Za-z]*[aeiouyAEIOUY])[A-Za-z]{2,}(?![A-Za-z])")
_OPERATOR = re.compile(r"[-+*/^=<>\\]")
"""Beside one, a few letters are unknowns: `abc + 1`."""
_SILENT = frozenset({"the", "and", "from", ",", ";", "."})
_DASH = {"to": "-"}
_RANGE = re.compile(r"\d:\d")


def clock(text: str) -> str | None:
    """`6:30 PM`, `6 p.m.` as a time of day, `18:30`; None where there is no AM or PM."""
    match = _CLOCK.fullmatch(text)
    if match is None:
        return None
    hour, minute, second = (int(part or 0) for part in match.group(1, 2, 3))
    if not 1 <= hour <= 12 or minute > 59 or second > 59:
        return None
    after_noon = match[4].lower() == "p"
    time = f"{hour % 12 + 12 * after_noon}:{minute}" + (f":{second}" if second else "")
    # without AM, `6:00` may be either half of the day; from 13:00 on, and at 0:30, there is no doubt
    return time if after_noon or hour == 12 else time + " am"


def colons(text: str) -> str | None:
    """`2:3`, `12:00`, `1:2:3` with plain numbers; None where it is none. A ratio is not reduced."""
    if not _COLONS.fullmatch(text):
        return None
    return ":".join(str(int(part)) for part in text.split(":"))


def compound(text: str) -> str | None:
    """`3 hours and 20 min`, `5 ft 6 in` as its quantities in order, by name of unit; None where it is none."""
    found, at = [], 0
    while at < len(text):
        match = _QUANTITY.match(text, at)
        number = read_number(match[1]) if match else None
        if match is None or number is None:
            return None
        words = ["inch"] if match[2] == "in" else unit_words(match[2].lower())
        if len(words) != 1 or words[0] not in _COMPOUND_UNITS:
            return None
        found.append(f"{number.value} {words[0]}")
        at = match.end()
    return " ".join(found) if len(found) > 1 else None


def phrase(text: str) -> str | None:
    """Words and numbers, or times and more, token by token, words in small letters and the singular; None where there are none."""
    word = _WORD if _OPERATOR.search(text) else _SHORT_WORD
    spoken = " " in text and word.search(text) and "\\begin" not in text
    if not spoken and not _RANGE.search(text):
        return None
    tokens = [_token(token) for token in _TOKEN.findall(text.replace("--", "-"))]
    return " ".join(token for token in tokens if token not in _SILENT)


def _token(token: str) -> str:
    if token[0].isdigit():
        if ":" in token:
            return colons(token) or token
        number = read_number(token)
        return token if number is None else str(number.value)
    if len(token) > 1 and token[0].isalpha():
        token = token.casefold()
        return _DASH.get(token, (unit_words(token) or [token])[0])
    return token
