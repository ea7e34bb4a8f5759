"""What is wrong with one value in a task's check, in words. Shared by the verifiers' `fault`."""

from typing import Any

from selfplay.verify.base import Check


def shown(value: Any) -> str:
    """A value as a message shows it: its `repr`, at most 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def number_fault(check: Check, key: str, low: float, high: float, *, above: bool = False) -> str:
    """What is wrong with a number from `low` to `high`; "" where nothing is, or the key is absent. `above`: `low` itself is out."""
    value = check.get(key, high)
    good = isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
    if good and not (above and value == low):
        return ""
    return f"{key} is {shown(value)}, must be a number {'above' if above else 'from'} {low:g}, up to {high:g}"
