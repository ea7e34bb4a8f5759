"""The service of a zygote: one program per message, each in a fork. Executed in the zygote's globals after the lockdown.

It does not watch the clock: its fork returns when the program is gone, and the judge outside watches and kills.
"""

# ruff: noqa: SIM105 (contextlib would be one more import inside)

import marshal
import posix
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:  # annotations are taken off before this is sent
    from typing import Any

    from selfplay.sandbox.libc import _call, _pair, _secret, _status, _usage, _zero
    from selfplay.sandbox.runner import _MEMORY, _reply, run
    from selfplay.sandbox.zygote_main import _CONTROL, _RULES, Config, _nr

_ASK, _ANSWER = 4, 5
_SHARED = range(6)  # descriptors whose open files all programs share
_HEAD = 7  # words before each message
_UNLIMITED = (1 << 63) - 1
_ROOMY = 64 << 20  # address space that the zygote itself needs to read the next job
_NAMES = ("CPU", "FSIZE", "DATA", "STACK", "CORE", "RSS", "NPROC", "NOFILE", "MEMLOCK", "AS")
_FORK = 0x4000 | 17  # CLONE_VFORK: we sleep until the program is gone, so that its pages are not copied for us too


def _receive() -> "Config":
    """What the zygote itself must know of the next program; leaves when the judge is gone.

    The rest (`_body`) is read by the program's own process. The zygote never holds it: a text that it had read would lie about in
    its free memory, where the next programs, forks of it, could find and run the program of another.
    """
    data = b""
    while len(data) < 8 * _HEAD:
        more = posix.read(_CONTROL, 8 * _HEAD - len(data))
        if not more:
            posix._exit(0)
        data += more
    words = [int.from_bytes(data[at : at + 8], "little") for at in range(0, len(data), 8)]
    job: Config = dict(zip(("size", "live", "exec", "cpu", "memory", "bytes", "threads"), words))  # noqa: B905
    job["cpu"] /= 1e6
    return job


def _body(size: int, fd: int) -> "Any":
    """In the child: the rest of the message; None when it does not fit into the program's memory, once it is read off."""
    parts, left = [], size
    try:
        while left:
            parts.append(posix.read(fd, min(left, 1 << 18)))
            left -= len(parts[-1])
            if not parts[-1]:
                posix._exit(0)
        return marshal.loads(parts[0] if len(parts) == 1 else b"".join(parts))
    except MemoryError:
        del parts[:]
        while left:
            left -= len(posix.read(fd, min(left, 4096))) or left
        return None


def _wipe_control() -> None:
    """Take off what a program that was killed had not read; nothing else can be there before we answer."""
    buffer = bytearray(4096)
    posix.set_blocking(_CONTROL, False)
    try:
        while posix.readv(_CONTROL, [buffer]):
            pass
    except OSError:
        pass
    posix.set_blocking(_CONTROL, True)
    buffer[:] = bytes(4096)


def _limits(config: "Config", job: "Config") -> list[tuple[int, int]]:
    """(number of the limit, value) for one job; the CPU limit only stands behind the judge's own clock."""
    limits = [(0, int(job["cpu"] + time.process_time()) + 2), (1, job["bytes"]), (4, 0), (7, 32)]
    if job["exec"]:  # engines reserve far more address space than they use
        limits += [(2, job["memory"] + (128 << 20)), (9, _UNLIMITED)]
    else:
        limits += [(9, config["base"] + job["memory"]), (2, _UNLIMITED)]
    if config["nproc"]:
        limits.append((6, config["nproc"] + job["threads"]))
    return limits


def _limit(config: "Config", job: "Config", known: dict[int, int]) -> None:
    """Set what differs from the last job's on ourselves, softly: children inherit it and may not change it."""
    for kind, value in _limits(config, job):
        if known.get(kind) != value:
            known[kind] = value
            _call(_nr["prlimit64"], 0, kind, _zero, _pair, _secret, _zero)  # the hard limit stays what it is
            _pair[0] = min(value, _pair[1])
            if _call(_nr["prlimit64"], 0, kind, _pair, _zero, _secret, _zero) < 0:
                posix._exit(1)


def _limit_hard(config: "Config", job: "Config") -> None:
    """Tier 0, in the child: the limits, hard."""
    for kind, value in _limits(config, job):
        if _nr:
            _pair[0] = _pair[1] = value
            _call(_nr["prlimit64"], 0, kind, _pair, _zero, _secret, _zero)
            continue
        import resource

        number = getattr(resource, "RLIMIT_" + _NAMES[kind], None)
        if number is not None and value != _UNLIMITED:
            try:
                resource.setrlimit(number, (value, value))
            except (OSError, ValueError):
                pass  # macOS refuses some


def _serve(config: "Config") -> None:
    """Run one program per message, until the judge is gone."""
    tier = config["tier"]
    known: dict[int, int] = {}
    flags = [_call(_nr["fcntl"], fd, 3, 0) for fd in _SHARED] if _nr else []
    last, untouched = 0, _folder_time(tier)
    while True:
        job = _receive()
        for fd in (0, 1, 2, 3):
            posix.lseek(fd, 0, 0)
        # the flags of an open file outlive the program that set them
        for fd in range(len(flags)):
            _call(_nr["fcntl"], fd, 4, flags[fd])
        if tier:
            _limit(config, job, known)
        began = time.monotonic()
        pid = _call(_nr["clone"], _FORK, _zero, _secret, _zero, _zero, _zero) if _nr else posix.fork()
        if pid == 0:
            body = _body(job["size"], _CONTROL)
            if last and posix.getpid() != last + 1:
                posix._exit(0)
            _enter(tier, config["fence"], _secret, 6 if job["live"] else 4)
            if not tier:
                _limit_hard(config, job)
            if body is None:
                _reply([2, *_MEMORY])
                posix._exit(0)
            run(body, posix._exit)
        elif pid < 0:
            posix.write(_CONTROL, b"-1 0 0 0 0\n")
            posix._exit(1)
        figures = _reaped(pid)
        if figures[0]:
            _wipe_control()
        if last and pid != last + 1:
            posix.write(_CONTROL, b"-2 0 0 0 0\n")
            continue
        last = pid if tier == 3 else 0  # at the others the numbers are the machine's
        if tier == 3:
            _sweep()
        if tier and job["memory"] < _ROOMY:
            _limit(config, {**job, "memory": _ROOMY}, known)
        touched = _folder_time(tier) != untouched
        posix.write(_CONTROL, b"%d %d %d %d %d\n" % (*figures, int((time.monotonic() - began) * 1e6), touched))


def _folder_time(tier: int) -> int:
    """When something was last made, removed or renamed in the working folder; programs cannot set it. -1: it was closed to us.

    An ordinary user's program owns the folder, and may take its rights away.
    """
    try:
        return posix.stat(".").st_ctime_ns if tier == 3 else 0
    except OSError:
        return -1


def _reaped(pid: int) -> tuple[int, int, int]:
    """(wait status, CPU microseconds, peak KiB) of a child, once it has ended; without the `resource` module."""
    if not _nr:
        _, status, usage = posix.wait4(pid, 0)
        return status, int((usage.ru_utime + usage.ru_stime) * 1e6), usage.ru_maxrss
    while _call(_nr["wait4"], pid, _status, 0, _usage) != pid:
        pass
    return _status[0] & 0xFFFF, (_usage[0] + _usage[2]) * 1000000 + _usage[1] + _usage[3], _usage[4]


def _sweep() -> None:
    """End and reap whatever a program left in our process namespace."""
    while _call(_nr["kill"], -1, 9, _secret, _zero, _zero, _zero) == 0:
        try:
            posix.waitpid(-1, 0)
        except ChildProcessError:
            return


def _enter(tier: int, fence: str, secret: "Any", first: int) -> None:
    """In the child, once: the secret wiped, its own Landlock domain, only its own descriptors (below `first`)."""
    if tier:
        if tier < 3:
            _call(_nr["prctl"], 1, 9, _zero, _zero, secret, _zero)
        secret.value = 0
        # with as many arguments as the fork had: nothing of the secret stays on the stack either
        _call(_nr[fence], _RULES, _zero, _zero, _zero, _zero, _zero)
    posix.closerange(first, 64)
    if "random" in sys.modules:
        sys.modules["random"].seed(0)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(0)
