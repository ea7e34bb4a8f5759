"""Test sources as people write them: imports, test functions, unittest, names like builtins, values in them."""

# ruff: noqa: E501

from collections.abc import Iterator
from typing import Any

import pytest

from selfplay.sandbox import CheckTests, Executor, IOTests, Job, Limits, Result, Status

ADD = "def add(a, b):\n    return a + b\n"
SUB = "def add(a, b):\n    return a - b\n"


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    with Executor(workers=1) as made:
        yield made


def one(executor: Executor, code: str, tests: Any, limits: Limits | None = None) -> Result:
    [result] = executor.run([Job("one", code, tests, limits)])
    return result


def check(executor: Executor, code: str, source: str, entry_point: str = "f") -> Status:
    return one(executor, code, CheckTests(source, entry_point)).status


# ---- imports ----


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("from solution import add", "No module named 'solution'"),
        ("import solution", "No module named 'solution'"),
        ("from candidate import *", "No module named 'candidate'"),
        ("import numpyy as np", "No module named 'numpyy'"),
        ("from math import cosine", "No module named 'math.cosine'"),
        ("from . import add", "fails"),
        ("import os, helper.utils", "No module named 'helper'"),
        ("def load():\n    import my_helper", "No module named 'my_helper'"),
        ("import pytest", "without pytest"),
        ("from pytest import raises, approx", "without pytest"),
    ],
)
def test_an_import_of_the_tests_that_fails_is_no_programs_fault(executor: Executor, line: str, said: str) -> None:
    for code in (ADD, SUB, "def"):
        result = one(executor, code, CheckTests(f"{line}\nassert add(1, 1) == 2\n", "add"))
        assert result.status is Status.INFRA_ERROR and result.passed is None
        assert (
            said in result.error
            and line.split("\n")[-1].strip() in result.error
            and result.error.startswith("tests, line ")
        )


def test_an_import_that_the_tests_provide_for_may_fail(executor: Executor) -> None:
    source = "try:\n    import no_such_module\nexcept ImportError:\n    no_such_module = None\nassert add(1, 1) == 2\n"
    assert check(executor, ADD, source, "add") is Status.PASSED
    assert check(executor, SUB, source, "add") is Status.WRONG_ANSWER


def test_an_import_error_of_the_program_is_its_own(executor: Executor) -> None:
    assert check(executor, "import no_such_module\n" + ADD, "assert add(1, 1) == 2", "add") is Status.EXCEPTION
    late = "def add(a, b):\n    import no_such_module\n"
    assert check(executor, late, "assert add(1, 1) == 2", "add") is Status.EXCEPTION
    assert one(executor, late, IOTests("add", [((1, 1), 2)])).passed is False


# ---- what a test runner would call ----

UNIT = """import unittest
class Base(unittest.TestCase):
    def setUp(self): self.three = 3
class TestAdd(Base):
    @classmethod
    def setUpClass(cls): cls.one = 1
    def test_sum(self):
        self.assertEqual(add(self.one, 2), self.three)
    def test_more(self):
        with self.subTest(k=1):
            self.assertAlmostEqual(add(0.1, 0.2), 0.3)
            self.assertIn(add(1, 1), [2])
            with self.assertRaises(TypeError):
                add(1, 'a')
"""
PYTEST = """class TestAdd:
    def test_sum(self):
        assert add(1, 2) == 3
    @staticmethod
    def test_more():
        assert add(2, 2) == 4
    def helper(self, x): return x
"""


@pytest.mark.parametrize(
    "source",
    [
        UNIT,
        UNIT + "unittest.main()\n",
        UNIT + "if __name__ == '__main__':\n    unittest.main(argv=['x'], exit=False)\n",
        UNIT.replace("import unittest", "from unittest import TestCase").replace("unittest.TestCase", "TestCase"),
        UNIT + "assert add(1, 1) == 2\n",
        PYTEST,
        "def test_sum():\n    assert add(1, 2) == 3\n\ndef test_more(k=2):\n    assert add(k, 2) == 4\n",
        "def test(a, b, want):\n    assert add(a, b) == want\n\ntest(1, 2, 3)\n",
        "def test_pair(pair):\n    assert add(*pair) == 3\nassert all(map(lambda p: test_pair(p) is None, [(1, 2)]))\n",
        "if __name__ == '__main__':\n    import pytest\n    pytest.main()\nelse:\n    assert add(1, 2) == 3\n",
    ],
)
def test_test_functions_classes_and_cases_are_run_without_a_runner(executor: Executor, source: str) -> None:
    assert check(executor, ADD, source, "add") is Status.PASSED
    assert check(executor, SUB, source, "add") is Status.WRONG_ANSWER


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def test_sum(numbers):\n    assert add(*numbers) == 3\n", "no fixtures"),
        (
            "class TestAdd:\n    def setup_method(self): pass\n    def test_sum(self):\n        assert add(1, 2) == 3\n",
            "setup_method",
        ),
        ("class TestAdd:\n    def test_sum(self, numbers):\n        assert add(*numbers) == 3\n", "no fixtures"),
        ("async def test_sum():\n    assert add(1, 2) == 3\n", "coroutine"),
        (
            "import unittest\nclass T(unittest.TestCase):\n    @unittest.skip('later')\n    def test_sum(self):\n        assert add(1, 2) == 3\n",
            "SkipTest",
        ),
        (
            "import unittest\nclass T(unittest.TestCase):\n    def test_sum(self):\n        assert add(1, 2)\n        self.skipTest('x')\n",
            "SkipTest",
        ),
        ("import sys\nassert add(1, 2)\nsys.exit(0)\n", "SystemExit"),
    ],
)
def test_tests_that_cannot_be_run_are_ours_and_say_so(executor: Executor, source: str, said: str) -> None:
    for code in (ADD, SUB):
        result = one(executor, code, CheckTests(source, "add"))
        assert (result.status, result.passed) == (Status.INFRA_ERROR, None) and said in result.error


@pytest.mark.parametrize(
    "source", ["assert add(lambda x: x, 2) == 2\n", "class Node: pass\nassert add(Node(), 2) == 2\n"]
)
def test_an_argument_that_is_no_value_is_an_unsupported_value(executor: Executor, source: str) -> None:
    for code in (ADD, SUB):
        result = one(executor, code, CheckTests(source, "add"))
        assert result.status is Status.UNSUPPORTED_VALUE and "the tests hand over what is no value" in result.error


# ---- names like builtins ----


@pytest.mark.parametrize("name", ["sum", "max", "sorted", "list", "str", "input", "print", "hash", "exit", "help"])
def test_an_entry_point_named_like_a_builtin_is_the_programs(executor: Executor, name: str) -> None:
    code = f"def {name}(a, b):\n    return a * b\n"
    source = f"assert {name}(10, 15) == 150\nassert {name}(3, 2) == 6\n"
    assert check(executor, code, source, name) is Status.PASSED
    assert check(executor, code.replace("*", "-"), source, name) is Status.WRONG_ANSWER
    assert check(executor, "x = 1\n", source, name) is Status.EXCEPTION
    assert one(executor, code, IOTests(name, [((10, 15), 150)])).status is Status.PASSED


def test_a_check_that_is_given_the_function_means_the_builtin_by_the_name(executor: Executor) -> None:
    source = "def check(candidate):\n    assert candidate([1, 2]) == sum([1, 2])\n    assert candidate([5]) == 5\n"
    assert (
        check(
            executor,
            "def sum(xs):\n    return __builtins__['sum'](xs) if 0 else xs[0] + (xs[1] if len(xs) > 1 else 0)\n",
            source,
            "sum",
        )
        is Status.PASSED
    )
    assert check(executor, "def sum(xs):\n    return xs[0]\n", source, "sum") is Status.WRONG_ANSWER


def test_other_builtins_stay_builtins_whatever_the_program_calls_its_own(executor: Executor) -> None:
    code = "def len(x): return 3\ndef f(x): return [1, 2]\n"
    assert check(executor, code, "assert len(f(1)) == 2\n") is Status.PASSED


# ---- values of Python's library ----

LIBRARY = [
    ("collections.Counter('aab')", "f().most_common(1) == [('a', 2)] and f() == {'a': 2, 'b': 1} and f()['z'] == 0"),
    ("collections.OrderedDict(b=1, a=2)", "list(f()) == ['b', 'a'] and f() == collections.OrderedDict(b=1, a=2) and f() != collections.OrderedDict(a=2, b=1)"),
    ("collections.deque([1, 2], 3)", "f()[0] == 1 and f() == collections.deque([1, 2]) and f().maxlen == 3"),
    ("collections.defaultdict(list, a=[1])", "f() == {'a': [1]}"),
    ("datetime.date(2020, 2, 29)", "f() == datetime.date(2020, 2, 29) and f().weekday() == 5"),
    ("datetime.datetime(2020, 1, 1, 12, 30, 1, 5)", "f() == datetime.datetime(2020, 1, 1, 12, 30, 1, 5) and f().hour == 12"),
    ("datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)", "f() == datetime.datetime(2020, 1, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=1)))"),
    ("datetime.time(12, 30)", "f() == datetime.time(12, 30)"),
    ("datetime.timedelta(days=-1, seconds=3)", "f() == datetime.timedelta(days=-1, seconds=3) and f().days == -1"),
    ("decimal.Decimal('1.10')", "f() == decimal.Decimal('1.1') and str(f()) == '1.10'"),
    ("fractions.Fraction(2, 6)", "f() == fractions.Fraction(1, 3) and f().denominator == 3"),
    ("[collections.Counter(a=1), {'k': datetime.date(1, 1, 1)}]", "f()[0]['a'] == 1 and f()[1]['k'].year == 1"),
]  # fmt: skip
IMPORTS = "import collections, datetime, decimal, fractions\n"


@pytest.mark.parametrize(("value", "said"), LIBRARY)
def test_values_of_the_library_are_themselves_in_the_tests(executor: Executor, value: str, said: str) -> None:
    code = f"{IMPORTS}class Own:\n    v = 1\ndef own(): return Own()\ndef f(): return {value}\ndef g(x): return x\n"
    assert check(executor, code, f"{IMPORTS}assert {said}\n") is Status.PASSED
    session = f"{IMPORTS}assert own().v == 1\nassert {said}\nassert g(f()) == f()\n"
    assert check(executor, code, session, entry_point="") is Status.PASSED
    assert check(executor, code.replace(value, "None"), f"{IMPORTS}assert {said}\n").value in (
        "wrong_answer",
        "exception",
    )
    wanted = eval(value, {name: __import__(name) for name in ("collections", "datetime", "decimal", "fractions")})
    if "defaultdict" not in value:
        assert one(executor, code, IOTests("f", [((), wanted)])).status is Status.PASSED
        assert one(executor, code, IOTests("g", [((wanted,), wanted)], strict=True)).status is Status.PASSED
    assert one(executor, code, IOTests("f", [((), "other")])).status is Status.WRONG_ANSWER


@pytest.mark.parametrize("value", ["['Counter', [[1]], None]", "['deque', 3, None]", "['date', [1, 2, 99], None]", "['datetime', [1, 1, 1], 1e9]", "['Popen', [], None]", "[1]", "['timedelta', [9999999999, 0, 0], None]"])  # fmt: skip
def test_a_forged_value_of_the_library_is_no_reply(executor: Executor, value: str) -> None:
    code = f"import json, os\ndef f():\n    os.write(3, (json.dumps([0, {{'L': {value}}}, None]) + chr(10)).encode())\n    os.write(3, b'[9]' + bytes([10]))\n    os._exit(0)\n"
    assert one(executor, code, IOTests("f", [((), 1)])).status is Status.PROTOCOL_VIOLATION


def test_an_array_is_judged_alike_whatever_the_judge_has_imported() -> None:
    pytest.importorskip("numpy")
    code = "import numpy as np\ndef f(x): return np.array([x])\ndef g(x): return [np.array([x])]\n"
    jobs = [
        Job("list", code, IOTests("f", [((7,), [7])])),
        Job("number", code, IOTests("f", [((7,), 7)])),
        Job("inner", code, IOTests("g", [((7,), [[7]])])),
    ]
    asserts = Job(
        "asserts", code, CheckTests("assert f(7)[0] == 7\nassert f(7).tolist() == [7]\nassert list(f(3)) == [3]\n", "f")
    )
    with Executor(workers=1) as fresh:
        before = [result.status for job in jobs for result in fresh.run([job])]
        assert before == [Status.UNSUPPORTED_VALUE] * 3
        assert fresh.run(
            [Job("numpy", code, CheckTests("import numpy as np\nassert (f(2) == np.array([2])).all()", "f"))]
        )[0].passed
        assert [result.status for job in jobs for result in fresh.run([job])] == before
    with Executor(workers=1) as fresh:
        assert fresh.run([asserts])[0].status is Status.PASSED
