"""The dev set: paired changes, frozen strata, equal attempts; and the alarm levels over rows."""

import json
import math

import numpy as np
import pytest

from selfplay.collapse import (
    DevRound,
    DevSet,
    alarm_of,
    alarms,
    dev_set_metrics,
    dev_set_of,
    freeze_strata,
    freeze_tail,
    load_rules,
)
from selfplay.errors import ConfigError, DataError


def drawn(rates: np.ndarray, modes: np.ndarray, n: int, seed: int) -> DevSet:
    """n attempts a task: solved with the task's rate, right ones spread over its modes."""
    rng = np.random.default_rng(seed)
    right = [(rng.random(n) < rate).tolist() for rate in rates]
    labels = [rng.choice(modes.shape[1], size=n, p=p).tolist() for p in modes]
    return dev_set_of([f"t{i}" for i in range(len(rates))], right, labels)


def student(tasks: int = 150, spread: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    return rng.beta(0.8, 1.2, tasks), rng.dirichlet(np.ones(spread), tasks)


def test_values_are_means_over_tasks_and_keys_carry_intervals() -> None:
    dev_set = dev_set_of(["a", "b"], [[True, True, False, False], [False] * 4], [["x", "y", "z", "z"], ["w"] * 4])
    keys = dev_set_metrics(dev_set, ks=(1, 2))
    assert keys["eval/pass_at_1"] == pytest.approx(0.25)
    assert keys["eval/pass_at_2"] == pytest.approx((1 - 1 / 6) / 2)
    assert keys["collapse_diversity/unique_correct_at_2"] == pytest.approx((2 * (1 - 3 / 6)) / 2)
    assert keys["eval/pass_at_1_lo"] <= keys["eval/pass_at_1"] <= keys["eval/pass_at_1_hi"]
    assert not any("delta" in key for key in keys)


def test_the_same_attempts_twice_changes_nothing_and_no_alarm_rings() -> None:
    first = drawn(*student(), 16, 1)
    row = dev_set_metrics(first, first)
    assert row["eval/pass_at_1_delta"] == row["eval/pass_at_1_delta_lo"] == row["eval/pass_at_1_delta_hi"] == 0
    rounds = [DevRound.read(t, {"samples": first.to_dict()}) for t in (0, 1)]
    assert alarm_of(rounds, planned=10).level == 0


def test_pairing_narrows_the_interval_of_a_change() -> None:
    rates, modes = student()
    row = dev_set_metrics(drawn(rates, modes, 16, 2), drawn(rates, modes, 16, 1))
    paired = row["eval/pass_at_1_delta_hi"] - row["eval/pass_at_1_delta_lo"]
    alone = row["eval/pass_at_1_hi"] - row["eval/pass_at_1_lo"]
    assert paired < 0.6 * math.sqrt(2) * alone


def test_retention_of_an_unchanged_student_is_judged_against_chance() -> None:
    rates, modes = student()
    row = dev_set_metrics(drawn(rates, modes, 8, 2), drawn(rates, modes, 8, 1))
    assert row["collapse_tails/support_retention"] < 0.99
    assert row["collapse_tails/support_retention_delta_lo"] < 0 < row["collapse_tails/support_retention_delta_hi"]


def test_lost_modes_move_the_variety_while_pass_at_1_stands() -> None:
    rates, modes = student()
    narrow = np.zeros_like(modes)
    narrow[np.arange(len(modes)), modes.argmax(axis=1)] = 1
    first, later = drawn(rates, modes, 16, 1), [drawn(rates, narrow, 16, 10 + t) for t in (1, 2)]
    assert abs(dev_set_metrics(later[0], first)["eval/pass_at_1_delta"]) < 0.03
    rounds = [DevRound.read(t, {"samples": one.to_dict()}) for t, one in enumerate([first, *later])]
    alarm = alarm_of(rounds, planned=10)
    assert alarm.level == 2 and alarm.keys == ("variety",)


def test_a_dev_set_survives_json_and_tasks_are_matched_by_id() -> None:
    first = drawn(*student(20), 8, 1)
    again = DevSet.from_dict(json.loads(json.dumps(first.to_dict())))
    assert again == first
    order = list(reversed(range(20)))
    shuffled = DevSet(
        *(tuple(getattr(first, f)[i] for i in order) for f in ("task_ids", "attempts", "correct", "clusters"))
    )
    assert dev_set_metrics(shuffled, first)["eval/pass_at_1_delta_hi"] == 0


def test_a_task_with_outages_is_rarefied_and_a_task_without_attempts_dropped() -> None:
    dev_set = dev_set_of(["a", "b", "c"], [[True] * 8, [False] * 4, []])
    keys = dev_set_metrics(dev_set)
    assert dev_set.task_ids == ("a", "b")
    assert "eval/pass_at_8" not in keys and keys["eval/pass_at_n"] == pytest.approx(0.5)
    assert dev_set_metrics(dev_set_of([], [])) == {}


def test_strata_and_tail_are_frozen_at_round_0() -> None:
    first = dev_set_of(["a", "b", "c"], [[False] * 8, [True] + [False] * 7, [True] * 8])
    assert freeze_strata(first) == ("never", "low", "high")
    assert freeze_tail(first) == (True, True, False)
    frozen = DevSet.from_dict(first.to_dict() | {"strata": freeze_strata(first), "tail": freeze_tail(first)})
    later = dev_set_of(["a", "b", "c"], [[True] * 8, [True] * 8, [False] * 8])
    keys = dev_set_metrics(later, frozen)
    assert keys["collapse_tails/rare_item_coverage"] == 1.0
    assert keys["collapse_tails/pass_at_n_in_high"] == 0.0


def test_rare_items_are_covered_or_lost_item_by_item() -> None:
    first = dev_set_of(["a"], [[True]], items={f"i{j}": 3 for j in range(40)})
    later = dev_set_of(["a"], [[True]], items={f"i{j}": 0 if j < 20 else 2 for j in range(40)})
    row = dev_set_metrics(later, first) | {"round": 1}
    assert row["collapse_tails/rare_item_coverage"] == 0.5
    out = alarms([dev_set_metrics(first) | {"round": 0}, row])
    assert out[1]["level"] == 2 and any("rare items" in reason for reason in out[1]["reasons"])


def flat(key: str, value: float, half: float) -> dict[str, float]:
    return {key: value, f"{key}_lo": value - half, f"{key}_hi": value + half}


def test_a_wide_interval_never_rings_and_a_missing_key_is_not_judged() -> None:
    rows = [{"round": t, **flat("collapse_diversity/distinct_2_fixed", 0.9 - 0.2 * t, 0.6)} for t in range(3)]
    assert [a["level"] for a in alarms(rows)] == [0, 0, 0]
    assert alarms([{"round": 0}, {"round": 1, "eval/pass_at_1": float("nan")}])[1]["level"] == 0
    assert alarms([]) == []


def test_a_bad_rule_file_is_refused_with_its_entry() -> None:
    with pytest.raises(ConfigError, match=r"metrics\[0\].bad is 'sideways'"):
        load_rules('{"alpha": 0.01, "metrics": [{"key": "a/b", "bad": "sideways"}]}')
    with pytest.raises(ConfigError, match="not JSON"):
        load_rules("{")
    with pytest.raises(DataError, match="2 labels for 1 tasks"):
        dev_set_of(["a"], [[True]], [["x"], ["y"]])
