"""Floor 4: a right program made wrong in small ways, to see whether tests can tell. Pure; nothing is ever run here."""

import ast
import copy
from collections.abc import Iterator
from typing import Any

from selfplay.curate.canonical import parse
from selfplay.verify.plain_values import is_plain

MAX_CALLS = 300
"""Calls that arguments are read from: each is compared with all before."""
STUB_VALUES = ("None", "0", "1", "True", "False", "''", "[]", "{}", "args[0] if args else None")
_COMPARE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_OPERATE: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
}


def stubs(entry_point: str) -> list[str]:
    """Programs that give one value whatever they are asked, and one that gives its argument back."""
    return [f"def {entry_point}(*args, **kwargs):\n    return {value}\n" for value in STUB_VALUES]


def mutants(code: str, limit: int = 12) -> list[str]:
    """At most `limit` programs that differ from `code` in one place, spread over it; none where it does not parse."""
    tree = parse(code)
    if tree is None:
        return []
    nodes = [node for node in ast.walk(tree) if _changed(node) is not None]
    step = max(1, len(nodes) // limit)
    found = []
    for place in range(0, len(nodes), step):
        try:
            text = _mutant(tree, place)
        except (RecursionError, ValueError):  # nested too deeply; or a number that is too long to be written
            return []
        if text not in found:
            found.append(text)
    return found[:limit]


def _mutant(tree: ast.Module, place: int) -> str:
    """The program with its node number `place`, of those that can be made wrong, made wrong."""
    twin = copy.deepcopy(tree)
    target = [node for node in ast.walk(twin) if _changed(node) is not None][place]
    for parent in ast.walk(twin):
        _put(parent, target)
    return ast.unparse(ast.fix_missing_locations(twin))


def _put(parent: ast.AST, target: ast.AST) -> None:
    """Puts the changed node in the target's place, where `parent` holds it."""
    for name, value in ast.iter_fields(parent):
        if value is target:
            setattr(parent, name, _changed(target))
        elif isinstance(value, list):
            setattr(parent, name, [_changed(target) if item is target else item for item in value])


def _changed(node: ast.AST) -> ast.AST | None:
    """The node made wrong; None where it is not of a kind that is."""
    if isinstance(node, ast.Compare) and type(node.ops[0]) in _COMPARE:
        return ast.Compare(node.left, [_COMPARE[type(node.ops[0])](), *node.ops[1:]], node.comparators)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATE:
        return ast.BinOp(node.left, _OPERATE[type(node.op)](), node.right)
    if isinstance(node, ast.BoolOp):
        return ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return ast.Constant(node.value + 1)
    if isinstance(node, ast.Constant) and type(node.value) is str and node.value:
        return ast.Constant(node.value + "?")
    if isinstance(node, ast.Call) and node.keywords:
        return ast.Call(node.func, node.args, node.keywords[1:])
    if isinstance(node, ast.IfExp):
        return ast.IfExp(node.test, node.orelse, node.body)
    return None


def probes(tests: list[str], entry_point: str, limit: int = 12) -> list[tuple[Any, ...]]:
    """Arguments like those of the tests' calls, but others. Only literals are read, so nothing is run."""
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
