"""The gate: what is done about a round, by the dev set alone."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfplay.collapse import DevRound
from selfplay.config import Config
from selfplay.config.metrics import best_round
from selfplay.loop.gate import GateDecision, decide
from selfplay.store import Commit, RoundState
from tests.support.metrics import view

Row = dict[str, Any]
TASKS = 40


def dev(number: int, solved: int, *, modes: int = 0) -> DevRound:
    """The first `solved` of the tasks are right; with `modes`, each has eight right samples in so many solutions."""
    samples = {f"t{i}": (8, 8, (8 // modes,) * modes) for i in range(TASKS)} if modes else {}
    return DevRound(number, {f"t{i}": float(i < solved) for i in range(TASKS)}, samples)


def config_of(**gate: Any) -> Config:
    return view(gate=gate, rounds=10).config


def decisions_on(
    config: Config, solved: list[int], rows: list[Row] | None = None, modes: list[int] | None = None
) -> list[GateDecision]:
    """The decisions on rounds with so many tasks solved, each starting where the decision before says, until one stops."""
    commits: list[Commit] = []
    decisions: list[GateDecision] = []
    parent: int | None = None
    kept: dict[int, DevRound] = {}
    for number, right in enumerate(solved):
        row = rows[number] if rows else {}
        kept[number] = dev(number, right, modes=modes[number] if modes else 0)
        stood_on, tip = [number], parent
        while tip is not None:
            stood_on, tip = [tip, *stood_on], commits[tip].parent
        state = commits[-1].state if commits else RoundState()
        decision = decide(config, parent, row, commits, [kept[n] for n in stood_on], state)
        decisions.append(decision)
        commits.append(
            Commit(
                round=number,
                parent=parent,
                action=decision.action,
                next_parent=decision.next_parent,
                state=decision.state.model_copy(update={"level": number}),
                metrics={"eval/greedy_accuracy": right / TASKS, **row, **decision.figures},
            )
        )
        if decision.action == "stop":
            break
        parent = decision.next_parent
    return decisions


def actions(config: Config, *solved: int, rows: list[Row] | None = None) -> list[str]:
    return [decision.action for decision in decisions_on(config, list(solved), rows)]


def levels(config: Config, *solved: int, rows: list[Row] | None = None) -> list[int]:
    return [decision.figures["collapse_alarm/level"] for decision in decisions_on(config, list(solved), rows)]


def test_one_bad_round_is_a_warning_and_two_running_roll_back() -> None:
    decisions = decisions_on(config_of(), [32, 26, 26])
    assert [r.action for r in decisions] == ["continue", "warn", "roll_back"]
    assert [r.figures["collapse_alarm/level"] for r in decisions] == [0, 1, 2]
    said = "dev accuracy fell from 0.80 (round 0) to 0.65: 6 tasks lost, 0 gained, p = 0.029"
    assert decisions[1].reason == said
    assert decisions[2].reason.startswith("collapse alarm level 2: dev accuracy fell from 0.80 (round 0)")
    assert decisions[2].reason.endswith(", the second round running")


def test_roll_back_returns_to_the_incumbent_and_not_to_the_bad_parent() -> None:
    decisions = decisions_on(config_of(), [20, 34, 27, 27])
    assert [r.action for r in decisions] == ["continue", "continue", "warn", "roll_back"]
    assert "(round 1)" in decisions[2].reason, "the loss from the peak is seen, above round 0 as it still is"
    assert decisions[3].next_parent == 1, "round 2 was bad as well"
    assert [r.figures["collapse_alarm/incumbent"] for r in decisions] == [0, 1, 1, 1]


def test_large_fall_rolls_back_at_once() -> None:
    assert actions(config_of(), 36, 20) == ["continue", "roll_back"]


def test_round_that_won_by_losing_variety_is_no_place_to_return_to() -> None:
    decisions = decisions_on(config_of(), [20, 34, 34], modes=[8, 1, 1])
    assert decisions[1].action == "roll_back" and decisions[1].next_parent == 0
    assert "variety of right solutions fell from 1.00 (round 0) to 0.00" in decisions[1].reason
    observed = decisions_on(config_of(action="observe"), [20, 34, 34], modes=[8, 1, 1])
    assert [r.figures["collapse_alarm/incumbent"] for r in observed] == [0, 0, 0]


def test_recovery_in_between_is_no_streak() -> None:
    assert levels(config_of(), 32, 26, 32, 26) == [0, 1, 0, 1]


def test_another_key_the_next_round_is_no_streak() -> None:
    j = {"collapse_quality/verifier_youden_j": 0.1, "collapse_quality/verifier_youden_j_lo": -0.1}
    rows = [{}, {}, j | {"collapse_quality/verifier_youden_j_hi": 0.3}]
    assert levels(config_of(), 32, 26, 32, rows=rows) == [0, 1, 1]


def test_fall_that_chance_explains_is_no_alarm() -> None:
    assert levels(config_of(), 32, 30, 29, 31, 30) == [0] * 5


def test_roll_back_changes_the_state_by_its_section_and_again_on_top() -> None:
    config = config_of(roll_back={"temperature_add": 0.2, "anchor_add": 0.1, "cap_scale": 0.5})
    decision = decisions_on(config, [20, 34, 27, 27])[3]
    assert decision.state == RoundState(level=1, temperature_add=0.2, anchor_add=0.1, cap_scale=0.5)
    before = RoundState(level=3, temperature_add=0.2, anchor_add=0.1, cap_scale=0.5)
    commits = [Commit(round=0, parent=None, next_parent=0, state=RoundState(level=2))]
    again = decide(config, 0, {}, commits, [dev(0, 36), dev(1, 20)], before)
    assert again.state == RoundState(level=2, temperature_add=0.4, anchor_add=0.2, cap_scale=0.25)


def test_level_two_again_after_a_roll_back_is_level_three_and_stops() -> None:
    decisions = decisions_on(config_of(), [32, 26, 26, 26, 26])
    assert [r.action for r in decisions] == ["continue", "warn", "roll_back", "warn", "stop"]
    assert decisions[-1].figures["collapse_alarm/level"] == 3
    assert "again after a roll-back" in decisions[-1].reason


def test_good_rounds_after_a_roll_back_go_on() -> None:
    assert actions(config_of(), 32, 26, 26, 32, 33)[-2:] == ["continue", "continue"]


def test_stop_stops_at_level_two() -> None:
    assert actions(config_of(action="stop"), 32, 26, 26, 26) == ["continue", "warn", "stop"]


def test_observe_never_acts_and_still_tells() -> None:
    decisions = decisions_on(config_of(action="observe"), [32, *[26] * 5])
    assert [r.action for r in decisions] == ["continue", *["warn"] * 5]
    assert [r.figures["collapse_alarm/level"] for r in decisions] == [0, 1, 2, 2, 2, 2]
    assert [r.next_parent for r in decisions] == list(range(6))


# ---- hard rules ----


def test_known_wrong_trace_accepted_stops_at_once_unless_observed() -> None:
    rows: list[Row] = [{}, {"collapse_quality/canary_false_accepts": 1}]
    assert actions(config_of(), 30, 31, rows=rows) == ["continue", "stop"]
    assert actions(config_of(action="observe"), 30, 31, rows=rows) == ["continue", "warn"]
    assert actions(config_of(), 30, 31, rows=[{}, {"collapse_quality/canary_false_accepts": 0}]) == ["continue"] * 2


@pytest.mark.parametrize(
    ("low", "high", "level", "says"),
    [
        (-0.5, -0.1, 2, "it keeps wrong attempts rather than right ones"),
        (-0.1, 0.3, 1, "it may not tell right from wrong"),
        (0.1, 0.5, 0, ""),
    ],
)
def test_verifier_is_judged_by_the_sign_of_youdens_j(low: float, high: float, level: int, says: str) -> None:
    j = {
        f"collapse_quality/verifier_youden_j{end}": x
        for end, x in (("", (low + high) / 2), ("_lo", low), ("_hi", high))
    }
    decision = decisions_on(config_of(action="observe"), [30, 30], [{}, j])[1]
    assert decision.figures["collapse_alarm/level"] == level and says in decision.reason
    unfiltered = view(curate={"verified_only": False}, gate={"action": "observe"}).config
    assert levels(unfiltered, 30, 30, rows=[{}, j]) == [0, 0], "a filter that is not in use cannot harm"


def test_breakdown_error_is_information_only() -> None:
    """Odds of being right grow by phi / psi a round: phi 1, psi 0.2 heals an error of 0.9; phi 0.3, psi 0.6 ruins one of 0.2."""
    heals = {"collapse_quality/breakdown_error_margin": -0.07, "collapse_quality/breakdown_error_margin_hi": -0.01}
    heals |= {f"collapse_quality/verifier_youden_j{end}": x for end, x in (("", 0.8), ("_lo", 0.7), ("_hi", 0.85))}
    assert levels(config_of(action="observe"), 4, 4, rows=[{}, heals]) == [0, 0]
    ruins = {"collapse_quality/breakdown_error_margin": 0.13, "collapse_quality/breakdown_error_margin_lo": 0.05}
    ruins |= {f"collapse_quality/verifier_youden_j{end}": x for end, x in (("", -0.3), ("_lo", -0.4), ("_hi", -0.2))}
    assert levels(config_of(action="observe"), 32, 32, rows=[{}, ruins]) == [0, 2]


def test_kl_budget_rings_only_where_the_whole_interval_is_above_it() -> None:
    def rows(value: float) -> list[Row]:
        return [{}, {"collapse_drift/kl_fwd_seq": value, "collapse_drift/kl_fwd_seq_lo": value - 5}]

    said = decisions_on(config_of(kl_budget=20.0), [30, 30], rows(40.0))[1]
    assert said.action == "roll_back" and "above the budget of 20.0 nats per sequence" in said.reason
    assert actions(config_of(kl_budget=20.0), 30, 30, rows=rows(24.0)) == ["continue", "continue"]
    assert actions(config_of(), 30, 30, rows=rows(400.0)) == ["continue", "continue"], "there is no KL rule by default"


# ---- plateau and the best round ----


def test_plateau_stops_after_so_many_rounds_of_which_none_is_clearly_better() -> None:
    decisions = decisions_on(config_of(plateau_rounds=2), [20, 30, 31, 32])
    assert [r.action for r in decisions] == ["continue", "continue", "continue", "stop"]
    said = "plateau: no round was significantly better on the dev set than round 1 (dev accuracy 0.750) in 2 rounds"
    assert decisions[-1].reason == said
    assert actions(config_of(plateau_rounds=2), 5, 12, 19, 26, 33) == ["continue"] * 5


def test_plateau_counts_no_round_that_kept_the_weights_or_was_rolled_back() -> None:
    kept = {"train/weights_kept": 1}
    assert actions(config_of(plateau_rounds=2), 20, 30, 30, 30, rows=[{}, {}, kept, kept])[-1] == "warn"
    decisions = decisions_on(config_of(plateau_rounds=3), [30, 20, 31, 31])
    assert [r.action for r in decisions] == ["continue", "roll_back", "continue", "continue"]


def test_round_that_was_rolled_back_is_never_the_best() -> None:
    decisions = decisions_on(config_of(), [20, 34, 34], modes=[8, 1, 8])
    assert [r.action for r in decisions] == ["continue", "roll_back", "continue"]
    assert [r.figures["eval/best_round"] for r in decisions] == [0, 0, 2]


def test_best_round_is_the_one_that_the_last_gate_names() -> None:
    def commit(number: int, **metrics: Any) -> Commit:
        return Commit(round=number, parent=None, next_parent=number, metrics=metrics)

    named = [commit(0, **{"eval/best_round": 0}), commit(1, **{"eval/best_round": 1}), commit(2)]
    assert best_round(named) == 1 and best_round(named[:1]) == 0 and best_round([]) == 0


def test_best_round_carries_an_estimate_without_selection() -> None:
    figures = decisions_on(config_of(), [10, 30])[1].figures
    assert figures["eval/best_unbiased"] == 0.75 and figures["eval/best_unbiased_delta"] == 0.5
    assert figures["eval/best_unbiased_delta_lo"] < 0.5 < figures["eval/best_unbiased_delta_hi"]


# ---- blind is not quiet ----


def test_each_decision_tells_which_keys_are_blind_and_the_smallest_fall_that_it_sees() -> None:
    figures = decisions_on(config_of(), [30, 30])[1].figures
    assert "variety: round 1 has no samples of dev tasks" in figures["collapse_alarm/blind"]
    assert "dev_accuracy" not in figures["collapse_alarm/blind"]
    assert 0.1 < figures["collapse_alarm/minimum_detectable_fall"] < 0.3
    lost = decisions_on(config_of(), [40, 4])[1].figures["collapse_alarm/p_dev_accuracy"]
    assert 0 < lost < 1e-6, "no p is 0, which would be a certainty"


# ---- properties ----

SOLVED = st.lists(st.integers(0, TASKS), min_size=2, max_size=7)
TEST_KEYS = st.dictionaries(
    st.sampled_from(
        ["test/greedy_accuracy", "test_difficulty/2", "test/greedy_accuracy_delta_hi", "test_frequency/rare"]
    ),
    st.floats(-1, 1, allow_nan=False),
)


@given(SOLVED, st.lists(TEST_KEYS, min_size=7, max_size=7), st.sampled_from(["observe", "roll_back", "stop"]))
@settings(derandomize=True, deadline=None, max_examples=40)
def test_figures_of_the_test_set_change_no_ruling(solved: list[int], tests: list[Row], action: Any) -> None:
    config = config_of(action=action, plateau_rounds=3)
    assert decisions_on(config, solved) == decisions_on(config, solved, tests)


@given(SOLVED, st.sampled_from(["observe", "roll_back", "stop"]))
@settings(derandomize=True, deadline=None, max_examples=40)
def test_next_parent_is_the_round_itself_or_an_ancestor_and_only_a_roll_back_changes_the_state(
    solved: list[int], action: Any
) -> None:
    parent: int | None = None
    ancestors: dict[int, list[int]] = {}
    added = 0.0
    for number, decision in enumerate(decisions_on(config_of(action=action), solved)):
        ancestors[number] = [] if parent is None else [*ancestors[parent], parent]
        rolled = decision.action == "roll_back"
        assert decision.next_parent in ancestors[number] if rolled else decision.next_parent == number
        assert (decision.state.temperature_add != added) == rolled
        parent, added = decision.next_parent, decision.state.temperature_add
