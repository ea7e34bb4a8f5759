"""Replies with programs in them, of which it is known by construction which program is the answer.

Every form puts an answer and, where it has room, another program with the opposite fate (a draft, a thought, a test). The
case passes where the extracted text, run in an empty module, gives the results of the task.
"""

import contextlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from .programs import Task, task


@dataclass(frozen=True, slots=True)
class CodeCase:
    """A reply, the name that the task calls, calls with their results, and whether the answer in it is right."""

    reply: str
    entry_point: str
    calls: tuple[tuple[tuple[Any, ...], Any], ...]
    equal: bool
    kind: str
    how: str

    @property
    def brief(self) -> str:
        return f"{self.entry_point} in {self.reply!r}"


@dataclass(frozen=True, slots=True)
class Material:
    """What a form is filled with: the answer, whole and in two parts, and the opposite program."""

    task: Task
    answer: str
    other: str
    before: str
    main: str

    @property
    def name(self) -> str:
        return self.task.name

    @property
    def call(self) -> str:
        return f"{self.name}({', '.join(map(repr, self.task.calls[0][0]))})"


_TAGS = ("python", "python", "python", "py", "Python", "python3", "")
_BEFORE = (
    "Here is the solution:",
    "Sure! This function does it.",
    "The idea is simple: one pass over the input.",
    "### Solution",
)
_AFTER = (
    "This runs in linear time.",
    "Let me know if anything is unclear.",
    "The function handles all cases.",
    "Done.",
)


def fence(rng: Random, code: str, tag: str | None = None) -> str:
    """A closed fence around code."""
    return f"```{rng.choice(_TAGS) if tag is None else tag}\n{code}\n```"


def marked(code: str) -> str:
    """A closed fence marked as Python."""
    return f"```python\n{code}\n```"


def _around(rng: Random, body: str) -> str:
    """A body with or without a sentence before and after it."""
    parts = [rng.choice(_BEFORE)] * (rng.random() < 0.6) + [body] + [rng.choice(_AFTER)] * (rng.random() < 0.6)
    return rng.choice(("\n", "\n\n")).join(parts)


def _one_block(rng: Random, m: Material) -> str:
    return _around(rng, fence(rng, m.answer))


def _odd_fence(rng: Random, m: Material) -> str:
    forms = (
        "~~~python\n{}\n~~~",
        "````python\n{}\n````",
        '```python title="a.py"\n{}\n```',
        "``` python\n{}\n```",
        "```python  \n{}\n```  ",
    )
    return _around(rng, rng.choice(forms).format(m.answer))


def _carriage_returns(rng: Random, m: Material) -> str:
    return _around(rng, fence(rng, m.answer)).replace("\n", "\r\n")


def _byte_order_mark(rng: Random, m: Material) -> str:
    return "\ufeff" + rng.choice((m.answer, fence(rng, m.answer)))


def _no_fence(rng: Random, m: Material) -> str:
    return rng.choice((m.answer, f"{rng.choice(_BEFORE)}\n\n{m.answer}"))


def _tests_after(rng: Random, m: Material) -> str:
    name, call = m.name, m.call
    tests = (
        f"def test_{name}():\n    assert {call} == {m.task.calls[0][1]!r}",
        f"from solution import {name}\n\ndef test_{name}():\n    assert {call} is not None",
        f"import unittest\n\nclass TestIt(unittest.TestCase):\n    def test_one(self):\n        self.assertEqual({call}, {m.task.calls[0][1]!r})",
        f"import pytest\n\n@pytest.mark.parametrize('n', [1, 2])\ndef test_it(n):\n    assert {call} == {m.task.calls[0][1]!r}",
        f"assert {call} == {m.task.calls[0][1]!r}",
        f"def check(candidate):\n    assert candidate is not None\n\ncheck({name})",
    )
    return _around(
        rng,
        f"{marked(m.answer)}\n\n{rng.choice(('Tests:', 'To test it:', 'Unit tests'))}\n\n{marked(rng.choice(tests))}",
    )


def _use_after(rng: Random, m: Material) -> str:
    uses = (
        f"print({m.call})",
        f"def main():\n    print({m.call})\n\nmain()",
        f"def main():\n    print({m.call})\n\nif __name__ == '__main__':\n    main()",
        f"result = {m.call}\nprint(result)",
        f">>> {m.call}\n{m.task.calls[0][1]!r}",
        f"for i in range(2):\n    print(i, {m.call})",
    )
    return _around(rng, f"{fence(rng, m.answer)}\n\nExample usage:\n\n{marked(rng.choice(uses))}")


def _use_within(rng: Random, m: Material) -> str:
    uses = (
        f"# Test the function\nprint({m.call})",
        f"if __name__ == '__main__':\n    print({m.call})",
        f"assert callable({m.name})",
    )
    return _around(rng, fence(rng, f"{m.answer}\n\n\n{rng.choice(uses)}"))


def _output_after(rng: Random, m: Material) -> str:
    texts = (
        f"Output:\n```\n{m.task.calls[0][1]!r}\n```",
        "```\nTime: O(n)\nSpace: O(1)\n```",
        "```text\nall tests passed\n```",
        "Run it:\n```bash\npython solution.py\n```",
    )
    return f"{marked(m.answer)}\n\n{rng.choice(texts)}"


_OTHER_LANGUAGES = (
    ("javascript", "function {0}(x) {{\n  return x + 1;\n}}"),
    ("java", "class Main {{\n  static int {0}(int x) {{ return x + 1; }}\n}}"),
    ("bash", "pip install numpy"),
    ("json", '{{"name": "{0}"}}'),
    ("cpp", "int {0}(int x) {{ return x + 1; }}"),
    ("sql", "SELECT * FROM {0};"),
)


def _other_language(rng: Random, m: Material) -> str:
    tag, body = rng.choice(_OTHER_LANGUAGES)
    foreign = f"```{tag}\n{body.format(m.name)}\n```"
    parts = [marked(m.answer), foreign]
    rng.shuffle(parts)
    return f"In Python and beyond:\n\n{parts[0]}\n\nand\n\n{parts[1]}"


def _draft_before(rng: Random, m: Material) -> str:
    said = rng.choice(("Wait, this is wrong. Corrected:", "That fails on an edge case. The final version:", "Fixed:"))
    return f"First attempt:\n\n{marked(m.other)}\n\n{said}\n\n{marked(m.answer)}"


def _thought_before(rng: Random, m: Material) -> str:
    opened = rng.choice(("<think>\n", "<think>", ""))
    end = rng.choice(("</think>\n", "\n</think>\n\n", " hmm</think>\n"))
    return f"{opened}Let me try.\n{marked(m.other)}{end}{_around(rng, fence(rng, m.answer))}"


def _helper_before(rng: Random, m: Material) -> str:
    return f"Step 1:\n\n{marked(m.before)}\n\nStep 2:\n\n{marked(m.main)}" + rng.choice(
        ("", f"\n\nUsage:\n\n{marked(f'print({m.call})')}")
    )


def _alternative_name(rng: Random, m: Material) -> str:
    suffix = rng.choice(("_recursive", "_old", "_v2", "_slow"))
    body = m.other.replace(f"def {m.name}(", f"def {m.name}{suffix}(")
    return f"{marked(m.answer)}\n\nAlternatively, under another name:\n\n{marked(body)}"


def _prefilled(rng: Random, m: Material) -> str:
    return f"{m.answer}\n```" + rng.choice(("", "\nThis does it.", "\n\n" + rng.choice(_AFTER), "\n"))


def _glued(rng: Random, m: Material) -> str:
    return rng.choice(
        (f"```python\n{m.answer}```", f"```python\n{m.answer}\n``` This does it.", f"Here: ```python\n{m.answer}\n```")
    )


def _cut_off(rng: Random, m: Material) -> str:
    second = (
        f"\n```python\nprint({m.name}(",
        "\n```python\ndef test_",
        f"\nUsage:\n```python\nimport sys\nprint({m.name}(1",
    )
    return rng.choice((f"{rng.choice(_BEFORE)}\n```python\n{m.answer}", marked(m.answer) + rng.choice(second)))


def _fence_in_docstring(rng: Random, m: Material) -> str:
    head, _, body = m.answer.partition(":\n")
    if "def " not in head or ") -> " in head:
        return _one_block(rng, m)
    note = f'    """Does it.\n\n    Example:\n    ```\n    {m.call}\n    ```\n    """'
    return _around(rng, marked(f"{head}:\n{note}\n{body}"))


def _tagged(rng: Random, m: Material) -> str:
    forms = (
        "[PYTHON]\n{}\n[/PYTHON]",
        "<answer>\n{}\n</answer>",
        "<answer>\n```python\n{}\n```\n</answer>",
        "[BEGIN]\n{}\n[DONE]\nMore text",
    )
    return rng.choice(forms).format(m.answer)


def _assigned(rng: Random, m: Material) -> str:
    renamed = m.answer.replace(f"def {m.name}(", "def inner(")
    whole = f"{renamed}\n\n{m.name} = inner"
    return f"{marked(whole)}\n\nUsage:\n\n{marked(f'print({m.call})')}"


def _same_helper_in_draft(rng: Random, m: Material) -> str:
    whole = f"{m.before}\n\n\n{m.main}"
    return f"A first version:\n\n{marked(m.other)}\n\nIt is wrong. The whole program, corrected:\n\n{marked(whole)}"


def _indented_fence(rng: Random, m: Material) -> str:
    pad = " " * rng.choice((2, 3, 4))
    block = "\n".join(pad + line if line else line for line in marked(m.answer).split("\n"))
    return f"1. The function:\n\n{block}\n\n2. It runs in linear time."


def _tests_before(rng: Random, m: Material) -> str:
    tests = (
        f"def test_{m.name}():\n    assert {m.call} == {m.task.calls[0][1]!r}",
        f"print({m.call})",
        f"assert {m.call}",
    )
    return f"It is to be used so:\n\n{marked(rng.choice(tests))}\n\nThe solution:\n\n{fence(rng, m.answer)}"


def _stub_before(rng: Random, m: Material) -> str:
    body = rng.choice(("pass", "...", "raise NotImplementedError", "# your code here\n    return None"))
    arguments = m.answer.partition(f"def {m.name}(")[2].partition(")")[0]
    stub = f"def {m.name}({arguments}):\n    {body}"
    return f"We need to fill in\n\n{marked(stub)}\n\nHere it is:\n\n{marked(m.answer)}"


def _effect_before(rng: Random, m: Material) -> str:
    effects = (
        "import sys\nsys.exit(1)",
        "raise SystemExit",
        "data = 1 / 0",
        "x = undefined_name",
        "class Stop(Exception): pass\nraise Stop",
    )
    return f"This would end the program:\n\n{marked(rng.choice(effects))}\n\nThe solution does not need it:\n\n{marked(m.answer)}"


def _three_parts(rng: Random, m: Material) -> str:
    imports = rng.choice(("import os\nimport re", "from typing import Any", "from collections import defaultdict"))
    return f"Imports:\n{marked(imports)}\nThen:\n{marked(m.before)}\nAt last:\n{marked(m.main)}\n{rng.choice(_AFTER)}"


def _typed_split(rng: Random, m: Material) -> str:
    main = m.answer.replace(f"def {m.name}(", f"LIMIT: Optional[int] = None\n\n\ndef {m.name}(")
    return f"Step 1:\n{marked('from typing import Optional')}\nStep 2:\n{marked(main)}"


def _helper_corrected(rng: Random, m: Material) -> str:
    other = m.task.wrong_split if m.before == m.task.right_split.before else m.task.right_split
    if other.before == m.before or other.main != m.main:
        return _helper_before(rng, m)
    return f"Helper:\n{marked(other.before)}\nThat helper is wrong. Corrected:\n{marked(m.before)}\nThe solution:\n{marked(m.main)}"


def _broken_block(rng: Random, m: Material) -> str:
    broken = rng.choice((f"def {m.name}(x:\n    return", "for i in", f"{m.name}(1) ->", "def (x):\n    pass"))
    parts = [f"A syntax error, for comparison:\n{marked(broken)}", f"The solution:\n{marked(m.answer)}"]
    return "\n\n".join(parts)


def _no_fence_then_prose(rng: Random, m: Material) -> str:
    said = rng.choice(("Example:", "This function works by going once over the input.", "Explanation: it is simple."))
    return f"{m.answer}\n\n{said}\n{m.call} = 1"


Form = Callable[[Random, Material], str]
FORMS: dict[str, Form] = {
    "one block": _one_block,
    "odd fence": _odd_fence,
    "carriage returns": _carriage_returns,
    "byte order mark": _byte_order_mark,
    "no fence": _no_fence,
    "tests after": _tests_after,
    "use after": _use_after,
    "use within": _use_within,
    "output after": _output_after,
    "other language": _other_language,
    "draft before": _draft_before,
    "thought before": _thought_before,
    "helper before": _helper_before,
    "alternative name": _alternative_name,
    "prefilled": _prefilled,
    "glued fence": _glued,
    "cut off": _cut_off,
    "fence in docstring": _fence_in_docstring,
    "tagged": _tagged,
    "assigned": _assigned,
    "same helper in draft": _same_helper_in_draft,
    "indented fence": _indented_fence,
    "tests before": _tests_before,
    "stub before": _stub_before,
    "effect before": _effect_before,
    "three parts": _three_parts,
    "typed split": _typed_split,
    "helper corrected": _helper_corrected,
    "broken block before": _broken_block,
    "prose after unfenced": _no_fence_then_prose,
    "nothing there": lambda rng, m: rng.choice(
        (
            "I am sorry, I cannot help with that.",
            f"<think>\n{marked(m.other)}\nSo the code is above.",
            f"```javascript\nfunction {m.name}(x) {{ return x; }}\n```",
            f"<think>\n{marked(m.other)}\n</think>\nI could not finish.",
        )
    ),
}


def case(seed: int, index: int, kind: str | None = None) -> CodeCase:
    """The reply at an index of a seed's sequence; `kind` keeps to one form."""
    rng = Random(f"code/{seed}/{index}/{kind or ''}")
    form = kind or rng.choice(list(FORMS))
    drawn = task(rng)
    right = form != "nothing there" and rng.random() < 0.5
    answer, other = (drawn.right, drawn.wrong) if right else (drawn.wrong, drawn.right)
    split = drawn.right_split if right else drawn.wrong_split
    material = Material(drawn, answer, other, split.before, split.main)
    reply = FORMS[form](rng, material)
    return CodeCase(reply, drawn.name, drawn.calls, right, form, "right program" if right else "wrong program")


def verdict(one: CodeCase, extract: Callable[[str, str | None], str | None]) -> str:
    """What became of the reply: pass, fail, none (no program found), or error (the extractor raised)."""
    try:
        code = extract(one.reply, one.entry_point)
    except Exception:
        return "error"
    if code is None:
        return "none"
    module: dict[str, Any] = {"__name__": "answer"}
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            exec(compile(code, "answer", "exec"), module)
            results = [module[one.entry_point](*args) for args, _ in one.calls]
        except (Exception, SystemExit):
            return "fail"
    return "pass" if results == [expected for _, expected in one.calls] else "fail"
