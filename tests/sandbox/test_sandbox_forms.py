"""The forms that tests and programs come in: JSON cases, methods of a class `Solution`, scripts and how they end."""

# ruff: noqa: E501

import __future__

from collections.abc import Iterator
from typing import Any

import pytest

from selfplay.sandbox import CheckTests, Executor, IOTests, Job, Limits, Result, Status, StdioTests
from selfplay.sandbox import runner as inside
from selfplay.sandbox.judge import as_json


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    with Executor(workers=1) as made:
        yield made


def one(executor: Executor, code: str, tests: Any, limits: Limits | None = None) -> Result:
    [result] = executor.run([Job("one", code, tests, limits)])
    return result


ALIKE = [
    ([1, 2], "(1, 2)"), ((1, 2), "[1, 2]"), ([[1, 2], [3]], "[(1, 2), (3,)]"), ([[]], "[()]"), ((), "[]"),
    ({"1": "a"}, "{1: 'a'}"), ({"-7": [1]}, "{-7: (1,)}"), ({"0": {"1": 2}}, "{0: {1: 2}}"),
    ({"a": 1, "2": [3]}, "{'a': 1, 2: (3,)}"), ([1, {"k": (2, [3])}], "(1, {'k': [2, (3,)]})"),
    ({"12": None}, "__import__('collections').OrderedDict({12: None})"), (["a", 1.5], "('a', 1.5)"),
]  # fmt: skip
UNLIKE = [
    ([1, 2], "(2, 1)"), ([1, 2], "{1, 2}"), ([1, 2], "(1, 2, 3)"), ("12", "12"), ({"1": "a"}, "{True: 'a'}"), ({"1": "a"}, "{1.0: 'a'}"),
    ({"01": "a"}, "{1: 'a'}"), ({"1": "a"}, "{1: 'b'}"), ({"1": "a"}, "{1: 'a', '1': 'a'}"), ({1: "a"}, "{'1': 'a'}"),
    ({"1": "a"}, "[(1, 'a')]"), ([1, 2], "'12'"), (["a"], "'a'"), ({"a", "b"}, "['a', 'b']"), ([b"a"], "('a',)"), ({"None": 1}, "{None: 1}"),
]  # fmt: skip


def test_json_cases_take_a_tuple_for_a_list_and_integer_keys_for_their_spelling_and_nothing_else(
    executor: Executor,
) -> None:
    code = "def f(x): return eval(x)\n"
    cases = [((text,), wanted) for wanted, text in [*ALIKE, *UNLIKE]]
    lenient = one(executor, code, IOTests("f", cases))
    assert lenient.tests == (Status.PASSED,) * len(ALIKE) + (Status.WRONG_ANSWER,) * len(UNLIKE)
    strict = one(executor, code, IOTests("f", cases, strict=True))
    assert strict.tests == (Status.WRONG_ANSWER,) * len(cases)


def test_a_tolerance_holds_through_tuples_and_keys_taken_for_their_json(executor: Executor) -> None:
    code = "def f(x): return {3: (x + 1e-7, 'b')}\n"
    assert one(executor, code, IOTests("f", [((1.0,), {"3": [1.0, "b"]})], atol=1e-6)).passed is True
    assert one(executor, code, IOTests("f", [((1.0,), {"3": [1.0, "b"]})])).passed is False


def test_strict_must_be_a_truth_value(executor: Executor) -> None:
    result = one(executor, "def f(): return 1\n", IOTests("f", [((), 1)], strict="no"))  # type: ignore[arg-type]
    assert result.status is Status.INFRA_ERROR and "strict must be True or False, not 'no'" in result.error


def test_a_key_too_long_to_write_down_costs_nothing() -> None:
    huge = {10**200_000 + k: 1 for k in range(50)}
    assert as_json(dict.fromkeys(map(str, range(50)), 1), huge) is huge


LEETCODE = """class Solution:
    seen = 0
    def twoSum(self, nums: List[int], target: int) -> Optional[List[int]]:
        self.seen += 1
        for i, x in enumerate(nums):
            if target - x in nums[i + 1:]:
                return [i, nums.index(target - x, i + 1)] if self.seen == 1 else None
    def walk(self, head: Optional[ListNode], root: 'TreeNode' = None) -> Dict[str, Set[Tuple[int, ...]]]:
        return {'a': {(1,)}}
    @staticmethod
    def half(n: Node) -> int:
        return n // 2
"""


@pytest.mark.parametrize("name", ["twoSum", "Solution().twoSum", "Solution.twoSum"])
def test_a_method_of_solution_is_called_on_a_fresh_instance_each_time(executor: Executor, name: str) -> None:
    right, wrong = [(([2, 7, 1], 9), [0, 1]), (([3, 3], 6), [0, 1])], [(([2, 7, 1], 9), [1, 0])]
    assert one(executor, LEETCODE, IOTests(name, right)).status is Status.PASSED
    assert one(executor, LEETCODE, IOTests(name, wrong)).status is Status.WRONG_ANSWER
    check = "def check(candidate):\n    assert candidate([2, 7, 1], 9) == [0, 1]\n    assert candidate([3, 3], 6) == [0, 1]\n"
    assert one(executor, LEETCODE, CheckTests(check, name)).status is Status.PASSED
    dependent = check + "    k = candidate([3, 3], 6)[1]\n    assert candidate([k, 8], 9) == [0, 1]\n"
    assert one(executor, LEETCODE, CheckTests(dependent, name)).status is Status.PASSED
    assert one(executor, LEETCODE, CheckTests(check, name, "in_process")).status is Status.PASSED


def test_tests_may_make_the_instance_themselves(executor: Executor) -> None:
    source = "s = Solution()\nassert s.twoSum([2, 7], 9) == [0, 1]\nassert Solution().half(9) == 4\n"
    assert one(executor, LEETCODE, CheckTests(source)).status is Status.PASSED
    assert one(executor, LEETCODE, CheckTests(source.replace("== 4", "== 5"))).status is Status.WRONG_ANSWER


def test_annotations_without_their_imports_do_no_harm_in_a_class_solution_alone(executor: Executor) -> None:
    assert one(executor, LEETCODE, IOTests("walk", [((None,), {"a": {(1,)}})])).status is Status.PASSED
    assert one(executor, LEETCODE, IOTests("half", [((8,), 4)])).status is Status.PASSED
    plain = "def f(xs: List[int]): return xs\n"
    assert one(executor, plain, IOTests("f", [(([1],), [1])])).status is Status.EXCEPTION
    used = "class Solution:\n    def f(self): return ListNode(1)\n"
    assert one(executor, used, IOTests("f", [((), 1)])).status is Status.EXCEPTION
    assert __future__.annotations.compiler_flag == inside._LATE


@pytest.mark.parametrize(
    "code",
    [
        "class Other:\n    def twoSum(self, nums, t): return [0, 1]\n",
        "class Solution:\n    def two_sum(self, nums, t): return [0, 1]\n",
        "class Solution:\n    def __init__(self, needed): pass\n    def twoSum(self, nums, t): return [0, 1]\n",
        "Solution = 3\n",
    ],
)
def test_a_class_of_another_kind_is_no_leetcode_form(executor: Executor, code: str) -> None:
    assert one(executor, code, IOTests("twoSum", [(([2, 7], 9), [0, 1])])).status is Status.EXCEPTION


def test_a_function_of_that_name_comes_before_the_method(executor: Executor) -> None:
    code = "class Solution:\n    def f(self): return 1\ndef f(): return 2\n"
    assert one(executor, code, IOTests("f", [((), 2)])).status is Status.PASSED
    assert one(executor, code, IOTests("Solution().f", [((), 1)])).status is Status.PASSED


ENDINGS = [
    "print(5)\nexit()\n", "print(5)\nquit()\n", "print(5)\nexit(0)\nprint(6)\n", "import sys\nprint(5)\nsys.exit()\n",
    "print(5)\nraise SystemExit\n", "print(5)\nraise SystemExit(0)\n", "import os\nprint(5, flush=True)\nos._exit(0)\n",
    "def main():\n    print(5)\n    exit()\nif __name__ == '__main__':\n    main()\nprint(6)\n", "\ufeffprint(5)\n",
    "try:\n    print(5)\n    quit()\nexcept Exception:\n    print(6)\n", "import sys\nsys.stdout.write('5')\nexit()\n",
    "import sys, io\nsys.stdout = io.StringIO()\nprint(5)\nsys.__stdout__.write(sys.stdout.getvalue())\nexit()\n",
    "import sys, io\nsys.stdout = io.TextIOWrapper(sys.stdout.buffer, write_through=False)\nprint(5)\n",
    "import os\nout = os.fdopen(1, 'w')\nout.write('5\\n')\n", "import atexit\natexit.register(print, 5)\nexit()\n",
    "import sys\nsys.stdout = None\nimport os\nos.write(1, b'5')\n", "import threading\nthreading.Thread(target=lambda: (print(5), exit())).start()\n",
]  # fmt: skip


@pytest.mark.parametrize("code", ENDINGS)
def test_a_script_may_end_in_any_way_that_python_counts_as_a_success(executor: Executor, code: str) -> None:
    assert one(executor, code, StdioTests([("", "5\n")])).status is Status.PASSED
    assert one(executor, code, StdioTests([("", "6\n")])).status is Status.WRONG_ANSWER


@pytest.mark.parametrize(
    "call",
    [
        "exit(1)",
        "quit(2)",
        "exit('no')",
        "import sys; sys.exit(1)",
        "raise SystemExit(3)",
        "raise SystemExit(0.0)",
        "raise SystemExit('')",
        "exit(True)",
    ],
)
def test_a_script_that_ends_as_a_failure_fails_whatever_it_printed(executor: Executor, call: str) -> None:
    assert one(executor, f"print(5)\n{call}\n", StdioTests([("", "5\n")])).passed is False


def test_a_function_that_exits_has_no_answer(executor: Executor) -> None:
    code = "def f(x):\n    if x < 0: exit()\n    return x\n"
    assert one(executor, code, IOTests("f", [((1,), 1)])).status is Status.PASSED
    assert one(executor, code, IOTests("f", [((-1,), None)])).status is Status.EXCEPTION


def test_a_script_that_makes_threads_is_judged_on_all_its_cases(executor: Executor) -> None:
    """Threads move the numbers of processes, so that each case wants a fresh zygote."""
    code = "import threading\nthreading.Thread(target=lambda: print(int(input()) + 1)).start()\n"
    right = one(executor, code, StdioTests([(f"{n}\n", f"{n + 1}\n") for n in range(3)]))
    wrong = one(executor, code, StdioTests([("1\n", "2\n"), ("2\n", "2\n"), ("3\n", "4\n")]))
    assert right.tests == (Status.PASSED,) * 3
    assert wrong.tests == (Status.PASSED, Status.WRONG_ANSWER, Status.PASSED)
