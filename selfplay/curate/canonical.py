"""Writes a Python program as one line that does not depend on names, comments, docstrings or layout. Pure.

The text is hostile: it is parsed only, never compiled or executed; its length and depth are bounded, and whatever
the parser raises means "no program". Scopes are followed, so that a name bound in two functions counts as two names.
"""

import ast
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from selfplay.curate.simplify import simplified

MAX_SOURCE_CHARS = 50_000
"""Longer programs are not parsed: 50,000 characters is ten times the longest solution in the benchmarks we know."""

MAX_NODES = 20_000
"""Bound on the walk, in syntax nodes; the parser itself is bounded by MAX_SOURCE_CHARS."""

MAX_DEPTH = 150
"""Deeper trees are not walked: the walk recurses, and real programs stay below 40."""

_COMPREHENSIONS = frozenset({ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp})
_NAMED = frozenset({ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef})
_DOCUMENTED = frozenset({ast.Module, *_NAMED})
_VALUE_FIELDS = frozenset(
    {"value", "test", "iter", "context_expr", "exc", "cause", "msg", "slice", "subject", "guard", "annotation", "type"}
)
"""Fields of statements and targets that bind a name only by `:=`."""

_SKIPPED_FIELDS = frozenset({"annotation", "returns", "type_comment", "ctx", "type_ignores", "kind", "type_params"})


def canonical_source(text: str) -> str | None:
    """One line that is equal for programs equal up to renaming, comments, docstrings, annotations, layout and dead statements.

    None if the text does not parse as Python, has no statement, or is beyond the limits above.
    """
    tree = parse(text)
    tree = simplified(tree) if tree is not None and tree.body else None
    return None if tree is None or not tree.body else _write(tree, text)


def canonical_functions(text: str) -> list[tuple[str, int, int, int]]:
    """Every outermost function or class of a program as (canonical line, number of nodes, first line, last line).

    Lines count from 1, both ends included. Empty if the text does not parse.
    """
    tree = parse(text)
    found = []
    for node in tree.body if tree else ():
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            line = _write(ast.Module(body=[node], type_ignores=[]), text)
            if line is not None:
                first = min([node.lineno, *[d.lineno for d in node.decorator_list]])
                found.append((line, line.count("("), first, node.end_lineno or node.lineno))
    return found


def parse(text: str) -> ast.Module | None:
    """The syntax tree of a hostile text, or None; warnings of the parser are silenced."""
    if len(text) > MAX_SOURCE_CHARS:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


def _write(tree: ast.Module, source: str) -> str | None:
    writer = _Writer(":=" in source)
    try:
        writer.node(tree)
    except _TooLarge:
        return None
    return "".join(writer.out)


class _TooLarge(Exception):
    """Raised for a program beyond MAX_NODES or MAX_DEPTH."""


class _Scope:
    """Names bound in one function, lambda, comprehension or module, numbered in order of appearance."""

    def __init__(self, bound: set[str], parent: "_Scope | None") -> None:
        self.bound = bound
        self.parent = parent

    def owner(self, name: str) -> "_Scope | None":
        """The nearest scope outwards that binds the name; None for builtins and whatever is not defined here."""
        scope: _Scope | None = self
        while scope is not None and name not in scope.bound:
            scope = scope.parent
        return scope


class _Writer:
    """Writes a tree depth first; every bound name becomes its number in order of appearance."""

    def __init__(self, walrus: bool) -> None:
        self.walrus = walrus
        self.out: list[str] = []
        self.scope = _Scope(set(), None)
        self.numbers: dict[tuple[int, str], int] = {}
        self.scopes: list[_Scope] = []
        self.count = 0
        self.depth = 0

    def node(self, node: ast.AST) -> None:
        """Writes one node and what hangs below it."""
        self.count += 1
        self.depth += 1
        if self.count > MAX_NODES or self.depth > MAX_DEPTH:
            raise _TooLarge
        kind = type(node)
        if kind is ast.Name:
            self.out.append(self.name(node.id))  # type: ignore[attr-defined]
        elif kind is ast.Constant:
            self.out.append(f"({node.value!r})")  # type: ignore[attr-defined]
        else:
            write = _SPECIAL.get(kind)
            if write is None:
                self.fields(node)
            else:
                write(self, node)
        self.depth -= 1

    def name(self, name: str) -> str:
        """The number of a bound name as `$n`, or a free name as it is."""
        owner = self.scope.owner(name)
        if owner is None:
            return f"({name})"
        return f"(${self.numbers.setdefault((id(owner), name), len(self.numbers))})"

    def scoped(self, node: ast.AST, bound: set[str], parent: _Scope | None) -> None:
        """Writes a node whose names live in a scope of its own."""
        outer = self.scope
        self.scope = _Scope(bound, parent)
        self.scopes.append(self.scope)
        self.fields(node)
        self.scope = outer

    def module(self, node: ast.Module) -> None:
        """Writes a program, none of whose names is visible outside."""
        self.scoped(node, _bound_in(node.body, self.walrus), None)

    def comprehension(self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp) -> None:
        """Writes a comprehension, which binds only its targets."""
        self.scoped(node, {name for part in node.generators for name in _targets(part.target)}, self.scope)

    def function(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> None:
        """Writes a function: its own name belongs to the outer scope, its arguments and locals to the inner one."""
        if isinstance(node, ast.Lambda):
            bound = set()
        else:
            self.out.append(self.name(node.name))
            bound = _bound_in(node.body, self.walrus)
        arguments = node.args
        named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
        self.scoped(node, bound | {a.arg for a in named if a is not None}, self.scope)

    def annotated(self, node: ast.AnnAssign) -> None:
        """Writes `x: int = 1` as `x = 1`; a bare annotation is left out."""
        if node.value is not None:
            self.fields(ast.Assign(targets=[node.target], value=node.value))

    def fields(self, node: ast.AST) -> None:
        """The type of a node, then its fields in the grammar's order."""
        kind: Any = type(node)
        self.out.append(f"({kind.__name__}")
        for field in _fields_of(kind):
            value = getattr(node, field, None)
            if type(value) is list:
                self.many(field, value, node)
            elif isinstance(value, ast.AST):
                self.node(value)
            elif value is not None:
                self.plain(node, field, value)
        self.out.append(")")

    def many(self, field: str, values: list[object], owner: ast.AST) -> None:
        """A list field; docstrings and imports of typing, needed by annotations alone, are left out."""
        self.out.append("[")
        if field == "body" and type(owner) in _DOCUMENTED and values and _is_docstring(values[0]):
            values = values[1:]
        for value in values:
            if isinstance(value, ast.ImportFrom) and value.module in {"typing", "__future__"}:
                continue
            if isinstance(value, ast.AST):
                self.node(value)
            else:
                self.out.append(self.name(value) if isinstance(value, str) else f"({value!r})")
        self.out.append("]")

    def plain(self, node: ast.AST, field: str, value: object) -> None:
        """A field that is a word or a number: names are renamed, the rest (attributes, modules) stays."""
        if field == "name" and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            return
        renamed = (field == "arg" and isinstance(node, ast.arg)) or (
            field in {"name", "asname"} and isinstance(node, ast.ClassDef | ast.ExceptHandler | ast.alias)
        )
        if renamed and isinstance(value, str) and not (isinstance(node, ast.alias) and field == "name"):
            self.out.append(self.name(value))
        else:
            self.out.append(f"({value!r})")


_SPECIAL: dict[type[ast.AST], Callable[[_Writer, Any], None]] = {
    ast.Module: _Writer.module,
    ast.AnnAssign: _Writer.annotated,
    **dict.fromkeys((ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda), _Writer.function),
    **dict.fromkeys(_COMPREHENSIONS, _Writer.comprehension),
}
"""How nodes are written that are more than their fields."""


@cache
def _fields_of(kind: Any) -> tuple[str, ...]:
    """The fields of a node type that carry meaning."""
    return tuple(field for field in kind._fields if field not in _SKIPPED_FIELDS)


def _is_docstring(node: object) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _targets(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Name):
        yield node.id
        return
    for part in ast.walk(node):
        if isinstance(part, ast.Name):
            yield part.id


def _bound_in(body: list[ast.stmt], walrus: bool) -> set[str]:
    """Names that statements bind in their own scope: not those inside nested functions, classes, comprehensions.

    `walrus`: whether values have to be searched too, for `:=`.
    """
    bound: set[str] = set()
    outer: set[str] = set()
    stack: list[Any] = list(body)
    while stack:
        node = stack.pop()
        kind: Any = type(node)
        if kind is ast.Name:
            if type(node.ctx) is ast.Store:
                bound.add(node.id)
            continue
        if kind in _NAMED:
            bound.add(node.name)
            continue
        if kind is ast.Lambda or kind in _COMPREHENSIONS:
            continue
        if kind in _NAMING:
            bound.update(name for name in [getattr(node, _NAMING[kind])] if name)
        elif kind is ast.Global or kind is ast.Nonlocal:
            outer.update(node.names)
        for field in _binding_fields(kind, walrus):
            value = getattr(node, field, None)
            if type(value) is list:
                stack.extend(item for item in value if isinstance(item, ast.AST))
            elif isinstance(value, ast.AST):
                stack.append(value)
    return bound - outer


_NAMING: dict[type[ast.AST], str] = {
    ast.alias: "asname",
    ast.ExceptHandler: "name",
    ast.MatchAs: "name",
    ast.MatchStar: "name",
}
"""Nodes that bind a name which is no node of its own, and where it stands."""


@cache
def _binding_fields(kind: Any, walrus: bool) -> tuple[str, ...]:
    """The fields of a type of nodes in which a name may be bound."""
    return tuple(field for field in kind._fields if field != "ctx" and (walrus or field not in _VALUE_FIELDS))
