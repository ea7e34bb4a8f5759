"""A judge worker: a process that holds the tests and the expected values, and never runs a program itself.

It reads chunks of jobs from the caller, runs each program in a zygote, judges it, and sends the result back as a JSON line. It ends
together with its zygotes when the caller is gone.
"""

import contextlib
import ctypes
import functools
import os
import select
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from selfplay.sandbox import checks, codec, isolation_plan, judge, languages, literals, written
from selfplay.sandbox.bounds import Bounds, Unreadable, arm, end_with_parent, listen
from selfplay.sandbox.call_recorder import MAX_CALLS, RecordedCalls, Stop, TooLong
from selfplay.sandbox.channel import Channel, row_of
from selfplay.sandbox.copies import ENDLESS, LOST, Lost, in_a_copy
from selfplay.sandbox.isolation_plan import IsolationPlan
from selfplay.sandbox.jobs import LAST_CALL, Limits, Status
from selfplay.sandbox.judge import Replies, Verdict
from selfplay.sandbox.sessions import Session
from selfplay.sandbox.traces import leaves_traces
from selfplay.sandbox.zygote import CallerGone, End, NumbersMoved, Refused, Zygote, ZygoteDied

RECYCLE = 2000
_TRIES = 3
_Code = checks.Prepared | written.Relay
Made = TypeVar("Made")
_UNBELIEVED = (
    "the tests rely on {0} of the program, which may be false; define it in the tests, or assert what it gives by itself "
    "({0}(...) == value), or give no entry_point"
)
_CLOSED = Status.PROTOCOL_VIOLATION, "it closed the channel"


def _prepared(source: str, entry_point: str) -> checks.Prepared:
    return checks.Prepared(source, entry_point, dry_run=not leaves_traces(source))


class Worker(written.WrittenTests):
    """Runs jobs one after the other. Zygotes are started when a program first needs their flavour."""

    def __init__(self, how: IsolationPlan, caller: int | None = None) -> None:
        self._how, self._caller = how, caller
        self._zygotes: dict[str, Zygote] = {}
        self._prepared: dict[tuple[str, str], checks.Prepared | str] = {}
        self._parts: dict[tuple[str, str], literals.Tests | str] = {}
        self._bounds = Bounds()
        self._most = RECYCLE

    def zygote(self, flavour: str) -> Zygote:
        """The running zygote of a flavour; a fresh one after 2,000 programs, or one that used its working folder."""
        found = self._zygotes.get(flavour)
        if found is not None and (found.programs >= self._most or found.touched):
            self.drop(flavour)
            found = None
        if found is None:
            found = self._zygotes[flavour] = Zygote(self._how, flavour, self._caller)
        return found

    def drop(self, flavour: str) -> None:
        """End a zygote that may be damaged; the next program gets a new one."""
        found = self._zygotes.pop(flavour, None)
        if found is not None:
            found.close()

    def close(self) -> None:
        """End all zygotes."""
        for flavour in list(self._zygotes):
            self.drop(flavour)

    def run(self, code: str, tests: tuple[Any, ...], limits: Limits) -> tuple[Verdict, int]:
        """The verdict on one program and the number of times it was started."""
        other = tests[0] == "stdio" and tests[2] != "python"
        flavour = tests[2] if other else isolation_plan.flavour_of(code)
        attempt, self._most = 1, RECYCLE
        while attempt <= _TRIES:
            try:
                if tests[0] == "check" and leaves_traces(tests[1]):
                    verdict = self._apart(code, tests, limits, flavour)
                else:
                    verdict = self._judge(code, tests, limits, flavour)
            except NumbersMoved:
                self.drop(flavour)
                self._most = 1  # it may be this very program that makes threads, in each of its runs
                continue
            except Lost:
                self.drop(flavour)
                failure = LOST
                attempt += 1
                continue
            except (ZygoteDied, Refused, OSError) as error:
                self.drop(flavour)
                failure = f"sandbox: {type(error).__name__}: {error}"
                attempt += 1
                continue
            except Unreadable as error:
                verdict = Verdict(Status.PROTOCOL_VIOLATION, (Status.PROTOCOL_VIOLATION,), str(error))
            if verdict.status in (Status.PROTOCOL_VIOLATION, Status.CRASHED):
                self.drop(flavour)
            return verdict, attempt
        return Verdict(Status.INFRA_ERROR, (), judge.bounded(failure)), _TRIES

    def _apart(self, code: str, tests: tuple[Any, ...], limits: Limits, flavour: str) -> Verdict:
        """The verdict of tests that may leave something behind in this process. Raises as `_judge`, and `Lost`."""
        zygote = self.zygote(flavour)  # started here, so that it outlives the copy

        def spoilt() -> bool:
            return zygote.touched or zygote not in self._zygotes.values()

        made, spoils = in_a_copy(lambda: self._judge(code, tests, limits, flavour), spoilt)
        zygote.programs += 1
        if spoils:
            self.drop(flavour)
        if isinstance(made, Exception):
            raise made
        return made

    def _judge(self, code: str, tests: tuple[Any, ...], limits: Limits, flavour: str) -> Verdict:
        match tests[0]:
            case "io":
                return self._calls(code, tests, limits, flavour)
            case "check":
                return self._check(code, tests, limits, flavour)
            case "written":
                return self._written(code, tests, limits, flavour)
            case "stdio":
                return self._scripts(code, tests, limits, flavour)
            case _:
                raise ValueError(f"unknown kind of tests {tests[0]!r}")

    def _once(self, message: dict[str, Any], flavour: str, whole: bool = False) -> End:
        zygote = self.zygote(flavour)
        zygote.start(message)
        return zygote.finish(whole)

    def _calls(self, code: str, tests: tuple[Any, ...], limits: Limits, flavour: str) -> Verdict:
        _, calls, expected, rule, one_by_one, _ = tests
        end, replies = self._replies(code, calls, one_by_one, limits, flavour)
        with self._bounds.reading(limits):
            return judge.judge_cases(end, replies, _loaded(expected), *rule)

    def _replies(
        self, code: str, calls: tuple[tuple[str, codec.Raw], ...], one_by_one: bool, limits: Limits, flavour: str
    ) -> tuple[End, Replies]:
        if one_by_one:
            return self._asked(code, calls, limits, flavour)
        end = self._once(judge.message(code, "calls", limits, len(calls), calls=calls), flavour)
        with self._bounds.reading(limits):
            return end, judge.read_replies(end, limits, len(calls))

    def _asked(
        self, code: str, calls: tuple[tuple[str, codec.Raw], ...], limits: Limits, flavour: str
    ) -> tuple[End, Replies]:
        """The replies to calls of which the program sees none before its turn."""
        found: list[list[Any]] = []

        def ask(run: Session) -> None:
            with contextlib.suppress(Stop), self._bounds.reading(limits):
                for name, raw in calls:
                    found.append(run.run(name, raw))

        _, run, end = self._live(code, limits, flavour, ask, plain=True)
        stop, left = run.evidence.stop, self._left(end, limits)
        if stop is not None and stop[0] is Status.INFRA_ERROR:
            stop = left or _CLOSED
        return end, Replies(found, stop or left)

    def _left(self, end: End, limits: Limits) -> tuple[Status, str] | None:
        """What a program that answered while it ran left behind beside its answers: why it did not get to its end."""
        with self._bounds.reading(limits):
            return judge.read_replies(end, limits, 0).stop

    def _scripts(self, code: str, tests: tuple[Any, ...], limits: Limits, flavour: str) -> Verdict:
        """One fresh process a case; after a time-out or a flood the rest is not run."""
        language = languages.LANGUAGES.get(tests[2])
        if language is not None and len(code.encode()) > languages.MAX_SOURCE:
            why = f"the source has more than {languages.MAX_SOURCE} bytes"
            return Verdict(Status.UNSUPPORTED_VALUE, (Status.UNSUPPORTED_VALUE,), why)
        found: list[Status] = []
        first: tuple[Status, str] | None = None
        total = End(0, 0, 0.0, 0.0, 0, "", b"", b"", b"", 0)
        message = judge.message(code, "script", limits)
        if language is not None:
            message = judge.message("", "exec", limits, argv=language.arguments(code, limits.memory_bytes))
        for at, (given, wanted) in enumerate(tests[1]):
            self.zygote(flavour).give_input(given)
            end = self._once(message, flavour, whole=True)
            total = end._replace(cpu=total.cpu + end.cpu, wall=total.wall + end.wall, peak=max(total.peak, end.peak))
            with self._bounds.reading(limits):
                status, why = judge.judge_output(end, limits, wanted, language)
            found.append(status)
            if status is not Status.PASSED and first is None:
                first = status, f"case {at}: {why}"
            if status in (Status.TIMEOUT_CPU, Status.TIMEOUT_WALL, Status.OUTPUT_LIMIT, Status.SYNTAX_ERROR):
                break
        self.zygote(flavour).give_input(b"")
        if first is None:
            return Verdict(Status.PASSED, tuple(found), "", total)
        return Verdict(first[0], tuple(found), judge.bounded(first[1]), total)

    def _check(self, code: str, tests: tuple[Any, ...], limits: Limits, flavour: str) -> Verdict:
        _, source, entry_point, trust, _ = tests
        prepared = self._kept(self._prepared, _prepared, source, entry_point)
        if isinstance(prepared, str):
            return Verdict(Status.INFRA_ERROR, (), judge.bounded(prepared))
        if trust == "in_process":
            return self._inside(code, prepared, limits, flavour)
        # calls of which a program may not see the next are asked in one run alone: a second one might know of the first
        if prepared.recorded is not None and not prepared.one_by_one and prepared.diverged <= prepared.replayed:
            evidence = checks.Evidence()
            verdict = self._replayed(code, prepared, prepared.recorded, evidence, limits, flavour)
            if verdict is not None:
                prepared.replayed += 1
                return verdict
            prepared.diverged += not evidence.unsupported
        verdict = self._session(code, limits, flavour, lambda run: self._tests(prepared, run, None, limits))
        if verdict is None:
            raise ZygoteDied("a session went astray")
        return verdict

    def _replayed(
        self,
        code: str,
        prepared: checks.Prepared,
        recorded: RecordedCalls,
        evidence: checks.Evidence,
        limits: Limits,
        flavour: str,
    ) -> Verdict | None:
        """Run the tests on the replies to recorded calls, which are asked all at once; None where the tests made other calls."""
        more = {"changed": True, "chained": bool(recorded.patterns)}
        message = judge.message(code, "calls", limits, len(recorded.calls), calls=recorded.calls, **more)
        end = self._once(message, flavour)
        with self._bounds.reading(limits):
            replies = judge.read_replies(end, limits, len(recorded.calls))
        if replies.stop and (not replies.calls or replies.stop[0] in judge.OVERRIDING):
            return Verdict(replies.stop[0], (replies.stop[0],), judge.bounded(replies.stop[1]), end)

        def reply(at: int) -> list[Any]:
            if at < len(replies.calls):
                return replies.calls[at]
            evidence.stop = replies.stop or (Status.PROTOCOL_VIOLATION, "an answer is missing")
            raise Stop

        return self._tests(prepared, checks.Replay(recorded, reply, evidence), end, limits)

    def _kept(
        self, known: dict[tuple[str, str], Made | str], made: Callable[[str, str], Made], source: str, entry_point: str
    ) -> Made | str:
        """What `made` makes of a test source, or what is wrong with it; once for each source."""
        found = known.get((source, entry_point))
        if found is None:
            if len(known) > 4096:
                known.clear()
            try:
                arm(6, 2, 0)
                found = made(source, entry_point)
            except (checks.BadTests, literals.Unreadable) as error:
                found = str(error)
            except TooLong:
                found = "tests: more than 2 s to read the source; make it shorter"
            finally:
                arm(0, 0, 0)
            known[source, entry_point] = found
            self._bounds.measure()
        return found

    def _tests(self, prepared: _Code, run: checks.Replay | Session, end: End | None, limits: Limits) -> Verdict | None:
        """Run the test code; None when it made other calls than recorded (or, in a session, when the program ended)."""
        evidence, failure, came = run.evidence, (Status.PASSED, ""), ""
        evidence.signs = prepared.signs
        try:
            with self._bounds.around(limits):
                prepared.run(run.stand_in, evidence.tick)
        except TooLong:
            failure = Status.TIMEOUT_WALL, ENDLESS
        except (ZygoteDied, NumbersMoved, CallerGone):
            raise
        except Stop:  # the evidence says why, or it counts as this
            failure = Status.PROTOCOL_VIOLATION, "an answer that is none"
        except BaseException as error:
            failure = checks.failure(error, prepared.lines)
            came = "" if hasattr(error, "of_program") or evidence.last is None else judge.short(evidence.last[3])
        finally:
            evidence.undo()
        if evidence.diverged:
            return None
        if came and evidence.last is not None:
            failure = failure[0], f"{failure[1]}{LAST_CALL}{judge.called(*evidence.last[:3])} gave {came}"
        if evidence.stop is not None:
            failure = evidence.stop
        elif failure[0] is Status.PASSED and not evidence.calls:
            failure = Status.INFRA_ERROR, "tests: they never call the program; give asserts that do, or entry_point"
        elif evidence.unsupported:
            failure = Status.UNSUPPORTED_VALUE, f"the tests need {evidence.unsupported}"
        elif failure[0] is Status.PASSED and prepared.unbelieved:
            failure = Status.UNSUPPORTED_VALUE, _UNBELIEVED.format(prepared.unbelieved)
        held = (Status.PASSED,) * min(evidence.asserts, MAX_CALLS)
        if failure[0] is Status.PASSED:
            return Verdict(Status.PASSED, held, "", end)
        return Verdict(failure[0], (*held, failure[0]), judge.bounded(failure[1]), end)

    def _inside(self, code: str, prepared: checks.Prepared, limits: Limits, flavour: str) -> Verdict:
        """Program and tests in one process, the tests with canaries in them: such a verdict can be forged."""
        inside = checks.timed(prepared.source, prepared.entry_point)
        more = {"tests": inside.source, "entry_point": prepared.entry_point}
        end = self._once(judge.message(code, "inside", limits, 64, **more), flavour)
        with self._bounds.reading(limits):
            return judge.judge_inside(end, limits, inside.asserts, inside.canaries)

    def _live(
        self, code: str, limits: Limits, flavour: str, work: Callable[[Session], Made], **more: Any
    ) -> tuple[Made, Session, End]:
        """What `work` makes of a program that answers while it runs, and how that ended."""
        zygote = self.zygote(flavour)
        zygote.start(judge.message(code, "calls", limits, 64, live=True, **more))
        run = Session(zygote, judge.reply_room(limits, 64), limits.wall + 1)
        made = work(run)
        run.end()
        end = zygote.finish()
        if not zygote.clean_pipes():
            self.drop(flavour)
        return made, run, end

    def _session(
        self, code: str, limits: Limits, flavour: str, judged: Callable[[Session], Verdict | None], **more: Any
    ) -> Verdict | None:
        """The verdict of test code that asks a live program; None as `judged` says it."""
        verdict, run, end = self._live(code, limits, flavour, judged, **more)
        if verdict is None:
            return None
        left, stop = self._left(end, limits), run.evidence.stop
        if stop is not None and stop[0] is Status.INFRA_ERROR:
            status, why = left or _CLOSED
            return Verdict(status, (*verdict.tests[:-1], status), judge.bounded(why), end)
        if left and (left[0] in judge.OVERRIDING or verdict.status is Status.PASSED):
            return Verdict(left[0], (*verdict.tests, left[0]), judge.bounded(left[1]), end)
        return verdict._replace(end=end)


@functools.lru_cache(64)
def _loaded(expected: tuple[codec.Raw, ...]) -> list[Any]:
    """The expected values of one task, whose programs follow each other; nobody changes them."""
    return [codec.load(raw) for raw in expected]


def serve(sock: socket.socket, how: IsolationPlan) -> None:
    """Work until the caller is gone. A chunk is (tests, [(index, code, which tests, limits)])."""
    listen()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # not dumpable: programs of the same user cannot look into this process
    channel, worker = Channel(sock), Worker(how, sock.fileno() if hasattr(select, "POLLRDHUP") else None)
    try:
        while True:
            specs, jobs = channel.chunk()
            for at, (index, code, which, limits) in enumerate(jobs):
                verdict, attempts = worker.run(code, specs[which], Limits(*limits))
                channel.put(row_of(index, verdict, attempts), at + 1 == len(jobs))
    except CallerGone:
        pass
    finally:
        worker.close()


def main() -> None:
    """Entry of the worker process: descriptor 3 is the caller's socket, the first message the plan."""
    end_with_parent()
    sock = socket.socket(fileno=3)
    channel = Channel(sock)
    try:
        how, path, caller = channel.chunk()
    except CallerGone:
        return
    if os.getppid() != caller:  # it ended before the line above took hold
        return
    sys.path.extend(entry for entry in path if entry not in sys.path)
    os.chdir("/")
    serve(sock, IsolationPlan(*how))
