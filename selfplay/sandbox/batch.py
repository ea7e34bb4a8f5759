"""The bookkeeping of one call of an executor: encodes tests and jobs, merges duplicates, and hands out results."""

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple
from itertools import islice
from typing import Any, Protocol

from selfplay.errors import ConfigError
from selfplay.sandbox import codec
from selfplay.sandbox.answer_leaks import leaks_answers
from selfplay.sandbox.jobs import CheckTests, IOTests, Job, Limits, Result, Status, StdioTests
from selfplay.sandbox.languages import LANGUAGES

_CHUNK = 32
_BLOCK = 64
"""Jobs taken from an iterator at once; the first ones run while the iterator makes the next."""
_TRIES = 3
_LIMITS = Limits()


class WorkerHandle(Protocol):
    """What the bookkeeping needs of a worker: its unanswered jobs, when it last answered, and a way to send it work."""

    unanswered: deque[int]
    last_answer: float

    def send(self, message: Any) -> None:
        """Queue a message."""


class _Unit:
    """One distinct program to run, and the positions in the call whose jobs it answers."""

    __slots__ = ("alone", "code", "figures", "limits", "places", "spec", "tries")

    def __init__(self, code: str, spec: int, limits: tuple[Any, ...]) -> None:
        self.code, self.spec, self.limits = code, spec, limits
        self.places: list[int] = []
        self.tries = 0
        self.figures: tuple[Any, ...] | None = None
        """Its result, for later jobs that ask for the same."""
        self.alone = False
        """A judge that held it did not come to an end; it is sent alone, which shows whether it was the cause."""


class Batch:
    """The bookkeeping of one call: distinct programs, grouped by their tests, and the jobs that wait for each.

    A list is taken as a whole, so that jobs with equal tests run together. An iterator is drawn from whenever workers run short of
    jobs, so that jobs are made while workers are busy.
    """

    def __init__(self, jobs: Iterable[Job], tier: int) -> None:
        self.jobs: list[Job] = []
        self.tier = tier
        self._source = iter(jobs)
        self._block = None if isinstance(jobs, Sequence) else _BLOCK
        self.more = True
        """Whether jobs may be left that were not taken yet."""
        self.specs: list[tuple[Any, ...]] = []
        self.units: list[_Unit] = []
        self.ready: list[tuple[int, Result]] = []
        """Results that need no worker."""
        self._spec_of: dict[Any, int | str] = {}
        self._known: dict[tuple[Any, ...], int] = {}
        self._limits_of: dict[int, tuple[Any, ...] | str] = {}
        self._keep: list[Any] = []
        self.todo: deque[int] = deque()
        self.open = 0

    def wanting(self, workers: int) -> bool:
        """Whether to take further jobs now, so that so many workers do not run short."""
        return self.more and self.open < 4 * workers * _CHUNK

    def draw(self, workers: int) -> Iterator[tuple[int, Result]]:
        """Take the next jobs if `wanting`; yields the results that need no worker."""
        if not self.wanting(workers):
            return
        taken, known = list(islice(self._source, self._block)), len(self.units)
        self.more = len(taken) == self._block
        for job in taken:
            self.jobs.append(job)
            self._take(len(self.jobs) - 1, job)
        fresh = sorted(range(known, len(self.units)), key=lambda at: self.units[at].spec)
        self.todo.extend(fresh)
        self.open += len(fresh)
        ready, self.ready = self.ready, []
        yield from ready

    def _refuse(self, place: int, status: Status, why: str) -> None:
        passed = None if status is Status.INFRA_ERROR else False
        job_id = getattr(self.jobs[place], "id", "")
        self.ready.append((place, Result(job_id, status, passed, error=why[:1000], tier=self.tier)))

    def _take(self, place: int, job: Job) -> None:
        if not isinstance(job, Job):
            return self._refuse(
                place, Status.INFRA_ERROR, f"job {place}: not a Job but a {type(job).__name__}; build Job(...)"
            )
        if not isinstance(job.code, str):
            why = f"job has no code: {type(job.code).__name__} where text should be; nothing was run"
            return self._refuse(place, Status.SYNTAX_ERROR, why)
        try:
            job.code.encode("utf-8")
        except UnicodeEncodeError as error:
            return self._refuse(
                place, Status.SYNTAX_ERROR, f"the code is not UTF-8: {error.reason} at character {error.start}"
            )
        limits = job.limits if job.limits is not None else _LIMITS
        numbers = self._numbers(limits)
        if isinstance(numbers, str):
            return self._refuse(place, Status.INFRA_ERROR, numbers)
        spec = self._spec(job.tests)
        if isinstance(spec, str):
            return self._refuse(place, Status.INFRA_ERROR, spec)
        key = job.code, spec, numbers
        at = self._known.get(key)
        if at is None:
            at = self._known[key] = len(self.units)
            self.units.append(_Unit(job.code, spec, numbers))
        unit = self.units[at]
        if unit.figures is None:
            unit.places.append(place)
        else:
            self.ready.append((place, Result(job.id, *unit.figures)))
        return None

    def _numbers(self, limits: Any) -> tuple[Any, ...] | str:
        """The limits as plain numbers, or a sentence that says what is wrong with them."""
        found = self._limits_of.get(id(limits))
        if found is None:
            self._keep.append(limits)
            if isinstance(limits, Limits):
                found = limits.fault() or astuple(limits)
            else:
                found = f"limits: not Limits but a {type(limits).__name__}"
            self._limits_of[id(limits)] = found
        return found

    def _spec(self, tests: Any) -> int | str:
        """The number of these tests in this call, or a sentence that says what is wrong with them."""
        found = self._spec_of.get(id(tests))
        if found is None:
            self._keep.append(tests)  # so that its id stays its own
            try:
                spec = encode_tests(tests)
            except ConfigError as error:
                found = str(error)
            else:
                found = self._spec_of.get(spec)
                if found is None:
                    found = self._spec_of[spec] = len(self.specs)
                    self.specs.append(spec)
            self._spec_of[id(tests)] = found
        return found

    def feed(self, worker: WorkerHandle, workers: int) -> None:
        """Give a worker its next chunk if it is short of work."""
        size = max(1, min(_CHUNK, self.open // (4 * workers)))
        if not self.todo or len(worker.unanswered) >= max(2, size):
            return
        if worker.unanswered and any(self.units[at].alone for at in (worker.unanswered[0], self.todo[0])):
            return
        taken = [self.todo.popleft()]
        while len(taken) < size and self.todo and not any(self.units[at].alone for at in (taken[0], self.todo[0])):
            taken.append(self.todo.popleft())
        which = {spec: at for at, spec in enumerate(dict.fromkeys(self.units[at].spec for at in taken))}
        rows = [(at, self.units[at].code, which[self.units[at].spec], self.units[at].limits) for at in taken]
        if not worker.unanswered:
            worker.last_answer = time.monotonic()
        worker.unanswered.extend(taken)
        worker.send(([self.specs[spec] for spec in which], rows))

    def done(self, worker: WorkerHandle, row: list[Any]) -> Iterator[tuple[int, Result]]:
        """The results of all jobs that one row of a worker answers."""
        at, status, statuses, error, output, cpu, wall, peak, trust, attempts = row
        worker.unanswered.remove(at)
        tests = tuple(Status(word) for word in statuses)
        found = Status(status)
        passed = None if found is Status.INFRA_ERROR else found is Status.PASSED
        attempts += self.units[at].tries
        yield from self._settle(at, (found, passed, tests, error, output, cpu, wall, peak, self.tier, trust, attempts))

    def _settle(self, at: int, figures: tuple[Any, ...]) -> Iterator[tuple[int, Result]]:
        unit = self.units[at]
        self.open -= 1
        if self.more:
            unit.figures = figures
        for place in unit.places:
            yield place, Result(self.jobs[place].id, *figures)

    def hung(self, worker: WorkerHandle) -> bool:
        """Whether a worker has been silent for far longer than its current job can take."""
        if not worker.unanswered:
            return False
        limits = Limits(*self.units[worker.unanswered[0]].limits)
        cases = max(1, self.specs[self.units[worker.unanswered[0]].spec][-1])
        return bool(time.monotonic() - worker.last_answer > 120 + 60 * limits.wall * cases)

    def give_back(self, worker: WorkerHandle, spun: bool = False) -> Iterator[tuple[int, Result]]:
        """Queue the unanswered jobs of a lost worker again; the job that it was running is given up after three tries.

        `spun`: the worker ended itself because test code did not come to an end on a program's answers. With several jobs in hand nobody
        knows which one it was, so each is then sent alone.
        """
        unanswered = list(worker.unanswered)
        worker.unanswered.clear()
        if spun and len(unanswered) == 1:
            why, status = "the tests did not come to an end on its answers", Status.TIMEOUT_WALL
            yield from self._settle(
                unanswered[0],
                (
                    status,
                    False,
                    (status,),
                    why,
                    "",
                    0.0,
                    0.0,
                    0,
                    self.tier,
                    "outside",
                    1 + self.units[unanswered[0]].alone,
                ),
            )
            return
        if spun:
            for at in reversed(unanswered):
                self.units[at].alone = True
                self.todo.appendleft(at)
            return
        for at in reversed(unanswered[1:]):
            self.todo.appendleft(at)
        for at in unanswered[:1]:
            self.units[at].tries += 1
            if self.units[at].tries < _TRIES:
                self.todo.append(at)
                continue
            why = "sandbox: the judge was lost three times over this job; run it alone, or check memory and `selfplay doctor`"
            yield from self._settle(
                at, (Status.INFRA_ERROR, None, (), why, "", 0.0, 0.0, 0, self.tier, "outside", _TRIES)
            )


def encode_tests(tests: Any) -> tuple[Any, ...]:
    """Tests as plain data for a worker; the last item is the most runs that they may take. Raises ConfigError."""
    match tests:
        case IOTests():
            return _encode_cases(tests)
        case CheckTests():
            if not isinstance(tests.source, str) or not isinstance(tests.entry_point, str):
                raise ConfigError(
                    f"tests: CheckTests wants two texts, not {tests.source!r:.60} and {tests.entry_point!r:.60}"
                )
            if tests.trust not in ("outside", "in_process"):
                raise ConfigError(f'tests: trust must be "outside" or "in_process", not {tests.trust!r:.60}')
            if not isinstance(tests.sandboxed, bool) or (tests.sandboxed and tests.trust != "outside"):
                raise ConfigError(
                    f'tests: sandboxed must be True or False, and goes with trust="outside", not {tests.sandboxed!r:.60} '
                    f"with {tests.trust!r}; leave trust out"
                )
            if tests.sandboxed:
                if not tests.entry_point.removeprefix("Solution().").removeprefix("Solution.").isidentifier():
                    raise ConfigError(
                        f"tests: sandboxed tests call entry_point, which is {tests.entry_point!r:.80}; give the function's name"
                    )
                return ("written", tests.source, tests.entry_point, 8)
            return ("check", tests.source, tests.entry_point, tests.trust, 4)
        case StdioTests():
            return _encode_stdio(tests)
        case _:
            kind = type(tests).__name__
            raise ConfigError(f"tests: a {kind} is none of IOTests, CheckTests, StdioTests; build one of them")


def _encode_cases(tests: IOTests) -> tuple[Any, ...]:
    name = tests.entry_point
    if not isinstance(name, str) or not name:
        raise ConfigError(f"tests: entry_point must be a function's name, not {name!r:.80}; set it")
    atol = tests.atol
    if isinstance(atol, bool) or not isinstance(atol, int | float) or not 0 <= atol < float("inf"):
        raise ConfigError(f"tests: atol must be a number from 0, not {atol!r:.80}; 0 is exact")
    if not isinstance(tests.strict, bool):
        raise ConfigError(
            f"tests: strict must be True or False, not {tests.strict!r:.80}; False lets a tuple be a list"
        )
    calls, expected = [], []
    try:
        for args, wanted in tests.cases:
            calls.append((name, codec.dump((tuple(args), {}))))
            expected.append(codec.dump(wanted))
    except (TypeError, ValueError) as error:
        where = f"case {len(calls) if len(calls) == len(expected) else len(expected)}"
        raise ConfigError(
            f"tests: {where} cannot be used: {error}; give (arguments, expected) pairs of builtins"
        ) from None
    if not calls:
        raise ConfigError("tests: IOTests has no cases, 0; give at least one (arguments, expected) pair")
    one_by_one = leaks_answers([(args, [wanted]) for args, wanted in tests.cases])
    return ("io", tuple(calls), tuple(expected), (float(atol), tests.strict), one_by_one, 1)


def _encode_stdio(tests: StdioTests) -> tuple[Any, ...]:
    cases = []
    try:
        for given, wanted in tests.cases:
            cases.append((given.encode("utf-8", "surrogatepass"), wanted))
            if not isinstance(wanted, str):
                raise TypeError(f"expected output is a {type(wanted).__name__}")
    except (TypeError, ValueError, AttributeError) as error:
        raise ConfigError(
            f"tests: case {len(cases)} is no (stdin, stdout) pair of texts: {error}; correct it"
        ) from None
    if tests.language != "python" and tests.language not in LANGUAGES:
        known = ", ".join(["python", *LANGUAGES])
        raise ConfigError(f"tests: language {tests.language!r:.60} is unknown; use one of {known}")
    if tests.language != "python" and LANGUAGES[tests.language].program() is None:
        command = LANGUAGES[tests.language].command[0]
        raise ConfigError(f"tests: language {tests.language} needs {command!r}, which is not installed; install it")
    if not cases:
        raise ConfigError("tests: StdioTests has no cases, 0; give at least one (stdin, stdout) pair")
    return ("stdio", tuple(cases), tests.language, len(cases))
