"""The judge's side of one zygote: starts it, gives it programs one at a time, and reads what they left behind.

Replies and output of a program are in memory files that this side owns, and reads only once the program is gone. So a program costs
one message in and one line back, and cannot block or flood the judge.
"""

import array
import contextlib
import fcntl
import marshal
import os
import select
import signal
import socket
import struct
import tempfile
import termios
import time
from pathlib import Path
from typing import Any, NamedTuple

from selfplay.sandbox import isolation_plan
from selfplay.sandbox.isolation_plan import IsolationPlan
from selfplay.sandbox.watchdog import Watchdog

# the whole command line: read the first message, run the program that is in it (`zygote_main.py`)
_BOOT = (
    "import marshal,posix\n"
    "d=posix.read(6,4)\nn=int.from_bytes(d,'little')\nd=b''\n"
    "while len(d)<n:\n m=posix.read(6,n-len(d))\n if not m: posix._exit(0)\n d+=m\n"
    "_config=marshal.loads(d)\ndel d,n,m\nexec(marshal.loads(_config.pop('zygote_main')))\n"
)
_ENVIRONMENT = {
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONUTF8": "1",
    "PYTHONCOERCECLOCALE": "0",
    "LC_ALL": "C",
    "TZ": "UTC",
    "MALLOC_ARENA_MAX": "1",  # an arena a thread would count against the address space
    "LD_BIND_NOW": "1",  # or every program looks the same C functions up again
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
_HEAD = struct.Struct("<7Q")
"""What the zygote reads of a message (`serving.py`); what follows is for the program's process alone."""
TAIL_BYTES = 4096
START_SECONDS = 60.0


class ZygoteDied(Exception):
    """Not the program's fault: the zygote ended or did not answer. The current program is to be tried again."""


class NumbersMoved(Exception):
    """The program before made threads, which moves the numbers of processes: a fresh zygote is to run this one.

    Nothing of it was run yet. With it a program could tell the next one something.
    """


class Refused(Exception):
    """The zygote could not apply a layer of isolation: `layer`, `reason`."""

    def __init__(self, layer: str, reason: str) -> None:
        super().__init__(f"{layer}: {reason}")
        self.layer, self.reason = layer, reason


class CallerGone(Exception):
    """The caller of this worker has ended, so the worker ends at once."""


class End(NamedTuple):
    """How one program ended."""

    exit_code: int | None
    """None when a signal ended it."""
    signal: int
    cpu: float
    wall: float
    peak: int
    """Resident bytes above the zygote's own."""
    why: str
    """`cpu`, `wall` or `threads` when the zygote ended it, else empty."""
    replies: bytes
    output: bytes
    """The last part of standard output: `TAIL_BYTES`, or all of it where that was asked for."""
    errors: bytes
    """The last `TAIL_BYTES` of standard error."""
    output_size: int
    """Bytes written to both."""


def memory_file(name: str) -> int:
    """A new file in memory (Linux) or an unlinked temporary file, as a descriptor that is not inherited."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create(name)
    fd, path = tempfile.mkstemp()
    Path(path).unlink()
    return fd


def _high(fd: int) -> int:
    """The descriptor moved above the ones the zygote numbers itself."""
    moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 20)
    os.close(fd)
    return moved


class Zygote:
    """One running zygote. Not thread-safe; `close()` ends it and everything in it."""

    def __init__(self, how: IsolationPlan, flavour: str, caller: int | None = None) -> None:
        """Start and lock down. `caller`: a socket that closes when nobody waits for results any more.

        Raises `Refused` when a layer cannot be applied, `ZygoteDied` when it does not answer.
        """
        self.flavour, self.programs, self._caller = flavour, 0, caller
        self.touched = False
        """Whether a program used the working folder: it is the zygote's, and goes with it."""
        self._stub = how.tier == 3
        self._fds: list[int] = []
        names = ("in", "out", "errors", "replies")
        self._input, self._output, self._errors, self._replies = (self._own(memory_file(name)) for name in names)
        ask_in, self._ask = os.pipe()
        self._answer, answer_out = os.pipe()
        self._control, theirs = socket.socketpair()
        for fd in (self._ask, self._answer):
            os.set_blocking(fd, False)
            self._own(fd)
        read_only = self._reopen(self._input)
        self._asked, self._told = self._own(os.dup(ask_in)), self._own(os.dup(answer_out))
        given = [_high(fd) for fd in (read_only, ask_in, answer_out, theirs.detach())]
        given += [_high(os.dup(fd)) for fd in (self._output, self._errors, self._replies)]
        places = dict(zip((0, 4, 5, 6, 1, 2, 3), given, strict=True))
        arguments = [how.python, "-S", "-s", "-P", "-c", _BOOT]
        actions = [(os.POSIX_SPAWN_DUP2, fd, place) for place, fd in places.items()]
        try:
            self.pid = os.posix_spawn(
                how.python,
                arguments,
                _ENVIRONMENT,
                file_actions=actions,
                setsid=True,
                setsigmask=[],
                setsigdef=[signal.SIGPIPE],
            )
        finally:
            for fd in given:
                os.close(fd)
        self._lines = b""
        self._watchdog, self._look_at = Watchdog(0.0, 0.0, 0), 0.0
        self._watch, self._reader, self._writer = self._poller(), self._poller(), self._poller()
        self._reader.register(self._answer, select.POLLIN)
        self._writer.register(self._ask, select.POLLOUT)
        self._base_peak = 0
        try:
            config = marshal.dumps(isolation_plan.zygote_config(how, flavour, self.pid))
            self._send(len(config).to_bytes(4, "little") + config)
            self._greet()
        except BaseException:
            self.close()
            raise

    def _own(self, fd: int) -> int:
        self._fds.append(fd)
        return fd

    @staticmethod
    def _reopen(fd: int) -> int:
        """A second, read-only description of a memory file where /proc allows it."""
        try:
            return os.open(f"/proc/self/fd/{fd}", os.O_RDONLY)
        except OSError:
            return os.dup(fd)

    def _poller(self) -> "select.poll":
        poller = select.poll()
        poller.register(self._control, select.POLLIN)
        if self._caller is not None:
            poller.register(self._caller, getattr(select, "POLLRDHUP", 0))
        return poller

    def _greet(self) -> None:
        line = self._line(time.monotonic() + START_SECONDS)
        if line[:2] == b"no":
            _, layer, reason = line.decode("utf-8", "replace").split("\t", 2)
            raise Refused(layer, reason)
        if line[:3] != b"ok ":
            raise ZygoteDied(f"strange greeting {line[:80]!r}")
        self._base_peak = int(line[3:])

    def _send(self, data: bytes) -> None:
        try:
            self._control.sendall(data)
        except OSError as error:
            raise ZygoteDied(str(error)) from None

    def _line(self, deadline: float) -> bytes:
        """The zygote's next line, waiting until `deadline`; the program in hand is watched meanwhile."""
        while b"\n" not in self._lines:
            self._wait(self._watch, deadline)
            data = self._control.recv(4096)
            if not data:
                raise ZygoteDied("it ended")
            self._lines += data
        line, _, self._lines = self._lines.partition(b"\n")
        return line

    def _wait(self, poller: "select.poll", deadline: float) -> set[int]:
        while True:
            ready = poller.poll(self._watchdog.pause)
            now = time.monotonic()
            if not ready or now > self._look_at:  # a session may be so busy that nobody ever waits
                self._look_at = now + self._watchdog.pause / 1000
                self._watchdog.look(self.pid, self._stub)
                if now > deadline:
                    raise ZygoteDied("it does not answer")
            if ready:
                break
        found = {fd for fd, _ in ready}
        if self._caller is not None and self._caller in found:
            raise CallerGone
        return found

    def start(self, job: dict[str, Any]) -> None:
        """Fork a program for this job (see `zygote_main.py` for its keys); `finish` must follow."""
        self.programs += 1
        # no program is to read off the files' times when the one before wrote; their content is gone already
        for fd in (
            self._input,
            self._output,
            self._errors,
            self._replies,
            *((self._asked, self._told) if job["live"] else ()),
        ):
            os.utime(fd, (0, 0))
        self._deadline = time.monotonic() + 25 * job["wall"] + job["cpu"] + 30
        self._watchdog = Watchdog(job["cpu"], job["wall"], job["threads"])
        self._look_at = time.monotonic() + self._watchdog.pause / 1000
        self._answered = 0.0  # when the program in hand last answered a request
        body = marshal.dumps(job)
        limits = (int(job["cpu"] * 1e6), job["memory"], int(job["bytes"]), int(job["threads"]))
        self._send(_HEAD.pack(len(body), job["live"], job["kind"] == "exec", *limits) + body)

    def allow(self, seconds: float) -> None:
        """Let the program wait so much longer: it waited for another one."""
        self._watchdog.allow(seconds)

    def give_input(self, data: bytes) -> None:
        """What the next program finds on standard input."""
        os.ftruncate(self._input, 0)
        os.pwrite(self._input, data, 0)

    def finish(self, whole_output: bool = False) -> End:
        """Wait for the program's end and collect what it left. Raises `ZygoteDied`."""
        words = self._line(self._deadline).split()
        try:
            status, cpu, peak, wall, touched = (int(word) for word in words)
        except ValueError:
            raise ZygoteDied(f"strange line {words[:5]!r}") from None
        self.touched = touched == 1
        if status == -2:
            raise NumbersMoved
        if status < 0:
            raise ZygoteDied("it could not fork")
        code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else None
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        replies, _ = self._taken(self._replies, True)
        output, size = self._taken(self._output, whole_output)
        errors, more = self._taken(self._errors, False)
        reason = self._watchdog.why or ("cpu" if cpu > self._watchdog.cpu * 1e6 else "")
        extra = max(0, peak - self._base_peak) * 1024
        return End(code, number, cpu / 1e6, wall / 1e6, extra, reason, replies, output, errors, size + more)

    @staticmethod
    def _taken(fd: int, whole: bool) -> tuple[bytes, int]:
        """The content of a memory file (its tail, unless whole) and its size; the file is emptied."""
        size = os.fstat(fd).st_size
        if not size:
            return b"", 0
        start = 0 if whole else max(0, size - TAIL_BYTES)
        data = os.pread(fd, size - start, start)
        os.ftruncate(fd, 0)
        return data, size

    def late(self, seconds: float) -> bool:
        """Whether the program in hand was started longer ago (`Watchdog.late`)."""
        return self._watchdog.late(seconds)

    def ended(self) -> bool:
        """Whether the program in hand has ended already (its line is there)."""
        return b"\n" in self._lines

    def exchange(self, request: bytes, most: int) -> bytes | None:
        """One request of a session and its one-line answer; None when the program ended instead.

        An answer longer than `most` bytes also gives None, after the program was ended by its own limits or not:
        `finish` then says how. Raises `ZygoteDied`, `CallerGone`.
        """
        if self._answered:
            self._watchdog.held += time.monotonic() - self._answered
        while request:
            try:
                request = request[os.write(self._ask, request) :]
            except BlockingIOError:  # a long request to a program that is slow to read
                if self._control.fileno() in self._wait(self._writer, self._deadline):
                    self._lines += self._control.recv(4096)
                    return None
        answer = b""
        while True:
            found = self._wait(self._reader, self._deadline)
            if self._answer in found:
                answer += os.read(self._answer, 1 << 20)
                if answer.endswith(b"\n") or len(answer) > most:
                    self._answered = time.monotonic()
                    return answer
            elif self._control.fileno() in found:
                self._lines += self._control.recv(4096)
                return None

    def clean_pipes(self) -> bool:
        """Empty the session pipes after a program; False when it left answers nobody read."""
        left = array.array("i", [0])
        fcntl.ioctl(self._asked, termios.FIONREAD, left)  # our own unread requests: the program is gone, so this is all
        if left[0]:
            os.read(self._asked, left[0])
        clean = True
        with contextlib.suppress(BlockingIOError):
            while os.read(self._answer, 1 << 16):
                clean = False
        return clean

    def close(self) -> None:
        """End the zygote with all its processes, and close the descriptors. Calling it again is harmless."""
        if self.pid <= 0:
            return
        self._control.close()
        with contextlib.suppress(OSError):
            # at tier 3 this is the stub outside the namespace: asked to, it ends and reaps the zygote, then itself
            os.kill(self.pid, signal.SIGTERM if self._stub else signal.SIGKILL)
            give_up = time.monotonic() + 2
            while os.waitpid(self.pid, os.WNOHANG)[0] == 0:
                time.sleep(0.001)
                if time.monotonic() > give_up:
                    os.kill(self.pid, signal.SIGKILL)
        self.pid = 0
        for fd in self._fds:
            os.close(fd)
        self._fds.clear()
