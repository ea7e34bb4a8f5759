"""The list operations in English and in Python; runs chains of them, and finds chains whose tests are too weak.

The table's order is the Zipf rank: the first half is common in the anchor, the second half is the tail. Everything
here is plain arithmetic on lists of small integers; nothing is evaluated from text.
"""

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

MAX_VALUE = 1_000_000
"""A chain whose reference computes a larger number is rejected: it would test big-integer arithmetic."""
MAX_ITEMS = 48
"""A chain whose reference makes a longer list is rejected."""

_DIGITS = (2, 3, 4, 5, 6, 7, 8, 9)
_FEW = (1, 2, 3, 4)
_FACTORS = (2, 3, 4, 5)
_NONE: tuple[int, ...] = ()


@dataclass(frozen=True)
class Operation:
    """One operation on a list of integers."""

    name: str
    phrase: str
    """English; `{k}` stands for the argument."""
    codes: tuple[str, ...]
    """Right-hand sides that all compute it, the usual one first; `{k}` stands for the argument."""
    apply: Callable[[list[int], int], list[int]]
    """The reference; the second argument is 0 where the operation takes none."""
    arguments: tuple[int, ...] = _NONE
    """Possible values of the argument; empty: it takes none."""
    grows: bool = False
    """Whether its list may be longer, or a number larger in size, than what it was given."""


class Step(NamedTuple):
    """An operation with its argument."""

    operation: str
    argument: int | None = None


Chain = tuple[Step, ...]


def _running_sum(xs: list[int], k: int) -> list[int]:
    total, out = 0, []
    for x in xs:
        total += x
        out.append(total)
    return out


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "add",
        "to every number add {k}",
        ("[x + {k} for x in xs]",),
        lambda xs, k: [x + k for x in xs],
        _DIGITS,
        grows=True,
    ),
    Operation("reverse", "reverse the list", ("xs[::-1]", "list(reversed(xs))"), lambda xs, k: xs[::-1]),
    Operation(
        "multiply",
        "multiply every number by {k}",
        ("[x * {k} for x in xs]",),
        lambda xs, k: [x * k for x in xs],
        _FACTORS,
        grows=True,
    ),
    Operation("sort", "sort from small to large", ("sorted(xs)",), lambda xs, k: sorted(xs)),
    Operation("drop_first", "drop this many at the front: {k}", ("xs[{k}:]",), lambda xs, k: xs[k:], _FEW),
    Operation(
        "keep_even",
        "keep only even numbers",
        ("[x for x in xs if x % 2 == 0]", "[x for x in xs if not x % 2]"),
        lambda xs, k: [x for x in xs if x % 2 == 0],
    ),
    Operation(
        "subtract",
        "from every number subtract {k}",
        ("[x - {k} for x in xs]",),
        lambda xs, k: [x - k for x in xs],
        _DIGITS,
        grows=True,
    ),
    Operation("take_first", "keep this many at the front: {k}", ("xs[:{k}]",), lambda xs, k: xs[:k], (3, 4, 5, 6)),
    Operation(
        "append", "at the end append {k}", ("xs + [{k}]", "[*xs, {k}]"), lambda xs, k: [*xs, k], _DIGITS, grows=True
    ),
    Operation(
        "keep_above",
        "keep only numbers above {k}",
        ("[x for x in xs if x > {k}]",),
        lambda xs, k: [x for x in xs if x > k],
        _DIGITS,
    ),
    Operation(
        "negate",
        "flip the sign of every number",
        ("[-x for x in xs]", "[0 - x for x in xs]"),
        lambda xs, k: [-x for x in xs],
    ),
    Operation("drop_last", "drop this many at the end: {k}", ("xs[:-{k}]",), lambda xs, k: xs[:-k], _FEW),
    Operation(
        "square",
        "square every number",
        ("[x * x for x in xs]", "[x ** 2 for x in xs]"),
        lambda xs, k: [x * x for x in xs],
        grows=True,
    ),
    Operation(
        "unique", "remove repeats of a number", ("list(dict.fromkeys(xs))",), lambda xs, k: list(dict.fromkeys(xs))
    ),
    # from here on: the tail
    Operation(
        "sort_down",
        "sort from large to small",
        ("sorted(xs, reverse=True)", "sorted(xs)[::-1]"),
        lambda xs, k: sorted(xs, reverse=True),
    ),
    Operation(
        "remainder",
        "take every number modulo {k}",
        ("[x % {k} for x in xs]",),
        lambda xs, k: [x % k for x in xs],
        _DIGITS,
    ),
    Operation(
        "running_sum", "take running sums", ("[sum(xs[:i + 1]) for i in range(len(xs))]",), _running_sum, grows=True
    ),
    Operation(
        "keep_odd", "keep only odd numbers", ("[x for x in xs if x % 2]",), lambda xs, k: [x for x in xs if x % 2]
    ),
    Operation("rotate", "rotate to the left by {k}", ("xs[{k}:] + xs[:{k}]",), lambda xs, k: xs[k:] + xs[:k], _FEW),
    Operation("every_second", "keep every second number", ("xs[::2]",), lambda xs, k: xs[::2]),
    Operation("absolute", "take absolute values", ("[abs(x) for x in xs]",), lambda xs, k: [abs(x) for x in xs]),
    Operation("prepend", "in front put {k}", ("[{k}] + xs", "[{k}, *xs]"), lambda xs, k: [k, *xs], _DIGITS, grows=True),
    Operation(
        "keep_below",
        "keep only numbers below {k}",
        ("[x for x in xs if x < {k}]",),
        lambda xs, k: [x for x in xs if x < k],
        _DIGITS,
    ),
    Operation(
        "differences",
        "take differences of neighbours",
        ("[b - a for a, b in zip(xs, xs[1:])]",),
        lambda xs, k: [b - a for a, b in itertools.pairwise(xs)],
        grows=True,
    ),
    Operation("take_last", "keep this many at the end: {k}", ("xs[-{k}:]",), lambda xs, k: xs[-k:], (3, 4, 5, 6)),
    Operation(
        "cap", "cap every number at {k}", ("[min(x, {k}) for x in xs]",), lambda xs, k: [min(x, k) for x in xs], _DIGITS
    ),
    Operation(
        "twice",
        "write every number twice",
        ("[x for x in xs for _ in range(2)]",),
        lambda xs, k: [x for x in xs for _ in (0, 1)],
        grows=True,
    ),
    Operation(
        "halve",
        "divide and round down every number by {k}",
        ("[x // {k} for x in xs]",),
        lambda xs, k: [x // k for x in xs],
        _FACTORS,
    ),
)

BY_NAME = {op.name: op for op in OPERATIONS}
RARE = frozenset(op.name for op in OPERATIONS[len(OPERATIONS) // 2 :])
"""The second half of the table: about 15 % of the uses in the anchor."""
ZIPF = tuple(1.0 / (rank + 1) for rank in range(len(OPERATIONS)))
"""Weights of the table's rows in the anchor: exponent 1."""

_PATTERNS = tuple(
    (op.name, re.compile(re.escape(op.phrase).replace(re.escape("{k}"), "(?P<k>[0-9]+)"))) for op in OPERATIONS
)


def english(step: Step) -> str:
    """The step as it stands in a prompt."""
    return BY_NAME[step.operation].phrase.replace("{k}", str(step.argument))


def python(step: Step, variant: int = 0) -> str:
    """The right-hand side that computes the step; `variant` counts modulo the ways there are to write it."""
    codes = BY_NAME[step.operation].codes
    return codes[variant % len(codes)].replace("{k}", str(step.argument))


def read(phrase: str) -> Step:
    """The step that `english` wrote. Raises ValueError where no operation has this phrase."""
    for name, pattern in _PATTERNS:
        if found := pattern.fullmatch(phrase):
            return Step(name, int(found["k"]) if BY_NAME[name].arguments else None)
    raise ValueError(f"list programs: {phrase!r} is none of the {len(OPERATIONS)} operations; see OPERATIONS")


def run(chain: Sequence[Step], xs: Sequence[int]) -> list[int] | None:
    """The result of the chain on `xs`; None above MAX_VALUE or MAX_ITEMS."""
    out = run_all(chain, [xs])
    return None if out is None else out[0]


def run_all(chain: Sequence[Step], inputs: Sequence[Sequence[int]]) -> list[list[int]] | None:
    """The result of the chain on each input; None where one is above MAX_VALUE or MAX_ITEMS."""
    out = [list(xs) for xs in inputs]
    for name, argument in chain:
        operation, k = BY_NAME[name], argument or 0
        out = [operation.apply(xs, k) for xs in out]
        if operation.grows and any(map(_too_large, out)):
            return None
    return out


def _too_large(xs: Sequence[int]) -> bool:
    return len(xs) > MAX_ITEMS or (len(xs) > 0 and (max(xs) > MAX_VALUE or min(xs) < -MAX_VALUE))


def shortened_agrees(chain: Sequence[Step], inputs: Sequence[Sequence[int]], expected: Sequence[Sequence[int]]) -> bool:
    """Whether some program with one or more steps left out gives `expected` on all inputs: then the tests are too weak.

    All 2^n - 1 proper subsequences count, the empty one (return the list unchanged) included. All of them run on the first
    input, those that reach the same list as one; only those that pass it run on the other inputs.
    """
    whole, (first, *others), (wanted, *rest) = tuple(chain), inputs, expected
    left = [program for program in _shortened(whole, first, tuple(wanted)) if program != whole]
    return any(all(run(program, xs) == list(want) for xs, want in zip(others, rest, strict=True)) for program in left)


def _shortened(chain: Chain, xs: Sequence[int], wanted: tuple[int, ...]) -> list[Chain]:
    """The subsequences of a chain that turn `xs` into `wanted`, the whole chain included; none that exceeds the limits."""
    found: dict[tuple[int, ...], list[Chain]] = {tuple(xs): [()]}
    for step in chain[:-1]:
        for result, longer in list(_lengthened(found, step)):
            found.setdefault(tuple(result), []).extend(longer)
    ends = [longer for result, longer in _lengthened(found, chain[-1]) if tuple(result) == wanted]
    return [*found.get(wanted, ()), *itertools.chain.from_iterable(ends)]


def _lengthened(found: Mapping[tuple[int, ...], list[Chain]], step: Step) -> Iterator[tuple[list[int], list[Chain]]]:
    """The result of one more step on each list, with the programs that reach it."""
    operation, k = BY_NAME[step.operation], step.argument or 0
    for before, programs in found.items():
        after = operation.apply(list(before), k)
        if not (operation.grows and _too_large(after)):
            yield after, [(*program, step) for program in programs]
