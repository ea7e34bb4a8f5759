"""How a zygote arranges its memory so that a fork of it is cheap. Executed inside the zygote, in a copy of its globals.

A fork copies page tables, and the program then pays for every page that it touches first: about 2 microseconds for a page that it
writes to, 1 for a stretch of code that it reads. So the interpreter's code moves into huge pages before the lockdown, which a fork
shares as they are; after the lockdown a sample of what programs do is run; and last, the holes that this leaves are filled.

Each function says what it gains, as `benchmarks/executor_layout.py` measures it at tier 3 with Python 3.11 on two busy cores: CPU
time of the program and its zygote, and page faults, without the part over all parts. The three figures are for a function of one
line (1.26 ms, 140 faults), for HumanEval/0 (1.86 ms, 219) and for a function of one line in a zygote with numpy (2.28 ms, 183).
"""

import marshal
import posix
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # annotations are taken off before this is sent
    from typing import Any

    from selfplay.sandbox.libc import _c, _Word, _zero

_HUGE = 2 << 20
_READ, _WRITE, _EXECUTE = 1, 2, 4
_POOL, _FIRST = (16 << 10) - 1, 48  # of the interpreter's small-block allocator: a pool's size, its first block


def _maps(name: str = "maps") -> list[list[str]]:
    """The lines of a file of /proc/self, split into words; none where there is no /proc."""
    try:
        fd = posix.open("/proc/self/" + name, posix.O_RDONLY)
    except OSError:
        return []
    data = b""
    while more := posix.read(fd, 1 << 16):
        data += more
    posix.close(fd)
    return [line.split() for line in data.decode("utf-8", "replace").split("\n") if line]


def _span(words: list[str]) -> tuple[int, int]:
    low, _, high = words[0].partition("-")
    return int(low, 16), int(high, 16)


def _interpreter() -> tuple[int, int]:
    """Start and end of the huge pages that lie wholly in the mapped code of the interpreter; (0, 0) where it is not found."""
    lines = [words for words in _maps() if len(words) == 6 and words[1] in ("r--p", "r-xp")]
    code = [words for words in lines if words[1] == "r-xp" and "python" in words[5]]
    if not code:
        return 0, 0
    path = max(code, key=lambda words: _span(words)[1] - _span(words)[0])[5]
    low, high = 0, 0
    for words in lines:
        if words[5] == path:
            start, end = _span(words)
            low, high = (low if start == high else start), end
            if words[1] == "r-xp":
                first = low
    return -(-first // _HUGE) * _HUGE, high // _HUGE * _HUGE


def _is_huge(at: int, size: int) -> bool:
    inside = False
    for words in _maps("smaps"):
        if "-" in words[0] and words[0][-1] != ":":
            low, high = _span(words)
            inside = low <= at < high
        elif inside and words[0] == "AnonHugePages:":
            return int(words[1]) * 1024 >= size
    return False


def use_huge_pages() -> None:
    """Replace the interpreter's code by a copy of it in huge pages. Nothing happens where the kernel gives none.

    Called before modules are imported, since numpy's own library would be larger. Without it: CPU +2, +5 and +5 %, 43 to 47 faults more.
    """
    low, high = _interpreter()
    size = high - low
    if size <= 0:
        return
    start = _c("mmap")(_zero, _Word(size + _HUGE), _READ | _WRITE, 0x22, -1, _zero)
    if start <= 0:
        return
    at = -(-start // _HUGE) * _HUGE
    _c("madvise")(_Word(at), _Word(size), 14)
    _c("memcpy")(_Word(at), _Word(low), _Word(size))
    if _is_huge(at, size) and _c("mprotect")(_Word(at), _Word(size), _READ | _EXECUTE) == 0:
        _c("mremap")(_Word(at), _Word(size), _Word(size), 3, _Word(low))
    else:
        _c("munmap")(_Word(at), _Word(size))


def _fill_pools() -> None:
    """Take every free small block of the interpreter's allocator, so that a program's blocks come from fresh pools.

    Without it: CPU -2, +3 and +4 %, 6, 26 and 18 faults more.
    """
    take, give = _c("PyObject_Malloc"), _c("PyObject_Free")
    for size in range(16, 513, 16):
        pools: set[int] = set()
        for _ in range((64 << 10) // size):
            at = take(_Word(size))
            pool = at - (at & _POOL)
            if at - pool == _FIRST and pool not in pools:
                give(_Word(at))
                break
            pools.add(pool)


def _fill_heap() -> None:
    """The same for large blocks of the C library's heap, so that a program's blocks come from the end of the heap.

    Without it: CPU +2, +6 and +5 %, 13, 23 and 15 faults more.
    """
    try:
        _c("malloc_trim")(_zero)
    except AttributeError:
        return  # not glibc
    take, end = _c("malloc"), _c("sbrk")(_zero)
    for size in (65536, 32768, 16384, 8192, 4096, 3072, 2048, *range(1536, 1, -64), 24):
        for _ in range(1000):
            at = take(_Word(size))
            if not 0 < at < end:
                _c("free")(_Word(at))
                break


def fill_holes() -> None:
    """Leave no free memory between live blocks, so that what a program allocates lies together, on few pages."""
    _fill_pools()
    _fill_heap()


_SAMPLE = '''
class Node:
    """A class."""
    def __init__(self, value, below=None):
        self.value, self.below = value, below
    def __eq__(self, other):
        return isinstance(other, Node) and self.value == other.value

def count(items):
    """ A docstring.
    >>> count([1, 2])
    {1: 1, 2: 1}
    """
    found = {}
    for at, item in enumerate(items):
        if item not in found and at >= 0:
            found[item] = 0
        found[item] += 1
    return dict(sorted(found.items(), key=lambda pair: (-pair[1], pair[0])))

def text(words, by=" "):
    parts = [word.strip().lower() for word in words.split(by) if word]
    return f"{by.join(parts[::-1])}{len(parts)!r}", set(parts), parts[0:2]

def value(n: int, *rest: float) -> float:
    while n % 2 == 0 and n > 0:
        n = n // 2 - 1
    try:
        return (Node(n) == Node(n)) and n * 1.5 + sum(x ** 2 for x in rest) / max(abs(n), 1)
    except (ValueError, ZeroDivisionError) as error:
        return None
    finally:
        n += 1

def fail(x):
    if not x:
        raise ValueError("no " + str(x))
    with x as y:
        del y
'''
_CALLS = [("count", [3, 1, 3]), ("text", "A few words"), ("value", 12), ("fail", 0), ("fail", [])]


def run_sample(space: dict[str, "Any"]) -> None:
    """Run a sample of what programs do, so that caches are full, bytecode is specialised and C functions are bound before the fork.

    Without it: CPU +100, +67 and +10 %, 109, 95 and 51 faults more. `space`: the zygote's globals, with the runner in them.
    """
    main = sys.modules["__main__"]
    calls = [(name, marshal.dumps(((arg,), {}), 2)) for name, arg in _CALLS]  # type: ignore[arg-type]
    job = {"live": False, "kind": "calls", "code": _SAMPLE, "calls": calls, "chained": False, "plain": False}
    for turn in range(8):
        space["_enter"](3 if space["_nr"] else 0, "getpid", space["_Word"](0), 60)
        body = marshal.dumps({**job, "changed": turn & 1})
        posix.ftruncate(3, 0)
        posix.pwrite(3, body, 0)
        posix.lseek(3, 0, 0)
        space["run"](space["_body"](len(body), 3), bool)
    sys.modules["__main__"] = main
    del sys.modules["candidate"]
    posix.ftruncate(3, 0)
    posix.lseek(3, 0, 0)
