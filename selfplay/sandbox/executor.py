"""The caller's side: `Executor` spreads jobs over judge workers and gives results back, ordered or as they come.

Nothing of the caller is forked: workers are exec'd with an empty environment and one socket. All state is in the
`Executor`; two of them in one process do not know of each other.
"""

import json
import marshal
import os
import selectors
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import astuple, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from selfplay.cores import usable_cores
from selfplay.errors import ConfigError
from selfplay.sandbox import probe
from selfplay.sandbox.batch import Batch
from selfplay.sandbox.isolation_plan import IsolationPlan
from selfplay.sandbox.jobs import CheckTests, Job, Result

_BOOT = (
    "import sys,types;m=types.ModuleType('selfplay');m.__path__=[{package!r}];sys.modules['selfplay']=m;"
    "s=types.ModuleType('selfplay.sandbox');s.__path__=[{here!r}];sys.modules['selfplay.sandbox']=s;"
    "from selfplay.sandbox import worker;worker.main()"
)


class _Line:
    """One worker process: its socket, what it was given and has not answered yet, in order."""

    def __init__(self, how: IsolationPlan) -> None:
        ours, theirs = socket.socketpair()
        with Path(os.devnull).open("r+b") as null:
            here = Path(__file__).parent
            boot = _BOOT.format(package=str(here.parent), here=str(here))
            out = os.dup(theirs.fileno())
            places = [(null.fileno(), 0), (null.fileno(), 1)]
            actions = [(os.POSIX_SPAWN_DUP2, fd, place) for fd, place in places]
            actions.append((os.POSIX_SPAWN_DUP2, out, 3))
            environment = {
                "PYTHONHASHSEED": "0",
                "PYTHONDONTWRITEBYTECODE": "1",
                "PYTHONUTF8": "1",
                "OMP_NUM_THREADS": "1",
            }
            arguments = [sys.executable, "-S", "-s", "-P", "-W", "ignore", "-c", boot]
            self.pid = os.posix_spawn(sys.executable, arguments, environment, file_actions=actions, setsid=True)
            os.close(out)
        theirs.close()
        self.sock = ours
        self.owed: deque[int] = deque()
        self.heard = time.monotonic()
        self.ended_by = 0
        """The signal that ended it, once it is closed."""
        self._received, self._unsent = b"", b""
        self.send((astuple(how), [entry for entry in sys.path if entry], os.getpid()))

    def send(self, message: Any) -> None:
        """Queue a message; `pump` sends what the socket takes."""
        data = marshal.dumps(message)
        self._unsent += len(data).to_bytes(4, "little") + data
        self.pump()

    def pump(self) -> bool:
        """Send what can be sent now; whether something is left."""
        self.sock.setblocking(False)
        try:
            while self._unsent:
                self._unsent = self._unsent[self.sock.send(self._unsent[: 1 << 20]) :]
        except BlockingIOError:
            pass
        except OSError:
            self._unsent = b""  # it is gone; reading will tell
        return bool(self._unsent)

    def receive(self) -> list[list[Any]] | None:
        """The results that have come; None when the worker is gone."""
        try:
            data = self.sock.recv(1 << 20)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        if not data:
            return None
        self.heard = time.monotonic()
        self._received += data
        rows: list[list[Any]] = []
        while len(self._received) >= 4:
            end = 4 + int.from_bytes(self._received[:4], "little")
            if len(self._received) < end:
                break
            rows += json.loads(self._received[4:end])
            self._received = self._received[end:]
        return rows

    def close(self) -> None:
        """Let the worker go: it sees our end closed and takes its zygotes with it; after 3 s it is killed."""
        self.sock.close()
        give_up, status = time.monotonic() + 3.0, 0
        while self.pid:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            if ended:
                break
            if time.monotonic() > give_up:
                os.kill(self.pid, 9)
                _, status = os.waitpid(self.pid, 0)
                break
            time.sleep(0.002)
        if self.pid and os.WIFSIGNALED(status):
            self.ended_by = os.WTERMSIG(status)
        self.pid = 0


class Executor:
    """A pool of judge workers. Use as a context manager; not thread-safe; one `run` or `stream` at a time."""

    def __init__(self, workers: int | None = None, require_tier: int | Literal["best"] = 2, at_most: int = 3) -> None:
        """`workers` None: one per core that this process may use. `require_tier`: the least isolation wanted, 0 to 3,
        or "best" for whatever there is, which is printed to standard error and stamped on each result. `at_most`: the
        highest tier to try, for measuring the others.

        Raises ConfigError for values that make no sense; SandboxUnavailable, on entry, when the tier is out of reach.
        """
        if workers is not None and (
            isinstance(workers, bool) or not isinstance(workers, int) or not 1 <= workers <= 4096
        ):
            raise ConfigError(
                f"Executor: workers must be a whole number from 1, or None, not {workers!r}; leave it out"
            )
        if require_tier != "best" and (isinstance(require_tier, bool) or require_tier not in (0, 1, 2, 3)):
            raise ConfigError(
                f'Executor: require_tier must be 0, 1, 2, 3 or "best", not {require_tier!r}; 2 is the default'
            )
        self.workers = workers or usable_cores()
        self.require_tier, self.at_most = require_tier, at_most
        self._how: IsolationPlan | None = None
        self._lines: list[_Line] = []

    @property
    def tier(self) -> int:
        """The isolation really reached; only known inside the `with` block."""
        if self._how is None:
            raise ConfigError(
                "Executor: it has not been started, so there is no tier yet; use `with Executor() as executor:`"
            )
        return self._how.tier

    def __enter__(self) -> Self:
        self._how = probe.choose(self.require_tier, self.at_most)
        self._lines = [_Line(self._how) for _ in range(self.workers)]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all workers and what they run; harmless when repeated."""
        for line in self._lines:
            line.sock.close()
        for line in self._lines:
            line.close()
        self._lines, self._how = [], None

    def run(self, jobs: Iterable[Job]) -> list[Result]:
        """The results in the order of the jobs. A job that cannot be run has its own `infra_error` result.

        A list is taken whole. An iterator is drawn from while the first of its jobs run already, and should bring jobs of
        the same tests one after the other; it must not use this executor itself. Where it raises, what is under way is
        dropped and the error goes on.
        """
        found = dict(self._stream(jobs))
        return [found[place] for place in range(len(found))]

    def trusts(self, references: Iterable[Job]) -> list[Literal["outside", "in_process", "broken"]]:
        """How far the tests of each reference solution can be trusted, found by running it both ways.

        "outside": the verdict is made where no program reaches. "in_process": the tests need the program's own objects;
        run them with `CheckTests(..., trust="in_process")` and keep the verdicts out of rewards, for they can be
        forged. "broken": the reference passes neither way. Only `CheckTests` can be "in_process".
        """
        listed = list(references)
        first = self.run(listed)
        again = [
            (at, replace(job, tests=replace(job.tests, trust="in_process")))
            for at, (job, result) in enumerate(zip(listed, first, strict=True))
            if not result.passed and isinstance(job.tests, CheckTests)
        ]
        inside = {at: result.passed for (at, _), result in zip(again, self.run(job for _, job in again), strict=True)}
        return ["outside" if r.passed else "in_process" if inside.get(at) else "broken" for at, r in enumerate(first)]

    def stream(self, jobs: Iterable[Job]) -> Iterator[Result]:
        """The results as they are completed, each job's exactly once; a consumer that stops early costs nothing."""
        for _, result in self._stream(jobs):
            yield result

    def _stream(self, jobs: Iterable[Job]) -> Iterator[tuple[int, Result]]:
        if self._how is None:
            raise ConfigError("Executor: it is not open; use `with Executor() as executor:`")
        batch = Batch(jobs, self._how.tier)
        try:
            yield from self._drive(batch)
        finally:
            if any(line.owed for line in self._lines):  # left early: what is under way belongs to nobody now
                self._replace([line for line in self._lines if line.owed])

    def _drive(self, batch: Batch) -> Iterator[tuple[int, Result]]:
        with selectors.DefaultSelector() as selector:
            for line in self._lines:
                selector.register(line.sock, selectors.EVENT_READ, line)
            while batch.open or batch.more:
                yield from self._step(batch, selector)

    def _step(self, batch: Batch, selector: selectors.BaseSelector) -> Iterator[tuple[int, Result]]:
        """Give work to whoever is short of it, then take what has come."""
        yield from batch.draw(len(self._lines))
        for line in self._lines:
            batch.feed(line, len(self._lines))
            writes = selectors.EVENT_WRITE if line.pump() else 0
            selector.modify(line.sock, selectors.EVENT_READ | writes, line)
        idle = not batch.open or batch.wanting(len(self._lines))
        for key, _ in selector.select(timeout=0.0 if idle else 1.0):
            rows = key.data.receive()
            if rows is None:
                yield from self._lost(key.data, batch, selector)
            for row in rows or ():
                yield from batch.done(key.data, row)
        for line in [line for line in self._lines if batch.hung(line)]:
            yield from self._lost(line, batch, selector)

    def _lost(self, line: _Line, batch: Batch, selector: selectors.BaseSelector) -> Iterator[tuple[int, Result]]:
        """A worker died or hangs: its unanswered jobs go back, the first of them one try poorer."""
        selector.unregister(line.sock)
        line.close()
        yield from batch.give_back(line, spun=line.ended_by == signal.SIGPROF)
        (fresh,) = self._replace([line])
        selector.register(fresh.sock, selectors.EVENT_READ, fresh)

    def _replace(self, old: list[_Line]) -> list[_Line]:
        assert self._how is not None
        fresh = []
        for line in old:
            line.close()
            new = _Line(self._how)
            self._lines[self._lines.index(line)] = new
            fresh.append(new)
        return fresh
