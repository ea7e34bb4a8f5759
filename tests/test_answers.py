"""The final answer and the code read out of a reply."""

import ast
import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfplay.answers import extract_answer, extract_code, read_number, visible_text
from selfplay.records import Outcome
from selfplay.verify.math import equal


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("18", "18"),
        ("  x + 1 ", "x + 1"),
        ("The answer is 5.", "5"),
        ("He sells 9 eggs.\nA: 18", "18"),
        ("9*2=18\n#### 18", "18"),
        (r"So \boxed{\frac{1}{2}}.", r"\frac{1}{2}"),
        (r"\boxed{5", "5"),
        ("**Answer:** 42", "42"),
        ("Answer:\n\n42", "42"),
        ("The correct option is (C) 12 miles", "(C) 12 miles"),
        ("<answer> 7 </answer>", "7"),
        (r"first \boxed{255}. Final Answer: The final answer is $10,455$. I hope it is correct.", "$10,455$"),
        (r"\boxed{1},\boxed{2},\boxed{3}", "1, 2, 3"),
        (r"\boxed{3} is wrong, I did not carry the one, so it is in fact \boxed{4}", "4"),
        ("He has 5 apples. So he earns $18 per day.", "$18"),
        ("So the total is 5 + 6 = 11 dollars.", "11"),
        (r"The solutions are $x=3$ and $x=4$.", "x=3, x=4"),
        ("5 apples", "5 apples"),
        ("Evelyn", "Evelyn"),
        ("The answer is 7.<|im_end|><|im_start|>user\nThe answer is 8.", "7"),
        ("```\n5\n```", "5"),
    ],
)
def test_answer_is_found_where_replies_put_it(reply: str, answer: str) -> None:
    assert extract_answer(reply) == answer


@pytest.mark.parametrize(
    "reply",
    [
        "",
        " \n ",
        "3 or 4",
        "I'm not sure; 3 or 72",
        "The answer is 3 or 4.",
        "The answer is either 3 or 4",
        "3, but maybe 4",
        "5?",
        "18, wait, 19",
        "The answer is not 5.",
        "The answer could be 5",
        r"\boxed{3} or \boxed{4}",
        r"\boxed{}",
        "12 apples and 5 pears",
        "I cannot answer that.",
        "between 3 and 4",
        "The answer is 3. Actually, 4.",
        "Answer: dollars²$$ $ ",
    ],
)
def test_hedged_or_several_or_no_answers_are_no_answer(reply: str) -> None:
    assert extract_answer(reply) is None


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("<think>the answer is 5", None),
        ("<think>the answer is 5</think>", None),
        ("<think>it is 5</think> The answer is 6.", "6"),
        ("it is 5 </think> The answer is 6.", "6"),
        ("<think>a <think>b</think> The answer is 5.", None),
        ("<thinking>5</thinking>\n#### 6", "6"),
        ("<think\nThe answer is 5.", None),
        ("[THINK]5[/THINK]6", "6"),
    ],
)
def test_think_blocks_are_never_read(reply: str, answer: str | None) -> None:
    assert extract_answer(reply) == answer


@settings(derandomize=True, deadline=None, max_examples=300)
@given(
    st.text(max_size=40).filter(lambda text: "think" not in text.lower()),
    st.sampled_from(["<think>", "<THINK>", "< think >", "<think ", "<thinking>", "<reasoning>", "◁think▷"]),
    st.text(max_size=30).filter(lambda text: "/" not in text and "<" not in text),
)
def test_nothing_after_an_unclosed_think_block_is_used(before: str, tag: str, inside: str) -> None:
    reply = f"{before}\n{tag}{inside}\nThe answer is \\boxed{{7919}}\n#### 7919\nA: 7919"
    assert extract_answer(reply) == extract_answer(before + "\n")
    assert "7919" not in visible_text(reply)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.text(max_size=200))
def test_extraction_never_raises_and_returns_text(reply: str) -> None:
    for found in (extract_answer(reply), extract_code(reply)):
        assert found is None or found.strip()


@pytest.mark.parametrize(
    "reply",
    [
        "(" * 20_000 + "1" + ")" * 20_000,
        "7" * 1_000_000,
        r"\boxed{" * 20_000,
        "$a" * 20_000,
        "answer is " * 10_000,
        "3 or " * 20_000,
        "<think>" * 20_000,
        "not 5 " * 170_000,
        "<answer>" * 125_000,
        "answer" + " " * 1_000_000,
        "#### " * 200_000,
        "\\boxed{5} and " * 70_000,
        "The answer is " + "$$a" * 300_000,
        "The answer is " + "\\[" * 300_000,
        "> " * 500_000,
        "Answer: **" * 100_000,
        "\\ " * 300_000,
        "\U0001f389" * 300_000,
    ],
)
def test_hostile_replies_are_read_at_once(reply: str) -> None:
    for found in (extract_answer(reply), extract_code(reply)):
        assert found is None or len(found) <= len(reply)
    assert read_number(reply) is None


def test_graded_gsm8k_solutions_agree_with_their_grades(shared_data: Path) -> None:
    solutions = agree = 0
    with gzip.open(shared_data / "gsm8k/model_solutions_first500.jsonl.gz", "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            gold = extract_answer(row["ground_truth"])
            assert gold is not None
            for name in ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification"):
                answer = extract_answer(row[name]["solution"])
                right = answer is not None and equal(gold, answer) is Outcome.PASS
                agree += right == row[name]["is_correct"]
                agree_whole = equal(row["ground_truth"], row[name]["solution"]) is Outcome.PASS
                assert agree_whole == right
                solutions += 1
    assert (solutions, agree) == (2000, 2000)


def test_own_code_cases(shared_data: Path) -> None:
    with (shared_data / "own/code_extraction/cases.jsonl").open(encoding="utf-8") as lines:
        for case in map(json.loads, lines):
            found = extract_code(case["reply"])
            assert (found and found.strip()) == (case["code"] and case["code"].strip()), case["id"]


CODE = "def add(a, b):\n    return a + b"


@pytest.mark.parametrize(
    "reply",
    [
        f"```python\nold = 1\ndef add(a, b):\n    return a - b\n```\nBetter:\n```python\n{CODE}\n```",
        f"```python\n{CODE}\n```\nUse it so:\n```python\nprint(add(1, 2))\n```",
        f"```\nsome output\n```\n```python\n{CODE}\n```\n```\n3\n```",
        f"~~~python\n{CODE}\n~~~",
        f"````python\n{CODE}\n````",
        f"1. Here:\n   ```python\n   {CODE.replace(chr(10), chr(10) + '   ')}\n   ```",
        f"```Python3\r\n{CODE}\r\n```".replace("\n    return", "\r\n    return"),
        f"Here you are:\n{CODE}\n\nIt adds the numbers.",
        f"<think>```python\ndef add(a, b): return 0\n```</think>\n```python\n{CODE}\n```",
        f"Sure: ```python\n{CODE}\n```",
        f"```python\n{CODE}\n```<|im_end|>\n```python\ndef add(a, b):\n    return 0\n```",
    ],
)
def test_code_is_found_in_every_wrapping(reply: str) -> None:
    found = extract_code(reply)
    assert found is not None
    assert found.strip() == CODE


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "I cannot write that.",
        "```bash\nrm -rf x\n```",
        "```javascript\nlet a = 1\n```",
        f"<think>```python\n{CODE}\n```",
        "```python\n\n```",
        "Use `add(1, 2)` there.",
    ],
)
def test_no_code_is_none(reply: str) -> None:
    assert extract_code(reply) is None


LINES = st.sampled_from(
    [
        "def f(x):",
        "    return x",
        "# a note",
        "import os",
        "LIMIT = 3",
        "",
        "  ",
        "class A:",
        "    pass",
        'x = """',
        '"""',
        "class Foo",
        "print(f(1))",
        "So the answer is 5.",
        "x = [",
        "1,",
        "]",
    ]
)


def parses(text: str) -> bool:
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True


@given(st.lists(LINES, max_size=9).map("\n".join))
@settings(derandomize=True, deadline=None, max_examples=1500)
def test_program_without_a_fence_is_taken_whole(text: str) -> None:
    program = text.strip("\n")
    defines = any(line.startswith(("def ", "class ")) for line in program.split("\n"))
    if defines and parses(program):
        assert extract_code(text) == program
    elif (found := extract_code(text)) is not None:
        assert found in program


@given(st.text(st.sampled_from("<>/[]|thinkTHINK \u212a\u0130x\n"), max_size=40))
@settings(derandomize=True, deadline=None, max_examples=1500)
def test_text_that_has_no_tag_is_shown_as_it_stands(text: str) -> None:
    plain = text.replace("<", "").replace("[", "")
    assert visible_text(plain) == plain.replace("\r\n", "\n")
    assert visible_text(f"<think>{plain}</think>{plain}") == plain == visible_text(f"[THINK]{plain}[/think]{plain}")


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        (r"$\boxed 28$", "28"),
        (r"\boxed x.", "x"),
        ("So we get $2x - 7$.", "2x - 7"),
        ("So $20 - $5 = $15.", "$15"),
        ("Total = 30 + 6 = 36", "36"),
        ("#### **a = 12 and n = 14**", "a = 12 and n = 14"),
        ("Work.\nA: x = -3", "x = -3"),
        ("Therefore, the total is t^2 - 8t + 7 = 0.", "t^2 - 8t + 7 = 0"),
    ],
)
def test_answer_keeps_its_whole_formula(reply: str, answer: str) -> None:
    assert extract_answer(reply) == answer
