"""Point by point: every status, one process a program, outages given up on, nothing left on disk, chained calls."""

# ruff: noqa: E501

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from selfplay.sandbox import CheckTests, Executor, IOTests, Job, Limits, Result, Status, StdioTests
from tests.support.sandbox.processes import children, descendants

ROOT = Path(__file__).resolve().parent.parent.parent
ADD = "def add(a, b):\n    return a + b\n"
IO = IOTests("add", [((2, 3), 5)])
SHORT = Limits(cpu_seconds=0.2, wall_seconds=0.3, memory_bytes=64 * 2**20, output_bytes=4096)


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    with Executor(workers=1) as opened:
        yield opened


def one(executor: Executor, code: str, tests: Any, limits: Limits | None = None) -> Result:
    (result,) = executor.run([Job("it", code, tests, limits)])
    return result


ENDS = {
    Status.PASSED: ADD,
    Status.WRONG_ANSWER: "def add(a, b): return a * b\n",
    Status.EXCEPTION: "def add(a, b): raise KeyError(a)\n",
    Status.SYNTAX_ERROR: "def add(a, b) return a\n",
    Status.TIMEOUT_CPU: "def add(a, b):\n    while True: pass\n",
    Status.TIMEOUT_WALL: "import time\ndef add(a, b): time.sleep(60)\n",
    Status.MEMORY: "def add(a, b): return len(bytearray(2**30))\n",
    Status.CRASHED: "import os\ndef add(a, b): os.kill(os.getpid(), 11)\n",
    Status.OUTPUT_LIMIT: "def add(a, b):\n    while True: print('x' * 1000)\n",
    Status.PROTOCOL_VIOLATION: "import os\ndef add(a, b):\n    os.write(3, b'[0,5,null] and more\\n')\n    return 5\n",
    Status.UNSUPPORTED_VALUE: "class A: pass\ndef add(a, b): return A()\n",
}


@pytest.mark.parametrize("status", list(ENDS))
def test_every_status_has_a_program_that_ends_in_it(executor: Executor, status: Status) -> None:
    result = one(executor, ENDS[status], IO, SHORT)
    assert result.status is status and result.passed is (status is Status.PASSED), result
    assert bool(result.error) is (status is not Status.PASSED)
    # what does not compile reaches no case; a flood's own case sees the write that failed
    assert result.tests[-1:] == (status,) or status in (Status.SYNTAX_ERROR, Status.OUTPUT_LIMIT)


def test_cases_keep_their_own_statuses_also_before_a_crash(executor: Executor) -> None:
    code = "import os\ndef f(n):\n    if n == 3: os._exit(7)\n    if n == 2: raise ValueError(n)\n    return n\n"
    result = one(executor, code, IOTests("f", [((0,), 0), ((1,), 9), ((2,), 2), ((3,), 3), ((4,), 4)]))
    assert result.tests == (Status.PASSED, Status.WRONG_ANSWER, Status.EXCEPTION, Status.CRASHED)
    assert result.status is Status.WRONG_ANSWER and "case 1" in result.error


def test_a_job_that_takes_the_judge_down_is_given_up_after_three_tries_and_blames_nobody() -> None:
    deadly = CheckTests("import os\nos.kill(os.getpid(), 9)\nassert add(1, 1) == 2\n", "add")
    jobs = [Job("deadly", ADD, deadly), *(Job("good", f"{ADD}# {at}\n", IO) for at in range(5))]
    with Executor(workers=1) as executor:
        first, *others = executor.run(jobs)
    assert (first.status, first.passed, first.attempts) == (Status.INFRA_ERROR, None, 3)
    assert "three times" in first.error and all(result.passed for result in others)


def test_no_program_finds_anything_of_the_one_before(executor: Executor) -> None:
    poison = "import builtins, sys, random, os\nbuiltins.len = lambda x: 99\nsys.modules['re'] = None\nsys.mark = builtins.mark = 1\nsys.setrecursionlimit(50)\nrandom.random = lambda: 7\nos.environ['MARK'] = '1'\n"
    look = "import builtins, sys, random, os, re\ndef f(): return [len('ab'), hasattr(sys, 'mark'), hasattr(builtins, 'mark'), random.random() < 1, 'MARK' in os.environ, sys.getrecursionlimit() > 500, __name__]\n"
    clean = [2, False, False, True, False, True, "candidate"]
    for at in range(3):
        assert one(executor, f"{poison}{ADD}# {at}\n", IO).passed is not None
        assert one(executor, f"{look}# {at}\n", IOTests("f", [((), clean)])).status is Status.PASSED


def test_every_program_has_a_process_of_its_own(executor: Executor) -> None:
    code = "import os\ndef f(): return os.getpid()\n"
    results = executor.run([Job("", f"{code}# {at}\n", IOTests("f", [((), 0)])) for at in range(20)])
    assert len({result.error for result in results}) == 20  # "got 17, expected 0"


ROUND_TRIP = CheckTests(
    "import random\nfor _ in range(60):\n    text = ''.join(random.choice('abc') for _ in range(9))\n    assert dec(enc(text)) == text\n"
)


def test_an_answer_handed_on_to_the_next_call_needs_no_second_exchange(executor: Executor) -> None:
    right = "def enc(s): return s[::-1]\ndef dec(s): return s[::-1]\n"
    assert one(executor, right, ROUND_TRIP).tests == (Status.PASSED,) * 60
    assert one(executor, right.replace("def dec(s): return s[::-1]", "def dec(s): return s"), ROUND_TRIP).status is (
        Status.WRONG_ANSWER
    )
    raising = "def enc(s): raise ValueError(s)\ndef dec(s): return s\n"
    assert one(executor, raising, ROUND_TRIP).status is Status.EXCEPTION
    lying = "class L(str):\n    __eq__ = lambda s, o: True\n    __hash__ = str.__hash__\ndef enc(s): return L('q')\ndef dec(s): return L('q')\n"
    assert one(executor, lying, ROUND_TRIP).status is Status.WRONG_ANSWER


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("xs = f(3)\nxs.append(4)\nassert g(xs) == 7\n", Status.PASSED),  # changed by the tests in between
        ("xs = f(3)\nassert g(xs) == 3 and xs == []\n", Status.PASSED),  # changed in place by the second call
        ("assert g([f(2), f(1)][0]) == 2\n", Status.PASSED),
        ("assert g(f(3) + [1]) == 4\n", Status.PASSED),  # made of an answer: call by call
        ("assert g(f(3)) == 4\n", Status.WRONG_ANSWER),
        ("assert g(xs=f(2)) == 2\n", Status.PASSED),
        ("try:\n    f(-1)\nexcept ValueError:\n    pass\nassert g(f(2)) == 2\n", Status.PASSED),
    ],
)
def test_chained_calls_have_the_verdict_of_plain_python(executor: Executor, source: str, wanted: Status) -> None:
    code = "def f(n):\n    if n < 0: raise ValueError(n)\n    return [1] * n\ndef g(xs):\n    total = sum(xs)\n    xs.clear()\n    return total\n"
    assert one(executor, code, CheckTests(source)).status is wanted


def test_a_failed_assert_in_a_helper_or_a_handler_counts_as_in_plain_python(executor: Executor) -> None:
    source = "def same(a, b):\n    assert a == b, f'{a} is not {b}'\ntry:\n    same(add(1, 1), 3)\n    raise SystemError\nexcept AssertionError as error:\n    assert '2 is not 3' in str(error)\nsame(add(1, 2), 3)\n"
    assert one(executor, ADD, CheckTests(source, "add")).status is Status.PASSED
    wrong = one(executor, ADD.replace("+", "-"), CheckTests(source, "add"))
    assert wrong.status is Status.WRONG_ANSWER and "str(error)" in wrong.error


def test_numpy_programs_need_no_thread_of_blas(executor: Executor) -> None:
    pytest.importorskip("numpy")
    code = "import numpy as np\ndef f(n):\n    a = np.ones((n, n))\n    return float((a @ a).sum()), float(np.random.random())\n"
    import numpy

    draw = float(numpy.random.RandomState(0).random_sample())
    result = one(executor, code, IOTests("f", [((200,), (8e6, draw))]), Limits(threads=0))
    assert result.status is Status.PASSED, result


def test_thousands_of_jobs_of_many_tasks_keep_their_order() -> None:
    tests = [IOTests("f", [((at,), at)]) for at in range(40)]
    jobs = [Job(str(at), f"def f(n): return n + {at % 2}\n# {at % 500}\n", tests[at % 40]) for at in range(2000)]
    with Executor(workers=2) as executor:
        results = executor.run(jobs)
    assert [result.id for result in results] == [job.id for job in jobs]
    assert [result.passed for result in results] == [at % 2 == 0 for at in range(2000)]


@pytest.mark.parametrize("end", ["pass", "os.kill(os.getpid(), 9)"])
def test_no_file_is_left_by_a_caller_that_closes_or_is_killed(tmp_path: Path, end: str) -> None:
    code = f"""
import os, sys; sys.path.insert(0, {str(ROOT)!r})
from selfplay.sandbox import *
with Executor(workers=1) as executor:
    assert executor.run([Job("a", "print(1)\\ndef f(): return 1", IOTests("f", [((), 1)]))])[0].passed
    {end}
"""
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=tmp_path, check=False)
    assert done.returncode == (0 if end == "pass" else -9) and list(tmp_path.iterdir()) == []


def test_scripts_are_not_believed_on_their_exit_status_alone(executor: Executor) -> None:
    tests = StdioTests([("1\n", "2\n"), ("5\n", "6\n")])
    for code in (
        "",
        "import os; os._exit(0)",
        "raise SystemExit(0)",
        "print('passed')",
        "import os; os.write(3, b'[9]\\n')",
    ):
        assert one(executor, code, tests).passed is False, code
    half = one(executor, "n = int(input())\nprint(n + 1)\nif n == 5: raise SystemExit(3)\n", tests)
    assert half.tests == (Status.PASSED, Status.EXCEPTION) and half.passed is False


def test_what_the_zygote_waits_for_a_core_is_no_waiting_of_the_program() -> None:
    """The zygote is stopped for longer than the wall limit, before it forks and after the program has ended."""
    code = "def add(a, b):\n    t = 0\n    for i in range(1_500_000): t += i\n    return a + b\n"
    limits = Limits(cpu_seconds=2.0, wall_seconds=0.5)
    before = children(os.getpid())
    with Executor(workers=1) as executor:
        (worker,) = children(os.getpid()) - before
        assert executor.run([Job("warm", ADD, IO)])[0].passed
        (zygote, *_) = [pid for pid in descendants(worker) if not descendants(pid)]
        os.kill(zygote, signal.SIGSTOP)
        stopper = threading.Thread(target=_go_stop_and_go, args=(zygote,))
        stopper.start()
        results = [executor.run([Job("slow start", f"{code}# {at}\n", IO, limits)])[0] for at in range(2)]
        stopper.join()
    assert [result.status for result in results] == [Status.PASSED] * 2


def _go_stop_and_go(pid: int) -> None:
    """Lets a stopped process go for a moment only, and then for good."""
    for seconds, number in ((1.2, signal.SIGCONT), (0.02, signal.SIGSTOP), (1.2, signal.SIGCONT)):
        time.sleep(seconds)
        os.kill(pid, number)
