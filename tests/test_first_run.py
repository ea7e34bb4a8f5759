"""A newcomer's first run: prompts that share an instruction, references in code fences, replies as chat models write them."""

from pathlib import Path
from typing import Any

from tests.support.strangers import folder_of, played

INSTRUCTION = (
    "You are an expert Python programmer. Read the task below with care, think step by step, and answer with one Python code "
    "block that holds the whole function and nothing else. Do not print anything.\n\n"
)
WORK = {
    "double": ("Return twice the number n.", "return 2 * n"),
    "square": ("Return the number n times itself.", "return n * n"),
    "next_odd": ("Return the smallest odd number above n.", "return n + 1 + n % 2"),
    "digits": ("Return how many decimal digits the number n is written with.", "return len(str(n))"),
    "halved": ("Return half of n, rounded down to a whole number.", "return n // 2"),
    "last_digit": ("Return the last decimal digit of the number n.", "return n % 10"),
    "is_even": ("Say whether n can be divided by two without a rest.", "return n % 2 == 0"),
    "triangle": ("Return the sum of all whole numbers from one to n.", "return n * (n + 1) // 2"),
    "mirrored": ("Return the text of n read from right to left.", "return str(n)[::-1]"),
    "padded": ("Return n as a text of at least four characters with zeros before it.", "return str(n).zfill(4)"),
    "above_ten": ("Say whether n is larger than ten.", "return n > 10"),
    "negated": ("Return the number as far below zero as n is above it.", "return -n"),
}


def fenced(name: str, body: str) -> str:
    return f"Here is the function:\n\n```python\ndef {name}(n):\n    {body}\n```\n\nIt does what was asked."


def tasks() -> list[dict[str, Any]]:
    return [
        {
            "id": name,
            "prompt": f"{INSTRUCTION}Write {name}(n). {what}\n",
            "verifier": {
                "type": "code_tests",
                "entry_point": name,
                "cases": [[[n], result(body, n)] for n in (3, 8, 15)],
            },
            "reference": fenced(name, body),
        }
        for name, (what, body) in WORK.items()
    ]


def result(body: str, n: int) -> Any:
    """What a body of ours returns."""
    return eval(body.removeprefix("return "), {"n": n})


def test_shared_instructions_and_fenced_references_run_to_the_end_with_their_right_replies(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "own", tasks(), {name: fenced(name, body) for name, (_, body) in WORK.items()})
    checked = played(folder, "check")
    assert checked.code == 0, checked.said
    ended = played(folder)
    assert ended.code == 0, ended.said
    row = ended.rows()[1]
    assert row["data/passed"] == row["data/sampled"] and row["data/accepted"] >= 8
    assert "data/dropped_contaminated" not in row or row["data/dropped_contaminated"] == 0
    assert row["collapse_quality/canary_wrong"] > 0 and row["collapse_quality/canary_false_accepts"] == 0
    assert row["collapse_alarm/level"] < 3 and "train/weights_kept" not in row
