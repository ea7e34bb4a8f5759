"""Runs a program that a model wrote on some calls, and reads its answers back as plain values.

The program runs in the sandbox and its output is hostile: of every line a bounded literal is read, by parsing alone. What a
program prints by itself can only be about itself; a call that two lines speak of has no answer.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from selfplay.answers.programs import literal
from selfplay.sandbox import Executor, Job, Limits, Status, StdioTests

Args = tuple[Any, ...]
Ask = tuple[str, str, Sequence[Args]]
"""A program, its function, and the arguments of each call."""

_MARK = "\x1ecase "
_OUTPUT_CHARS = 3500
"""What the sandbox keeps of printed text is bounded."""


class Answers(dict[int, Any]):
    """Answers by number of the call; `lost`: the sandbox was out of order, so that nothing is known."""

    lost = False


def answers(asks: Sequence[Ask], executor: Executor, limits: Limits, *, at_once: int = 0) -> list[Answers]:
    """The answers of each program, calls that raise or give no short literal left out.

    `at_once`: calls in one process, which share the room for what is printed; 0: all.
    """
    jobs, whose = list[Job](), list[tuple[int, tuple[int, ...]]]()
    for place, (code, entry, inputs) in enumerate(asks):
        for numbers in _batches(len(inputs), at_once or len(inputs)):
            whose.append((place, numbers))
            jobs.append(Job(str(len(jobs)), _showing(code, entry, inputs, numbers), StdioTests([("", "")]), limits))
    found = [Answers() for _ in asks]
    for (place, numbers), result in zip(whose, executor.run(jobs), strict=True):
        found[place].lost |= result.status is Status.INFRA_ERROR
        found[place].update(_read(numbers, result.stdout_tail))
    return found


def _batches(count: int, size: int) -> Iterator[tuple[int, ...]]:
    numbers = range(count)
    return (tuple(numbers[at : at + size]) for at in range(0, count, max(1, size)))


def _showing(code: str, entry: str, inputs: Sequence[Args], numbers: Sequence[int]) -> str:
    """The program, then one printed line for each call: its number and the value."""
    room = _OUTPUT_CHARS // max(1, len(numbers))
    lines = [
        code,
        "def _show(number, call):",
        "    try:",
        "        text = repr(call())",
        "    except Exception:",
        "        return",
        f"    if len(text) < {room}:",
        f"        print({_MARK!r} + str(number) + ' ' + text)",
        *(f"_show({n}, lambda: {entry}(*{inputs[n]!r}))" for n in numbers),
    ]
    return "\n".join(lines) + "\n"


def _read(numbers: Sequence[int], printed: str) -> Mapping[int, Any]:
    known = {str(number): number for number in numbers}
    lines: dict[int, list[str]] = {}
    for line in printed.split("\n"):
        name, _, text = line.removeprefix(_MARK).partition(" ")
        if line.startswith(_MARK) and name in known:
            lines.setdefault(known[name], []).append(text)
    read = {number: literal(texts[0]) for number, texts in lines.items() if len(texts) == 1}
    return {number: one[0] for number, one in read.items() if one is not None}
