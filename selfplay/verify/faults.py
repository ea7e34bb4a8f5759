"""Floor 3: what is wrong with a task's check, in a sentence with key and remedy, before anything is judged by it.

One place for all types of verifiers, asked by `selfplay check`, `selfplay validate --tasks` and the start of a run alike.
"""

import ast
import difflib
import math
import re
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from selfplay.verify.code import check_fault, rows_fault
from selfplay.verify.leaves import heuristic_fault
from selfplay.verify.math.equality import needs_symbols, unparsed, unreadable
from selfplay.verify.routing import COMBINERS

SYMBOLIC_SECONDS = 30.0
"""For asking whether all golds of a set of tasks parse that need the symbolic worker."""
_ANYWHERE = frozenset({"type", "stronger", "near_misses"})
"""Keys that a check of any type may have."""
_KEYS: Mapping[str, frozenset[str]] = {
    "math": frozenset({"answer", "tolerance", "precision"}),
    "code_tests": frozenset(
        [
            "entry_point",
            "cases",
            "source",
            "stdio",
            "prefix",
            "atol",
            "strict",
            "cpu_seconds",
            "model_written",
            "hidden_cases",
        ]
    ),
    "steps": frozenset({"answer"}),
    "heuristic": frozenset({"accepts", "format", "length", "repetition", "language"}),
    "judge": frozenset({"rubric", "threshold"}),
    "reasoning_gym": frozenset({"data", "index", "mark", "threshold"}),
    **{name: frozenset({"of"}) for name in COMBINERS},
}
_FUNCTION = re.compile(r"python:[^\W\d]\w*(?:\.[^\W\d]\w*)*:[^\W\d]\w*")


def fault_of(check: Any, *, own: bool = False) -> str:
    """What is wrong with a check: the key, its value and the remedy, one sentence; "" where nothing is.

    Keys of a `python:` check are the function's own and may be any. `own`: `{type: task}`, which stands for a task's own check, is
    allowed too, as in `verify.check`. No function is imported and no model or worker is asked.
    """
    if not isinstance(check, Mapping):
        return f"verifier is {_shown(check)}, must be an object, as in {{type: math, answer: ...}}"
    kind = check.get("type")
    if not isinstance(kind, str):
        return f"type is {_shown(kind)}; give one of {', '.join(_KEYS)}, or python:package.module:function"
    if own and kind == "task":
        return ""
    fault = _type_fault(kind) or _unknown(kind, check) or _common(check)
    if not fault and kind in _FAULTS:
        fault = _FAULTS[kind](check)
    return f"{kind}: {fault}" if fault else _parts_fault(kind, check, own)


def _type_fault(kind: str) -> str:
    if kind.startswith("python:"):
        good = _FUNCTION.fullmatch(kind)
        return "" if good else "type names no function; write python:package.module:function"
    if kind in _KEYS:
        return ""
    near = difflib.get_close_matches(kind.lower(), _KEYS, n=1, cutoff=0.6)
    advice = f"did you mean {near[0]}?" if near else f"known: {', '.join(_KEYS)}, python:package.module:function"
    return f"there is no such type of verifier; {advice}"


def _unknown(kind: str, check: Mapping[str, Any]) -> str:
    if kind not in _KEYS:
        return ""
    known = _KEYS[kind] | _ANYWHERE
    for key in check:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
            advice = f"did you mean {near[0]}?" if near else f"known keys: {', '.join(sorted(known - {'type'}))}"
            return f"{key} is {_shown(check[key])}, but there is no such key; {advice}"
    return ""


def _common(check: Mapping[str, Any]) -> str:
    misses = check.get("near_misses", [])
    if not isinstance(misses, list) or not all(isinstance(one, str) for one in misses):
        return f"near_misses is {_shown(misses)}, must be a list of texts, replies that must fail"
    if "stronger" in check and (fault := fault_of(check["stronger"])):
        return f"stronger: {fault}"
    return ""


def _parts_fault(kind: str, check: Mapping[str, Any], own: bool) -> str:
    """The same of the parts of a combination."""
    if kind not in COMBINERS:
        return ""
    parts = check.get("of")
    if not isinstance(parts, list) or not parts:
        return f"{kind}: of is {_shown(parts)}, must be a list of verifiers, each with a type"
    faults = (f"{kind}: of[{place}]: {fault}" for place, one in enumerate(parts) if (fault := fault_of(one, own=own)))
    return next(faults, "")


def _math(check: Mapping[str, Any]) -> str:
    if "answer" not in check:
        return "answer is missing; add the right answer"
    if fault := _answer(check) or _number(check, "tolerance", 0.0, 1e300):
        return fault
    precision = check.get("precision", 6)
    if isinstance(precision, bool) or not isinstance(precision, int) or not 0 <= precision <= 50:
        return f"precision is {_shown(precision)}, must be a whole number from 0 to 50, places after the point"
    return ""


def _answer(check: Mapping[str, Any]) -> str:
    """An answer is text, or a number, whose text it then is."""
    answer = check.get("answer", "")
    number = isinstance(answer, int | float) and not isinstance(answer, bool) and math.isfinite(answer)
    if not number and not isinstance(answer, str):
        return f"answer is {_shown(answer)}, must be text or a number; write it in quotes"
    return f"answer: {fault}" if "answer" in check and (fault := unreadable(str(answer))) else ""


def _code(check: Mapping[str, Any]) -> str:
    if fault := check_fault(check) or _source_fault(str(check.get("source", ""))):
        return fault
    return rows_fault("cases", check["hidden_cases"], "hidden_cases") if "hidden_cases" in check else ""


def _source_fault(source: str) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(source)
    except SyntaxError as error:
        return f"source does not parse ({error.msg}, line {error.lineno}); mend it"
    except (ValueError, RecursionError, MemoryError) as error:
        return f"source does not parse ({type(error).__name__}); mend it"
    return ""


def _judge(check: Mapping[str, Any]) -> str:
    rubric = check.get("rubric", "-")
    if not isinstance(rubric, str) or not rubric.strip():
        return f"rubric is {_shown(rubric)}, must be text that says what earns the full score"
    return _number(check, "threshold", 0.0, 1.0, above=True)


def _gym(check: Mapping[str, Any]) -> str:
    data, index = check.get("data"), check.get("index")
    if not isinstance(data, Mapping) or not isinstance(data.get("name"), str):
        return f"data is {_shown(data)}, must name a data set, as tasks.source: reasoning_gym writes it"
    if isinstance(index, bool) or not isinstance(index, int) or index < 0:
        return f"index is {_shown(index)}, must be a whole number from 0"
    return _number(check, "threshold", 0.0, 1.0, above=True)


def _number(check: Mapping[str, Any], key: str, least: float, most: float, *, above: bool = False) -> str:
    """`above`: the least value itself is out."""
    value = check.get(key, most)
    good = isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most
    if good and not (above and value == least):
        return ""
    return f"{key} is {_shown(value)}, must be a number {'above' if above else 'from'} {least:g}, up to {most:g}"


_FAULTS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "math": _math,
    "steps": _answer,
    "code_tests": _code,
    "judge": _judge,
    "reasoning_gym": _gym,
    "heuristic": heuristic_fault,
}


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


# ---- golds that need the symbolic worker ----


def golds_of(check: Mapping[str, Any]) -> list[str]:
    """The answers that a sound check compares with, those of its parts and of its `stronger` one too."""
    found = [str(check["answer"])] if check.get("type") in ("math", "steps") and "answer" in check else []
    for part in (*(check.get("of") or ()), *([check["stronger"]] if "stronger" in check else ())):
        found += golds_of(part) if isinstance(part, Mapping) else []
    return found


def unparsed_golds(golds: Iterable[str], seconds: float = SYMBOLIC_SECONDS) -> tuple[dict[str, str], int]:
    """Gold -> why the symbolic worker cannot read it, and how many golds were left untried when the time was over.

    Golds that need no worker (numbers, words, choices, lists of them) are not asked about. Raises OutageError without a worker.
    """
    asked = [gold for gold in dict.fromkeys(golds) if needs_symbols(gold)]
    found: dict[str, str] = {}
    end = time.monotonic() + seconds
    for place, gold in enumerate(asked):
        if time.monotonic() > end:
            return found, len(asked) - place
        if fault := unparsed(gold):
            found[gold] = fault
    return found, 0
