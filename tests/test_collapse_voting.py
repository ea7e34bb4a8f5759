"""Majority votes and their calibration, against values worked out by hand and by simulation."""

from typing import Any

import numpy as np
import pytest

from selfplay.collapse.voting import Vote, calibration_error, calibration_floor, majority
from selfplay.errors import EmptyMetric
from selfplay.records import Task
from selfplay.runtime.metrics.voting import Voting
from selfplay.tasks import Fixed
from tests.support.metrics import view


def test_the_commonest_answer_wins_the_first_of_equals_and_silence_lowers_confidence() -> None:
    assert majority(["7", "8", "8", None], [True, False, False, False]) == Vote(0.5, False)
    assert majority(["7", "8", "8", "7"], [True, False, False, True]) == Vote(0.5, True)
    assert majority([None, None], [False, False]) is None and majority([], []) is None


def test_the_error_is_the_mean_gap_of_bins_with_equal_confidences_together() -> None:
    votes = [Vote(0.5, i < 5) for i in range(10)] + [Vote(0.9, i < 3) for i in range(30)]
    assert calibration_error(votes) == pytest.approx((0.0 * 10 + 0.8 * 30) / 40)
    assert calibration_error(list(reversed(votes))) == calibration_error(votes)
    few = [Vote(0.5, True)] * 9
    with pytest.raises(EmptyMetric, match="9 votes, needs 10"):
        calibration_error(few)
    assert calibration_error([*few, Vote(1.0, True)]) == pytest.approx((9 * 0.5) / 10), "one bin, not a bin of one task"


def test_the_floor_is_what_a_calibrated_vote_shows_by_chance() -> None:
    assert calibration_floor([Vote(0.5, True)] * 10) == pytest.approx(1.23046875 / 10), "mean deviation of 10 coins"
    assert calibration_floor([Vote(1.0, True)] * 10) == 0.0
    rng = np.random.default_rng(0)
    confidences = rng.choice([0.25, 0.5, 0.625, 0.75, 1.0], 100)
    drawn = [calibration_error([Vote(c, bool(rng.random() < c)) for c in confidences]) for _ in range(800)]
    floor = calibration_floor([Vote(c, True) for c in confidences])
    assert np.mean(drawn) == pytest.approx(floor, rel=0.03)


def rows(texts: list[str], outcomes: list[str], tasks: int) -> list[dict[str, Any]]:
    return [
        {"part": "samples", "task_id": f"d{t}", "sample": n, "outcome": o, "text": x, "finish_reason": "stop", "tokens": 3}
        for t in range(tasks) for n, (x, o) in enumerate(zip(texts, outcomes, strict=True))
    ]  # fmt: skip


def fixed(kind: str, count: int = 12) -> Fixed:
    return Fixed([], [Task(id=f"d{i}", prompt="p", check={"type": kind}) for i in range(count)], [])


def test_right_answers_to_mathematics_are_one_answer_however_written() -> None:
    found = (
        Voting()
        .compute(
            view(rows(["A: 1/2", "A: 0.5", "A: 3", "A: 4"], ["pass", "pass", "fail", "fail"], 12), fixed=fixed("math"))
        )
        .figures
    )
    assert found["eval/majority_at_n"] == 1.0
    assert found["collapse_quality/vote_overconfidence"] == -0.5 == -found["collapse_quality/vote_calibration_error"]
    assert 0 < found["collapse_quality/vote_calibration_floor"] < 0.2


def test_a_student_sure_of_a_wrong_answer_is_overconfident() -> None:
    found = Voting().compute(view(rows(["A: 3"] * 4, ["fail"] * 4, 12), fixed=fixed("math"))).figures
    assert (found["eval/majority_at_n"], found["collapse_quality/vote_overconfidence"]) == (0.0, 1.0)
    assert found["collapse_quality/vote_calibration_floor"] == 0.0


@pytest.mark.parametrize(("texts", "kind"), [
    (["x = 1", "y = 2"], "code_tests"), (["", ""], "math"), (["A: 1"], "math"), ([], "math"),
], ids=["programs", "no answers", "one sample", "no samples"])  # fmt: skip
def test_where_nobody_votes_there_is_no_key(texts: list[str], kind: str) -> None:
    assert Voting().compute(view(rows(texts, ["fail"] * len(texts), 12), fixed=fixed(kind))) == ({}, {})


def test_few_tasks_have_votes_but_no_calibration() -> None:
    found = Voting().compute(view(rows(["A: 1"] * 2, ["pass"] * 2, 1), fixed=fixed("math"))).figures
    assert found["eval/majority_at_n"] == 1.0 and "collapse_quality/vote_calibration_error" not in found
