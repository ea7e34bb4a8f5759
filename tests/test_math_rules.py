"""Where two readings of an answer compete, the rules of the table in docs/math.md: one name, one rule, one test."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from selfplay.records import Attempt, Outcome, Task
from selfplay.verify.math import equal, unreadable
from selfplay.verify.math_answer import MathAnswer

Pairs = list[tuple[str, str]]
RULES: dict[str, tuple[Pairs, Pairs]] = {
    "box over prose": (
        [
            ("42", "\\boxed{42}\n\nThe answer is 41."),
            ("42", "#### 42\nThis answer is correct."),
            ("42", "<answer>42</answer> The result is in cm."),
            ("42", "\\boxed{42}\n\nThe answer is in its simplest form."),
        ],
        [
            ("41", "\\boxed{42}\n\nThe answer is 41."),
        ],
    ),
    "last mark": (
        [
            ("4", "\\boxed{3} is wrong, so it is \\boxed{4}"),
            ("7", "#### 6\nNo.\n#### 7"),
            ("9", "\\boxed{8}\nFinal Answer: 9"),
        ],
        [
            ("3", "\\boxed{3} is wrong, so it is \\boxed{4}"),
        ],
    ),
    "value over comment": (
        [
            ("42", "The answer is 42. This result is correct."),
            ("blue", "The answer is blue."),
            ("B", "The answer is B. This answer is consistent."),
        ],
        [
            ("correct", "The answer is 42. This result is correct."),
        ],
    ),
    "what would be": (
        [
            ("true", "Without the condition the result would be 0.\nThus the final answer is True."),
            ("6", "The answer would be 5 if 3 were even. It is odd, so the answer is 6."),
            ("7", "The answer would be 7."),
        ],
        [
            ("5", "The answer would be 5 if we ignored the last condition, but it is 6."),
        ],
    ),
    "words after a colon": (
        [
            ("Yes", "Answer: Yes\nThe result is clear."),
        ],
        [],
    ),
    "boxes in a list": (
        [
            ("2,3", "$\\boxed{2}$ and $\\boxed{3}$"),
            ("2,3", "\\boxed{2} \\quad \\boxed{3}"),
            ("2,3", "\\boxed{2} \\quad \\text{or} \\quad \\boxed{3}"),
        ],
        [
            ("3", "\\boxed{2} \\quad \\text{or} \\quad \\boxed{3}"),
            ("3", "\\boxed{2}, \\boxed{3}"),
            ("1,2", "\\boxed{1} no no no no no \\boxed{2}"),
        ],
    ),
    "alternatives": (
        [
            ("3,4", "The answer is 3 or 4."),
            ("x=3 or x=4", "x=4 or x=3"),
        ],
        [
            ("4", "The answer is 3 or 4."),
            ("5", "The answer is not 5."),
            ("prime", "The answer is hyperbola or prime."),
            ("A", "A or B"),
            ("Yes", "Yes, but also no"),
            ("True", "The answer is True. or False."),
            ("Paris", "The answer is Paris. Or London."),
            ("C", "The answer is (C). Actually, (D)."),
            ("C", "The answer is C? D?"),
            ("5", "The answer cannot be 5."),
            ("April 28, 1941", r"The answer is $\text{April 28, 1941}$ or 1941."),
        ],
    ),
    "option text": (
        [
            ("E", "E) cannot be determined"),
            ("D", "\\boxed{\\text{D) 3 or 4}}"),
            ("C", "The answer is (C) either x or y"),
        ],
        [
            ("C", "B) 5 or C) 6"),
            ("D", "C) 3 or 4"),
            ("A", "Answer: A) 38 or choice (B)"),
            ("C", r"\boxed{\textbf{(C)}\ 60 \text{ or } \text{D}}"),
            ("A", r"#### A, since 2 + 2 = 4 or \(\mathrm{E}\)"),
            ("C", r"#### (C) 14 or \(\text{B) 14}\)"),
            ("D", r"The answer is D) 7. Wait, that is wrong. The answer is $\text{B)}$."),
        ],
    ),
    "option letter": (
        [
            ("B", "The answer is B since 2+2=4."),
            ("B", "The answer is option B."),
            ("B", "ANSWER: **(B)** because of x"),
        ],
        [
            ("A", "The answer is A number."),
        ],
    ),
    "option against its value": (
        [
            ("B) 12", "B"),
            ("B) 12", "12"),
            ("12", "B) 12"),
            ("B", "B) 12"),
        ],
        [
            ("B) 12", "C"),
            ("B) 12", "C) 12"),
            ("B) 12", "13"),
        ],
    ),
    "whole reference": (
        [
            ("6:30 PM", "6:30 pm"),
            ("so 5 + 6\n#### 11", "11"),
        ],
        [
            ("6:30 PM", "30"),
            ("3 out of 5", "5"),
            ("May 5, 2020", "2020"),
            ("width = 3, length = 5", "5"),
        ],
    ),
    "time of day": (
        [
            ("6:00 PM", "6 p.m."),
            ("18:00", "6:00 PM"),
            ("12 PM", "12:00 PM"),
        ],
        [
            ("6:00 PM", "6:00 AM"),
            ("6:00", "6:00 PM"),
            ("6 PM", "6"),
            ("12 AM", "12 PM"),
        ],
    ),
    "date": (
        [
            ("2024-01-02", "The answer is 2024-01-02."),
            ("2024-01-02", "2024-1-2"),
            ("05/01/2021", "\\boxed{5/1/2021}"),
            ("1.1.2024", "Answer: 01.01.2024"),
            ("(A) 05/01/2021", "A"),
        ],
        [
            ("2024-01-02", "2024-02-01"),
            ("2024-01-02", "2021"),
            ("2021", "2024-01-02"),
            ("05/01/2021", "10/02/2021"),
            ("05/01/2021", "5/2021"),
            ("2024-01-02", "2024/01/02"),
            ("2021-05-01, 2021-05-02", "2021-05-03, 2021-05-00"),
        ],
    ),
    "ratio": (
        [
            ("3:2", "3 : 2"),
            ("A:B:C = 1:2:3", "1:2:3"),
        ],
        [
            ("3:2", "6:4"),
            ("3:2", "2"),
            ("A:B:C = 1:2:3", "A:B:C = 2:2:3"),
            ("3:2 ratio", "5:2 ratio"),
        ],
    ),
    "named values": (
        [
            ("width = 3, length = 5", "length = 5, width = 3"),
            ("A is 5, B is 7", "A = 5, B = 7"),
            ("Tom has 3 and Ann has 4", "Ann has 4 and Tom has 3"),
        ],
        [
            ("width = 3, length = 5", "width = 5, length = 3"),
            ("A is 5, B is 7", "A is 6, B is 7"),
            ("A: 5, B: 7", "A"),
            ("x = 1, y = 2", "y = 1, x = 2"),
            ("Anna has 5, Ben has 7", "Ben has 5, Anna has 7"),
            ("(x=1, y=2)", "(y=1, x=2)"),
            ("f(1) = 2, f(2) = 1", "f(2) = 2, f(1) = 1"),
            ("x < 3, y < 4", "y < 3, x < 4"),
            (r"2\sqrt{3} cm, 5 cm", r"2\sqrt{3} in, 5 cm"),
        ],
    ),
    "the same equation": (
        [
            ("a = b", "b = a"),
            ("y = 1/x", "xy = 1"),
            ("F = ma", "a = F/m"),
        ],
        [
            ("a = b", "b = -a"),
            ("x = 2y", "y = 2x"),
            ("x = 5", "y = 5"),
            ("width = 3", "length = 3"),
        ],
    ),
    "all real numbers": (
        [
            (r"\mathbb{R}", r"(-\infty, \infty)"),
            (r"\mathbb{R} \setminus \{5, -\frac12\}", r"(-\infty,-\frac12) \cup (-\frac12,5) \cup (5,\infty)"),
        ],
        [
            (r"\mathbb{R} \setminus \{2\}", r"(-\infty,2] \cup (2,\infty)"),
            (r"\mathbb{R} \setminus \{2\}", r"\mathbb{R} \setminus \{3\}"),
            (r"\mathbb{R}", r"\mathbb{Q}"),
        ],
    ),
    "upright letter": (
        [(r"\sqrt{3}", r"\sqrt{3}\,\text{m}"), (r"2\pi", r"2\pi~\mathrm{s}")],
        [(r"\sqrt{3}\text{ m}", r"\sqrt{3}\text{ s}"), (r"\sqrt{3}", r"\sqrt{3}m")],
    ),
    "compound quantity": (
        [
            ("2 hours 15 minutes", "2 hr 15 min"),
            ("5 ft 6 in", "5 feet, 6 inches"),
        ],
        [
            ("2 hours 15 minutes", "15"),
            ("2 hours 15 minutes", "135 minutes"),
            ("5 ft 6 in", "4 ft 6 in"),
        ],
    ),
    "words with numbers": (
        [
            ("3 out of 5", "3 out of 5"),
            ("9:00 to 10:00", "9:00 - 10:00"),
            ("4 remainder 3", "4 Remainder 3"),
        ],
        [
            ("3 out of 5", "2 out of 5"),
            ("odds 3:1", "odds 4:1"),
            ("x=3 when y=5", "x=4 when y=5"),
        ],
    ),
    "magnitude word": (
        [
            ("5 dozen", "60"),
            ("$5 million", "5,000,000"),
        ],
        [
            ("5 dozen", "5"),
            ("$5 million", "5"),
        ],
    ),
    "number in words": (
        [
            ("42", "forty-two"),
            ("3rd", "third"),
            ("21", "21^{st}"),
        ],
        [
            ("42", "forty-three"),
        ],
    ),
    "sum of letters": (
        [
            ("12", "\\boxed{m+n = 12}"),
            ("62", "Answer: a+b+c = 12+25+25 = 62"),
        ],
        [
            ("5", "2x+1=5"),
            ("12", "m+n = 13"),
        ],
    ),
    "missing value": (
        [
            ("none", "None"),
            ("\\text{None}", "\\boxed{\\text{None}}"),
        ],
        [
            ("None", "None"),
            ("nan", "nan"),
            ("null", "null"),
        ],
    ),
    "same characters": (
        [
            ("2024^{4046}", "\\boxed{2024^{4046}}"),
            ("cannot be determined", "The answer is: cannot be determined"),
            ("2^{2^{2^{2^5}}}", "\\boxed{2^{2^{2^{2^5}}}}"),
        ],
        [
            ("2024^{4046}", "\\boxed{2024^{4047}}"),
        ],
    ),
    "grouped digits": (
        [
            ("1.22", "1,22"),
            ("1, 22", "1,22"),
            ("1234567", "12,34,567"),
        ],
        [
            ("12000", "1,2000"),
        ],
    ),
}
"""The rule's name, pairs of reference and answer that are equal by it, and pairs that are not."""


@pytest.mark.parametrize("rule", RULES)
def test_rule_of_the_table_decides_its_pairs(rule: str) -> None:
    same, other = RULES[rule]
    for gold, answer in same:
        assert equal(gold, answer) is Outcome.PASS, (gold, answer)
    for gold, answer in other:
        assert equal(gold, answer) is not Outcome.PASS, (gold, answer)


def test_table_and_tests_name_the_same_rules() -> None:
    page = (Path(__file__).parents[1] / "docs" / "math.md").read_text(encoding="utf-8")
    table = page.split("### Where two readings compete")[1].split("\n#")[0]
    assert re.findall(r"^\| ([a-z ]+?) \|", table, re.MULTILINE)[1:] == list(RULES)


@pytest.mark.parametrize(
    ("gold", "said"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("None", "missing"),
        ("nan", "missing"),
        (r"\frac{1}{", "braces"),
        ("word " * 60, "words"),
        ("7" * 7000, "characters"),
    ],
)
def test_reference_that_cannot_be_read_is_named_and_never_passes(gold: str, said: str) -> None:
    assert said in unreadable(gold)
    assert equal(gold, gold) in (Outcome.ABSTAIN, Outcome.INVALID)


@pytest.mark.parametrize(
    "gold", ["5", "6:30 PM", r"\frac{1}{2}", "[0, 1)", "none", "Anna: 5, Ben: 7", "2^{2^{99}}", "A) 12"]
)
def test_reference_that_can_be_read_has_no_fault(gold: str) -> None:
    assert unreadable(gold) == ""
    assert equal(gold, gold) is Outcome.PASS


def test_numeric_reference_is_never_an_outage_without_math_verify() -> None:
    program = (
        "import sys; sys.modules['math_verify'] = None\n"
        "from selfplay.verify.math import equal\n"
        "for answer in ('Just 10', 'a lot of cats', 'x+1', '\\\\frac{\\\\alpha}{2}', '\\\\sqrt{2}', 'None', '?'):\n"
        "    print(equal('98', answer).value)\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert len(run.stdout.split()) == 7
    assert set(run.stdout.split()) <= {"fail", "invalid"}


def test_tolerance_and_precision_of_a_task_reach_its_verdict() -> None:
    attempt = Attempt(task_id="t", attempt=0, round=0, text="So it is \\boxed{0.30000000000000004}")
    third = Attempt(task_id="t", attempt=0, round=0, text="The answer is 0.33.")
    checks: list[dict[str, Any]] = [
        {"type": "math", "answer": 0.3},
        {"type": "math", "answer": 0.3, "tolerance": 1e-9},
        {"type": "math", "answer": "1/3"},
        {"type": "math", "answer": "1/3", "precision": 2},
    ]
    tasks = [Task(id="t", prompt="?", check=check) for check in checks]
    verdicts = MathAnswer().verify(checks, tasks, [attempt, attempt, third, third])
    assert [verdict.outcome for verdict in verdicts] == [Outcome.FAIL, Outcome.PASS, Outcome.FAIL, Outcome.PASS]
