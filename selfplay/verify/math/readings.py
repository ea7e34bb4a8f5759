"""Reads an answer as a number, a choice, a list, a tuple or interval, a matrix, words, or an expression.

The structure is read here, and its leaves become numbers if they can be computed exactly; an `expr` that remains needs the
symbolic worker. Only `arithmetic` evaluates anything.
"""

import itertools
import re
from dataclasses import dataclass, replace
from fractions import Fraction

from selfplay.answers.numerals import Number, read_number, spelled_number
from selfplay.verify.math.arithmetic import Hopeless, evaluate
from selfplay.verify.math.spellings import (
    CLOSE,
    OPEN,
    canonical,
    clock,
    colons,
    compound,
    parted_unit,
    phrase,
    prepared,
)

MAX_PARTS = 64
"""Most parts of one list, and most entries of one matrix."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading of an answer."""

    kind: str
    """number, choice, list, tuple, matrix, words, colons (a time, a ratio), phrase (words with numbers) or expr."""
    text: str
    """The canonical text: equal texts are equal answers. For `expr`, what the symbolic lane gets is `source`."""
    source: str = ""
    number: Number | None = None
    parts: "tuple[Reading, ...]" = ()
    """Of lists, tuples (intervals too) and matrices (row after row)."""
    shape: str = ""
    """The brackets of a tuple, `{}` for a list in braces, `2x3` for a matrix; a choice's letter."""
    name: str = ""
    """Canonical left side of `x = ...` or `x in ...`; "" where there is none."""
    other: "Reading | None" = None
    """A second way to read it: `1,22` (a decimal or a list), `B) 12` (the text), `m+n = 12` (its value)."""
    unit: str = ""
    """Unit after a value that is no plain number, as in `2\\sqrt{3} cm`; plain numbers hold their own."""


_SUB = r"(?:_\{?\w{1,4}\}?)"
_NAME = re.compile(
    rf"[A-Za-z]{{1,3}}(?:'|{_SUB}|\^?\{{?\\prime\}}?)*(?:\^\{{-1\}}|\^-1)?(?:\([^()=]{{1,30}}\))?|\\[a-zA-Z]+{_SUB}?"
    rf"|[A-Za-z][A-Za-z ]{{2,40}}|[A-Za-z]+-[A-Za-z]{{3,20}}|[A-Za-z]{{1,3}}(?:\s?:\s?[A-Za-z]{{1,3}})+"
    rf"|\([A-Za-z]{_SUB}?(?:,\s?[A-Za-z]{_SUB}?)+\)|\|[A-Za-z]{{1,3}}\||\\(?:angle|overline|triangle)\s?\{{?[A-Z]{{1,3}}\}}?"
    rf"|[A-Za-z]{_SUB}?(?:,\s?[A-Za-z]{_SUB}?)+"
)
_LETTERS = re.compile(rf"[A-Za-z]{_SUB}?(?:\s?(?:[-+*/]|\\cdot|\\times)?\s?[A-Za-z]{_SUB}?)+")
"""Several unknowns without numbers, `m+n`: what an equation states of them is their value, not a condition."""
_SAID = re.compile(
    r"(?:the\s)?([A-Za-z][A-Za-z'-]*(?: [A-Za-z][A-Za-z'-]*){0,5}?)(:|\s(?:is|are|has|have|was|equals)\b)\s?(?=[-\d$\\(.])(.+)",
    re.IGNORECASE | re.DOTALL,
)
_NOT_NAMES = re.compile(r"\\(?:frac|sqrt|sin|cos|tan|log|ln|int|sum|prod|lim|binom|infty|pi|times|cdot|pm)")
_WORD = re.compile(r"(?=[^ ]*[aeiouyAEIOUY])[A-Za-z][A-Za-z'-]*(?: [A-Za-z][A-Za-z'-]*)*")
_CHOICE = re.compile(r"\(?([A-J])(?:\)|\.|:(?=\s)|(?=$))\s*((?!.*\b[A-J]\s?[:=]).*)", re.DOTALL)
_SEPARATOR = re.compile(
    r"\s*(?:[,;]\s*(?:and\b|or\b)|[;]|,(?!\d{3}(?!\d))|,(?=\d{3},?\s)|,|\band\b|(?<=[^a-zA-Z])or(?=[^a-zA-Z]))\s*"
)
_MATRIX = re.compile(
    r"\(?\[?\s*\\begin\{(?:[pbvBV]?matrix|array|smallmatrix)\}(?:\s*\{[clr| ]*\})?"
    r"(.*?)\\end\{(?:[pbvBV]?matrix|array|smallmatrix)\}\s*\]?\)?",
    re.DOTALL,
)
_REALS = re.compile(
    r"(?:\\mathbb\s?\{?\s?R\s?\}?|all real(?: number)?s)(?:\s?(?:\\setminus|\\smallsetminus|\\backslash|-)\s?\\?\{(.{1,200}?)\\?\})?"
)
_DATE = re.compile(r"\d{4}([-/.])\d{1,2}\1\d{1,2}|\d{1,2}([-/.])\d{1,2}\2\d{4}")
"""A date in digits; it is not a difference, quotient or product of them."""
_BASED = re.compile(r"([0-9A-Fa-f]+)_\{?(\d{1,2}|\\text\w*)\}?")
_ORDER = re.compile(r"\s*(<|>|\\[lg]e(?![A-Za-z]))\s*")


def pieces(text: str, pattern: re.Pattern[str]) -> list[str]:
    """The text split where the pattern matches outside all brackets."""
    found: list[str] = []
    depth = start = at = 0
    while at < len(text):
        ch = text[at]
        if ch in OPEN or ch in CLOSE:
            depth += 1 if ch in OPEN else -1
        elif depth == 0 and (match := pattern.match(text, at)) and match.end() > at:
            found.append(text[start:at])
            start = at = match.end()
            continue
        at += 1
    found.append(text[start:])
    return [piece.strip() for piece in found]


def read(text: str) -> Reading:
    """The reading of an answer. Raises Hopeless if it is too large ever to be computed."""
    return _read(prepared(text), 0)


def _read(text: str, depth: int) -> Reading:
    if depth > 6:
        raise Hopeless("lists nested too deeply")
    if timed := clock(text) or colons(text):
        return Reading("colons", timed, text)
    if _DATE.fullmatch(text):
        return Reading("words", re.sub(r"(?<!\d)0", "", text), text)
    number = read_number(text, made_plain=True)
    if number is not None:
        listed = re.fullmatch(r"[-+]?\d{1,20}(?:,\d{1,20}){1,9}", text)
        other = _list(text.split(","), "", depth) if listed else None
        return Reading("number", canonical(text), text, number, other=other)
    if _BASED.fullmatch(text):
        return Reading("words", canonical(text).replace("{", "").replace("}", ""), text)
    if (choice := _CHOICE.fullmatch(text)) and not choice[2].startswith((",", ";", "/", "&")):
        rest = _read(choice[2].strip(), depth + 1) if choice[2].strip() else None
        if rest and depth:
            return replace(rest, name=choice[1])  # one of several: `A: 5, B: 7` names values
        return Reading("choice", choice[1], text, shape=choice[1], other=rest)
    if measured := compound(text):
        return Reading("phrase", measured, text)
    for reader in (_reals, _matrix, _separated, _bracketed, _related, _plus_minus, _measured):
        reading = reader(text, depth)
        if reading is not None:
            return reading
    return _leaf(text)


def _leaf(text: str) -> Reading:
    if re.search(r"\d", text):
        percent = text.endswith("%")
        value = evaluate(text[:-1] if percent else text)
        if value is not None:
            return Reading("number", canonical(text), text, Number(value, percent=percent))
    if (spelled := spelled_number(text)) is not None:
        return Reading("number", str(spelled), text, Number(Fraction(spelled)))
    if _WORD.fullmatch(text) and (len(text) > 2 or text.casefold() in ("no", "ok")):
        return Reading("words", canonical(text).casefold(), text)
    said = phrase(text)
    return Reading("phrase", said, text) if said else Reading("expr", canonical(text), text)


def _reals(text: str, depth: int) -> Reading | None:
    """All real numbers, and all but a few of them, as the intervals they are."""
    match = _REALS.fullmatch(text)
    if match is None:
        return None
    points = {point.strip(): _value_in(_read(point.strip(), depth + 1)) for point in (match[1] or "").split(",")}
    points.pop("", None)
    values = {point: value for point, value in points.items() if value is not None}
    if len(values) != len(points):
        return None  # what is no plain number has no place in their order that is known here
    ends = ["-\\infty", *sorted(values, key=lambda point: values[point]), "\\infty"]
    return _read(" \\cup ".join(f"({low}, {high})" for low, high in itertools.pairwise(ends)), depth + 1)


def _measured(text: str, depth: int) -> Reading | None:
    """`2\\sqrt{3} cm`: a value that is no plain number, with a unit of the table."""
    parted = parted_unit(text)
    return replace(_read(parted[0], depth + 1), unit=parted[1]) if parted else None


def _list(parts: list[str], shape: str, depth: int) -> Reading | None:
    parts = [part for part in parts if part]
    if len(parts) > MAX_PARTS:
        raise Hopeless(f"a list of {len(parts)} parts")
    readings = tuple(_read(part, depth + 1) for part in parts)
    return Reading("list", f"{{{_joined(readings)}}}", ", ".join(parts), parts=readings, shape=shape)


def _joined(parts: tuple[Reading, ...]) -> str:
    """The canonical text of several parts: names and units belong to it, so that `x = 1, y = 2` is not `y = 1, x = 2`."""
    return ",".join(f"{part.name}={part.text}{part.unit}" if part.name else part.text + part.unit for part in parts)


def _separated(text: str, depth: int) -> Reading | None:
    """`a, b and c`, or a union of intervals."""
    union = pieces(text, re.compile(r"\s*\\cup(?![A-Za-z])\s*"))
    if len(union) > 1:
        in_set = re.fullmatch(r"([A-Za-z])\s*\\in\s*(.*)", union[0])
        reading = _list([in_set[2], *union[1:]] if in_set else union, "\\cup", depth)
        return replace(reading, source=text, name=in_set[1]) if reading and in_set else reading
    parts = [part for part in pieces(text, _SEPARATOR) if part]
    if len(parts) < 2:
        return None
    if all("=" not in part for part in parts[:-1]) and "=" in parts[-1] and _NAME.fullmatch(text.split("=")[0].strip()):
        return None
    last_name = re.match(r"([^=<>]{1,20}?)\s*=\s*(?=[^=]+$)", parts[0])
    if last_name and all("=" not in p for p in parts[1:]) and _NAME.fullmatch(last_name[1]) and "(" not in last_name[1]:
        # `x = 2, 3` gives both values of x
        parts = [parts[0], *(f"{last_name[1]} = {part}" for part in parts[1:])]
    reading = _list(parts, "", depth)
    return replace(reading, source=text) if reading else None


def _related(text: str, depth: int) -> Reading | None:
    """`x = 5`, `x \\in S`, `x \\approx 5`, `2 < x \\le 5`; None where there is no relation, an `expr` for other ones."""
    text = _before_approximation(text)
    if element := re.fullmatch(r"([A-Za-z](?:\([a-z]\))?)\s*\\in\s*(.*)", text, re.DOTALL):
        return replace(_read(element[2], depth + 1), name=canonical(element[1]))
    sides = pieces(text, re.compile(r"\s*(?<![<>!\\:])=(?!=)\s*"))
    if len(sides) > 1 and all(sides):
        return _equation(text, sides, depth)
    if any(mark in text for mark in ("<", ">", "\\le", "\\ge")):
        return _interval(text, depth)
    if "\\ne" in text:
        return Reading("expr", canonical(text), text)
    said = _SAID.fullmatch(text)
    if said and said[2] == ":" and not depth:
        return None  # `Anna: 5, Ben: 7` names two values; `lambda: 5` alone is a phrase
    return (
        replace(_read(said[3], depth + 1), name=said[1].casefold() if len(said[1]) > 1 else said[1]) if said else None
    )


def _before_approximation(text: str) -> str:
    """`x = 1/3 \\approx 0.33` without the approximation; `x \\approx 5` as an equation."""
    left, mark, right = text.partition("\\approx")
    if not mark:
        return text
    left, right = left.strip(), right.strip()
    if not left or (_NAME.fullmatch(left) and "=" not in left):
        return f"{left} = {right}" if left else right
    return left


def _equation(text: str, sides: list[str], depth: int) -> Reading:
    left, right = sides[0], sides[-1]
    if _NAME.fullmatch(left) and not _NOT_NAMES.match(left):
        name = canonical(left)
        return replace(
            _read(right, depth + 1), name=name.casefold() if _WORD.fullmatch(name) and len(name) > 3 else name
        )
    if _NAME.fullmatch(right) and not _NOT_NAMES.match(right) and len(sides) == 2 and re.search(r"\d", left):
        return replace(_read(left, depth + 1), name=canonical(right))
    reading = _read(right, depth + 1)
    if reading.kind != "expr" and not re.search(r"[A-Za-z]", re.sub(r"\\[A-Za-z]+", "", left)):
        stated = evaluate(left) if re.search(r"\d", left) else None
        if reading.number is not None and stated is not None and reading.number.value != stated:
            raise Hopeless("an equation that does not hold")
        return reading
    value = reading if reading.number and _LETTERS.fullmatch(left) else None
    return Reading("expr", canonical(text), text, other=value)


def _interval(text: str, depth: int) -> Reading:
    """An inequality in one unknown as the interval it stands for, else an expression."""
    signs = [m[1] for m in _ORDER.finditer(text)]
    sides = [side for side in _ORDER.split(text) if side not in signs]
    whole = Reading("expr", canonical(text), text)
    named = [not side or (bool(_NAME.fullmatch(side)) and not side.startswith("\\infty")) for side in sides]
    if len(signs) == 1 and named in ([True, False], [False, True]):
        name, bound = (sides[0], sides[1]) if named[0] else (sides[1], sides[0])
        below = (signs[0] in ("<", "\\le")) == named[0]
        closed = signs[0] in ("\\le", "\\ge")
        ends = ("-\\infty", bound) if below else (bound, "\\infty")
        shape = ("(" + ("]" if closed else ")")) if below else (("[" if closed else "(") + ")")
    elif len(signs) == 2 and named == [False, True, False] and len({s in ("<", "\\le") for s in signs}) == 1:
        name = sides[1]
        ends = (sides[0], sides[2])
        marks = [s in ("\\le", "\\ge") for s in signs]
        if signs[0] in (">", "\\ge"):
            ends, marks = (ends[1], ends[0]), marks[::-1]
        shape = ("[" if marks[0] else "(") + ("]" if marks[1] else ")")
    else:
        return whole
    parts = tuple(_read(end, depth + 1) for end in ends)
    return Reading(
        "tuple", f"{shape[0]}{_joined(parts)}{shape[1]}", text, parts=parts, shape=shape, name=canonical(name)
    )


def _bracketed(text: str, depth: int) -> Reading | None:
    """`(a, b)`, `[a, b)`, `\\{a, b\\}`, `{a, b}`, and `(a)` as `a`."""
    body = text.replace("\\{", "{").replace("\\}", "}")
    if len(body) < 2 or body[0] not in OPEN or body[-1] not in CLOSE or not _encloses(body):
        return None
    inside = body[1:-1].strip()
    parts = [part for part in pieces(inside, re.compile(r"\s*[,;]\s*")) if part]
    if body[0] == "{":
        if built := re.fullmatch(r"([A-Za-z])\s*(?:\||:)\s*(.*)", inside):
            reading = _related(built[2], depth + 1)
            if reading is not None and reading.kind != "expr" and reading.name == built[1]:
                return reading
        if "|" in inside or ":" in inside or not parts:
            return Reading("expr", canonical(text), text)
        reading = _list(parts, "{}", depth)
        return replace(reading, source=text) if reading else None
    if len(parts) < 2:
        return _read(inside, depth + 1) if body[0] + body[-1] == "()" and inside else None
    readings = tuple(_read(part, depth + 1) for part in parts)
    shape = body[0] + body[-1]
    return Reading("tuple", f"{shape[0]}{_joined(readings)}{shape[1]}", text, parts=readings, shape=shape)


def _encloses(text: str) -> bool:
    """Whether the first bracket is closed by the last character."""
    depth = 0
    for i, ch in enumerate(text):
        depth += (ch in OPEN) - (ch in CLOSE)
        if depth == 0:
            return i == len(text) - 1
    return False


def _matrix(text: str, depth: int) -> Reading | None:
    match = _MATRIX.fullmatch(text)
    if match is None or "\\begin" in match[1]:
        return None
    rows = [
        [cell.strip() for cell in row.split("&")] for row in re.split(r"\\\\|\\cr(?![a-z])", match[1]) if row.strip()
    ]
    if not rows or len({len(row) for row in rows}) != 1 or sum(map(len, rows)) > MAX_PARTS:
        return None
    cells = tuple(_read(cell, depth + 1) for row in rows for cell in row)
    shape = f"{len(rows)}x{len(rows[0])}"
    return Reading("matrix", f"{shape}[{_joined(cells)}]", text, parts=cells, shape=shape)


def _plus_minus(text: str, depth: int) -> Reading | None:
    if text.count("\\pm") != 1 or "\\mp" in text:
        return None
    parts = [text.replace("\\pm", "+").strip().removeprefix("+").strip(), text.replace("\\pm", "-")]
    reading = _list(parts, "", depth)
    return replace(reading, source=text) if reading else None


def _value_in(reading: Reading) -> Fraction | None:
    """The exact value if the reading is a plain number, else None."""
    return reading.number.value if reading.number else None
