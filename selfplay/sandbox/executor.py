"""The caller's side: `Executor` spreads jobs over judge workers and returns the results, in order or as they are completed.

The caller is never forked: workers are started by exec, with a minimal environment and one socket. All state is in the `Executor`, so
that several of them can be used in one process.
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


class _WorkerProcess:
    """One worker process: its socket, and the jobs that it was given and has not answered yet, in order."""

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
        self.unanswered: deque[int] = deque()
        self.last_answer = time.monotonic()
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
        """Send what the socket takes now; returns whether something is left to send."""
        self.sock.setblocking(False)
        try:
            while self._unsent:
                self._unsent = self._unsent[self.sock.send(self._unsent[: 1 << 20]) :]
        except BlockingIOError:
            pass
        except OSError:
            self._unsent = b""  # the worker has ended; reading will show it
        return bool(self._unsent)

    def receive(self) -> list[list[Any]] | None:
        """The results that have arrived; None when the worker has ended."""
        try:
            data = self.sock.recv(1 << 20)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        if not data:
            return None
        self.last_answer = time.monotonic()
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
        """End the worker: it sees the socket closed and ends with its zygotes; after 3 s it is killed."""
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
        """`workers`: None means one per core that this process may use. `require_tier`: the lowest tier to accept, 0 to 3, or "best" for
        the highest that works, which is then printed to standard error; each result names its tier. `at_most`: the highest tier to try, for
        measuring lower ones.

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
        self._workers: list[_WorkerProcess] = []

    @property
    def tier(self) -> int:
        """The isolation tier that was reached; known only inside the `with` block."""
        if self._how is None:
            raise ConfigError(
                "Executor: it has not been started, so there is no tier yet; use `with Executor() as executor:`"
            )
        return self._how.tier

    def __enter__(self) -> Self:
        self._how = probe.choose(self.require_tier, self.at_most)
        self._workers = [_WorkerProcess(self._how) for _ in range(self.workers)]
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all workers and what they run. Calling it again is harmless."""
        for worker in self._workers:
            worker.sock.close()
        for worker in self._workers:
            worker.close()
        self._workers, self._how = [], None

    def run(self, jobs: Iterable[Job]) -> list[Result]:
        """Run jobs and return their results in the order of the jobs. A job that cannot be run gets an `infra_error` result.

        A list is taken as a whole. An iterator is drawn from while its first jobs already run; it should yield jobs with the same tests
        one after the other, and must not use this executor itself. If it raises, running jobs are dropped and the error propagates.
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
        """Yield results as they are completed, one for each job. The consumer may stop early."""
        for _, result in self._stream(jobs):
            yield result

    def _stream(self, jobs: Iterable[Job]) -> Iterator[tuple[int, Result]]:
        if self._how is None:
            raise ConfigError("Executor: it is not open; use `with Executor() as executor:`")
        batch = Batch(jobs, self._how.tier)
        try:
            yield from self._drive(batch)
        finally:
            if any(
                worker.unanswered for worker in self._workers
            ):  # the consumer stopped early: nobody waits for the running jobs
                self._replace([worker for worker in self._workers if worker.unanswered])

    def _drive(self, batch: Batch) -> Iterator[tuple[int, Result]]:
        with selectors.DefaultSelector() as selector:
            for worker in self._workers:
                selector.register(worker.sock, selectors.EVENT_READ, worker)
            while batch.open or batch.more:
                yield from self._step(batch, selector)

    def _step(self, batch: Batch, selector: selectors.BaseSelector) -> Iterator[tuple[int, Result]]:
        """Give work to workers that are short of it, then take the results that have arrived."""
        yield from batch.draw(len(self._workers))
        for worker in self._workers:
            batch.feed(worker, len(self._workers))
            writes = selectors.EVENT_WRITE if worker.pump() else 0
            selector.modify(worker.sock, selectors.EVENT_READ | writes, worker)
        idle = not batch.open or batch.wanting(len(self._workers))
        for key, _ in selector.select(timeout=0.0 if idle else 1.0):
            rows = key.data.receive()
            if rows is None:
                yield from self._lost(key.data, batch, selector)
            for row in rows or ():
                yield from batch.done(key.data, row)
        for worker in [worker for worker in self._workers if batch.hung(worker)]:
            yield from self._lost(worker, batch, selector)

    def _lost(
        self, worker: _WorkerProcess, batch: Batch, selector: selectors.BaseSelector
    ) -> Iterator[tuple[int, Result]]:
        """A worker died or hangs: queue its unanswered jobs again, and count a try of the first."""
        selector.unregister(worker.sock)
        worker.close()
        yield from batch.give_back(worker, spun=worker.ended_by == signal.SIGPROF)
        (fresh,) = self._replace([worker])
        selector.register(fresh.sock, selectors.EVENT_READ, fresh)

    def _replace(self, old: list[_WorkerProcess]) -> list[_WorkerProcess]:
        assert self._how is not None
        fresh = []
        for worker in old:
            worker.close()
            new = _WorkerProcess(self._how)
            self._workers[self._workers.index(worker)] = new
            fresh.append(new)
        return fresh
