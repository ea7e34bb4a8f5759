"""Verifiers of our own: `{"type": "python:checks:even_between", ...}` in tasks.jsonl calls the function below."""

from typing import Any


def even_between(task: Any, text: str) -> bool | str:
    """Whether the text ends with an even number between the task's `low` and `high`.

    True passes and False fails; "invalid" says that no answer was found. The function is our own code and runs with our rights: it
    must never evaluate the text, which a model wrote.
    """
    last = text.strip(" .\n").rpartition(" ")[2]
    if not last.isdecimal() or len(last) > 9:
        return "invalid"
    number = int(last)
    return number % 2 == 0 and task.check["low"] < number < task.check["high"]
