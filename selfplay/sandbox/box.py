"""What runs inside the sandbox: this text is the whole program of a zygote.

It imports nothing of ours and keeps itself small, because every program is a fork of it and a fork costs by the page.
It first locks itself in (`walls.py`, sent on the control channel), then forks once per program. It does not watch the
clock: its fork returns when the program is gone, and the judge outside watches and kills. Descriptors: 0 stdin, 1 and 2
output and errors, 3 replies (files in memory, which the judge owns), 4 and 5 the pipes of call-by-call sessions,
6 control, 7 the Landlock ruleset or none.
"""

# ruff: noqa: SIM105 (contextlib is one import too many inside)

import _ctypes
import gc
import marshal
import posix
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:  # annotations are taken off before this is sent
    from typing import Any

    from selfplay.sandbox.runner import run

    Config = dict[str, Any]
    _config: Config = {}
    _nr: dict[str, int] = {}

_REPLY, _ASK, _ANSWER, _CONTROL, _RULES = 3, 4, 5, 6, 7
_UNLIMITED = (1 << 63) - 1
_ROOMY = 64 << 20  # address space that the zygote itself needs to read the next job
_NAMES = ("CPU", "FSIZE", "DATA", "STACK", "CORE", "RSS", "NPROC", "NOFILE", "MEMLOCK", "AS")
_FORK = 0x4000 | 17  # CLONE_VFORK: we sleep until the program is gone, so that its pages are not copied for us too


class _Long(_ctypes._SimpleCData):  # type: ignore[type-arg]
    _type_ = "l"


class _Word(_ctypes._SimpleCData):  # type: ignore[type-arg]
    _type_ = "L"


class _Function(_ctypes.CFuncPtr):
    _flags_ = 1 | 8  # C calling convention, errno kept
    _restype_ = _Long


def _c(name: str, _library: int = _ctypes.dlopen(None, 2)) -> "Any":  # type: ignore[arg-type]
    return _Function(_ctypes.dlsym(_library, name))


def _words(*values: int) -> "Any":
    kind = type("_Words", (_ctypes.Array,), {"_type_": _Word, "_length_": len(values)})
    return kind(*values)


_call = _c("syscall")
_secret, _zero = _Word(0), _Word(0)
_usage, _status, _pair = _words(*[0] * 18), _words(0), _words(0, 0)


def _memory() -> tuple[int, int]:
    """(address space, resident) of this process in bytes."""
    try:
        fd = posix.open("/proc/self/statm", posix.O_RDONLY)
        size, resident = posix.read(fd, 200).split()[:2]
        posix.close(fd)
    except OSError:
        return 64 << 20, 8 << 20
    page = posix.sysconf("SC_PAGESIZE")
    return int(size) * page, int(resident) * page


def _receive() -> "Any":
    """The next message of the judge; leaves when the judge is gone."""
    data = posix.read(_CONTROL, 65536)
    if not data:
        posix._exit(0)
    size = int.from_bytes(data[:4], "little") + 4
    while len(data) < size:
        more = posix.read(_CONTROL, size - len(data))
        if not more:
            posix._exit(0)
        data += more
    return marshal.loads(memoryview(data)[4:])


def _limits(config: "Config", job: "Config") -> list[tuple[int, int]]:
    """(number of the limit, value) for one job; the CPU limit only stands behind the judge's own clock."""
    limits = [(0, int(job["cpu"] + time.process_time()) + 2), (1, job["bytes"]), (4, 0), (7, 32)]
    if job["kind"] == "exec":  # engines reserve far more address space than they use
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
    """Tier 0, in the child: the limits by the library's own calls, hard."""
    import resource

    for kind, value in _limits(config, job):
        number = getattr(resource, "RLIMIT_" + _NAMES[kind], None)
        if number is not None and value != _UNLIMITED:
            try:
                resource.setrlimit(number, (value, value))
            except (OSError, ValueError):
                pass  # macOS refuses some


def _serve(config: "Config") -> None:
    """One program a message, for ever."""
    tier = config["tier"]
    known: dict[int, int] = {}
    while True:
        job = _receive()
        for fd in (0, 1, 2, 3):
            posix.lseek(fd, 0, 0)
        if job["live"]:
            posix.set_blocking(_ASK, True)
            posix.set_blocking(_ANSWER, True)
        if tier:
            _limit(config, job, known)
        began = time.monotonic()
        pid = _call(_nr["clone"], _FORK, _zero, _secret, _zero, _zero, _zero) if tier else posix.fork()
        if pid == 0:
            _enter(config, job)
        elif pid < 0:
            posix.write(_CONTROL, b"-1 0 0 0\n")
            continue
        figures = _reaped(pid, tier)
        if tier == 3:
            _sweep()
        if tier and job["memory"] < _ROOMY:
            _limit(config, {**job, "memory": _ROOMY}, known)
        posix.write(_CONTROL, b"%d %d %d %d\n" % (*figures, int((time.monotonic() - began) * 1e6)))


def _reaped(pid: int, tier: int) -> tuple[int, int, int]:
    """(wait status, CPU microseconds, peak KiB) of a child, once it has ended; without the `resource` module."""
    if not tier:
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


def _enter(config: "Config", job: "Config") -> None:
    """In the child, once: the secret wiped, its own Landlock domain, only its own descriptors. Never returns."""
    tier = config["tier"]
    if tier:
        if tier < 3:
            _call(_nr["prctl"], 1, 9, _zero, _zero, _secret, _zero)
        _secret.value = 0
        # with as many arguments as the fork had: nothing of the secret stays on the stack either
        _call(_nr[config["fence"]], _RULES, _zero, _zero, _zero, _zero, _zero)
    posix.closerange(6 if job["live"] else 4, 64)
    if not tier:
        _limit_hard(config, job)
    if "random" in sys.modules:
        sys.modules["random"].seed(0)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(0)
    run(job)


def _refuse(*why: str) -> None:
    posix.write(_CONTROL, "\t".join(("no", *why, "")).replace("\n", " ").encode() + b"\n")
    posix._exit(1)


def _run_prelude(code: bytes) -> None:
    try:
        exec(marshal.loads(code), {"__name__": "prelude", "__builtins__": __builtins__})
    except BaseException as error:
        _refuse("prelude", f"{type(error).__name__}: {error}"[:1000])


def _begin(config: "Config") -> "Config":
    """Lock in and say so; what `_serve` needs of the configuration."""
    globals()["_nr"] = config["nr"]
    exec(marshal.loads(config["runner"]), globals())
    walls = dict(globals())
    exec(marshal.loads(config["walls"]), walls)
    sys.path[:] = config["path"]
    for name in config["preload"]:
        try:
            __import__(name)
        except ImportError:
            pass
    if config["prelude"]:
        _run_prelude(config["prelude"])
    compile("0", "", "eval")  # the compiler's own tables, which every program would otherwise build for itself
    size, resident = _memory()
    try:
        walls["lock_in"](config)
    except walls["Refused"] as error:
        _refuse(*error.args)
    globals()["_program"] = config["program"]
    posix.write(_CONTROL, b"ok %d\n" % (resident >> 10))
    fence = "landlock_restrict_self" if config["landlock"] else "getpid"
    return {"tier": config["tier"], "nproc": config["nproc"], "base": size, "fence": fence}


_plan = _begin(_config)
del _config
gc.collect()
if _plan["tier"]:
    try:
        _c("malloc_trim")(_zero)  # fewer pages, cheaper forks
    except AttributeError:
        pass  # not glibc
gc.freeze()
_serve(_plan)
