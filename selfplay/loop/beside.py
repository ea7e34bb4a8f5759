"""Floor 6: a process beside the loop, for what no phase waits for: the next round's tasks while this one trains, the report.

What it draws follows from settings and seed alone, so a round is the same with it and without it. It is begun where draws
take long, and whatever goes wrong with it, the loop does the work itself.
"""

import json
import logging
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Self

from selfplay.config import Config, Loaded
from selfplay.phases import propose
from selfplay.tasks import Source, open_source

LOG = logging.getLogger("selfplay")
LONG = 0.2
"""Seconds of a draw from which a process beside the loop is worth its start and its memory."""
TRIAL = 50
"""Tasks that are drawn to tell how long a draw takes."""
PATIENCE = 5.0
"""Seconds that the process is given to end by itself."""
_ROOT = str(Path(__file__).resolve().parents[2])
_BEGIN = f"import sys; sys.path.append({_ROOT!r}); from selfplay.loop.beside import serve; serve()"
COMMAND = (sys.executable, "-P", "-c", _BEGIN)
"""-P: what lies in the folder that the run was started in is not imported."""
Order = dict[str, Any]


class Beside:
    """The loop's end of it: orders go out, answers come back in the same order. On rank 0 alone, from one thread."""

    def __init__(self, loaded: Loaded) -> None:
        self._section = loaded.config.propose
        self._setting = {"config": loaded.config.model_dump(mode="json"), "folder": str(loaded.path.resolve().parent)}
        self._process: subprocess.Popen[bytes] | None = None
        self._given: deque[Order] = deque()
        self._wanted: bool | None = None

    def foresee(self, source: Source, edge: int | None, seed: int) -> None:
        """Has the tasks of a later round drawn meanwhile, where a draw takes long."""
        if self._wanted is None:
            self._wanted = self._is_long(source, edge, seed)
        if self._wanted:
            self._order({"draw": seed, "edge": edge}, begin=True)

    def drawn(self, edge: int | None, seed: int) -> list[bytes] | None:
        """What `propose.draw` gives, where it was foreseen; waits until it is there. None where it was not.

        Answers to older orders are taken on the way: what was drawn for a round that came otherwise is dropped.
        """
        wanted = {"draw": seed, "edge": edge}
        while wanted in self._given:
            oldest = self._given[0]
            answer = self._next()
            if oldest == wanted:
                return answer
        return None

    def report(self, run: Path) -> bool:
        """Has the report of a run written meanwhile; False where nobody is there to do it."""
        return self._process is not None and self._order({"report": str(run)})

    def settle(self) -> bool:
        """Waits for all that was ordered; whether it was done."""
        done = True
        while self._given:
            done = self._next() is not None and done
        return done

    def _is_long(self, source: Source, edge: int | None, seed: int) -> bool:
        """By a trial. Sources with an end draw from what they hold: nothing to gain, and their tasks would be held twice."""
        if source.pool or self._section.tasks_per_round is None:
            return False
        started = time.perf_counter()
        propose.draw(self._section.model_copy(update={"tasks_per_round": TRIAL}), source, edge, seed)
        return (time.perf_counter() - started) * self._section.tasks_per_round / TRIAL > LONG

    def _begun(self) -> subprocess.Popen[bytes]:
        pipe = subprocess.PIPE
        process = subprocess.Popen(COMMAND, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
        _send(process, self._setting)
        return process

    def _order(self, order: Order, *, begin: bool = False) -> bool:
        """Whether the order is on its way; where it cannot be sent, the process is given up."""
        try:
            if self._process is None and begin:
                self._process = self._begun()
            if self._process is not None:
                _send(self._process, order)
                self._given.append(order)
        except OSError as error:
            self._give_up(error)
        return self._process is not None

    def _next(self) -> list[bytes] | None:
        """The answer to the oldest order; None where it could not be carried out, which is said."""
        order = self._given.popleft()
        assert self._process is not None and self._process.stdout is not None
        try:
            head = json.loads(_whole(self._process.stdout.readline()))
            lines = [_whole(self._process.stdout.readline()) for _ in range(head["lines"])]
        except (OSError, ValueError, EOFError) as error:
            self._give_up(error)
            return None
        if head["fault"] and "report" in order:
            LOG.warning(
                "the report was not written, %s; `selfplay report %s` tries again", head["fault"], order["report"]
            )
        elif head["fault"]:
            LOG.warning("tasks were not drawn ahead, %s; the loop draws them", head["fault"])
        return None if head["fault"] else lines

    def _give_up(self, error: Exception) -> None:
        LOG.warning("the process beside the loop has ended (%s); the loop does its work", error or type(error).__name__)
        self._wanted = False
        self.close()

    def close(self) -> None:
        """Ends the process: what it is at is finished, or dropped after PATIENCE; safe to call twice."""
        process, self._process = self._process, None
        self._given.clear()
        if process is None:
            return
        for pipe in (process.stdout, process.stdin):
            assert pipe is not None
            with suppress(OSError):  # what was not sent is not wanted any more
                pipe.close()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _send(process: subprocess.Popen[bytes], message: Order) -> None:
    """One line of JSON. Raises OSError where nobody reads it."""
    if process.stdin is None:
        raise BrokenPipeError("it was begun without a pipe")
    process.stdin.write(json.dumps(message).encode() + b"\n")
    process.stdin.flush()


def _whole(line: bytes) -> bytes:
    """A line without its end. Raises EOFError where it has none: who wrote it is gone."""
    if not line.endswith(b"\n"):
        raise EOFError("its answer breaks off")
    return line[:-1]


# ---- the other end ----


def serve() -> None:
    """Carries out orders from standard input until it ends, as it does with the loop, however that ends."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the loop's to hear
    orders, answers = sys.stdin.buffer, sys.stdout.buffer
    setting = json.loads(orders.readline())
    config, source = Config.model_validate(setting["config"]), None
    for line in orders:
        order = json.loads(line)
        fault, lines = "", list[bytes]()
        try:
            if "report" in order:
                _report(Path(order["report"]))
            else:
                source = source or _source(config, Path(setting["folder"]))
                lines = propose.draw(config.propose, source, order["edge"], order["draw"])
        except Exception as error:  # the boundary: the loop says it, and does the work itself
            fault = f"{type(error).__name__}: {error}"
        _answer(answers, fault, lines)


def _source(config: Config, folder: Path) -> Source:
    return open_source(config.tasks, seed=config.seed, eval_seed=config.eval.seed, folder=folder)


def _report(run: Path) -> None:
    from selfplay.report import write_report
    from selfplay.store.traces import skim_traces

    write_report(run, skim_traces)


def _answer(answers: IO[bytes], fault: str, lines: Sequence[bytes]) -> None:
    head = json.dumps({"fault": fault, "lines": len(lines)}).encode()
    answers.writelines(b"%b\n" % line for line in (head, *lines))
    answers.flush()
