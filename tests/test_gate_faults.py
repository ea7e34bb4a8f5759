"""What the gate's functions do with broken and uneven input: a sentence or "blind", never collapse and never health."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from selfplay.collapse import (
    DevRound,
    DevSet,
    alarm_of,
    best_round_of,
    best_unbiased,
    dev_set_metrics,
    dev_set_of,
    dev_tasks_needed,
    freeze_strata,
    ratio_of_sums,
    smallest_fall,
    tango,
    wilson,
)
from selfplay.collapse.duplicates import exact_dup_estimate
from selfplay.collapse.rounds import RoundTexts, profile
from selfplay.errors import DataError
from selfplay.verify.audit_rates import Stratum, audit, stratum


def greedy(solved: int, of: int = 50, name: str = "t") -> dict[str, float]:
    return {f"{name}{i}": float(i < solved) for i in range(of)}


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_unknown_and_no_alarm(odd: float) -> None:
    first = DevRound(0, greedy(50), nats={f"h{i}": 1.0 for i in range(30)})
    now = DevRound(1, dict.fromkeys(greedy(50), odd), {"t0": (0, 0, ())}, {f"h{i}": odd for i in range(30)})
    found = alarm_of([first, now], planned=5)
    assert found.level == 0 and found.blind["dev_accuracy"] == "round 1 has no outcome of a dev task"
    assert found.blind["human_text"] == "round 1 has no likelihood of human text"
    kept = {"samples": {"task_ids": ["a"], "correct": [None], "attempts": [2], "clusters": [[]]}}
    assert DevRound.read(1, kept).samples == {}
    assert ratio_of_sums([odd, *[1.0, 2.0] * 30], [1.0] * 61).value == 1.5


def test_round_after_one_that_was_not_measured_can_see() -> None:
    found = alarm_of([DevRound(0, greedy(50)), DevRound(1), DevRound(2, greedy(45))], planned=5)
    assert found.smallest_fall["dev_accuracy"] < 0.3 and "dev_accuracy" not in found.blind


@pytest.mark.parametrize(
    "first",
    [DevRound(0), DevRound(0, greedy(50, name="other"))],
    ids=["round 0 was not measured", "the dev set changed"],
)
def test_first_round_with_these_tasks_stands_in_for_round_0(first: DevRound) -> None:
    fallen = [first, DevRound(1, greedy(50)), DevRound(2, greedy(20))]
    found = alarm_of(fallen, planned=5)
    assert (found.level, found.incumbent, found.back) == (2, 1, 1)
    assert "fell from 1.00 (round 1) to 0.40" in found.reasons[0]


def test_best_round_is_chosen_on_the_tasks_that_all_rounds_answered() -> None:
    easy_alone = {task: 1.0 for task, right in greedy(25).items() if right}
    rounds = [DevRound(0, greedy(25)), DevRound(1), DevRound(2, easy_alone)]
    assert best_round_of(rounds) == 0
    found = best_unbiased([DevRound(0, greedy(25)), DevRound(1), DevRound(2, greedy(40))])
    assert found is not None and found.accuracy.n == 50


@pytest.mark.parametrize(
    "call",
    [
        lambda: smallest_fall(100, discordance=-1),
        lambda: smallest_fall(100, discordance=math.nan),
        lambda: dev_tasks_needed(0.1, power=1.5),
        lambda: dev_tasks_needed(0.1, power=math.nan),
        lambda: tango(1, 1, math.nan),
        lambda: wilson(1, math.inf),
        lambda: audit(Stratum(5, 5, 0), Stratum(5, 0, 5), known_wrong=-3),
        lambda: audit(Stratum(5, 5, 0), Stratum(5, 0, 5), attempts_worth=math.nan),
        lambda: Stratum(5, 5, 0, worth=0.0),
        lambda: stratum(3, [], ["a"]),
    ],
)
def test_senseless_numbers_are_refused_with_a_sentence(call: Callable[[], Any]) -> None:
    with pytest.raises(DataError, match=r"give|check"):
        call()


def test_task_that_a_dev_set_repeats_counts_once_and_one_without_attempts_not_at_all() -> None:
    twice = dev_set_of(["a", "a", "b"], [[True], [True], [False]])
    assert dev_set_metrics(twice)["eval/pass_at_1"] == 0.5
    empty = DevSet(("a", "b"), (0, 2), (0, 1), ((), (1,)))
    assert dev_set_metrics(empty)["eval/pass_at_1"] == 0.5 and freeze_strata(empty) == ("never", "middle")
    assert not any("at_0" in key or "at_-1" in key for key in dev_set_metrics(twice, ks=(0, -1)))


def test_unequal_attempts_leave_no_figure_undefined() -> None:
    first = dev_set_of(["a", "b", "c"], [[True, False], [False], [False]])
    now = dev_set_of(["a", "b", "c"], [[False, False], [False], [False]])
    assert all(math.isfinite(value) for value in dev_set_metrics(now, first).values())


def test_share_of_copies_has_an_interval_with_width_where_every_text_is_copied() -> None:
    found = exact_dup_estimate([f"text {i % 29}" for i in range(120)])
    assert found.hi - found.lo > 0.01


def judged(ok: list[float | None], task: str = "t") -> RoundTexts:
    texts = RoundTexts()
    for i, right in enumerate(ok):
        texts.add(f"answer {i} is this", f"{task}{i % 40}", None if right is None else bool(right))
    return texts


def test_reference_without_verdicts_hides_no_fall_and_what_is_not_judged_is_said() -> None:
    rounds = {0: judged([1] * 160), 1: judged([None] * 160), 2: judged([1] * 160), 3: judged([0] * 160)}
    assert profile(rounds)[-1]["collapse_alarm/level"] == 2
    changed = profile({1: judged([1] * 160), 2: judged([0] * 160, "u")})
    assert changed[-1]["collapse_alarm/level"] == 0 and "the dev set changed" in changed[-1]["collapse_alarm/blind"]
