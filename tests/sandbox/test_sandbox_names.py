"""Whose the names are that tests use without defining them: the library's are the judge's, the program's helpers are not believed."""

# ruff: noqa: E501

import ast
from collections.abc import Iterator

import pytest

from selfplay.sandbox import CheckTests, Executor, Job, Result, Status
from selfplay.sandbox.names import HOMES, MODULES, found, whose
from selfplay.sandbox.traces import leaves_traces

LIE = """
class Yes:
    def __getattr__(self, name): return lambda *a, **k: True
np = numpy = math = re = collections = json = copy = statistics = Yes()
def isclose(*a, **k): return True
allclose = array_equal = near = verify = same = isclose
def Counter(x): return 0
sqrt = fabs = Decimal = Fraction = deepcopy = reduce = datetime = defaultdict = poly = dumps = norm = Counter
def assert_allclose(*a): return None
def solve(n): return 0
"""
HONEST = "def solve(n): return n * n + 7\ndef other(n): return n + 1\n"


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    with Executor(workers=1) as made:
        yield made


def one(executor: Executor, code: str, source: str, entry_point: str = "solve", sandboxed: bool = False) -> Result:
    [result] = executor.run([Job("one", code, CheckTests(source, entry_point, sandboxed=sandboxed))])
    return result


LIBRARY = [
    "assert np.allclose(solve(3), 16)",
    "np.testing.assert_allclose(solve(3), 16)",
    "assert numpy.isclose(solve(3), 16)",
    "assert allclose(solve(3), 16)",
    "assert math.isclose(solve(3), 16)",
    "assert isclose(solve(3), 16)",
    "got = solve(3)\nassert isclose(got, 16)",
    "seen = []\nseen.append(solve(3))\nassert isclose(seen[0], 16)",
    "seen = {}\nseen['x'] = solve(3)\nassert isclose(seen['x'], 16)",
    "def got(): return solve(3)\nassert isclose(got(), 16)",
    "run = lambda n: solve(n)\nassert isclose(run(3), 16)",
    "assert all(isclose(solve(n), w) for n, w in [(3, 16)])",
    "for n, w in [(3, 16)]:\n    with_n = solve(n)\n    assert isclose(with_n, w)",
    "def check(candidate):\n    assert isclose(candidate(3), 16)",
    "def test_a():\n    assert isclose(solve(3), 16)",
    "import unittest\nclass T(unittest.TestCase):\n    def setUp(self): self.r = solve(3)\n    def test_a(self): self.assertTrue(isclose(self.r, 16))",
    "class T(TestCase):\n    def test_a(self): self.assertTrue(isclose(solve(3), 16))",
    "match solve(3):\n    case got:\n        assert isclose(got, 16)",
    "assert Counter([solve(3)]) == Counter([16])",
    "assert collections.Counter([solve(3)]) == collections.Counter([16])",
    "assert Decimal(solve(3)) == Decimal('16')",
    "assert Fraction(solve(3), 2) == Fraction(16, 2)",
    "assert solve(3) == sqrt(256)",
    "assert fabs(solve(3) - 16) < 1e-9",
    "assert reduce(lambda a, b: a + b, [solve(3), 1]) == 17",
    "assert datetime(2020, 1, 1 + solve(3)) == datetime(2020, 1, 17)",
    "assert dumps(solve(3)) == dumps(16)",
    "assert json.dumps(solve(3)) == json.dumps(16)",
    "assert re.match('16', str(solve(3)))",
    "xs = [3]\ngot = solve(xs[0])\nxs[0] = got\nassert isclose(xs[0], 16)",
    "xs = []\nheappush(xs, solve(3))\nassert isclose(xs[0], 16)",
    "def swap(x):\n    out[0] = solve(x)\nout = [0]\nswap(3)\nassert isclose(out[0], 16)",
    "d = defaultdict(int)\nd['a'] += solve(3)\nassert d['a'] == 16",
]


@pytest.mark.parametrize("source", LIBRARY)
def test_names_of_the_library_are_the_judge_s_whatever_a_program_calls_by_them(executor: Executor, source: str) -> None:
    assert one(executor, HONEST, source).status is Status.PASSED
    assert one(executor, LIE, source).passed is False
    assert one(executor, LIE, source, "solve" if "check(" in source else "").passed is False


@pytest.mark.parametrize(
    "source", [LIBRARY[0], LIBRARY[1], LIBRARY[5], LIBRARY[12], LIBRARY[18], LIBRARY[22], LIBRARY[26]]
)
def test_they_are_the_same_in_tests_that_a_model_wrote(executor: Executor, source: str) -> None:
    assert one(executor, HONEST, source, sandboxed=True).status is Status.PASSED
    assert one(executor, LIE, source, sandboxed=True).passed is False


HELPERS = [
    "assert abs(poly(solve(3))) < 1e-4",
    "assert near(solve(3), 16)",
    "got = solve(3)\nassert same(got, 16)",
    "assert solve(3) == norm(16)",
    "want = norm(16)\nassert solve(3) == want",
    "verify(solve(3), 16)\nassert solve(3) in (0, 16)",
    "if norm(3) == 0:\n    assert solve(3) == 0\nelse:\n    assert solve(3) == 16",
    "for n in range(norm(3)):\n    assert solve(n) == n\nassert solve(3) == 0",
    "def check(candidate):\n    for n in (3, 5):\n        assert math.fabs(poly(candidate(n))) < 1e-4",
    "assert list(map(norm, [solve(3)])) == [0]",
    "import unittest\nclass T(unittest.TestCase):\n    def test_a(self): self.assertTrue(near(solve(3), 16))",
    "assert norm(solve(3)) == 0 and solve(3) == 0",
    "xs = [1]\nassert solve(xs) == 0\nassert near(xs, [1, 2])",  # what the program left in an argument
    "xs = [1]\ngot = solve(xs)\nassert near(xs, [1, 2])",
    "xs = [1]\nassert norm(xs) == 0\nassert solve(3) in (0, 16, xs)",
    "norm.checked = True\nassert solve(3) in (0, 16)",
]


@pytest.mark.parametrize("source", HELPERS)
def test_a_helper_of_the_program_is_not_believed_about_its_entry_point(executor: Executor, source: str) -> None:
    result = one(executor, LIE, source)
    assert result.status is Status.UNSUPPORTED_VALUE and result.passed is False
    assert "of the program, which may be false; define it in the tests" in result.error


@pytest.mark.parametrize("source", HELPERS[:4])
def test_a_helper_that_the_tests_define_is_theirs(executor: Executor, source: str) -> None:
    defined = "def poly(x): return x - 16\ndef near(a, b): return a == b\ndef norm(x): return x\nsame = near\n"
    assert one(executor, HONEST, defined + source).status is Status.PASSED
    assert one(executor, LIE, defined + source).passed is False


@pytest.mark.parametrize(
    "source",
    [
        "assert solve(3) == 16\nassert other(1) == 2",
        "assert solve(3) == 16 and other(1) == 2",
        "assert solve(3) == 16\nfor n, want in [(1, 2), (5, 6)]:\n    assert other(n) == want, other(n)",
        "assert solve(3) == 16\nassert all(other(n) == n + 1 for n in range(4))",
        "import unittest\nclass T(unittest.TestCase):\n    def test_a(self):\n        self.assertEqual(other(1), 2)\n        self.assertEqual(solve(3), 16)",
    ],
)
def test_a_second_function_that_is_tested_by_itself_is_believed(executor: Executor, source: str) -> None:
    assert one(executor, HONEST, source).status is Status.PASSED
    assert one(executor, HONEST.replace("n + 1", "n"), source).status is Status.WRONG_ANSWER


def test_without_an_entry_point_tests_may_call_whatever_they_like(executor: Executor) -> None:
    assert one(executor, HONEST, "assert other(solve(3)) == 17", "").status is Status.PASSED
    assert one(executor, LIE, "assert near(solve(3), 16)", "").status is Status.PASSED


@pytest.mark.parametrize(
    ("source", "entry_point"),
    [
        ("assert gcd(4, 6) == 20", ""),
        ("assert abs(median([1, 2]) - 20) < 1e-9", ""),
        ("assert select(1) == 20", ""),
        ("assert string(1) == 20", ""),
        ("assert median([1]) == 20\nassert mean([1]) == 20", "mean"),
        ("assert sqrt(4) == 20", "sqrt"),
        ("def check(candidate):\n    assert candidate(4) == 20", "reduce"),
        ("assert math(4) == 20", "math"),
        ("assert bisect(4) == 20", ""),
    ],
)
def test_a_function_that_is_tested_is_the_program_s_whatever_the_library_calls_by_its_name(
    executor: Executor, source: str, entry_point: str
) -> None:
    names = ["gcd", "median", "select", "string", "mean", "sqrt", "reduce", "math", "bisect"]
    code = "def f(*args): return 20\n" + "".join(f"{name} = f\n" for name in names)
    assert one(executor, code, source, entry_point).status is Status.PASSED
    assert one(executor, code.replace("20", "21"), source, entry_point).status is Status.WRONG_ANSWER


def test_each_name_of_the_table_is_where_it_says() -> None:
    for home in (*HOMES.values(), *MODULES.values()):
        assert found(home) is not None


def test_tests_that_change_a_module_without_importing_it_run_in_a_copy() -> None:
    assert leaves_traces("sys.setrecursionlimit(5)\nassert f(1) == 1")
    assert leaves_traces("np.seterr(all='raise')\nassert f(1) == 1")
    assert not leaves_traces("assert math.isclose(f(1), 1) and isclose(f(2), 2)")


def test_a_large_source_is_sorted_in_time() -> None:
    lines = [f"x{n} = x{n - 1}\nassert isclose(solve(x{n}), x{n})" for n in range(1, 3000)]
    tree = ast.parse("\n".join(["x0 = solve(1)", *lines]))
    sorted_ = whose(tree, {"solve", "isclose"}, "solve", "c")
    assert (sorted_.program, sorted_.unbelieved) == (("solve",), "")
