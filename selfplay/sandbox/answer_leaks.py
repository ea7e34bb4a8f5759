"""Finds test calls whose arguments give away the answer to an earlier call: a program that has all calls could look it up.

An example is `flip("aBc") == "AbC"` before `flip("AbC") == "aBc"`. Such calls are asked one by one (`sessions.py`), so that no
program sees a call before its turn. It may remember the calls it has already answered.
"""

import ast
import marshal
import math
from collections.abc import Hashable, Iterable, Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

from selfplay.sandbox import codec

SMALL = 1000
"""Numbers up to this size are too common to count as a leak by themselves."""

Compared = tuple[Any, Iterable[Any]]
"""The arguments of a call, and what its answer is compared with."""


def leaks_answers(calls: Sequence[Compared], literals: Iterable[Compared] = ()) -> bool:
    """Whether an answer appears in the arguments of a later call, but not in those of its own call or an earlier one.

    `literals`: further comparisons, of calls that are known only by some of their arguments. Small numbers and single characters count
    only where they form a pattern (`_patterned`); truth values and empty containers never do. A list equals a tuple of equal items.
    """
    if _patterned(calls):
        return True
    wanted = [(at, part) for at, (_, answers) in enumerate(calls) for part in map(_plain, answers) if part is not None]
    more = [(given, part) for given, answers in literals for part in map(_plain, answers) if part is not None]
    if not wanted and not more:
        return False
    first: dict[Hashable, int] = {}
    for at, (given, _) in enumerate(calls):
        for part in _parts(given):
            first.setdefault(part, at)
    wanted += [
        (min((first[part] for part in _parts(given) if part in first), default=-1), part) for given, part in more
    ]
    return any(first.get(part, -1) > at for at, part in wanted)


def _patterned(calls: Sequence[Compared]) -> bool:
    """Whether at least two answers, and half of all, are small numbers or single characters that a later call is the first to pass."""
    first: dict[Hashable, int] = {}
    for at, (given, _) in enumerate(calls):
        for part in _arguments(given):
            if _is_small(part):
                first.setdefault(part, at)
    told = [at for at, (_, answers) in enumerate(calls) if any(_is_small(x) and first.get(x, -1) > at for x in answers)]
    return len(told) >= max(2, len(calls) / 2)


def _arguments(given: Any) -> Iterator[Any]:
    """The arguments one by one, given as (arguments, keywords) or as arguments alone. Items of lists are left out."""
    for part in given if isinstance(given, list | tuple) else ():
        yield from part if type(part) is tuple else part.values() if type(part) is dict else (part,)


def _is_small(value: Any) -> bool:
    return type(value) in (int, float, str, bytes) and _plain(value) is None and value != "" and value != b""


def compared(tree: ast.AST) -> Iterator[Compared]:
    """The literals that test code compares with: (literals elsewhere in the comparison, literals that stand alone in it)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            sides = [(side, list(_literal(side))) for side in (node.left, *node.comparators)]
            alone = [value for _, values in sides for value in values]
            if alone:
                yield [value for side, values in sides if not values for value in _literals(side)], alone


def _literals(node: ast.AST) -> Iterator[Any]:
    return (value for part in ast.walk(node) for value in _literal(part))


def _literal(node: ast.AST) -> Iterator[Any]:
    if not isinstance(node, _LITERALS):
        return
    try:
        yield ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return


_LITERALS = (ast.Constant, ast.List, ast.Tuple, ast.Set, ast.Dict, ast.UnaryOp, ast.BinOp, ast.Call)
"""The nodes that `literal_eval` can evaluate; trying it on every name would be slow."""


def _parts(value: Any, depth: int = 0) -> Iterator[Hashable]:
    """The keys (`_plain`) of a value and of all values inside it."""
    found = _plain(value)
    if found is not None:
        yield found
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    if isinstance(value, _HOLDERS) and depth < codec.MAX_DEPTH:
        for item in value:
            yield from _parts(item, depth + 1)


_HOLDERS = (list, tuple, set, frozenset)
_ALIKE = bytes.maketrans(b"(t", b"[u")
"""Marshal's own marks: a tuple as a list, an interned text as any other."""


def _plain(value: Any) -> Hashable | None:
    """A key that equal values share, a list with a tuple too; None where the value is too common to count, or not a builtin."""
    kind = type(value)
    if kind is int:
        return value if abs(value) > SMALL else None
    if kind is str or kind is bytes:
        return value if len(value) > 1 else None
    if kind is float:
        return value if math.isfinite(value) and (value * 2 % 1 or abs(value) > SMALL) else None
    if value is None or kind is bool or (kind in (*_HOLDERS, dict) and not value):
        return None
    try:
        return marshal.dumps(value, 2).translate(_ALIKE)
    except ValueError:
        return repr(value) if kind in (Decimal, Fraction, bytearray, range) else None
