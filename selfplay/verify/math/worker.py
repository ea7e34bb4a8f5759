"""The symbolic worker: runs in its own interpreter and reads one JSON line per question.

Only this file, `deciding`, `images` and `sizes` import sympy.

selfplay never imports it: `symbolic.py` executes it in an isolated interpreter, under limits, and kills it at the deadline.
The parser is latex2sympy's grammar, so no text of a model reaches Python's `eval`; the process is separate because sympy's
work has no bound of its own.
"""

import contextlib
import json
import logging
import os
import re
import resource
import select
import signal
import sys
import threading
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from latex2sympy2_extended.latex2sympy2 import ConversionConfig, NormalizationConfig, latex2sympy, normalize_latex
from math_verify.grader import should_treat_as_complex

from selfplay.verify.math.deciding import RELATIONS, compared, numeric, read_in_full, seed_of

MEMORY_BYTES = 2**30


class Late(BaseException):
    """Raised if the question took too long; not an Exception, so that no library catches it as one of its own."""


_PRIME = re.compile(r"(?<![A-Za-z\\])([A-Za-z])(?:_(\w)|_\{(\w+)\})?((?:'|\^\{?(?:\\prime\s*)+\}?)+)")
_TRANSPOSED = re.compile(r"(?<![A-Za-z\\])([A-Za-z])\^(?:T|\{T\}|\\top|\{\\top\})(?![A-Za-z])")
_CIRCULAR = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)(?![A-Za-z])")
_DEGREES = re.compile(r"(\d+(?:\.\d+)?)\s?(?:degrees?(?![A-Za-z])|\^\s?\{?\\circ\}?)")


def marked(latex: str) -> str:
    """The marks that the grammar would drop, kept: x' and a transposed A are unknowns of their own, degrees of a sine parts of pi."""
    if _CIRCULAR.search(latex):
        latex = _DEGREES.sub(r"{\\frac{\1\\pi}{180}}", latex)
    if "'" in latex or "prime" in latex:
        latex = _PRIME.sub(
            lambda m: f"{m[1]}_{{{m[2] or m[3] or ''}9{m[4].count(chr(39)) + m[4].count('prime')}}}", latex
        )
    return _TRANSPOSED.sub(r"\1_{99}", latex) if "T" in latex or "top" in latex else latex


def confine() -> None:
    """Limits the memory and files of this process; the parent limits the wall time."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


@lru_cache(maxsize=256)
def parsed(latex: str) -> Any:
    """The sympy object of one expression, or None for a blank one; raises whatever the grammar raises on what it cannot read.

    `latex` has been `marked`. Decimals become fractions, so that no float is ever compared; `K` and `k` stay different letters.
    """
    exact = re.sub(r"(?<![\d.])(\d*)\.(\d+)", lambda m: rf"{{\frac{{{int(m[1] + m[2])}}}{{{10 ** len(m[2])}}}}}", latex)
    normal = NormalizationConfig(
        basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="none", equations=False
    )
    text = normalize_latex(exact, normal)
    config = ConversionConfig(lowercase_symbols=False)
    return latex2sympy(
        text, is_real=not should_treat_as_complex(text), normalization_config=None, conversion_config=config
    )


@contextlib.contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raises Late after so many seconds, between two instructions of Python; ends the process after twice as long in any case.

    The second limit also works inside one long instruction of C, and if the parent is gone and nobody watches the clock.
    """
    signal.setitimer(signal.ITIMER_REAL, seconds)
    signal.setitimer(signal.ITIMER_PROF, 2 * seconds + 1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.setitimer(signal.ITIMER_PROF, 0)


def late(_number: int, _frame: Any) -> None:
    """Handles the alarm signal."""
    raise Late


def end_with_parent() -> None:
    """Ends this process as soon as nobody can write to its input any more, even while it works."""
    hangup = select.poll()
    hangup.register(0, 0)
    hangup.poll()
    os.kill(os.getpid(), signal.SIGKILL)


def reply(question: dict[str, Any]) -> dict[str, Any]:
    """The answer to one question: `{"same": bool}`, `{"value": text or null}`, or `{"unread": "gold" | "answer"}`.

    What is undecided is an answer that cannot be read, but for relations, which are not the same then. `question["stage"]`
    says, where it raises, which of the two was at hand.
    """
    question["stage"] = "gold"
    reference = marked(question["gold"])
    gold = parsed(reference)
    if gold is None:
        return {"unread": "gold"}
    if question["answer"] is None:
        value = numeric(gold) if not gold.free_symbols else None
        return {"value": str(value) if value is not None and value.is_real else None}
    question["stage"] = "answer"
    given = marked(question["answer"])
    answer = parsed(given)
    if answer is None:
        return {"unread": "answer"}
    if plain(reference) == plain(given):
        return {"same": True}
    in_full = read_in_full(reference, gold) and read_in_full(given, answer)
    same = compared(gold, answer, seed_of(reference, given)) if in_full else None
    if same is None and isinstance(gold, RELATIONS):
        same = False
    return {"unread": "answer"} if same is None else {"same": same}


def plain(latex: str) -> str:
    """The text without spaces that separate nothing."""
    return re.sub(r"(?<![A-Za-z0-9])\s+|\s+(?![A-Za-z0-9])", "", latex)


def answered(question: dict[str, Any]) -> dict[str, Any]:
    """The reply, whatever reading and comparing raise; too late is an answer that cannot be read."""
    try:
        with limited(question["seconds"]):
            return reply(question)
    except Late:
        return {"unread": "answer", "error": "Late"}
    except Exception as error:  # the one boundary per item: sympy raises anything, and a bad answer is data
        return {"unread": question["stage"], "error": type(error).__name__}


def main() -> None:
    """Answers questions until stdin closes; what any library prints is discarded."""
    confine()
    threading.Thread(target=end_with_parent, daemon=True).start()
    signal.signal(signal.SIGALRM, late)
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    logging.disable(logging.CRITICAL)
    parsed("x+1")
    print('{"ready": true}', file=out, flush=True)
    for line in sys.stdin:
        print(json.dumps(answered(json.loads(line))), file=out, flush=True)


if __name__ == "__main__":
    main()
