"""Odd and hostile answers and steps: none raises, none takes long, none is taken for the right one."""

import time

import pytest

from selfplay.answers import extract_answer
from selfplay.records import Outcome
from selfplay.verify.math import StepOutcome, check_steps, equal

WRONG = [
    # several, taken back, hidden
    ("18", "18 or 19"),
    ("18", "17, 18"),
    ("18", "A: 18\nA: 19"),
    ("18", r"\boxed{18} \boxed{19}"),
    ("18", "<answer>18</answer><answer>19</answer>"),
    ("18", "it is between 17 and 19"),
    ("18", "19\n\n(18 was my first guess)"),
    ("18", "19 <!-- 18 -->"),
    ("18", "~~18~~ 19"),
    ("18", "<think>18"),
    ("18", r"\text{18}19"),
    ("18", r"\phantom{18}19"),
    ("18", r"\color{white}{18} 19"),
    ("18", r"\boxed{}18, 19"),
    ("18", r"\def\x{18}\x 9"),
    ("yes", "yes and no"),
    ("A", "A or B"),
    # look-alikes
    ("18", "1 8"),
    ("18", "0x12"),
    ("18", "１８０"),
    ("18", "\u202e81"),
    ("18", "1\u200b9"),
    ("18", "18\x009"),
    ("18", "\ud800"),
    ("1,234", "1.234"),
    ("1234", "1,23,4"),
    ("5", r"5_{7}"),
    ("101", "101_2"),
    ("0.1", "0.10000000000000000001"),
    ("1", "0.9999999"),
    ("10^{400}", "10^{400}+1"),
    ("100", "1e2000000000"),
    # no value
    ("0", "0/0"),
    ("0", "1/0"),
    ("0", r"\infty-\infty"),
    ("1", "nan"),
    ("18", "18 = 19"),
    ("7", r"7 \pm 1"),
    # programs
    ("18", "__import__('os').system('id') or 18"),
    ("18", "lambda: 18"),
    ("18", "18 if True else 19"),
    ("18", "[18 for _ in range(1)][0] + 1"),
    # another thing of the same digits
    ("x", "x'"),
    ("A'", "A"),
    ("[0,1)", "[0,1]"),
    (r"\emptyset", r"\{0\}"),
    ("20%", "2"),
    ("5 hours", "5 minutes"),
]

WRONG_SYMBOLS = [
    (r"\pi", "3.14"),
    ("e", "2.718"),
    ("x^2", "x^2+10^{-30}"),
    ("x", "|x|"),
    ("f'(x)", "f(x)"),
    ("y'=3", "y=3"),
    ("x''+1", "1+x'"),
    ("x_1'+2", "2+x_1"),
    ("x^T", "x"),
    (r"x^{\top}+1", "1+x"),
    ("1", r"\int_0^2 1 dx"),
    ("3", r"\lim_{x\to 0} 4"),
    ("10", r"\sum_{i=1}^{5} i"),
    ("3+4i", "3-4i"),
    (r"\overrightarrow{AB}", r"\overrightarrow{BA}"),
    (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{pmatrix}1&2\\3&4\end{pmatrix}^T"),
    (r"\mathbb{R}", r"\mathbb{Q}"),
]

RIGHT_SYMBOLS = [
    ("2", r"\int_0^2 1 dx"),
    ("1", r"\int_0^1 2x\,dx"),
    ("f'(x)+1", "1+f'(x)"),
    ("x_1'+2", "2+x_1'"),
    (r"x^\prime + 1", "1+x'"),
    ("y''+y=0", "y''=-y"),
    ("A^T B", "B A^{T}"),
    (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}^T", r"\begin{pmatrix}1&3\\2&4\end{pmatrix}"),
    ("18", "'18'"),
]


def timely(gold: str, answer: str) -> Outcome:
    began = time.monotonic()
    found = equal(gold, answer)
    assert time.monotonic() - began < 6
    return found


@pytest.mark.parametrize(("gold", "answer"), WRONG)
def test_odd_answer_is_not_taken_for_the_right_one(gold: str, answer: str) -> None:
    assert timely(gold, answer) is not Outcome.PASS
    assert timely(gold, f"The answer is {answer}") is not Outcome.PASS
    extract_answer(answer)


@pytest.mark.parametrize(("gold", "answer"), WRONG_SYMBOLS)
def test_odd_expression_is_not_taken_for_the_right_one(gold: str, answer: str) -> None:
    assert timely(gold, answer) is not Outcome.PASS


@pytest.mark.parametrize(("gold", "answer"), RIGHT_SYMBOLS)
def test_marks_that_carry_meaning_are_read(gold: str, answer: str) -> None:
    assert timely(gold, answer) is Outcome.PASS


HOSTILE_STEPS = [
    "9**9**9**9 = 5",
    "9^9^9^9 = 1",
    "10^100000 = 1",
    "1e999999999 * 2 = 3",
    "170! = 1",
    "1/0 = 1",
    "0/0 = 0",
    "0x = 5",
    "x = x",
    "x/0 = 3",
    "<<__import__('os')=1>>",
    "f(2) = 3",
    "=" * 10_000,
    "<<" * 5_000,
    "-" * 5_000 + "1 = 1",
    "(" * 3_000 + "1=1" + ")" * 3_000,
    "1+" * 20_000 + "1 = 5",
    "1" * 100_000 + " + 1 = 2",
]


@pytest.mark.parametrize("step", HOSTILE_STEPS, ids=lambda step: step[:20])
def test_hostile_step_is_unchecked_at_once(step: str) -> None:
    began = time.monotonic()
    [verdict] = check_steps([step], question="What is 3?", answer="4")
    assert verdict.outcome is StepOutcome.UNCHECKED
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "step", ["1+1=3 " * 5_000, "<<9*9*9=1>>" * 1_000, "2*3=6=7=6", "1.000 + 1 = 1001", "\ud800 1+1=3", "１+１=３"]
)
def test_false_step_is_wrong_however_it_is_dressed(step: str) -> None:
    began = time.monotonic()
    [verdict] = check_steps([step])
    assert verdict.outcome is StepOutcome.WRONG
    assert time.monotonic() - began < 5
