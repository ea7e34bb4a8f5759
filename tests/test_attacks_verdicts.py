"""Hostile replies against the readers of text: none is taken for what it is not, none costs us dearly."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from selfplay.answers import extract_answer, extract_code
from selfplay.models.structured import extract
from selfplay.records import Attempt, Outcome, Task, Verdict
from selfplay.verify.judge import Grade
from selfplay.verify.math import equal, warm_up
from selfplay.verify.python_function import PythonFunction
from tests.support.attacks_verdicts import CARELESS, FLOODS, FOOLING, HEAVY, HIDDEN_PROGRAMS, NEVER_EQUAL, NO_TEN

BOUND = 20.0
"""CPU seconds: ten times what the worst of them takes, for a scan that is not linear."""


@pytest.mark.parametrize(("gold", "reply"), NEVER_EQUAL)
def test_reply_that_is_another_answer_never_equals(gold: str, reply: str) -> None:
    assert equal(gold, reply) in (Outcome.FAIL, Outcome.INVALID)


@pytest.mark.prove
@pytest.mark.parametrize(("gold", "reply"), HEAVY)
def test_costly_reply_is_no_outage(gold: str, reply: str) -> None:
    warm_up()
    assert equal(gold, reply) in (Outcome.FAIL, Outcome.INVALID)


@pytest.mark.parametrize("name", FLOODS)
def test_flood_is_read_in_bounded_time(name: str) -> None:
    began = time.process_time()
    for entry in ("solve", None, "Solution().solve"):
        extract_code(FLOODS[name], entry)
    extract_answer(FLOODS[name])
    with pytest.raises(ValueError, match=r"."):
        extract(FLOODS[name], Grade)
    assert time.process_time() - began < BOUND


@pytest.mark.parametrize("name", NO_TEN)
def test_reply_of_a_judge_is_not_read_as_a_ten(name: str) -> None:
    with contextlib.suppress(ValueError):
        assert extract(NO_TEN[name], Grade).score < 5


@pytest.mark.parametrize("name", HIDDEN_PROGRAMS)
def test_program_that_is_hidden_is_not_taken(name: str) -> None:
    found = extract_code(HIDDEN_PROGRAMS[name], "solve")
    assert found is not None
    space: dict[str, object] = {}
    exec(found, space)
    assert space["solve"](3) == 5  # type: ignore[operator]


@pytest.fixture(scope="module")
def careless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PythonFunction]:
    folder: Path = tmp_path_factory.mktemp("careless")
    (folder / "careless.py").write_text(CARELESS)
    with PythonFunction(folder, seconds=1.0) as function:
        yield function


def judged(function: PythonFunction, name: str, text: str) -> Verdict:
    check = {"type": f"python:careless:{name}"}
    task = Task.model_validate({"id": "t", "prompt": "?", "verifier": check})
    attempt = Attempt(task_id="t", attempt=0, round=0, text=text)
    [verdict] = function.verify([check], [task], [attempt])
    return verdict


@pytest.mark.parametrize(("name", "text"), FOOLING)
def test_reply_that_breaks_a_careless_function_neither_passes_nor_stops_the_next(
    careless: PythonFunction, name: str, text: str
) -> None:
    verdict = judged(careless, name, text)
    assert verdict.outcome in (Outcome.FAIL, Outcome.ERROR)
    assert len(verdict.reason) < 1000
    assert verdict.reason.isprintable()
    assert judged(careless, "whole", "7").outcome is Outcome.PASS
    assert judged(careless, "whole", "8").outcome is Outcome.FAIL
