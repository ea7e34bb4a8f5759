"""What a program sends, leaves behind, writes or reaches: each bound with attacks on it, at both tiers."""

# ruff: noqa: E501, UP031

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from selfplay.sandbox import (
    CheckTests,
    Executor,
    IOTests,
    Job,
    Limits,
    Result,
    Status,
    StdioTests,
    codec,
    isolation_plan,
    syscalls,
)
from selfplay.sandbox.judge import message
from selfplay.sandbox.probe import try_tier
from selfplay.sandbox.traces import leaves_traces
from selfplay.sandbox.zygote import Zygote
from tests.support.sandbox.processes import cpu_seconds, descendants, still_alive, wait_for

ROOT = Path(__file__).resolve().parent.parent.parent
IO = IOTests("f", [((3,), 16)])
CHECK = CheckTests("assert f(3) == 16\n", "f")
BRIEF = Limits(1.0, 1.5)


@pytest.fixture(scope="module", params=[3, 2])
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    reach = try_tier(request.param)
    if not reach.holds:
        pytest.skip(f"tier {request.param} lacks {reach.missing}: {reach.reason}")
    with Executor(workers=1, require_tier=request.param, at_most=request.param) as opened:
        yield opened


def one(executor: Executor, code: str, tests: Any = IO, limits: Limits | None = BRIEF) -> Result:
    (result,) = executor.run([Job("it", code, tests, limits)])
    return result


def value(executor: Executor, code: str) -> str:
    """What `f(3)` of a program came to, as the evidence tells it."""
    return one(executor, code).error


def raw(reply: str) -> str:
    """A program that writes a reply of its own making."""
    return f"import os\ndata = {(reply + chr(10) + '[9]' + chr(10)).encode()!r}\nwhile data: data = data[os.write(3, data):]\nos._exit(0)\n"


HUGE = '{"D":"1E+30000000"}'
CLASH = ",".join('{"i":"%s"}' % hex(k * (2**61 - 1)) for k in range(5, 20_000))
HOSTILE = {
    "a decimal": HUGE,
    "an argument's number": f'{{"a":{HUGE}}}',
    "a handle's number": f'{{"h":[{HUGE},"x",true]}}',
    "a handle's name": f'{{"h":[0,{HUGE},true]}}',
    "an end of a range": f'{{"r":[0,{HUGE},1]}}',
    "a part of a complex": f'{{"c":[{HUGE},1]}}',
    "an integer's text": f'{{"i":{HUGE}}}',
    "a zero with an exponent": '{"D":"0E+99999999"}',
    "a small decimal": '{"D":"1E-99999999"}',
    "a fraction of decimals": f'{{"F":[{HUGE},{HUGE}]}}',
    "a fraction over zero": '{"F":["0x1","0x0"]}',
    "a wide fraction": '{"F":["0x%s","0x3"]}' % ("f" * 100_000),
    "an opaque's name": f'{{"o":{HUGE}}}',
    "bytes": f'{{"b":{HUGE}}}',
    "digits": "9" * 100_000,
    "nesting": "[" * 200_000 + "]" * 200_000,
    "nested tuples": '{"t":[' * 50_000 + "]}" * 50_000,
    "a set of one hash": f'{{"s":[{CLASH}]}}',
    "a dict of one hash": '{"d":[%s]}' % CLASH.replace("},", "},").replace('{"i"', '[{"i"').replace("}", "},1]"),
    "many sets of one hash": "[%s]" % ",".join('{"s":[%s]}' % ",".join(CLASH.split(",")[:200]) for _ in range(20)),
    "a date": f'{{"L":["date",[{HUGE},1,1],null]}}',
    "days": '{"L":["timedelta",[{"D":"1E+20000"},1,1],null]}',
    "an offset": f'{{"L":["datetime",[1,1,1,0,0,0,0],{HUGE}]}}',
    "a counter of one hash": '{"L":["Counter",[%s],null]}' % ",".join("[%s,1]" % part for part in CLASH.split(",")),
    "no value": '{"q":1}',
}  # fmt: skip


@pytest.mark.parametrize("name", list(HOSTILE))
def test_replies_that_would_cost_more_than_their_size_are_no_replies(name: str) -> None:
    line = f"[0,{HOSTILE[name]},null]".encode()
    began = time.process_time()
    with pytest.raises(codec.Malformed):
        codec.Reader().parse([line])
    assert time.process_time() - began < 5


@pytest.mark.parametrize("name", ["a decimal", "an argument's number", "a set of one hash", "nesting"])
def test_a_judge_that_was_sent_such_a_reply_says_so_and_works_on(executor: Executor, name: str) -> None:
    for tests in (IO, CHECK):
        assert one(executor, raw(f"[0,{HOSTILE[name]},null]"), tests).status is Status.PROTOCOL_VIOLATION
        assert one(executor, "def f(n): return 16\n", tests).passed


def test_arrays_have_one_budget_for_all_replies_of_a_program() -> None:
    numpy = pytest.importorskip("numpy")
    reader = codec.Reader()
    wide = b'[0,{"n":["U1000000",["","",""]]},null]'
    reader.parse([wide])
    with pytest.raises(codec.Malformed, match="too large"):
        for _ in range(4):
            reader.parse([wide])
    assert reader.parse([wide], fresh=True)[0][1].shape == (3,)
    for content in ('{"r":[0,20000000,1]}', '[{"r":[0,20000000,1]}]', '{"d":[]}', '{"s":[1]}'):
        with pytest.raises(codec.Malformed):
            codec.Reader().parse([f'[0,{{"n":["int8",{content}]}},null]'.encode()])
    (honest,) = codec.Reader().parse([b'[0,{"n":["float64",[[1.0,2.0],[3.0,4.0]]]},null]'])
    assert numpy.array_equal(honest[1], [[1.0, 2.0], [3.0, 4.0]])


def test_sets_of_honest_vectors_that_share_some_hashes_are_read() -> None:
    points = [[x, y, z] for x in range(-15, 15) for y in range(-15, 15) for z in range(-15, 15)]
    reply = [0, {"s": [{"t": point} for point in points]}, None]
    assert len(codec.parse(json.dumps(reply).encode())[1]) == len(points)


@pytest.mark.parametrize("number", ["Decimal('1E+999999')", "Fraction(1, 3 ** 70_000)", "1 << 5_000_000"])
def test_numbers_too_wide_to_be_sent_are_unsupported_and_no_violation(executor: Executor, number: str) -> None:
    code = f"from decimal import Decimal\nfrom fractions import Fraction\ndef f(n): return {number}\n"
    assert one(executor, code, IO, Limits(output_bytes=2**23)).status is Status.UNSUPPORTED_VALUE


FLAGS = "import fcntl, os\ndef f(n): return [fcntl.fcntl(fd, fcntl.F_GETFL) & (os.O_APPEND | os.O_NONBLOCK) for fd in range(4)]\n"
TIMES = "import os\ndef f(n): return [os.fstat(fd).st_mtime_ns + os.fstat(fd).st_atime_ns for fd in range(4)]\n"
SIZES = (
    "import os\ndef f(n): return [os.fstat(fd).st_size for fd in (1, 2, 3)] + [os.lseek(fd, 0, 1) for fd in range(3)]\n"
)
LEAVE = {
    "flags": "import fcntl, os\nfor fd in range(6):\n    try: fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_NONBLOCK | os.O_APPEND)\n    except OSError: pass\n",
    "flags by a copy": "import fcntl, os\nfor fd in range(4): fcntl.fcntl(os.dup(fd), fcntl.F_SETFL, os.O_APPEND)\n",
    "non-blocking by ioctl": "import fcntl, struct\nfor fd in range(4):\n    try: fcntl.ioctl(fd, 0x5421, struct.pack('i', 1))\n    except OSError: pass\n",
    "output": "import os, sys\nprint('x' * 5000)\nos.write(2, b'y')\n",
    "an offset": "import os\nfor fd in range(4): os.lseek(fd, 77, 0)\n",
    "nothing": "",
}  # fmt: skip


@pytest.mark.parametrize("name", list(LEAVE))
def test_open_files_tell_nothing_of_the_program_before(executor: Executor, name: str) -> None:
    for look in (FLAGS, TIMES, SIZES):
        first = value(executor, f"{look}# {name}\n")
        one(executor, f"{LEAVE[name]}def f(n): return 16\n# {look}\n")
        assert value(executor, f"{look}# after {name}\n") == first


def test_numbers_of_processes_do_not_tell_that_the_program_before_made_threads() -> None:
    if not try_tier(3).holds:
        pytest.skip("the numbers are the machine's below tier 3")
    look = "import os\ndef f(n): return os.getpid()\n"
    threads = "import threading\nfor _ in range(300):\n    t = threading.Thread(target=int)\n    t.start()\n    t.join()\ndef f(n): return 16\n"
    with Executor(workers=1, require_tier=3) as executor:
        for at in range(2):
            assert one(executor, f"{threads}# {at}\n").passed
            result = one(executor, f"{look}# {at}\n")
            assert "got 2," in result.error and result.attempts == 1
            assert "got 3," in one(executor, f"{look}# again {at}\n").error


@pytest.mark.parametrize("command", [1024, 1026, 8, 10, 1031, 1033, 37, 6, 15, 36, 1036, 1040])
def test_descriptors_take_no_command_that_leaves_something_behind(executor: Executor, command: int) -> None:
    """Leases, notifications, owners, signals, pipe sizes, seals, locks, hints."""
    code = f"import fcntl, os\nr, w = os.pipe()\ndef f(n):\n    fcntl.fcntl(r, {command}, 0)\n    return 16\n"
    assert one(executor, code).status is Status.EXCEPTION


ASKED = CheckTests(
    "def check(candidate):\n    outs = [candidate(w) for w in ('aBcDe', 'AbCdE')]\n    assert outs == ['AbCdE', 'aBcDe']\n",
    "flip",
)
COUNTS = "import os\ncalls = 0\ndef flip(word):\n    global calls\n    calls += 1\n    print('call', calls, flush=True)\n    return object()\n"


def test_a_program_asked_call_by_call_is_started_once(executor: Executor) -> None:
    """A second start would know the later calls, had it any way to be told of them."""
    result = one(executor, COUNTS, ASKED)
    assert result.passed is False and result.stdout_tail.count("call 1\n") == 1


GROUPS = ["os.kill(0, 9)", "os.kill(-1, 9)", "os.killpg(os.getpgrp(), 9)", "os.kill(1, 2)", "os.kill(1, 9)", "os.kill(os.getppid(), 15)",
          "ctypes.CDLL(None).syscall(200, 1, 2) and 1 / 0", "ctypes.CDLL(None).syscall(234, 1, 1, 2) and 1 / 0"]  # fmt: skip


@pytest.mark.parametrize("act", GROUPS)
def test_no_signal_leaves_the_program(executor: Executor, act: str) -> None:
    result = one(executor, f"import ctypes, os\ndef f(n):\n    {act}\n    return 16\n")
    assert result.status is Status.EXCEPTION and result.attempts == 1


@pytest.mark.parametrize("abi", [0, 1, 3, 5])
def test_no_signal_reaches_the_stub_where_landlock_bounds_none(abi: int, monkeypatch: pytest.MonkeyPatch) -> None:
    if not try_tier(3).holds:
        pytest.skip("the stub is part of tier 3")
    monkeypatch.setattr(isolation_plan, "landlock_abi", lambda: abi)
    zygote = Zygote(isolation_plan.plan_for(3), "bare")
    try:
        for act in GROUPS[:6]:
            code = f"import os\n{act}\n"
            zygote.start(message(code, "calls", Limits(), 1))
            assert zygote.finish().signal == 0
        assert os.getsid(zygote.pid) == zygote.pid
        (inside,) = descendants(zygote.pid)
        assert os.getpgid(inside) == inside
    finally:
        zygote.close()


def test_a_filter_lets_signals_pass_by_a_processs_own_number_alone() -> None:
    if not syscalls.numbers("x86_64"):
        pytest.skip("no table")
    with_signals, _ = syscalls.build("x86_64", paths=True, signals=True)
    without, _ = syscalls.build("x86_64", paths=True, signals=False)
    assert with_signals != without


def test_an_own_class_named_like_a_builtin_is_not_the_builtin(executor: Executor) -> None:
    tests = CheckTests("try:\n    f(3)\nexcept ValueError:\n    pass\nelse:\n    assert False\nassert f(1) == 1\n", "f")
    code = "class ValueError({base}): pass\ndef f(n):\n    if n == 3: raise ValueError('no')\n    return n\n"
    for base, passed in (("BaseException", False), ("Exception", False), ("KeyError", False), ("ValueError", True)):
        assert one(executor, code.format(base=base), tests).passed is passed, base
    assert one(executor, "def f(n):\n    return int('x') if n == 3 else n\n", tests).passed
    outer = CheckTests("try:\n    f(3)\nexcept Exception:\n    pass\nassert f(1) == 1\n", "f")
    assert one(executor, code.format(base="BaseException"), outer).status is Status.EXCEPTION


MEMOS = [
    "import math\nmemo = math.__dict__.setdefault('memo', {})\nif 3 not in memo:\n    memo[3] = f(3)\nassert memo[3] == 16\n",
    "import collections\nif not hasattr(collections, 'memo'):\n    collections.memo = f(3)\nassert collections.memo == 16\n",
    "import math\nif not hasattr(math, 'memo'):\n    setattr(math, 'memo', f(3))\nassert math.memo == 16\n",
    "import builtins\nif not hasattr(builtins, 'memo'):\n    builtins.memo = f(3)\nassert builtins.memo == 16\n",
    "import sys\nif 'memo' not in sys.modules:\n    sys.modules['memo'] = f(3)\nassert sys.modules['memo'] == 16\n",
    "from keyword import kwlist as k\nif k[-1] != 16:\n    k.append(f(3))\nassert k[-1] == 16\n",
    "import os\nif 'MEMO' not in os.environ:\n    os.environ['MEMO'] = str(f(3))\nassert os.environ['MEMO'] == '16'\n",
]


@pytest.mark.parametrize("source", MEMOS)
def test_no_memo_of_the_tests_survives_to_the_next_program(executor: Executor, source: str) -> None:
    tests = CheckTests(source, "f")
    assert leaves_traces(source)
    for right in (True, False, True):
        assert one(executor, f"def f(n): return {16 if right else 0}\n", tests).passed is right


@pytest.mark.parametrize(
    "source",
    [
        "import math, random, copy\nassert math.isclose(f(1), copy.deepcopy(2))\nrandom.seed(1)\n",
        "from typing import List\nfrom collections import Counter\nassert Counter(f(1)) == Counter([1])\n",
        "class T:\n    def __init__(self):\n        self.x = 1\nassert f(T().x) == 2\n",
    ],
)
def test_ordinary_tests_need_no_copy_of_the_judge(source: str) -> None:
    assert not leaves_traces(source)


@pytest.mark.parametrize("end", ["while x != 16:\n    pass\n", "assert 3 ** (10 ** 9 * (x != 16)) == 1\n"])
def test_endless_tests_in_a_copy_are_a_time_out_and_the_judge_lives(executor: Executor, end: str) -> None:
    tests, limits = CheckTests(f"import sys\nx = f(3)\n{end}", "f"), Limits(0.1, 0.5)
    result = one(executor, "def f(n): return 0\n", tests, limits)
    assert result.status is Status.TIMEOUT_WALL and "end" in result.error
    assert one(executor, "def f(n): return 16\n", tests, limits).passed


def test_posix_timers_cannot_be_made(executor: Executor) -> None:
    code = "import ctypes\ndef f(n): return ctypes.CDLL(None).timer_create(0, None, ctypes.byref(ctypes.c_void_p()))\n"
    assert "got -1" in value(executor, code)


def test_packages_beside_the_library_cannot_be_read(executor: Executor) -> None:
    code = """
import os, sys
def f(n):
    found = []
    for base in {os.path.dirname(os.__file__), "/usr/lib", "/usr/local", "/usr/share", "/opt", *sys.path}:
        for folder, dirs, files in os.walk(base):
            if "-packages" in folder and "numpy" not in folder:
                for name in files[:3]:
                    try: found.append(open(os.path.join(folder, name), "rb").read(1))
                    except OSError: pass
    return found
"""
    assert one(executor, code, IOTests("f", [((3,), [])]), Limits(20.0, 60.0)).passed


CHAINS = {
    "x = f(3)\nwhile x.next:\n    x = x.next\n": "class A:\n    def __getattr__(self, name): return A()\ndef f(n): return A()\n",
    "for x in f(3):\n    pass\n": "class A:\n    __iter__ = __next__ = lambda self: self\ndef f(n): return A()\n",
    "x = f(3)\nwhile True:\n    x = x[0]\n": "import time\nclass A:\n    def __getitem__(self, k):\n        time.sleep(0.01)\n        return A()\ndef f(n): return A()\n",
}  # fmt: skip


@pytest.mark.parametrize("source", list(CHAINS))
def test_endless_chains_of_objects_end(executor: Executor, source: str) -> None:
    result = one(executor, CHAINS[source], CheckTests(source, "f"))
    assert result.status in (Status.TIMEOUT_WALL, Status.TIMEOUT_CPU, Status.OUTPUT_LIMIT), result


def test_tests_that_take_their_time_do_not_use_the_programs(executor: Executor) -> None:
    source = "import time\nx = f(3)\nfor _ in range(20):\n    assert x.n == 3\n    time.sleep(0.05)\n"
    assert one(executor, "class A: n = 3\ndef f(n): return A()\n", CheckTests(source, "f"), Limits(0.5, 0.5)).passed


LIST = "import os\ndef f(n): return os.listdir('.')\n"


def test_the_working_folder_is_empty_for_every_program(executor: Executor) -> None:
    empty = IOTests("f", [((3,), [])])
    jobs = [Job(str(at), f"{LIST}# {at}\n", empty) for at in range(50)]
    assert all(result.passed for result in executor.run(jobs))
    one(executor, "def f(n): open('left', 'w').write('16')\n")
    assert one(executor, f"{LIST}# after\n", empty).passed


@pytest.fixture(scope="module")
def full() -> Iterator[Executor]:
    if not try_tier(3).holds:
        pytest.skip("no folder is writable below tier 3")
    with Executor(workers=2, require_tier=3) as opened:
        yield opened


WRITES = """
import os, shutil, tempfile
def f(n):
    os.makedirs('a/b')
    with open('a/b/c', 'w') as file: file.write('16')
    os.rename('a/b/c', 'a/d')
    shutil.copy2('a/d', 'e')
    with tempfile.TemporaryFile() as file: file.write(b'x')
    found = sorted(os.listdir('.'))
    shutil.rmtree('a')
    return found + [open('e').read()]
"""


def test_a_program_may_use_files_of_its_own_and_they_are_gone_after(full: Executor) -> None:
    jobs = [Job(str(at), f"{WRITES}# {at}\n", IOTests("f", [((3,), ["a", "e", "16"])])) for at in range(6)]
    assert [result.status for result in full.run(jobs)] == [Status.PASSED] * 6
    script = "import os\nassert os.listdir('.') == []\nopen('x', 'w').write(input())\nprint(open('x').read())\n"
    assert full.run([Job("s", script, StdioTests([("1", "1"), ("2", "2"), ("3", "3")]))])[0].passed


@pytest.mark.parametrize(
    "body",
    [
        "while True: open(str(len(os.listdir('.'))), 'wb').write(b'x' * 900_000)",
        "while True: open(str(len(os.listdir('.'))), 'wb').close()",
        "while True: os.mkdir(str(len(os.listdir('.'))))",
        "file = open('x', 'wb')\n    while True: file.write(b'x' * 100_000)",
        "file = os.open('x', os.O_CREAT | os.O_WRONLY)\n    os.lseek(file, 2**40, 0)\n    os.write(file, b'x')",
        "open('/x', 'w')",
        "open('../x', 'w')",
        "open('/etc/hosts', 'a')",
        "open(os.__file__, 'a')",
        "os.mkdir(os.path.dirname(os.__file__) + '/x')",
        "os.unlink(os.__file__)",
        "os.rename('/usr', '/x')",
        "os.chmod(os.__file__, 0o777)",
        "os.utime(os.__file__)",
        "os.symlink('/etc', 'x')",
        "os.link(os.__file__, 'x')",
        "os.mkfifo('x')",
        "os.open('.', os.O_TMPFILE | os.O_RDWR)",
        "import socket\n    socket.socket(socket.AF_UNIX).bind('x')",
    ],
)
def test_writing_is_bounded_and_reaches_nothing_else(full: Executor, body: str) -> None:
    result = one(full, f"import os\ndef f(n):\n    {body}\n    return 16\n")
    assert result.status is Status.EXCEPTION, result
    assert one(full, f"{LIST}# {body}\n".replace("\n    ", " "), IOTests("f", [((3,), [])])).passed


# The first judge asks for as long as its slow candidate answers, the second is busy by itself.
@pytest.mark.parametrize("source", ["while f(3) > 0:\n    pass\n", "assert 3 ** 10 ** f(3) == 1\n"])
def test_a_busy_judge_ends_with_its_caller(source: str) -> None:
    code = f"""
import sys; sys.path.insert(0, {str(ROOT)!r})
from selfplay.sandbox import *
slow = "def f(n):\\n    return sum(range(10 ** 6)) and 10"
with Executor(workers=1) as executor:
    executor.run([Job("w", slow, IOTests("f", [((3,), 10)]))])
    print("ready", flush=True)
    executor.run([Job("x", slow, CheckTests({source!r}, "f"), Limits(60.0, 120.0))])
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as caller:
        try:
            assert caller.stdout is not None
            assert caller.stdout.readline() == b"ready\n"
            began = cpu_seconds(descendants(caller.pid))
            assert wait_for(lambda: cpu_seconds(descendants(caller.pid)) > began + 0.5), "the judge is not busy"
            below = descendants(caller.pid)
        finally:
            caller.kill()
    assert below
    assert still_alive(below) == []
