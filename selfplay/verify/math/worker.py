"""Runs alone in an interpreter of its own, fed one JSON line a question: the only file that imports math-verify and sympy.

Never imported by selfplay: `symbolic.py` executes it by path in an isolated interpreter, under limits, and kills it at the deadline.
The parser is latex2sympy's grammar, so no text of a model reaches Python's `eval`; sympy's own work is why it stands apart.
"""

import json
import logging
import os
import re
import resource
import sys
from functools import lru_cache
from typing import Any

import sympy  # type: ignore[import-untyped]
from latex2sympy2_extended.latex2sympy2 import (  # type: ignore[import-untyped]
    ConversionConfig,
    NormalizationConfig,
    latex2sympy,
    normalize_latex,
)
from math_verify import verify
from math_verify.grader import should_treat_as_complex

MEMORY_BYTES = 3 * 2**30
DIGITS = 50
"""Significant digits to which two values are worked out."""
POINTS = [
    ("3/7", "11/5"),
    ("-5/3", "7/9"),
    ("13/4", "-2/7"),
    ("-9/11", "-17/6"),
    ("23/3", "5/13"),
    ("-31/8", "19/4"),
    ("1/17", "29/3"),
    ("41/6", "-3/10"),
]


_PRIME = re.compile(r"(?<![A-Za-z\\])([A-Za-z])(?:_(\w)|_\{(\w+)\})?((?:'|\^\{?(?:\\prime\s*)+\}?)+)")
_TRANSPOSED = re.compile(r"(?<![A-Za-z\\])([A-Za-z])\^(?:T|\{T\}|\\top|\{\\top\})(?![A-Za-z])")


def marked(latex: str) -> str:
    """Letters with primes and transposed letters as unknowns of their own: the grammar would drop the mark, and x' be x."""
    if "'" in latex or "prime" in latex:
        latex = _PRIME.sub(
            lambda m: f"{m[1]}_{{{m[2] or m[3] or ''}9{m[4].count(chr(39)) + m[4].count('prime')}}}", latex
        )
    return _TRANSPOSED.sub(r"\1_{99}", latex) if "T" in latex or "top" in latex else latex


def confine() -> None:
    """Bound memory and files of this process; the wall clock is the parent's."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


@lru_cache(maxsize=256)
def parsed(latex: str) -> Any:
    """The sympy object of one expression, or None for a blank one; raises whatever the grammar raises on what it cannot read.

    Decimals become fractions first, so that no float is ever compared; `K` and `k` stay different letters.
    """
    exact = re.sub(
        r"(?<![\d.])(\d*)\.(\d+)", lambda m: rf"{{\frac{{{int(m[1] + m[2])}}}{{{10 ** len(m[2])}}}}}", marked(latex)
    )
    normal = NormalizationConfig(
        basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="none", equations=False
    )
    text = normalize_latex(exact, normal)
    config = ConversionConfig(lowercase_symbols=False)
    return latex2sympy(
        text, is_real=not should_treat_as_complex(text), normalization_config=None, conversion_config=config
    )


def numeric(expression: Any) -> Any:
    """The value to DIGITS digits where the expression is a finite number, else None."""
    try:
        value = sympy.sympify(expression).evalf(DIGITS, maxn=4 * DIGITS)
    except (TypeError, ValueError, ArithmeticError, AttributeError, NotImplementedError):
        return None
    finite = getattr(value, "is_number", False) and value.is_finite and not value.has(sympy.zoo, sympy.nan, sympy.oo)
    return value if finite and all(part.is_Float or part.is_Rational for part in value.as_real_imag()) else None


def vanishes(value: Any) -> bool:
    """Whether no digit of a value is significant: it is 0, or its terms cancel to far below DIGITS digits."""
    return all(part == 0 or (part.is_Float and part._prec <= 4) for part in value.as_real_imag())


def same_value(left: Any, right: Any) -> bool:
    """Whether two values agree to 30 significant digits; a value without any is 0."""
    if vanishes(left) or vanishes(right):
        return vanishes(left) and vanishes(right)
    return bool(abs(left - right) <= max(abs(left), abs(right)) * sympy.Float(10) ** -30)


def sampled(gold: Any, answer: Any) -> list[tuple[Any, Any]] | None:
    """Values of both at fixed points of their unknowns; None where too few can be worked out, or they differ in domain."""
    symbols = sorted(gold.free_symbols | answer.free_symbols, key=str)
    if len(symbols) > 8:
        return None
    pairs = []
    for i, (first, second) in enumerate(POINTS):
        base = (sympy.Rational(first), sympy.Rational(second))
        point = {symbol: base[k % 2] + sympy.Rational(k // 2 * (i + 2), 7 + k) for k, symbol in enumerate(symbols)}
        left, right = numeric(gold.subs(point)), numeric(answer.subs(point))
        if (left is None) != (right is None):
            return None
        if left is not None:
            pairs.append((left, right))
    return pairs if len(pairs) >= 4 else None


def same_expression(gold: Any, answer: Any) -> bool | None:
    """Equality of two terms by their values, a letter i being the imaginary unit; None where values cannot decide."""
    gold, answer = (
        e.subs({symbol: sympy.I for symbol in e.free_symbols if symbol.name == "i"}) for e in (gold, answer)
    )
    if not gold.free_symbols and not answer.free_symbols:
        left, right = numeric(gold), numeric(answer)
        return None if left is None or right is None else same_value(left, right)
    pairs = sampled(gold, answer)
    if pairs is None:
        return None
    return all(same_value(left, right) for left, right in pairs)


def same_relation(gold: Any, answer: Any) -> bool | None:
    """Whether two (in)equalities say the same, by the ratio of left minus right side; None where that cannot decide."""
    if not isinstance(gold, sympy.core.relational.Relational) or not isinstance(
        answer, sympy.core.relational.Relational
    ):
        return None
    flipped = {sympy.Lt: sympy.Gt, sympy.Gt: sympy.Lt, sympy.Le: sympy.Ge, sympy.Ge: sympy.Le}
    pairs = sampled(gold.lhs - gold.rhs, answer.lhs - answer.rhs)
    if pairs is None or any(left == 0 or right == 0 for left, right in pairs):
        return None
    ratio = pairs[0][0] / pairs[0][1]
    if not ratio.is_real or not all(same_value(left, ratio * right) for left, right in pairs):
        return None
    wanted = answer.func if ratio > 0 else flipped.get(answer.func, answer.func)
    return bool(gold.func == wanted)


def compared(gold: Any, answer: Any) -> bool:
    """Whether two parsed answers are equal: by values where possible, else as math-verify has it."""
    import sympy

    if (
        isinstance(gold, sympy.MatrixBase)
        or isinstance(answer, sympy.MatrixBase)
        or hasattr(gold, "shape")
        or hasattr(answer, "shape")
    ):
        return same_matrix(gold, answer)
    if isinstance(gold, sympy.Expr) and isinstance(answer, sympy.Expr):
        decided = same_expression(gold, answer)
    else:
        decided = same_relation(gold, answer)
        if type(gold) is not type(answer) and (isinstance(gold, sympy.Expr) or isinstance(answer, sympy.Expr)):
            decided = False
    if decided is not None:
        return decided
    return bool(verify(gold, answer, float_rounding=12, numeric_precision=DIGITS, timeout_seconds=None))


def same_matrix(gold: Any, answer: Any) -> bool:
    """Entry by entry, sums and products worked out first."""
    left, right = (m.doit() if hasattr(m, "doit") else m for m in (gold, answer))
    if not hasattr(left, "shape") or not hasattr(right, "shape") or left.shape != right.shape:
        return False
    left, right = sympy.Matrix(left), sympy.Matrix(right)
    return all(compared(g, a) for g, a in zip(left, right, strict=True))


def reply(question: dict[str, Any]) -> dict[str, Any]:
    """The answer to one question: `{"same": bool}`, `{"value": text or null}`, or `{"unread": "gold" | "answer"}`.

    `question["stage"]` says, where it raises, which of the two was at hand.
    """
    question["stage"] = "gold"
    gold = parsed(question["gold"])
    if gold is None:
        return {"unread": "gold"}
    if question["answer"] is None:
        value = numeric(gold) if not gold.free_symbols else None
        return {"value": str(value) if value is not None and value.is_real else None}
    question["stage"] = "answer"
    answer = parsed(question["answer"])
    return {"unread": "answer"} if answer is None else {"same": compared(gold, answer)}


def main() -> None:
    """Serve questions until stdin closes; prints of any library go nowhere."""
    confine()
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    logging.disable(logging.CRITICAL)
    parsed("x+1")
    print('{"ready": true}', file=out, flush=True)
    for line in sys.stdin:
        question = json.loads(line)
        try:
            answer = reply(question)
        except Exception as error:  # the one boundary per item: sympy raises anything, and a bad answer is data
            answer = {"unread": question["stage"], "error": type(error).__name__}
        print(json.dumps(answer), file=out, flush=True)


if __name__ == "__main__":
    main()
