"""The alarm rules over dev tasks: exact tests, what is blind, the best round, and their level and power by a small simulation."""

import json
import math
from typing import Any

import numpy as np
import pytest

from benchmarks.gate_power import Cell, missed_bars, name_of, run_cell, selection_of, sight_of
from selfplay.collapse import DevRound, alarm_of, best_round_of, best_unbiased, dev_tasks_needed, sight, smallest_fall
from selfplay.collapse.dev_history import differs, history_of
from selfplay.collapse.dev_rules import judge, rules_hash
from selfplay.collapse.paired_tests import fall_power, mean_fell, paired_change, sign_test, student_upper, tasks_needed
from selfplay.errors import DataError, EmptyMetric
from tests.support import ROOT

RESULTS = sorted((ROOT / "benchmarks" / "results").glob("gate_power-*.json"))


def rounds_of(*solved: int, tasks: int = 40) -> list[DevRound]:
    return [DevRound(n, {f"t{i}": float(i < right) for i in range(tasks)}) for n, right in enumerate(solved)]


def sampled(number: int, right: int, of: int, clusters: tuple[int, ...], tasks: int = 40) -> DevRound:
    return DevRound(number, {}, {f"t{i}": (right, of, clusters) for i in range(tasks)})


def texts(number: int, *nats: float) -> DevRound:
    return DevRound(number, {}, {}, {f"h{i}": x for i, x in enumerate(nats)})


# ---- tests on few tasks ----


def test_sign_test_is_the_binomial_tail_and_never_certain() -> None:
    for lost in range(30):
        for gained in range(30):
            m = lost + gained
            tail = sum(math.comb(m, k) for k in range(lost, m + 1)) / 2**m if lost else 1.0
            assert float(sign_test(lost, gained)) == pytest.approx(tail, rel=1e-10)
    assert float(sign_test(35, 3)) == pytest.approx(3.34e-8, rel=0.01)
    assert 0 < float(sign_test(50, 0)) < 1e-14


def test_tail_of_students_t_agrees_with_tables() -> None:
    for t, freedom, p in ((2.015048, 5, 0.05), (12.7062, 1, 0.025), (3.169273, 10, 0.005), (1.983972, 100, 0.025)):
        assert float(student_upper(t, freedom)) == pytest.approx(p, rel=1e-4)
        assert float(student_upper(-t, freedom)) == pytest.approx(1 - p, rel=1e-4)


def test_mean_that_falls_everywhere_by_the_same_is_seen_by_its_signs() -> None:
    assert float(mean_fell(np.full(12, -0.5))) == pytest.approx(0.5**12)
    assert float(mean_fell(np.full(12, 0.5))) == 1.0
    assert float(mean_fell(np.array([-1.0] * 4 + [0.0] * 96))) == 1.0, "four tasks are too few to know their spread"
    assert float(mean_fell(np.full(12, np.nan))) == 1.0


def test_interval_of_a_paired_change_has_width_at_every_count() -> None:
    for lost, gained in ((0, 0), (0, 5), (5, 0), (32, 0)):
        found = paired_change(lost, gained, 32)
        assert -1 <= found.lo <= found.value == (gained - lost) / 32 <= found.hi <= 1 and found.lo < found.hi
    with pytest.raises(EmptyMetric):
        paired_change(0, 0, 0)


def test_power_of_the_sign_test_is_exact() -> None:
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(60, [0.05 + 0.2, 0.05, 0.7], 40_000)
    simulated = float((sign_test(drawn[:, 0], drawn[:, 1]) <= 0.05).mean())
    assert fall_power(60, 0.2, 0.1, 0.05) == pytest.approx(simulated, abs=0.01)
    assert fall_power(0, 0.2, 0.1, 0.05) == 0.0


def test_smallest_fall_shrinks_with_tasks_and_tasks_needed_is_its_inverse() -> None:
    falls = [smallest_fall(n) for n in (8, 32, 100, 500, 1000)]
    assert falls == [0.695, 0.25, 0.11, 0.04, 0.03]
    assert smallest_fall(3) is None and smallest_fall(0) is None, "three tasks show nothing"
    needed = dev_tasks_needed(0.1)
    assert needed == 114 and fall_power(needed, 0.1, 0.1, 0.08) >= 0.8 > fall_power(needed - 1, 0.1, 0.1, 0.08)
    assert dev_tasks_needed(0.1, power=0.95) > needed
    with pytest.raises(DataError, match="between 0 and 1"):
        tasks_needed(0.0, alpha=0.05)
    with pytest.raises(DataError, match="more than 1000000 tasks"):
        tasks_needed(1e-5, alpha=0.05)


def test_run_says_at_its_start_what_its_dev_set_cannot_show() -> None:
    assert "32 dev tasks show a lasting fall of the dev accuracy only from 0.25 on" in sight(32)
    assert "114 dev tasks would show one of 0.10" in sight(32)
    assert "there are no dev tasks, so the gate is blind" in sight(0) and "no fall of the dev accuracy at all" in sight(
        1
    )
    assert sight(114) == ""


# ---- the keys ----


def test_unverified_arm_that_lost_35_and_gained_3_of_500_is_level_2() -> None:
    before = {f"t{i}": float(i < 100) for i in range(500)}
    after = before | {f"t{i}": 0.0 for i in range(35)} | {f"t{i}": 1.0 for i in range(100, 103)}
    alarm = alarm_of([DevRound(0, before), DevRound(1, after)], planned=8)
    assert alarm.level == 2
    assert alarm.reasons == [alarm.reasons[0]] and alarm.reasons[0].startswith(
        "dev accuracy fell from 0.20 (round 0) to 0.14: 35 tasks lost, 3 gained, p = "
    )


def test_pass_rates_show_a_fall_that_greedy_outcomes_are_too_few_for() -> None:
    first = DevRound(0, {}, {f"t{i}": (6 - i % 2, 8, (6 - i % 2,)) for i in range(40)})
    later = DevRound(1, {}, {f"t{i}": (4 - i % 3, 8, (4 - i % 3,)) for i in range(40)})
    alarm = alarm_of([first, later], planned=10)
    assert alarm.level == 2 and alarm.keys == ("task_rate",)
    assert "pass rate at temperature 1 fell from 0.69 (round 0) to 0.38: 40 tasks lower, 0 higher" in alarm.reasons[0]


def test_half_of_the_variety_may_go_before_it_is_level_2() -> None:
    first = sampled(0, 8, 8, (1,) * 8)
    quarter, third, most = (4, 2, 1, 1), (5, 2, 1), (8,)
    assert differs(first.samples["t0"][2]) == 1 and differs(quarter) == 0.75 and math.isnan(differs((1,)))
    levels = [
        alarm_of([first, sampled(1, 8, 8, c), sampled(2, 8, 8, c)], planned=10).level for c in (quarter, third, most)
    ]
    assert levels == [0, 1, 2]


def test_forgotten_human_texts_are_counted_and_small_changes_are_none() -> None:
    base = [0.2 + 0.01 * i for i in range(30)]
    assert alarm_of([texts(0, *base), texts(1, *(x + 0.09 for x in base))], planned=10).level == 0
    alarm = alarm_of([texts(0, *base), texts(1, *(x + 0.2 * (i < 15) for i, x in enumerate(base)))], planned=10)
    assert alarm.level == 2 and "15 texts are clearly less likely than in round 0, 0 likelier" in alarm.reasons[0]


def test_loss_from_a_peak_is_seen_above_round_0() -> None:
    alarm = alarm_of(rounds_of(10, 34, 22), planned=10)
    assert alarm.level == 2 and alarm.incumbent == 1 and "(round 1)" in alarm.reasons[0]
    assert alarm.back == 1 and alarm.next_back == 1


def test_round_becomes_the_incumbent_by_clear_gains_alone() -> None:
    assert alarm_of(rounds_of(20, 26, 26), planned=10).incumbent == 0
    assert alarm_of(rounds_of(20, 30, 30), planned=10).incumbent == 1


def test_another_key_in_the_next_round_is_no_streak() -> None:
    base = [0.3] * 30
    nats = [base, base, [0.5] * 6 + base[6:]]
    rounds = [
        DevRound(one.number, one.greedy, {}, texts(0, *said).nats)
        for one, said in zip(rounds_of(33, 26, 33), nats, strict=True)
    ]
    found = [alarm_of(rounds[: t + 1], planned=10) for t in range(3)]
    assert [one.keys for one in found] == [(), ("dev_accuracy",), ("human_text",)]
    assert [one.level for one in found] == [0, 1, 1]


def test_planned_rounds_spend_the_error_and_more_rounds_than_planned_count() -> None:
    fall = rounds_of(32, 22)
    assert alarm_of(fall, planned=3).level == 2 and alarm_of(fall, planned=3000).level == 1
    assert alarm_of(rounds_of(*[32] * 12), planned=1).level == 0


def test_many_runs_at_once_are_judged_as_each_alone() -> None:
    rng = np.random.default_rng(4)
    histories = [history_of(rounds_of(*rng.integers(5, 40, 6).tolist())) for _ in range(5)]
    fields = ("greedy_R_T_P", "rates_R_T_Q", "differ_R_T_Q", "nats_R_T_D")
    joined = type(histories[0])(*(np.concatenate([getattr(h, f) for h in histories]) for f in fields))
    together, alone = judge(joined, planned=5), [judge(h, planned=5) for h in histories]
    assert together.level_R_T.tolist() == [one.level_R_T[0].tolist() for one in alone]
    assert np.allclose(together.p_R_T_K, np.concatenate([one.p_R_T_K for one in alone]), equal_nan=True)


# ---- blind is not quiet ----


@pytest.mark.parametrize(
    ("rounds", "key", "why"),
    [
        ([DevRound(0), DevRound(1)], "dev_accuracy", "round 1 has no outcome of a dev task"),
        (
            rounds_of(1, 0, tasks=1),
            "dev_accuracy",
            "only 1 of 1 tasks were solved in round 0, so fewer than 6 could fall",
        ),
        (rounds_of(0, 5), "dev_accuracy", "only 0 of 40 tasks were solved in round 0"),
        ([sampled(0, 4, 8, (4,)), DevRound(1)], "task_rate", "round 1 has no samples of dev tasks"),
        ([DevRound(0), sampled(1, 4, 8, (4,))], "task_rate", "round 0 has no samples of dev tasks"),
        ([texts(0), texts(1, *[math.nan] * 9)], "human_text", "round 1 has no likelihood of human text"),
        ([texts(0, 1.0, 1.0), texts(1, 2.0, 2.0)], "human_text", "only 2 texts are in both round 0 and round 1"),
        ([sampled(0, 1, 8, (1,)), sampled(1, 1, 8, (1,))], "variety", "round 1 has no task with two right samples"),
        (
            [sampled(0, 8, 8, (8,)), sampled(1, 8, 8, (8,))],
            "variety",
            "only 0 of 40 tasks show different right solutions",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_cannot_be_judged_says_why_and_is_no_alarm(rounds: list[DevRound], key: str, why: str) -> None:
    read = [DevRound.read(one.number, kept(one)) for one in rounds]
    alarm = alarm_of(read, planned=10)
    assert why in alarm.blind[key] and key not in alarm.p and alarm.level == 0


def kept(one: DevRound) -> dict[str, Any]:
    """What a round writes to `evaluate/dev.json`."""
    samples = list(one.samples.items())
    counted = {
        "task_ids": [name for name, _ in samples],
        "correct": [row[0] for _, row in samples],
        "attempts": [row[1] for _, row in samples],
        "clusters": [list(row[2]) for _, row in samples],
    }
    return {"dev": dict(one.greedy), "samples": counted, "nll": dict(one.nats)}


def test_all_solved_can_fall_and_is_judged() -> None:
    assert "dev_accuracy" in alarm_of(rounds_of(40, 40), planned=10).p
    assert alarm_of(rounds_of(40, 25), planned=10).level == 2


def test_dev_set_that_changed_is_compared_on_its_common_tasks() -> None:
    other = DevRound(1, {f"u{i}": 0.0 for i in range(40)})
    assert (
        "no task of round 1 was measured in round 0 too: the dev set changed"
        in alarm_of([*rounds_of(40), other], planned=10).blind["dev_accuracy"]
    )
    half = DevRound(1, {f"t{i}": float(i >= 30) for i in range(20, 60)})
    alarm = alarm_of([*rounds_of(40), half], planned=10)
    assert alarm.level == 2 and "fell from 1.00 (round 0) to 0.50: 10 tasks lost, 0 gained" in alarm.reasons[0]


def test_task_that_the_dev_set_repeats_counts_once() -> None:
    once = DevRound.read(0, {"samples": {"task_ids": ["a"], "correct": [3], "attempts": [8], "clusters": [[3]]}})
    twice = DevRound.read(
        0, {"samples": {"task_ids": ["a", "a"], "correct": [3, 3], "attempts": [8, 8], "clusters": [[3], [3]]}}
    )
    assert once == twice and once.samples == {"a": (3, 8, (3,))}


def test_numbers_that_are_none_are_left_out_and_no_round_is_no_fault() -> None:
    read = DevRound.read(0, {"dev": {"a": math.nan, "b": 1.0, "c": None}, "nll": {"x": math.inf}})
    assert read.greedy == {"b": 1.0} and read.nats == {}
    assert DevRound.read(0, {}) == DevRound(0) and alarm_of([], planned=3).level == 0
    assert alarm_of(rounds_of(30), planned=3).smallest_fall == {"dev_accuracy": 0.21}


def test_smallest_falls_follow_what_was_measured() -> None:
    calm = alarm_of(rounds_of(30, 30, 30), planned=10).smallest_fall["dev_accuracy"]
    names = [f"t{i}" for i in range(40)]
    swung = [DevRound(n, {name: float((i + n) % 2 == 0) for i, name in enumerate(names)}) for n in range(3)]
    assert calm < 0.2 < alarm_of(swung, planned=10).smallest_fall["dev_accuracy"]
    torn = [DevRound(n, {}, {f"t{i}": (2, 8, (1, 1) if (i + n) % 2 else (2,)) for i in range(12)}) for n in range(2)]
    alarm = alarm_of(torn, planned=10)
    assert "variety" in alarm.p and "variety" not in alarm.smallest_fall
    assert alarm.blind["variety"] == "not even a total loss would be seen for sure"
    equal = alarm_of([sampled(n, 4, 8, (4,)) for n in range(2)], planned=10).smallest_fall["task_rate"]
    assert equal > 0.02, "tasks that all stayed are no certainty"


# ---- the best round ----


def test_best_round_is_the_earliest_that_is_not_clearly_worse_than_the_highest() -> None:
    assert best_round_of(rounds_of(20, 30, 32, 33)) == 1
    assert best_round_of(rounds_of(20, 22)) == 0
    assert best_round_of(rounds_of(20)) == 0 and best_round_of([]) is None and best_round_of([DevRound(0)]) is None
    assert best_round_of([DevRound(0), *rounds_of(0, 20)[1:]]) == 1, "a round without a dev accuracy is no candidate"


def test_cross_fitting_needs_two_tasks_of_all_rounds() -> None:
    assert best_unbiased([]) is None and best_unbiased(rounds_of(1, 1, tasks=1)) is None
    found = best_unbiased(rounds_of(10, 30))
    assert found is not None and found.accuracy.value == 0.75 and found.change.value == 0.5


def test_ten_equal_noisy_rounds_give_no_gain() -> None:
    found = selection_of(32, 60, seed=1)
    assert found["highest"] > 0.06, "the luckiest of equal rounds looks better than it is"
    assert abs(found["unbiased"]) < 0.03 and abs(found["unbiased_change"]) < 0.03


# ---- level and power ----


def test_small_simulation_keeps_the_level_and_sees_the_collapses() -> None:
    results = {}
    for cell in (
        Cell("unchanged", 100, 0.42, 0.5),
        Cell("sharpening", 100, 0.2, 1.0),
        Cell("-.10 from round 3", 100, 0.42, 0.5),
        Cell("human text lost", 32, 0.2, 0.5),
    ):
        results |= {name_of(cell, n): row for n, row in run_cell(cell, 60, 60, 5, (8,)).items()}
    reached = {name.partition(" |")[0]: row["level_2"][0] for name, row in results.items()}
    assert reached["unchanged"] <= 0.05 and reached["sharpening"] <= 0.05
    assert reached["-.10 from round 3"] >= 0.9 and reached["human text lost"] >= 0.9


def test_smallest_fall_that_is_told_is_about_the_one_that_is_seen() -> None:
    found = sight_of(100, 60, seed=3)
    assert 0.65 <= found["seen"] <= 0.97, found


def test_numbers_of_the_rules_are_those_that_were_simulated() -> None:
    """Whoever changes dev_rules.json runs `python -m benchmarks.gate_power --json benchmarks/results/gate_power-DATE.json` again."""
    results = json.loads(RESULTS[-1].read_text())
    assert results["rules_sha256"] == rules_hash()
    assert results["missed"] == missed_bars(results["results"]) == []
