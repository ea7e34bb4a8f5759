"""Makes a verdict of how a program ended and what it replied. Expected values are compared here, never inside the sandbox."""

import signal
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from selfplay.sandbox import codec
from selfplay.sandbox import raised as exceptions
from selfplay.sandbox.jobs import Limits, Status
from selfplay.sandbox.languages import Language
from selfplay.sandbox.zygote import TAIL_BYTES, End

ERROR_CHARS = 1000
OVERRIDING = (Status.OUTPUT_LIMIT, Status.PROTOCOL_VIOLATION)
"""What a program is told even when one of its answers was wrong before."""


class Verdict(NamedTuple):
    """The verdict on one program, before it becomes a `Result`."""

    status: Status
    tests: tuple[Status, ...] = ()
    error: str = ""
    end: End | None = None
    trust: str = "outside"


def bounded(text: str) -> str:
    """Evidence as one line of bounded length that can be encoded as UTF-8."""
    line = " ".join(text[: 4 * ERROR_CHARS].split())
    # no control character either: evidence is shown in terminals
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
    return shown.encode("utf-8", "backslashreplace").decode("utf-8")[:ERROR_CHARS]


def tail(end: End) -> str:
    """The last 4 KiB of output, standard error after standard output, as text."""
    return (end.output[-TAIL_BYTES:] + end.errors)[-TAIL_BYTES:].decode("utf-8", "replace")


def reply_room(limits: Limits, cases: int) -> int:
    """Bytes that a program may write to one memory file: the output limit and about 1 KiB per case."""
    return limits.output_bytes + 1024 * (cases + -cases % 64)  # in steps: a limit that stays needs no system call


def message(code: str, kind: str, limits: Limits, cases: int = 0, **more: Any) -> dict[str, Any]:
    """The job as the zygote reads it (keys in `zygote_main.py`)."""
    return {
        "code": code,
        "kind": kind,
        "live": False,
        "plain": False,
        "calls": (),
        "changed": False,
        "chained": False,
        "cpu": limits.cpu_seconds,
        "wall": limits.wall,
        "memory": int(limits.memory_bytes),
        "bytes": reply_room(limits, cases),
        "threads": limits.threads,
        **more,
    }


def violent(end: End, limits: Limits, room: int) -> tuple[Status, str] | None:
    """Status and reason where the program was killed or crashed, as seen from outside; None where it ended normally."""
    if end.output_size > limits.output_bytes or end.output_size >= room or len(end.replies) >= room:
        return Status.OUTPUT_LIMIT, f"more than {limits.output_bytes} bytes written or returned"
    if end.why == "cpu" or end.signal == signal.SIGXCPU:
        return Status.TIMEOUT_CPU, f"more than {limits.cpu_seconds} s of CPU"
    if end.why == "wall":
        return Status.TIMEOUT_WALL, f"more than {limits.wall} s, waiting"
    if end.why == "threads":
        return Status.CRASHED, f"more than {limits.threads} threads"
    if end.signal == signal.SIGXFSZ:
        return Status.OUTPUT_LIMIT, f"more than {limits.output_bytes} bytes written"
    if end.signal:
        return Status.CRASHED, f"ended by {_signal_name(end.signal)}"
    if end.exit_code:
        return Status.CRASHED, f"exit status {end.exit_code}"
    return None


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


class Replies(NamedTuple):
    """The parsed replies of one program and, when it did not get to its end, why."""

    calls: list[list[Any]]
    stop: tuple[Status, str] | None


def read_replies(end: End, limits: Limits, calls: int) -> Replies:
    """Parse what a program wrote; at most `calls` results count, more are a violation."""
    ended = violent(end, limits, reply_room(limits, calls))
    lines = end.replies.split(b"\n")
    whole, rest = lines[:-1], lines[-1]
    try:
        parsed = codec.parse_all(whole[: calls + 2])
    except codec.Malformed as error:
        return Replies([], ended or (Status.PROTOCOL_VIOLATION, str(error)))
    if parsed and parsed[0][0] in (2, 3):
        return Replies([], ended or load_failure(parsed[0]))
    results = [reply for reply in parsed if reply[0] in (0, 1)]
    done = bool(parsed) and parsed[-1][0] == 9
    if rest or len(whole) != len(results) + done or len(results) > calls:
        return Replies([], ended or (Status.PROTOCOL_VIOLATION, "replies that nobody asked for"))
    if ended is None and not done:
        ended = (Status.EXCEPTION, "left early with exit status 0")
    return Replies(results, ended)


def load_failure(reply: list[Any]) -> tuple[Status, str]:
    """The status of a program that did not load, from its reply 2 or 3."""
    if reply[0] == 3:
        return Status.SYNTAX_ERROR, str(reply[1])
    return raised(reply)


def raised(reply: list[Any]) -> tuple[Status, str]:
    """The status and text of a reply that says that something was raised."""
    return Status.MEMORY if "MemoryError" in reply[1][1:] else Status.EXCEPTION, exceptions.told(reply)


def judge_cases(end: End, replies: Replies, expected: list[Any], atol: float, strict: bool = False) -> Verdict:
    """The verdict on `IOTests`: replies in order against the expected values."""
    return in_order(end, replies, len(expected), lambda at, reply: _judge_one(reply, expected[at], atol, strict))


def in_order(end: End, replies: Replies, cases: int, judged: Callable[[int, list[Any]], tuple[Status, str]]) -> Verdict:
    """The verdict on replies that answer so many cases one after the other; `judged` says it of one case."""
    found: list[Status] = []
    first: tuple[Status, str] | None = None
    for at, reply in enumerate(replies.calls):
        status, why = judged(at, reply)
        found.append(status)
        if first is None and status is not Status.PASSED:
            first = status, f"case {at}: {why}"
    if replies.stop is not None:
        found.append(replies.stop[0])
        first = replies.stop if replies.stop[0] in OVERRIDING else first or replies.stop
    elif len(found) < cases:
        first = first or (Status.PROTOCOL_VIOLATION, f"{len(found)} replies to {cases} cases")
    if first is None:
        return Verdict(Status.PASSED, tuple(found), "", end)
    return Verdict(first[0], tuple(found[:cases]), bounded(first[1]), end)


def _judge_one(reply: list[Any], expected: Any, atol: float, strict: bool) -> tuple[Status, str]:
    if reply[0] == 1:
        return raised(reply)
    got = reply[1]
    if "numpy" in sys.modules and _holds_array(
        got
    ):  # `==` on it is no truth value, or a lucky one where it has one item
        return Status.UNSUPPORTED_VALUE, "returned a numpy array; return a list (tolist)"
    if codec.same(expected, got, atol) or (not strict and codec.same(expected, as_json(expected, got), atol)):
        return Status.PASSED, ""
    if codec.holds_opaque(got):
        return Status.UNSUPPORTED_VALUE, f"returned {got!r:.200}"
    return Status.WRONG_ANSWER, f"got {short(got)}, expected {short(expected)}"


def _holds_array(value: Any) -> bool:
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list | tuple | deque):
        return type(value).__module__ == "numpy"
    return any(map(_holds_array, value))


def as_json(expected: Any, got: Any) -> Any:
    """`got` in the kinds of `expected` where JSON has one for both: list and tuple, text key and integer key.

    Both are bounded in depth: one is trusted, the other was decoded.
    """
    if type(expected) in (list, tuple) and type(got) in (list, tuple) and len(expected) == len(got):
        return type(expected)(map(as_json, expected, got))
    if type(expected) is dict and isinstance(got, dict) and len(expected) == len(got):
        spelled = {key: key for key in got}
        spelled |= {str(key): key for key in got if type(key) is int and abs(key) < _LONG and str(key) not in got}
        keys = {key: spelled[key] for key in expected if key in spelled}
        return {key: as_json(expected[key], got[own]) for key, own in keys.items()} if len(keys) == len(got) else got
    return got


_LONG = 10**100  # an integer key beyond: writing it down costs the square of its length


def short(value: Any) -> str:
    """A bounded repr of a builtin value, with placeholders for large integers and deep nesting."""
    try:
        return repr(value)[:300]
    except (ValueError, RecursionError):
        return f"<{type(value).__name__}>"


def called(name: str, args: Sequence[Any], keys: Mapping[str, Any]) -> str:
    """The source text of a call, bounded in length."""
    parts = [*map(short, args), *(f"{key}={short(value)}" for key, value in keys.items())]
    return f"{name}({', '.join(parts)[:200]})"


def judge_output(end: End, limits: Limits, expected: str, language: Language | None) -> tuple[Status, str]:
    """The status of one `StdioTests` case and why. `language` None: Python, whose runner reports on itself."""
    stop = _foreign(end, limits, language) if language else read_replies(end, limits, 0).stop
    left = stop is not None and stop[0] is Status.EXCEPTION and not end.replies and end.exit_code == 0
    if stop is not None and not left:
        return stop
    if same_output(expected, end.output):
        return Status.PASSED, ""
    return Status.WRONG_ANSWER, f"printed {short(end.output[:300])}, expected {short(expected[:300])}"


def _foreign(end: End, limits: Limits, language: Language) -> tuple[Status, str] | None:
    ended = violent(end, limits, reply_room(limits, 0))
    if ended is None or ended[0] is not Status.CRASHED:
        return ended
    last = end.errors[-300:].decode("utf-8", "replace")
    for words, status in ((language.memory_words, Status.MEMORY), (language.syntax_words, Status.SYNTAX_ERROR)):
        if any(word in end.errors for word in words):
            return status, last
    return ended if end.signal else (Status.EXCEPTION, last)


def judge_inside(end: End, limits: Limits, asserts: set[int], canaries: set[int]) -> Verdict:
    """The verdict on tests that ran in the program's process: every canary must have failed, and some assert must have held."""
    replies = read_replies(end, limits, 2)
    failure = replies.stop
    told = [reply[1] for reply in replies.calls if reply[0] == 0]
    ticks = {tick for tick in told[0] if type(tick) is int} if told and type(told[0]) is list else set()
    for reply in replies.calls:
        if reply[0] == 1 and failure is None:
            failure = raised(reply)
            if failure[0] is Status.EXCEPTION and reply[1][:1] == ["AssertionError"]:
                failure = Status.WRONG_ANSWER, f"an assert failed: {reply[2]}"
    held = (Status.PASSED,) * len(ticks & asserts)
    if failure is None and not canaries <= ticks:
        failure = Status.PROTOCOL_VIOLATION, "an assert that is known to be false did not fail"
    if failure is None and not held:
        failure = Status.PROTOCOL_VIOLATION, "no assert was run"
    if failure is None:
        return Verdict(Status.PASSED, held, "", end, "in_process")
    return Verdict(failure[0], (*held, failure[0]), bounded(failure[1]), end, "in_process")


def same_output(expected: str, got: bytes) -> bool:
    """Standard output against the expected text: trailing white space and trailing empty lines do not count."""
    text = got.decode("utf-8", "replace")
    return [line.rstrip() for line in text.rstrip().split("\n")] == [x.rstrip() for x in expected.rstrip().split("\n")]
