"""One spelling for each relation, function and sign of an answer, before its structure is read."""

import re
from collections.abc import Callable
from fractions import Fraction

from selfplay.answers.numerals import ABOUT, plain
from selfplay.verify.math.arithmetic import MAX_DEPTH, Hopeless

MAX_ANSWER = 6_000
"""Characters; a longer answer is not read."""
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
