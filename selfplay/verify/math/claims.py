"""Finds the calculations that a step of reasoning claims in its prose: `16 - 3 - 4 = 9`, `5 hours x $12 = $60`, notes `<<9*2=18>>`.

Words between a number and the next sign are its unit and are skipped. Equations with a letter for a number are left to `algebra`.
"""

import re
from dataclasses import dataclass, field
from fractions import Fraction

from selfplay.verify.math.arithmetic import Hopeless, exact, value_of

_NOTE = re.compile(r"<<([^<>]{1,400})>>")
_TOKEN = re.compile(
    r"(?P<mixed>(?<![\d./])\d{1,6} \d{1,4}/\d{1,4}(?![\d./])|(?:(?<=/ )|(?<=÷ ))\d{1,6}/\d{1,6}(?![\d./]))"
    r"|(?P<num>(?:(?:US)?[$€£]\s?)?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d{1,3} 000(?!\d)|\d{1,30})(?:\.\d{1,30})?|[$€£]?\.\d{1,30})"
    r"(?P<cents>¢)?(?P<percent>\s?(?:\\?%|percent\b))?(?P<tight>[A-Za-z](?![A-Za-z]))?"
    r"|(?P<eq>=|≈|\\approx)"
    r"|(?P<op>\*\*|[-+*/^×÷−–·∗]|\\(?:times|cdot|div)(?![A-Za-z])|(?<=[\s\d)])[xX](?=\s*[\d($.]))"
    r"|(?P<open>[(\[])|(?P<close>[)\]])"
    r"|(?P<letter>[B-HJ-Zb-z](?![A-Za-z'’.]))"
    r"|(?P<word>[A-Za-z][A-Za-z'’-]*\.?(?=[\s/*=)(+-]|$)|[A-Za-z]+)"
    r"|(?P<stop>\S)"
)
_SIGNS = {
    "×": "*", "÷": "/", "−": "-", "–": "-", "·": "*", "∗": "*", "x": "*", "X": "*", "**": "^", "\\times": "*",
    "\\cdot": "*", "\\div": "/",
}  # fmt: skip
_STOP_WORDS = frozenset(
    re.findall(
        r"\w+",
        "so and then or but because since if when while which that therefore thus hence is are was were has have leaves gives",
    )
)
_MAX_UNIT_WORDS = 5


@dataclass(frozen=True, slots=True)
class Token:
    """One piece of a step: kind is num, op, eq, open, close, word, letter (a number with a letter stuck to it) or stop."""

    kind: str
    text: str
    value: Fraction = Fraction(0)
    percent: bool = False
    decimals: int = 0


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a claim."""

    text: str
    value: Fraction
    numbers: tuple[Fraction, ...]
    """Its numbers as written (20% is 20), in order."""
    decimals: int = 0
    """Of its number, where it is a single one."""
    single: bool = True
    unit: str = ""
    percents: tuple[bool, ...] = ()
    loose: Fraction | None = None
    """Its value with every percent read as a plain number, None where it has no percent."""
    taken: Fraction | None = None
    """Its value with a last `+ 5%` or `- 5%` read as that share of what stands before; None where it has no such end."""
    share: Fraction | None = None
    """Of `1/3 of 150`, the 1/3; None where it has no `of`."""


@dataclass(frozen=True, slots=True)
class Claim:
    """`a = b (= c ...)`, each side worked out."""

    sides: tuple[Side, ...]
    note: bool = False
    approximate: bool = False
    texts: list[str] = field(default_factory=list, compare=False)


def scan(text: str) -> list[Token]:
    """The tokens of a step, whose notes must have been removed."""
    return [_token(match) for match in _TOKEN.finditer(text)]


def _token(match: re.Match[str]) -> Token:
    kind = match.lastgroup or "stop"
    text = match[0]
    if kind == "mixed":
        whole, _, part = text.rpartition(" ")
        top, _, bottom = part.partition("/")
        return (
            Token("num", text, int(whole or 0) + Fraction(int(top), int(bottom)))
            if int(bottom)
            else Token("stop", text)
        )
    if match["num"]:
        if match["tight"]:
            return Token("letter", text)
        number = match["num"].lstrip("US$€£ ").replace(",", "").replace(" ", "")
        decimals = len(number.partition(".")[2])
        value = exact(number) / 100 if match["percent"] else exact(number)
        return Token("num", text, value, bool(match["percent"]), decimals)
    return Token(kind, _SIGNS.get(text, text) if kind == "op" else text)


# A list mark at the start of a line: a dash or dot, a check box, a number, a letter, `Step 3:`; a space always follows it.
_BULLET = re.compile(
    r"^[ \t>]*(?:(?:[-\u2010-\u2015\u2212*+\u2022\u2023\u2043\u00b7\u25aa\u25ab\u25cf\u25cb\u25e6\u2219]|\[[ xX]\]"
    r"|#{1,6}|(?:\*\*)?(?:[Ss]tep|STEP)[ ]\d{1,3}[ ]?[-:.)\u2013\u2014](?:\*\*)?|\(?(?:\d{1,3}|[A-Za-z]|[ivx]{1,5})\)"
    r"|(?:\d{1,3}|[A-Za-z]|[ivx]{1,5})\.\)?|\d{1,3}:|\[\d{1,3}\])[ \t\u00a0]+){1,4}",
    re.MULTILINE,
)


def without_bullets(step: str) -> str:
    """The step with `; ` in place of each list mark: `- 3 + 4 = 7` claims nothing about -3."""
    return _BULLET.sub("; ", step)


def claims(step: str, bullets: bool = True) -> list[Claim]:
    """All calculations a step claims, notes first. Claims beyond the limits of `arithmetic` are left out.

    `bullets`: whether a dash and a space at the start of a line are a list mark; otherwise the dash is a minus.
    """
    step = without_bullets(step[:4000]) if bullets else step[:4000]
    found = [claim for note in _NOTE.findall(step) if (claim := _note(note))]
    if "=" in step or "≈" in step or "approx" in step:
        tokens = scan(_NOTE.sub("", step) if "<<" in step else step)
        found.extend(_chains(tokens))
    return found


def _note(note: str) -> Claim | None:
    sides = [_side(scan(part)) for part in note.split("=")]
    whole = [side for side in sides if side is not None]
    return Claim(tuple(whole), note=True) if len(whole) == len(sides) >= 2 else None


def _chains(tokens: list[Token]) -> list[Claim]:
    found = []
    at = 0
    while at < len(tokens):
        if tokens[at].kind != "eq":
            at += 1
            continue
        left = _side(tokens[_left_edge(tokens, at) : at])
        sides, approximate = [left], False
        while at < len(tokens) and tokens[at].kind == "eq":
            approximate = approximate or tokens[at].text != "="
            edge, stop = _right_edge(tokens, at + 1)
            side = _side(tokens[at + 1 : edge])
            at = max(stop, at + 1)
            if side is None or _goes_on(tokens, stop):
                break
            sides.append(side)
        if (
            left is not None
            and left.single
            and left.unit
            and len(sides) > 1
            and sides[1] is not None
            and not sides[1].single
        ):
            # `the area of 1 room = 11 * 11`: the number belongs to the words
            sides[0] = None
        good = [side for side in sides if side is not None]
        if len(good) > 1 and any(not side.single for side in good):
            found.append(Claim(tuple(good), approximate=approximate))
    return found


def _goes_on(tokens: list[Token], at: int) -> bool:
    """Whether a side that was read up to `at` continues with something other than a number: `16 + x`."""
    return at + 1 < len(tokens) and (
        tokens[at].kind == "letter" or (tokens[at].kind == "op" and tokens[at + 1].kind in ("letter", "word"))
    )


def _left_edge(tokens: list[Token], end: int) -> int:
    """The token at which the calculation that ends before token `end` begins; `end` if it does not consist of numbers alone."""
    edge, i = end, end - 1
    while i >= 0:
        i = _before_unit(tokens, i)
        if i < 0 or tokens[i].kind not in ("num", "close"):
            break
        start = i if tokens[i].kind == "num" else _partner(tokens, i, -1)
        if start < 0:
            return end
        edge, i = start, start - 1
        if i < 0:
            return edge
        if tokens[i].kind == "op":
            before = tokens[i - 1].kind if i else "stop"
            if before not in ("num", "close", "word", "letter"):
                return i if tokens[i].text == "-" else edge
            i -= 1
        elif tokens[i].text == "of" and i and tokens[i - 1].kind == "num":
            i -= 1
        elif not (tokens[start].kind == "open" and tokens[i].kind == "num"):
            break
    return end if _is_cut(tokens, edge) else edge


def _is_cut(tokens: list[Token], edge: int) -> bool:
    """Whether the tokens before the edge show that part of the calculation was not read: `x + (`, `7 adults + Sam `."""
    i = edge - 1
    if i >= 0 and tokens[i].kind == "open":
        return i > 0 and tokens[i - 1].kind in ("op", "num", "letter", "close")
    if i > 0 and tokens[i].text in (":", ",") and tokens[i - 1].kind == "num":
        # a clock's `6:00 + 48`, or a number torn at its comma
        return tokens[i].text == ":" or tokens[edge].value >= 100 or tokens[edge].text.startswith("0")
    words = 0
    while i >= 0 and tokens[i].kind == "word" and words < _MAX_UNIT_WORDS:
        i, words = i - 1, words + 1
    return i >= 0 and tokens[i].kind in ("op", "letter")


def _before_unit(tokens: list[Token], i: int) -> int:
    """Index of the token before the unit words (with `per x`, `/x`) that end at i; i itself if there are none."""
    skipped = 0
    while i >= 0 and skipped <= _MAX_UNIT_WORDS:
        token = tokens[i]
        slash = token.kind == "op" and token.text == "/" and i + 1 < len(tokens) and tokens[i + 1].kind == "word"
        if not slash and (token.kind != "word" or token.text.lower() in _STOP_WORDS):
            break
        skipped += 1
        i -= 1
    return i


def _partner(tokens: list[Token], i: int, step: int) -> int:
    """Index of the bracket that matches the one at i, searching forwards (`step` 1) or backwards (-1); -1 if there is none."""
    depth = 0
    while 0 <= i < len(tokens):
        depth += {"open": step, "close": -step}.get(tokens[i].kind, 0)
        if depth == 0:
            return i
        if tokens[i].kind in ("eq", "stop", "letter"):
            return -1
        i += step
    return -1


def _right_edge(tokens: list[Token], start: int) -> tuple[int, int]:
    """(end of the calculation that starts at `start`, index of the next token to look at)."""
    i = edge = start
    while i < len(tokens):
        if tokens[i].kind == "op" and tokens[i].text == "-" and i == start:
            i += 1
        if i < len(tokens) and tokens[i].kind == "open":
            i = _partner(tokens, i, 1)
        elif i >= len(tokens) or tokens[i].kind != "num":
            return edge, edge
        if i < 0:
            return start, start
        i += 1
        words = 0
        while i < len(tokens) and words <= _MAX_UNIT_WORDS and _is_unit(tokens, i):
            i, words = i + 1, words + 1
        edge = i
        if i < len(tokens) and tokens[i].kind == "eq":
            return edge, i
        follows = tokens[i + 1].kind if i + 1 < len(tokens) else ""
        if (follows and tokens[i].kind == "op" and follows in ("num", "open")) or (
            follows == "num" and tokens[i].text == "of"
        ):
            i += 1
        elif not (i < len(tokens) and words == 0 and tokens[i].kind == "open"):
            return i, i
    return edge, edge


def _is_unit(tokens: list[Token], i: int) -> bool:
    token = tokens[i]
    if token.kind == "op" and token.text == "/":
        return i + 1 < len(tokens) and tokens[i + 1].kind == "word"
    return token.kind == "word" and token.text.lower() not in _STOP_WORDS and token.text != "of"


def _side(tokens: list[Token]) -> Side | None:
    """The value of one side; None if it does not consist of numbers alone."""
    items: list[str | Fraction] = []
    numbers, percents, units = [], [], []
    decimals = 0
    share = None
    for i, token in enumerate(tokens):
        follows = tokens[i + 1].kind if i + 1 < len(tokens) else ""
        if token.kind == "num":
            items.append(token.value)
            numbers.append(token.value * 100 if token.percent else token.value)
            percents.append(token.percent)
            units.extend(["dollar"] if token.text[0] == "$" else [])
            decimals = token.decimals + (2 if token.percent else 0)
        elif token.kind in ("op", "open", "close"):
            if token.text != "/" or follows != "word":
                items.append({"[": "(", "]": ")"}.get(token.text, token.text))
        elif token.kind == "word" and token.text == "of" and items and follows == "num":
            share = share if share is not None else _worked_out(items)
            items.append("*")
        elif token.kind == "word":
            units.append(token.text.lower())
        else:
            return None
    if not numbers:
        return None
    value = _worked_out(items)
    if value is None:
        return None
    loose = None
    if any(percents):
        written = iter(numbers)
        loose = _worked_out([next(written) if isinstance(item, Fraction) else item for item in items])
    taken = _taken(items) if percents[-1] and not all(percents) else None
    text = "".join(token.text.strip() if token.kind != "word" else "" for token in tokens)
    single = len(numbers) == 1
    return Side(
        text,
        value,
        tuple(numbers),
        decimals if single else 0,
        single,
        " ".join(units),
        tuple(percents),
        loose,
        taken,
        share,
    )


def _taken(items: list[str | Fraction]) -> Fraction | None:
    """The value of `100 - 20%` where the percent, the last item, is of all that stands before it; None for another end."""
    if len(items) < 3 or items[-2] not in ("+", "-") or not isinstance(items[-1], Fraction):
        return None
    before = _worked_out(items[:-2])
    return None if before is None else before * (1 + (items[-1] if items[-2] == "+" else -items[-1]))


def _worked_out(items: list[str | Fraction]) -> Fraction | None:
    try:
        return value_of(items)
    except Hopeless:
        return None
