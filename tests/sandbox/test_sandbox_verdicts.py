"""The verdicts of the executor on programs, and how it takes bad input."""

# ruff: noqa: E501

import random
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from selfplay.errors import ConfigError
from selfplay.sandbox import CheckTests, Executor, IOTests, Job, Limits, Result, Status, StdioTests

ADD = "def add(a, b):\n    return a + b\n"
ASSERTS = CheckTests("assert add(2, 3) == 5\nassert add(-1, 1) == 0\n", "add")


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    with Executor(workers=1) as opened:
        yield opened


def one(executor: Executor, code: Any, tests: Any, limits: Any = None) -> Result:
    (result,) = executor.run([Job("it", code, tests, limits)])
    return result


def test_a_right_program_passes_and_the_result_says_where_and_how(executor: Executor) -> None:
    result = one(executor, ADD + "print('hello')\n", ASSERTS)
    assert (result.status, result.passed, result.trust, result.attempts) == (Status.PASSED, True, "outside", 1)
    assert result.tests == (Status.PASSED, Status.PASSED)
    assert result.stdout_tail == "hello\n" and result.error == ""
    assert result.tier == executor.tier >= 2 and 0 < result.cpu_seconds < 1


@pytest.mark.parametrize(
    ("source", "entry_point"),
    [
        ("assert add(2, 3) == 5", ""),
        ("assert add(2, 3) == 5", "no_such_name"),
        ("def check(candidate):\n    assert candidate(2, 3) == 5\n", "add"),
        ("def check(candidate):\n    assert candidate(2, 3) == 5\ncheck(add)\n", "add"),
        ("def check(f):\n    assert f(2, 3) == 5\n\nassert add(1, 1) == 2\n", "add"),
        (
            "import math\nfrom collections import Counter\ndef near(a, b): return math.isclose(a, b)\nassert near(add(0.1, 0.2), 0.3)",
            "add",
        ),
        ("def test_it():\n    assert add(2, 3) == 5\n", "add"),
        ("assert math.floor(add(1.5, 1)) == 2", "add"),
    ],
)
def test_tests_are_asserts_or_a_check_that_nobody_calls_or_both(
    executor: Executor, source: str, entry_point: str
) -> None:
    assert one(executor, ADD, CheckTests(source, entry_point)).status is Status.PASSED
    wrong = one(executor, ADD.replace("+", "*"), CheckTests(source, entry_point))
    assert wrong.passed is False


def test_a_wrong_answer_names_the_assert_that_failed(executor: Executor) -> None:
    result = one(executor, ADD.replace("+", "-"), ASSERTS)
    assert result.status is Status.WRONG_ANSWER and "add(2, 3) == 5" in result.error


def test_an_entry_point_that_the_program_lacks_is_its_failure(executor: Executor) -> None:
    tests = CheckTests("def check(candidate):\n    assert candidate(1, 1) == 2\n", "plus")
    result = one(executor, ADD, tests)
    assert result.status is Status.EXCEPTION and result.passed is False and "plus" in result.error
    assert one(executor, ADD, IOTests("plus", [((1, 1), 2)])).status is Status.EXCEPTION


def test_changes_to_arguments_are_seen_by_the_tests(executor: Executor) -> None:
    code = "def order(xs):\n    xs.sort()\n"
    tests = CheckTests("xs = [3, 1, 2]\nassert order(xs) is None\nassert xs == [1, 2, 3]\n", "order")
    assert one(executor, code, tests).status is Status.PASSED
    assert one(executor, "def order(xs):\n    return sorted(xs)\n", tests).passed is False


def test_an_argument_returned_is_the_same_object_in_the_tests(executor: Executor) -> None:
    tests = CheckTests("xs = [2, 1]\nassert f(xs) is xs\n", "f")
    assert one(executor, "def f(xs):\n    xs.reverse()\n    return xs\n", tests).passed is True
    assert one(executor, "def f(xs):\n    return list(xs)\n", tests).passed is False


def test_calls_that_depend_on_answers_run_call_by_call(executor: Executor) -> None:
    code = "def up(x): return x + 1\ndef down(x): return x - 1\n"
    tests = CheckTests("for k in range(20):\n    assert down(up(k)) == k\n")
    assert one(executor, code, tests).status is Status.PASSED
    assert one(executor, code.replace("x - 1", "x"), tests).status is Status.WRONG_ANSWER


def test_exceptions_reach_the_tests_by_their_nearest_builtin_name(executor: Executor) -> None:
    source = "try:\n    f(-1)\n    assert False\nexcept ValueError as error:\n    assert 'low' in str(error)\nassert f(1) == 1\n"
    code = "class Low(ValueError): pass\ndef f(x):\n    if x < 0: raise Low('too low')\n    return x\n"
    assert one(executor, code, CheckTests(source, "f")).status is Status.PASSED
    assert (
        one(executor, code.replace("Low(ValueError)", "Low(KeyError)"), CheckTests(source, "f")).status
        is Status.EXCEPTION
    )


def test_objects_stay_inside_and_their_attributes_can_be_tested(executor: Executor) -> None:
    code = "class Point:\n    def __init__(self, x): self.x = x\n    def moved(self, by): return Point(self.x + by)\ndef make(x): return Point(x)\n"
    assert one(executor, code, CheckTests("assert make(1).moved(4).x == 5\n", "make")).status is Status.PASSED
    assert one(executor, code, CheckTests("assert list(gen(3)) == [0, 1, 2]\n", "gen")).status is Status.EXCEPTION
    generator = "def gen(n):\n    yield from range(n)\n"
    assert one(executor, generator, CheckTests("assert list(gen(3)) == [0, 1, 2]\n", "gen")).status is Status.PASSED


def test_equality_of_the_programs_own_objects_is_never_believed(executor: Executor) -> None:
    code = "class P:\n    def __init__(self, x): self.x = x\n    def __eq__(self, other): return True\ndef f(x): return P(x)\n"
    assert one(executor, code, CheckTests("assert f(1) == P(1)\n", "f")).status is Status.UNSUPPORTED_VALUE
    inside = one(executor, code, CheckTests("assert f(1) == P(1)\n", "f", trust="in_process"))
    assert inside.status is Status.PASSED and inside.trust == "in_process"


def test_tests_in_the_process_are_guarded_by_canaries(executor: Executor) -> None:
    tests = CheckTests("assert add(2, 3) == 5\nassert add(1, 1) == 2\n", "add", trust="in_process")
    assert one(executor, ADD, tests).tests == (Status.PASSED, Status.PASSED)
    assert one(executor, ADD.replace("+", "-"), tests).status is Status.WRONG_ANSWER
    quitting = one(executor, "import sys\ndef add(a, b): sys.exit(0)\n", tests)
    assert quitting.passed is False
    assert (
        one(executor, ADD, CheckTests("x = add(2, 3)\n", "add", trust="in_process")).status is Status.PROTOCOL_VIOLATION
    )


def test_which_tests_need_the_process_is_found_by_running_the_reference_both_ways(executor: Executor) -> None:
    own = "class P:\n    def __init__(self, x): self.x = x\n    def __eq__(self, other): return self.x == other.x\n"
    references = [
        Job("plain", ADD, ASSERTS),
        Job("objects", own, CheckTests("assert P(1) == P(1)\n", "P")),
        Job("broken", ADD, CheckTests("assert add(1, 1) == 3\n", "add")),
    ]
    assert executor.trusts(references) == ["outside", "in_process", "broken"]


VALUES = [
    0, -1, 2**63, -(2**200), 10**5000, 1.5, float("inf"), True, None, "", "naive ✓", "\ud800", b"\x00\xff", 3 + 4j,
    (), (1,), [1, [2, (3,)]], {1, 2}, frozenset({1}), {"a": [1], (1, 2): None}, Decimal("1.10"), Fraction(1, 3), range(3),
]  # fmt: skip


def test_values_cross_the_edge_unchanged_in_both_directions(executor: Executor) -> None:
    result = one(executor, "def same(x): return x\n", IOTests("same", [((value,), value) for value in VALUES]))
    assert result.status is Status.PASSED, (result.error, result.tests)


def test_types_count_as_python_counts_them(executor: Executor) -> None:
    code = "def f(x): return eval(x)\n"
    right = [("[1, 2]", [1, 2]), ("1", 1.0), ("float('nan')", float("nan")), ("1 == 1", True)]
    wrong = [("[1, 2]", {1, 2}), ("'1'", 1), ("b'a'", "a"), ("[1, 2.0001]", [1, 2]), ("{1: 2}", {1: 3})]
    result = one(executor, code, IOTests("f", [((x,), wanted) for x, wanted in [*right, *wrong]]))
    assert result.tests == (Status.PASSED,) * len(right) + (Status.WRONG_ANSWER,) * len(wrong)


def test_a_tolerance_holds_inside_containers_and_nowhere_else(executor: Executor) -> None:
    code = "def f(x): return {'a': [x + 1e-7, 'b']}\n"
    assert one(executor, code, IOTests("f", [((1.0,), {"a": [1.0, "b"]})], atol=1e-6)).passed is True
    assert one(executor, code, IOTests("f", [((1.0,), {"a": [1.0, "b"]})])).passed is False
    assert one(executor, code, IOTests("f", [((1.0,), {"a": [1.0, "c"]})], atol=1e-6)).passed is False


def test_each_case_has_its_own_status_and_the_first_bad_one_decides(executor: Executor) -> None:
    code = "def f(x):\n    if x == 2: raise KeyError(x)\n    if x == 3: return object()\n    return x\n"
    result = one(executor, code, IOTests("f", [((x,), x) for x in range(5)]))
    assert result.status is Status.EXCEPTION and "case 2" in result.error
    assert [status.value for status in result.tests] == ["passed", "passed", "exception", "unsupported_value", "passed"]


def test_a_script_is_judged_by_what_it_prints(executor: Executor) -> None:
    tests = StdioTests([("3\n4\n", "7\n"), ("1\n1\n", "2")])
    code = "import sys\nprint('noise', file=sys.stderr)\nif __name__ == '__main__':\n    print(int(input()) + int(input()), ' ')\n"
    assert one(executor, code, tests).tests == (Status.PASSED, Status.PASSED)
    assert one(executor, "print(7)\n", tests).tests == (Status.PASSED, Status.WRONG_ANSWER)
    assert one(executor, code + "raise SystemExit(3)\n", tests).status is Status.EXCEPTION
    assert one(executor, code + "raise SystemExit(0)\n", tests).status is Status.PASSED
    assert one(executor, "print(input())\n", StdioTests([("", "")])).status is Status.EXCEPTION
    threads = "import threading, time, atexit\natexit.register(print, 'end')\nthreading.Thread(target=lambda: (time.sleep(0.05), print('late'))).start()\n"
    assert one(executor, threads, StdioTests([("", "late\nend\n")])).status is Status.PASSED


def test_numpy_has_a_flavour_of_its_own(executor: Executor) -> None:
    pytest.importorskip("numpy")
    code = "import numpy as np\ndef f(x): return np.array(x) * 2\ndef g(x): return np.float64(x)\n"
    tests = CheckTests("import numpy as np\nassert (f([1, 2]) == np.array([2, 4])).all()\nassert g(1.5) == 1.5\n", "f")
    assert one(executor, code, tests).status is Status.PASSED
    assert one(executor, code.replace("* 2", "* 3"), tests).status is Status.WRONG_ANSWER


def test_threads_are_allowed_up_to_the_limit(executor: Executor) -> None:
    code = "import threading\ndef f(n):\n    found = []\n    ts = [threading.Thread(target=found.append, args=(k,)) for k in range(n)]\n"
    code += "    barrier = threading.Barrier(n)\n    ts = [threading.Thread(target=lambda k=k: (barrier.wait(5), found.append(k))) for k in range(n)]\n"
    code += "    [t.start() for t in ts]\n    [t.join() for t in ts]\n    return len(found)\n"
    assert one(executor, code, IOTests("f", [((8,), 8)])).status is Status.PASSED
    assert one(executor, code, IOTests("f", [((1,), 1)]), Limits(threads=0)).passed is False


def test_the_same_seed_gives_the_same_draws_in_every_process(executor: Executor) -> None:
    code = "import random\ndef f(): return random.random()\n"
    drawn = random.Random(0).random()
    assert one(executor, code, IOTests("f", [((), drawn)])).status is Status.PASSED
    assert one(executor, "def f(): return list({'a', 'b', 'c', 'd'})\n", IOTests("f", [((), None)])).error == (
        one(executor, "def f(): return list({'a', 'b', 'c', 'd'})\n# again\n", IOTests("f", [((), None)])).error
    )


def bad_jobs() -> list[tuple[Any, Status]]:
    cyclic: list[Any] = []
    cyclic.append(cyclic)
    infra, syntax = Status.INFRA_ERROR, Status.SYNTAX_ERROR
    return [
        (Job("no code", None, ASSERTS), syntax),  # type: ignore[arg-type]
        (Job("empty", "", ASSERTS), Status.EXCEPTION),
        (Job("bytes", b"pass", ASSERTS), syntax),  # type: ignore[arg-type]
        (Job("surrogate", "x = '\ud800'\n", ASSERTS), syntax),
        (Job("zero byte", "x = 1\0\n", ASSERTS), syntax),
        (Job("tests do not parse", ADD, CheckTests("assert add(", "add")), infra),
        (Job("tests with a zero byte", ADD, CheckTests("assert add(1, 1) == 2\0", "add")), infra),
        (Job("tests empty", ADD, CheckTests("", "add")), infra),
        (Job("tests call nothing", ADD, CheckTests("assert 1 == 1", "add")), infra),
        (Job("check without a name", ADD, CheckTests("def check(candidate): pass", "")), infra),
        (Job("no tests", ADD, None), infra),  # type: ignore[arg-type]
        (Job("no cases", ADD, IOTests("add", [])), infra),
        (Job("no entry point", ADD, IOTests("", [((1, 1), 2)])), infra),
        (Job("cannot be sent", ADD, IOTests("add", [((object(), 1), 2)])), infra),
        (Job("cannot be expected", ADD, IOTests("add", [((1, 1), lambda: 2)])), infra),
        (Job("cyclic", ADD, IOTests("add", [((cyclic, 1), 2)])), infra),
        (Job("no pairs", ADD, IOTests("add", [1, 2])), infra),  # type: ignore[list-item]
        (Job("atol", ADD, IOTests("add", [((1, 1), 2)], atol=float("nan"))), infra),
        (Job("language", ADD, StdioTests([("", "")], language="cobol")), infra),
        (Job("stdin is bytes", ADD, StdioTests([(b"", "")])), infra),  # type: ignore[list-item]
        (Job("cpu 0", ADD, ASSERTS, Limits(cpu_seconds=0)), infra),
        (Job("cpu nan", ADD, ASSERTS, Limits(cpu_seconds=float("nan"))), infra),
        (Job("cpu below 0", ADD, ASSERTS, Limits(cpu_seconds=-1)), infra),
        (Job("memory 0", ADD, ASSERTS, Limits(memory_bytes=0)), infra),
        (Job("output", ADD, ASSERTS, Limits(output_bytes=-5)), infra),
        (Job("threads", ADD, ASSERTS, Limits(threads=10**9)), infra),
        (Job("limits are a word", ADD, ASSERTS, "fast"), infra),  # type: ignore[arg-type]
        ("not a job", infra),
    ]


def test_bad_input_has_a_status_and_a_reason_of_its_own_and_the_others_are_unharmed(executor: Executor) -> None:
    listed = bad_jobs()
    mixed = [part for job, _ in listed for part in (job, Job("good", ADD, ASSERTS))]
    results = executor.run(mixed)
    for (job, wanted), result in zip(listed, results[::2], strict=True):
        assert result.status is wanted, (job, result)
        assert result.passed is (None if wanted is Status.INFRA_ERROR else False)
        assert result.error and result.error.encode("utf-8")
    assert all(result.passed for result in results[1::2])


def test_non_utf8_bytes_in_output_are_replaced(executor: Executor) -> None:
    result = one(executor, "import os\nos.write(1, b'\\xff\\xfe ok')\n" + ADD, ASSERTS)
    assert result.passed is True and result.stdout_tail.endswith("ok") and result.stdout_tail.encode("utf-8")


def test_ten_thousand_cases_in_a_job_are_all_judged(executor: Executor) -> None:
    cases = [((n, n), 2 * n) for n in range(10_000)]
    result = one(executor, ADD, IOTests("add", cases), Limits(cpu_seconds=20))
    assert result.status is Status.PASSED and len(result.tests) == 10_000
    cases[9_876] = ((1, 1), 3)
    result = one(executor, ADD, IOTests("add", cases), Limits(cpu_seconds=20))
    assert result.status is Status.WRONG_ANSWER and "case 9876" in result.error


def test_evidence_is_bounded(executor: Executor) -> None:
    result = one(executor, "print('x' * 100_000)\ndef add(a, b): raise ValueError('y' * 100_000)\n", ASSERTS)
    assert len(result.stdout_tail) == 4096 and len(result.error) <= 1000


@pytest.mark.parametrize(("workers", "tier"), [(0, 2), (-1, 2), (True, 2), (1, 4), (1, "some"), (1, True)])
def test_an_executor_that_makes_no_sense_is_refused(workers: Any, tier: Any) -> None:
    with pytest.raises(ConfigError, match="Executor: "):
        Executor(workers=workers, require_tier=tier)


def test_an_executor_that_is_not_open_says_so() -> None:
    with pytest.raises(ConfigError, match="with Executor"):
        Executor().run([Job("a", ADD, ASSERTS)])
