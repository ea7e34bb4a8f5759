"""What a piece of Python defines and needs, by its syntax tree. Nothing is run."""

import ast
import builtins
import re
import symtable
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

MAX_PARSED_CHARS = 20_000
"""Longer texts are read line by line alone: a parser is a thing to be attacked."""
MAX_LITERAL_CHARS = 4000
MAX_DIGITS = 1000
"""Longer whole numbers are left out: whoever writes one down pays the square of its length, or an error."""

DEFINES = re.compile(r"^(?:async[ \t]+def|def|class)[ \t]+\w", re.MULTILINE)
_TEST_MODULES = frozenset({"unittest", "pytest", "doctest", "hypothesis"})
_SHOWS = frozenset({"print", "pprint", "display", "input", "main", "exit", "quit"})
_DEMO_NAMES = re.compile(r"(?:main|demo|example|usage|driver|run)(?:_\w+)?|\w+_(?:demo|example|usage)", re.IGNORECASE)
_TEST_NAMES = re.compile(r"test\w*|Test\w*|\w+_tests?|\w+Tests?|check|run_tests?")
_READS = re.compile(r"\binput\s*\(|\bsys\.stdin\b|\bstdin\b|\bopen\s*\(\s*0\b|/dev/stdin|\bfileinput\b")
_BUILTINS = frozenset(dir(builtins)) | {"__name__", "__file__", "__doc__", "__builtins__"}
_ENTRY = re.compile(r"\s*(?P<root>[A-Za-z_]\w*)(?:\(\s*\))?(?:\.(?P<method>[A-Za-z_]\w*))?")
_Scope = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda


def parsed(text: str) -> ast.Module | None:
    """The syntax tree of a short text; None where it is long or no Python."""
    tree: ast.Module | None = _read(ast.parse, text, MAX_PARSED_CHARS, None)
    return tree


def literal(text: str) -> tuple[Any] | None:
    """The value of a short hostile text that is a literal, in a tuple of one; None where it is none."""
    value = _read(ast.literal_eval, text, MAX_LITERAL_CHARS, ...)
    return (value,) if is_plain(value) else None


def is_plain(value: Any) -> bool:
    """Whether a literal's value can be written down and sent on: its whole numbers are short, and it holds no `...`."""
    if isinstance(value, list | tuple | set | frozenset):
        return all(map(is_plain, value))
    if isinstance(value, dict):
        return all(is_plain(key) and is_plain(item) for key, item in value.items())
    return value is not ... and not (isinstance(value, int) and value.bit_length() > 3 * MAX_DIGITS)


def _read(read: Callable[[str], Any], text: str, most_chars: int, otherwise: Any) -> Any:
    """What a parser makes of a hostile text; `otherwise` where the text is longer or the parser refuses it."""
    if len(text) > most_chars:
        return otherwise
    try:
        with warnings.catch_warnings():  # what Python thinks of a model's style is not for our users
            warnings.simplefilter("ignore")
            return read(text)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        return otherwise


def is_code(text: str) -> bool:
    """Whether a text is Python as a whole, and more than words that happen to parse; also the body of a function."""
    indented = text.lstrip("\n")[:1] in (" ", "\t")
    tree = parsed(f"def body():\n{text}" if indented else text)
    if tree is None or indented:
        return tree is not None
    return any(not isinstance(one, ast.Expr) or isinstance(one.value, ast.Call) for one in tree.body)


class Entry:
    """An entry point: the name at its root, and the method where it is one (`Solution().f`)."""

    def __init__(self, written: str) -> None:
        """`written`: as the task has it; a text that begins with no name is an entry point that nothing defines."""
        found = _ENTRY.match(written)
        self.root: str = found["root"] if found else ""
        self.method: str = (found["method"] or "") if found else ""
        self._line = re.compile(
            rf"^(?:(?:async[ \t]+)?def|class)[ \t]+{self.root}\b|^{self.root}[ \t]*(?::[^=\n]*)?=(?!=)", re.M
        )

    def defined_in(self, program: "Program") -> bool:
        """Whether a program defines it. A program that does not parse is read line by line."""
        if not self.root:
            return False
        if program.tree is None:
            return self._line.search(program.text) is not None
        return any(self._defined_by(one) for one in _top(program.tree)) or self.class_in(program) != ""

    def class_in(self, program: "Program") -> str:
        """The class whose method it is, "" where it is no method of a program's: named in it, or else `Solution`."""
        name, method = (self.root, self.method) if self.method else ("Solution", self.root)
        for one in _top(program.tree) if program.tree is not None else ():
            if isinstance(one, ast.ClassDef) and one.name == name and method in _stored_in(one.body):
                return name
        return ""

    def _defined_by(self, statement: ast.stmt) -> bool:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            return statement.name == self.root
        if isinstance(statement, ast.ImportFrom):  # `from solution import f` is what tests do
            known = (statement.module or "").partition(".")[0] in sys.stdlib_module_names
            return known and any((one.asname or one.name) == self.root for one in statement.names)
        if not isinstance(statement, ast.Assign | ast.AnnAssign) or self.root not in _stored(statement):
            return False
        value = statement.value  # a value worked out by calling it, or a plain one, is a use of the name
        return isinstance(value, ast.Lambda | ast.Name | ast.Attribute | ast.Call | ast.IfExp) and not _mentions(
            value, {self.root}
        )

    def is_whole(self, program: "Program") -> bool:
        """Whether its definition has a body, and the method, rather than a signature alone."""
        for one in _top(program.tree) if program.tree is not None else ():
            if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef) and one.name == self.root:
                return not _is_stub(one)
            if isinstance(one, ast.ClassDef) and one.name == self.root:
                methods = [m for m in one.body if isinstance(m, ast.FunctionDef | ast.AsyncFunctionDef)]
                asked = [m for m in methods if m.name == self.method] if self.method else methods
                return any(not _is_stub(m) for m in asked) or not (methods or self.method or _is_stub(one))
        return True


class Program:
    """A piece of code and what its syntax tree says."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def tree(self) -> ast.Module | None:
        """None where it does not parse, or is too long to be asked."""
        return parsed(self.text)

    @property
    def sound(self) -> bool:
        """Whether nothing is known against its syntax."""
        return self.tree is not None or len(self.text) > MAX_PARSED_CHARS

    @cached_property
    def binds(self) -> frozenset[str]:
        """Names that its top level defines, imports or assigns; `*` where it imports everything of a module."""
        return frozenset().union(*map(_stored, self.tree.body)) if self.tree is not None else frozenset()

    @cached_property
    def lacks(self) -> frozenset[str]:
        """Names that it uses, defines nowhere and are not built in."""
        if self.tree is None:
            return frozenset()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tables = [symtable.symtable(self.text, "<reply>", "exec")]
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return frozenset()
        used: set[str] = set()
        while tables:
            table = tables.pop()
            tables += table.get_children()
            module = table.get_type() == "module"
            used |= {s.get_name() for s in table.get_symbols() if s.is_referenced() and (module or s.is_global())}
        return frozenset(used) - self.binds - _BUILTINS

    @cached_property
    def functions(self) -> frozenset[str]:
        """The functions and classes of its top level."""
        found = _top(self.tree) if self.tree is not None else ()
        named = {one.name for one in found if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
        lambdas = (one for one in found if isinstance(one, ast.Assign) and isinstance(one.value, ast.Lambda))
        return frozenset(named.union(*map(_stored, lambdas)))

    @property
    def defines(self) -> bool:
        """Whether it defines a function or a class."""
        return bool(self.functions) if self.tree is not None else DEFINES.search(self.text) is not None

    @property
    def reads_input(self) -> bool:
        """Whether it reads standard input: a whole program, though it may define nothing."""
        return _READS.search(self.text) is not None

    @cached_property
    def is_test(self) -> bool:
        """Whether it is there to test: all that it defines is named as tests are, or it asserts and defines nothing."""
        if self.tree is None:
            return False
        if self.functions:
            return all(_TEST_NAMES.fullmatch(name) for name in self.functions)
        frames = {name.partition(".")[0] for one in self.tree.body for name in _modules(one)}
        return bool(frames & _TEST_MODULES) or any(isinstance(one, ast.Assert) for one in self.tree.body)

    def shows(self, others: frozenset[str]) -> bool:
        """Whether it only shows how `others`, functions of the rest of the reply, are used."""
        own = self.functions
        named = all(_DEMO_NAMES.fullmatch(name) for name in own)
        return named and bool(self.lacks & others) and not self.reads_input

    def as_helper(self, entry: Entry | None) -> str:
        """Its text without what uses, shows or tests it, and without another version of the entry point."""
        lines = self.text.split("\n")
        keep = [True] * (len(lines) + 1)
        body = self.tree.body if self.tree is not None else []
        for drop in (True, False):  # what shares a line with a statement that stays is kept
            for one in body:
                if _is_use(one, entry) is drop:
                    first = min([one.lineno, *(d.lineno for d in getattr(one, "decorator_list", ()))])
                    keep[first : (one.end_lineno or one.lineno) + 1] = [not drop] * (
                        (one.end_lineno or one.lineno) + 1 - first
                    )
        return "\n".join(line for number, line in enumerate(lines, 1) if keep[number]).strip("\n")


def _top(tree: ast.Module) -> Iterator[ast.stmt]:
    """The statements of the top level, those under `if`, `try` and `with` there included."""
    todo: list[ast.stmt] = list(reversed(tree.body))
    while todo:
        one = todo.pop()
        yield one
        for part in ("body", "orelse", "finalbody"):
            if isinstance(one, ast.If | ast.Try | ast.With):
                todo += getattr(one, part, [])
        if isinstance(one, ast.Try):
            todo += [inner for handler in one.handlers for inner in handler.body]


def _outer(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a statement that run where it stands: function and class bodies left out."""
    todo = [node]
    while todo:
        one = todo.pop()
        yield one
        if not isinstance(one, _Scope):
            todo += ast.iter_child_nodes(one)


def _stored(statement: ast.AST) -> set[str]:
    """The names that a statement binds where it stands."""
    found: set[str] = set()
    for node in _outer(statement):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.alias):
            found.add((node.asname or node.name).partition(".")[0])
    return found


def _stored_in(body: Sequence[ast.stmt]) -> set[str]:
    return set().union(*map(_stored, body))


def _mentions(node: ast.AST, names: set[str] | frozenset[str]) -> bool:
    return any(isinstance(one, ast.Name) and one.id in names for one in _outer(node))


def _modules(statement: ast.AST) -> list[str]:
    if isinstance(statement, ast.Import):
        return [one.name for one in statement.names]
    return [statement.module or ""] if isinstance(statement, ast.ImportFrom) else []


def _is_stub(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
    """Whether nothing stands in a definition but a docstring, `pass`, `...` or NotImplementedError."""
    for one in node.body:
        constant = isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant)
        raised = isinstance(one, ast.Raise) and one.exc is not None and _mentions(one.exc, {"NotImplementedError"})
        if not (constant or raised or isinstance(one, ast.Pass)):
            return False
    return True


def _is_use(statement: ast.stmt, entry: Entry | None) -> bool:
    """Whether a statement of a helper's block uses, shows or tests what is defined, or is another version of the entry."""
    root = entry.root if entry is not None else ""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return statement.name == root or bool(_TEST_NAMES.fullmatch(statement.name))
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return False
    guarded = isinstance(statement, ast.If) and _mentions(statement.test, {"__name__"})
    asserts = any(isinstance(one, ast.Assert) for one in _outer(statement))
    return guarded or asserts or _mentions(statement, _SHOWS | {root})
