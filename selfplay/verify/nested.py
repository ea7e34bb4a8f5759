"""Decides by the structure of two checks whether the second one can pass what the first one rejects. Pure functions.

A second check that contains the first one, as a strengthened test set contains the tests, passes nothing that the first one rejects.
From such a check the true positive rate of the first is 1 by construction, so it says nothing about right attempts that were lost.
"""

from collections.abc import Mapping
from typing import Any

from selfplay.verify.base import COMBINERS, verifier_class

Check = Mapping[str, Any]
_BESIDE = frozenset({"type", "stronger", "near_misses", "hidden_cases", "cpu_seconds", "model_written"})
"""Keys that do not say what passes."""
_TESTS = ("cases", "stdio", "source")
"""Keys to which tests can be added, so that less passes."""
_LOWER_IS_STRICTER = ("atol", "tolerance")


def can_overturn(first: Check, second: Check, *, second_judge: bool = False) -> bool:
    """Whether `second` can pass an attempt that `first` rejects.

    It cannot where it contains `first`: `{type: all, of: [FIRST, MORE]}`, the same tests and further ones, the same verifier with a
    smaller tolerance. Where the two share a part alone, rejections by that part stand. `second_judge`: a judge in `second` is another
    model than one in `first`, and so contains nothing.
    """
    return not contains(second, first, second_judge=second_judge)


def contains(outer: Check, inner: Check, *, second_judge: bool = False) -> bool:
    """Whether all that `outer` passes is passed by `inner`, as far as their structure shows; False where it does not."""

    def within(one: Check, other: Check) -> bool:
        return contains(one, other, second_judge=second_judge)

    kind, other = outer["type"], inner["type"]
    parts, others = (check.get("of", ()) if check["type"] in COMBINERS else () for check in (outer, inner))
    pairs = list(zip(parts, others, strict=True)) if kind == other and len(parts) == len(others) else []
    if pairs and all(within(one, another) for one, another in pairs):
        return True
    if parts and (any if kind == "all" else all)(within(part, inner) for part in parts):
        return True
    if others and other != "first":
        return (all if other == "all" else any)(within(outer, part) for part in others)
    return not parts and not others and _single_contains(outer, inner, second_judge)


def _single_contains(outer: Check, inner: Check, second_judge: bool) -> bool:
    if outer["type"] != inner["type"] or (second_judge and verifier_class(outer["type"]).needs_judge):
        return False
    return all(_as_strict(key, outer.get(key), inner.get(key)) for key in (outer.keys() | inner.keys()) - _BESIDE)


def _as_strict(key: str, outer: Any, inner: Any) -> bool:
    """Whether a key of a single verifier lets the outer check pass no more than the inner one."""
    if outer == inner:
        return True
    if key in _TESTS:
        return inner is None or (outer is not None and _holds(outer, inner))
    if key in _LOWER_IS_STRICTER:
        return (outer or 0) <= (inner or 0)
    if key == "strict":
        return not inner
    if key == "threshold":
        return None not in (outer, inner) and outer >= inner
    return False


def _holds(outer: Any, inner: Any) -> bool:
    """Whether tests hold all others: a text as a part, a list as its rows."""
    return inner in outer if isinstance(outer, str) else all(row in outer for row in inner)
