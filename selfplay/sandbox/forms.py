"""Turns the forms in which test sources come into one: statements that run from first to last and call the program.

Asserts stay as they are. A `check(candidate)` that is defined but not called gets its call, and so do functions and methods `test...` and
the cases of `unittest`. Imports that fail, and what only a test runner could run, are faults of the tests: `BadTests`.
"""

import ast
import importlib

from selfplay.sandbox.call_recorder import Stop

_FIXTURES = frozenset(
    ("setup_method", "setup_class", "teardown_method", "teardown_class", "setup", "teardown", "__init__")
)


class BadTests(Exception):
    """The tests themselves cannot be used; the message says why."""


def without_main(tree: ast.Module) -> None:
    """Remove what runs only when the tests are a script: `if __name__ == "__main__"` and `unittest.main()`."""
    body: list[ast.stmt] = []
    for node in tree.body:
        if isinstance(node, ast.If) and ast.unparse(node.test) in _MAIN:
            body += node.orelse
        elif not (isinstance(node, ast.Expr) and ast.unparse(node).startswith("unittest.main(")):
            body.append(node)
    tree.body = body


_MAIN = ("__name__ == '__main__'", "'__main__' == __name__")


def import_all(tree: ast.Module) -> None:
    """Import what the tests import outside of a `try`. Raises `BadTests` where an import fails."""
    todo: list[ast.AST] = [*tree.body]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            _import(node)
        elif not isinstance(node, ast.Try):
            todo += [part for part in ast.iter_child_nodes(node) if isinstance(part, ast.stmt)]


def _import(node: ast.Import | ast.ImportFrom) -> None:
    where = f"tests, line {node.lineno}: `{ast.unparse(node):.200}`"
    modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or "."]
    if any(name.partition(".")[0] == "pytest" for name in modules):
        raise BadTests(
            f"{where}: tests are run without pytest, wherever they run; use assert, try and except, or unittest"
        )
    try:
        for name in modules:
            module = importlib.import_module(name)
        wanted = [alias.name for alias in node.names if isinstance(node, ast.ImportFrom) and alias.name != "*"]
        for name in wanted:
            if not hasattr(module, name):
                importlib.import_module(f"{modules[0]}.{name}")
    except Stop:
        raise
    except BaseException as error:
        raise BadTests(
            f"{where} fails, {type(error).__name__}: {str(error)[:200]}; install it where verdicts are made or take the import "
            "out (names that the tests do not define are looked up in the program)"
        ) from None


def complete(tree: ast.Module, entry_point: str, candidate: str, loaded: set[str]) -> bool:
    """Append the calls of what is defined to be called and never named again; whether `check(candidate)` is one of them.

    `loaded`: the names that the source uses. Raises `BadTests`.
    """
    calls: list[tuple[int, str]] = []
    cases: set[str] = set()
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        if isinstance(node, ast.ClassDef) and any(_last_name(base) in ("TestCase", *cases) for base in node.bases):
            cases.add(node.name)
            made = [f"__import__('unittest').defaultTestLoader.loadTestsFromTestCase({node.name}).debug()"]
        elif node.name not in loaded:
            made = _of_class(node) if isinstance(node, ast.ClassDef) else _of_function(node, entry_point, candidate)
        else:
            continue
        calls += [(node.lineno, call) for call in made]
    for line, call in calls:
        tree.body += (ast.increment_lineno(part, line - 1) for part in ast.parse(call).body)
    return any(call == f"check({candidate})" for _, call in calls)


def _last_name(node: ast.expr) -> str:
    return str(getattr(node, "attr", getattr(node, "id", "")))


def _needed(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    given = node.args
    return len(given.posonlyargs) + len(given.args) - len(given.defaults) + given.kw_defaults.count(None)


def _of_function(node: ast.FunctionDef | ast.AsyncFunctionDef, entry_point: str, candidate: str) -> list[str]:
    if node.name == "check" and _needed(node) == 1:
        if not entry_point.removeprefix("Solution().").removeprefix("Solution.").isidentifier():
            problem = f"entry_point is {entry_point!r:.80}"
            raise BadTests(f"tests: check(candidate) is defined, but {problem}; give the function's name")
        return [f"check({candidate})"]
    if not node.name.startswith("test"):
        return []
    _plain(node, _needed(node))
    return [f"{node.name}()"]


def _of_class(node: ast.ClassDef) -> list[str]:
    """The methods of a class `Test...` without a base, each on a fresh instance, as test runners do."""
    if not node.name.startswith("Test") or any(_last_name(base) != "object" for base in node.bases):
        return []
    methods = [part for part in node.body if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef)]
    tests = [method for method in methods if method.name.startswith("test")]
    found = next((method.name for method in methods if method.name in _FIXTURES), None)
    if tests and found:
        raise BadTests(
            f"tests, line {node.lineno}: class {node.name} has {found}, which only a test runner calls; use unittest"
        )
    for method in tests:
        static = any(_last_name(mark) == "staticmethod" for mark in method.decorator_list)
        _plain(method, _needed(method) - (not static))
    return [f"{node.name}().{method.name}()" for method in tests]


def _plain(node: ast.FunctionDef | ast.AsyncFunctionDef, needed: int) -> None:
    """Raises `BadTests` where a test function cannot be called as it is."""
    if isinstance(node, ast.AsyncFunctionDef):
        raise BadTests(f"tests, line {node.lineno}: {node.name} is a coroutine; write it as a plain function")
    if needed > 0:
        names = ", ".join(arg.arg for arg in node.args.args)
        raise BadTests(
            f"tests, line {node.lineno}: {node.name} wants arguments ({names:.80}), and there are no fixtures; call it"
        )
