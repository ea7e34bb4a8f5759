"""The only file that imports reasoning-gym; it runs in two places, and in neither of them as part of our process.

`reasoning_gym.py` executes it by path, in a fresh interpreter that makes the entries. `selfplay/verify/reasoning_gym.py` sends it into the
sandbox as a zygote's prelude: there the data sets are opened once, and each answer is scored in a fork of its own. Several scorers evaluate
the answer, so while one works an audit hook looks at all that is about to be evaluated and refuses what is more than arithmetic.
"""

import contextlib
import dis
import hashlib
import io
import json
import os
import string
import sys
from types import CodeType
from typing import Any

import numpy.random  # noqa: F401  (the sandbox seeds it in each process, and could not load it there)
import reasoning_gym
from reasoning_gym.coaching.base_curriculum import DefaultCurriculumContext, RangeAttributeMode
from reasoning_gym.factory import create_curriculum

NUMBERS = frozenset(("Integer", "Float", "Rational"))
"""What numbers become when sympy reads them."""
SYMBOLS = NUMBERS | frozenset(
    (
        *(
            "Symbol",
            "Add",
            "Mul",
            "Pow",
            "Abs",
            "Min",
            "Max",
            "factorial",
            "sqrt",
            "cbrt",
            "root",
            "exp",
            "log",
            "ln",
            "sign",
        ),
        *(
            "sin",
            "cos",
            "tan",
            "cot",
            "sec",
            "csc",
            "asin",
            "acos",
            "atan",
            "acot",
            "asec",
            "acsc",
            "atan2",
            "pi",
            "oo",
        ),
        *("sinh", "cosh", "tanh", "coth", "asinh", "acosh", "atanh", "erf", "erfi", "Si", "Ci", "Ei", "li", "gamma"),
        *string.ascii_letters,
    )
)
"""Besides these, where the data set's own answer has letters in it: unknowns, usual functions and constants."""
_ACTS = (
    "LOAD_ATTR", "LOAD_METHOD", "LOAD_SUPER", "LOAD_BUILD", "MAKE_", "STORE_", "DELETE_", "IMPORT_", "YIELD", "AWAIT",
)  # fmt: skip
_LIBRARY = os.path.dirname(os.__file__)  # noqa: PTH120
_data: list[Any] = []


def opened(spec: dict[str, Any]) -> Any:
    """A data set; the same for the same seed, size, settings and level."""
    given = {**level_settings(spec["name"], spec.get("level")), **spec["settings"]}
    return reasoning_gym.create_dataset(spec["name"], seed=spec["seed"], size=spec["size"], **given)


def level_settings(name: str, level: int | None) -> dict[str, Any]:
    """The settings that a data set's own curriculum has at a level, from 1, all its attributes at that level; {} for None."""
    if level is None:
        return {}
    curriculum = create_curriculum(name)
    curriculum.set_global_level(level - 1)
    made = curriculum.generate_configuration({}, DefaultCurriculumContext(RangeAttributeMode.UPPER_BOUND))
    names = ("lower_field_name", "upper_field_name", "field_name")
    fields = [getattr(one, key) for one in curriculum.attributes.values() for key in names if hasattr(one, key)]
    return {field: getattr(made, field) for field in fields}


def open_all(specs: list[dict[str, Any]]) -> None:
    """Opens the data sets for `score`, and loads what their scorers load late."""
    with contextlib.redirect_stdout(io.StringIO()):  # what a data set prints is no reply
        _data.extend(map(opened, specs))
        for one in _data:
            _warm_up(one)


def _warm_up(one: Any) -> None:
    first = one[0]
    for answer in ("0", first["answer"]):
        with contextlib.suppress(Exception):  # a scorer may raise on what it is not made for
            one.score_answer(answer, first)


def is_data(code: CodeType, names: frozenset[str]) -> bool:
    """Whether a compiled text can do no more than calculate with these names: no attribute, function, import or assignment."""
    if not set(code.co_names) <= names or any(isinstance(part, CodeType) for part in code.co_consts):
        return False
    return not any(step.opname.startswith(_ACTS) for step in dis.get_instructions(code))


def _foreign(code: CodeType) -> bool:
    """Whether code was made of a text that may be the answer: not of a file, nor by the standard library, nor by sympy's own imports."""
    asking = sys._getframe(2).f_code
    known = asking.co_filename.startswith(_LIBRARY) and "-packages" not in asking.co_filename
    sympys = asking.co_name == "parse_expr" and asking.co_filename.endswith("sympy_parser.py")  # `from sympy import *`
    return code.co_filename.startswith("<") and not code.co_filename.startswith("<frozen ") and not known and not sympys


class AnotherEntry(Exception):
    """The data set, made again, has another entry at this place: its scorer would judge by another answer."""


def mark_of(question: str) -> str:
    """What an entry is known by again."""
    return hashlib.sha256(question.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def score(place: int, index: int, mark: str, answer: str) -> float:
    """The scorer's word on an answer. `mark` "": whatever entry is there.

    Raises AnotherEntry, what the scorer raises, and PermissionError where it would have run a program. For a process that ends
    afterwards: the watch cannot be taken off.
    """
    entry = _data[place][index]
    if mark and mark_of(str(entry["question"])) != mark:
        raise AnotherEntry
    names = SYMBOLS if any(letter.isalpha() for letter in str(entry["answer"])) else NUMBERS
    refused: list[str] = []

    def progress(event: str, args: tuple[Any, ...]) -> None:
        if event == "exec" and _foreign(args[0]) and not is_data(args[0], names):
            refused.append(event)
            raise PermissionError("the answer is a program")

    sys.addaudithook(progress)
    value = float(_data[place].score_answer(answer, entry))
    if refused:
        raise PermissionError("the answer is a program")
    return value


def _entry(spec: dict[str, Any], index: int) -> dict[str, Any]:
    if not index:
        _data[:] = [opened(spec)]
    entry = _data[0][index]
    question, answer = str(entry["question"]), entry["answer"]
    return {"question": question, "answer": None if answer is None else str(answer), "mark": mark_of(question)}


def main() -> None:
    """`argv[1]`: the data sets as JSON; one JSON line an entry, in order."""
    replies, sys.stdout = sys.stdout, sys.stderr
    wanted = [(spec, index) for spec in json.loads(sys.argv[1]) for index in range(spec["size"])]
    for spec, index in wanted:
        try:
            entry = _entry(spec, index)
        except Exception as error:  # the one boundary: any data set may raise anything, of its settings too
            entry = {"error": f"{type(error).__name__}: {error}"[:500]}
        print(json.dumps(entry), file=replies, flush=True)


if __name__ == "__main__":
    main()
