"""What a program's exceptions are in test code: their kind, their text, and no end of a loop unseen."""

# ruff: noqa: E501

from collections.abc import Iterator
from typing import Any

import pytest

from selfplay.sandbox import CheckTests, Executor, IOTests, Job, Limits, Result, Status, StdioTests


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    with Executor(workers=1) as made:
        yield made


def one(executor: Executor, code: str, tests: Any, limits: Limits | None = None) -> Result:
    [result] = executor.run([Job("one", code, tests, limits)])
    return result


def check(executor: Executor, code: str, source: str, entry_point: str = "f") -> Status:
    return one(executor, code, CheckTests(source, entry_point)).status


# ---- texts and kinds of exceptions ----


@pytest.mark.parametrize(
    ("raised", "kind", "text"),
    [
        ("ValueError('negative')", "ValueError", "negative"),
        ("KeyError('x')", "KeyError", "'x'"),
        ("ValueError(3)", "ValueError", "3"),
        ("ValueError('a', 2)", "ValueError", "('a', 2)"),
        ("ValueError", "ValueError", ""),
        ("OSError(2, 'gone')", "FileNotFoundError", "[Errno 2] gone"),
        ("IndexError('out (line 3)')", "IndexError", "out (line 3)"),
        ("Own('why', 7)", "ValueError", "7: why"),
        (
            "UnicodeDecodeError('utf-8', b'\\xff', 0, 1, 'bad')",
            "UnicodeError",
            "'utf-8' codec can't decode byte 0xff in position 0: bad",
        ),
        ("StopIteration('done')", "StopIteration", "done"),
        ("SystemExit('bye')", "SystemExit", "bye"),
        ("ExceptionGroup('many', [ValueError(1)])", "Exception", "many (1 sub-exception)"),
    ],
)
def test_the_tests_see_the_programs_own_text(executor: Executor, raised: str, kind: str, text: str) -> None:
    code = "class Own(ValueError):\n    def __init__(self, a, b): self.a, self.b = a, b\n    def __str__(self): return f'{self.b}: {self.a}'\n"
    code += f"def f(x):\n    if x < 0:\n        raise {raised}\n    return x\n"
    source = f"try:\n    f(-1)\nexcept {kind} as error:\n    assert str(error) == {text!r}\nelse:\n    assert False\nassert f(1) == 1\n"
    assert check(executor, code, source) is Status.PASSED
    assert check(executor, code, source.replace(f"== {text!r}", "== 'other'")) is Status.WRONG_ANSWER


def test_the_arguments_of_an_exception_are_its_own(executor: Executor) -> None:
    code = "def f(x):\n    raise KeyError(('a', x), [1])\n"
    source = (
        "try:\n    f(2)\nexcept KeyError as error:\n    assert error.args == (('a', 2), [1])\nelse:\n    assert False\n"
    )
    assert check(executor, code, source) is Status.PASSED


def test_the_evidence_still_names_the_line(executor: Executor) -> None:
    code = "def f(x):\n    y = x\n    raise ValueError('low')\n"
    for tests in (CheckTests("assert f(1) == 1", "f"), IOTests("f", [((1,), 1)])):
        assert one(executor, code, tests).error.endswith("ValueError: low (line 3)")
    assert (
        one(executor, "x = 1\nraise KeyError('a')\n", StdioTests([("", "")])).error == "case 0: KeyError: 'a' (line 2)"
    )


@pytest.mark.parametrize(
    "code",
    [
        "class ValueError(BaseException): pass\ndef f(x): raise ValueError('no')\n",
        "class ValueError(KeyError): pass\ndef f(x): raise ValueError('no')\n",
        "class Sly(Exception): pass\nSly.__name__ = 'ValueError'\ndef f(x): raise Sly('no')\n",
        "import builtins\nclass Sly(Exception): pass\nbuiltins.ValueError = Sly\ndef f(x): raise Sly('no')\n",
        "def f(x): raise ExceptionGroup('no', [ValueError('no')])\n",
        "def f(x): raise SystemExit('no')\n",
    ],
)
def test_a_class_that_borrows_a_builtins_name_is_not_taken_for_it(executor: Executor, code: str) -> None:
    source = "try:\n    f(1)\nexcept ValueError:\n    pass\nelse:\n    assert False\n"
    assert check(executor, code, source) is Status.EXCEPTION
    assert check(executor, "def f(x): raise ValueError('no')\n", source) is Status.PASSED


def test_what_leaves_python_is_no_exception_of_the_usual_kind(executor: Executor) -> None:
    source = "try:\n    f(1)\nexcept Exception:\n    pass\n"
    for kind in ("SystemExit", "KeyboardInterrupt", "GeneratorExit"):
        assert check(executor, f"def f(x): raise {kind}\n", source) is Status.EXCEPTION
    leaves = "try:\n    f(1)\nexcept SystemExit as error:\n    assert error.code == 3\nelse:\n    assert False\n"
    assert check(executor, "import sys\ndef f(x): sys.exit(3)\n", leaves) is Status.PASSED


# ---- exceptions that Python takes for signs ----

NAMED = [
    "",
    "# StopIteration\n",
    "try:\n    next(iter([]))\nexcept StopIteration:\n    pass\n",
    "import unittest\nunittest.TestCase().assertRaises(StopIteration, next, iter([]))\n",
]
LOOPS = [
    "for got, want in zip(map(f, [1, 2]), [1, 2]):\n    assert got == want\n",
    "for got in map(f, [1, 2]):\n    assert got in (1, 2)\n",
    "assert all(got == want for got, want in zip(map(f, [1, 2]), [1, 2]))\n",
    "import itertools\nfor got, want in zip(itertools.starmap(f, [(1,), (2,)]), [1, 2]):\n    assert got == want\n",
    "assert not any(got != want for got, want in zip(map(f, [1, 2]), [1, 2]))\n",
    "assert next(map(f, [1]), 1) == 1\n",
    "calls = iter([1, 2])\nfor got in iter(lambda: f(next(calls, 2)), 2):\n    assert got == 1\n",
    "def each():\n    for x in (1, 2):\n        yield f(x)\nfor got, want in zip(each(), [1, 2]):\n    assert got == want\n",
    "wanted = [1, 2]\nassert sum(1 for x in filter(lambda x: f(x) != x, [1, 2])) == 0\n",
    "class It:\n    def __iter__(self): return self\n    def __next__(self):\n        if getattr(self, 'n', 0) == 2: raise StopIteration\n        self.n = getattr(self, 'n', 0) + 1\n        return f(self.n)\nfor got, want in zip(It(), [1, 2]):\n    assert got == want\n",
    "for x in [1, 2]:\n    assert f(x) == x\n",
]


@pytest.mark.parametrize("named", range(len(NAMED)))
@pytest.mark.parametrize("kind", ["StopIteration", "StopAsyncIteration", "GeneratorExit", "Own"])
def test_no_exception_of_a_program_ends_a_loop_of_the_tests_unseen(executor: Executor, kind: str, named: int) -> None:
    wrong = f"class Own(StopIteration): pass\ndef f(x): raise {kind}\n"
    right = "def f(x): return x\n"
    tests = [CheckTests(NAMED[named] + loop, "f") for loop in LOOPS]
    assert [r.passed for r in executor.run([Job("wrong", wrong, each) for each in tests])] == [False] * len(LOOPS)
    assert [r.status for r in executor.run([Job("right", right, each) for each in tests])] == [Status.PASSED] * len(
        LOOPS
    )


PROTOCOLS = [
    (
        "IndexError",
        "class Seq:\n    def __getitem__(self, at):\n        if at > 1: raise IndexError\n        return f(at)\nfor got, want in zip(Seq(), [0, 1]):\n    assert got == want\n",
    ),
    (
        "IndexError",
        "class Seq:\n    def __getitem__(self, at):\n        if at > 1: raise IndexError\n        return f(at)\nassert 9 not in Seq()\n",
    ),
    (
        "KeyError",
        "from collections.abc import Mapping\nclass M(Mapping):\n    def __getitem__(self, key): return f(key)\n    def __iter__(self): return iter([1])\n    def __len__(self): return 1\nassert M().get(1, 1) == 1\n",
    ),
    (
        "AttributeError",
        "class P:\n    @property\n    def value(self): return f(1)\nassert getattr(P(), 'value', 1) == 1\n",
    ),
    (
        "AttributeError",
        "class P:\n    def __getattr__(self, name): return f(1)\nassert hasattr(P(), 'x') in (True, False)\nassert getattr(P(), 'x', 1) == 1\n",
    ),
    (
        "TypeError",
        "class L:\n    def __iter__(self): return iter([1])\n    def __len__(self): return f(1)\nassert list(L()) == [1]\n",
    ),
]


@pytest.mark.parametrize(("kind", "source"), PROTOCOLS)
def test_no_exception_of_a_program_is_taken_for_a_sign_of_a_class_of_the_tests(
    executor: Executor, kind: str, source: str
) -> None:
    assert check(executor, f"def f(x): raise {kind}('x')\n", source) is Status.EXCEPTION
    assert check(executor, "def f(x): return x\n", source) is Status.PASSED


@pytest.mark.parametrize(
    "kind",
    ["StopIteration", "IndexError", "KeyError", "AttributeError", "TypeError", "StopAsyncIteration", "GeneratorExit"],
)
@pytest.mark.parametrize("own", ["", "class Own:\n    def __getitem__(self, at): return at\n"])
def test_tests_that_expect_such_an_exception_get_it(executor: Executor, kind: str, own: str) -> None:
    code = f"def f(x):\n    if x < 0: raise {kind}('x')\n    return x\n"
    for source in (
        f"try:\n    f(-1)\nexcept {kind}:\n    pass\nelse:\n    assert False\n",
        f"try:\n    f(-1)\nexcept (ZeroDivisionError, {kind}) as error:\n    assert isinstance(error, {kind}) and 'x' in str(error)\nelse:\n    assert False\n",
        f"import unittest\nclass T(unittest.TestCase):\n    def test_it(self):\n        self.assertRaises({kind}, f, -1)\n        with self.assertRaises({kind}):\n            f(-1)\n        self.assertEqual(f(2), 2)\n",
        f"import contextlib\ndone = False\nwith contextlib.suppress({kind}):\n    f(-1)\n    done = True\nassert not done\n",
    ):
        assert check(executor, code, own + source) is Status.PASSED, source
        assert check(executor, "def f(x): return x\n", own + source) is Status.WRONG_ANSWER, source
        assert (
            check(
                executor,
                code.replace(f"raise {kind}", "raise ZeroDivisionError").replace("x <", "x <"),
                own + source.replace("ZeroDivisionError", "MemoryError"),
            )
            is Status.EXCEPTION
        )


def test_an_iterator_of_the_program_ends_a_loop_as_everywhere(executor: Executor) -> None:
    code = "def f(n):\n    yield from range(n)\n"
    source = "it = f(2)\nassert next(it) == 0 and next(it) == 1\ntry:\n    next(it)\nexcept StopIteration:\n    pass\nelse:\n    assert False\nassert list(f(3)) == [0, 1, 2]\nassert next(f(0), 7) == 7\n"
    assert check(executor, code, source) is Status.PASSED
    assert check(executor, code.replace("range(n)", "range(n + 1)"), source) is Status.WRONG_ANSWER
