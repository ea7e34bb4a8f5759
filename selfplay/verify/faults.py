"""What is wrong with a task's check, in a sentence with key and remedy, before anything is judged by it.

Asked by `selfplay check`, `selfplay validate` and the start of a run alike. What a type of check may hold stands in the
class of its verifier (`keys`, `fault`); what all types have in common stands here.
"""

import re
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from selfplay.config.near_words import nearest
from selfplay.verify.base import COMBINERS, PYTHON, Check, known_types, shown, verifier_class
from selfplay.verify.function_lookup import lookup_fault
from selfplay.verify.math.equality import needs_symbols, unparsed
from selfplay.verify.routing import leaves

SYMBOLIC_SECONDS = 30.0
"""Time limit for asking the symbolic worker whether the gold answers of a set of tasks parse."""
_EVERYWHERE = frozenset({"type", "stronger", "near_misses"})
"""Keys that a check of any type may have."""
_FUNCTION = re.compile(rf"{PYTHON}:[^\W\d]\w*(?:\.[^\W\d]\w*)*:[^\W\d]\w*")


def fault_of(check: Any, *, own: bool = False) -> str:
    """What is wrong with a check: the key, its value and the remedy in one sentence; "" where nothing is.

    `own`: `{type: task}`, which stands for a task's own check, is allowed too, as in `verify.check`. Imports no function of a
    `python:` check, and asks no model or worker.
    """
    if not isinstance(check, Mapping):
        return f"verifier is {shown(check)}, must be an object, as in {{type: math, answer: ...}}"
    kind = check.get("type")
    if not isinstance(kind, str):
        return f"type is {shown(kind)}; give one of {', '.join(known_types())}"
    if own and kind == "task":
        return ""
    fault = _type_fault(kind) or _unknown_key(kind, check) or _common(check)
    if not fault and kind not in COMBINERS:
        fault = verifier_class(kind).fault(check)
    return f"{kind}: {fault}" if fault else _parts_fault(kind, check, own)


def _type_fault(kind: str) -> str:
    if kind.startswith(f"{PYTHON}:"):
        good = _FUNCTION.fullmatch(kind)
        return "" if good else "type names no function; write python:package.module:function"
    known = known_types()
    if kind in known:
        return ""
    near = nearest(kind, known)
    advice = f"did you mean {near}?" if near else f"known: {', '.join(known)}"
    return f"there is no such type of verifier; {advice}"


def _unknown_key(kind: str, check: Check) -> str:
    own = frozenset({"of"}) if kind in COMBINERS else verifier_class(kind).keys
    if own is None:
        return ""
    known = own | _EVERYWHERE
    for key in check:
        if key not in known:
            near = nearest(key, known)
            advice = f"did you mean {near}?" if near else f"known keys: {', '.join(sorted(known - {'type'}))}"
            return f"{key} is {shown(check[key])}, but there is no such key; {advice}"
    return ""


def _common(check: Check) -> str:
    misses = check.get("near_misses", [])
    if not isinstance(misses, list) or not all(isinstance(one, str) for one in misses):
        return f"near_misses is {shown(misses)}, must be a list of texts, replies that must fail"
    if "stronger" in check and (fault := fault_of(check["stronger"])):
        return f"stronger: {fault}"
    return ""


def _parts_fault(kind: str, check: Check, own: bool) -> str:
    """What is wrong with the parts of a combination; "" where nothing is, or the check is none."""
    if kind not in COMBINERS:
        return ""
    parts = check.get("of")
    if not isinstance(parts, list) or not parts:
        return f"{kind}: of is {shown(parts)}, must be a list of verifiers, each with a type"
    faults = (f"{kind}: of[{place}]: {fault}" for place, one in enumerate(parts) if (fault := fault_of(one, own=own)))
    return next(faults, "")


# ---- the checks of all rows ----


class RowFaults:
    """Says what is wrong with the check of each task row. Every gold answer and every function is looked at once.

    `look`: also looks for the functions of `python:` checks, first in `folder`, the configuration's; nothing is imported. `seconds`:
    limit on the time of the symbolic worker, for all rows together.
    """

    def __init__(self, folder: Path, *, look: bool = False, seconds: float = SYMBOLIC_SECONDS) -> None:
        self.untried = 0
        """Gold answers that were not tried, since the symbolic worker took too long."""
        self._folder, self._look, self._left = folder, look, seconds
        self._golds: dict[str, str] = {}
        self._functions: set[str] = set()

    def fault(self, check: Check, *, own: bool = False) -> str:
        """What is wrong with a check; "" if nothing is. `own`: as in `fault_of`."""
        return fault_of(check, own=own) or self._function_fault(check) or self._gold_fault(check)

    def _function_fault(self, check: Check) -> str:
        """A function that cannot be found is a fault of the first row that names it."""
        for kind in (str(leaf["type"]) for leaf in leaves(check)) if self._look else ():
            if kind.startswith(f"{PYTHON}:") and kind not in self._functions:
                self._functions.add(kind)
                if fault := lookup_fault(kind, self._folder):
                    return f"{kind}: {fault}"
        return ""

    def _gold_fault(self, check: Check) -> str:
        golds = golds_of(check)
        new = [gold for gold in golds if gold not in self._golds]
        if new:
            started = time.monotonic()
            found, untried = unparsed_golds(new, self._left)
            self._left -= time.monotonic() - started
            self.untried += untried
            self._golds |= {gold: found.get(gold, "") for gold in new}
        return next((f"answer: {self._golds[gold]}" for gold in golds if self._golds[gold]), "")


# ---- gold answers that need the symbolic worker ----


def golds_of(check: Check) -> list[str]:
    """The mathematical answers that a sound check compares with, those of its parts and of its `stronger` check included."""
    kind = str(check["type"])
    found = [] if kind in (*COMBINERS, "task") else verifier_class(kind).golds(check)
    for part in (*(check["of"] if kind in COMBINERS else ()), *([check["stronger"]] if "stronger" in check else ())):
        found += golds_of(part) if isinstance(part, Mapping) else []
    return found


def unparsed_golds(golds: Iterable[str], seconds: float = SYMBOLIC_SECONDS) -> tuple[dict[str, str], int]:
    """Gold answer -> why the symbolic worker cannot read it; and how many were left untried after `seconds`.

    Answers that need no worker (numbers, words, choices, lists of them) are skipped. Raises OutageError without a worker.
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
