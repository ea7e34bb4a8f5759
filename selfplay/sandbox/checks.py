"""Test code that runs in the judge: how it is prepared, and the stand-ins that carry its calls to the program.

`prepare` compiles a test source once: asserts are counted, a `check(candidate)` nobody calls is called, and names that
the source does not define become stand-ins for the program's. A dry run with an answer that agrees with everything
records which calls the tests will make; a program then gets all of them in its one message, and the tests run on
its recorded answers. Tests whose calls depend on answers are run call by call instead (`sessions.py`).
"""

import ast
import builtins
import importlib
import random
import sys
import time
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any, NamedTuple, NoReturn

from selfplay.sandbox import codec
from selfplay.sandbox.words import Status

MAX_CALLS = 20_000
_DRY_SECONDS = 2.0
Call = tuple[str, codec.Raw]
Spaces = dict[str, Any]


class BadTests(Exception):
    """The tests themselves cannot be used; says why."""


class Stop(BaseException):
    """Unwinds test code whose program has ended, or whose run goes another way than foreseen."""


class Prepared:
    """A test source ready to be run many times."""

    def __init__(self, source: str, entry_point: str) -> None:
        """Raises `BadTests`."""
        self.source, self.entry_point = source, entry_point
        self.lines = source.split("\n")
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise BadTests(f"tests: the source does not parse, {type(error).__name__}: {error}; correct it") from None
        self._complete(tree)
        self.tree = ast.parse(ast.unparse(tree))
        self.free = _free_names(tree)
        self.code = _compiled(_Counted().visit(tree))
        dry = _compiled(_Forgiving().visit(ast.parse(ast.unparse(self.tree))))
        self.calls: list[Call] = []
        self.foreseen = self._dry_run(dry)
        self.diverged = self.replayed = 0

    def _complete(self, tree: ast.Module) -> None:
        """Append the call of a `check` (or of `test_...` functions) that is defined and never called."""
        called = {
            node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        for node in list(tree.body):
            if not isinstance(node, ast.FunctionDef) or node.name in called:
                continue
            needed = len(node.args.args) - len(node.args.defaults)
            if node.name == "check" and needed == 1:
                if not self.entry_point.isidentifier():
                    problem = f"entry_point is {self.entry_point!r:.80}"
                    raise BadTests(f"tests: check(candidate) is defined, but {problem}; give the function's name")
                tree.body.append(ast.parse(f"check({_ENTRY})").body[0])
            elif node.name.startswith("test") and needed == 0:
                tree.body.append(ast.parse(f"{node.name}()").body[0])

    def _dry_run(self, dry: CodeType) -> bool:
        """Record the calls of a run in which every answer agrees; whether that foresees a real run."""
        recorder = _Recorder(self.calls)
        try:
            self.run(dry, recorder.stand_in, lambda: None)
        except (Stop, Exception):
            return False
        return recorder.plain

    def run(self, code: CodeType, stand_in: Callable[[str], Any], tick: Callable[[], None]) -> None:
        """Run test code with `stand_in(name)` in place of each name of the program; raises what it raises."""
        space: Spaces = {"__name__": "tests", "__builtins__": builtins, _TICK: tick, _ENTRY: stand_in(self.entry_point)}
        for name in self.free:
            if name in sys.stdlib_module_names and name != self.entry_point:
                space[name] = importlib.import_module(name)
            else:
                space[name] = stand_in(name)
        random.seed(0)
        exec(code, space)


_TICK, _ENTRY = "__selfplay_tick__", "__selfplay_candidate__"


def _compiled(tree: ast.Module) -> CodeType:
    try:
        return compile(ast.fix_missing_locations(tree), "<tests>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError) as error:
        raise BadTests(f"tests: the source does not compile, {type(error).__name__}: {error}; correct it") from None


class _Counted(ast.NodeTransformer):
    """Each assert that held is counted."""

    def visit_Assert(self, node: ast.Assert) -> list[ast.stmt]:
        tick = ast.parse(f"{_TICK}()").body[0]
        return [node, ast.copy_location(tick, node)]


class _Forgiving(ast.NodeTransformer):
    """Each assert only evaluates, so that a dry run goes on to the last one."""

    def visit_Assert(self, node: ast.Assert) -> ast.stmt:
        handler = ast.ExceptHandler(type=ast.Name("Exception", ast.Load()), name=None, body=[ast.Pass()])
        tried = ast.Try(body=[ast.Expr(node.test)], handlers=[handler], orelse=[], finalbody=[])
        return ast.copy_location(tried, node)


class Inside(NamedTuple):
    """Tests for a run in the program's process: source, the words its asserts and its canaries report."""

    source: str
    asserts: set[int]
    canaries: set[int]


def inside(tree: ast.Module) -> Inside:
    """Give each assert a word to report, and put asserts that are known to be false between them, at random places."""
    draw, copy = random.SystemRandom(), ast.parse(ast.unparse(tree))
    asserts: set[int] = set()
    canaries: set[int] = set()

    def report(word: int, into: set[int]) -> str:
        into.add(word)
        return f"{_TICK}({word})"

    class Marked(ast.NodeTransformer):
        def visit_Assert(self, node: ast.Assert) -> list[ast.stmt]:
            return [node, *ast.parse(report(draw.getrandbits(60), asserts)).body]

    copy = Marked().visit(copy)
    for at in sorted({0, len(copy.body), draw.randint(0, len(copy.body))}, reverse=True):
        low = draw.randint(1, 10**6)
        text = f"try:\n    assert {low} == {low + 1}\nexcept AssertionError:\n    "
        copy.body[at:at] = ast.parse(text + report(draw.getrandbits(60), canaries)).body
    return Inside(ast.unparse(ast.fix_missing_locations(copy)), asserts, canaries)


def _free_names(tree: ast.Module) -> tuple[str, ...]:
    """Names the source loads and nowhere stores, defines or imports, builtins left out."""
    loaded: set[str] = set()
    stored: set[str] = {_TICK, _ENTRY}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            (loaded if isinstance(node.ctx, ast.Load) else stored).add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            stored.add(node.name)
        elif isinstance(node, ast.arg):
            stored.add(node.arg)
        elif isinstance(node, ast.alias):
            if node.name == "*":
                stored.update(vars(_star(tree, node)))
            stored.add((node.asname or node.name).split(".")[0])
        elif isinstance(node, ast.ExceptHandler) and node.name:
            stored.add(node.name)
    return tuple(sorted(name for name in loaded - stored if not hasattr(builtins, name)))


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


class _Agreeing:
    """The dry run's answer: equal to everything, empty as a container, itself in arithmetic."""

    __slots__ = ()

    def _yes(self, *_: object) -> bool:
        return True

    def _self(self, *_: object, **__: object) -> "_Agreeing":
        return self

    __eq__ = __ne__ = __lt__ = __gt__ = __le__ = __ge__ = __contains__ = __bool__ = _yes
    __add__ = __sub__ = __mul__ = __truediv__ = __floordiv__ = __mod__ = __pow__ = __and__ = __or__ = _self
    __radd__ = __rsub__ = __rmul__ = __rtruediv__ = __rfloordiv__ = __rmod__ = __rpow__ = __neg__ = __abs__ = _self
    __getitem__ = __call__ = __round__ = _self

    def __hash__(self) -> int:
        return 0

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __int__(self) -> int:
        return 0

    __index__ = __int__

    def __float__(self) -> float:
        return 0.0

    def __getattr__(self, name: str) -> "_Agreeing":
        if name.startswith("__"):
            raise AttributeError(name)
        return self


class _Recorder:
    """Writes down the calls of a dry run. `plain` turns False when they cannot be foreseen."""

    def __init__(self, calls: list[Call]) -> None:
        self.calls, self.plain, self._until = calls, True, time.monotonic() + _DRY_SECONDS

    def stand_in(self, name: str) -> "StandIn":
        return StandIn(name, self.call, self.touch)

    def call(self, name: str, args: tuple[Any, ...], keys: dict[str, Any]) -> Any:
        if len(self.calls) >= MAX_CALLS or time.monotonic() > self._until:
            self.plain = False
            raise Stop
        try:
            self.calls.append((name, codec.dump((args, keys))))
        except (TypeError, ValueError):
            self.plain = False
        return _Agreeing()

    def touch(self, name: str) -> NoReturn:
        self.plain = False
        raise Stop


class StandIn:
    """In place of one of the program's names: it can be called; anything else is `touch`ed on."""

    def __init__(self, name: str, call: Callable[..., Any], touch: Callable[[str], NoReturn]) -> None:
        self.__dict__.update(_name=name, _call=call, _touch=touch, __name__=name)

    def __call__(self, *args: Any, **keys: Any) -> Any:
        return self._call(self._name, args, keys)

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        return self._touch(self._name)

    def _refuse(self, *_: Any) -> Any:
        return self._touch(self._name)

    __eq__ = __lt__ = __gt__ = __le__ = __ge__ = __iter__ = __len__ = __getitem__ = _refuse
    __add__ = __sub__ = __mul__ = __contains__ = _refuse
    __hash__ = object.__hash__


class Evidence:
    """What a run of test code came to. `stop` is why it could not go on, whatever the test code caught of it."""

    def __init__(self) -> None:
        self.asserts = self.calls = 0
        self.stop: tuple[Status, str] | None = None
        self.diverged = False
        self.unsupported = ""

    def tick(self) -> None:
        """Count an assert that held."""
        self.asserts += 1


class Replay:
    """Answers the tests' calls from the replies of a program that has already ended."""

    def __init__(self, foreseen: list[Call], replies: list[list[Any]], stop: tuple[Status, str] | None) -> None:
        self.evidence = Evidence()
        self._foreseen, self._replies, self._stop = foreseen, replies, stop

    def stand_in(self, name: str) -> StandIn:
        """The stand-in for one of the program's names."""
        return StandIn(name, self._call, self._diverge)

    def _diverge(self, name: str = "") -> NoReturn:
        self.evidence.diverged = True
        raise Stop

    def _call(self, name: str, args: tuple[Any, ...], keys: dict[str, Any]) -> Any:
        at = self.evidence.calls
        try:
            raw = codec.dump((args, keys))
        except (TypeError, ValueError):
            self._diverge()
        if at >= len(self._foreseen) or self._foreseen[at] != (name, raw):
            self._diverge()
        if at >= len(self._replies):
            self.evidence.stop = self._stop or (Status.PROTOCOL_VIOLATION, "an answer is missing")
            raise Stop
        self.evidence.calls += 1
        reply = self._replies[at]
        if reply[0] == 0 and codec.holds_opaque(reply[1]):
            self.evidence.unsupported = "an object"  # a session may still do it, for this program only
            self._diverge()
        return settle(reply, args)


def settle(reply: list[Any], args: tuple[Any, ...]) -> Any:
    """A reply as the call's outcome in the judge: arguments changed in place, then the value, or its exception."""
    if reply[0] == 1:
        raise remade(reply)
    if type(reply[2]) is list:
        for mine, now in zip(args, reply[2], strict=False):
            _change(mine, now)
    value = reply[1]
    if isinstance(value, codec.Alias):
        if not 0 <= value.at < len(args):
            raise Stop
        return args[value.at]
    return value


def _change(mine: Any, now: Any) -> None:
    if type(mine) is not type(now):
        return
    if type(mine) is list or type(mine) is bytearray:
        mine[:] = now
    elif type(mine) is dict or type(mine) is set:
        mine.clear()
        mine.update(now)
    elif type(mine) is tuple:
        for inner, fresh in zip(mine, now, strict=False):
            _change(inner, fresh)


def remade(reply: list[Any]) -> BaseException:
    """The program's exception as the nearest builtin one, marked as the program's; only names and text crossed."""
    names = [str(name) for name in reply[1]] if isinstance(reply[1], list) else []
    kind: type[BaseException] = Exception
    for name in names:
        found = getattr(builtins, name, None)
        if isinstance(found, type) and issubclass(found, Exception):
            kind = found
            break
    text = str(reply[2])
    try:
        error = kind(text)
    except TypeError:  # UnicodeDecodeError and the like want more
        error = ValueError(text)
    error.__dict__["of_program"] = names[0] if names else "BaseException"
    error.__dict__["of_text"] = text
    return error
