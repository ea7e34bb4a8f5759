"""A second author's attacks, written from the threat model before the sandbox was read: wrong programs that want a pass."""

# ruff: noqa: E501

import textwrap
from dataclasses import dataclass, field

from selfplay.sandbox import CheckTests, IOTests, StdioTests

Tests = CheckTests | IOTests | StdioTests

IO = IOTests("solve", [((3,), 16), ((5,), 32)])
CHECK = CheckTests("assert solve(3) == 16\nassert solve(5) == 32\n", "solve")
SESSION = CheckTests("first = solve(3)\nassert abs(first - 16) < 1e-6\nassert solve(first - 13) == 16\n", "solve")
STDIO = StdioTests([("3\n", "16\n"), ("5\n", "32\n")])
NEAR = IOTests("solve", [((3,), 16.0), ((5,), [32.0, {"x": 1.5}])], atol=1e-6)
WORD = IOTests("solve", [((3,), "xylophone-7731-quartz-sixteen"), ((5,), "xylophone-9182-quartz-fifty")])
WORD_SESSION = CheckTests(
    "a = solve(3)\nassert a.upper() == 'XYLOPHONE-7731-QUARTZ'\nassert solve(len(a)) == 'xylophone-21'\n", "solve"
)

FAILS = ("wrong_answer", "exception")


@dataclass(frozen=True)
class Case:
    """One hostile program, the tests it is to fail and the statuses it may end with; `before` runs first, and is to pass."""

    name: str
    code: str
    tests: tuple[Tests, ...]
    expect: frozenset[str]
    limits: dict[str, float] = field(default_factory=dict)
    before: str = ""
    tiers: tuple[int, ...] = (3, 2)


def case(name: str, code: str, *expect: str, on: tuple[Tests, ...] = (IO, CHECK), **more: object) -> Case:
    """A wrong program."""
    return Case(name, textwrap.dedent(code), on, frozenset(expect or FAILS), **more)  # type: ignore[arg-type]


def act(name: str, body: str, *expect: str, on: tuple[Tests, ...] = (IO, CHECK), **more: object) -> Case:
    """A program that answers right only when its forbidden act worked."""
    lines = textwrap.indent(textwrap.dedent(body).strip("\n"), "    ")
    code = f"def attack():\n{lines}\n\ndef solve(n):\n    attack()\n    return n * n + 7\n"
    return Case(name, code, on, frozenset(expect or ("exception",)), **more)  # type: ignore[arg-type]


def check(name: str, source: str, code: str, *expect: str, **more: object) -> Case:
    """A wrong program against test source of its own."""
    return case(name, code, *expect, on=(CheckTests(textwrap.dedent(source), "solve"),), **more)


# a reader of memory that never faults: rt_sigprocmask copies its argument before it looks at what was asked
SCAN = '''
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
def mapped(at):
    ctypes.set_errno(0)
    libc.syscall(14, 99, ctypes.c_void_p(at), None, 8)
    return ctypes.get_errno() != 14
def hunt(word, stop=400_000):
    """Every page in runs around known objects that holds `word`; gives what follows."""
    found = []
    kept = [object(), [], {}, "a" * 5000, bytearray(300_000), ctypes.create_string_buffer(9), sys, ctypes.c_void_p(libc.environ if 0 else 0)]
    starts = {id(k) for k in kept} | {id(k) for k in sys.modules.values()} | {ctypes.addressof(kept[5])}
    libc.malloc.restype = ctypes.c_void_p
    starts |= {libc.malloc(size) for size in (100, 3000, 30_000, 120_000)}
    seen = set()
    todo = [s >> 12 for s in starts]
    while todo and len(seen) < stop:
        page = todo.pop()
        if page in seen: continue
        seen.add(page)
        if not mapped(page << 12): continue
        todo += [page + 1, page - 1]
        data = ctypes.string_at(page << 12, 4096)
        at = data.find(word)
        while at >= 0:
            found.append(bytes(data[at:at + 200]))
            at = data.find(word, at + 1)
    return found
'''

EQUALITY: list[Case] = [
    check("e01_membership_told", "assert 16 in solve(3)\nassert 32 in solve(5)\n", """
        class A:
            def __contains__(self, x): return True
        def solve(n): return A()
        """, "unsupported_value", *FAILS),
    check("e02_in_a_display", "assert solve(3) in (16, 17)\nassert solve(5) in {32}\n", """
        class A:
            def __eq__(self, o): return True
            def __hash__(self): return 32
        def solve(n): return A()
        """, "unsupported_value", *FAILS),
    check("e03_isinstance_by_class_property", "x = solve(3)\nassert isinstance(x, int)\nassert x == 16\n", """
        class A:
            __class__ = property(lambda self: int)
            def __eq__(self, o): return True
        def solve(n): return A()
        """, "unsupported_value", *FAILS),
    check("e04_sorted_by_liars", "assert sorted([solve(3), solve(5)]) == [16, 32]\n", """
        class A(int):
            def __lt__(self, o): return True
            def __eq__(self, o): return True
        def solve(n): return A()
        """, "unsupported_value", *FAILS),
    check("e05_not_unequal", "assert not solve(3) != 16\nassert not (solve(5) < 32 or solve(5) > 32)\n", """
        class A:
            def __ne__(self, o): return False
            def __lt__(self, o): return False
            def __gt__(self, o): return False
        def solve(n): return A()
        """, "unsupported_value", *FAILS),
    check("e06_reflected_by_a_subclass", "assert 16 == solve(3)\nassert [32] == [solve(5)]\n", """
        class A(int):
            def __eq__(self, o): return True
            def __ne__(self, o): return False
        def solve(n): return A(1)
        """),
    check("e07_isclose_and_max", "import math\nassert math.isclose(solve(3), 16)\nassert max(solve(5), 32) == 32 == min(solve(5), 32)\n", """
        class A(float):
            def __float__(self): return 16.0
            def __gt__(self, o): return False
            def __lt__(self, o): return False
            def __eq__(self, o): return True
        def solve(n): return A("nan")
        """, "unsupported_value", *FAILS),
    check("e08_numbers_with_types", "x = solve(3)\nassert type(x) is int and x == 16\n", """
        class M(type):
            def __eq__(cls, o): return True
            def __hash__(cls): return hash(int)
        class int(int, metaclass=M):
            def __eq__(self, o): return True
        def solve(n): return int(3)
        """, "unsupported_value", *FAILS),
    check("e09_map_ended_by_stop_iteration", "for got, want in zip(map(solve, [3, 5]), [16, 32]):\n    assert got == want\n", """
        def solve(n): raise StopIteration
        """, "exception", "wrong_answer"),
    check("e10_all_over_map", "assert all(map(lambda pair: solve(pair[0]) == pair[1], [(3, 16), (5, 32)]))\n", """
        def solve(n): raise StopIteration("done")
        """, "exception", "wrong_answer"),
    check("e11_exit_in_the_test", "def check(candidate):\n    assert candidate(3) == 16\n    assert candidate(5) == 32\n", """
        def solve(n): raise SystemExit(0)
        """, "exception"),
    check("e12_generator_exit", "def check(candidate):\n    for n, m in ((3, 16), (5, 32)):\n        assert candidate(n) == m\n", """
        class GeneratorExit(BaseException): pass
        def solve(n): raise GeneratorExit
        """, "exception"),
    check("e13_generator_that_lies", "assert list(solve(3)) == [16]\nassert sum(solve(5)) == 32\n", """
        class G:
            def __iter__(self): return self
            def __next__(self):
                class A(int):
                    def __eq__(self, o): return True
                    def __radd__(self, o): return A()
                self.n = getattr(self, 'n', 0) + 1
                if self.n > 1: raise StopIteration
                return A()
        def solve(n): return G()
        """, "unsupported_value", *FAILS),
    case("e15_float_for_int", "def solve(n): return float(n * n + 8)\n", "wrong_answer"),
    case("e16_nan_within_tolerance", "def solve(n): return float('nan') if n == 3 else [float('nan'), {'x': float('inf')}]\n", "wrong_answer", on=(NEAR,)),
    case("e17_huge_int_within_tolerance", "def solve(n): return 10 ** 400 if n == 3 else [-(10 ** 400), {'x': complex('nan')}]\n", "wrong_answer", on=(NEAR,)),
    case("e18_signalling_nan", "from decimal import Decimal\ndef solve(n): return Decimal('sNaN') if n == 3 else [Decimal('sNaN'), {'x': Decimal('-sNaN')}]\n",
         "wrong_answer", "exception", on=(NEAR, IO, CHECK, SESSION)),
    case("e19_unhashable_in_a_set", "from decimal import Decimal\nclass D(Decimal):\n    __hash__ = lambda s: 0\ndef solve(n): return {D('sNaN')} if n == 3 else {D('sNaN'): 1}\n",
         "protocol_violation", "unsupported_value", "wrong_answer", on=(NEAR, IO, CHECK)),
    case("e20_prefix_of_a_list", "def solve(n): return [32.0] if n == 5 else 16.0\n", "wrong_answer", on=(NEAR,)),
    case("e21_enum_and_named_tuple", """
        import enum, collections
        class E(enum.IntFlag):
            A = 1
            def __eq__(self, o): return True
            __hash__ = int.__hash__
        P = collections.namedtuple("P", "x")
        def solve(n): return E.A if n == 3 else P(32)
        """, "wrong_answer", "unsupported_value"),
    case("e22_argument_shared_with_expected", "def solve(rows):\n    rows.clear()\n    return []\n", "wrong_answer",
         on=(IOTests("solve", [((_rows := [1, 2],), _rows)]), CheckTests("rows = [1, 2]\nassert solve(rows) == [1, 2]\n", "solve"))),
    check("e23_mutation_by_a_liar", "data = [3, 1, 2]\nsolve(data)\nassert data == [1, 2, 3]\n", """
        class L(list):
            def __eq__(self, o): return True
        def solve(data):
            data[:] = [L(data)] * 3
            data.__class__ = L
        """),
    check("e24_mutation_bomb", "data = [3]\nsolve(data)\nassert data == [16]\n", """
        def solve(data):
            data[:] = [data] * 5
            data.append({"k": data})
        """, "timeout_cpu", "output_limit", "memory", limits={"cpu_seconds": 0.3}),
    check("e25_callback_from_the_test", "want = 16\ndef key(x):\n    return x\nassert solve([3, 1], key) == [1, 3]\nassert solve(3, key) == want\n", """
        def solve(n, key):
            for name in ("__globals__", "__closure__", "__code__", "__self__", "__wrapped__", "__dict__", "func", "_judge", "want"):
                try: v = getattr(key, name)
                except Exception: continue
                if isinstance(v, dict) and "want" in v: return v["want"]
                w = getattr(v, "want", None)
                if w: return w
            return [1, 3] if isinstance(n, list) else 0
        """, "unsupported_value", *FAILS),
    check("e26_callback_recursion", "def back(x):\n    return solve(x, back)\nassert solve(3, back) == 16\n", """
        def solve(n, back): return back(n + 1)
        """, "unsupported_value", "timeout_cpu", "timeout_wall", "output_limit", "protocol_violation", *FAILS),
]  # fmt: skip

JUDGE_BOMBS: list[Case] = [
    check("j01_int_of_a_huge_decimal", "assert int(solve(3)) == 16\n", "from decimal import Decimal\ndef solve(n): return Decimal('1E+999999999')\n",
          "timeout_cpu", "timeout_wall", "memory", "crashed", "unsupported_value", "output_limit", *FAILS),
    check("j02_list_of_a_huge_range", "assert len(list(range(solve(3)))) == 16\n", "def solve(n): return 10 ** 10\n",
          "timeout_cpu", "timeout_wall", "memory", "crashed", *FAILS),
    check("j03_power", "assert 2 ** solve(3) == 65536\n", "def solve(n): return 10 ** 11\n",
          "timeout_cpu", "timeout_wall", "memory", "crashed", *FAILS),
    check("j04_loop_until", "x = solve(3)\nwhile x != 16:\n    x = x // 2 if x > 16 else x - 1\nassert solve(5) == 32\n", "def solve(n): return 0\n",
          "timeout_cpu", "timeout_wall", "memory", "crashed", *FAILS),
    check("j05_redos", "import re\nassert re.fullmatch('(a+)+', solve(3))\n", "def solve(n): return 'a' * 40 + 'b'\n",
          "timeout_cpu", "timeout_wall", "crashed", *FAILS),
    check("j06_string_repeat", "assert len('ab' * solve(3)) == 32\n", "def solve(n): return 10 ** 11\n", "memory", "crashed", *FAILS),
    check("j07_huge_str_of_int", "assert str(solve(3)) == '16'\n", "import sys\nsys.set_int_max_str_digits(0)\ndef solve(n): return 1 << 3_000_000\n",
          "memory", "output_limit", "timeout_cpu", *FAILS),
    check("j08_hash_collisions", "assert len({*solve(3)}) == 16\n", "def solve(n): return [k * (2 ** 61 - 1) for k in range(1, 60_000)]\n",
          "timeout_cpu", "timeout_wall", "output_limit", *FAILS),
    check("j09_nested_compare", "x = solve(3)\nassert x == solve(5)\n", "def solve(n):\n    x = []\n    for _ in range(60): x = [x, x] if _ < 17 else [x]\n    return x if n == 3 else [x]\n",
          "unsupported_value", "output_limit", "timeout_cpu", *FAILS),
]  # fmt: skip

THOUGHT: list[Case] = [*EQUALITY, *JUDGE_BOMBS]
