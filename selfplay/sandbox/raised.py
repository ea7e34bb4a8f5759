"""Turns exceptions of a program into the nearest builtin ones, with the program's own text, and none that ends a loop unnoticed.

Python itself uses some exceptions as signals: `StopIteration` out of a function ends `zip(map(f, inputs), wanted)`, and
`IndexError` out of a `__getitem__` ends a loop over it, both before anything was compared. A program's exception of such
a kind therefore reaches the tests as another class that stands in for it. Handlers and calls of the tests that name the kind
(`except StopIteration`, `assertRaises(KeyError, ...)`, `isinstance(error, IndexError)`) are widened to take both.
"""

import ast
import builtins
from collections.abc import Iterable
from typing import Any

from selfplay.sandbox import codec

Kinds = frozenset[type[BaseException]]

ENDING: Kinds = frozenset((StopIteration, StopAsyncIteration, GeneratorExit))
"""What ends an iteration wherever it comes from."""
_SIGNS: Kinds = frozenset((IndexError, KeyError, AttributeError, TypeError))
"""What is a sign where it leaves a special method or a property of a class of the tests."""
_BASES = {GeneratorExit: BaseException, IndexError: LookupError, KeyError: LookupError}
_STAND_INS = {
    kind: type(f"Program{kind.__name__}", (_BASES.get(kind, Exception),), {"__doc__": f"A program's {kind.__name__}."})
    for kind in ENDING | _SIGNS
}
_NAMES = {kind.__name__: f"__selfplay_{kind.__name__}__" for kind in _STAND_INS}
SPACE = {_NAMES[kind.__name__]: stand_in for kind, stand_in in _STAND_INS.items()}
"""The names that widened test code needs."""
_TAKE_KINDS = frozenset(("isinstance", "issubclass", "assertRaises", "assertRaisesRegex", "raises", "suppress"))
_SHOWN = 600


def signs(source: str) -> Kinds:
    """The kinds of exceptions that Python may swallow in this test code, by what its text defines."""
    return ENDING | _SIGNS if "def __" in source or "property" in source else ENDING


def widen(tree: ast.Module, kinds: Kinds) -> None:
    """Let handlers and calls that name one of the kinds take the class that stands in for it too."""
    names = {kind.__name__ for kind in kinds}
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and node.type is not None:
            node.type = _wider(node.type, names)
        elif isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) in _TAKE_KINDS:
            node.args = [_wider(part, names) for part in node.args]


def _wider(node: ast.expr, names: set[str]) -> ast.expr:
    parts = node.elts if isinstance(node, ast.Tuple) else [node]
    more = [ast.Name(_NAMES[part.id], ast.Load()) for part in parts if isinstance(part, ast.Name) and part.id in names]
    if not more:
        return node
    return ast.fix_missing_locations(ast.copy_location(ast.Tuple([*parts, *more], ast.Load()), node))


def remade(reply: list[Any], kinds: Kinds) -> BaseException:
    """The exception that a reply 1 of the program tells of, as the tests get it; `of_program` on it is the reply.

    `kinds`: those that come as the class that stands in for them.
    """
    names, text, _, args = reply[1:]
    given = (text,) if args is None or codec.holds_opaque(args) else tuple(args)
    error = _nearest(names[1:], [given, (text,)], text, kinds)
    error.__dict__["of_program"] = reply
    return error


def _nearest(names: Iterable[str], tries: list[tuple[Any, ...]], text: str, kinds: Kinds) -> BaseException:
    for name in names:
        kind = getattr(builtins, name, None)
        if not isinstance(kind, type) or not issubclass(kind, BaseException):
            continue
        for given in tries:
            try:
                return _speaking(_STAND_INS[kind] if kind in kinds else kind, given, text)
            except Exception:  # UnicodeDecodeError and the like want other arguments
                continue
    return BaseException(text)  # of no kind that Exception would catch


def _speaking(kind: type[BaseException], given: tuple[Any, ...], text: str) -> BaseException:
    """An exception of this kind whose text is the given one, whatever the kind makes of its arguments."""
    error = kind(*given)
    if str(error) == text:
        return error
    speaking: type[BaseException] = type(kind.__name__, (kind,), {"__str__": lambda _: text})
    return speaking(*given)


def told(reply: list[Any]) -> str:
    """An exception of a program as one text: its class, its message, the line in the program."""
    names, text, line, _ = reply[1:]
    where = f" (line {line})" if line else ""
    return f"{names[0] if names else 'BaseException'}: {text[:_SHOWN]}{where}"
