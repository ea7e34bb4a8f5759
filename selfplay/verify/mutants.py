"""A right program made wrong in one place, to see whether tests can tell; and calls near those of the tests. Pure.

Programs and tests are hostile text: they are parsed, and never run here.
"""

import ast
import copy
import random
from collections.abc import Callable, Iterator
from typing import Any

from selfplay.answers.programs import is_plain
from selfplay.curate.canonical import parse
from selfplay.curate.simplify import NEGATED

MAX_CALLS = 300
"""Calls of the tests whose arguments are read: each is compared with all before."""
STUB_VALUES = ("None", "0", "1", "True", "False", "''", "[]", "{}", "args[0] if args else None")
_BOUNDARY: dict[type[ast.cmpop], type[ast.cmpop]] = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt}
_COMPARISONS = {**_BOUNDARY, **NEGATED}
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
}


def stubs(entry_point: str) -> list[str]:
    """Programs that return one value whatever they are asked, and one that returns its argument."""
    return [f"def {entry_point}(*args, **kwargs):\n    return {value}\n" for value in STUB_VALUES]


def mutants(code: str, limit: int = 12) -> list[str]:
    """At most `limit` different programs that differ from `code` in one place, spread over it; [] where it does not parse."""
    tree = parse(code)
    if tree is None:
        return []
    count = len(_spots(tree, _any_kind))
    found: list[str] = []
    for place in range(0, count, max(1, count // limit)):
        text = _mutant(tree, place, _any_kind)
        if text is None:
            return []
        if text not in found:
            found.append(text)
    return found[:limit]


def broken_programs(code: str, count: int, rng: random.Random) -> list[str]:
    """Up to `count` programs with one operator, comparison, number or truth value changed, drawn by `rng`; [] where there is none."""
    tree = parse(code)
    places = len(_spots(tree, _arithmetic)) if tree else 0
    found: list[str] = []
    for place in sorted(rng.sample(range(places), min(count, places))):
        assert tree is not None
        text = _mutant(tree, place, _arithmetic)
        if text is None:
            return []
        found.append(text + "\n")
    return found


Kinds = Callable[[ast.AST], bool]


def _any_kind(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant):
        return type(node.value) in (int, str)
    return not isinstance(node, ast.AugAssign)


def _arithmetic(node: ast.AST) -> bool:
    if isinstance(node, ast.Compare):
        return not isinstance(node.ops[0], ast.In | ast.NotIn | ast.Is | ast.IsNot)
    if isinstance(node, ast.Constant):
        return isinstance(node.value, int | float)
    return isinstance(node, ast.BinOp | ast.AugAssign | ast.BoolOp)


def _spots(tree: ast.AST, kinds: Kinds) -> list[ast.AST]:
    """The nodes of these kinds that can be made wrong."""
    return [node for node in ast.walk(tree) if kinds(node) and _changed(node) is not None]


def _mutant(tree: ast.Module, place: int, kinds: Kinds) -> str | None:
    """The program with its spot number `place` made wrong; None where it is nested too deeply, or holds too long a number."""
    try:
        twin = copy.deepcopy(tree)
        target = _spots(twin, kinds)[place]
        for parent in ast.walk(twin):
            _put(parent, target)
        return ast.unparse(ast.fix_missing_locations(twin))
    except (RecursionError, ValueError):
        return None


def _put(parent: ast.AST, target: ast.AST) -> None:
    """Puts the changed node in the target's place, where `parent` holds it."""
    for name, value in ast.iter_fields(parent):
        if value is target:
            setattr(parent, name, _changed(target))
        elif isinstance(value, list):
            setattr(parent, name, [_changed(target) if item is target else item for item in value])


def _changed(node: ast.AST) -> ast.AST | None:
    """The node made wrong; None where it is of no kind that can be."""
    if isinstance(node, ast.Compare) and type(node.ops[0]) in _COMPARISONS:
        return ast.Compare(node.left, [_COMPARISONS[type(node.ops[0])](), *node.ops[1:]], node.comparators)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return ast.BinOp(node.left, _OPERATORS[type(node.op)](), node.right)
    if isinstance(node, ast.AugAssign) and type(node.op) in _OPERATORS:
        return ast.AugAssign(node.target, _OPERATORS[type(node.op)](), node.value)
    if isinstance(node, ast.BoolOp):
        return ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
    if isinstance(node, ast.Call) and node.keywords:
        return ast.Call(node.func, node.args, node.keywords[1:])
    if isinstance(node, ast.IfExp):
        return ast.IfExp(node.test, node.orelse, node.body)
    return _changed_constant(node.value) if isinstance(node, ast.Constant) else None


def _changed_constant(value: Any) -> ast.Constant | None:
    if isinstance(value, bool):
        return ast.Constant(not value)
    if isinstance(value, int | float):
        return ast.Constant(value + 1)
    return ast.Constant(value + "?") if isinstance(value, str) and value else None


def probes(tests: list[str], entry_point: str, limit: int = 12) -> list[tuple[Any, ...]]:
    """Arguments near those of the tests' calls, but others. Only literals are read."""
    found: list[tuple[Any, ...]] = []
    trees = [tree for test in tests if (tree := parse(test))]
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    named = [node for node in calls if isinstance(node.func, ast.Name) and node.func.id == entry_point]
    for node in named[:MAX_CALLS]:
        found += [arguments for arguments in _near(node) if arguments not in found]
    return found[:: max(1, len(found) // limit)][:limit]


def _near(call: ast.Call) -> Iterator[tuple[Any, ...]]:
    try:
        arguments = [ast.literal_eval(arg) for arg in call.args]
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return
    if not is_plain(arguments):
        return
    for place, value in enumerate(arguments):
        for other in _values_near(value):
            yield (*arguments[:place], other, *arguments[place + 1 :])


def _values_near(value: object) -> list[object]:
    if isinstance(value, bool) or value is None:
        return []
    if isinstance(value, int):
        return [value + 1, value + 3] if value >= 0 else [value - 1]
    if isinstance(value, str) and len(value) < 200:
        return [value[::-1], value + value[:1]] if value else []
    if isinstance(value, list) and 0 < len(value) < 50:
        return [value[::-1], value[1:], [*value, value[0]]]
    return []
