"""System call numbers and seccomp filters: each kind of zygote has an allow-list in the form of one small BPF program.

The x86_64 filter has been tested; the aarch64 one is written from the kernel's tables and untested. Other machines get no
filter, so they reach tier 0 only.
"""

import struct
from collections.abc import Sequence

SECRET = "secret"  # stands in a rule for the zygote's 64-bit random word

ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

# name: (x86_64, aarch64); None: the machine has no such call
NUMBERS: dict[str, tuple[int | None, int | None]] = {
    "read": (0, 63), "write": (1, 64), "open": (2, None), "close": (3, 57), "stat": (4, None), "fstat": (5, 80),
    "lstat": (6, None), "poll": (7, None), "lseek": (8, 62), "mmap": (9, 222), "mprotect": (10, 226),
    "munmap": (11, 215), "brk": (12, 214), "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139), "ioctl": (16, 29), "pread64": (17, 67), "pwrite64": (18, 68), "readv": (19, 65),
    "writev": (20, 66), "access": (21, None), "pipe": (22, None), "select": (23, None), "sched_yield": (24, 124),
    "mremap": (25, 216), "msync": (26, 227), "mincore": (27, 232), "madvise": (28, 233), "dup": (32, 23),
    "dup2": (33, None), "pause": (34, None), "nanosleep": (35, 101), "getitimer": (36, 102), "alarm": (37, None),
    "setitimer": (38, 103), "getpid": (39, 172), "socketpair": (53, 199), "sendto": (44, 206), "recvfrom": (45, 207),
    "sendmsg": (46, 211), "recvmsg": (47, 212), "shutdown": (48, 210), "getsockname": (51, 204),
    "getpeername": (52, 205), "getsockopt": (55, 209), "clone": (56, 220), "exit": (60, 93), "wait4": (61, 260),
    "kill": (62, 129), "uname": (63, 160), "fcntl": (72, 25), "fsync": (74, 82), "fdatasync": (75, 83),
    "ftruncate": (77, 46), "getdents": (78, None), "getcwd": (79, 17), "chdir": (80, 49), "fchdir": (81, 50),
    "readlink": (89, None), "umask": (95, 166), "gettimeofday": (96, 169), "getrlimit": (97, 163),
    "getrusage": (98, 165), "sysinfo": (99, 179), "times": (100, 153), "getuid": (102, 174), "getgid": (104, 176),
    "geteuid": (107, 175), "getegid": (108, 177), "getpgid": (121, 155), "getppid": (110, 173), "getpgrp": (111, None),
    "setsid": (112, 157), "getgroups": (115, 158), "getresuid": (118, 148),
    "getresgid": (120, 150), "getsid": (124, 156), "rt_sigpending": (127, 136), "rt_sigtimedwait": (128, 137),
    "rt_sigsuspend": (130, 133), "sigaltstack": (131, 132), "statfs": (137, 43), "fstatfs": (138, 44),
    "getpriority": (140, 141), "sched_getparam": (143, 121), "sched_getscheduler": (145, 120),
    "sched_get_priority_max": (146, 125), "sched_get_priority_min": (147, 126), "arch_prctl": (158, None),
    "gettid": (186, 178), "tkill": (200, 130), "time": (201, None), "futex": (202, 98),
    "sched_getaffinity": (204, 123), "getdents64": (217, 61), "set_tid_address": (218, 96),
    "restart_syscall": (219, 128), "prctl": (157, 167), "clock_gettime": (228, 113), "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115), "exit_group": (231, 94), "epoll_wait": (232, None), "epoll_ctl": (233, 21),
    "tgkill": (234, 131), "waitid": (247, 95), "openat": (257, 56), "newfstatat": (262, 79), "readlinkat": (267, 78),
    "faccessat": (269, 48), "pselect6": (270, 72), "ppoll": (271, 73), "set_robust_list": (273, 99),
    "get_robust_list": (274, 100), "epoll_pwait": (281, 22), "eventfd2": (290, 19), "epoll_create1": (291, 20),
    "dup3": (292, 24), "pipe2": (293, 59), "prlimit64": (302, 261), "getcpu": (309, 168), "getrandom": (318, 278),
    "membarrier": (324, 283), "statx": (332, 291), "rseq": (334, 293), "close_range": (436, 436),
    "faccessat2": (439, 439), "landlock_restrict_self": (446, 446), "mlock": (149, 228), "munlock": (150, 229),
    "fork": (57, None), "vfork": (58, None), "clone3": (435, 435), "openat2": (437, 437),
    "seccomp": (317, 277), "landlock_create_ruleset": (444, 444), "landlock_add_rule": (445, 445),
    "execve": (59, 221), "pkey_mprotect": (329, 288), "pkey_alloc": (330, 289), "pkey_free": (331, 290),
    "mkdir": (83, None), "rmdir": (84, None), "unlink": (87, None), "rename": (82, None), "chmod": (90, None),
    "mkdirat": (258, 34), "unlinkat": (263, 35), "renameat": (264, 38), "fchmodat": (268, 53), "utimensat": (280, 88),
    "renameat2": (316, 276), "listxattr": (194, 11), "llistxattr": (195, 12), "truncate": (76, 45),
    "capget": (125, 90), "capset": (126, 91), "pivot_root": (155, 41),
}  # fmt: skip

_ERRNO, _ALLOW, _KILL = 0x00050000, 0x7FFF0000, 0x80000000
_EPERM, _EROFS, _ENOSYS, _ENOTSUP = 1, 30, 38, 95
_PLAIN = [
    "read", "write", "close", "fstat", "poll", "lseek", "mmap", "mprotect", "munmap", "brk", "rt_sigaction",
    "rt_sigprocmask", "rt_sigreturn", "pread64", "pwrite64", "readv", "writev", "pipe", "select", "sched_yield",
    "mremap", "msync", "mincore", "dup", "dup2", "pause", "nanosleep", "getitimer", "alarm", "setitimer", "getpid",
    "sendto", "recvfrom", "sendmsg", "recvmsg", "shutdown", "getsockname", "getpeername", "getsockopt", "exit",
    "wait4", "uname", "fsync", "fdatasync", "ftruncate", "getcwd", "fchdir", "umask", "gettimeofday", "getrlimit",
    "getrusage", "sysinfo", "times", "getuid", "getgid", "geteuid", "getegid", "getpgid", "getppid", "getpgrp",
    "setrlimit", "getgroups", "getresuid", "getresgid", "getsid", "rt_sigpending", "rt_sigtimedwait", "rt_sigsuspend",
    "sigaltstack", "fstatfs", "getpriority", "sched_getparam", "sched_getscheduler", "sched_get_priority_max",
    "sched_get_priority_min", "arch_prctl", "gettid", "time", "futex", "sched_getaffinity", "set_tid_address",
    "restart_syscall", "clock_gettime", "clock_getres", "clock_nanosleep", "exit_group", "epoll_wait", "epoll_ctl",
    "waitid", "pselect6", "ppoll", "set_robust_list", "get_robust_list", "epoll_pwait", "eventfd2", "epoll_create1",
    "dup3", "pipe2", "getcpu", "getrandom", "membarrier", "rseq", "close_range", "landlock_restrict_self", "mlock",
    "munlock",
]  # fmt: skip
_PATHS = [
    "stat", "lstat", "access", "getdents", "chdir", "readlink", "statfs", "getdents64", "newfstatat", "readlinkat",
    "faccessat", "statx", "faccessat2",
]  # fmt: skip
_CHANGES = ["mkdir", "rmdir", "unlink", "rename", "chmod", "mkdirat", "unlinkat", "renameat", "renameat2", "fchmodat"]
_CHANGES += ["utimensat", "truncate"]
_UNNAMED = 0o20000000  # __O_TMPFILE: a file that leaves no trace in its folder
_ADVICE = (0, 1, 2, 3, 4, 8, 10, 11, 14, 15, 16, 17, 18, 19)  # of madvise: what touches the caller's own memory alone
_WRITES = 0o1 | 0o2 | 0o100 | 0o1000 | 0o2000 | 0o20000000  # O_WRONLY RDWR CREAT TRUNC APPEND, and __O_TMPFILE
_NEW = 0x7E020000 | 0x80  # CLONE_NEW*, and CLONE_NEWTIME
_THREAD = 0x00010000
_IOCTLS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)  # TCGETS TIOCGWINSZ FIONREAD FIONBIO FIONCLEX FIOCLEX
_FCNTLS = (0, 1, 2, 3, 1030)  # DUPFD GETFD SETFD GETFL DUPFD_CLOEXEC
_STREAM_BITS = 1 | 0o4000 | 0o2000000  # SOCK_STREAM, NONBLOCK, CLOEXEC
_SETFL_BITS = 0o4000 | 0o3 | 0o2000 | 0o100000  # NONBLOCK, access mode, APPEND, LARGEFILE


def numbers(machine: str) -> dict[str, int]:
    """Call numbers by name for `x86_64` or `aarch64`; an unknown machine gives an empty table."""
    if machine not in ARCH:
        return {}
    column = 0 if machine == "x86_64" else 1
    return {name: pair[column] for name, pair in NUMBERS.items() if pair[column] is not None}  # type: ignore[misc]


class _Program:
    """Instructions with forward jumps to the labels `allow`, `deny`, `rofs`, `nosys`, `notsup` at the end."""

    def __init__(self) -> None:
        self.code: list[tuple[int, int | str, int | str, int | str]] = []

    def load(self, offset: int) -> None:
        self.code.append((0x20, 0, 0, offset))

    def jump(self, how: int, value: int | str, yes: int | str, no: int | str) -> None:
        self.code.append((how, yes, no, value))

    def end(self, action: int) -> None:
        self.code.append((0x06, 0, 0, action))

    def pack(self) -> tuple[bytes, list[tuple[int, int]]]:
        """The BPF bytes and the (offset in them, half of the secret: 0 low, 1 high) to be filled in."""
        labels = {"allow": len(self.code)}
        self.end(_ALLOW)
        for name, errno in (("deny", _EPERM), ("rofs", _EROFS), ("nosys", _ENOSYS), ("notsup", _ENOTSUP)):
            labels[name] = len(self.code)
            self.end(_ERRNO | errno)
        packed, holes = b"", []
        for at, (op, yes, no, value) in enumerate(self.code):
            jt = labels[yes] - at - 1 if isinstance(yes, str) else yes
            jf = labels[no] - at - 1 if isinstance(no, str) else no
            if isinstance(value, str):
                holes.append((at * 8 + 4, int(value[-1])))
                value = 0
            packed += struct.pack("<HBBI", op, jt, jf, value)
        return packed, holes


_EQ, _SET, _GE, _LOAD_NR = 0x15, 0x45, 0x35, 0


def _argument(index: int, high: bool = False) -> int:
    return 16 + 8 * index + (4 if high else 0)


class _Rules:
    """Builds the filter call by call; at the start of each rule the accumulator holds the call number."""

    def __init__(self, nr: dict[str, int]) -> None:
        self.nr, self.program = nr, _Program()

    def rule(self, name: str, body: Sequence[tuple[int, int, int | str, int | str, int | str]]) -> None:
        """`body`: (offset to load or -1, jump op, value, if true, if false); falls through to a denial."""
        if name not in self.nr:
            return
        steps: list[tuple[int | None, tuple[int, int | str, int | str, int | str] | None]] = []
        for offset, how, value, yes, no in body:
            if offset >= 0:
                steps.append((offset, None))
            steps.append((None, (how, value, yes, no)))
        self.program.jump(_EQ, self.nr[name], 0, len(steps) + 1)
        for load, jump in steps:
            if load is not None:
                self.program.load(load)
            elif jump is not None:
                self.program.jump(*jump)
        self.program.end(_ERRNO | _EPERM)

    def secret(self, argument: int) -> list[tuple[int, int, int | str, int | str, int | str]]:
        """Allows the call if this argument is the secret word, else denies it."""
        return [
            (_argument(argument), _EQ, SECRET + "0", 0, "deny"),
            (_argument(argument, True), _EQ, SECRET + "1", "allow", "deny"),
        ]


def build(
    machine: str, *, paths: bool, signals: bool, execs: bool = False, writes: bool = False
) -> tuple[bytes, list[tuple[int, int]]]:
    """Builds the filter for one zygote.

    paths: files may be opened for reading (Landlock or a private root limits which). signals: `kill` is allowed
    to a process by its own number (a namespace or Landlock scope limits which); otherwise only with the zygote's
    secret. writes: files may be written (the root holds read-only views only). execs: another program may
    replace this one (for other languages' own zygotes, never for Python).
    """
    nr = numbers(machine)
    rules = _Rules(nr)
    program = rules.program
    program.load(4)
    program.jump(_EQ, ARCH[machine], 1, 0)
    program.end(_KILL)
    program.load(_LOAD_NR)
    if machine == "x86_64":
        program.jump(_GE, 0x40000000, 0, 1)
        program.end(_KILL)  # x32
    opened: list[tuple[int, int, int | str, int | str, int | str]]
    for name, flags in (("openat", 2), ("open", 1)):
        refused = _UNNAMED if writes else _WRITES
        opened = [(_argument(flags), _SET, refused, "rofs", "allow" if paths else "deny")]
        rules.rule(name, opened)
    # anyone may create a thread; only the zygote, which knows the secret (third argument, unused by the kernel), a process
    clone: list[tuple[int, int, int | str, int | str, int | str]] = [
        (_argument(0), _SET, _NEW & ~0x80, "deny", 0),
        (-1, _SET, _THREAD, "allow", 0),
    ]
    rules.rule("clone", clone + rules.secret(2))
    if signals:
        _signals(rules)
    else:
        rules.rule("kill", rules.secret(2))
    prctl: list[tuple[int, int, int | str, int | str, int | str]] = [
        *[(_argument(0) if n == 15 else -1, _EQ, n, "allow", 0) for n in (15, 16)],  # the thread's name
        (-1, _EQ, 1, 0, "deny"),  # the signal at the parent's death: only for the zygote
    ]
    rules.rule("prctl", prctl + rules.secret(4))
    # anyone may read limits; only the zygote sets them, on itself, before it forks
    prlimit: list[tuple[int, int, int | str, int | str, int | str]] = [
        (_argument(0), _EQ, 0, 0, "deny"),
        (_argument(1), _EQ, 3, "allow", 0),  # the stack's
        (_argument(2), _EQ, 0, 0, 2),
        (_argument(2, True), _EQ, 0, "allow", 0),
    ]
    rules.rule("prlimit64", prlimit + rules.secret(4))
    advice = [(_argument(2) if n == 0 else -1, _EQ, n, "allow", 0) for n in _ADVICE]
    rules.rule("madvise", advice)
    rules.rule("ioctl", [(_argument(1), _EQ, _IOCTLS[0], "allow", 0)] + [(-1, _EQ, n, "allow", 0) for n in _IOCTLS[1:]])
    setfl: list[tuple[int, int, int | str, int | str, int | str]] = [
        (_argument(1), _EQ, _FCNTLS[0], "allow", 0),
        *[(-1, _EQ, n, "allow", 0) for n in _FCNTLS[1:]],
        (-1, _EQ, 4, 0, "deny"),
        (_argument(2), _SET, 0xFFFFFFFF & ~_SETFL_BITS, "deny", "allow"),
    ]
    rules.rule("fcntl", setfl)
    # streams only: through a pair of datagram sockets one could still write to any socket that has a path outside
    stream = 0xFFFFFFFF & ~_STREAM_BITS
    rules.rule("socketpair", [(_argument(0), _EQ, 1, 0, "deny"), (_argument(1), _SET, stream, "deny", "allow")])
    plain = _PLAIN + (_CHANGES if writes else []) + (_PATHS if paths else [])
    plain += ["execve", "pkey_mprotect", "pkey_alloc", "pkey_free", "capget"] if execs else []
    for name in ("clone3", "openat2"):
        program.jump(_EQ, nr[name], "nosys", 0)
    for name in ("listxattr", "llistxattr"):  # `shutil.copy2` continues if there are none
        program.jump(_EQ, nr[name], "notsup", 0)
    for name in plain:
        if name in nr:
            program.jump(_EQ, nr[name], "allow", 0)
    program.jump(_EQ, 0xFFFFFFFF, "deny", "deny")
    return program.pack()


def _signals(rules: _Rules) -> None:
    """Allows signals to a process by its own number: none to groups, to all, or to the first process, which is the zygote."""
    anything: list[tuple[int, int, int | str, int | str, int | str]] = [
        (_argument(2), _EQ, SECRET + "0", 0, 2),
        (_argument(2, True), _EQ, SECRET + "1", "allow", 0),
    ]
    one: list[tuple[int, int, int | str, int | str, int | str]] = [
        (_argument(0), _GE, 0x80000000, "deny", 0),
        (-1, _EQ, 0, "deny", 0),
        (-1, _EQ, 1, "deny", "allow"),
    ]
    rules.rule("kill", anything + one)
    rules.rule("tkill", one)
    rules.rule("tgkill", one)
