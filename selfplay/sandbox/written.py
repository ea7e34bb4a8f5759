"""Verdicts by tests that a model wrote. The judge runs no line of them.

Their literal asserts are judged here, on the program's answers (`literals.py`). The rest runs in a sandboxed process of its own
(`tester.py`), beside the program's and under the same limits: the judge carries plain values between the two. So the program never
shares a process with what it is to answer, and the tests reach nothing: all they can do is to say pass or fail.
"""

import marshal
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from selfplay.sandbox import codec, isolation_plan, judge, literals, names, raised
from selfplay.sandbox.bounds import Bounds
from selfplay.sandbox.call_recorder import Stop
from selfplay.sandbox.jobs import LAST_CALL, Limits, Status
from selfplay.sandbox.judge import Replies, Verdict
from selfplay.sandbox.sessions import Session
from selfplay.sandbox.zygote import End, Zygote

_FLAVOURS = ("tests", "tests_numpy")
"""Of the zygote of test code, without numpy and with it: never a program's, so that both are at work at once."""
_TEXT = 600


class Relay:
    """Test code at work in its own sandbox, and the judge between it and the program. Stands in for `checks.Prepared`."""

    signs = raised.ENDING
    lines: Sequence[str] = ()
    unbelieved = ""

    def __init__(
        self, tests: literals.Tests, entry_point: str, zygote: Zygote, session: Session, limits: Limits
    ) -> None:
        """Start the test code. Its process has a second more than a program; waiting for the program does not count."""
        self._entry_point, self._zygote, self._session = entry_point, zygote, session
        self._limits = replace(limits, cpu_seconds=limits.cpu_seconds + 1, wall_seconds=limits.wall + 1)
        self._room, self._told, self._asked = judge.reply_room(limits, 64), 0, 0
        self._waits = self.settled = False
        self._last = " before the program was called"
        more = {"live": True, "source": tests.rest, "entry_point": entry_point, "last": tests.last}
        more["homes"] = names.HOMES | names.MODULES
        more["work"] = isolation_plan.compiled("tester.py")
        zygote.start(judge.message("", "tests", self._limits, 64, **more))

    def run(self, *_: object) -> None:
        """Carry calls to the program and answers back, until the tests have said what they say.

        Returns where they passed; else raises `Stop`, and the session's evidence says why.
        """
        request = b""
        while True:
            said = self._said(request)
            if said is True:
                return
            began = time.monotonic()
            request = self._answer(*said)
            self._zygote.allow(time.monotonic() - began)

    def close(self) -> bool:
        """End the test code; False where its zygote has to be ended too, for it was left at work."""
        if self.settled:
            return self._zygote.finish().signal == 0 and self._zygote.clean_pipes()
        if not self._waits:
            return False
        self._zygote.exchange(_message("stop"), self._room)
        self._zygote.finish()
        return self._zygote.clean_pipes()

    def _said(self, request: bytes) -> Any:
        """The next (arguments, keywords) that the program is called with; True once the tests passed."""
        self._waits = False
        line = self._zygote.exchange(request, self._room)
        if line is None:
            self._ended(self._zygote.finish())
        self._told += len(line or b"")
        self._asked += 1
        if self._told > self._room + 1024 * self._asked:
            self._stop(Status.OUTPUT_LIMIT, f"they pass more than {self._room} bytes and 1 KiB a call")
        try:
            reply = codec.parse((line or b"").removesuffix(b"\n"))
        except codec.Malformed as error:
            self._stop(Status.PROTOCOL_VIOLATION, str(error))
        if reply[0] == 0 and type(reply[1]) is tuple and list(map(type, reply[1])) == [list, dict]:
            self._waits = True
            return reply[1]
        self.settled = True
        if reply[0] == 0 and reply[1] is True:
            return True
        wrong = reply[0] == 1 and reply[1][:1] == ["AssertionError"]
        return self._stop(Status.WRONG_ANSWER if wrong else Status.EXCEPTION, f"they failed{self._last}")

    def _ended(self, end: End) -> None:
        status, why = judge.violent(end, self._limits, self._room) or (Status.EXCEPTION, "they left early")
        self._stop(status, f"{why}{self._last}")

    def _stop(self, status: Status, why: str) -> Any:
        self._session.evidence.stop = self._session.evidence.stop or (status, f"tests: {why}")
        raise Stop

    def _answer(self, args: list[Any], keys: dict[Any, Any]) -> bytes:
        """One call of the program, as the message to the tests."""
        try:
            if codec.holds_opaque(args) or codec.holds_opaque(keys) or not all(type(key) is str for key in keys):
                raise TypeError("an object")
            raw = codec.dump((tuple(args), keys))
        except (TypeError, ValueError) as error:
            self._stop(Status.UNSUPPORTED_VALUE, f"they call the program with {error}")
        reply = self._session.run(self._entry_point, raw)
        self._session.evidence.calls += 1
        called = f"{LAST_CALL}{judge.called(self._entry_point, args, keys)}"
        if reply[0] == 1:
            came = raised.remade(reply, frozenset())
            # one that ends an iteration would end the tests' own loops before anything was compared
            kind = "RuntimeError" if isinstance(came, tuple(raised.ENDING)) else type(came).__name__
            self._last = f"{called} raised {kind}"
            return _message("raised", kind, str(reply[2])[:_TEXT])
        same = isinstance(reply[1], codec.Alias) and 0 <= reply[1].at < len(args)
        self._last = f"{called} gave {judge.short(args[reply[1].at] if same else reply[1])}"
        return self._value(reply[1], reply[2], len(args))

    def _value(self, value: Any, moved: Any, args: int) -> bytes:
        at = value.at if isinstance(value, codec.Alias) else -1
        if at >= args or (at < 0 and isinstance(value, codec.Alias)):
            self._session.evidence.stop = Status.PROTOCOL_VIOLATION, "an answer that names an argument nobody gave"
            raise Stop
        try:
            if codec.holds_opaque(value) or codec.holds_opaque(moved):
                raise TypeError("an object of the program")
            sent = None if at >= 0 else codec.dump(value)
            return _message("value", sent, at, None if moved is None else codec.dump(moved))
        except (TypeError, ValueError) as error:
            return bytes(self._stop(Status.UNSUPPORTED_VALUE, f"they need {error}"))


def _message(*words: Any) -> bytes:
    data = marshal.dumps(words, 2)
    return len(data).to_bytes(4, "little") + data


class WrittenTests(ABC):
    """The part of a judge worker that handles such tests."""

    _parts: dict[tuple[str, str], literals.Tests | str]
    _bounds: Bounds

    @abstractmethod
    def zygote(self, flavour: str) -> Zygote:
        """See `Worker`."""

    @abstractmethod
    def drop(self, flavour: str) -> None:
        """See `Worker`."""

    @abstractmethod
    def _kept(self, known: Any, made: Any, source: str, entry_point: str) -> Any: ...

    @abstractmethod
    def _replies(
        self, code: str, calls: tuple[tuple[str, codec.Raw], ...], one_by_one: bool, limits: Limits, flavour: str
    ) -> tuple[End, Replies]: ...

    @abstractmethod
    def _session(
        self, code: str, limits: Limits, flavour: str, judged: Callable[[Session], Verdict | None], **more: Any
    ) -> Verdict | None: ...

    @abstractmethod
    def _tests(self, prepared: Any, run: Any, end: End | None, limits: Limits) -> Verdict | None: ...

    def _written(self, code: str, tests: tuple[Any, ...], limits: Limits, flavour: str) -> Verdict:
        """Literal asserts first, then the rest, each with a fresh process of the program; both must hold.

        What is wrong with the tests themselves is no outage: they say no of every program, and admission refuses their task.
        """
        _, source, entry_point, _ = tests
        parts: literals.Tests | str = self._kept(self._parts, literals.read, source, entry_point)
        if isinstance(parts, str):
            return Verdict(Status.EXCEPTION, (Status.EXCEPTION,), judge.bounded(f"tests: {parts}"))
        if not parts.cases and not parts.rest:
            return Verdict(Status.EXCEPTION, (Status.EXCEPTION,), "tests: they hold no assert that calls the program")
        verdict = Verdict(Status.PASSED)
        if parts.cases:
            end, replies = self._replies(code, parts.calls, parts.one_by_one, limits, flavour)
            with self._bounds.reading(limits):
                verdict = judge_cases(end, replies, parts)
        if verdict.status is not Status.PASSED or not parts.rest:
            return verdict
        rest = self._beside(code, parts, entry_point, limits, flavour)
        return rest._replace(tests=(*verdict.tests, rest.status))

    def _beside(self, code: str, parts: literals.Tests, entry_point: str, limits: Limits, flavour: str) -> Verdict:
        """The verdict of test code and program in two processes side by side."""
        relays: list[Relay] = []
        own = _FLAVOURS["numpy" in parts.rest or "np." in parts.rest]

        def judged(run: Session) -> Verdict | None:
            relays.append(Relay(parts, entry_point, self.zygote(own), run, limits))
            return self._tests(relays[0], run, None, limits)

        clean = False
        try:
            verdict = self._session(code, limits, flavour, judged, plain=True, changed=True)
            clean = bool(relays) and relays[0].close()
        finally:
            if not clean:
                self.drop(own)
        assert verdict is not None  # nothing was recorded, so nothing can go another way
        if verdict.status is not Status.INFRA_ERROR:
            return verdict
        if parts.cases and relays[0].settled:  # a helper that nobody calls beside literal asserts
            return verdict._replace(status=Status.PASSED, error="")
        return verdict._replace(status=Status.EXCEPTION, error="tests: they never call the program")


def judge_cases(end: End, replies: Replies, tests: literals.Tests) -> Verdict:
    """The verdict by literal asserts: the answers in order, each held to what its assert wants."""
    cases = tests.cases
    return judge.in_order(end, replies, len(cases), lambda at, reply: _judge_one(reply, tests.calls[at][0], cases[at]))


def _judge_one(reply: list[Any], name: str, case: literals.Expected) -> tuple[Status, str]:
    if reply[0] == 1:
        return judge.raised(reply)
    got = reply[1]
    if codec.holds_opaque(got):
        return Status.UNSUPPORTED_VALUE, f"returned {got!r:.200}"
    try:
        if case.holds(got):
            return Status.PASSED, ""
    except (TypeError, ValueError, ArithmeticError, RecursionError, AttributeError):
        pass  # as the assert itself would raise: it does not hold
    came = f"{judge.called(name, case.args, case.keys)} gave {judge.short(got)}"
    return Status.WRONG_ANSWER, f"expected {case.shown}{LAST_CALL}{came}"
