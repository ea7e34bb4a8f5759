"""Verifiers of one's own, as `python:tests.support.verifiers_of_tests:NAME` names them."""

from pathlib import Path
from typing import Any

from selfplay.records import Outcome, Task, Verdict

NOT_A_FUNCTION = 3


def says(task: Task, text: str) -> Any:
    """What the text says, as a word of Outcome."""
    return text


def yes(task: Task, text: str) -> bool:
    return True


def nothing(task: Task, text: str) -> None:
    return None


def breaks(task: Task, text: str) -> bool:
    raise ZeroDivisionError("verifier down")


def graded(task: Task, text: str) -> Verdict:
    return Verdict(verifier="mine/2", outcome=Outcome.PASS, score=0.5, evidence="fine")


def up_while_the_flag_is_there(task: Task, text: str) -> bool:
    """A verifier behind a service: out of order until the file that its check names exists."""
    if not Path(task.check["of"][0]["flag"]).exists():
        raise ConnectionError("service unreachable")
    return True


def short(task: Task, text: str) -> bool:
    """A careless verifier: it likes an answer that comes at once, right or wrong."""
    return text.startswith("A: ")
