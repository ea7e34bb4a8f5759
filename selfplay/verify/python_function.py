"""The verifier of all types `python:package.module:function`: a function of the user's own.

The function gets `(task, text)` and returns an Outcome (or its word), a Verdict, True/False for pass/fail, or None for
no opinion. It runs in a process of its own (`python_worker.py`) that is started once and asked item by item, so what the module
keeps lives as long as the run; where an item hangs or crashes it, that item is `error` and the process is replaced. It is your code
with your rights: the process is there for the run's sake, and no sandbox. Never let it evaluate the text.
"""

import sys
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError

from selfplay.errors import ConfigError, OutageError
from selfplay.records import Attempt, Outcome, Task, Verdict
from selfplay.verify.base import PYTHON, Check, RegisteredVerifier, Verifier, VerifierResources
from selfplay.verify.child_process import ChildProcess, Ended, Late
from selfplay.verify.routing import leaves

RAISED = "raised"
"""In a verdict's details: the function itself raised on this attempt, and would again; the name of the exception, or `deadline`,
`crash` or `no outcome`."""
AT = "at"
"""Beside it: file, line and function."""
START_SECONDS = 60.0
"""A process that does not answer by then is an outage."""
IMPORT_SECONDS = 1800.0
"""An import that takes longer is a fault of the set-up; it may load models."""
WORKER = "selfplay.verify.python_worker"


class PythonFunction(RegisteredVerifier):
    """Verifier of `python:...` checks. Close it, or use it as a context manager: it holds a process once it was asked.

    `folder`: where modules are looked for before installed packages (the config's); None: only where Python looks.
    `seconds`: wall clock for one item, start and import not counted. `say(kind, text)`: told of each item that the function raised
    on, with a word for what kind it is, so that each kind can be shown once.
    """

    keys = None
    """The function's own; whatever else stands in a check is for it to read."""

    @classmethod
    def open(cls, resources: VerifierResources) -> Verifier:
        """The process that the run keeps for functions, or a new one."""
        return resources.stack.enter_context((resources.options.open_functions or cls)())

    def __init__(
        self,
        folder: Path | None = None,
        seconds: float = 10.0,
        say: Callable[[str, str], None] = lambda kind, text: None,
    ) -> None:
        self._folder, self._seconds, self._say = folder, seconds, say
        self._process: ChildProcess | None = None
        self._loaded: set[str] = set()
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the process; the next item starts another. Safe to call twice."""
        process, self._process = self._process, None
        self._loaded.clear()
        if process is not None:
            process.close()

    def verify(self, checks: Sequence[Check], tasks: Sequence[Task], attempts: Sequence[Attempt]) -> list[Verdict]:
        """See `Verifier.verify`. One item after the other.

        An exception of the function, a return value that is no outcome, the deadline and a crash are `error` verdicts of their
        item, with `RAISED` in their details unless the exception says that a service is down. Raises ConfigError where the
        function cannot be imported.
        """
        with self._lock:
            items = zip(checks, tasks, attempts, strict=True)
            return [self._judge(str(check["type"]), task, attempt) for check, task, attempt in items]

    def load(self, kind: str) -> None:
        """Imports the function that `python:package.module:function` names. Raises ConfigError where it cannot be had."""
        self._ready(kind)

    def _ready(self, kind: str) -> ChildProcess:
        """The process, with this function imported."""
        process = self._running()
        if kind in self._loaded:
            return process
        _, module, name = [*kind.split(":", 2), "", ""][:3]
        if not module or not name:
            raise ConfigError(f"verifier: {kind!r} names no function; write python:package.module:function")
        reply = self._imported(process, kind, module)
        fault, says = reply.get("fault"), reply.get("says")
        if fault == "kind":
            raise ConfigError(f"verifier: {kind!r} is {says}, which cannot be called; name a function")
        if fault:
            raise ConfigError(
                f"verifier: {kind!r} cannot be imported ({says}); correct that, or put the module on PYTHONPATH or "
                f"{f'into {self._folder}' if self._folder else 'beside the config'}"
            )
        self._loaded.add(kind)
        return process

    def _imported(self, process: ChildProcess, kind: str, module: str) -> dict[str, Any]:
        try:
            return process.ask({"load": kind}, IMPORT_SECONDS)
        except Ended as error:
            raise ConfigError(f"verifier: {kind!r}: while {module} was imported, {error}; correct the module") from None
        except Late:
            raise ConfigError(
                f"verifier: {kind!r}: importing {module} took over {IMPORT_SECONDS:.0f} s; correct the module"
            ) from None

    def _running(self) -> ChildProcess:
        if self._process is None or not self._process.alive:
            self.close()
            try:
                self._process = ChildProcess(WORKER)
                self._process.ask(
                    {"path": sys.path, "folder": str(self._folder) if self._folder else None}, START_SECONDS
                )
            except (Late, Ended, OSError) as error:
                raise OutageError(
                    f"verifier: the process for python: functions did not start ({error or 'no answer'}); see whether "
                    f"`{sys.executable} -c 'import {WORKER}'` works, and run the same command"
                ) from None
        return self._process

    def _judge(self, kind: str, task: Task, attempt: Attempt) -> Verdict:
        process = self._ready(kind)
        asked = {"judge": kind, "task": task.model_dump(mode="json", by_alias=True), "text": attempt.text}
        try:
            reply = process.ask(asked, self._seconds)
        except Late:
            late = f"gave no answer within {self._seconds:g} s (verify.custom_seconds)"
            reply = {"raised": "deadline", "says": late, "at": kind.removeprefix("python:")}
        except Ended as error:
            reply = {"raised": "crash", "says": f"gave no answer: {error}", "at": kind.removeprefix("python:")}
        if "verdict" in reply:
            try:
                return Verdict.model_validate({"verifier": f"{kind}/1", **reply["verdict"]})
            except ValidationError as error:
                fault = error.errors()[0]
                where = ".".join(map(str, fault["loc"]))
                says = f"returned a Verdict whose {where} cannot be used: {fault['msg']}"
                reply = {"raised": "no outcome", "says": says, "at": kind.removeprefix("python:")}
        return self._error(kind, task, reply)

    def _error(self, kind: str, task: Task, reply: Mapping[str, Any]) -> Verdict:
        """`ValueError: ... (my_checks.py, line 4, in grade; task t3)`."""
        name, at = str(reply["raised"]), str(reply["at"])
        reason = f"{reply['says']} ({'; '.join(filter(None, (at, f'task {task.id}')))})"
        if reply.get("outage"):
            return Verdict(verifier=f"{kind}/1", outcome=Outcome.ERROR, reason=reason)
        self._say(
            f"{kind} {name} {at}", f"verifier {kind}: {reason}; the attempt is `error`: counted, never trained on"
        )
        return Verdict(verifier=f"{kind}/1", outcome=Outcome.ERROR, reason=reason, details={RAISED: name, AT: at})


TASKS = 3
"""Tasks on which each function is tried."""
NEAR_MISSES = 2
"""Near misses of each of them."""
TEXTS = ("", "42", "I do not know.")
"""Tried besides reference and near misses: what any student may write."""


@dataclass(frozen=True)
class Tried:
    """The result of trying one function."""

    kind: str
    """`python:package.module:function`."""
    tries: int
    failures: Mapping[str, int]
    """Message of the first exception of each kind -> how often that kind left it without a verdict."""
    same: str = ""
    """The outcome of all tries where it is one and the same, such as `pass`; else ""."""

    @property
    def broken(self) -> bool:
        """Whether it never gave a verdict."""
        return sum(self.failures.values()) == self.tries


def try_functions(tasks: Sequence[Task], near_misses: Sequence[Sequence[str]], verifier: Verifier) -> list[Tried]:
    """Each `python:` function that a task's check names, on up to TASKS of its tasks. Raises ConfigError where one cannot be imported."""
    found: dict[str, list[tuple[Task, Mapping[str, object], Sequence[str]]]] = {}
    for task, misses in zip(tasks, near_misses, strict=True):
        for check in leaves(task.check):
            if str(check["type"]).startswith(f"{PYTHON}:"):
                found.setdefault(str(check["type"]), []).append((task, check, misses))
    return [_tried(kind, items[:: -(-len(items) // TASKS)], verifier) for kind, items in sorted(found.items())]


def _tried(kind: str, items: Sequence[tuple[Task, Mapping[str, object], Sequence[str]]], verifier: Verifier) -> Tried:
    asked = [
        (task, check, text)
        for task, check, misses in items
        for text in (*([task.reference] if task.reference is not None else []), *misses[:NEAR_MISSES], *TEXTS)
    ]
    attempts = [Attempt(task_id=task.id, attempt=n, round=0, text=text) for n, (task, _, text) in enumerate(asked)]
    verdicts = verifier.verify([check for _, check, _ in asked], [task for task, _, _ in asked], attempts)
    failures: Counter[str] = Counter()
    first: dict[tuple[str, str], str] = {}
    for verdict in verdicts:
        if verdict.outcome is Outcome.ERROR:
            key = str(verdict.details.get(RAISED)), str(verdict.details.get(AT))
            failures[first.setdefault(key, verdict.reason or "it returned `error`")] += 1
    outcomes = {verdict.outcome for verdict in verdicts}
    same = outcomes.pop().value if len(outcomes) == 1 and not failures else ""
    return Tried(kind, len(asked), failures, same)
