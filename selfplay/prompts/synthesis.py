"""The prompts of synthesis, with which a teacher is asked to evolve, solve, write to order, vary, translate or instruct.

Pure. Foreign text is quoted (see `selfplay.prompts.quote`); the reply is one JSON object, so that talk around it can be told apart.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

from selfplay.prompts import RULE, sections
from selfplay.records import Message

Kind = Literal["math", "code"]
"""How a synthesized task is verified: by its final answer, or by running its tests."""

DEPTH = {
    "constraint": "Add one constraint or requirement that changes the result.",
    "deepen": "Ask for more depth: the same matter, but a harder question about it.",
    "concretise": "Replace a general notion by more specific ones.",
    "steps": "Make it need more steps of reasoning, at least one more than now.",
    "input": "Complicate the input: more data, or data of a richer form.",
}
"""The in-depth evolutions of Evol-Instruct (Xu et al. 2023, 2304.12244), by name."""
BREADTH = "Write a new task of the same field and length that is rarer and about something else."

_FORM = {
    "math": 'Reply with one JSON object and nothing else: {"task": "...", "solution": "<steps, one a line, last line A: answer>", '
    '"answer": "<one number or expression>"}',
    "code": 'Reply with one JSON object and nothing else: {"task": "...", "entry_point": "<name of the function>", "solution": '
    '"<Python code>", "tests": ["assert ...", "..."]}. Give at least four asserts that a wrong program would fail.',
}
_ALONE = "It must be clear on its own, have exactly one right answer, and not hold that answer."


def evolve(task: str, way: str, kind: Kind) -> tuple[Message, ...]:
    """Asks for a harder task (`way`: a key of DEPTH), or for a new one (`way`: `breadth`)."""
    how = BREADTH if way == "breadth" else f"Make the task harder. {DEPTH[way]}"
    return _messages(f"You write exercises.\n{RULE}", [("TASK", task)], f"{how} {_ALONE} {_FORM[kind]}")


def solve(task: str, kind: Kind, entry_point: str = "") -> tuple[Message, ...]:
    """Asks for a solution, given the task alone."""
    if kind == "code":
        form = f'{{"solution": "<Python code that defines {entry_point or "the function"}>"}}'
    else:
        form = '{"solution": "<steps, one a line, last line A: answer>"}'
    return _messages(
        f"You solve exercises with care.\n{RULE}",
        [("TASK", task)],
        f"Solve the task. Reply with one JSON object: {form}",
    )


def rare(constraints: Mapping[str, str], kind: Kind) -> tuple[Message, ...]:
    """Asks for a task that has the given value of every axis of a taxonomy."""
    parts = [(name.upper(), value) for name, value in constraints.items()]
    return _messages(
        f"You write exercises to order.\n{RULE}",
        parts,
        f"Write one task that has all of the above. {_ALONE} {_FORM[kind]}",
    )


def topics(topic: str, count: int) -> tuple[Message, ...]:
    """Asks for the titles of a topic's sections."""
    form = f'Name {count} sections that a textbook on it would have. Reply with one JSON object: {{"sections": ["...", "..."]}}'
    return _messages(f"You plan textbooks.\n{RULE}", [("TOPIC", topic)], form)


def section(topic: str, title: str, count: int) -> tuple[Message, ...]:
    """Asks for the text of a section and its exercises."""
    form = (
        f"Write the section: its matter in 60 to 300 words with one worked example, then {count} exercises of growing difficulty "
        'that differ from the example. Reply with one JSON object: {"text": "...", "exercises": [{"task": "...", "solution": '
        '"<steps, one a line, last line A: answer>", "answer": "<one number or expression>"}]}'
    )
    return _messages(f"You write textbooks.\n{RULE}", [("TOPIC", topic), ("SECTION", title)], form)


def vary(task: str, answer: str, count: int) -> tuple[Message, ...]:
    """Asks for the same task with other numbers and names, and for the formula that gives its answer from its numbers."""
    form = (
        "Numbers of the task are n0, n1, ... in the order in which they stand. Give the formula of the answer in them, then "
        f"{count} variants: the same task and the same question with other numbers, names or things, the numbers in the same order. "
        'Reply with one JSON object: {"formula": "n0*n1-n2", "variants": [{"task": "...", "answer": "..."}]}'
    )
    return _messages(f"You vary exercises.\n{RULE}", [("TASK", task), ("ANSWER", answer)], form)


def translate(text: str, into: str) -> tuple[Message, ...]:
    """Asks for a translation that keeps the marks `⟦0⟧`, `⟦1⟧`, ... in their places."""
    form = (
        f"Translate the text into {into}, in natural wording. Marks such as ⟦0⟧ stand for things that stay as they are: keep each "
        'of them exactly once. Do not answer the text. Reply with one JSON object: {"text": "..."}'
    )
    return _messages(f"You translate.\n{RULE}", [("TEXT", text)], form)


def instruction(text: str) -> tuple[Message, ...]:
    """Asks for the instruction that a text answers, and for a score of the text as its reply (Li et al. 2023, 2308.06259)."""
    form = (
        "Write the instruction to which this text is the reply. Whoever reads it does not see the text. Then grade the text as a "
        'reply, 1 to 5. Reply with one JSON object: {"task": "...", "score": 4}'
    )
    return _messages(f"You find the question to an answer.\n{RULE}", [("TEXT", text)], form)


def _messages(system: str, parts: Sequence[tuple[str, str]], ask: str) -> tuple[Message, ...]:
    return (Message(role="system", content=system), Message(role="user", content=f"{sections(parts)}\n\n{ask}"))
