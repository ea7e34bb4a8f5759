"""Reads values out of text that a model wrote, by parsing alone, in bounded time and memory. Pure."""

import ast
import warnings
from typing import Any

MAX_CHARS = 4000
MAX_DIGITS = 1000
"""Longer whole numbers are left out: whoever writes one down pays the square of its length, or an error."""


def literal(text: str) -> tuple[Any] | None:
    """The value of a short hostile text that is a literal, in a tuple of one; None where it is none."""
    if len(text) > MAX_CHARS:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = ast.literal_eval(text)
            return (value,) if is_plain(value) else None
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return None


def is_plain(value: Any) -> bool:
    """Whether a literal's value can be written down and sent on: its whole numbers are short, and it holds no `...`."""
    if isinstance(value, list | tuple | set | frozenset):
        return all(map(is_plain, value))
    if isinstance(value, dict):
        return all(is_plain(key) and is_plain(item) for key, item in value.items())
    return value is not ... and not (isinstance(value, int) and value.bit_length() > 3 * MAX_DIGITS)
