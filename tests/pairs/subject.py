"""The code that is judged, behind one small function a question: only its public names are used."""

import inspect
from collections.abc import Callable
from typing import Any

from selfplay.answers import extract_code
from selfplay.models import structured
from selfplay.verify.judge import Grade
from selfplay.verify.math import equal

_EXTRACT: Callable[..., str | None] = extract_code
_TAKES_ENTRY_POINT = "entry_point" in inspect.signature(_EXTRACT).parameters


def verdict(gold: str, reply: str) -> str:
    """What `equal` says of a pair: pass, fail, invalid, abstain or error; an exception is an error too."""
    try:
        return str(equal(gold, reply).value)
    except Exception:
        return "error"


def code_of(reply: str, entry_point: str | None) -> str | None:
    """The program in a reply."""
    if _TAKES_ENTRY_POINT:
        return _EXTRACT(reply, entry_point=entry_point)
    return _EXTRACT(reply)


def grade_of(reply: str) -> float | None:
    """The score that a judge's reply states; None where it is unreadable."""
    try:
        found: Any = structured.extract(reply, Grade)
    except ValueError:
        return None
    if hasattr(found, "fault"):
        if found.fault:
            return None
        found = found.value
    return None if found is None else float(found.score)
