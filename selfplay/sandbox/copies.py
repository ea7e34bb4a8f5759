"""Makes a verdict in a copy of the judge that then ends, so that whatever test code changed in the process is gone with it."""

import marshal
import os
import signal
from collections.abc import Callable
from typing import Any, NoReturn

from selfplay.sandbox.bounds import Unreadable, end_with_parent
from selfplay.sandbox.jobs import Status
from selfplay.sandbox.judge import Verdict
from selfplay.sandbox.zygote import CallerGone, End, NumbersMoved, ZygoteDied

ENDLESS = "the tests did not come to an end on its answers"
LOST = "sandbox: the judge was lost three times over this job; run it alone, or check memory and `selfplay doctor`"


class Lost(Exception):
    """The copy ended before it sent a verdict."""


_RAISED: dict[str, type[Exception]] = {kind.__name__: kind for kind in (NumbersMoved, CallerGone, Unreadable)}


def in_a_copy(work: Callable[[], Verdict], spoilt: Callable[[], bool]) -> tuple[Verdict | Exception, bool]:
    """What `work` comes to in a copy of this process, and what `spoilt` then says there.

    An exception is handed back, one that is not of the sandbox as `ZygoteDied`. A copy that had to be ended because its
    tests did not end is a verdict. Raises `Lost`.
    """
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        _work(write, work, spoilt)
    os.close(write)
    with open(read, "rb") as told:  # noqa: PTH123
        data = told.read()
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGPROF:
        return Verdict(Status.TIMEOUT_WALL, (Status.TIMEOUT_WALL,), ENDLESS), True
    if not data:
        raise Lost
    kind, spoils, made = marshal.loads(data)
    return _remade(made) if kind == "verdict" else _RAISED.get(kind, ZygoteDied)(made), spoils


def _work(write: int, work: Callable[[], Verdict], spoilt: Callable[[], bool]) -> NoReturn:
    """In the copy: do the work, send its outcome and exit."""
    try:
        end_with_parent()
        made: Any
        try:
            kind, made = "verdict", _flat(work())
        except Exception as error:
            kind, made = type(error).__name__, str(error)
        with open(write, "wb") as out:
            out.write(marshal.dumps((kind, spoilt(), made)))
    finally:
        os._exit(0)


def _flat(verdict: Verdict) -> Any:
    """A verdict in a form that marshal can encode."""
    end = tuple(verdict.end) if verdict.end else None
    return str(verdict.status), [str(status) for status in verdict.tests], verdict.error, end, verdict.trust


def _remade(flat: Any) -> Verdict:
    status, tests, error, end, trust = flat
    return Verdict(Status(status), tuple(map(Status, tests)), error, End(*end) if end else None, trust)
