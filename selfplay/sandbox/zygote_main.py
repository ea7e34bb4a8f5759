"""The main program of a zygote: what runs inside the sandbox starts here.

It imports nothing of selfplay and stays small, since every program is a fork of it, and a fork costs by the page. It first locks
itself in (`lockdown.py`, sent on the control channel), then forks once per program (`serving.py`). It does not watch the clock: its
fork returns when the program is gone, and the judge outside watches and kills. File descriptors: 0 standard input, 1 and 2 output
and errors, 3 replies (files in memory, owned by the judge), 4 and 5 the pipes of call-by-call sessions, 6 control, 7 the Landlock
ruleset or none.
"""

# ruff: noqa: SIM105 (contextlib would be one more import inside)

import gc
import marshal
import posix
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # annotations are taken off before this is sent
    from typing import Any

    from selfplay.sandbox.serving import _serve

    Config = dict[str, Any]
    _config: Config = {}
    _nr: dict[str, int] = {}

_CONTROL, _RULES = 6, 7


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


def _refuse(*why: str) -> None:
    posix.write(_CONTROL, "\t".join(("no", *why, "")).replace("\n", " ").encode() + b"\n")
    posix._exit(1)


def _run_prelude(code: bytes) -> None:
    try:
        exec(marshal.loads(code), {"__name__": "prelude", "__builtins__": __builtins__})
    except BaseException as error:
        _refuse("prelude", f"{type(error).__name__}: {error}"[:1000])


def _begin(config: "Config") -> "Config":
    """Lock the zygote in; returns what `_serve` needs of the configuration."""
    globals()["_nr"] = config["nr"]
    lockdown = dict(globals())
    exec(marshal.loads(config["lockdown"]), lockdown)
    exec(marshal.loads(config["fork_layout"]), _fork_layout)
    if _nr:
        _fork_layout[
            "use_huge_pages"
        ]()  # before the imports: numpy brings a library that is larger than the interpreter
    sys.path[:] = config["path"]
    for name in config["preload"]:
        try:
            __import__(name)
        except ImportError:
            pass
    if config["prelude"]:
        _run_prelude(config["prelude"])
    size, resident = _memory()
    try:
        lockdown["lock_in"](config)
    except lockdown["Refused"] as error:
        _refuse(*error.args)
    globals()["_program"] = config["program"]
    for name in ("runner", "serving"):
        exec(marshal.loads(config[name]), globals())
    fence = "landlock_restrict_self" if config["landlock"] else "getpid"
    return {"tier": config["tier"], "nproc": config["nproc"], "fence": fence, "base": size, "resident": resident}


exec(marshal.loads(_config["libc"]), globals())
_fork_layout = dict(globals())
_plan = _begin(_config)
del _config
_fork_layout["run_sample"](globals())
gc.collect()  # before the holes are filled: 9 to 16 page faults less in each program
if _nr:
    _fork_layout["fill_holes"]()
gc.freeze()  # `gc.get_objects()` of a program does not list what the zygote made
posix.write(_CONTROL, b"ok %d\n" % (_plan["resident"] >> 10))
_serve(_plan)
