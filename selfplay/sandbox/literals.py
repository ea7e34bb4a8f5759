"""Reads test code that a model wrote, without running it: literal asserts become cases, the rest is left for a sandbox.

The text of `assert f(2) == 4` says all that is needed. Such an assert is judged outside, on the program's answer, by Python's own rules
for builtins. The functions are pure. The text is hostile, so its length is bounded, and whatever the parser raises means "no tests".
"""

import ast
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from selfplay.sandbox import codec
from selfplay.sandbox.answer_leaks import leaks_answers
from selfplay.sandbox.judge import short

MAX_SOURCE_CHARS = 50_000
"""Longer tests are not read: 60 tests of a few lines have a tenth of it."""
_APPROX_RELATIVE, _APPROX_ABSOLUTE, _CLOSE_RELATIVE = 1e-6, 1e-12, 1e-9
_TAKEN = {"abs", "math", "isclose", "pytest", "approx"}
"""Names that mean in a literal assert what Python or pytest means by them."""
_GENUINE = {"math", "pytest", "math.isclose", "pytest.approx", "pytest.raises"}


class Unreadable(Exception):
    """The text is not test code; the message says why."""


class Expected(NamedTuple):
    """What one literal assert expects of the answer to one call."""

    args: tuple[Any, ...]
    keys: dict[str, Any]
    shown: str
    """What is wanted, in words for the evidence; holds the expected value."""
    holds: Callable[[Any], bool]
    """Whether an answer of exact builtins is as wanted; raises what the assert would raise."""
    value: Any
    """The value that is compared with, by which it is seen whether an argument of a later call gives it away."""


class Tests(NamedTuple):
    """A test source in parts."""

    cases: tuple[Expected, ...]
    calls: tuple[tuple[str, codec.Raw], ...]
    """The call of each case, encoded for the sandbox."""
    one_by_one: bool
    """Whether a call must not be seen before its turn (`answer_leaks.py`)."""
    rest: str
    """The source without its literal asserts, lines kept; "" where nothing is left but imports and texts."""
    last: tuple[str, ...]
    """Functions of the rest to call at its end: a `check(candidate)` or `test_...()` that nobody calls."""


def read(source: str, entry_point: str) -> Tests:
    """Split a test source into its parts. Raises `Unreadable`."""
    if len(source) > MAX_SOURCE_CHARS:
        raise Unreadable(f"they have {len(source)} characters, more than {MAX_SOURCE_CHARS}; make them shorter")
    tree = _parsed(source)
    cases: list[Expected] = []
    calls: list[tuple[str, codec.Raw]] = []
    left: list[ast.stmt] = []
    lines = source.split("\n")
    for at, node in enumerate(tree.body):
        case = _case(node, entry_point)
        raw = _sent(case) if case is not None else None
        if case is None or raw is None:
            left.append(node)
            continue
        cases.append(case)
        calls.append((entry_point, raw))
        _blank(lines, tree.body, at)
    ahead = leaks_answers([(case.args, [case.value]) for case in cases])
    rest = "\n".join(lines) if any(not _idle(node) for node in left) else ""
    return Tests(tuple(cases), tuple(calls), ahead, rest, _uncalled(tree) if rest else ())


def _parsed(source: str) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise Unreadable(f"they do not parse, {type(error).__name__}: {str(error)[:200]}") from None


def _blank(lines: list[str], body: Sequence[ast.stmt], at: int) -> None:
    """Take a statement's lines out, unless another statement stands on one of them: then it is run once more inside."""
    first, last = body[at].lineno, body[at].end_lineno or body[at].lineno
    before = body[at - 1].end_lineno if at else 0
    after = body[at + 1].lineno if at + 1 < len(body) else last + 1
    if (before or 0) < first and after > last:
        lines[first - 1 : last] = [""] * (last - first + 1)


def _sent(case: Expected) -> codec.Raw | None:
    try:
        return codec.dump((case.args, case.keys))
    except (TypeError, ValueError):
        return None  # such as `...`, which is a literal, but no value that crosses


def _idle(node: ast.stmt) -> bool:
    """Whether a statement does nothing that a literal assert could see: an import, a text, `pass`."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        names = [(alias.asname or alias.name, _whole(node, alias)) for alias in node.names]
        return all(name != "*" and (name not in _TAKEN or whole in _GENUINE) for name, whole in names)
    return isinstance(node, ast.Pass) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))


def _whole(node: ast.Import | ast.ImportFrom, alias: ast.alias) -> str:
    return f"{node.module}.{alias.name}" if isinstance(node, ast.ImportFrom) else alias.name


def _uncalled(tree: ast.Module) -> tuple[str, ...]:
    called = {n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
    found = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name not in called:
            needed = len(node.args.args) - len(node.args.defaults)
            if (node.name == "check" and needed == 1) or (node.name.startswith("test") and needed == 0):
                found.append(node.name)
    return tuple(dict.fromkeys(found))


# ---- one assert ----


def _case(node: ast.stmt, entry_point: str) -> Expected | None:
    """What a literal assert wants; None where it is none. Its message is not read: it could only say why it failed."""
    if not isinstance(node, ast.Assert):
        return None
    try:
        return next(_readings(node.test, entry_point), None)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return None


def _readings(test: ast.expr, entry_point: str) -> Iterator[Expected]:
    """At most one reading of the expression; raises what `literal_eval` raises."""
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        yield from _compared(test, entry_point)
    elif isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        for args, keys in _call(test.operand, entry_point):
            yield Expected(args, keys, "something false", lambda got: not got, False)
    elif isinstance(test, ast.Call) and _name(test.func) in ("math.isclose", "isclose") and len(test.args) == 2:
        yield from _is_close(test, entry_point)
    else:
        for args, keys in _call(test, entry_point):
            yield Expected(args, keys, "something true", bool, True)


def _compared(test: ast.Compare, entry_point: str) -> Iterator[Expected]:
    op, one, other = test.ops[0], test.left, test.comparators[0]
    if isinstance(op, ast.Lt | ast.LtE):
        yield from _near(one, ast.literal_eval(other), isinstance(op, ast.LtE), entry_point)
        return
    for call, side in ((one, other), (other, one)):
        for args, keys in _call(call, entry_point):
            yield from _against(args, keys, op, side)
            return


def _against(args: tuple[Any, ...], keys: dict[str, Any], op: ast.cmpop, side: ast.expr) -> Iterator[Expected]:
    """The answer beside `==` or `is` and a literal, or `==` and `approx(literal)`."""
    if isinstance(op, ast.Eq) and isinstance(side, ast.Call) and _name(side.func) in ("pytest.approx", "approx"):
        yield _approx(args, keys, side)
        return
    value = ast.literal_eval(side)
    if isinstance(op, ast.Eq):
        yield Expected(args, keys, short(value), lambda got: bool(got == value), value)
    elif isinstance(op, ast.Is) and (value is None or isinstance(value, bool)):
        yield Expected(args, keys, short(value), lambda got: got is value, value)


def _near(one: ast.expr, bound: Any, inclusive: bool, entry_point: str) -> Iterator[Expected]:
    """`abs(f(x) - v) < bound`, or with the two in the other order."""
    if not (isinstance(one, ast.Call) and _name(one.func) == "abs" and len(one.args) == 1 and not one.keywords):
        return
    inner = one.args[0]
    if not (isinstance(inner, ast.BinOp) and isinstance(inner.op, ast.Sub)):
        return
    for call, side in ((inner.left, inner.right), (inner.right, inner.left)):
        for args, keys in _call(call, entry_point):
            value = ast.literal_eval(side)

            def holds(got: Any, value: Any = value) -> bool:
                apart = abs(got - value)
                return bool(apart <= bound if inclusive else apart < bound)

            yield Expected(args, keys, f"{short(value)} within {short(bound)}", holds, value)
            return


def _is_close(test: ast.Call, entry_point: str) -> Iterator[Expected]:
    given = _keywords(test)
    if not set(given) <= {"rel_tol", "abs_tol"} or not all(
        _is_number(bound) and bound >= 0 for bound in given.values()
    ):
        return
    relative, absolute = given.get("rel_tol", _CLOSE_RELATIVE), given.get("abs_tol", 0.0)
    for call, side in (test.args, test.args[::-1]):
        for args, keys in _call(call, entry_point):
            value = ast.literal_eval(side)

            def holds(got: Any, value: Any = value) -> bool:
                return math.isclose(got, value, rel_tol=relative, abs_tol=absolute)

            yield Expected(args, keys, f"close to {short(value)}", holds, value)
            return


def _approx(args: tuple[Any, ...], keys: dict[str, Any], side: ast.Call) -> Expected:
    """As `pytest.approx` compares numbers, and lists, tuples and dicts of them. Raises ValueError where it is no such call."""
    given = _keywords(side)
    if len(side.args) != 1 or not set(given) <= {"rel", "abs"} or not all(_is_number(x) for x in given.values()):
        raise ValueError("no plain approx")
    value, relative, absolute = ast.literal_eval(side.args[0]), given.get("rel"), given.get("abs")
    if relative is None and absolute is not None:
        relative = 0.0  # as pytest does: an absolute bound alone

    def alike(want: Any, got: Any) -> bool:
        if not _is_number(want) or not _is_number(got) or isinstance(want, complex) or isinstance(got, complex):
            return bool(want == got)
        room = max((_APPROX_RELATIVE if relative is None else relative) * abs(want), absolute or _APPROX_ABSOLUTE)
        return bool(want == got or (math.isfinite(want) and abs(want - got) <= room))

    def holds(got: Any) -> bool:
        if isinstance(value, list | tuple):
            return type(got) in (list, tuple) and len(got) == len(value) and all(map(alike, value, got))
        if isinstance(value, dict):
            return type(got) is dict and got.keys() == value.keys() and all(alike(v, got[k]) for k, v in value.items())
        return alike(value, got)

    return Expected(args, keys, f"about {short(value)}", holds, value)


def _call(node: ast.expr, entry_point: str) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    """The arguments of a call of the entry point, once, where they are literals; else nothing. Raises as `literal_eval`."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == entry_point:
        yield tuple(ast.literal_eval(arg) for arg in node.args), _keywords(node)


def _keywords(node: ast.Call) -> dict[str, Any]:
    if any(keyword.arg is None for keyword in node.keywords):
        raise ValueError("arguments that are unpacked")
    return {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in node.keywords}


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return f"{node.value.id}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
