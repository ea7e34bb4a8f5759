"""The gate: what is done about a round, by the dev set alone."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfplay.config.metrics import SCORE, best_round
from selfplay.config.tree import Gate
from selfplay.loop.gate import GateDecision, decide
from selfplay.store import Commit, RoundState

Row = dict[str, Any]


def row(score: float, width: float = 0.01, *, change: float | None = None, **more: Any) -> Row:
    """A row whose pass@1 lies `width` about `score`; `change` is its paired change to round 0."""
    found = {"eval/greedy_accuracy": score, "eval/pass_at_1": score}
    found |= {"eval/pass_at_1_lo": score - width, "eval/pass_at_1_hi": score + width}
    if change is not None:
        ends = {"": change, "_lo": change - width, "_hi": change + width}
        found |= {f"eval/pass_at_1_delta{end}": value for end, value in ends.items()}
    return found | more


GOOD, BAD = row(0.8), row(0.6)


def decisions_on(section: Gate, rows: list[Row]) -> list[GateDecision]:
    """The decisions on these rows, each round starting where the decision before says, until one stops."""
    commits: list[Commit] = []
    decisions: list[GateDecision] = []
    parent: int | None = None
    for number, figures in enumerate(rows):
        state = commits[-1].state if commits else RoundState()
        decision = decide(section, number, parent, figures, commits, state)
        decisions.append(decision)
        commits.append(
            Commit(
                round=number,
                parent=parent,
                action=decision.action,
                next_parent=decision.next_parent,
                state=decision.state,
                metrics={**figures, **decision.figures},
            )
        )
        if decision.action == "stop":
            break
        parent = decision.next_parent
    return decisions


def actions(section: Gate, *rows: Row) -> list[str]:
    return [decision.action for decision in decisions_on(section, list(rows))]


def test_one_bad_round_is_a_warning_and_two_running_roll_back() -> None:
    decisions = decisions_on(Gate(), [GOOD, BAD, BAD])
    assert [r.action for r in decisions] == ["continue", "warn", "roll_back"]
    assert [r.figures["collapse_alarm/level"] for r in decisions] == [0, 1, 2]
    assert [r.next_parent for r in decisions] == [0, 1, 1], "round 2 is abandoned, the next one starts from round 1"
    assert "eval/pass_at_1" in decisions[2].reason and "second round running" in decisions[2].reason


def test_recovery_in_between_is_no_streak() -> None:
    assert actions(Gate(), GOOD, BAD, GOOD, BAD) == ["continue", "warn", "continue", "warn"]


def test_drop_that_its_interval_does_not_show_is_no_alarm() -> None:
    assert actions(Gate(), row(0.8, 0.2), row(0.6, 0.2), row(0.6, 0.2)) == ["continue"] * 3


def test_paired_change_counts_before_the_unpaired_one() -> None:
    shown = row(0.6, 0.2, change=-0.2)
    shown |= {"eval/pass_at_1_delta_lo": -0.22, "eval/pass_at_1_delta_hi": -0.18}
    assert actions(Gate(), row(0.8, 0.2), shown) == ["continue", "warn"]


def test_roll_back_changes_the_state_by_its_section_and_again_on_top() -> None:
    section = Gate.model_validate({"roll_back": {"temperature_add": 0.2, "anchor_add": 0.1, "cap_scale": 0.5}})
    assert decisions_on(section, [GOOD, BAD, BAD])[2].state == RoundState(
        temperature_add=0.2, anchor_add=0.1, cap_scale=0.5
    )
    before = RoundState(level=3, temperature_add=0.2, anchor_add=0.1, cap_scale=0.5)
    commits = [
        Commit(round=0, parent=None, next_parent=0, metrics=GOOD),
        Commit(round=1, parent=0, next_parent=1, metrics=BAD),
    ]
    again = decide(section, 2, 1, BAD, commits, before)
    assert again.state == RoundState(level=3, temperature_add=0.4, anchor_add=0.2, cap_scale=0.25)


def test_level_two_again_after_a_roll_back_is_level_three_and_stops() -> None:
    decisions = decisions_on(Gate(), [GOOD, BAD, BAD, BAD, BAD])
    assert [r.action for r in decisions] == ["continue", "warn", "roll_back", "warn", "stop"]
    assert decisions[-1].figures["collapse_alarm/level"] == 3
    assert "again after a roll-back" in decisions[-1].reason


def test_good_rounds_after_a_roll_back_go_on() -> None:
    assert actions(Gate(), GOOD, BAD, BAD, GOOD, GOOD)[-2:] == ["continue", "continue"]


def test_stop_stops_at_level_two() -> None:
    assert actions(Gate(action="stop"), GOOD, BAD, BAD, BAD) == ["continue", "warn", "stop"]


def test_observe_never_acts_and_still_tells() -> None:
    decisions = decisions_on(Gate(action="observe"), [GOOD, *[BAD] * 5])
    assert [r.action for r in decisions] == ["continue", *["warn"] * 5]
    assert [r.figures["collapse_alarm/level"] for r in decisions] == [0, 1, 2, 2, 2, 2]
    assert [r.next_parent for r in decisions] == list(range(6))


def test_known_wrong_trace_accepted_stops_at_once_unless_observed() -> None:
    breach = {"collapse_quality/canary_false_accepts": 1}
    assert actions(Gate(), GOOD, row(0.9, **breach)) == ["continue", "stop"]
    assert actions(Gate(action="observe"), GOOD, row(0.9, **breach)) == ["continue", "warn"]


def test_plateau_stops_after_so_many_rounds_without_a_better_dev_accuracy() -> None:
    decisions = decisions_on(Gate(plateau_rounds=2), [row(0.5), row(0.6), row(0.6), row(0.6)])
    assert [r.action for r in decisions] == ["continue", "continue", "continue", "stop"]
    assert decisions[-1].reason == "plateau: no better dev accuracy than 0.600 of round 1 in 2 rounds"
    assert actions(Gate(plateau_rounds=2), *[row(0.5 + n / 10) for n in range(5)]) == ["continue"] * 5


def test_round_that_was_rolled_back_sets_no_mark_for_the_plateau() -> None:
    commits = [
        Commit(round=0, parent=None, next_parent=0, metrics={SCORE: 0.3}),
        Commit(round=1, parent=0, next_parent=0, action="roll_back", metrics={SCORE: 0.9}),
        Commit(round=2, parent=0, next_parent=2, metrics={SCORE: 0.4}),
    ]
    section = Gate(plateau_rounds=2, action="observe")
    assert decide(section, 3, 2, {SCORE: 0.5}, commits, RoundState()).action == "continue"


@pytest.mark.parametrize(
    ("scores", "best"),
    [([0.5, 0.7, 0.7, 0.6], 1), ([0.5], 0), ([None, None], 0), ([0.5, 0.5], 0), ([None, 0.0], 1), ([], 0)],
)
def test_best_round_is_the_earlier_of_equals(scores: list[float | None], best: int) -> None:
    commits = [
        Commit(round=n, parent=None, next_parent=n, metrics={} if s is None else {"eval/greedy_accuracy": s})
        for n, s in enumerate(scores)
    ]
    assert best_round(commits) == best


SCORES = st.lists(st.floats(0.0, 1.0, allow_nan=False), min_size=2, max_size=7)
TEST_KEYS = st.dictionaries(
    st.sampled_from(
        ["test/greedy_accuracy", "test_difficulty/2", "test/greedy_accuracy_delta_hi", "test_frequency/rare"]
    ),
    st.floats(-1, 1, allow_nan=False),
)


@given(SCORES, st.lists(TEST_KEYS, min_size=7, max_size=7), st.sampled_from(["observe", "roll_back", "stop"]))
@settings(derandomize=True, deadline=None)
def test_figures_of_the_test_set_change_no_ruling(scores: list[float], tests: list[Row], action: Any) -> None:
    section = Gate(action=action, plateau_rounds=3)
    plain = [row(score, 0.02) for score in scores]
    assert decisions_on(section, plain) == decisions_on(
        section, [{**r, **t} for r, t in zip(plain, tests, strict=False)]
    )


@given(SCORES, st.sampled_from(["observe", "roll_back", "stop"]))
@settings(derandomize=True, deadline=None)
def test_next_parent_is_the_round_itself_or_its_parent_and_only_a_roll_back_changes_the_state(
    scores: list[float], action: Any
) -> None:
    parent: int | None = None
    before = RoundState()
    for number, decision in enumerate(decisions_on(Gate(action=action), [row(score, 0.02) for score in scores])):
        assert decision.next_parent == (parent if decision.action == "roll_back" else number)
        assert (decision.state != before) == (decision.action == "roll_back")
        parent, before = decision.next_parent, decision.state


def test_round_that_was_rolled_back_is_never_the_best() -> None:
    commits = [
        Commit(round=0, parent=None, next_parent=0, metrics={SCORE: 0.3}),
        Commit(round=1, parent=0, next_parent=0, action="roll_back", metrics={SCORE: 0.9}),
    ]
    assert best_round(commits) == 0
