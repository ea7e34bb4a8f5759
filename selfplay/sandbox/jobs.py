"""The data of the sandbox: what goes in (jobs, tests, limits) and what comes out (statuses, results).

Plain frozen dataclasses, standard library only. Nothing is validated on construction: a bad job gets a result of its own
(`Status.INFRA_ERROR` with the reason), so that one bad row never stops thousands of good ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """How a program ended."""

    PASSED = "passed"
    WRONG_ANSWER = "wrong_answer"
    """A test ran and failed."""
    EXCEPTION = "exception"
    """The program raised, or left early (`sys.exit`), or a name the tests need is not there."""
    SYNTAX_ERROR = "syntax_error"
    """It does not compile; or there is no code at all."""
    TIMEOUT_CPU = "timeout_cpu"
    TIMEOUT_WALL = "timeout_wall"
    """It waited: wall time less the time spent waiting for a core."""
    MEMORY = "memory"
    CRASHED = "crashed"
    """Ended by a signal, or an exit that is not Python's own; `error` names it."""
    OUTPUT_LIMIT = "output_limit"
    PROTOCOL_VIOLATION = "protocol_violation"
    """It wrote something that is not a reply into the channel that carries values."""
    UNSUPPORTED_VALUE = "unsupported_value"
    """The tests need a value that cannot cross as data (an instance, a function, a cycle)."""
    INFRA_ERROR = "infra_error"
    """Not the program's fault: the sandbox failed (and retried), or the job cannot be run (tests that do not parse, absurd limits)."""


LAST_CALL = "; the last call: "
"""In the evidence of `CheckTests` what comes after it is the program's own: the call that was tested and what it gave. What stands
before may hold what was expected."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one program may use. The cases of one job share the limits, but each stdin case has its own."""

    cpu_seconds: float = 2.0
    """Seconds on the program's own CPU clock, all threads together."""
    wall_seconds: float | None = None
    """Seconds of waiting and running, less the time spent waiting for a core; None: `cpu_seconds + 1`."""
    memory_bytes: int = 512 * 2**20
    """Address space on top of the bare interpreter's."""
    output_bytes: int = 2**20
    """Standard output and error together; returned values have the same room again, plus 1 KiB a case."""
    threads: int = 8
    """Threads beside the main one. A second process is never allowed."""

    def fault(self) -> str | None:
        """A sentence that names the limit that cannot be used and its value; None where all can be used."""
        numbers = {"cpu_seconds": (self.cpu_seconds, 0.01, 86400.0), "memory_bytes": (self.memory_bytes, 2**20, 2**46)}
        numbers["output_bytes"] = (self.output_bytes, 1, 2**30)
        numbers["threads"] = (self.threads, 0, 4096)
        if self.wall_seconds is not None:
            numbers["wall_seconds"] = (self.wall_seconds, 0.01, 864000.0)
        for name, (value, low, high) in numbers.items():
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not low <= value <= high:
                return (
                    f"limits: {name} must be a number from {low} to {high}, not {value!r:.80}; set Limits({name}=...)"
                )
        return None

    @property
    def wall(self) -> float:
        """The wall limit in seconds, derived where it is not given."""
        return self.cpu_seconds + 1.0 if self.wall_seconds is None else self.wall_seconds


@dataclass(frozen=True, slots=True)
class IOTests:
    """Call `entry_point(*args)` for each case and compare the result with `expected`, outside the program's process.

    `entry_point` is a global of the program, or a method of its class `Solution` (`f`, `Solution().f` or `Solution.f`),
    which is then called on a fresh instance each time.

    Values are Python builtins (numbers, text, bytes, list, tuple, set, frozenset, dict, None, Decimal, Fraction).
    Equality is Python's `==` between builtins, so that 1 is 1.0 and True, with two exceptions for what JSON cannot write:
    a tuple equals a list of equal items, and an integer key that the program returns matches its decimal spelling where a
    text key is expected; both at any depth. With `atol` above 0, numbers (also inside containers) may differ by that much.
    Expected values never enter the sandbox.
    """

    entry_point: str
    cases: Sequence[tuple[Sequence[Any], Any]]
    atol: float = 0.0
    strict: bool = False
    """Whether a list is not a tuple, and a key 1 not a key "1"."""


@dataclass(frozen=True, slots=True)
class StdioTests:
    """Run the program as a script (`__name__ == "__main__"`) once per case, feed `stdin`, compare what it prints.

    Trailing white space of lines and trailing empty lines do not count. An uncaught exception or an exit status other
    than 0 fails the case. `language` picks an entry of `selfplay.sandbox.languages`.
    """

    cases: Sequence[tuple[str, str]]
    language: str = "python"


@dataclass(frozen=True, slots=True)
class CheckTests:
    """Test code (asserts, or a `check(candidate)` that is defined and not called) run outside the program's process.

    The source is trusted: it comes from the task, never from a model. `entry_point` is what `check` is called with.
    Names the source neither defines nor imports are the judge's own where the standard library or numpy has them (`isclose`, `np`), else
    the program's. With an `entry_point` other names of the program are believed only in an assert that has nothing else of the program
    (`assert g(1) == 2`): what would pass by them is `unsupported_value`. "": tests may call whatever they like.
    `trust="in_process"` runs the tests inside the program's process, guarded by canaries, for tests that need its objects; such a
    verdict can be forged.

    `sandboxed=True` is for a source that a model wrote. Its literal asserts (`assert f(2) == 4`) are judged outside without
    being run; what is left runs in a sandboxed process of its own, in which `entry_point`, the
    standard library and a little of pytest are there and only plain values cross. Tests that are broken say no; they are no `infra_error`.
    """

    source: str
    entry_point: str = ""
    trust: str = "outside"
    sandboxed: bool = False


Tests = IOTests | StdioTests | CheckTests


@dataclass(frozen=True, slots=True)
class Job:
    """One program and its tests. `id` is the caller's own and comes back on the result; it need not be unique."""

    id: str
    code: str
    tests: Tests
    limits: Limits | None = None
    """None: `Limits()`."""


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one job."""

    id: str
    status: Status
    passed: bool | None
    """None on `infra_error`: no statement about the program."""
    tests: tuple[Status, ...] = field(default=())
    """Per case (`IOTests`, `StdioTests`), or per assert reached (`CheckTests`: those before the last one passed)."""
    error: str = ""
    """One line of evidence, at most 1,000 characters, encodable as UTF-8; empty when passed."""
    stdout_tail: str = ""
    """The last 4 KiB of standard output and error, as UTF-8 with replacements."""
    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0
    peak_bytes: int = 0
    """Resident memory above the bare interpreter's."""
    tier: int = 0
    """The isolation really in force: 3 full, 2 Landlock, 1 seccomp, 0 rlimits only."""
    trust: str = "outside"
    """`outside`: judged where the program cannot reach; `in_process`: it could be forged, keep it out of rewards."""
    attempts: int = 1
    """How often it was started; above 1 after an outage of the sandbox."""
