"""The prompts of a round, for methods that sample while they train: tasks that the student solves sometimes. Imports without torch."""

from collections.abc import Sequence
from pathlib import Path

from selfplay.records import Record, Task
from selfplay.store import read_lines, write_lines

PROMPTS_FILE = "prompts.jsonl"
"""File in a round's folder with the prompts that it trains on."""


class Prompt(Record):
    """A task that the round trains on, and what the student made of it before."""

    task: Task
    """With its own check."""
    prompt_ids: tuple[int, ...]
    """The token ids with which the student was asked."""
    right: int
    """Attempts that passed."""
    tried: int
    """Attempts with a verdict."""
    completion_tokens: float
    """Mean length of the attempts."""


def write_prompts(path: Path, prompts: Sequence[Prompt]) -> None:
    """Writes the prompts in the given order; the write is atomic."""
    write_lines(path, [prompt.to_line().encode() for prompt in prompts])


def read_prompts(path: Path) -> list[Prompt]:
    """The prompts of a round; none if it chose none, or wrote no file. Raises StoreError if the file is broken."""
    if not path.is_file() or not path.stat().st_size:
        return []
    return read_lines(path, lambda lines: [Prompt.from_line(line) for line in lines])
