"""The executor as a process among processes: order, duplicates, outages, time, and what is left behind."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from selfplay.errors import DataError, SandboxUnavailable
from selfplay.sandbox import CheckTests, Executor, IOTests, Job, Limits, Result, Status, StdioTests
from selfplay.sandbox.languages import LANGUAGES
from selfplay.sandbox.probe import try_tier
from tests.support.sandbox.processes import children, descendants, still_alive, wait_for

ADD = "def add(a, b):\n    return a + b\n"
ASSERTS = CheckTests("assert add(2, 3) == 5\n", "add")
ROOT = Path(__file__).resolve().parent.parent.parent


def mixed(count: int) -> list[Job]:
    """Right, wrong and raising programs in turn, each a text of its own."""
    bodies = ("return a + b", "return a - b", "raise ValueError(a)")
    return [Job(str(at), f"def add(a, b):\n    {bodies[at % 3]}\n# {at}\n", ASSERTS) for at in range(count)]


def test_results_are_in_the_order_of_the_jobs_and_equal_for_any_number_of_workers() -> None:
    jobs = mixed(90)
    found = []
    for workers in (1, 2, 3):
        with Executor(workers=workers) as executor:
            results = executor.run(jobs)
        assert [result.id for result in results] == [job.id for job in jobs]
        found.append([(result.status, result.error, result.tests) for result in results])
    assert found[0] == found[1] == found[2]


def test_jobs_of_an_iterator_run_while_the_next_are_made_and_come_to_the_same() -> None:
    """Drawn in blocks, and told apart from a list in nothing else: order, repeats, refusals, and repeats of what is done."""
    jobs = [*mixed(700), *mixed(5), Job("bad", 7, ASSERTS)]  # type: ignore[arg-type]
    drawn: list[int] = []
    ended: list[int] = []

    def made() -> Iterator[Job]:
        for at, job in enumerate(jobs):
            drawn.append(at)
            yield job

    def told(results: list[Result]) -> list[tuple[object, ...]]:
        return [(result.id, result.status, result.passed, result.error, result.tests) for result in results]

    with Executor(workers=2) as executor:
        whole = executor.run(jobs)
        assert told(executor.run(made())) == told(whole)
        drawn.clear()
        for result in executor.stream(made()):
            ended.append(len(drawn))
            assert result.id == "bad" or result.id in {job.id for job in jobs}
        assert ended[0] < len(jobs) and len(ended) == len(jobs)
        assert executor.run(iter(())) == [] and executor.run([]) == []


def test_an_iterator_that_raises_leaves_an_executor_that_works() -> None:
    def made() -> Iterator[Job]:
        yield from mixed(200)
        raise DataError("no tests")

    with Executor(workers=2) as executor:
        with pytest.raises(DataError, match="no tests"):
            executor.run(made())
        assert [result.id for result in executor.run(mixed(3))] == ["0", "1", "2"]


def test_what_needs_no_worker_is_answered_without_one() -> None:
    before = children(os.getpid())
    with Executor(workers=1) as executor:
        (worker,) = children(os.getpid()) - before
        os.kill(worker, signal.SIGSTOP)  # whatever waited for it would never end
        assert executor.run([]) == []
        assert executor.run([Job("bad", 7, ASSERTS)])[0].status is Status.SYNTAX_ERROR  # type: ignore[arg-type]
        os.kill(worker, signal.SIGCONT)


def test_a_stream_gives_each_job_once_and_may_be_left_early() -> None:
    with Executor(workers=2) as executor:
        assert sorted(int(result.id) for result in executor.stream(mixed(40))) == list(range(40))
        for result in executor.stream(mixed(200)):
            assert result.id
            break
        assert [result.passed for result in executor.run(mixed(3))] == [True, False, False]


def test_duplicates_in_a_call_run_once_and_all_have_the_result() -> None:
    code = "import os\ndef f(): return os.getpid()\n"
    with Executor(workers=1) as executor:
        results = executor.run([Job(str(at), code, IOTests("f", [((), 0)])) for at in range(200)])
    assert {result.status for result in results} == {Status.WRONG_ANSWER}
    assert len({result.error for result in results}) == 1, "each names the same process, as in `got 17, expected 0`"


def test_a_killed_worker_is_replaced_and_no_program_is_blamed() -> None:
    jobs = [Job(str(at), f"import time\ntime.sleep(0.05)\n{ADD}# {at}\n", ASSERTS) for at in range(40)]
    before = children(os.getpid())
    with Executor(workers=2) as executor:
        results = []
        for result in executor.stream(jobs):
            results.append(result)
            if len(results) in (3, 9):
                os.kill(min(children(os.getpid()) - before), signal.SIGKILL)
    assert sorted(int(result.id) for result in results) == list(range(40))
    assert {result.status for result in results} == {Status.PASSED}
    assert max(result.attempts for result in results) >= 2


def test_a_killed_zygote_is_replaced_and_the_program_is_tried_again() -> None:
    jobs = [Job(str(at), f"import time\ntime.sleep(0.05)\n{ADD}# {at}\n", ASSERTS) for at in range(20)]
    before = children(os.getpid())
    with Executor(workers=1) as executor:
        (worker,) = children(os.getpid()) - before
        results = []
        for result in executor.stream(jobs):
            results.append(result)
            if len(results) == 2:
                for pid in sorted(descendants(worker)):
                    with contextlib.suppress(ProcessLookupError):  # the first may take the others with it
                        os.kill(pid, signal.SIGKILL)
    assert [result.passed for result in results] == [True] * 20


def test_closing_leaves_no_process_no_descriptor_and_no_file() -> None:
    before, open_before = descendants(os.getpid()), len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        with Executor(workers=2) as executor:
            executor.run(mixed(6))
    assert descendants(os.getpid()) == before
    assert len(list(Path("/proc/self/fd").iterdir())) == open_before


@pytest.mark.parametrize("tier", [3, 2])
def test_killing_the_caller_ends_everything(tier: int) -> None:
    code = f"""
import sys; sys.path.insert(0, {str(ROOT)!r})
from selfplay.sandbox import *
with Executor(workers=2, require_tier={tier}, at_most={tier}) as executor:
    print("ready", flush=True)
    slow = "import time\\nwhile True: time.sleep(1)\\n"
    executor.run([Job(str(k), slow + f"# {{k}}", CheckTests("assert f() == 1", "f"), Limits(60.0)) for k in range(4)])
"""
    caller = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert caller.stdout is not None
    caller.stdout.readline()
    wait_for(lambda: len(descendants(caller.pid)) >= (8 if tier == 3 else 6))
    below = descendants(caller.pid)
    assert len(below) >= 6
    caller.kill()
    caller.wait()
    caller.stdout.close()
    assert still_alive(below) == []  # how long it takes on a quiet machine stands in docs/sandbox.md


def test_time_limits_hold_and_are_told_apart() -> None:
    with Executor(workers=1) as executor:
        loop = executor.run([Job("loop", "while True: pass\n", ASSERTS, Limits(cpu_seconds=0.3))])[0]
        sleep = executor.run([Job("sleep", "import time\ntime.sleep(60)\n", ASSERTS, Limits(0.5, wall_seconds=0.5))])[0]
    assert loop.status is Status.TIMEOUT_CPU and loop.cpu_seconds >= 0.3
    assert sleep.status is Status.TIMEOUT_WALL and sleep.cpu_seconds < loop.cpu_seconds


def test_a_crowd_makes_no_false_time_out() -> None:
    code = "def add(a, b):\n    t = 0\n    for i in range(400_000): t += i\n    return a + b\n"
    jobs = [Job(str(at), f"{code}# {at}\n", ASSERTS, Limits(cpu_seconds=0.5, wall_seconds=0.5)) for at in range(24)]
    with Executor(workers=8) as executor:
        assert [result.status for result in executor.run(jobs)] == [Status.PASSED] * 24


def test_memory_is_measured_and_bounded() -> None:
    code = "def f(n): return len(bytearray(n) * 1)\n"
    with Executor(workers=1) as executor:
        fits = executor.run([Job("a", code, IOTests("f", [((40_000_000,), 40_000_000)]), Limits(memory_bytes=2**27))])[
            0
        ]
        not_ = executor.run([Job("b", code, IOTests("f", [((400_000_000,), 0)]), Limits(memory_bytes=2**27))])[0]
        small = executor.run([Job("c", ADD, ASSERTS, Limits(memory_bytes=2**20)), Job("d", ADD, ASSERTS)])
    assert fits.passed is True and 30_000_000 < fits.peak_bytes < 100_000_000
    assert not_.status is Status.MEMORY
    assert small[1].passed is True


def test_best_takes_what_there_is_and_says_so(capfd: pytest.CaptureFixture[str]) -> None:
    with Executor(workers=1, require_tier="best") as executor:
        assert executor.run([Job("a", ADD, ASSERTS)])[0].tier == executor.tier
        assert f"tier {executor.tier}" in capfd.readouterr().err


@pytest.mark.parametrize("tier", [0, 1, 2, 3])
def test_every_tier_in_reach_runs_programs_and_is_stamped(tier: int) -> None:
    reach = try_tier(tier)
    if not reach.holds:
        pytest.skip(f"tier {tier} lacks {reach.missing}: {reach.reason}")
    with Executor(workers=1, require_tier=tier, at_most=tier) as executor:
        results = executor.run([*mixed(3), Job("m", "import math, re, collections\n" + ADD, ASSERTS)])
    assert [(result.passed, result.tier) for result in results] == [
        (True, tier),
        (False, tier),
        (False, tier),
        (True, tier),
    ]


def test_below_the_required_tier_the_missing_layer_and_the_remedy_are_named() -> None:
    code = f"""
import sys, ctypes, struct; sys.path.insert(0, {str(ROOT)!r})
from selfplay.sandbox import syscalls
import platform
nr = syscalls.numbers(platform.machine())
# a container without Landlock and namespaces: these calls fail in this process and below
prog = [(0x20, 0, 0, 0), (0x15, 0, 1, nr["landlock_create_ruleset"]), (6, 0, 0, 0x50000 | 38)]
prog += [(0x15, 0, 1, 272 if platform.machine() == "x86_64" else 97), (6, 0, 0, 0x50000 | 1), (6, 0, 0, 0x7FFF0000)]
raw = b"".join(struct.pack("<HBBI", *line) for line in prog)
buffer = ctypes.create_string_buffer(raw, len(raw))
class Filter(ctypes.Structure): _fields_ = [("n", ctypes.c_ushort), ("p", ctypes.c_void_p)]
libc = ctypes.CDLL(None)
libc.prctl(38, 1, 0, 0, 0)
assert libc.prctl(22, 2, ctypes.byref(Filter(len(raw) // 8, ctypes.addressof(buffer)))) == 0
from selfplay.sandbox import Executor, Job, CheckTests
from selfplay.errors import SandboxUnavailable
try:
    Executor().__enter__()
except SandboxUnavailable as error:
    print(error)
with Executor(workers=1, require_tier="best") as ex:
    print("BEST", ex.tier, ex.run([Job("a", "def f(): return 1", CheckTests("assert f() == 1", "f"))])[0].passed)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "tier 2 is not reachable" in done.stdout and "landlock" in done.stdout and "namespaces" in done.stdout
    assert "5.13" in done.stdout and "CAP_SYS_ADMIN" in done.stdout
    assert "BEST 1 True" in done.stdout, done.stdout + done.stderr
    assert issubclass(SandboxUnavailable, RuntimeError)


@pytest.mark.parametrize("name", sorted(LANGUAGES))
def test_each_other_language_runs_its_self_test(name: str) -> None:
    language = LANGUAGES[name]
    if language.program() is None:
        pytest.skip(f"{language.command[0]} is not installed")
    code, given, wanted = language.self_test
    with Executor(workers=1) as executor:
        right, wrong, broken, escape = executor.run(
            [
                Job("right", code, StdioTests([(given, wanted)], name)),
                Job("wrong", code, StdioTests([(given, wanted + "1")], name)),
                Job("broken", "(((", StdioTests([(given, wanted)], name)),
                Job(
                    "escape",
                    "console.log(require('fs').readFileSync('/etc/passwd').length > 0)",
                    StdioTests([("", "true")], name),
                ),
            ]
        )
    assert right.status is Status.PASSED and wrong.status is Status.WRONG_ANSWER
    assert broken.status is Status.SYNTAX_ERROR and escape.status is Status.EXCEPTION


def test_a_caller_without_privileges_gets_the_same_verdicts() -> None:
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin")
    if os.getuid() != 0 or python is None or not os.access(python, os.X_OK) or not ROOT.stat().st_mode & 0o005:
        pytest.skip("needs root, an interpreter and a checkout that an ordinary user can read")
    code = f"""
import sys; sys.path.insert(0, {str(ROOT)!r})
from selfplay.sandbox import *
with Executor(workers=2) as executor:
    jobs = [Job(str(k), "def f(n): return n * %d\\n# %d" % (k % 2 + 1, k), CheckTests("assert f(2) == 4", "f")) for k in range(20)]
    print(executor.tier >= 2, [r.passed for r in executor.run(jobs)] == [False, True] * 10)
"""
    done = subprocess.run(
        [python, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        user=65534,
        group=65534,
        extra_groups=[],
        env={},
        cwd="/",
        check=False,
    )
    if "3.11" in done.stderr or "ImportError" in done.stderr:
        pytest.skip(f"{python} is older than 3.11")
    assert done.stdout.split() == ["True", "True"], done.stdout + done.stderr
