"""Decides whose the names are that test code neither defines nor imports: the program's, or the judge's own.

Tests are often copied without their imports. `np.allclose(f(3), 16)` means numpy, whatever the program calls by that name, so names of the
standard library and of numpy in their usual spelling are the judge's. Of the program's names the entry point is what is tested. Another
one is believed only where nothing else of the program stands in the assert: `helper(f(3)) == 16` would hold of any `f` by a false helper.
"""

import ast
import builtins
import importlib
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from selfplay.sandbox.forms import BadTests

_HOMES = {
    "bisect": "bisect_left bisect_right insort insort_left insort_right",
    "collections": "ChainMap Counter OrderedDict defaultdict deque namedtuple",
    "contextlib": "contextmanager redirect_stdout suppress",
    "copy": "deepcopy",
    "dataclasses": "asdict astuple dataclass",
    "datetime": "date timedelta timezone",
    "decimal": "Decimal",
    "enum": "Enum IntEnum",
    "fractions": "Fraction",
    "functools": "cache cmp_to_key lru_cache partial reduce total_ordering wraps",
    "heapq": "heapify heappop heappush heappushpop heapreplace nlargest nsmallest",
    "io": "BytesIO StringIO",
    "itertools": "accumulate chain combinations combinations_with_replacement count cycle dropwhile filterfalse groupby islice "
    "pairwise permutations product repeat starmap takewhile tee zip_longest",
    "json": "dumps loads",
    "math": "acos asin atan atan2 ceil comb copysign cos degrees dist exp fabs factorial floor fmod fsum gcd hypot inf isclose "
    "isfinite isinf isnan isqrt lcm log log10 log1p log2 nan perm pi prod radians sin sqrt tan tau trunc",
    "numpy": "allclose array array_equal asarray ndarray",
    "numpy.testing": "assert_allclose assert_almost_equal assert_array_almost_equal assert_array_equal",
    "operator": "attrgetter itemgetter methodcaller",
    "pathlib": "Path",
    "random": "Random choice choices randint randrange sample shuffle uniform",
    "statistics": "fmean mean median mode pstdev pvariance stdev variance",
    "string": "ascii_letters ascii_lowercase ascii_uppercase punctuation",
    "time": "perf_counter sleep",
    "types": "SimpleNamespace",
    "typing": "Any Callable Dict FrozenSet Generator Generic Iterable Iterator List Mapping NamedTuple Optional Sequence Set Tuple "
    "Type TypeVar TypedDict Union",
    "unittest": "TestCase",
}
HOMES = {name: f"{module}.{name}" for module, names in _HOMES.items() for name in names.split()}
"""Names in their usual spelling, and where they live."""
MODULES = {"np": "numpy", "numpy": "numpy"}
"""The same for modules that are not of the standard library."""
_NEVER = frozenset(("this", "antigravity", "__main__"))
"""Modules whose import does something."""


class Whose(NamedTuple):
    """The free names of a test source, by whose they are."""

    program: tuple[str, ...]
    judge: dict[str, str]
    """The judge's own, each with its module or `module.name`."""
    unbelieved: str
    """The first name of the program, beside the entry point, whose answers the tests rely on where they must not; "": none."""


def whose(tree: ast.Module, free: Collection[str], entry_point: str, candidate: str) -> Whose:
    """Sort the names that test code neither defines nor imports.

    A name of the table is the program's after all where the tests test it (`assert gcd(4, 6) == 2`), which is seen by an assert that has
    nothing else of the program; and where there is no entry point and no other name that could be the program's. `candidate`: a name that
    stands for the entry point.
    """
    asked = {*re.findall(r"\w+", entry_point), candidate}
    homes = {name: home for name in free if name not in asked and (home := _home(tree, name))}
    others = {name for name in free if name not in homes}
    if not homes and (not entry_point or others <= asked):
        return Whose(tuple(sorted(others)), {}, "")  # as nearly always
    clauses = [_loads(clause) for clause in _clauses(tree)]
    reach = _reach(tree, asked | others, {*free, *asked}, True)
    tested = {name for names in clauses if not reach.intersection(names) for name in names}
    alone = not entry_point and not others
    own = {name: home for name, home in homes.items() if "." not in home or not (alone or name in tested)}
    program = {name for name in free if name not in own}
    unbelieved = _unbelieved(tree, program, asked, clauses) if entry_point else ""
    return Whose(tuple(sorted(program)), own, unbelieved)


def found(home: str) -> Any:
    """What a `module` or `module.name` is. Raises ImportError or AttributeError."""
    module, _, part = home.rpartition(".")
    return getattr(importlib.import_module(module), part) if module else importlib.import_module(part)


def implied(tree: ast.Module) -> dict[str, str]:
    """Names that the source neither defines nor imports and that may be the judge's, each with its home."""
    loaded, stored = used(tree)
    return {name: home for name in loaded - stored - vars(builtins).keys() if (home := _home(tree, name))}


def _home(tree: ast.Module, name: str) -> str:
    """Where a name lives by the table; "" where it is no such name. A module that is called means the part of that name, if it has one."""
    if name in HOMES:
        return HOMES[name]
    if name in MODULES:
        return MODULES[name]
    if name not in sys.stdlib_module_names or name in _NEVER:
        return ""
    called = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    if not any(isinstance(part, ast.Name) and part.id == name for part in called):
        return name
    try:
        return f"{name}.{name}" if hasattr(importlib.import_module(name), name) else ""
    except ImportError:  # a module of another system
        return ""


def used(tree: ast.Module) -> tuple[set[str], set[str]]:
    """Names that the source loads; names that it stores, defines or imports."""
    loaded: set[str] = set()
    stored: set[str] = set()
    todo: list[Any] = [tree]
    while todo:
        node = todo.pop()
        kind = type(node)
        if kind is ast.Name:
            (loaded if type(node.ctx) is ast.Load else stored).add(node.id)
        elif kind is ast.Constant:
            continue
        elif kind in _BINDERS:
            stored.update(_bound(tree, node))
        for field in node._fields:
            part = getattr(node, field, None)
            if type(part) is list:
                todo += [item for item in part if isinstance(item, ast.AST)]
            elif isinstance(part, ast.AST) and not isinstance(part, ast.expr_context):
                todo.append(part)
    return loaded, stored


_BINDERS = (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef, ast.arg, ast.alias, ast.ExceptHandler)


def _bound(tree: ast.Module, node: Any) -> Iterable[str]:
    """The names that a definition, an argument, an import or a handler binds."""
    if isinstance(node, ast.arg):
        return (node.arg,)
    if isinstance(node, ast.alias):
        more = vars(_star(tree, node)) if node.name == "*" else ()
        return (*more, (node.asname or node.name).split(".")[0])
    return (node.name,) if node.name else ()


def _star(tree: ast.Module, star: ast.alias) -> Any:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and star in node.names and node.module:
            try:
                return importlib.import_module(node.module)
            except ImportError as error:
                raise BadTests(
                    f"tests: `from {node.module} import *` fails: {error}; install it or remove it"
                ) from None
    return ast


# ---- what depends on the program ----


def _loads(node: ast.AST) -> list[str]:
    return [part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load)]


def _clauses(tree: ast.Module) -> Iterator[ast.AST]:
    """What each assert claims: its parts between `and`, or the arguments of a `self.assert...(...)`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            both = isinstance(node.test, ast.BoolOp) and isinstance(node.test.op, ast.And)
            yield from node.test.values if both and isinstance(node.test, ast.BoolOp) else [node.test]
        elif isinstance(node, ast.Expr) and _claims(node.value):
            yield ast.Tuple(_given(node.value), ast.Load())


def _claims(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr.startswith("assert")


def _given(node: ast.expr) -> list[ast.expr]:
    return [*node.args, *(key.value for key in node.keywords)] if isinstance(node, ast.Call) else []


def _unbelieved(tree: ast.Module, program: set[str], asked: set[str], clauses: Sequence[list[str]]) -> str:
    """The first name of the program, beside what is asked for, that is used otherwise than once and alone in a claim; "": none."""
    messages = [node.msg for node in ast.walk(tree) if isinstance(node, ast.Assert) and node.msg is not None]
    told = {id(part) for text in messages for part in ast.walk(text)}
    uses = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and node.id in program - asked and id(node) not in told
    ]
    uses.sort(key=lambda node: (node.lineno, node.col_offset))
    for helper in dict.fromkeys(node.id for node in uses):
        rest = _reach(tree, (program | asked) - {helper}, program | asked, True)
        its = _reach(tree, {helper}, program | asked, False)
        once = sum(names.count(helper) for names in clauses if names.count(helper) == 1)
        mixed = any(rest.intersection(names) and its.intersection(names) for names in clauses)
        if mixed or once < sum(node.id == helper for node in uses):
            return helper
    return ""


def _reach(tree: ast.Module, base: Collection[str], fixed: Collection[str], unknown: bool) -> set[str]:
    """`base`, and names of the tests that may have something of it, by what stands in the same statement; scopes count for nothing.

    `fixed`: names that keep what they are, beside imports and builtins. `unknown`: arguments of functions may have it too.
    """
    kept = {(node.asname or node.name).split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.alias)}
    kept.update(fixed, vars(builtins))
    gives: dict[str, list[set[str]]] = {}
    todo = list(base)
    for node in ast.walk(tree):
        if unknown and isinstance(node, ast.arg) and node.arg not in ("self", "cls"):
            todo.append(node.arg)
        elif unknown and isinstance(node, ast.ExceptHandler) and node.name:
            todo.append(node.name)
        for sources, bound in _links(node):
            for name in sources if bound - kept else ():
                gives.setdefault(name, []).append(bound - kept)
    found = set(todo)
    while todo:
        for more in gives.pop(todo.pop(), ()):
            todo += more - found
            found |= more
    return found


def _links(node: ast.AST) -> Iterator[tuple[set[str], set[str]]]:
    """(names that a statement or a call reads, names that may get something of them)."""
    if isinstance(node, ast.Assign):
        yield set(_loads(node.value)), {name for target in node.targets for name in _all(target)}
    elif isinstance(node, ast.AugAssign | ast.AnnAssign | ast.NamedExpr):
        yield set(_loads(node.value)) if node.value else set(), _all(node.target)
    elif isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
        yield set(_loads(node.iter)), _all(node.target)
    elif isinstance(node, ast.withitem) and node.optional_vars:
        yield set(_loads(node.context_expr)), _all(node.optional_vars)
    elif isinstance(node, ast.Match):
        patterns = (part for case in node.cases for part in ast.walk(case.pattern))
        yield set(_loads(node.subject)), {name for part in patterns if (name := getattr(part, "name", None))}
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        own = {part.arg for part in ast.walk(node) if isinstance(part, ast.arg)}
        yield {name for part in node.body for name in _loads(part)} - own, {node.name}
    elif isinstance(node, ast.Call):  # `f(xs)` may change xs, `seen.append(f(3))` changes seen
        receiver = set() if _claims(node) or isinstance(node.func, ast.Name) else set(_loads(node.func))
        yield set(_loads(node)), {name for part in _given(node) for name in _loads(part)} | receiver


def _all(node: ast.AST) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
