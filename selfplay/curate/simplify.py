"""Removes code without effect from a syntax tree, and writes equivalent forms in one way. Pure; nothing is run.

Only code that cannot change the program's behaviour is removed: a name counts as unused if it is read nowhere in the
whole program, and a program that looks names up by text (`locals`, `eval`) keeps all of its names.
"""

import ast
from typing import Any

MAX_PASSES = 4
"""Each pass may leave names unread that only a dropped statement read; after this many passes the rest stays."""

_BY_TEXT = frozenset({"locals", "globals", "vars", "eval", "exec", "dir", "getattr"})
_ENDS = (ast.Return, ast.Raise, ast.Continue, ast.Break)
_YIELDS = (ast.Yield, ast.YieldFrom, ast.Await)
_MIRRORED: dict[type[ast.cmpop], type[ast.cmpop]] = {ast.Gt: ast.Lt, ast.GtE: ast.LtE}
NEGATED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
"""Comparison -> its negation."""


def simplified(tree: ast.Module) -> ast.Module | None:
    """Simplifies the tree in place; None if it is too deep to be walked."""
    try:
        for _ in range(MAX_PASSES):
            cleaner = _Cleaner(tree)
            tree = cleaner.visit(tree)
            if not cleaner.changed:
                break
    except RecursionError:
        return None
    return tree


class _Cleaner(ast.NodeTransformer):
    def __init__(self, tree: ast.Module) -> None:
        self.changed = False
        self.inside = 0
        self.kept_names: set[str] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                self.kept_names.add(node.id)
            elif isinstance(node, ast.Global | ast.Nonlocal):
                self.kept_names.update(node.names)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Del):
                self.kept_names.add(node.id)
        self.by_text = not _BY_TEXT.isdisjoint(self.kept_names)

    def generic_visit(self, node: ast.AST) -> ast.AST:
        """Visits the child nodes, then the statements of each block together."""
        scope = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        self.inside += scope
        super().generic_visit(node)
        if not isinstance(node, ast.ClassDef):
            for field in ("body", "orelse", "finalbody"):
                block = getattr(node, field, None)
                if type(block) is list:
                    setattr(node, field, self.block(block))
        self.inside -= scope
        return node

    def block(self, block: list[ast.stmt]) -> list[ast.stmt]:
        """The statements of one block that have an effect."""
        found: list[ast.stmt] = []
        for place, statement in enumerate(block):
            found.extend(self.statement(statement))
            rest = block[place + 1 :]
            if found and isinstance(found[-1], _ENDS) and not _yields(rest):
                break
        if len(found) > 1 and _returned_at_once(found[-2], found[-1]):
            found[-2:] = [ast.Return(value=found[-2].value)]  # type: ignore[attr-defined]
        if len(found) != len(block):
            self.changed = True
        return found

    def statement(self, node: ast.stmt) -> list[ast.stmt]:
        """The statements that replace one statement: none, itself, or several."""
        if isinstance(node, ast.Pass) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            return []
        if isinstance(node, ast.Assert) and isinstance(node.test, ast.Constant) and node.test.value:
            return []
        if isinstance(node, ast.If | ast.While) and isinstance(node.test, ast.Constant):
            return self.settled(node)
        if isinstance(node, ast.If) and node.orelse and node.body and isinstance(node.body[-1], _ENDS):
            after, node.orelse = node.orelse, []
            self.changed = True
            return [node, *after]
        return [] if self.dead(node) else [node]

    def settled(self, node: ast.If | ast.While) -> list[ast.stmt]:
        """A branch whose condition is a constant: the part that is run, unless the other one makes a generator."""
        value = bool(node.test.value)  # type: ignore[attr-defined]
        if isinstance(node, ast.While):
            return [node] if value or _yields(node.body) else list(node.orelse)
        taken, other = (node.body, node.orelse) if value else (node.orelse, node.body)
        self.changed = True
        return [node] if _yields(other) else list(taken)

    def dead(self, node: ast.stmt) -> bool:
        """Whether a statement only binds names that nobody reads, by an expression without any other effect."""
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.asname or alias.name.split(".")[0] for alias in node.names]
            return not self.by_text and not any(name == "*" or name in self.kept_names for name in names)
        if not self.inside or self.by_text:
            return False
        if isinstance(node, ast.FunctionDef):
            plain = not node.decorator_list and not node.args.defaults and not node.args.kw_defaults
            return self.inside > 0 and plain and node.name not in self.kept_names
        if isinstance(node, ast.Assign):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
            if len(names) == len(node.targets) == 1 and isinstance(node.value, ast.Name) and node.value.id == names[0]:
                return True
            return len(names) == len(node.targets) and self.unread(names) and _harmless(node.value)
        if isinstance(node, ast.AugAssign | ast.AnnAssign) and isinstance(node.target, ast.Name):
            return self.unread([node.target.id]) and (node.value is None or _harmless(node.value))
        return False

    def unread(self, names: list[str]) -> bool:
        """Whether nobody reads any of the names."""
        return self.kept_names.isdisjoint(names)

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        """`x += 1` is `x = x + 1` for a name and a number; for a list, `+=` would change the list itself."""
        self.generic_visit(node)
        if not (isinstance(node.target, ast.Name) and _is_number(node.value)) or self.unread([node.target.id]):
            return node
        read = ast.Name(id=node.target.id, ctx=ast.Load())
        return ast.Assign(targets=[node.target], value=ast.BinOp(left=read, op=node.op, right=node.value))

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        """`not a == b` is `a != b`."""
        self.generic_visit(node)
        inner = node.operand
        if isinstance(node.op, ast.Not) and isinstance(inner, ast.Compare) and len(inner.ops) == 1:
            opposite = NEGATED.get(type(inner.ops[0]))
            if opposite is not None:
                return ast.Compare(left=inner.left, ops=[opposite()], comparators=inner.comparators)
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        """`a > b` is `b < a`, and `0 == a` is `a == 0`, where both are names or constants."""
        self.generic_visit(node)
        if len(node.ops) != 1 or not (_is_plain(node.left) and _is_plain(node.comparators[0])):
            return node
        kind: Any = type(node.ops[0])
        right = node.comparators[0]
        turned = (
            kind in (ast.Eq, ast.NotEq) and isinstance(node.left, ast.Constant) and not isinstance(right, ast.Constant)
        )
        if kind in _MIRRORED or turned:
            return ast.Compare(left=right, ops=[_MIRRORED.get(kind, kind)()], comparators=[node.left])
        return node

    def visit_Return(self, node: ast.Return) -> ast.AST:
        """`return None` is `return`."""
        self.generic_visit(node)
        if isinstance(node.value, ast.Constant) and node.value.value is None:
            return ast.Return(value=None)
        return node


def _yields(block: list[ast.stmt]) -> bool:
    """Whether dropping the statements could make a generator a function, or a local name another one's."""
    return any(isinstance(node, (*_YIELDS, ast.Global, ast.Nonlocal)) for part in block for node in ast.walk(part))


def _returned_at_once(before: ast.stmt, last: ast.stmt) -> bool:
    """`t = ...; return t`."""
    if not (isinstance(before, ast.Assign) and isinstance(last, ast.Return) and isinstance(last.value, ast.Name)):
        return False
    target = before.targets[0]
    return len(before.targets) == 1 and isinstance(target, ast.Name) and target.id == last.value.id


def _is_number(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) in (int, float)


def _is_plain(node: ast.expr) -> bool:
    return isinstance(node, ast.Name | ast.Constant)


def _harmless(node: ast.expr) -> bool:
    """Whether an expression only makes a value: names, constants, displays of them, sums and products of numbers."""
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        return all(_is_plain(item) for item in node.elts)
    if isinstance(node, ast.Dict):
        return not node.keys
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.Add | ast.Sub | ast.Mult) and _is_number(node.left) and _is_number(node.right)
    return _is_plain(node)
