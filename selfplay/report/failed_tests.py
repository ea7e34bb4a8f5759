"""What a failed attempt was given, what was expected of it and what came, from its task and the evidence of its verdicts.

The evidence never holds the expected value, since a correction reads it; the task in the traces does, and only the user sees this page.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

CHARS = 400
"""Characters of each value that are shown."""
_CASE = re.compile(r"case (\d{1,6}): (.*)", re.DOTALL)
_FAILED = ("fail", "invalid")


def parsed(value: Any) -> Any:
    """The value of a JSON column, which is text or parsed already; None if it is damaged."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return None


def shown(value: Any, most: int = CHARS) -> str:
    """The value as text, cut with the number of characters left out; "" for None."""
    text = "" if value is None else str(value)
    return text if len(text) <= most else f"{text[:most]}\u2026 ({len(text) - most} more characters)"


def messages_of(task: Mapping[str, Any], most: int) -> list[dict[str, str]]:
    """The messages of a chat with their roles, each cut after `most` characters; [] for a plain prompt."""
    found = task.get("messages")
    rows = [m for m in found if isinstance(m, dict)] if isinstance(found, list) else []
    return [{"role": str(m.get("role")), "content": shown(m.get("content"), most)} for m in rows]


def facts(task: Mapping[str, Any], verdict: Mapping[str, Any]) -> list[tuple[str, str]]:
    """[(`input`, ...), (`expected`, ...), (`got`, ...)] of a verdict that did not pass; what is not known is left out."""
    if verdict.get("outcome") not in _FAILED:
        return []
    evidence = str(verdict.get("evidence") or "")
    kind = str(verdict.get("verifier") or "").partition("/")[0]
    check = next((c for c in _checks(task.get("verifier")) if c.get("type") == kind), {})
    case = _CASE.fullmatch(evidence)
    given = _given(check, int(case[1])) if case else None
    if case and given:
        known = [*given, ("got", case[2].partition(", expected")[0].removeprefix("got "))]
    else:
        wanted = check.get("answer", task.get("reference") if kind == "math" else None)
        known = [("expected", wanted), ("got", evidence.removeprefix("answered "))]
    return [(name, shown(value)) for name, value in known if value not in (None, "")]


def _given(check: Mapping[str, Any], at: int) -> list[tuple[str, Any]]:
    """The input and the expected output of a test case; [] if the check has no such case."""
    for key in ("cases", "stdio"):
        rows = check.get(key)
        pair = rows[at] if isinstance(rows, list) and at < len(rows) else None
        if not isinstance(pair, list) or len(pair) != 2:
            continue
        if key == "stdio":
            return [("input", pair[0]), ("expected", pair[1])]
        called = ", ".join(map(repr, pair[0])) if isinstance(pair[0], list) else repr(pair[0])
        return [("input", f"{check.get('entry_point', 'f')}({called})"), ("expected", repr(pair[1]))]
    return []


def _checks(check: Any) -> Iterator[Mapping[str, Any]]:
    """The check and, of one that is made of others, all of them."""
    if isinstance(check, dict):
        yield check
        for value in check.values():
            yield from _checks(value)
    elif isinstance(check, list) and check and isinstance(check[0], dict):
        for value in check:
            yield from _checks(value)
