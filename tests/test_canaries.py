"""Replies that are to be wrong: made from references as these are written, and proven wrong before they accuse a verifier."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from selfplay.errors import OutageError
from selfplay.phases.audit.canaries import Canary, canaries_of, select_canaries
from selfplay.records import Attempt, Outcome, Task, Verdict
from selfplay.sandbox import Executor, Limits
from selfplay.tasks import Fixed, PoolSource
from selfplay.tasks.jsonl import JsonlTasks
from selfplay.tasks.near_misses import code_near_misses
from selfplay.verify.admit import admit
from selfplay.verify.base import Verifier
from selfplay.verify.code_tests import CodeTests
from selfplay.verify.math_answer import MathAnswer

SOLUTION = "def f(x):\n    return x + 1"
CASES = {"type": "code_tests", "entry_point": "f", "cases": [[[1], 2], [[4], 5]]}
REFERENCES = {
    "bare": SOLUTION,
    "fenced": f"```python\n{SOLUTION}\n```",
    "fenced, with words": f"Add one.\n\n```python\n{SOLUTION}\n```\nThat is all.",
    "cut off": f"```python\n{SOLUTION}",
    "prefilled": f"{SOLUTION}\n```\nDone.",
    "in two blocks": "```python\nONE = 1\n```\n```python\ndef f(x):\n    return x + ONE\n```",
    "with a demonstration": f"```python\n{SOLUTION}\n```\n```python\nprint(f(1))\n```",
    "with tests": f"```python\n{SOLUTION}\n```\n```python\ndef test_f():\n    assert f(1) == 2\n```",
    "unmarked": f"```\n{SOLUTION}\n```",
    "tildes": f"~~~python\n{SOLUTION}\n~~~",
    "in a list": "1. So:\n   ```python\n   def f(x):\n       return x + 1\n   ```",
    "a lambda": "```python\nf = lambda x: x + 1\n```",
}


@pytest.fixture(scope="module")
def verifiers() -> Iterator[dict[str, Verifier]]:
    with Executor(workers=1) as executor:
        yield {"code_tests": CodeTests(executor, Limits()), "math": MathAnswer()}


def task(reference: str | None, check: dict[str, Any] = CASES, name: str = "t") -> Task:
    return Task(id=name, prompt="Add one.\n", check=check, reference=reference)


@pytest.mark.parametrize("form", REFERENCES)
def test_near_misses_of_a_reference_in_any_form_fail_and_the_reference_passes(
    form: str, verifiers: dict[str, Verifier]
) -> None:
    one = task(REFERENCES[form])
    found = admit([one], [code_near_misses(one)], verifiers)[0]
    assert (found.problem, found.gold_checked, found.near_misses_checked) == ("", True, 2)


def test_near_misses_of_a_completion_stand_under_its_prefix(verifiers: dict[str, Verifier]) -> None:
    check = {
        "type": "code_tests",
        "entry_point": "f",
        "source": "assert f(1) == 2",
        "prefix": 'def f(x):\n    """Adds."""\n',
    }
    for reference in ("    return x + 1\n", "```python\n    return x + 1\n```", check["prefix"] + "    return x + 1\n"):
        one = task(reference, check)
        assert admit([one], [code_near_misses(one)], verifiers)[0].problem == ""


def test_reference_without_code_has_no_near_misses() -> None:
    assert code_near_misses(task("It cannot be done.")) == []


def test_method_of_a_class_has_near_misses_of_its_own_form() -> None:
    check = {**CASES, "entry_point": "Solution().f"}
    stub, off = code_near_misses(
        task("```python\nclass Solution:\n    def f(self, x):\n        return x + 1\n```", check)
    )
    for text, value in ((stub, None), (off, 3)):
        space: dict[str, Any] = {}
        exec(text, space)
        assert space["Solution"]().f(1) == value


CHANGES = {"type": "code_tests", "entry_point": "f", "source": "xs = [2, 1]\nf(xs)\nassert xs == [1, 2]"}
IN_PLACE = task("```python\ndef f(xs):\n    xs.sort()\n```", CHANGES, "in place")


def test_check_shows_the_near_miss_that_passes_as_text(verifiers: dict[str, Verifier]) -> None:
    found = admit([IN_PLACE], [code_near_misses(IN_PLACE)], verifiers)[0]
    assert not found.admitted
    assert found.problem.startswith("near miss 1 is judged pass, so it is no canary")
    assert (
        "xs.sort()" in found.problem and "_off(_right(*args, **kwargs))" in found.problem and "\n" not in found.problem
    )


def test_reply_that_its_own_check_accepts_is_no_canary(verifiers: dict[str, Verifier]) -> None:
    sound = [task(REFERENCES["fenced"], name=f"t{n}") for n in range(4)]
    source = Source([IN_PLACE, *sound])
    drawn = canaries_of(4, {one.id: one for one in source.pool}, source, lambda one: one, 0, 1)
    assert any(one.own.id == "in place" and one.truth == "wrong" for one in drawn)
    used = select_canaries(4, drawn, verifiers, 0.1)
    wrong = [one.own.id for one in used if one.truth == "wrong"]
    assert sorted(wrong) == ["t0", "t1", "t2", "t3"] and sum(one.truth == "right" for one in used) == 4


class Source(PoolSource):
    """A table without held-out parts, whose near misses of one task pass."""

    def __init__(self, pool: list[Task]) -> None:
        super().__init__(pool, Fixed(anchor=[], dev=[], test=[]))

    def near_misses(self, task: Task) -> list[str]:
        """Of the task in place the one that passes."""
        return super().near_misses(task)[-1:]


def canary(one: Task, text: str) -> Canary:
    attempt = Attempt(task_id=one.id, attempt=0, round=1, text=text, origin="canary")
    return Canary(one, one, attempt, "wrong")


class Says:
    """A verifier with one word for everything."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome

    def verify(self, checks: Any, tasks: Any, attempts: Any) -> list[Verdict]:
        """See `Verifier.verify`."""
        return [Verdict(verifier="says/1", outcome=self.outcome, reason="so") for _ in attempts]


@pytest.mark.parametrize(
    ("outcome", "kept"),
    [(Outcome.FAIL, 1), (Outcome.INVALID, 1), (Outcome.PASS, 0), (Outcome.ABSTAIN, 0)],
)
def test_canary_is_used_where_its_own_check_refuses_it(outcome: Outcome, kept: int) -> None:
    drawn = [canary(task(None, {"type": "math", "answer": "100", "tolerance": 5}), "A: 101")]
    assert len(select_canaries(8, drawn, {"math": Says(outcome)}, 0.5)) == kept


def test_outage_while_canaries_are_proven_ends_the_phase() -> None:
    drawn = [canary(task(None, {"type": "math", "answer": "100"}), "A: 101")]
    with pytest.raises(OutageError, match=r"1 of 1 near misses are error \(so\)"):
        select_canaries(8, drawn, {"math": Says(Outcome.ERROR)}, 0.5)


def test_a_judge_is_not_asked_whether_a_near_miss_is_wrong() -> None:
    drawn = [canary(task(None, {"type": "judge", "near_misses": ["no rhyme"]}), "no rhyme")]
    assert select_canaries(8, drawn, {"judge": Says(Outcome.PASS), "math": Says(Outcome.FAIL)}, 0.5) == drawn


def test_fenced_references_in_a_task_file_are_admitted(tmp_path: Path, verifiers: dict[str, Verifier]) -> None:
    rows = [
        {"id": f"t{n}", "prompt": f"Add one, {n}.\n", "verifier": CASES, "reference": reference}
        for n, reference in enumerate(REFERENCES.values())
    ]
    (tmp_path / "tasks.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = JsonlTasks(source="jsonl", train="tasks.jsonl").open(seed=0, eval_seed=0, folder=tmp_path)
    tasks = list(source.pool)
    found = admit(tasks, [source.near_misses(one) for one in tasks], verifiers)
    assert len(found) == len(tasks) >= 10 and all(one.admitted for one in found)
