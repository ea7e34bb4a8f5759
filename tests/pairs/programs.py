"""Small programs, each with a wrong twin and the calls that tell them apart."""

from dataclasses import dataclass
from random import Random
from typing import Any

_NAMES = (
    "f",
    "solve",
    "compute",
    "total_of",
    "count_items",
    "next_value",
    "process",
    "transform",
    "my_function",
    "answer_for",
)
_HELPERS = ("helper", "step", "_inner", "shift", "prepare")


@dataclass(frozen=True, slots=True)
class Part:
    """A program in pieces: what must stand before, and the definition of the entry point."""

    before: str
    main: str

    @property
    def whole(self) -> str:
        return f"{self.before}\n\n{self.main}" if self.before else self.main


@dataclass(frozen=True, slots=True)
class Task:
    """An entry point, calls with their results, a right program and a wrong one of the same shape.

    `right_split` and `wrong_split` are programs of two parts, of which the second needs the first.
    """

    name: str
    calls: tuple[tuple[tuple[Any, ...], Any], ...]
    right: str
    wrong: str
    right_split: Part
    wrong_split: Part


def _shift(rng: Random, name: str) -> Task:
    k, h = rng.randint(1, 99), rng.choice(_HELPERS)

    def plain(amount: int) -> str:
        return f"def {name}(x):\n    return x + {amount}"

    def split(amount: int) -> Part:
        return Part(f"def {h}(x):\n    return x + {amount - 1}", f"def {name}(x):\n    return {h}(x) + 1")

    calls = (((1,), 1 + k), ((-4,), k - 4))
    return Task(name, calls, plain(k), plain(-k), split(k), split(-k))


def _vowels(rng: Random, name: str) -> Task:
    constant = rng.choice(("VOWELS", "LETTERS"))

    def plain(letters: str) -> str:
        return (
            f'def {name}(text):\n    """Counts vowels."""\n    return sum(1 for c in text.lower() if c in "{letters}")'
        )

    def split(letters: str) -> Part:
        main = f"def {name}(text):\n    count = 0\n    for c in text.lower():\n        if c in {constant}:\n            count += 1\n    return count"
        return Part(f'{constant} = set("{letters}")', main)

    calls = ((("Education",), 5), (("sky",), 0), (("aloud",), 3))
    return Task(name, calls, plain("aeiou"), plain("aeio"), split("aeiou"), split("aeio"))


def _floor(rng: Random, name: str) -> Task:
    k = rng.randint(2, 9)

    def plain(function: str) -> str:
        return f"import math\n\ndef {name}(x: float) -> int:\n    return math.{function}(x) * {k}"

    def split(function: str) -> Part:
        return Part(
            "import math\nfrom collections import Counter", f"def {name}(x):\n    return math.{function}(x) * {k}"
        )

    calls = (((2.5,), 2 * k), ((-0.5,), -k))
    return Task(name, calls, plain("floor"), plain("ceil"), split("floor"), split("ceil"))


def _largest(rng: Random, name: str) -> Task:
    place = rng.randint(2, 3)

    def plain(at: int) -> str:
        return f"def {name}(items):\n    ordered = sorted(set(items), reverse=True)\n\n    # counted from one\n    return ordered[{at} - 1]"

    def split(at: int) -> Part:
        start = "class Box:\n    def __init__(self, items):\n        self.items = sorted(set(items))"
        holder = f"{start}\n\n    def at(self):\n        return self.items[-{at}]"
        return Part(holder, f"def {name}(items):\n    return Box(items).at()")

    calls = ((([5, 1, 4, 4],), sorted([5, 1, 4])[-place]), (([9, 8, 7, 7, 6],), 10 - place))
    return Task(name, calls, plain(place), plain(1), split(place), split(1))


def _fibonacci(rng: Random, name: str) -> Task:
    start = rng.randint(1, 5)

    def plain(turns: str) -> str:
        return f"def {name}(n):\n    a, b = 0, {start}\n    for _ in range({turns}):\n        a, b = b, a + b\n    return a"

    def split(turns: str) -> Part:
        h = "advance"
        main = f"def {name}(n):\n    state = (0, {start})\n    for _ in range({turns}):\n        state = {h}(state)\n    return state[0]"
        return Part(f"def {h}(state):\n    a, b = state\n    return b, a + b", main)

    calls = (((1,), start), ((6,), 8 * start))
    return Task(name, calls, plain("n"), plain("n + 1"), split("n"), split("n + 1"))


def _words(rng: Random, name: str) -> Task:
    mark = rng.choice("-_+")

    def plain(order: str) -> str:
        return f"def {name}(text):\n    words = text.split()\n    return '{mark}'.join({order})"

    def split(order: str) -> Part:
        main = f"def {name}(text):\n    words = tokenize(text)\n    return '{mark}'.join({order})"
        return Part("import re\n\ndef tokenize(text):\n    return re.findall(r'\\S+', text)", main)

    calls = ((("a b c",), mark.join("cba")), (("one two",), f"two{mark}one"))
    return Task(name, calls, plain("words[::-1]"), plain("words"), split("words[::-1]"), split("words"))


_MAKERS = (_shift, _vowels, _floor, _largest, _fibonacci, _words)


def task(rng: Random) -> Task:
    """A small task."""
    return rng.choice(_MAKERS)(rng, rng.choice(_NAMES))
