"""No program sees, beside a call, the arguments of another that give its answer away."""

import ast
from fractions import Fraction

import pytest

from selfplay.sandbox import CheckTests, Executor, IOTests, Job, Limits, Status
from selfplay.sandbox.answer_leaks import compared, leaks_answers
from selfplay.sandbox.checks import Prepared

PAIRS = [("aBc", "AbC"), ("AbC", "aBc"), ("xYz w", "XyZ W"), ("XyZ W", "xYz w")]
IO = IOTests("flip", [((text,), wanted) for text, wanted in PAIRS])
CHECK = CheckTests("\n".join(f"assert flip({text!r}) == {wanted!r}" for text, wanted in PAIRS), "flip")
LOOP = CheckTests(
    f"pairs = {PAIRS!r}\ndef check(candidate):\n    for text, wanted in pairs:\n        assert candidate(text) == wanted",
    "flip",
)
SORTED = CheckTests(
    "assert ''.join(sorted(flip('bca'))) == 'abc'\nassert ''.join(sorted(flip('abc'))) == 'abc'", "flip"
)

LOOKS_AHEAD = """
import gc, marshal, sys
def flip(text):
    seen, frame = [], sys._getframe()
    while frame is not None:
        seen += [v for value in frame.f_locals.values() for v in (value.values() if type(value) is dict else [value])]
        frame = frame.f_back
    seen += gc.get_objects()
    for value in seen:
        if type(value) in (list, tuple) and value and type(value[0]) is tuple and value[0][:1] == ("flip",):
            texts = [marshal.loads(raw)[0][0] for _, raw in value]
            at = texts.index(text)
            return texts[at + 1 if at % 2 == 0 else at - 1]
"""
RIGHT = "def flip(text): return text.swapcase()"


@pytest.mark.parametrize("tests", [IO, CHECK, LOOP], ids=["io", "check", "loop"])
def test_a_program_cannot_read_an_answer_among_the_calls_to_come(tests: IOTests | CheckTests) -> None:
    with Executor(workers=1, require_tier="best") as executor:
        looked, right = executor.run([Job("looks", LOOKS_AHEAD, tests), Job("right", RIGHT, tests)])
    assert looked.passed is False
    assert right.passed and len(right.tests) == len(PAIRS)


@pytest.mark.parametrize(
    ("calls", "told"),
    [
        ([((5,), [25]), ((25,), [625])], False),  # small numbers stand everywhere
        ([((500,), [2500]), ((2500,), [12500])], True),
        ([((2500,), [12500]), ((500,), [2500])], False),  # an earlier call's: it may be remembered anyway
        ([(("zz", "ab"), [0]), (("cd",), ["ab"]), (("ab",), ["ef"])], False),
        ([(("ab",), ["ab"]), (("cd",), ["cd"])], False),  # its own argument
        ([(([3, 1, 200],), [200]), (([200, 7],), [200])], False),
        ([(([3, 1],), [[1, 3]]), (((1, 3),), [[1, 3]])], True),  # a tuple of the same parts
        ([(({"k": [1, "two words"]},), ["x" * 9]), (([["x" * 9]],), [0])], True),  # somewhere inside
        ([((1.5,), [2.25]), ((2.25,), [0.0])], True),
        ([((2.0,), [1.5]), ((1.5,), [5.0]), ((4.0,), [16.0])], False),
        ([((2.0,), [1.5]), ((1.5,), [4.0]), ((4.0,), [16.0])], True),  # two of three: a pattern
        ([((7,), [22]), ((22,), [11]), ((11,), [5])], True),
        ([(("a",), ["b"]), (("b",), ["c"]), (("c",), [5])], True),
        ([(((7,), {}), [22]), (((), {"n": 22}), [11]), (((11,), {}), [5])], True),
        ([((7,), [22]), ((8,), [23]), ((22, 23), [1]), ((9,), [1]), ((10,), [1])], False),  # two of five
        ([((7,), [22]), (([22, 23],), [23]), (([23],), [1])], False),  # in lists numbers stand everywhere
        ([((3,), [True]), ((True,), [False]), ((False,), [True])], False),
        ([((1,), [Fraction(5, 7)]), ((Fraction(5, 7),), [0])], True),
        ([((True, ""), [False]), ((False, "a"), [[]]), (([],), ["a"])], False),
        ([], False),
    ],
)
def test_what_counts_as_told(calls: list[tuple[object, list[object]]], told: bool) -> None:
    assert leaks_answers(calls) is told


def test_a_test_source_is_told_apart_by_what_it_compares() -> None:
    assert Prepared(CHECK.source, "flip").one_by_one and Prepared(LOOP.source, "flip").one_by_one
    assert Prepared(SORTED.source, "flip").one_by_one, "compared after a conversion"
    assert not Prepared("assert f('some') == 'words'\nassert f('other') == 'texts'", "f").one_by_one
    assert not Prepared("assert f('some') == 'some'\nassert f('other') == 'other'", "f").one_by_one
    assert list(compared(ast.parse("assert f('a') == 'b' and n < 3"))) == [(["a"], ["b"]), ([], [3])]


PROGRAMS = {
    "right": (RIGHT, Status.PASSED),
    "wrong": ("def flip(text): return text.swapcase() if text != 'AbC' else 'no'", Status.WRONG_ANSWER),
    "raises": ("def flip(text): return text.swapcase() if text != 'AbC' else 1 / 0", Status.EXCEPTION),
    "leaves": ("import os\ndef flip(text): return text.swapcase() if text != 'AbC' else os._exit(0)", None),
    "exits": ("import sys\ndef flip(text): return text.swapcase() if text != 'AbC' else sys.exit(3)", Status.EXCEPTION),
    "does not parse": ("def flip(text: return text", Status.SYNTAX_ERROR),
    "fails to load": ("1 / 0\ndef flip(text): return text", Status.EXCEPTION),
    "has no such name": ("def flop(text): return text", Status.EXCEPTION),
    "loops": ("def flip(text):\n while True: pass", Status.TIMEOUT_CPU),
    "sleeps": ("import time\ndef flip(text): time.sleep(60)", Status.TIMEOUT_WALL),
    "returns an object": ("def flip(text): return object()", None),
    "returns its own text": ("class T(str): pass\ndef flip(text): return T(text.swapcase())", Status.PASSED),
    "floods": ("def flip(text): return 'x' * 10_000_000", Status.OUTPUT_LIMIT),
    "answers before it is asked": (
        "import os\ndef flip(text):\n os.write(5, b'[0,\"AbC\",null]\\n')\n return text.swapcase()",
        None,
    ),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_calls_asked_one_by_one_end_as_calls_asked_at_once_do(name: str) -> None:
    code, wanted = PROGRAMS[name]
    limits = Limits(cpu_seconds=0.5, wall_seconds=1.0)
    with Executor(workers=1, require_tier="best") as executor:
        results = executor.run(
            [Job("io", code, IO, limits), Job("check", code, CHECK, limits), Job("again", RIGHT, IO)]
        )
    for result in results[:2]:
        assert result.passed is (wanted is Status.PASSED)
        assert result.status is not Status.INFRA_ERROR
        assert wanted is None or result.status is wanted, result
    assert results[2].passed


def test_one_program_keeps_its_state_and_its_arguments_over_calls_asked_one_by_one() -> None:
    stack = "items = []\ndef push(x): items.append(x)\ndef pop(): return items.pop()"
    tests = CheckTests(
        "push('first one')\npush('second one')\nassert pop() == 'second one'\nassert pop() == 'first one'"
    )
    coded = "def encode(t): return t[::-1]\ndef decode(t): return t[::-1]"
    chained = CheckTests(
        "assert encode('some words') == 'sdrow emos'\nassert decode(encode('sdrow emos')) == 'sdrow emos'"
    )
    moved = "def grow(xs):\n    xs.append('an item')\n    return xs"
    changed = CheckTests(
        "xs = ['one item']\nassert grow(xs) is xs and xs == ['one item', 'an item']\nassert grow(['an item', 'x'])"
    )
    counted = "import collections\ndef f(t): return collections.Counter(t)"
    kept = IOTests("f", [(("aab",), {"a": 2, "b": 1}), (({"a": 2, "b": 1},), {"a": 2, "b": 1})])
    jobs = [
        Job("stack", stack, tests),
        Job("chained", coded, chained),
        Job("moved", moved, changed),
        Job("kept", counted, kept),
    ]
    assert Prepared(tests.source, "").one_by_one and Prepared(chained.source, "").one_by_one
    with Executor(workers=1, require_tier="best") as executor:
        for result in executor.run(jobs):
            assert result.passed, result


def test_a_module_s_list_that_a_program_changed_is_as_before_for_the_next_one() -> None:
    emptied = "def count(words):\n    n = len(words)\n    words.clear()\n    return n"
    right = "def count(words): return len(words)"
    tests = CheckTests("import keyword\nassert count(keyword.kwlist) == 35\nassert not keyword.kwlist", "count")
    again = CheckTests("import keyword\nassert count(keyword.kwlist) == 35", "count")
    with Executor(workers=1, require_tier="best") as executor:
        first = executor.run([Job("changes", emptied, tests)])[0]
        assert first.passed, "the tests see the change"
        assert executor.run([Job("right", right, again)])[0].passed
