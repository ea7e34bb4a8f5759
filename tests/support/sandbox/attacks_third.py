"""A third corpus, on what came last: lenient JSON, class `Solution`, `exit()`, exceptions remade, values that cross, working folders."""

# ruff: noqa: E501

import importlib.util

from selfplay.sandbox import CheckTests, IOTests
from tests.support.sandbox.attacks_second import CHECK, IO, SESSION, STDIO, Case, case, check

NOT_PASSED = frozenset(
    {
        "wrong_answer", "exception", "unsupported_value", "protocol_violation", "timeout_cpu", "timeout_wall", "memory", "crashed", "output_limit", "syntax_error", "no_entry_point",
    }
)  # fmt: skip
"""Every verdict but a pass and an outage of ours."""


def gives(name: str, wanted: object, answer: str, *, atol: float = 0.0, strict: bool = False, setup: str = "") -> Case:
    """A program that answers with `answer` where `wanted` is wanted."""
    tests = (IOTests("solve", [((3,), wanted)], atol=atol, strict=strict),)
    return case(name, f"{setup}\ndef solve(n): return {answer}\n", *NOT_PASSED, on=tests)


def alone(name: str, source: str, code: str, *expect: str, entry: str = "solve", **more: object) -> Case:
    """A wrong program against test source that a model wrote."""
    return case(name, code, *(expect or NOT_PASSED), on=(CheckTests(source, entry, sandboxed=True),), **more)


def fails(name: str, source: str, code: str, **more: object) -> Case:
    return check(name, source, code, *NOT_PASSED, **more)


JSON = [
    gives("j01_key_twice", {"1": "a"}, "{1: 'a', '1': 'b'}"),
    gives("j02_key_twice_other_way", {"1": "a"}, "{'1': 'a', 1: 'b'}"),
    gives("j03_true_is_no_key_one", {"1": "a"}, "{True: 'a'}"),
    gives("j04_float_key", {"1": "a"}, "{1.0: 'a'}"),
    gives("j05_key_of_digits_for_an_integer", {1: "a"}, "{'1': 'a'}"),
    gives("j06_padded_key", {"01": "a"}, "{1: 'a'}"),
    gives("j07_key_with_a_sign", {"+1": "a"}, "{1: 'a'}"),
    gives("j08_digits_of_another_script", {"\u0663": "a"}, "{3: 'a'}"),
    gives("j09_set_for_a_list", [1, 2], "{1, 2}"),
    gives("j10_string_for_a_list", ["a", "b"], "'ab'"),
    gives("j11_bytes_for_a_list", [1, 2], "bytes([1, 2])"),
    gives("j12_range_for_a_list", [0, 1], "range(2)"),
    gives("j13_deque_for_a_list", [0, 1], "deque([0, 1])", setup="from collections import deque"),
    gives("j14_dict_for_a_list_of_keys", [0, 1], "{0: 1, 1: 1}"),
    gives("j15_pairs_for_a_dict", {"a": 1}, "[('a', 1)]"),
    gives("j16_strict_tuple_deep_down", {"a": [[1, 2]]}, "{'a': [(1, 2)]}", strict=True),
    gives("j17_strict_integer_key_deep_down", {"a": [{"1": 2}]}, "{'a': [{1: 2}]}", strict=True),
    gives("j18_list_that_holds_itself", [[1]], "x", setup="x = []\nx.append(x)"),
    gives("j19_digits_for_a_number", 16, "'16'"),
    gives("j20_counter_of_nothing", {}, "Counter(a=0)", setup="from collections import Counter"),
    gives("j21_missing_count_is_none", {"a": 1, "b": 0}, "Counter(a=1)", setup="from collections import Counter"),
    gives("j22_default_for_what_is_missing", {"a": 1}, "defaultdict(lambda: 1)", setup="from collections import defaultdict"),
    gives("j23_another_number_within_infinity", 16.0, "float('inf')", atol=1.0),
    gives("j24_nan_within", 16.0, "float('nan')", atol=1e9),
    gives("j25_nan_of_decimal", 16.0, "Decimal('nan')", atol=1e9, setup="from decimal import Decimal"),
    gives("j26_complex_nan_within", 16.0, "complex('nan+nanj')", atol=1e9),
    gives("j27_keys_within", {"1.0": 5.0}, "{1.0000001: 5.0}", atol=1.0),
    gives("j28_true_within", [16.0], "[True]", atol=1e-6),
    gives("j29_infinity_for_a_large_number", 1e308, "float('inf')", atol=1e308),
    gives("j30_parts_of_a_set_within", [[1.0, 2.0]], "[{1.0, 2.0}]", atol=0.5),
    gives("j31_nan_as_a_key", {"nan": 1}, "{float('nan'): 1}"),
    gives("j32_ordered_dict_with_other_values", {"a": 1}, "OrderedDict(a=2)", setup="from collections import OrderedDict"),
    gives("j33_thousands_of_integer_keys_and_one_is_wrong", {str(n): n for n in range(2000)}, "{k: k for k in range(1999)} | {2000: 1999}"),
    gives("j34_integer_and_string_keys_share_out", {"1": 1, "2": 2}, "{1: 1, '1': 1}"),
    gives("j35_enum_as_key", {"1": "a"}, "{E.x: 'b'}", setup="import enum\nclass E(enum.IntEnum): x = 1"),
    gives("j36_integer_that_writes_itself_otherwise", {"1": "a"}, "{I(2): 'a'}", setup="class I(int):\n    def __str__(s): return '1'\n    __repr__ = __format__ = lambda s, *a: '1'"),
]  # fmt: skip

_UNIT = """\
import unittest
class T(unittest.TestCase):
    def test_it(self):
        self.assertEqual(solve(3), 16)
    def test_more(self):
        with self.subTest(n=5):
            self.assertEqual(solve(5), 32)
"""

ENDS = [
    check("x01_skips_from_the_program", _UNIT, "import unittest\ndef solve(n): raise unittest.SkipTest('no')\n", *NOT_PASSED),
    check("x02_exits_in_a_unittest", _UNIT, "def solve(n): raise SystemExit(0)\n", *NOT_PASSED),
    check("x03_interrupts_a_unittest", _UNIT, "def solve(n): raise KeyboardInterrupt\n", *NOT_PASSED),
    check("x04_expected_failure", _UNIT, "import unittest.case as c\ndef solve(n): raise c._ShouldStop\n", *NOT_PASSED),
    case("x05_exits_on_load", "def solve(n): return 0\nexit()\n", *NOT_PASSED),
    case("x06_quits_in_the_function", "def solve(n): quit(0)\n", *NOT_PASSED, on=(IO, CHECK, SESSION)),
    case("x07_exit_code_that_changes", "class E(SystemExit):\n    @property\n    def code(s): return 0\n    code = code.setter(lambda s, v: None)\ndef solve(n): raise E(3)\n", *NOT_PASSED, on=(IO, CHECK, SESSION)),
    case("x08_script_exits_with_its_answer", "n = int(input())\nraise SystemExit(str(n * n + 7))\n", *NOT_PASSED, on=(STDIO,)),
    case("x09_script_exits_with_true", "n = int(input())\nprint(n * n + 7)\nraise SystemExit(True)\n", *NOT_PASSED, on=(STDIO,)),
    case("x10_script_exits_with_a_float", "n = int(input())\nprint(n * n + 7)\nraise SystemExit(0.0)\n", *NOT_PASSED, on=(STDIO,)),
    case("x11_script_exits_with_an_object_equal_to_nought", "class Z:\n    def __eq__(s, o): return True\n    def __index__(s): return 0\n    def __str__(s): return ''\nn = int(input())\nprint(n * n + 7)\nraise SystemExit(Z())\n", *NOT_PASSED, on=(STDIO,)),
    case("x12_script_exits_with_256", "n = int(input())\nprint(n * n + 6)\nimport os\nos._exit(256)\n", *NOT_PASSED, on=(STDIO,)),
    case("x13_stdout_that_answers_when_asked", "import io, sys\nclass S(io.StringIO):\n    def getvalue(s): return '16\\n'\n    def fileno(s): return 1\nsys.stdout = S()\nprint(0)\n", *NOT_PASSED, on=(STDIO,)),
    case("x14_stdout_whose_flush_never_ends", "import sys\nclass S:\n    def write(s, t): return 0\n    def flush(s):\n        while True: pass\nsys.stdout = S()\n", *NOT_PASSED, on=(STDIO,), limits={"cpu_seconds": 0.2}),
    case("x15_stdout_whose_flush_exits", "import sys\nclass S:\n    def write(s, t): return 0\n    def flush(s): raise SystemExit(0)\nsys.stdout = sys.stderr = S()\n", *NOT_PASSED, on=(STDIO,)),
    case("x16_exit_function_adds_a_line", "import atexit\nn = int(input())\nprint(n * n + 7)\natexit.register(print, 'more')\n", *NOT_PASSED, on=(STDIO,)),
    case("x17_exit_function_exits_with_one", "import atexit, os\nn = int(input())\nprint(n * n + 7, flush=True)\natexit.register(os._exit, 1)\n", *NOT_PASSED, on=(STDIO,)),
    case("x18_exit_functions_without_end", "import atexit\ndef again(): atexit.register(again)\nagain()\nprint(0)\n", *NOT_PASSED, on=(STDIO,), limits={"cpu_seconds": 0.2}),
    case("x19_threads_that_are_never_done", "import threading, time\nn = int(input())\nprint(n * n + 7, flush=True)\nthreading.Thread(target=time.sleep, args=(99,)).start()\n", *NOT_PASSED, on=(STDIO,), limits={"wall_seconds": 0.5}),
    case("x20_thread_prints_after_the_end", "import threading, time\nn = int(input())\nprint(n * n + 7, flush=True)\nthreading.Thread(target=lambda: (time.sleep(0.1), print('late', flush=True))).start()\nexit()\n", *NOT_PASSED, on=(STDIO,)),
    case("x21_exception_hook_that_hides", "import sys, os\nsys.excepthook = lambda *a: os._exit(0)\nprint(0)\nraise ValueError\n", *NOT_PASSED, on=(STDIO,)),
    case("x22_answers_then_raises", "n = int(input())\nprint(n * n + 7)\nimport sys\nsys.excepthook = lambda *a: None\nraise ValueError\n", *NOT_PASSED, on=(STDIO,)),
    case("x23_two_byte_order_marks", "\ufeff\ufeffprint(0)\n", *NOT_PASSED, on=(STDIO, IO)),
    case("x24_closes_all_and_opens_its_folder", "import os\nos.closerange(0, 99)\nfor _ in range(3): os.open('.', os.O_RDONLY)\nprint(0)\n", *NOT_PASSED, on=(STDIO, IO, CHECK)),
    case("x25_finalizer_prints_the_rest", "class F:\n    def __del__(s): print('more', flush=True)\nx = F()\nn = int(input())\nprint(n * n + 7)\n", *NOT_PASSED, on=(STDIO,)),
]  # fmt: skip

NAMES = [
    case("n01_builtin_not_defined", "x = 1\n", *NOT_PASSED, on=(IOTests("sum", [(([1, 2],), 3)]), CheckTests("assert sum([1, 2]) == 3\n", "sum"), CheckTests("def check(candidate):\n    assert candidate([1, 2]) == 3\n", "sum"))),
    case("n02_builtin_not_defined_model_tests", "x = 1\n", *NOT_PASSED, on=(CheckTests("assert sum([1, 2]) == 3\n", "sum", sandboxed=True), CheckTests("for x in [1]:\n    assert sum([x, 2]) == 3\n", "sum", sandboxed=True))),
    fails("n03_builtins_that_the_tests_use", "assert sorted(solve(3)) == [1, 2]\nassert len(set(solve(3))) == 2\n", "def sorted(x): return [1, 2]\ndef len(x): return 2\ndef set(x): return x\ndef solve(n): return [5]\n"),
    fails("n04_builtins_by_module", "assert sorted(solve(3)) == [1, 2]\n", "import builtins\nbuiltins.sorted = lambda x: [1, 2]\ndef solve(n): return [5]\n"),
    fails("n05_modules_that_the_tests_import", "import math\nfrom collections import Counter\nassert math.floor(solve(3)) == 16\nassert Counter(solve(4)) == Counter('ab')\n", "class math:\n    floor = staticmethod(lambda x: 16)\nclass Counter:\n    def __init__(s, x): pass\n    def __eq__(s, o): return True\ndef solve(n): return 5 if n == 3 else 'x'\n"),
    fails("n06_assertion_error", "try:\n    assert solve(3) == 16\nexcept AssertionError as e:\n    raise AssertionError('no') from e\n", "class AssertionError(Exception): pass\ndef solve(n): return 5\n"),
    fails("n07_check_of_the_program", "def check(candidate):\n    assert candidate(3) == 16\ncheck(solve)\n", "def check(f): return True\ndef solve(n): return 5\n"),
    fails("n08_name_of_the_tests", "def near(a, b):\n    return abs(a - b) < 1e-6\nassert near(solve(3), 16)\n", "def near(a, b): return True\ndef abs(x): return 0\ndef solve(n): return 5\n"),
    case("n09_method_that_is_not_there", "def solve(n): return n * n + 7\n", *NOT_PASSED, on=(IOTests("Solution().solve", [((3,), 16)]),)),
    case("n10_wrong_method_beside_a_right_function", "def solve(n): return n * n + 7\nclass Solution:\n    def solve(self, n): return 5\n", *NOT_PASSED, on=(IOTests("Solution().solve", [((3,), 16)]),)),
    case("n11_instance_that_is_everything", "class Solution:\n    def __new__(c): return A()\nclass A:\n    def __getattr__(s, n): return lambda *a: A()\n    def __eq__(s, o): return True\n    __hash__ = None\n", *NOT_PASSED, on=(IOTests("Solution().solve", [((3,), 16)]), CheckTests("assert Solution().solve(3) == 16\n", "Solution().solve"), CheckTests("def check(candidate):\n    assert candidate(3) == 16\n", "solve"))),
    case("n12_metaclass_that_agrees", "class M(type):\n    def __eq__(c, o): return True\n    __hash__ = type.__hash__\n    def __call__(c, *a): return c\nclass Solution(metaclass=M):\n    def solve(*a): return Solution\n", *NOT_PASSED, on=(IOTests("Solution().solve", [((3,), 16)]), CheckTests("assert Solution().solve(3) == 16\n", "Solution().solve"))),
    case("n13_state_kept_in_the_class", "class Solution:\n    seen = []\n    def solve(self, n):\n        self.seen.append(n)\n        return [16, 31][len(self.seen) - 1]\n", *NOT_PASSED, on=(IOTests("Solution().solve", [((3,), 16), ((5,), 32)]),)),
    case("n14_annotations_act_when_asked", "class A(dict):\n    def __missing__(s, k): raise SystemExit(0)\nclass Solution:\n    def solve(self, n: __import__('os')._exit(0)) -> exit(): return 5\n", *NOT_PASSED, on=(IOTests("Solution().solve", [((3,), 16)]),)),
    case("n15_future_import_hides_nothing", "from __future__ import annotations\nclass Solution:\n    x: exit() = 1\n    def solve(self, n: 1 / 0): return 5\n", *NOT_PASSED, on=(IOTests("Solution().solve", [((3,), 16)]),)),
    case("n16_entry_point_gets_the_tests_as_argument", "def all(xs): return True\n", *NOT_PASSED, on=(CheckTests("assert all([1, 0]) == False\n", "all"), IOTests("all", [(([1, 0],), False)]))),
    fails("n17_entry_named_as_what_the_tests_compare_with", "assert solve(3) == 16\nassert isinstance(solve(3), int)\n", "def isinstance(a, b): return True\nint = None\ndef solve(n): return 16.0\n"),
    fails("n18_names_that_hold_the_tests_up", "assert solve(3) == expected\n", "expected = 5\ndef solve(n): return 5 if n == 4 else globals().get('expected') + 1\n"),
    fails("n19_module_level_names_of_the_judge", "assert solve(3) == 16\nassert __name__ != 'x'\n", "__name__ = 'x'\n__builtins__ = {}\ndef solve(n): return 5\n"),
]  # fmt: skip

RAISED = [
    fails("r01_ends_a_zip_before_it_compares", "for got, want in zip(map(solve, [3, 5]), [16, 32]):\n    assert got == want\n", "def solve(n): raise StopIteration\n"),
    fails("r02_default_of_next", "assert next(map(solve, [3]), 16) == 16\n", "def solve(n): raise StopIteration\n"),
    fails("r03_default_of_max", "assert max(map(solve, [3]), default=16) == 16\n", "def solve(n): raise StopIteration\n"),
    fails("r04_dict_of_nothing", "assert dict(map(solve, [3])) == {}\n", "def solve(n): raise StopIteration\n"),
    fails("r05_iterated_by_items", "class S:\n    def __getitem__(s, i):\n        assert solve(i + 3) == 16 or i\n        return i\nassert list(S()) == []\n", "def solve(n): raise IndexError\n"),
    fails("r06_attribute_with_a_default", "class S:\n    @property\n    def x(s): return solve(3)\nassert getattr(S(), 'x', 16) == 16\n", "def solve(n): raise AttributeError('x')\n"),
    fails("r07_class_named_stop_iteration_by_inheritance", "assert list(map(solve, [3])) == []\n", "class E(StopIteration): pass\ndef solve(n): raise E\n"),
    fails("r08_generator_exit_in_a_generator", "def g():\n    try:\n        yield solve(3)\n    except GeneratorExit:\n        return\nassert list(g()) == [16]\n", "def solve(n): raise GeneratorExit\n"),
    fails("r09_stop_iteration_by_another_base", "assert list(map(solve, [3])) == []\n", "class E(ValueError, StopIteration): pass\ndef solve(n): raise E\n"),
    fails("r10_group_that_holds_a_stop", "assert list(map(solve, [3])) == []\n", "def solve(n): raise BaseExceptionGroup('x', [StopIteration(), GeneratorExit()])\n"),
    fails("r11_wanted_error_by_another_name", "try:\n    solve(3)\nexcept ValueError:\n    pass\nelse:\n    assert False\n", "class ValueError(Exception): pass\ndef solve(n): raise ValueError\n"),
    fails("r12_wanted_error_by_its_class_attribute", "try:\n    solve(3)\nexcept ValueError:\n    pass\nelse:\n    assert False\n", "class E(Exception):\n    __class__ = ValueError\ndef solve(n): raise E\n"),
    fails("r13_wanted_error_by_a_metaclass", "try:\n    solve(3)\nexcept ValueError:\n    pass\nelse:\n    assert False\n", "class M(type):\n    def mro(c): return [c, Exception, BaseException, object]\n    __name__ = 'ValueError'\n    __qualname__ = 'ValueError'\n    __module__ = 'builtins'\n    def __subclasscheck__(c, o): return True\nclass E(Exception, metaclass=M): pass\nE.__name__ = 'ValueError'\nE.__module__ = 'builtins'\ndef solve(n): raise E\n"),
    fails("r14_text_that_grows", "try:\n    solve(3)\nexcept ValueError as e:\n    assert str(e) == 'no'\n", "class E(ValueError):\n    def __str__(s): return 'no' * 10**7\ndef solve(n): raise E\n"),
    fails("r15_text_that_never_ends", "try:\n    solve(3)\nexcept ValueError as e:\n    assert str(e) == 'no'\n", "class E(ValueError):\n    def __str__(s):\n        while True: pass\ndef solve(n): raise E\n", limits={"cpu_seconds": 0.2}),
    fails("r16_arguments_of_a_million", "try:\n    solve(3)\nexcept ValueError as e:\n    assert e.args == ('no',)\n", "def solve(n): raise ValueError(*range(10**6))\n"),
    fails("r17_arguments_that_agree", "try:\n    solve(3)\nexcept ValueError as e:\n    assert e.args == ('no',)\n    assert str(e) == 'no'\n", "class A:\n    def __eq__(s, o): return True\nclass E(ValueError):\n    args = A()\n    def __str__(s): return S('x')\nclass S(str):\n    def __eq__(s, o): return True\n    __hash__ = str.__hash__\ndef solve(n): raise E('y')\n"),
    fails("r18_decode_error_without_arguments", "try:\n    solve(3)\nexcept UnicodeDecodeError as e:\n    assert e.start == 1\n", "def solve(n): raise UnicodeDecodeError.__new__(UnicodeDecodeError)\n"),
    fails("r19_operating_system_error_in_disguise", "try:\n    solve(3)\nexcept FileNotFoundError:\n    pass\nexcept OSError:\n    assert False\n", "class E(OSError): pass\ndef solve(n): raise E(13, 'x')\n"),
    fails("r20_assertion_errors_are_no_word_of_the_tests", "try:\n    assert solve(3) == 16\nexcept AssertionError:\n    raise\nexcept Exception:\n    pass\n", "def solve(n): assert False, 'mine'\n"),
    fails("r21_cause_chain_without_end", "assert solve(3) == 16\n", "def solve(n):\n    a, b = ValueError(), KeyError()\n    a.__cause__, b.__cause__ = b, a\n    raise a\n"),
    fails("r22_groups_nested_by_thousands", "assert solve(3) == 16\n", "def solve(n):\n    e = ValueError()\n    for _ in range(5000): e = ExceptionGroup('x', [e])\n    raise e\n"),
    fails("r23_raises_a_warning_of_deprecation", "import unittest\nclass T(unittest.TestCase):\n    def test_it(self):\n        with self.assertWarns(UserWarning):\n            solve(3)\n", "def solve(n): raise UserWarning('x')\n"),
    fails("r24_generator_closed_early", "def g():\n    for n in (3, 5):\n        yield solve(n)\na, b = g()\nassert (a, b) == (16, 32)\n", "def solve(n):\n    if n == 5: raise GeneratorExit\n    return 16\n"),
    fails("r25_key_error_through_missing", "class D(dict):\n    def __missing__(s, k): return solve(k)\nassert D().get(3) is None and not (3 in D())\nassert D()[3] == 16\n", "def solve(n): raise KeyError(n)\n"),
    fails("r26_type_error_through_an_operator", "class V:\n    def __eq__(s, o):\n        try:\n            return solve(3) == o\n        except TypeError:\n            return NotImplemented\nassert V() == 16\n", "def solve(n): raise TypeError\n"),
    fails("r27_descriptor_by_getattr", "class S:\n    def __getattr__(s, n): return solve(3)\nassert not hasattr(S(), 'x') or S().x == 16\nassert S().x == 16\n", "def solve(n): raise AttributeError\n"),
]  # fmt: skip

SLOW = {"cpu_seconds": 0.3, "wall_seconds": 0.6}


def heavy(name: str, source: str, answer: str, setup: str = "") -> Case:
    """An answer that costs sound tests dearly: they must end, and no pass and no outage come of it."""
    return fails(name, source, f"{setup}\ndef solve(n): return {answer}\n", limits=SLOW)


COSTS = [
    heavy("c01_fraction_of_a_text", "from fractions import Fraction\nassert Fraction(solve(3)) == 16\n", "'1e999999999'"),
    heavy("c02_decimal_made_whole", "from decimal import Decimal\nassert int(Decimal(solve(3))) == 16\n", "'1e999999999'"),
    heavy("c03_backtracking", "import re\nassert re.fullmatch(r'(a+)+b', solve(3))\n", "'a' * 40"),
    heavy("c04_literal_of_brackets", "import ast\nassert ast.literal_eval(solve(3)) == [16]\n", "'[' * 90 + ']' * 90"),
    heavy("c05_literal_of_signs", "import ast\nassert ast.literal_eval(solve(3)) == 16\n", "'-' * 200_000 + '1'"),
    heavy("c06_json_of_brackets", "import json\nassert json.loads(solve(3)) == [16]\n", "'[' * 200_000"),
    heavy("c07_format_of_a_width", "assert solve(3).format(16) == '16'\n", "'{:>99999999999}'"),
    heavy("c08_power_of_answers", "assert solve(3) ** solve(5) == 16\n", "10 ** 9"),
    heavy("c09_factorial", "import math\nassert math.factorial(solve(3)) == 16\n", "10 ** 9"),
    heavy("c10_bytes_of_a_size", "assert len(bytes(solve(3))) == 16\n", "10 ** 10"),
    heavy("c11_shift", "assert 1 << solve(3) == 16\n", "10 ** 11"),
    heavy("c12_product_of_ranges", "import itertools\nassert len(list(itertools.product(solve(3), repeat=4))) == 16\n", "range(10 ** 5)"),
    heavy("c13_frozensets_that_collide", "assert len(set(map(frozenset, solve(3)))) == 16\n", "[[i, i ^ 1] for i in range(0, 60000, 2)]"),
    heavy("c14_text_of_a_number", "assert str(solve(3)) == '16'\n", "1 << 4_000_000"),
    heavy("c15_number_of_a_text", "assert int(solve(3)) == 16\n", "'9' * 4_000_000"),
    heavy("c16_date_beyond_the_last", "from datetime import timedelta\nassert solve(3) + timedelta(1) == 16\n", "datetime.max", setup="from datetime import datetime"),
    heavy("c17_offset_that_lies", "from datetime import datetime, timezone\nassert solve(3) == datetime(2020, 1, 1, tzinfo=timezone.utc)\n", "datetime(2020, 1, 1, tzinfo=T())", setup="from datetime import *\nclass T(tzinfo):\n    k = 0\n    def utcoffset(s, d):\n        T.k += 1\n        return timedelta(hours=T.k)\n    def dst(s, d): return None\n    def __eq__(s, o): return True"),
    heavy("c18_counter_of_texts", "from collections import Counter\nassert solve(3) + Counter('a') == Counter('a')\n", "Counter({'a': 'x'})", setup="from collections import Counter"),
    heavy("c19_counter_elements", "assert list(solve(3).elements()) == ['a']\n", "Counter(a=10 ** 10)", setup="from collections import Counter"),
    heavy("c20_sorts_what_cannot_be", "assert sorted(solve(3)) == [16]\n", "[float('nan'), 'x', None]"),
    heavy("c21_deque_that_forgets", "assert list(solve(3)) == [1, 2]\n", "deque([0, 1, 2], maxlen=3)", setup="from collections import deque"),
    heavy("c22_signalling_nan", "assert abs(solve(3) - 16) < 1e-6\n", "Decimal('sNaN')", setup="from decimal import Decimal"),
    heavy("c23_deep_copy", "import copy\nassert copy.deepcopy(solve(3)) == [16]\n", "x", setup="x = [16]\nfor _ in range(900): x = [x]"),
    heavy("c24_dag_of_lists", "assert str(solve(3)) == '16'\n", "x", setup="x = [16]\nfor _ in range(45): x = [x, x]"),
    heavy("c25_array_without_parts", "assert solve(3)\nassert (solve(3) == 16).all() and solve(3).size\n", "np.zeros((0, 10 ** 9))", setup="import numpy as np"),
    heavy("c26_array_of_objects", "assert (solve(3) == 16).all()\n", "np.array([A()], dtype=object)", setup="import numpy as np\nclass A:\n    def __eq__(s, o): return True"),
    heavy("c27_records_of_an_array", "assert (solve(3) == 16).all()\n", "np.zeros(3, dtype=[('a', 'i4'), ('b', 'O')])", setup="import numpy as np"),
    heavy("c28_array_that_broadcasts", "import numpy as np\nassert np.allclose(solve(3), [16, 32])\n", "np.full((3, 2), np.nan)", setup="import numpy as np"),
    heavy("c29_masked_array", "import numpy as np\nassert np.all(solve(3) == np.array([16, 32]))\n", "np.ma.masked_all(2)", setup="import numpy as np"),
    heavy("c30_subclass_of_array", "import numpy as np\nassert np.array_equal(solve(3), np.array([16, 32]))\n", "np.zeros(2).view(A)", setup="import numpy as np\nclass A(np.ndarray):\n    def __eq__(s, o): return np.ones(2, bool)\n    def __array_function__(s, *a): return True"),
    heavy("c31_polynomial_of_hashes", "assert solve(3) == {(0, 1): 16}\n", "{(i, j): 0 for i in range(300) for j in range(300)}"),
    heavy("c32_tuples_that_collide", "assert len(set(solve(3))) == 16\n", "[((2**61 - 1) * i, 0) for i in range(30000)]"),
]  # fmt: skip
if importlib.util.find_spec("numpy") is None:  # tests that import what is not there judge nobody
    COSTS = [one for one in COSTS if not any("numpy" in tests.source for tests in one.tests)]  # type: ignore[union-attr]
