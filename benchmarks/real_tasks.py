"""Writes the task files of the start `smollm2`, the same bytes each time: python benchmarks/real_tasks.py [FOLDER]

`tasks.jsonl`: the largest of four to six two-digit numbers. `word_problems.jsonl`: one addition or subtraction below 30, told as a
story, answered by its equation. `functions.jsonl`: a Python function of one line, with tests. Each task is a chat with worked turns,
since SmolLM2-135M-Instruct rambles without one. No two tasks of a file have the same numbers (`largest`) or the same words.
"""

import json
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

START = Path(__file__).resolve().parent.parent / "selfplay" / "starts" / "smollm2"
NAMES = [
    "Ann",
    "Ben",
    "Carla",
    "Dan",
    "Ella",
    "Finn",
    "Gina",
    "Hugo",
    "Iris",
    "Jack",
    "Kate",
    "Liam",
    "Mona",
    "Nick",
    "Olga",
    "Paul",
]
THINGS = ["apples", "books", "cards", "coins", "eggs", "marbles", "pens", "shells", "stamps", "stickers"]
MORE = ("buys {n} more", "finds {n} more", "gets {n} from a friend", "wins {n} more")
FEWER = ("gives {n} away", "loses {n}", "sells {n}", "breaks {n}")
FUNCTIONS: list[tuple[str, str, Callable[[Any, int], Any]]] = [
    ("add", "x plus {n}", lambda x, n: x + n),
    ("subtract", "x minus {n}", lambda x, n: x - n),
    ("from", "{n} minus x", lambda x, n: n - x),
    ("multiply", "x times {n}", lambda x, n: x * n),
    ("remainder", "the remainder of x divided by {n}", lambda x, n: x % n),
    ("divide", "x divided by {n}, rounded down", lambda x, n: x // n),
    ("square", "the square of x, plus {n}", lambda x, n: x * x + n),
    ("above", "whether x is greater than {n}", lambda x, n: x > n),
    ("larger", "the larger of x and {n}", lambda x, n: max(x, n)),
    ("distance", "the distance between x and {n}", lambda x, n: abs(x - n)),
]
"""Name, what the function returns, and the function."""
INPUTS = (0, 1, 3, 8, 12, 25, 47)
Made = tuple[str, dict[str, Any], str]
"""Question, verifier, and a tag."""


def largest(draw: random.Random, number: int) -> Made:
    """The largest of four to six numbers, as many as the task's number says."""
    given = draw.sample(range(10, 100), 4 + number % 3)
    return " ".join(map(str, given)), {"type": "math", "answer": str(max(given))}, f"topic:of_{len(given)}"


def word_problem(draw: random.Random, number: int) -> Made:
    """A story of 6 to 20 things, to which 2 to 9 are added or from which they are taken; even numbers of tasks add."""
    had = draw.randint(6, 20)
    n = min(draw.randint(2, 9), had - 2)
    who, what, adds = draw.choice(NAMES), draw.choice(THINGS), number % 2 == 0
    event = draw.choice(MORE if adds else FEWER).format(n=n)
    question = f"{who} has {had} {what} and {event}. How many {what} does {who} have now?"
    answer = str(had + n if adds else had - n)
    return question, {"type": "math", "answer": answer}, f"topic:{'more' if adds else 'fewer'}"


def function(draw: random.Random, number: int) -> Made:
    """A function of x and one of the numbers 2 to 99, of the kind that the task's number says."""
    name, words, program = FUNCTIONS[number % len(FUNCTIONS)]
    n = draw.randint(2, 99)
    question = f"Write {name}_{n}(x), which returns {words.format(n=n)}."
    cases = [[[x], program(x, n)] for x in (*INPUTS, n)]
    return question, {"type": "code_tests", "entry_point": f"{name}_{n}", "cases": cases}, f"topic:{name}"


WORKED: dict[Callable[[random.Random, int], Made], list[str]] = {
    largest: ["Give the largest number.", "31 84 27", "84"],
    word_problem: [
        "Solve the problem.",
        "Tom has 14 pears and eats 6. How many pears does Tom have now?",
        "14 - 6 = 8",
        "Sue has 7 cups and picks 5 more. How many cups does Sue have now?",
        "7 + 5 = 12",
    ],
    function: [
        "Write the function in Python.",
        "Write double(x), which returns x times 2.",
        "def double(x):\n    return x * 2",
    ],
}
"""The system prompt, and worked turns of user and assistant."""


def rows(family: Callable[[random.Random, int], Made], seed: int, train: int) -> Iterator[dict[str, Any]]:
    """Tasks of a family; test and dev come first, so that no training task is one of them."""
    draw, seen = random.Random(seed), set[str]()
    roles = ["system", *["user", "assistant"] * 2]
    for split, size in {"test": 200, "dev": 64, "train": train}.items():
        for number in range(size):
            question, verifier, tag = family(draw, number)
            while (key := " ".join(sorted(question.split()))) in seen:
                question, verifier, tag = family(draw, number)
            seen.add(key)
            turns = [{"role": r, "content": c} for r, c in zip(roles, WORKED[family], strict=False)]
            yield {
                "id": f"{family.__name__}-{split}-{number:03d}",
                "messages": [*turns, {"role": "user", "content": question}],
                "verifier": verifier,
                "tags": [tag],
                "split": split,
            }


def main(folder: Path) -> None:
    """Writes the files."""
    for name, family, seed, train in (
        ("tasks.jsonl", largest, 7, 800),
        ("word_problems.jsonl", word_problem, 11, 800),
        ("functions.jsonl", function, 13, 480),
    ):
        lines = "".join(json.dumps(row) + "\n" for row in rows(family, seed, train))
        (folder / name).write_text(lines, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else START)
