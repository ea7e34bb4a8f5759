"""Programs that differ in what does nothing are one mode; programs that do something else are not."""

import pytest

from selfplay.curate.canonical import canonical_source

PLAIN = (
    "def f(xs):\n    total = 0\n    for x in xs:\n        if x != 3:\n            total = total + 1\n    return total\n"
)
SAME = {
    "dead assignment": ("    total = 0\n", "    total = 0\n    unused = 5\n"),
    "dead chain": ("    total = 0\n", "    total = 0\n    a = 5\n    b = a\n    c = [b, 1]\n"),
    "dead counter": ("    total = 0\n", "    total = 0\n    n = 0\n    n += 2\n"),
    "pass": ("    total = 0\n", "    total = 0\n    pass\n"),
    "docstring": ("    total = 0\n", "    'Counts.'\n    total = 0\n"),
    "bare constant": ("    total = 0\n", "    total = 0\n    12345\n"),
    "if false": ("    total = 0\n", "    total = 0\n    if False:\n        total = 9\n"),
    "if zero": ("    total = 0\n", "    total = 0\n    if 0:\n        print(1)\n"),
    "if true": ("    total = 0\n", "    if True:\n        total = 0\n"),
    "after return": ("    return total\n", "    return total\n    total = 7\n    print(total)\n"),
    "unused import": ("def f", "import math\nfrom os import path\ndef f"),
    "unused nested function": ("    total = 0\n", "    def helper(y):\n        return y\n    total = 0\n"),
    "assert true": ("    total = 0\n", "    assert True\n    total = 0\n"),
    "annotation": ("    total = 0\n", "    total: int = 0\n"),
    "self assignment": ("    total = 0\n", "    total = 0\n    total = total\n"),
    "augmented": ("total = total + 1", "total += 1"),
    "negated": ("if x != 3", "if not x == 3"),
    "turned": ("if x != 3", "if 3 != x"),
    "brackets": ("return total\n", "return (total)\n"),
    "renamed": ("total", "count"),
    "named and returned": ("    return total\n", "    result = total\n    return result\n"),
}


@pytest.mark.parametrize("kind", SAME)
def test_what_does_nothing_makes_no_other_mode(kind):
    before, after = SAME[kind]
    other = PLAIN.replace(before, after)
    assert other != PLAIN and canonical_source(other) == canonical_source(PLAIN)


def test_else_after_return_and_turned_order_are_one_form():
    first = "def f(a, b):\n    if a > b:\n        return 1\n    else:\n        return None\n"
    second = "def f(a, b):\n    if b < a:\n        return 1\n    return\n"
    assert canonical_source(first) == canonical_source(second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("def f(x):\n    x += [1]\n    return x", "def f(x):\n    x = x + [1]\n    return x"),
        ("def f(x):\n    y = g()\n    return x", "def f(x):\n    return x"),
        ("def f(x):\n    y = 1 / x\n    return x", "def f(x):\n    return x"),
        ("def f(x):\n    return 1\n    yield 2", "def f(x):\n    return 1"),
        ("def f(x):\n    if 0:\n        yield\n    return 1", "def f(x):\n    return 1"),
        ("def f(x):\n    y = 2\n    return eval('y')", "def f(x):\n    return eval('y')"),
        ("def f(a, b):\n    return a < b", "def f(a, b):\n    return a > b"),
        ("def f(a, b):\n    return g(a) > h(b)", "def f(a, b):\n    return h(b) < g(a)"),
        ("def f(xs):\n    return sorted(xs)[-1]", "def f(xs):\n    return max(xs)"),
        ("def f(x):\n    global n\n    n = 1\n    return x", "def f(x):\n    return x"),
        ("while True:\n    print(1)", "while False:\n    print(1)"),
    ],
)
def test_programs_that_do_something_else_stay_apart(first, second):
    assert canonical_source(first) != canonical_source(second)


def test_one_program_padded_in_fifty_ways_is_one_mode():
    padded = {
        canonical_source(
            PLAIN.replace("    total = 0\n", f"    v{n} = {n}\n    w{n} = v{n}\n    total = 0\n    '{n}'\n")
        )
        for n in range(50)
    }
    assert padded == {canonical_source(PLAIN)}


@pytest.mark.parametrize(
    "text",
    [
        "x = " + "1+" * 20_000 + "1",
        "(" * 90 + ")" * 90,
        "if 1:\n pass\n" * 4_000,
        "a = 1\n" * 8_000,
        "not " * 10_000 + "x",
    ],
)
def test_hostile_programs_end_in_a_line_or_none(text):
    assert canonical_source(text) is None or isinstance(canonical_source(text), str)
