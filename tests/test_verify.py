"""Judgement: which verifiers are asked, what their words come to, and that an outage is never a wrong answer."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfplay.errors import ConfigError
from selfplay.records import Attempt, Outcome, Task, Verdict
from selfplay.verify import admit, check_types, verify
from selfplay.verify.math_answer import MathAnswer
from selfplay.verify.python_function import RAISED, PythonFunction

FUNCTIONS = PythonFunction()
VERIFIERS = {"math": MathAnswer(), "python": FUNCTIONS}
MINE = "python:tests.support.verifiers_of_tests:"
SAYS = {"type": f"{MINE}says"}


def judged(check: dict[str, Any], text: str = "A: 4", finish: Any = "stop") -> Outcome:
    task = Task(id="t", prompt="2 + 2\n", check=check)
    return verify([task], [Attempt(task_id="t", attempt=0, round=1, text=text, finish_reason=finish)], VERIFIERS)[
        0
    ].outcome


class Words:
    """Says for each leaf the word that stands in its check."""

    def verify(
        self, checks: Sequence[Mapping[str, Any]], tasks: Sequence[Task], attempts: Sequence[Attempt]
    ) -> list[Verdict]:
        return [Verdict(verifier="word/1", outcome=Outcome(check["say"])) for check in checks]


def combined(kind: str, words: str) -> str:
    check = {"type": kind, "of": [{"type": "word", "say": word} for word in words.split()]}
    task, attempt = Task(id="t", prompt="x", check=check), Attempt(task_id="t", attempt=0, round=1, text="y")
    return verify([task], [attempt], {"word": Words()})[0].outcome.value


@pytest.mark.parametrize(
    ("kind", "words", "outcome"),
    [
        ("all", "pass pass", "pass"),
        ("all", "pass fail", "fail"),
        ("all", "pass invalid fail", "invalid"),
        ("all", "abstain pass", "pass"),
        ("all", "abstain abstain", "abstain"),
        ("all", "pass error", "error"),
        ("all", "error fail", "fail"),
        ("any", "fail pass", "pass"),
        ("any", "error pass", "pass"),
        ("any", "fail error", "error"),
        ("any", "invalid fail abstain", "invalid"),
        ("first", "abstain fail pass", "fail"),
        ("first", "abstain error pass", "error"),
        ("first", "pass error", "pass"),
        ("first", "abstain", "abstain"),
    ],
)
def test_words_of_several_verifiers_come_to_one_outcome(kind: str, words: str, outcome: str) -> None:
    assert combined(kind, words) == outcome


@given(
    st.sampled_from(["all", "any", "first"]),
    st.lists(st.sampled_from([o.value for o in Outcome]), min_size=1, max_size=5),
)
@settings(derandomize=True, deadline=None)
def test_repaired_verifier_changes_an_outcome_only_where_it_was_error(kind: str, words: list[str]) -> None:
    """Whatever a broken verifier would have said, a decided outcome of pass or not-pass would have stood."""
    outcome = combined(kind, " ".join(words))
    repaired = {
        combined(kind, " ".join(w if w != "error" else new for w in words)) for new in ("pass", "fail", "abstain")
    }
    if outcome != "error":
        assert len({word == "pass" for word in repaired | {outcome}}) == 1


def test_combinations_nest_and_each_leaf_gets_its_own_verdict() -> None:
    inner = {"type": "any", "of": [{"type": f"{MINE}nothing"}, {"type": "math", "answer": "4"}]}
    task = Task(id="t", prompt="x", check={"type": "all", "of": [{"type": f"{MINE}yes"}, inner]})
    found = verify([task], [Attempt(task_id="t", attempt=0, round=1, text="A: 4")], VERIFIERS)[0]
    assert found.outcome is Outcome.PASS
    assert [v.outcome.value for v in found.verdicts] == ["pass", "abstain", "pass"]
    assert check_types([task]) == {f"{MINE}yes", f"{MINE}nothing", "math"}


def test_disagreement_is_a_pass_beside_a_fail() -> None:
    task = Task(id="t", prompt="x", check={"type": "any", "of": [SAYS, {"type": f"{MINE}yes"}]})
    texts = ["fail", "pass", "abstain"]
    attempts = [Attempt(task_id="t", attempt=n, round=1, text=text) for n, text in enumerate(texts)]
    assert [j.disagree for j in verify([task] * 3, attempts, VERIFIERS)] == [True, False, False]


def test_function_of_your_own_may_answer_in_every_allowed_way() -> None:
    assert judged({"type": f"{MINE}yes"}) is Outcome.PASS
    assert judged(SAYS, "invalid") is Outcome.INVALID
    assert judged({"type": f"{MINE}nothing"}) is Outcome.ABSTAIN
    task = Task(id="t", prompt="x", check={"type": f"{MINE}graded"})
    verdict = verify([task], [Attempt(task_id="t", attempt=0, round=1, text="y")], VERIFIERS)[0].verdicts[0]
    assert (verdict.verifier, verdict.score, verdict.outcome) == ("mine/2", 0.5, Outcome.PASS)


def test_exception_of_a_verifier_is_an_error_verdict_and_never_a_fail() -> None:
    task = Task(id="t", prompt="x", check={"type": f"{MINE}breaks"})
    found = verify([task], [Attempt(task_id="t", attempt=0, round=1, text="y")], VERIFIERS)[0]
    assert found.outcome is Outcome.ERROR
    assert (
        found.verdicts[0].reason
        == "ZeroDivisionError: verifier down (verifiers_of_tests.py, line 25, in breaks; task t)"
    )
    assert found.verdicts[0].details[RAISED] == "ZeroDivisionError"


def test_word_that_is_no_outcome_is_an_error_of_its_item() -> None:
    task = Task(id="t", prompt="x", check=SAYS)
    attempts = [Attempt(task_id="t", attempt=n, round=1, text=text) for n, text in enumerate(("maybe", "pass"))]
    first, second = verify([task] * 2, attempts, VERIFIERS)
    assert first.outcome is Outcome.ERROR and second.outcome is Outcome.PASS
    assert "returned 'maybe' (str), which is no outcome; return one of pass, fail" in first.verdicts[0].reason


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("python:", "names no function"),
        ("python:only_a_module", "names no function; write python:package.module:function"),
        ("python:no_such_module:f", "cannot be imported .*put the module on PYTHONPATH or beside the config"),
        (f"{MINE}gone", "cannot be imported .*gone"),
        (f"{MINE}NOT_A_FUNCTION", "is int, which cannot be called"),
    ],
)
def test_function_that_cannot_be_had_is_named_with_the_remedy(kind: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        FUNCTIONS.load(kind)


def test_missing_verifier_names_the_task_and_what_there_is() -> None:
    with pytest.raises(
        ConfigError, match="task t: its verifier is 'oracle', and the open ones are math, python; use one"
    ):
        judged({"type": "oracle"})


@pytest.mark.parametrize("of", [None, [], "math", [{"answer": "4"}]])
def test_combination_without_parts_is_refused(of: Any) -> None:
    with pytest.raises(ConfigError, match=r"verifier: all has of = .*give a list of verifiers"):
        judged({"type": "all", "of": of})


def test_cut_off_or_empty_attempt_is_invalid_and_asked_of_nobody() -> None:
    assert judged({"type": f"{MINE}yes"}, finish="length") is Outcome.INVALID
    assert judged({"type": f"{MINE}breaks"}, finish="length") is Outcome.INVALID
    assert judged({"type": f"{MINE}yes"}, text=" \n") is Outcome.INVALID


def test_attempt_that_the_backend_lost_is_an_error() -> None:
    assert judged({"type": f"{MINE}yes"}, text="", finish="error") is Outcome.ERROR


def test_final_answers_are_found_compared_and_missed() -> None:
    check = {"type": "math", "answer": "4"}
    assert judged(check, "2 + 2 = 4\nA: 4.0") is Outcome.PASS
    assert judged(check, "A: 5") is Outcome.FAIL
    assert judged(check, "no idea, sorry") is Outcome.INVALID


@pytest.mark.parametrize("outcome", list(Outcome))
def test_outcome_is_no_yes_or_no(outcome: Outcome) -> None:
    with pytest.raises(TypeError, match="compare it"):
        bool(outcome)


@pytest.mark.parametrize(
    ("check", "reference", "misses", "problem"),
    [
        ({"type": "math", "answer": "4"}, "A: 4", ["A: 5", "A:"], ""),
        ({"type": "math", "answer": "4"}, None, ["A: 5"], ""),
        ({"type": "math", "answer": "4"}, "A: 5", ["A: 6"], "the gold answer is judged fail"),
        (
            {"type": f"{MINE}yes"},
            "A: 4",
            ["A: 5"],
            f'near miss 0 is judged pass by {MINE}yes: "A: 5"; correct the function, or remove the near miss if it is right',
        ),
        ({"type": f"{MINE}breaks"}, "A: 4", ["A: 5"], "the verifier does not work"),
        ({"type": f"{MINE}nothing"}, "A: 4", [], "the gold answer is judged abstain"),
    ],
)
def test_task_is_admitted_where_gold_passes_and_near_misses_fail(
    check: dict[str, Any], reference: str | None, misses: list[str], problem: str
) -> None:
    task = Task(id="t", prompt="2 + 2\n", check=check, reference=reference)
    found = admit([task], [misses], VERIFIERS)[0]
    assert found.problem.startswith(problem) and found.admitted == (problem == "")
    assert found.gold_checked == (reference is not None) and found.near_misses_checked == len(misses)
