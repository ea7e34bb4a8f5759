"""What makes two solutions "the same": as text, as a program, as a path of equations. Pure.

A signature is a short hex string; equal signatures mean equal under the named equivalence, and the prefix says
which one (`code:`, `path:`, `text:`, `run:`), so that signatures of different kinds never meet.
"""

import hashlib
import re
import unicodedata
from decimal import Decimal, InvalidOperation
from functools import lru_cache

from selfplay.curate.canonical import canonical_source
from selfplay.records import Task, Trace

MAX_SIGNED_CHARS = 200_000
"""Texts above this are signed by their exact form only: a runaway completion is not worth a parse."""

_FENCE = re.compile(r"```[^\n`]*\n(.*?)(?:```|\Z)", re.DOTALL)
_NOTE = re.compile(r"<<([^<>\n]{1,200})>>")
_NUMBER = r"[-+]?\$?\d[\d,]*(?:\.\d+)?%?"
_EQUATION = re.compile(rf"{_NUMBER}(?:\s*[-+*/xX×÷]\s*{_NUMBER}){{1,12}}\s*=\s*{_NUMBER}")
_PIECE = re.compile(r"\d[\d,]*(?:\.\d+)?|[-+*/xX×÷=()%]")
_FINAL = re.compile(r"(?:####|\\boxed\{|answer\s*(?:is|:|=))\s*\$?([-+]?\d[\d,]*(?:\.\d+)?)", re.IGNORECASE)
_NODE = re.compile(r"\(([A-Z]\w*)")
_OPERATORS = {"x": "*", "X": "*", "×": "*", "÷": "/"}


def short_hash(*parts: str) -> str:
    """32 hex digits over the parts in order; ("a", "b") and ("ab",) differ. Lone surrogates are allowed."""
    state = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        state.update(len(data).to_bytes(8, "big"))
        state.update(data)
    return state.hexdigest()


def exact_key(prompt: str, text: str) -> str:
    """Key of a training row as such: line ends and outer blank space do not count, everything else does."""
    lines = text.replace("\r\n", "\n").strip()
    return short_hash(prompt.strip(), lines)


def text_signature(text: str) -> str:
    """Signature of wording: case, Unicode form (NFKC), punctuation and spacing do not count; words and numbers do."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "text:" + short_hash(" ".join(re.findall(r"\w+", folded)))


@lru_cache(maxsize=8192)
def canonical_code(text: str) -> str | None:
    """Signature of a Python program up to names, comments, docstrings, annotations and layout; None if it does not parse.

    The latest texts are cached: a round asks for each several times, and walking a syntax tree costs most.
    Fenced blocks are joined where there are any, else the whole text is taken. Nothing is executed.
    """
    source = _program(text)
    return None if source is None else "code:" + short_hash(source)


def _program(text: str) -> str | None:
    if len(text) > MAX_SIGNED_CHARS:
        return None
    blocks = _FENCE.findall(text) if "```" in text else []
    return canonical_source("\n".join(blocks) if blocks else text)


def answer_path(text: str) -> str | None:
    """Signature of a worked answer: its equations in order and the final answer; None where it has no equation.

    Where no final answer is marked, the right side of the last equation is it. Calculator notes (`<<48/2=24>>`) count
    alone where there are any; `2*3` and `3*2` are the same step, `1,000.0` and `1000` the same number. After Yuan et al.
    2023 (RFT, 2308.01825), who tell paths apart by their equation lists.
    """
    steps = _equations(text)
    if not steps:
        return None
    finals = _FINAL.findall(text)
    canonical = [_canonical_step(step) for step in steps]
    final = _number(finals[-1]) if finals else canonical[-1].rpartition("=")[2]
    return "path:" + short_hash(*canonical, final)


def _equations(text: str) -> list[str]:
    """The calculator notes of a worked answer, else its equations."""
    notes = _NOTE.findall(text) if "<<" in text else []
    return [note for note in notes if "=" in note] or _EQUATION.findall(text[:MAX_SIGNED_CHARS])


def signature_of(trace: Trace, read_verdicts: bool = True) -> str:
    """The signature of a trace: what `solution_signature` says of its text.

    Where a verdict carries `details["behaviour"]` (what the program did on probe inputs, by whoever ran it), that is
    the signature; `read_verdicts=False` never looks there.
    """
    for verdict in trace.verdicts if read_verdicts else ():
        behaviour = verdict.details.get("behaviour")
        if isinstance(behaviour, str) and behaviour:
            return "run:" + short_hash(behaviour)
    return solution_signature(trace.task, trace.attempt.text)


def solution_signature(task: Task, text: str) -> str:
    """The signature of an answer to a task by the task's verifier: code, path of equations, else wording."""
    kind = task.check.get("type")
    found: str | None = None
    if kind == "code_tests":
        found = canonical_code(text)
    elif kind == "math":
        found = answer_path(text)
    return found or text_signature(text)


def solution_shape(task: Task, text: str) -> str:
    """The form of a solution, without the values in it, so that solutions of unlike tasks can have the same one.

    A program: the types of its syntax nodes in order. A worked answer: the operators of each of its equations. Else, or where there is
    neither: its words with each number as 0.
    """
    kind = task.check.get("type")
    program = _program(text) if kind == "code_tests" else None
    if program is not None:
        return "code:" + short_hash(*_NODE.findall(program))
    steps = _equations(text) if kind == "math" else []
    if steps:
        forms = ("".join(piece for piece in _PIECE.findall(step) if not piece[0].isdigit()) for step in steps)
        return "path:" + short_hash(*("".join(_OPERATORS.get(sign, sign) for sign in form) for form in forms))
    return text_signature(re.sub(r"\d[\d,.]*", "0", text[:MAX_SIGNED_CHARS]))


def _canonical_step(step: str) -> str:
    """One equation with numbers in one spelling and the operands of a bare sum or product sorted."""
    pieces = [_OPERATORS.get(piece, piece) for piece in _PIECE.findall(step)]
    pieces = [_number(piece) if piece[0].isdigit() else piece for piece in pieces]
    left, equals, right = "".join(pieces).partition("=")
    for operator in "+*":
        operands = left.split(operator)
        if len(operands) > 1 and not re.search(r"[-+*/()%]", "".join(operands)):
            left = operator.join(sorted(operands))
    return left + equals + right


def _number(text: str) -> str:
    """A decimal in one spelling: no thousands commas, no trailing zeros."""
    try:
        value = Decimal(text.replace(",", "")).normalize()
    except InvalidOperation:
        return text
    return str(value) if abs(value.adjusted()) > 60 else format(value, "f")
