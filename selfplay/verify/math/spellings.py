"""One spelling for what an answer can write in many ways: relations, functions and signs, names of units, and phrases.

Phrases are words and numbers together: times, ratios, compound quantities. None of them is reduced to one of its numbers: `6:30 PM` is not 30,
`3 out of 5` is not 5. Each is brought to a canonical text, and equal texts are equal answers. Units are named, never converted.
"""

import re
from collections.abc import Callable
from fractions import Fraction

from selfplay.answers.numerals import ABOUT, plain, read_number
from selfplay.verify.math.arithmetic import MAX_DEPTH, Hopeless

MAX_ANSWER = 6_000
"""Most characters of an answer; a longer one is not read."""
OPEN, CLOSE = "([{", ")]}"
_FUNCTIONS = "sqrt|pi|sin|cos|tan|cot|sec|csc|arcsin|arccos|arctan|sinh|cosh|tanh|log|ln|exp"


def _repeating(whole: str, fixed: str, period: str) -> str:
    """`0.1\\overline{6}` as a fraction."""
    scale = 10 ** len(fixed)
    value = Fraction(int(whole + fixed or "0"), scale) + Fraction(int(period), scale * (10 ** len(period) - 1))
    return rf"\frac{{{value.numerator}}}{{{value.denominator}}}"


_Rewrite = tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]
_REWRITES: list[_Rewrite] = [
    (re.compile(r"\\(?:leq|leqslant|le)(?![A-Za-z])|<="), r"\\le "),
    (re.compile(r"\\(?:geq|geqslant|ge)(?![A-Za-z])|>="), r"\\ge "),
    (re.compile(r"\\(?:neq|ne)(?![A-Za-z])|!="), r"\\ne "),
    (re.compile(r"\\lt(?![A-Za-z])"), "<"),
    (re.compile(r"\\gt(?![A-Za-z])"), ">"),
    (re.compile(r"\\lbrace(?![A-Za-z])"), r"\\{"),
    (re.compile(r"\\rbrace(?![A-Za-z])"), r"\\}"),
    (re.compile(r"\\(?:lbrack|lparen)(?![A-Za-z])"), "["),
    (re.compile(r"\\langle(?![A-Za-z])"), "("),
    (re.compile(r"\\rangle(?![A-Za-z])"), ")"),
    (re.compile(r"\\(?:varnothing|O)(?![A-Za-z])|\\\{\s*\\\}"), r"\\emptyset "),
    (re.compile(r"\\mid(?![A-Za-z])"), "|"),
    (re.compile(r"(\d*)\.(\d{0,12})\\overline\s*\{(\d{1,12})\}"), lambda m: _repeating(m[1], m[2], m[3])),
    (re.compile(r"\\(?:cdotp|ast)(?![A-Za-z])"), r"\\cdot "),
    (re.compile(r"\binfinity\b|(?<![\\A-Za-z])inf\b|(?<![A-Za-z\\])oo\b"), r"\\infty "),
    (re.compile(r"(?<![\\A-Za-z])a(sin|cos|tan)(?=\s?\()"), r"arc\1"),
    (re.compile(rf"(?<![\\A-Za-z])({_FUNCTIONS})(?![A-Za-z])"), r"\\\1 "),
    (re.compile(r"(?<![\\A-Za-z])(gcd|lcm|max|min|det)(?=\s?\()"), r"\\\1"),
    (re.compile(r"(?<![\\A-Za-z])abs\s?\(([^()]*)\)"), r"|\1|"),
    (re.compile(r"\\sqrt\s*\(([^()]*)\)"), r"\\sqrt{\1}"),
    (re.compile(r"\\sqrt\s*(\d|[A-Za-z](?![A-Za-z]))"), r"\\sqrt{\1}"),
    (re.compile(r"\*\*"), "^"),
]  # fmt: skip
_LETTER_UNIT = re.compile(
    r"(?<=[\w})])(?:\\[,;: ]|~|\s)*\\(?:text|mathrm|mbox)\s?\{\s?(m|s|g|h|L)\s?\}(?=\s?(?:\^\s?\{?[23]\}?)?[\s.$]*$)"
)
_LETTERS = {"m": "meters", "s": "seconds", "g": "grams", "h": "hours", "L": "liters"}
_LEAD = re.compile(
    rf"(?:the answer is|answer:?|{ABOUT}|only|just|exactly|(?:option|choice)(?=\s\(?[A-J]\)?$))\s+", re.IGNORECASE
)


def canonical(text: str) -> str:
    """Text for comparison by characters: no needless spaces, `^{2}` as `^2`, no outer brackets that group nothing."""
    text = re.sub(r"(?<=[\^_])\{(\w)\}", r"\1", text)
    return re.sub(r"(?<![A-Za-z0-9]) | (?![A-Za-z0-9])", "", text).rstrip(".")


def prepared(text: str) -> str:
    """Plain text with one spelling for each relation and function. Raises Hopeless on what is too long or too deep."""
    if len(text) > MAX_ANSWER:
        raise Hopeless(f"an answer of {len(text)} characters")
    depth = deepest = 0
    for ch in text:
        depth += (ch in OPEN) - (ch in CLOSE)
        deepest = max(deepest, depth)
    if deepest > MAX_DEPTH:
        raise Hopeless(f"brackets {deepest} deep")
    if "{" in text:
        text = _LETTER_UNIT.sub(lambda m: f" {_LETTERS[m[1]]}", text)  # upright after a value: a unit, and no unknown
    text = plain(text)
    if re.search(r"[A-Za-z\\<>!*]", text):
        for pattern, new in _REWRITES:
            text = pattern.sub(new, text)
    for _ in range(3):
        text = text[match.end() :] if (match := _LEAD.match(text)) else text
    text = re.sub(r"^(?:=|\\approx|~)\s*(?=.)", "", text.strip()).rstrip(".,;:").strip()
    return re.sub(r"\s+", " ", text)


_UNIT_NAMES = {
    short: name
    for name, shorts in {
        "meter": "m metre", "centimeter": "cm centimetre", "millimeter": "mm millimetre", "kilometer": "km kilometre",
        "kilogram": "kg", "gram": "g gm", "milligram": "mg", "liter": "l litre", "milliliter": "ml millilitre",
        "foot": "ft feet", "inch": "in inches", "yard": "yd", "mile": "mi", "pound": "lb lbs gbp", "ounce": "oz",
        "second": "s sec", "minute": "min", "hour": "h hr", "year": "yr", "degree": "deg", "dollar": "usd buck", "euro": "eur",
        "mile per hour": "mph", "kilometer per hour": "km/h kph", "meter per second": "m/s",
        "person": "people", "child": "children", "man": "men", "woman": "women",
    }.items()
    for short in shorts.split()
}  # fmt: skip
_FILLER = re.compile(r"\b(?:of|the|a|an|in|total|more|less|per|each|every|to|for|at|on|units?)\b|[/.]")


def unit_words(unit: str) -> list[str]:
    """The significant words of a unit, each by its full name in the singular: `km/h` and `kilometers per hour` alike."""
    unit = re.sub(r"\s*\^\s*([23])", r"^\1", unit)
    unit = re.sub(r"\b(sq|cu|square|cubic)\.?\s+(\w+)", lambda m: f"{m[2]}^{2 if m[1].startswith('s') else 3}", unit)
    unit = re.sub(r"^in(?=\^|$)", "inch", unit)  # elsewhere `in` is a filler: `5 km in total`
    words = []
    for word in _FILLER.sub(" ", unit).split():
        stem, power, digit = word.partition("^")
        stem = _UNIT_NAMES.get(stem, stem)
        if stem.endswith("s") and len(stem) > 3 and not stem.endswith("ss"):
            stem = _UNIT_NAMES.get(stem[:-1], stem[:-1])
        words.append(stem + power + digit)
    return words


_OTHER_DOLLARS = frozenset({"ca", "au", "hk", "sg", "nz"})


def same_unit(gold: str, answer: str) -> bool:
    """Whether two units agree: one is missing, or all words of one are among the other's."""
    if not gold or not answer or gold == answer:
        return True
    left, right = set(unit_words(gold)), set(unit_words(answer))
    if (left ^ right) & _OTHER_DOLLARS and "dollar" in left & right:
        return False  # a dollar without a country is the one of the United States
    return left <= right or right <= left


_KNOWN = frozenset([*_UNIT_NAMES, *_UNIT_NAMES.values(), "unit", "cent", "mph", "square", "cubic"])
_VALUE_AND_UNIT = re.compile(
    r"(.*[\d)}A-Za-z])\s((?:(?:square|cubic|sq\.?|cu\.?)\s)?[A-Za-z]{1,12}s?\.?(?:\s?\^\s?\{?[23]\}?)?)", re.DOTALL
)


def parted_unit(text: str) -> tuple[str, str] | None:
    """A value and the unit written after it, where the unit is one of the table (one letter alone is an unknown)."""
    match = _VALUE_AND_UNIT.fullmatch(text)
    if match is None:
        return None
    unit = match[2].lower()
    word = re.sub(r"\s?\^.*|^(?:square|cubic|sq\.?|cu\.?)\s|\.$", "", unit)
    known = len(word) > 1 and (word in _KNOWN or word.removesuffix("s") in _KNOWN)
    return (match[1], unit) if known and ("\\" in match[1] or any(ch.isdigit() for ch in match[1])) else None


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
"""Next to an operator, a few letters are unknowns: `abc + 1`."""
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
    """`2:3`, `12:00`, `1:2:3` with plain numbers; None for anything else. A ratio is not reduced."""
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
