"""The program in a reply whose entry point is known: which block, which helpers, whatever fences and prose surround them."""

import warnings

import pytest

from selfplay.answers import extract_code
from selfplay.answers.code_blocks import completion

SOLUTION = "def f(x):\n    return x + 1"
HELPED = "def f(x):\n    return helper(x) + 1"
HELPER = "def helper(x):\n    return x"


def fence(code: str, info: str = "python") -> str:
    return f"```{info}\n{code}\n```"


def value(reply: str, entry_point: str = "f", call: str = "f(1)") -> object:
    """What the program in a reply returns; these programs are the tests' own, so they are run here."""
    code = extract_code(reply, entry_point)
    assert code is not None
    space: dict[str, object] = {"__name__": "program"}
    exec(code, space)
    return eval(call, space)


AFTERWARDS = [
    fence("def test_f():\n    assert f(1) == 2"),
    fence("import unittest\nclass TestF(unittest.TestCase):\n    def test(self):\n        self.assertEqual(f(1), 2)"),
    fence(
        "import pytest\nfrom solution import f\n@pytest.mark.parametrize('x', [1])\ndef test_f(x):\n    assert f(x) == 2"
    ),
    fence("def check(candidate):\n    assert candidate(1) == 2\ncheck(f)"),
    fence("def main():\n    print(f(int(input())))\n\nif __name__ == '__main__':\n    main()"),
    fence("print(f(1))\nf = f(1)"),
    fence("from your_module import f\nprint(f(1))"),
    fence("def f_old(x):\n    return x"),
    fence("def f2(x):\n    return f(x) - 1"),
    fence("class F:\n    def f(self, x):\n        return 0"),
    fence("def f(x):\n    ..."),
    fence('def f(x: int) -> int:\n    """Adds one."""\n    raise NotImplementedError'),
    fence("def f(x):\n    return x +"),
    "```python\ndef f(x):\n    total = (x +",
    fence(">>> f(1)\n2"),
    fence(">>> from m import f\n>>> f(1)\n2", "pycon"),
    fence("2", ""),
    fence("f(1) == 2", "text"),
    fence("pip install numpy", "bash"),
    fence("function f(x) { return x }", "js"),
    fence("def f(x)\n  x\nend", "ruby"),
    fence("x = 7\ny = f(x)\nassert y == 8"),
    "The function `f` takes O(1) time: def f is all that is needed.",
]


@pytest.mark.parametrize("after", AFTERWARDS)
@pytest.mark.parametrize("info", ["python", ""])
def test_block_that_defines_the_entry_point_wins_over_what_follows(info: str, after: str) -> None:
    assert value(f"{fence(SOLUTION, info)}\nNow:\n{after}") == 2


@pytest.mark.parametrize("before", [text for text in AFTERWARDS if "total" not in text])
def test_block_that_defines_the_entry_point_wins_over_what_precedes(before: str) -> None:
    assert value(f"{before}\nNow:\n{fence(SOLUTION)}") == 2


@pytest.mark.parametrize(
    "reply",
    [
        fence("def f(x):\n    return x - 1") + "\nWait, that is wrong:\n" + fence(SOLUTION),
        fence("def f(x):\n    return 1")
        + "\n"
        + fence("def f(x):\n    return 2 * x - 5")
        + "\nFinal:\n"
        + fence(SOLUTION, ""),
        fence("def f(x):\n    return x - 1\nassert f(1) == 2") + "\nNo.\n" + fence(SOLUTION),
        fence("from math import floor\ndef f(x):\n    return floor(x)\nassert f(1) == 2") + "\n"
        "Corrected:\n" + fence("def f(x):\n    return floor(x) + 1"),
        fence("def f(x):\n    return x") + "\n" + fence("f = lambda x: x + 1"),
        fence("f = lambda x: x + 1") + "\n" + fence("print(f(1))"),
        fence("def f(x):\n    return x", "text")
        + "\n"
        + fence(SOLUTION)
        + "\n"
        + fence("def f(x):\n    return 9", "plaintext"),
    ],
)
def test_last_version_wins(reply: str) -> None:
    assert value(reply) == 2


@pytest.mark.parametrize(
    "blocks",
    [
        [HELPER, HELPED],
        [HELPED, HELPER],
        ["import math", "def f(x):\n    return math.floor(x) + 1"],
        ["from math import floor", "def f(x):\n    return floor(x) + 1"],
        ["from math import *", "def f(x):\n    return floor(x) + 1"],
        ["ONE = 1", "def f(x):\n    return x + ONE"],
        ["class N:\n    def __init__(self, v): self.v = v", "def f(x):\n    return N(x).v + 1"],
        ["class Base:\n    one = 1", "class Sub(Base):\n    pass", "def f(x):\n    return x + Sub.one"],
        ["import math", "def helper(x):\n    return math.floor(x)", HELPED],
        ["def helper(x):\n    return x * 9", HELPER, HELPED],
        [HELPER + "\nassert helper(1) == 2", HELPED],
        [HELPER + "\nprint(helper(int(input())))", HELPED],
        [HELPER + "\nfor x in range(3):\n    print(helper(x), undefined)", HELPED],
        [HELPER + "\nif __name__ == 'program':\n    undefined", HELPED],
        ["import no_such_module", HELPER, HELPED],
        [HELPER, "def test_helper():\n    assert helper(1)", HELPED, "def test_f():\n    assert f(1)"],
        ["try:\n    from no_such import helper\nexcept ImportError:\n    def helper(x):\n        return x", HELPED],
        ["TABLE = {}\nfor i in range(9):\n    TABLE[i] = i + 1", "def f(x):\n    return TABLE[x]"],
        ["from functools import lru_cache", "@lru_cache(None)\ndef f(x):\n    return x + 1"],
        ["from typing import List, Optional", "def f(x: Optional[int], y: List[int] = []) -> int:\n    return x + 1"],
        [HELPER + "\ndef f(x):\n    return helper(x) * undefined\nf(3)", HELPED],
        ["def double(x):\n    return 2 * x", "def helper(x):\n    return double(x) // 2", HELPED],
    ],
)
def test_blocks_are_joined_with_what_they_lack(blocks: list[str]) -> None:
    assert value("\nNext step:\n".join(map(fence, blocks))) == 2
    assert value("\n".join(fence(block, "") for block in blocks)) == 2


def test_blocks_that_lack_nothing_stand_alone() -> None:
    assert extract_code(f"{fence(HELPER)}\n{fence(SOLUTION)}", "f") == SOLUTION
    assert extract_code(fence("import math") + "\n" + fence(SOLUTION), "f") == SOLUTION


FENCES = [
    f"{SOLUTION}\n```\nThis adds one.",
    f"{SOLUTION}\n```",
    f"{SOLUTION}```",
    f"{SOLUTION}\n```\nOutput:\n```\n2\n```\n",
    f"{SOLUTION}\n```\nUsage:\n```python\nprint(f(1))\n```",
    f"\n{SOLUTION}\n``` It adds one.",
    f"import math\n\n{SOLUTION}\n```\nIt is\n\n- short\n- right",
    f"```python\n{SOLUTION}```",
    f"```python\n{SOLUTION}``` This adds one.",
    f"```python\n{SOLUTION}\n``` This adds one.",
    f"```python\n{SOLUTION}\n```This adds one.",
    f"```python\n{SOLUTION}\n``` and then\n```python\nprint(f(1))\n```",
    f"```python\n{SOLUTION}\n```python\nprint(f(1))\n```",
    f"```python\n{SOLUTION}  # done```\n",
    f"```python\n{SOLUTION}\n",
    f"```python\n{SOLUTION}\n\nThis function adds one.",
    f"```python\n{SOLUTION}\n\nprint(f(",
    f"````python\n{SOLUTION}\n````",
    f"````markdown\nHere:\n```python\n{SOLUTION}\n```\nDone.\n````",
    f"```markdown\nHere:\n```python\n{SOLUTION}\n```\n```",
    f"````\n```\n{SOLUTION}\n```\n````",
    f"`````python\n# a plan\n\n```\n\nNow:\n\n````python\n{SOLUTION}\n````",
    f"~~~\n{SOLUTION}\n~~~",
    f"~~~ python\n{SOLUTION}\n~~~",
    f"~~~python\n{SOLUTION}\n~~~\n```\n2\n```",
    "1. So:\n\n   ```python\n   def f(x):\n       return x + 1\n   ```\n2. Done.",
    "- ```python\n  def f(x):\n      return x + 1\n  ```",
    "  ```python\n  def f(x):\n      '''\nNot indented.\n      '''\n      return x + 1\n  ```",
    "\t```python\n\tdef f(x):\n\t\treturn x + 1\n\t```",
    "> So:\n> ```python\n> def f(x):\n>     return x + 1\n> ```",
    f"\ufeff```python\n{SOLUTION}\n```",
    f"\ufeff{SOLUTION}",
    f"```python\n\ufeff{SOLUTION}\n```",
    f"```python\n{SOLUTION}\n```".replace("\n", "\r\n"),
    "```python\n>>> def f(x):\n...     return x + 1\n...\n>>> f(1)\n2\n```",
    "```python\n>>> import math\n>>> def f(x):\n...     return x + 1\n```\nand\n```python\n>>> f(1)\n2\n```",
    '```python\ndef f(x):\n    """Adds one.\n\n    ```\n    f(1)\n    ```\n    """\n    return x + 1\n```\nDone.',
    '```python\ndef f(x):\n    """Adds one.\n    ```python\n    f(1)\n    ```"""\n    return x + 1\n```',
    "```python\ndef f(x):\n    r'''Adds.\n```\nf(1)\n```\n'''\n    return x + 1\n```",
    '```python\nFENCE = "```"\ndef f(x):\n    return x + 1  # """\n```\n"""quoted"""',
    '```python\ndef f(x):\n    """Never closed\n    return x\n```\nMended:\n```python\n' + SOLUTION + "\n```\nDone.",
    f'<pre><code class="language-python">{SOLUTION} if x &lt; 9 else 0\n</code></pre>',
    "Here:\n\n    def f(x):\n        return x + 1\n\nDone.",
    f"Here is the code:\n{SOLUTION}\n```\nIt adds one.",
    f"{HELPER}\n\nNow the function:\n\n{HELPED}\n\nIt is right.",
    f"[PYTHON]\n{SOLUTION}\n[/PYTHON]\n[TESTS]\nassert f(1) == 2\n[/TESTS]",
    f"<answer>\n{fence(SOLUTION)}\n</answer>",
    "<think>" + fence("def f(x): return 0") + "</think>\n" + fence(SOLUTION),
    f"{fence('def f(x): return 0')} hmm</think>{fence(SOLUTION)}",
    f"<|channel|>analysis<|message|>So {fence('def f(x): return 0')}<|end|><|start|>assistant<|channel|>final<|message|>"
    f"{fence(SOLUTION)}<|return|>",
    f"<|channel|>commentary<|message|>a<|end|><|start|>assistant<|channel|>final <|constrain|>code<|message|>{SOLUTION}",
    fence(SOLUTION) + "<|im_end|>\n<|im_start|>user\n" + fence("def f(x): return 0"),
    'def f(x):\n    """Adds.\n\n    ```\n    f(1)\n    ```\n    """\n    return x + 1\n',
    f"Sure! ```python\n{SOLUTION}\n```",
    f"```python {SOLUTION.replace(chr(10) + '    ', ' ')}```",
    f"```\npython\n{SOLUTION}\n```",
]


@pytest.mark.parametrize("reply", FENCES)
def test_code_is_read_out_of_fences_as_people_write_them(reply: str) -> None:
    assert value(reply) == 2


@pytest.mark.parametrize(
    "info",
    ["py", "PY", "Python", "python3", "Python 3", "python3.11", "python2", "{.python}", "{.python .numberLines}", "{python}",
     "python title='f.py'", "lang-python", "language-python", "ipython3", "py3", "solution.py", "python:f.py", "", "text",
     "plaintext", "solution", "code", "answer", "txt"],
)  # fmt: skip
def test_language_is_known_by_any_spelling(info: str) -> None:
    assert value(fence(SOLUTION, info)) == 2


@pytest.mark.parametrize(
    "info", ["javascript", "bash", "pytorch", "pyret", "diff", "c++", "python-like pseudocode", "json"]
)
def test_other_languages_are_no_program(info: str) -> None:
    assert extract_code(fence("let f = x => x + 1", info), "f") in (
        None,
        "let f = x => x + 1" * (info[:7] == "python-"),
    )


@pytest.mark.parametrize(
    ("reply", "entry_point", "call"),
    [
        (
            fence("class Solution:\n    def twoSum(self, a):\n        return a") + "\n" + fence("class Solution:\n    pass") + "\n"
            f"{fence('print(Solution().twoSum(1))')}",
            "Solution().twoSum",
            "Solution().twoSum(1)",
        ),
        (
            fence("class Node:\n    pass")
            + fence("\nclass Solution:\n    def g(self, a):\n        return Node and a").join("\n\n")
            + fence("s = Solution()\nassert s.g(1) == 1"),
            "Solution().g",
            "Solution().g(1)",
        ),
        (fence("def test_duplicate(a):\n    return a") + "\n" + fence("print(test_duplicate(1))"), "test_duplicate", "test_duplicate(1)"),
        (fence("class Solution:\n    def twoSum(self, a):\n        return a") + fence("x = 1"), "twoSum", "Solution().twoSum(1)"),
        (fence("def main(a):\n    return a") + "\n" + fence("main(1)"), "main", "main(1)"),
        (fence("def sum(a, b):\n    return 1") + "\n" + fence("sum = sum(1, 2)\nprint(sum)"), "sum", "sum(3, 4)"),
        (fence("from math import gcd") + "\n" + fence("gcd(2, 3)"), "gcd", "gcd(2, 3)"),
    ],
)  # fmt: skip
def test_entry_point_may_be_a_method_or_have_any_name(reply: str, entry_point: str, call: str) -> None:
    assert value(reply, entry_point, call) == 1


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (fence(SOLUTION) + "\n" + fence("def test_f():\n    assert f(1) == 2"), SOLUTION),
        (fence(SOLUTION) + "\n" + fence("def main():\n    print(f(1))\n\nmain()"), SOLUTION),
        (fence(SOLUTION, "") + "\n" + fence("print(f(1))"), SOLUTION),
        (f"{fence(HELPER)}\n{fence(HELPED)}", f"{HELPER}\n\n{HELPED}"),
        (fence(SOLUTION) + "\n" + fence("n = int(input())\nprint(f(n))"), f"{SOLUTION}\n\nn = int(input())\nprint(f(n))"),
        (fence("def main():\n    n = int(input())\n    print(n)\nmain()"), "def main():\n    n = int(input())\n    print(n)\nmain()"),
        (fence("n = int(input())\nprint(n)"), "n = int(input())\nprint(n)"),
        ("n = int(input())\nprint(n)\n```\nIt prints n.", "n = int(input())\nprint(n)"),
        (fence("print(5)") + "\n" + fence("5", ""), "print(5)"),
        (fence("def test_f():\n    assert f(1) == 2"), "def test_f():\n    assert f(1) == 2"),
        (f"{fence(SOLUTION)}\n```python\ndef g(x):\n    return (x", SOLUTION),
        (fence(SOLUTION) + "\n" + fence(">>> f(1)\n2"), SOLUTION),
    ],
)  # fmt: skip
def test_without_an_entry_point_tests_and_demonstrations_are_passed_over(reply: str, code: str) -> None:
    assert extract_code(reply) == code


@pytest.mark.parametrize("entry_point", ["", "9", "f(", "Solution().", "a b", "é", "[", "f.g.h", None])
def test_odd_entry_points_are_no_error(entry_point: str | None) -> None:
    assert extract_code(fence(SOLUTION), entry_point) == SOLUTION


@pytest.mark.parametrize(
    ("reply", "added"),
    [
        ("    return x + 1\n", "    return x + 1\n"),
        ("    return x + 1\n```\nIt adds one.", "    return x + 1"),
        (fence("    return x + 1"), "    return x + 1"),
        (fence("return x + 1"), "    return x + 1"),
        ("", ""),
    ],
)
def test_completion_keeps_its_indentation(reply: str, added: str) -> None:
    assert completion(reply) == added


HOSTILE = [
    "```\n" * 30_000,
    "```python\n'''\n" * 20_000,
    '```python\n"""\n```\n' * 10_000,
    "```python\ndef f(): pass\n```\n" * 5_000,
    "```text\ndef f(): pass\n```\n" * 5_000,
    "def f(x):\n    return x\n\nprose here.\n\n" * 5_000,
    "```python\n" + "(" * 19_000 + "\n```",
    "```python\n" + "-" * 19_000 + "1\n```",
    "```python\nf = " + "lambda: " * 2_400 + "1\n```",
    "```python\n" + "".join(" " * n + "if 1:\n" for n in range(150)) + "\n```",
    "```python\nf = " + "x." * 9_000 + "x\n```",
    "```python\ndef f(): return " + "not " * 4_500 + "1\n```",
    "```python\ndef f(x): return '\\d' is 1\n```",
    "`" * 100_000,
    "~" * 100_000,
    "``` ```" * 15_000,
    "```python " * 10_000,
    "> " * 50_000 + "```python",
    "- " * 50_000 + "```python",
    "1. " * 30_000 + "```\n" * 3,
    "<code " * 20_000,
    "<pre><code>" * 10_000,
    ">>> " * 25_000,
    ">>> def f(): pass\n" * 6_000,
    "<|channel|>final" * 6_000,
    "<|channel|>" + " " * 100_000,
    "x = '" + "\\" * 100_000,
    "```python\nx = '" + "\\" * 100_000 + "\n'''\n```",
    "class A:" * 12_000,
    "    def f(x):\n" * 7_000,
    "import a\n\nprose\n" * 7_000,
    "a" * 100_000 + "```python\n",
    "```" + "a" * 100_000 + ".p\n",
    "```" + "/." * 50_000 + "\n",
    "````\n```\n" * 10_000,
    "\ufeff" * 100_000,
    ("```python\n" + "def f(x):\n    return g(x)\n" * 400 + "```\n") * 8,
]


@pytest.mark.parametrize("reply", HOSTILE, ids=lambda text: repr(text[:20]))
def test_hostile_replies_are_read_in_bounded_time_and_silence(reply: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for entry_point in ("f", "Solution().f", None):
            found = extract_code(reply, entry_point)
            assert found is None or len(found) <= 2 * len(reply)
