"""What is wrong with a worked solution, or with a textbook section, that a teacher wrote, in one word. Pure.

Arithmetic steps are checked as far as they can be parsed (`verify.math`); the final answer is left to the verifier.
"""

import re

from selfplay.answers import extract_answer
from selfplay.records import Outcome
from selfplay.synthesis.task_filters import form_fault, task_fault
from selfplay.synthesis.text_features import content_words, numbers, stems, words
from selfplay.verify.math import check_solution, equal

MAX_SOLUTION_CHARS = 6000
MIN_SECTION_CHARS = 120
_EQUATION = re.compile(r"\d\s*[-+*/x×÷:^]\s*\(?\s*\d|=\s*[-\d(]")
_ANSWER_LINE = re.compile(r"^\W*(?:(?:a|answer|final answer)\W*:|(?:the )?answer is\b).*$|^#{4}.*$", re.IGNORECASE)
_LAST_ANSWER = re.compile(r"\b(?:A|Answer|answer)\s*(?:is|:)\s*([^\n]+)")


def solution_fault(solution: str, task: str = "") -> str:
    """What is wrong with a worked solution: the faults of `form_fault`, and `off_format` (a code block), `no_answer`,
    `no_reasoning`, `two_answers`, `wrong_step`; "" where nothing is.
    """
    if fault := form_fault(solution, task, MAX_SOLUTION_CHARS):
        return fault
    if "```" in solution:
        return "off_format"
    answer = extract_answer(solution)
    if answer is None:
        return "no_answer"
    lines = [line for line in solution.splitlines() if line.strip()]
    reasons = " ".join(line for line in lines if not _ANSWER_LINE.match(line))
    if not _EQUATION.search(reasons) and len(words(reasons, stop=False)) < 8:
        return "no_reasoning"
    stated = {text.strip().rstrip(".") for text in _LAST_ANSWER.findall(solution)}
    if any(equal(one, answer) is Outcome.FAIL for one in stated):
        return "two_answers"
    return "wrong_step" if check_solution(lines).first_wrong is not None else ""


def section_fault(title: str, text: str) -> str:
    """What is wrong with a section's text: the faults of `form_fault`, and `too_short`, `off_section` (not about its title),
    `no_example`, `wrong_step`; "" where nothing is.
    """
    if fault := form_fault(text, f"{title} of the and is"):
        return fault
    if len(text) < MIN_SECTION_CHARS:
        return "too_short"
    wanted, have = stems(title), stems(text)
    if 2 * len(wanted & have) < len(wanted):
        return "off_section"
    if not re.search(r"\d", text):
        return "no_example"
    sentences = re.split(r"(?<=[.!?;])\s+|(?<=[a-z]), |: ", text)
    return "wrong_step" if check_solution(sentences).first_wrong is not None else ""


def exercise_fault(title: str, text: str, task: str, answer: str) -> str:
    """What is wrong with an exercise of a section: the faults of `task_fault`, and `no_numbers`, `off_section`, `worked_example`
    (the section's own example asked again); "" where nothing is.
    """
    if fault := task_fault(task, answer, text):
        return fault
    asked, shown = set(numbers(task)), numbers(text)
    spelled = content_words(task) & {"two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"}
    if not asked and not spelled:
        return "no_numbers"
    if not stems(task) & (stems(text) | stems(title)) and not _initials(title) & set(
        re.findall(r"\b[A-Z]{2,6}\b", task)
    ):
        return "off_section"
    return "worked_example" if len(numbers(task)) >= 2 and _within(numbers(task), shown) and answer in shown else ""


def _within(run: list[str], whole: list[str]) -> bool:
    """Whether a run of numbers occurs as one piece in another."""
    return any(whole[at : at + len(run)] == run for at in range(len(whole) - len(run) + 1))


def _initials(title: str) -> set[str]:
    return {"".join(word[0] for word in re.findall(r"[A-Za-z]+", title)).upper()}
