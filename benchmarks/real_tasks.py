"""Writes the task files of the start `smollm2`, the same bytes each time: python benchmarks/real_tasks.py [FOLDER]

`tasks.jsonl`: the largest of four to six two-digit numbers. `word_problems.jsonl`: one addition or subtraction below 30, told as a
story, answered by its equation. Each task is a chat with worked turns, since SmolLM2-135M-Instruct rambles without one. No task of a
file has the numbers (`largest`) or the text (`word problem`) of another.
"""

import json
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

START = Path(__file__).resolve().parent.parent / "selfplay" / "starts" / "smollm2"
SIZES = {"test": 200, "dev": 64, "train": 800}
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
Made = tuple[str, str, str]
"""Question, answer, and a tag."""


def largest(draw: random.Random, number: int) -> Made:
    """The largest of four to six numbers, as many as the task's number says."""
    given = draw.sample(range(10, 100), 4 + number % 3)
    return " ".join(map(str, given)), str(max(given)), f"topic:of_{len(given)}"


def word_problem(draw: random.Random, number: int) -> Made:
    """A story of 6 to 20 things, to which 2 to 9 are added or from which they are taken; even numbers of tasks add."""
    had = draw.randint(6, 20)
    n = min(draw.randint(2, 9), had - 2)
    who, what, adds = draw.choice(NAMES), draw.choice(THINGS), number % 2 == 0
    event = draw.choice(MORE if adds else FEWER).format(n=n)
    question = f"{who} has {had} {what} and {event}. How many {what} does {who} have now?"
    return question, str(had + n if adds else had - n), f"topic:{'more' if adds else 'fewer'}"


WORKED: dict[Callable[[random.Random, int], Made], list[str]] = {
    largest: ["Give the largest number.", "31 84 27", "84"],
    word_problem: [
        "Solve the problem.",
        "Tom has 14 pears and eats 6. How many pears does Tom have now?",
        "14 - 6 = 8",
        "Sue has 7 cups and picks 5 more. How many cups does Sue have now?",
        "7 + 5 = 12",
    ],
}
"""The system prompt, and worked turns of user and assistant."""


def rows(family: Callable[[random.Random, int], Made], seed: int) -> Iterator[dict[str, Any]]:
    """Tasks of a family; test and dev come first, so that no training task is one of them."""
    draw, seen = random.Random(seed), set[str]()
    roles = ["system", *["user", "assistant"] * 2]
    for split, size in SIZES.items():
        for number in range(size):
            question, answer, tag = family(draw, number)
            while (key := " ".join(sorted(question.split()))) in seen:
                question, answer, tag = family(draw, number)
            seen.add(key)
            turns = [{"role": r, "content": c} for r, c in zip(roles, WORKED[family], strict=False)]
            yield {
                "id": f"{family.__name__}-{split}-{number:03d}",
                "messages": [*turns, {"role": "user", "content": question}],
                "verifier": {"type": "math", "answer": answer},
                "tags": [tag],
                "split": split,
            }


def main(folder: Path) -> None:
    """Writes both files."""
    for name, family, seed in (("tasks.jsonl", largest, 7), ("word_problems.jsonl", word_problem, 11)):
        lines = "".join(json.dumps(row) + "\n" for row in rows(family, seed))
        (folder / name).write_text(lines, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else START)
