"""Finds test sources that may change something that outlives them: a module's attribute, the recursion limit, a signal handler.

Such tests run in a copy of the judge that is thrown away (`Worker._apart`). The decision is made from the source and its imports, and
errs on the safe side: a copy costs a millisecond, but state that one program leaves to the next could cost a false verdict.
"""

import ast
import functools
import importlib
import types
from typing import Any

from selfplay.sandbox import forms, names

_PROCESS = frozenset([
    "_thread", "atexit", "builtins", "copyreg", "ctypes", "decimal", "faulthandler", "gc", "importlib", "inspect",
    "linecache", "locale", "logging", "mock", "os", "pytest", "resource", "signal", "site", "sys", "threading",
    "tracemalloc", "unittest", "warnings", "weakref",
])  # fmt: skip
"""Modules whose use is to change the process."""
_REACHING = frozenset(
    ["setattr", "delattr", "getattr", "vars", "globals", "exec", "eval", "__import__", "__builtins__", "breakpoint"]
)
_INNER = frozenset([
    "__dict__", "__globals__", "__setattr__", "__delattr__", "__builtins__", "__defaults__", "__kwdefaults__",
    "__code__",
])  # fmt: skip
_INNER |= {"__subclasses__", "__closure__", "__loader__", "__spec__"}
_SAFE = frozenset(("typing", "random"))
"""Modules of which everything may be used: marks for type checkers; a generator that is seeded for each program."""
_CHANGING = ("set", "seed", "register", "unregister", "disable")
"""How functions begin that change what their module keeps."""
_FIXED: tuple[type, ...] = (types.ModuleType, types.FunctionType, types.BuiltinFunctionType, type, int, float, complex)
_FIXED += (str, bytes, tuple, frozenset, type(None), type(Ellipsis), type(NotImplemented))


@functools.lru_cache(4096)
def leaves_traces(source: str) -> bool:
    """Whether a test source may change what outlives its namespace. What it imports is imported here."""
    try:
        tree = ast.parse(source)
        implied = names.implied(tree)
    except (SyntaxError, ValueError, RecursionError, MemoryError, forms.BadTests):
        return False  # it is never run
    imported: dict[str, Any] = {}
    for name, home in implied.items():
        module, _, part = home.rpartition(".")
        line = ast.ImportFrom(module, [ast.alias(part)], 0) if module else ast.Import([ast.alias(home, name)])
        if not _taken(line, imported):
            return True
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom) and not _taken(node, imported):
            return True
    return any(_reaches(node, imported) for node in ast.walk(tree))


def _taken(node: ast.Import | ast.ImportFrom, imported: dict[str, Any]) -> bool:
    """Note down what an import binds; False where it is of a module that changes the process, or of what can be changed."""
    for alias in node.names:
        module = node.module or "" if isinstance(node, ast.ImportFrom) else alias.name
        if module.split(".")[0] in _PROCESS:
            return False
        try:
            found = importlib.import_module(module)
        except Exception:
            continue  # the tests will say so
        if isinstance(node, ast.Import):
            imported[alias.asname or module.split(".")[0]] = (
                found if alias.asname else importlib.import_module(module.split(".")[0])
            )
        elif alias.name != "*":
            imported[alias.asname or alias.name] = getattr(found, alias.name, None)
            if not _is_fixed(imported[alias.asname or alias.name], module, alias.name):
                return False
    return True


def _is_fixed(value: Any, module: str, name: str) -> bool:
    """Whether using a part of a module changes nothing in it."""
    if module.split(".")[0] in _SAFE:
        return True
    return isinstance(value, _FIXED) and not (callable(value) and name.startswith(_CHANGING))


def _reaches(node: ast.AST, imported: dict[str, Any]) -> bool:
    if isinstance(node, ast.Name):
        return node.id in _REACHING
    if not isinstance(node, ast.Attribute):
        return False
    if node.attr in _INNER:
        return True
    root: ast.expr = node.value
    while isinstance(root, ast.Attribute):
        root = root.value
    name = root.id if isinstance(root, ast.Name) else ""
    if not isinstance(node.ctx, ast.Load):
        return name not in ("self", "cls")
    if name not in imported:
        return False
    if node.attr == "register":  # of an abstract class, which all others share
        return True
    held = _resolved(node.value, imported)
    if not isinstance(held, types.ModuleType):
        return False  # a part of a part: the part itself was looked at
    return not _is_fixed(getattr(held, node.attr, None), held.__name__, node.attr)


def _resolved(node: ast.expr, imported: dict[str, Any]) -> Any:
    """What a chain of attributes of an import stands for; None where something is missing."""
    if isinstance(node, ast.Name):
        return imported.get(node.id)
    assert isinstance(node, ast.Attribute)
    return getattr(_resolved(node.value, imported), node.attr, None)
