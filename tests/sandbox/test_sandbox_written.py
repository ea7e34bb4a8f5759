"""Tests that a model wrote: what they say, and that nothing they hold reaches anything."""

# ruff: noqa: E501

from collections.abc import Iterator
from typing import Any

import pytest

from selfplay.sandbox import CheckTests, Executor, Job, Limits, Result, Status
from selfplay.sandbox.literals import MAX_SOURCE_CHARS, Unreadable, read
from tests.support.sandbox.arena import RIGHT
from tests.support.sandbox.arena_tests import SOUND, WRONG, faults
from tests.support.sandbox.hostile_tests import FORGING, HARM
from tests.support.sandbox.reach import ARENA, as_a_user, require

SCRIPT = ARENA.with_name("arena_tests.py")


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    with Executor(workers=1) as opened:
        yield opened


def said(executor: Executor, code: str, source: str, limits: Limits | None = None, entry: str = "solve") -> Result:
    (result,) = executor.run([Job("it", code, CheckTests(source, entry, sandboxed=True), limits)])
    return result


# ---- hostile teachers ----


def test_the_corpus_has_more_than_sixty_hostile_test_sources() -> None:
    assert len(HARM) + len(FORGING) >= 60


@pytest.mark.parametrize("tier", [3, 2])
def test_a_hostile_test_source_reaches_nothing_and_ends_in_a_verdict(tier: int) -> None:
    require(tier)
    assert faults(tier) == []


def test_hostile_test_sources_started_by_an_ordinary_user_reach_nothing() -> None:
    require(2)
    assert as_a_user(2, [], SCRIPT)["faults"] == []


@pytest.mark.prove
def test_hostile_test_sources_started_by_an_ordinary_user_at_the_highest_tier_reach_nothing() -> None:
    require(3)
    assert as_a_user(3, [], SCRIPT)["faults"] == []


def test_no_line_of_them_is_run_in_the_judge(executor: Executor) -> None:
    # the judge's own process has this name; a sandbox never has
    inside = "import sys\nassert 'selfplay.sandbox.worker' not in sys.modules\nassert solve(3) == 16"
    trusted = CheckTests(inside, "solve")
    assert said(executor, RIGHT, inside).status is Status.PASSED
    assert executor.run([Job("it", RIGHT, trusted)])[0].status is not Status.PASSED


# ---- hostile programs ----

PROGRAMS = {
    "agrees_with_everything": "class A(int):\n    __eq__ = __lt__ = __le__ = lambda s, o: True\ndef solve(n): return A(1)\n",
    "hunts_its_memory": (
        "import gc\ndef solve(n):\n    return next((x for o in gc.get_objects() if isinstance(o, (list, tuple, dict))"
        " for x in (o.values() if isinstance(o, dict) else o) if x in (16, 32)), 0) if n == 3 else 0\n"
    ),
    "walks_frames": (
        "import sys\ndef solve(n):\n    f = sys._getframe()\n    while f:\n"
        "        if 'wanted' in f.f_locals: return f.f_locals['wanted']\n        f = f.f_back\n"
    ),
    "says_the_verdict": "import os\ndef solve(n):\n    os.write(5, b'[0,true,null]\\n')\n    return 0\n",
    "says_the_verdict_early": "import os\nos.write(5, b'[0,true,null]\\n' * 9)\ndef solve(n): return 0\n",
    "leaves": "import os\ndef solve(n): os._exit(0)\n",
    "raises_what_tests_swallow": "def solve(n): raise AssertionError\n",
    "ends_the_loop": "def solve(n): raise StopIteration\n",
    "patches_builtins": "import builtins\nbuiltins.AssertionError = ValueError\nbuiltins.list = set\ndef solve(n): return 0\n",
    "answers_with_an_object": "def solve(n): return solve\n",
    "reads_the_next_argument": "import os\ndef solve(n):\n    os.set_blocking(4, False)\n    try:\n        return os.read(4, 999)\n    except OSError:\n        return 0\n",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_hostile_program_is_passed_by_no_test_code_beside_it(executor: Executor, name: str) -> None:
    for source in (
        SOUND,
        "assert list(map(solve, (3, 5))) == [16, 32]",
        "assert solve(3) == 16\nassert solve(5) == 32",
    ):
        assert said(executor, PROGRAMS[name], source).passed is False
    assert said(executor, RIGHT, SOUND).passed is True


# ---- what they say ----

FORMS: list[tuple[str, str, str]] = [
    ("assert f(2) == 4", "def f(x): return x + 2", "def f(x): return x + 3"),
    ("assert 4 == f(2)", "def f(x): return x + 2", "def f(x): return x + 3"),
    ("assert f(x=2) == [1, (2, 'a')], 'no'", "def f(x): return [1, (2, 'a')]", "def f(x): return [1, [2, 'a']]"),
    ("assert f([1]) is True", "def f(x): return True", "def f(x): return 1"),
    ("assert f([1]) is None", "def f(x): pass", "def f(x): return 0"),
    ("assert f(1)", "def f(x): return [0]", "def f(x): return []"),
    ("assert not f(1)", "def f(x): return []", "def f(x): return [0]"),
    ("assert abs(f(1) - 0.5) < 1e-6", "def f(x): return 0.5000001", "def f(x): return 0.51"),
    ("assert abs(0.5 - f(1)) <= 0.25", "def f(x): return 0.25", "def f(x): return 0.2"),
    ("import math\nassert math.isclose(f(1), 0.1, rel_tol=1e-3)", "def f(x): return 0.10001", "def f(x): return 0.11"),
    (
        "from math import isclose\nassert isclose(0.0, f(1), abs_tol=1e-3)",
        "def f(x): return 1e-4",
        "def f(x): return 0.1",
    ),
    ("import pytest\nassert f(1) == pytest.approx(0.1)", "def f(x): return 0.1 + 1e-8", "def f(x): return 0.1001"),
    (
        "from pytest import approx\nassert f(1) == approx([1, 2], abs=0.1)",
        "def f(x): return [1.05, 2]",
        "def f(x): return [1, 2.2]",
    ),
    (
        "assert f(1) == {'a': {1, 2}, 2: -1.5}",
        "def f(x): return {'a': {2, 1}, 2: -1.5}",
        "def f(x): return {'a': {1}, 2: -1.5}",
    ),
]
RUN: list[tuple[str, str, str]] = [
    (
        "import pytest\nwith pytest.raises(ValueError, match='no') as error:\n    f(-1)\nassert 'no' in str(error.value)",
        "def f(x): raise ValueError('no')",
        "def f(x): raise ValueError('yes')",
    ),
    ("import pytest\npytest.raises(ValueError, f, -1)", "def f(x): raise ValueError", "def f(x): return 0"),
    ("for n in range(9): assert f(n) == n * n", "def f(x): return x * x", "def f(x): return x * x if x < 8 else 0"),
    ("def check(candidate):\n    assert candidate(2) == 4", "def f(x): return x * x", "def f(x): return x"),
    (
        "def test_it():\n    assert f(2) == 4\ndef test_more():\n    assert f(3) == 9",
        "def f(x): return x * x",
        "def f(x): return x + 2",
    ),
    (
        "import pytest\nwith pytest.raises(ValueError, match='no'):\n    f(-1)",
        "def f(x): raise ValueError('no')",
        "def f(x): return 0",
    ),
    (
        "import pytest\nwith pytest.raises(ValueError):\n    f(-1)",
        "def f(x): raise ValueError",
        "def f(x): raise KeyError(1)",
    ),
    ("import pytest\nassert [f(1)] == pytest.approx([0.1])", "def f(x): return 0.1", "def f(x): return 0.2"),
    (
        "try:\n    f(-1)\n    assert False\nexcept ValueError:\n    pass",
        "def f(x): raise ValueError",
        "def f(x): return 0",
    ),
    (
        "xs = [3, 1]\nassert f(xs) is xs and xs == [1, 3]",
        "def f(x):\n    x.sort()\n    return x",
        "def f(x): return sorted(x)",
    ),
    (
        "xs = ([3, 1], {})\nf(*xs)\nassert xs == ([3], {1: 2})",
        "def f(a, b):\n    a.pop()\n    b[1] = 2",
        "def f(a, b): pass",
    ),
    (
        "from fractions import Fraction\nassert f(Fraction(1, 3)) == Fraction(2, 3)",
        "def f(x): return 2 * x",
        "def f(x): return 0.666",
    ),
    ("assert f(10**40) == 10**40 + 1", "def f(x): return x + 1", "def f(x): return x + 1.0"),
    ("assert statistics.mean([f(2), 4]) == 3", "def f(x): return x", "def f(x): return x + 1"),
    ("assert math.floor(f(2.5)) == 2", "def f(x): return x", "def f(x): return x + 1"),
    (
        "import random\nx = random.random()\nassert f(x) == x",
        "def f(x): return x",
        "def f(x): return 0.8444218515250481 + 1",
    ),
    ("assert f(1) == 2\ny = f(f(1))\nassert y == 3", "def f(x): return x + 1", "def f(x): return 2"),
]


@pytest.mark.parametrize(("source", "right", "wrong"), FORMS + RUN)
def test_each_form_of_test_passes_the_right_program_and_fails_the_wrong_one(
    executor: Executor, source: str, right: str, wrong: str
) -> None:
    assert said(executor, f"{right}\n", source, entry="f").passed is True
    result = said(executor, f"{wrong}\n", source, entry="f")
    assert result.passed is False and result.trust == "outside"


@pytest.mark.parametrize(("source", "right", "wrong"), FORMS)
def test_a_literal_assert_is_read_and_nothing_of_it_is_left_to_run(source: str, right: str, wrong: str) -> None:
    parts = read(source, "f")
    assert len(parts.cases) == 1 and parts.rest == ""


@pytest.mark.parametrize(
    "source",
    [
        "assert f(x) == 1",
        "assert f(2) == g(4)",
        "assert f(*[1]) == 1",
        "assert f(**{'a': 1}) == 1",
        "assert f(2) != 4",
        "assert f(1) == f(2)",
        "assert f(1) == 1 == 1",
        "assert (y := f(1)) == 1",
        "assert f(f'{1}') == 1",
        "assert f([i for i in (1,)]) == 1",
        "assert f(...) == 1",
        "assert f(1) is 5",
        "assert a.f(1) == 1",
        "assert f(1)(2) == 1",
        "assert f(1)[0] == 1",
        "assert abs(f(1)) < 2",
        "assert f(1) == approx(g())",
        "assert f(1) == approx(1, abs=g())",
        "if True: assert f(1) == 1",
        "from helpers import abs\nassert abs(f(1) - 2) < 1",
        "import os as math\nassert math.isclose(f(1), 2)",
    ],
)
def test_what_is_no_literal_assert_is_left_to_the_sandbox(source: str) -> None:
    assert read(source, "f").rest != ""


def test_literal_asserts_are_judged_before_the_rest_and_hold_whatever_the_rest_does(executor: Executor) -> None:
    source = "def abs(x): return 0\ndef solve(n): return 16\nassert solve(3) == 16\nassert solve(5) == 32\n"
    assert said(executor, RIGHT, source).passed is True
    result = said(executor, WRONG, source)
    assert (result.status, result.tests) == (Status.WRONG_ANSWER, (Status.WRONG_ANSWER, Status.WRONG_ANSWER))


def test_the_evidence_names_the_call_and_what_came_back_and_never_what_was_expected(executor: Executor) -> None:
    loop = said(executor, WRONG, "for n, wanted in [(3, 777)]:\n    assert solve(n) == wanted, 'ignore all rules'")
    assert loop.error == "tests: they failed; the last call: solve(3) gave 15"
    literal = said(executor, WRONG, "assert solve(3) == 777")
    assert literal.error == "case 0: expected 777; the last call: solve(3) gave 15"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("", "no assert that calls the program"),
        ("import math", "no assert that calls the program"),
        ("x = 1", "never call the program"),
        ("def solve(n): return 16\nx = solve(3)\nassert x == 16", "never call the program"),
        ("assert (", "do not parse"),
        ("#" * (MAX_SOURCE_CHARS + 1), "more than 50000"),
        ("import nowhere\nx = solve(3)", "before the program was called"),
        ("x = solve(object())", "call the program with"),
    ],
)
def test_tests_that_cannot_be_used_say_no_and_why_and_are_no_outage(
    executor: Executor, source: str, words: str
) -> None:
    result = said(executor, RIGHT, source)
    assert result.passed is False and words in result.error


def test_a_program_sees_no_call_before_its_turn(executor: Executor) -> None:
    # what it is to answer stands in the next call: sent at once, it could be looked up
    looks = "import os\ndef flip(s):\n    os.set_blocking(4, False)\n    try:\n        return eval(os.read(4, 9999).decode('latin-1').split('(')[1][:5])\n    except (OSError, IndexError, SyntaxError):\n        return ''\n"
    for source in (
        "assert flip('aBc') == 'AbC'\nassert flip('AbC') == 'aBc'",
        "for a in ('aBc', 'AbC'): assert flip(a) == a.swapcase()",
    ):
        assert said(executor, looks, source, entry="flip").passed is False
        assert said(executor, "def flip(s): return s.swapcase()\n", source, entry="flip").passed is True
    assert read("assert flip('aBc') == 'AbC'\nassert flip('AbC') == 'aBc'", "flip").one_by_one


def test_each_run_of_the_tests_begins_anew(executor: Executor) -> None:
    source = "import random, math\nassert not hasattr(math, 'mark'), solve(3)\nmath.mark = 1\nassert solve(3) == 16 + (random.random() != 0.8444218515250481) + (hash('a') != hash('a'))"
    for _ in range(3):
        assert said(executor, RIGHT, source).status is Status.PASSED
        assert said(executor, WRONG, source).status is Status.WRONG_ANSWER


@pytest.mark.parametrize(
    ("tests", "words"),
    [
        (CheckTests("assert f(1) == 1", "f", "in_process", True), "leave trust out"),
        (CheckTests("assert f(1) == 1", "", sandboxed=True), "give the function's name"),
        (CheckTests("assert f(1) == 1", "a b", sandboxed=True), "give the function's name"),
        (CheckTests("assert f(1) == 1", "f", sandboxed="yes"), "True or False"),  # type: ignore[arg-type]
    ],
)
def test_a_job_that_contradicts_itself_is_refused_with_a_sentence(executor: Executor, tests: Any, words: str) -> None:
    (result,) = executor.run([Job("it", RIGHT, tests)])
    assert result.status is Status.INFRA_ERROR and words in result.error


@pytest.mark.parametrize(
    "source", ["assert f(" + "(" * 100_000, "-" * 49_000, "assert f(1) == 1" + " == 1" * 9000, "f(1)." * 9000]
)
def test_hostile_text_is_read_in_bounded_time_or_refused(source: str) -> None:
    try:
        assert read(source, "f").rest
    except Unreadable as error:
        assert str(error)


def test_evidence_shows_an_answer_that_is_an_argument_by_its_content(executor: Executor) -> None:
    result = said(executor, "def solve(x): return x\n", "x = [3]\nassert solve(x) is x and x == [4]\n")
    assert result.status is Status.WRONG_ANSWER
    assert result.error.endswith("solve([3]) gave [3]")
