"""What says how much of a gain is format: verifiers that accept whatever has the form of an answer, right or wrong.

    selfplay run --name format 'verify.check={type: "python:checks:number"}' gate.action=observe

judges the training tasks by `number` instead of their own verifier; dev and test tasks keep theirs. `equation` is for word_problems.yaml.
"""

import re
from typing import Any


def number(task: Any, text: str) -> bool | str:
    """Whether the reply is one whole number."""
    return True if re.fullmatch(r"\d{1,9}\.?", text.strip()) else "invalid"


def equation(task: Any, text: str) -> bool | str:
    """Whether the reply is one sum or difference with its result."""
    return True if re.fullmatch(r"\d{1,9} [+-] \d{1,9} = \d{1,9}\.?", text.strip()) else "invalid"
