"""Prepares test code that runs in the judge, and provides the stand-ins that carry its calls to the program.

`Prepared` compiles a test source once: it becomes statements that call the program (`forms.py`), asserts are counted, and names
that the source does not define become stand-ins for the program's. A dry run records which calls the tests will make
(`call_recorder.py`); a program then gets all of them in its one message, and the tests run on its recorded answers. Tests
whose calls depend on answers in other ways are run call by call instead (`sessions.py`).
"""

import ast
import builtins
import random
import sys
from collections.abc import Callable, Sequence
from types import CodeType
from typing import Any, NamedTuple, NoReturn

from selfplay.sandbox import answer_leaks, codec, forms, judge, names, raised
from selfplay.sandbox.call_recorder import CallRecorder, RecordedCalls, StandIn, Stop
from selfplay.sandbox.forms import BadTests as BadTests
from selfplay.sandbox.jobs import Status

Spaces = dict[str, Any]


_TICK, _ENTRY = "__selfplay_tick__", "__selfplay_candidate__"
_AGAIN, _REAL = "__selfplay_again__", "__selfplay_real__"


def _again() -> None:
    """An assert failed or raised: so do the tests."""
    error = sys.exc_info()[1]
    assert error is not None
    raise error


class Prepared:
    """A test source ready to be run many times."""

    def __init__(self, source: str, entry_point: str, dry_run: bool = True) -> None:
        """`dry_run` False: the tests are not run before the program is there, as what they leave behind would meet it.

        Raises `BadTests`.
        """
        self.source, self.entry_point = source, entry_point
        self.lines = source.split("\n")
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise BadTests(f"tests: the source does not parse, {type(error).__name__}: {error}; correct it") from None
        forms.without_main(tree)
        forms.import_all(tree)
        literals = list(answer_leaks.compared(tree))
        loaded, stored = names.used(tree)
        stored |= {_TICK, _ENTRY}
        handed = forms.complete(tree, entry_point, _ENTRY, loaded)
        free = {name for name in loaded - stored if not hasattr(builtins, name)}
        # a function that is named like a builtin, unless the tests get it as an argument and mean the builtin by the name
        free |= {entry_point} & (loaded - stored) if not handed else set()
        self.free, homes, self.unbelieved = names.whose(tree, free, entry_point, _ENTRY)
        self._own = {name: _found(name, home) for name, home in homes.items()}
        self.signs = raised.signs(source)
        """The kinds of exceptions that come to the tests as others."""
        if any(kind.__name__ in source for kind in self.signs):
            raised.widen(tree, self.signs)
        tree.body = _watched(tree.body)
        self.code = _compiled(tree)
        recorder = CallRecorder()
        self.recorded: RecordedCalls | None = None
        """None: the calls depend on answers."""
        self.one_by_one = False
        """Whether the arguments of a foreseen call give away what another is to answer."""
        try:
            if dry_run:
                self.run(recorder.stand_in, lambda: None, None)
        except BaseException:  # of the tests, which stopped at an answer that is none
            recorder.plain = False
        if recorder.plain and dry_run:
            self.recorded = recorder.recorded
            self.one_by_one = answer_leaks.leaks_answers(list(recorder.compared()), literals)
        self.diverged = self.replayed = 0

    def run(
        self, stand_in: Callable[[str], Any], tick: Callable[[], None], again: Callable[[], None] | None = _again
    ) -> None:
        """Run the tests with `stand_in(name)` in place of each name of the program; raises what they raise.

        `again`: what is done about an assert that failed or raised; None (a dry run) goes on.
        """
        space: Spaces = {"__name__": "tests", "__builtins__": builtins, _TICK: tick, _ENTRY: stand_in(self.entry_point)}
        space[_AGAIN], space[_REAL] = again or (lambda: None), again is not None
        space.update(raised.SPACE)
        space.update(self._own)
        for name in self.free:
            space[name] = stand_in(name)
        random.seed(0)
        exec(self.code, space)


def _found(name: str, home: str) -> Any:
    try:
        return names.found(home)
    except (ImportError, AttributeError) as error:
        raise BadTests(f"tests: {name} means {home}, {error}; install it or define {name} in the tests") from None


def _compiled(tree: ast.Module) -> CodeType:
    try:
        return compile(tree, "<tests>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError) as error:
        raise BadTests(f"tests: the source does not compile, {type(error).__name__}: {error}; correct it") from None


def _watched(body: list[Any]) -> list[Any]:
    """The statements with each assert watched: it is counted where it held, else passed to `again`."""
    found: list[Any] = []
    for node in body:
        if type(node) is ast.Assert:
            found.append(_tried(node))
            continue
        for part in ("body", "orelse", "finalbody"):
            inner = getattr(node, part, None)
            if type(inner) is list:
                setattr(node, part, _watched(inner))
        for part in (*getattr(node, "handlers", ()), *getattr(node, "cases", ())):
            part.body = _watched(part.body)
        found.append(node)
    return found


def _tried(node: ast.Assert) -> ast.Try:
    place: dict[str, Any] = {"lineno": node.lineno, "col_offset": node.col_offset}
    place |= {"end_lineno": node.end_lineno or node.lineno, "end_col_offset": node.end_col_offset or 0}

    def name(word: str) -> ast.expr:
        return ast.Name(word, ast.Load(), **place)

    def call(word: str) -> ast.stmt:
        return ast.Expr(ast.Call(name(word), [], [], **place), **place)

    if node.msg is not None:  # a dry run makes no message: it might call the program
        node.msg = ast.IfExp(name(_REAL), node.msg, ast.Constant(None, **place), **place)
    handler = ast.ExceptHandler(name("Exception"), None, [call(_AGAIN)], **place)
    return ast.Try([node], [handler], [call(_TICK)], [], **place)


class Inside(NamedTuple):
    """Tests for a run in the program's process: source, the words its asserts and its canaries report."""

    source: str
    asserts: set[int]
    canaries: set[int]


def timed(source: str, entry_point: str) -> Inside:
    """Give each assert a word to report, and put asserts that are known to be false between them, at random places.

    The source is one that `Prepared` took.
    """
    draw, copy = random.SystemRandom(), ast.parse(source)
    forms.without_main(copy)
    forms.complete(copy, entry_point, _ENTRY, names.used(copy)[0])
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


class Evidence:
    """The outcome of a run of test code. `stop` says why it could not continue, even where the test code caught the exception."""

    def __init__(self) -> None:
        self.asserts = self.calls = 0
        self.stop: tuple[Status, str] | None = None
        self.diverged = False
        self.unsupported = ""
        self.signs = raised.ENDING
        """The kinds of exceptions that come to the tests as others (`raised.py`)."""
        self.changed: list[tuple[Any, Any]] = []
        """Arguments that the program changed in place, each with a copy of what it was."""
        self.last: tuple[str, tuple[Any, ...], dict[str, Any], Any] | None = None
        """The last call since the last assert that held, and what came back."""

    def undo(self) -> None:
        """Give changed arguments their content back: a list may be a module's own, and stand there for the next program."""
        for mine, before in reversed(self.changed):
            _fill(mine, before)
        self.changed.clear()

    def tick(self) -> None:
        """Count an assert that held."""
        self.asserts += 1
        self.last = None


def failure(error: BaseException, lines: Sequence[str]) -> tuple[Status, str]:
    """Status and evidence of test code that ended with an exception."""
    marked = getattr(error, "of_program", None)
    if marked is not None:
        return judge.raised(marked)
    where, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<tests>":
            where = trace.tb_lineno
        trace = trace.tb_next
    line = lines[where - 1].strip()[:300] if 0 < where <= len(lines) else ""
    if isinstance(error, AssertionError):
        return Status.WRONG_ANSWER, f"{line or 'an assert'} (tests, line {where})"
    left = isinstance(error, SystemExit) and error.code in (None, 0)
    if left or type(error).__name__ == "SkipTest":
        why = f"tests, line {where}: they leave by {type(error).__name__} before their end; {line}; take that out"
        return Status.INFRA_ERROR, why
    try:
        text = str(error)
    except BaseException:
        text = ""
    return Status.EXCEPTION, f"tests, line {where}: {type(error).__name__}: {text[:300]}; {line}"


class Replay:
    """Answers the recorded calls of the tests from the program's replies."""

    def __init__(self, recorded: RecordedCalls, reply: Callable[[int], list[Any]], evidence: Evidence) -> None:
        """`reply`: to call number n; raises `Stop` where there is none, and says why in the evidence."""
        self.evidence = evidence
        self._recorded, self._reply = recorded, reply
        self._answers: dict[int, codec.Raw] = {}

    def stand_in(self, name: str) -> StandIn:
        """The stand-in for one of the program's names."""
        return StandIn(name, self._call, self._diverge)

    def _diverge(self, name: str = "") -> NoReturn:
        self.evidence.diverged = True
        raise Stop

    def _as_foreseen(self, at: int, name: str, args: tuple[Any, ...], keys: dict[str, Any]) -> bool:
        calls = self._recorded.calls
        try:
            return (
                at < len(calls)
                and calls[at][0] == name
                and self._recorded.expects(at, self._answers) == codec.dump((args, keys))
            )
        except (TypeError, ValueError, KeyError):
            return False

    def _call(self, name: str, args: tuple[Any, ...], keys: dict[str, Any]) -> Any:
        at = self.evidence.calls
        if not self._as_foreseen(at, name, args, keys):
            self._diverge()
        reply = self._reply(at)
        self.evidence.calls += 1
        if reply[0] == 0 and codec.holds_opaque(reply[1]):
            self.evidence.unsupported = "an object"  # a session may still do it, for this program only
            self._diverge()
        try:
            value = settle(reply, args, self.evidence)
        except codec.Malformed as error:
            self.evidence.stop = Status.PROTOCOL_VIOLATION, str(error)
            raise Stop from None
        self.evidence.last = name, args, keys, value
        if at in self._recorded.handed_on:
            self._keep(at, value)
        return value

    def _keep(self, at: int, value: Any) -> None:
        try:
            self._answers[at] = codec.dump(value)
        except (TypeError, ValueError):
            self._diverge()


def settle(reply: list[Any], args: tuple[Any, ...], evidence: Evidence, meant: raised.Kinds = frozenset()) -> Any:
    """A reply as the call's outcome in the judge: arguments changed in place, then the value, or its exception.

    `meant`: the kinds that are signs of what was asked for itself. Raises Malformed when it names an argument that the call does
    not have.
    """
    if reply[0] == 1:
        raise raised.remade(reply, evidence.signs - meant)
    if type(reply[2]) is list:
        for mine, now in zip(args, reply[2], strict=False):
            _change(mine, now, evidence.changed)
    value = reply[1]
    if isinstance(value, codec.Alias):
        if not 0 <= value.at < len(args):
            raise codec.Malformed("an answer that names an argument nobody gave")
        return args[value.at]
    return value


def _change(mine: Any, now: Any, changed: list[tuple[Any, Any]]) -> None:
    if type(mine) is not type(now):
        return
    if type(mine) in (list, bytearray, dict, set):
        changed.append((mine, mine.copy()))
        _fill(mine, now)
    elif type(mine) is tuple:
        for inner, fresh in zip(mine, now, strict=False):
            _change(inner, fresh, changed)


def _fill(mine: Any, now: Any) -> None:
    """Give a list, bytearray, dict or set another content."""
    if type(mine) is list or type(mine) is bytearray:
        mine[:] = now
    else:
        mine.clear()
        mine.update(now)
