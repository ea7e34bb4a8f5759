"""Near misses: replies that are almost right and must fail, made from a task's answer or its reference."""

import re
from collections.abc import Mapping
from typing import Any

from selfplay.answers.code_blocks import whole_program
from selfplay.answers.programs import Entry, Program
from selfplay.records import Task

_OPTION = re.compile(r"\(?([A-J])(?:[).:].*)?", re.DOTALL)
_MARKED = re.compile(r"boxed|####|</?answer|[^\W\d_]{2,}\s+[^\W\d_]{2,}|\\text")
"""A reference that marks its answer, or is a text: more behind it is no other answer."""
_DOLLARS = re.compile(r"\$+|\\[()\[\]]")


def near_misses_of(task: Task) -> list[str]:
    """The task's own `near_misses` where its verifier has them; else made from its answer or its reference; may be empty.

    A second answer by which the audit judges again (`stronger`) is used in place of the verifier's own.
    """
    check = task.check
    if isinstance(check.get("near_misses"), list):
        return [str(text) for text in check["near_misses"]]
    if isinstance(check.get("stronger"), dict) and check["stronger"].get("type") == "math":
        check = check["stronger"]
    if check["type"] == "math":
        return math_near_misses(str(check["answer"]))
    if check["type"] == "code_tests" and "entry_point" in check and task.reference is not None:
        return code_near_misses(task)
    return []


def math_near_misses(answer: str) -> list[str]:
    """One off, sign flipped, and no answer; of a choice two other letters, of a text another value. None that equals the answer."""
    no_answer = "A: undecided" if "unknown" in answer.casefold() else "A: unknown"
    if option := _OPTION.fullmatch(answer.strip()):
        others = [letter for letter in "ABCD" if letter != option[1]]
        return [f"A: {letter}" for letter in others[:2]]
    try:
        value = float(answer)
    except ValueError:
        shown = _DOLLARS.sub("", answer).strip()
        return ["A: 7919" if _MARKED.search(answer) and "7919" not in answer else f"A: {shown} + 1", no_answer]
    near = str(int(value) + 1) if value.is_integer() else repr(value + 1 + abs(value) / 16)
    flipped = [f"A: {answer[1:] if answer.startswith('-') else '-' + answer.strip()}"] if value else []
    return [f"A: {near}", *flipped, no_answer]


def code_near_misses(task: Task) -> list[str]:
    """A stub, and the reference, read as replies are, with each result pushed off its value. Neither is wrong for certain: a
    function that is to change its argument may return what it likes."""
    written = str(task.check["entry_point"])
    prefix = task.check.get("prefix")
    code = whole_program(task.reference or "", written, None if prefix is None else str(prefix))
    entry = Entry(written)
    if code is None or not entry.root:
        return []
    owner = entry.class_in(Program(code))
    if owner:
        method = entry.method or entry.root
        stub = f"class {owner}:\n    def {method}(self, *args, **kwargs):\n        return None\n"
        return [stub, f"{code}\n{_OFF}{_METHOD.format(owner=owner, method=method)}"]
    stub = f"def {entry.root}(*args, **kwargs):\n    return None\n"
    return [stub, f"{code}\n{_OFF}{_FUNCTION.format(entry=entry.root)}"]


def stub_of(check: Mapping[str, Any]) -> list[str]:
    """A program that does nothing, for tests that no reference is known of: that they can be run at all shows on it."""
    entry = Entry(str(check.get("entry_point", "")))
    if check.get("type") != "code_tests" or not entry.root:
        return []
    if entry.method:
        return [f"class {entry.root}:\n    def {entry.method}(self, *args, **kwargs):\n        return None\n"]
    return [f"def {entry.root}(*args, **kwargs):\n    return None\n"]


_OFF = """
def _off(value):
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float, complex)):
        return value + 1
    if isinstance(value, str):
        return value + "?"
    if isinstance(value, (list, tuple)):
        return type(value)([*value, 0]) if type(value) in (list, tuple) else None
    return "?"

"""
_FUNCTION = """_right = {entry}

def {entry}(*args, **kwargs):
    return _off(_right(*args, **kwargs))
"""
_METHOD = """_Right = {owner}

class {owner}(_Right):
    def {method}(self, *args, **kwargs):
        return _off(super().{method}(*args, **kwargs))
"""
