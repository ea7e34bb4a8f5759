"""What is no answer, whatever the reference is: the rules of the table in docs/math.md, each with replies that must not pass and some that must."""

import re
from pathlib import Path

import pytest

from selfplay.answers import extract_answer
from selfplay.records import Outcome
from selfplay.verify.math import equal

RULES: dict[str, tuple[str, list[str], list[str]]] = {
    "option denied": (
        "A",
        [
            "(A) is wrong, B",
            "A is incorrect; B",
            "Not (A), but (B)",
            "Option A fails, so C",
            "Answer: (A) is wrong, B",
            "The answer is (A) is wrong, B",
            "(A) can't be right, so B",
            "A) is not correct, C is",
            "(A) isn't it; D",
            "(A) no. (B) yes",
            "(A) wrong, (B) right",
            "Answer: A is ruled out; B",
            "I would never choose option (A).",
            "(A) (B)",
            "(A), (B)",
        ],
        ["A", "(A) is right, not B", "(A) is correct", "A, because B is wrong", "(A) since (B) is wrong", "A) is true"],
    ),
    "value denied": (
        "18",
        [
            "The answer is 19. (The key says the answer is 18, which is wrong.)",
            "The answer is 18, which is wrong.",
            "Answer: 18 is incorrect",
            "The answer 18 would be wrong",
            "Answer: 18 (wrong)",
            "Some say the answer is 18, but that's false.",
            "Answer: 18 does not work",
            "The answer is 18, but this is a common error",
            "The answer is 18. That is wrong.",
            "The answer is 18.\nNo.",
            "It is false that the answer is 18.",
            "I doubt the answer is 18.",
            "The wrong answer is 18.",
            "No one thinks the answer is 18.",
            "#### 18 (incorrect)",
            "Final answer: 18 is wrong, 19",
            "18 is wrong",
            "<answer>18</answer> is wrong",
            "Never answer: 18",
            "Perhaps the answer is 18.",
            "Suppose the answer is 18.",
            "Let us check whether the answer is 18.",
            "The answer is 18 if n is even, and 9 if n is odd.",
            "Answer: 18 when n is even and 19 otherwise",
            "Answer: 18\nOr 19",
            "Answer: 18\n\nWait, I made a mistake. It is 19.",
            "The answer is 18.\n\nHowever, I am not sure.",
            r"\boxed{18} is not the answer",
            r"The answer is not \boxed{18}.",
        ],
        [
            "The answer is 18. I was wrong before.",
            "The answer is 18.\n\nOr equivalently, 18.0.",
            "The answer is 18, since 19 is wrong.",
            "Since 19 is wrong, the answer is 18.",
            "It is not hard to see that the answer is 18.",
            r"\boxed{17} is wrong, so it is \boxed{18}",
        ],
    ),
    "other value": (
        "18",
        [
            "Answer: the sum is 18 more than 1",
            "Answer: 18 more than x",
            "Answer: 18 less than 20",
            "Answer: 18 times as many as",
            "Answer: 18 short of 20",
            "Answer: 18 or fewer",
            "He has 18 more than Tom.",
            "She has at least 18.",
            "She needs over 18 apples.",
            "It takes more than 18 days",
            "The total is twice 18.",
            "The answer is half of 18.",
            "The answer is minus 18",
            "Answer: 18 too many",
            "Answer: 18 max",
            r"twice \boxed{18}",
            r"at least $\boxed{18}$",
        ],
        [
            "Answer: approximately 18",
            "The answer is about 18.",
            "Answer: 18 more apples",
            "She needs 18 more.",
            "It adds up to 18.",
            "Answer: nearly 18",
        ],
    ),
    "part of a sentence": (
        "18",
        [
            "The total is 18 million.",
            "The total is $18 million.",
            "The total is 18 + 1.",
            "The total is 18 ± 1.",
            "The total is ≥ 18.",
            "The total is √18.",
            "The total is 18 1/2.",
            "So 2x = 18.",
            "So x^2 = 18.",
            "So -x = 18.",
            "So x ≠ 18.",
            "The answer squared is 18.",
            "The answer divided by 2 is 18",
            "The sum of the answer and 2 is 18.",
            "The upper bound of the answer is 18",
            "A naive answer is 18.",
            "Students often think the answer is 18.",
            r"We reject \boxed{18}.",
            r"$x = \boxed{18}$ is extraneous.",
            "The answer is 18 is too big.",
        ],
        [
            "So x = 18.",
            "So a + b = 18.",
            "So 9 * 2 = 18.",
            "So 9 x 2 = 18.",
            "The total is 18 dollars.",
            "Therefore, the sum is 18.",
        ],
    ),
    "box in an expression": (
        "18",
        [
            r"-\boxed{18}",
            r"2\boxed{18}",
            r"\boxed{18}^2",
            r"\frac{\boxed{18}}{2}",
            r"\boxed{18} + 1",
            r"\sqrt{\boxed{18}}",
            r"\boxed{18}!",
            r"\boxed{18}x",
            r"$3 + \boxed{18}$",
            r"\boxed{18}_{7}",
            r"\boxed{18}0",
            r"\boxed{18},000",
            r"\boxed{18}\text{ million}",
            r"\boxed{18} = 19",
            r"\sqrt{3}\boxed{18}",
            r"\left(\boxed{18}\right)^2",
            r"(3, \boxed{18})",
            r"\log \boxed{18}",
            r"x < \boxed{18}",
            r"\boxed{18} or 19",
            r"\boxed{18}\%\text{ of }50",
            "The answer is 20 - \\boxed{18}.",
            "\\[\n20\n- \\boxed{18}\\]",
            r"\cancel{\boxed{18}}",
        ],
        [
            r"x = \boxed{18}",
            r"$\boxed{18}$ dollars",
            r"\boxed{18}.",
            r"**\boxed{18}**",
            r"= \boxed{18}",
            r"\boxed{18} \text{ cm}^2",
            r"\boxed{18}\%",
            r"\boxed{18}^\circ",
            "So:\n- \\boxed{18}",
            r"\begin{align*} x &= 9 \cdot 2 \\ &= \boxed{18}. \end{align*}",
            r"\therefore \boxed{18}",
            r"\boxed{18} = 9 \cdot 2",
            r"{\boxed{18}}",
            r"\textbf{\boxed{18}}",
            r"\boxed{18} - that is the answer",
            r"\$\boxed{18}",
        ],
    ),
    "parts of a thousand": (
        "5%",
        [
            "5 permille",
            "5 per mille",
            "5‰",
            "5 bps",
            "5 basis points",
            "5 per thousand",
            "5 promille",
            "5 parts per million",
            "5 ppm",
            "5 in a thousand",
        ],
        ["5%", "5 percent", "5", "0.05", "5 percentage points", r"\boxed{5}\%"],
    ),
    "prime on a number": ("5", ["5'", "5''", '5"', "5′", r"5^\prime", "₅", "Answer: 5'"], ["5", "5 feet", "'5'"]),
    "negated word": (
        "True",
        [
            "~True",
            "¬True",
            "not True",
            "!True",
            "~ True",
            r"\neg True",
            r"\lnot \text{True}",
            r"~\text{True}",
            "Answer: ~True",
            "Answer: not True",
            "nearly true",
            "untrue",
        ],
        ["True", "true.", "Answer: True", r"\text{True}"],
    ),
}


@pytest.mark.parametrize("rule", RULES)
def test_what_a_reply_denies_or_builds_on_is_no_answer(rule: str) -> None:
    gold, refused, taken = RULES[rule]
    for reply in refused:
        assert equal(gold, reply) is not Outcome.PASS, reply
    for reply in taken:
        assert equal(gold, reply) is Outcome.PASS, reply


def test_table_of_what_is_no_answer_names_the_tested_rules() -> None:
    page = (Path(__file__).parents[1] / "docs" / "math.md").read_text(encoding="utf-8")
    table = page.split("### What is no answer")[1].split("\nA phrase")[0]
    assert re.findall(r"^\| ([a-z ]+?) \|", table, re.MULTILINE)[1:] == list(RULES)


@pytest.mark.parametrize(
    ("gold", "answer"),
    [("$5", "C$5"), ("$5", "A$5"), ("USD 5", "CAD 5"), ("$5", "5 euros"), ("$5", "5 cents"), ("$5", "S$5")],
)
def test_currencies_of_other_countries_are_other_units(gold: str, answer: str) -> None:
    assert equal(gold, answer) is not Outcome.PASS
    assert equal(answer, gold) is not Outcome.PASS


def test_dollar_without_a_country_is_that_of_the_united_states() -> None:
    assert {equal("$5", answer) for answer in ("5", "US$5", "USD 5", "5 dollars", "$5.00")} == {Outcome.PASS}


def test_boxes_that_touch_are_no_list_in_an_answer() -> None:
    assert {equal(gold, r"\boxed{1}\boxed{8}") for gold in ("18", "1,8", "8")} == {Outcome.INVALID}
    assert equal("1,8", r"\boxed{1} \boxed{8}") is Outcome.PASS


def test_magnitude_word_after_a_box_belongs_to_its_number() -> None:
    assert extract_answer(r"\boxed{18} million") == "18 million"
    assert equal("18,000,000", r"$\boxed{18}$ million") is Outcome.PASS


@pytest.mark.parametrize("gold", ["100!", "(10^6)!", "2^{100000}"])
def test_answer_in_the_characters_of_its_reference_passes_after_a_mark(gold: str) -> None:
    assert equal(gold, f"A: {gold}") is Outcome.PASS


@pytest.mark.parametrize(
    "unit",
    ["(", "{", "$", "- ", "\\text{", "\\boxed{1}", "\\boxed{1} or ", "1. ", "is not ", "is a b ", " \n", "\\left(", "that ", "~", "\\"],
)  # fmt: skip
def test_text_around_a_value_is_read_within_bounds(unit: str) -> None:
    many = unit * (100_000 // len(unit))
    for reply in (many + "\\boxed{18}", "\\boxed{18}" + many, "The answer is 18" + many):
        found = extract_answer(reply)
        assert found is None or len(found) <= len(reply)


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        (r"\text{July 23, 1940}", r"\boxed{\text{July 23, 1940} \text{ or } \text{1940}}"),
        ("12", r"\boxed{\text{12} \text{ or } \text{13}}"),
        ("12", r"\boxed{\mathrm{12} \text{ or } 13}"),
        ("18", r"Answer: \not= 18"),
        ("18", r"Answer: \neq 18"),
        ("18", "Answer: ≠ 18"),
        ("18", "Answer: != 18"),
    ],
)
def test_alternatives_in_text_commands_and_signs_of_inequality_are_no_answer(gold: str, answer: str) -> None:
    assert equal(gold, answer).value in ("invalid", "fail")
