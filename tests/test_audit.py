"""The audit of a verifier: rates from its strata, intervals that hold, what Youden's J foresees, canaries."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.verifier_audit import World, coverage, law, retrain
from selfplay.errors import ConfigError, DataError
from selfplay.records import Outcome
from selfplay.verify.audit_rates import Stratum, audit, canaries, sample, stratum, worth


def test_whole_population_gives_the_rates_by_counting() -> None:
    # 60 right kept, 20 right dropped, 10 wrong kept, 110 wrong dropped
    found = audit(Stratum(70, right=60, wrong=10), Stratum(130, right=20, wrong=110))
    assert found.phi is not None and found.psi is not None and found.p_star is not None and found.error is not None
    assert found.phi.value == pytest.approx(60 / 80)
    assert found.psi.value == pytest.approx(10 / 120)
    assert found.p_star.value == pytest.approx(1 / (1 + (10 / 120) / (60 / 80)))
    assert found.error.value == pytest.approx(120 / 200)


def test_strata_checked_at_different_shares_are_weighed_by_their_size() -> None:
    found = audit(Stratum(100, right=45, wrong=5), Stratum(1000, right=1, wrong=9))
    assert found.phi is not None and found.psi is not None
    assert found.phi.value == pytest.approx(90 / 190)
    assert found.psi.value == pytest.approx(10 / 910)


def test_perfect_verifier_has_the_highest_breakdown_point_and_an_interval_below_it() -> None:
    found = audit(Stratum(50, 50, 0), Stratum(50, 0, 50))
    assert found.p_star is not None
    assert (found.p_star.value, found.p_star.hi) == (1.0, 1.0)
    assert 0.5 < found.p_star.lo < 1
    assert found.psi is not None and found.psi.lo == 0 < found.psi.hi, "no wrong one among 50 excludes no rate near 0"


def test_verifier_that_keeps_at_random_breaks_down_at_a_half() -> None:
    found = audit(Stratum(100, 50, 50), Stratum(100, 50, 50))
    assert found.p_star is not None
    assert found.p_star.value == pytest.approx(0.5)


def test_unchecked_stratum_leaves_what_depends_on_it_out() -> None:
    found = audit(Stratum(10, 9, 1), Stratum(5, 0, 0))
    assert (found.phi, found.psi, found.youden_j, found.p_star) == (None, None, None, None)
    assert found.precision is not None
    assert set(found.metrics()) == {f"collapse_quality/verifier_precision{end}" for end in ("", "_lo", "_hi")}


def test_round_without_rejected_attempts_can_be_audited() -> None:
    found = audit(Stratum(20, 18, 2), Stratum(0, 0, 0))
    assert found.phi is not None and found.psi is not None
    assert (found.phi.value, found.psi.value) == (1.0, 1.0)


def test_impossible_counts_are_refused() -> None:
    with pytest.raises(DataError, match="3 right and 2 wrong of 4"):
        Stratum(4, 3, 2)


@pytest.mark.parametrize(
    "world",
    [
        World(100, 8, 0.9, 1.0, 0.2),
        World(32, 4, 0.2, 0.3, 0.6),
        World(100, 8, 0.5, 0.5, 0.5, by_task=True),
        World(100, 8, 0.95, 0.8, 0.02, by_task=True, share=1.0),
        World(32, 4, 0.9, 1.0, 0.2, nested=True, by_task=True, share=1.0),
    ],
)
def test_intervals_hold_the_truth_in_most_simulated_rounds(world: World) -> None:
    for key, (held, _, _, narrowest) in coverage(world, 120).items():
        assert held >= 0.9, key
        assert narrowest > 0, key


@settings(derandomize=True, deadline=None, max_examples=40)
@given(*[st.integers(0, 40) for _ in range(7)], st.booleans())
def test_rates_stay_in_their_range_and_no_interval_has_no_width(
    a: int, b: int, c: int, d: int, more: int, wrong: int, rest: int, nested: bool
) -> None:
    found = audit(
        Stratum(a + b + more, a, b),
        None if nested else Stratum(c + d + rest, c, d),
        known_wrong=wrong,
        attempts_worth=9,
    )
    for rate in (found.precision, found.phi, found.psi, found.p_star, found.error):
        assert rate is None or (0 <= rate.lo <= rate.value <= rate.hi <= 1 + 1e-12 and rate.lo < rate.hi)
    for rate in (found.youden_j, found.margin):
        assert rate is None or (-1 <= rate.lo <= rate.value <= rate.hi <= 1 and rate.lo < rate.hi)


def test_second_check_that_contains_the_first_leaves_psi_alone() -> None:
    found = audit(Stratum(100, 45, 5), None, known_wrong=40)
    assert (found.phi, found.youden_j, found.p_star, found.margin) == (None, None, None, None)
    assert found.psi is not None and found.error is not None
    assert found.psi.value == pytest.approx(10 / 50)
    assert found.error.value == pytest.approx(50 / 140)


def test_truncated_attempts_are_wrong_ones_that_were_rejected() -> None:
    found = audit(Stratum(100, 45, 5), Stratum(100, 10, 40), known_wrong=100)
    assert found.psi is not None and found.error is not None and found.phi is not None
    assert found.psi.value == pytest.approx(10 / (10 + 80 + 100))
    assert found.error.value == pytest.approx(190 / 300)
    assert found.phi.value == pytest.approx(90 / 110)


@pytest.mark.parametrize(
    ("accepted", "rejected", "truncated", "shown"),
    [
        ((0, 0, 0), (40, 8, 32), 0, {"verifier_tpr", "verifier_fpr", "verifier_youden_j", "verifier_error"}),
        ((0, 0, 0), (40, 0, 40), 0, {"verifier_fpr", "verifier_error"}),
        ((0, 0, 0), (0, 0, 0), 40, {"verifier_fpr", "verifier_error"}),
        ((40, 40, 0), (0, 0, 0), 0, {"verifier_tpr", "verifier_error", "verifier_precision"}),
        ((40, 0, 0), (40, 0, 0), 0, set()),
        ((0, 0, 0), (0, 0, 0), 0, set()),
    ],
    ids=["nothing kept", "all rejected and wrong", "all truncated", "all kept and right", "all abstain", "no attempts"],
)
def test_rates_that_the_sample_does_not_determine_are_left_out(
    accepted: tuple[int, int, int], rejected: tuple[int, int, int], truncated: int, shown: set[str]
) -> None:
    figures = audit(Stratum(*accepted), Stratum(*rejected), known_wrong=truncated).metrics("x")
    assert {key[2:] for key in figures if not key.endswith(("_lo", "_hi"))} == shown
    assert all(figures[f"x/{key}_lo"] < figures[f"x/{key}_hi"] for key in shown)


def test_attempts_at_one_task_are_worth_less_than_attempts_at_many() -> None:
    assert worth(["a", "b", "c", "d"]) == 4
    assert worth(["a"] * 4) == 1
    assert worth(["a", "a", "b"]) == pytest.approx(9 / 5)
    assert worth([]) == 0
    spread, heaped = (
        stratum(99, [Outcome.PASS, Outcome.FAIL] * 10, tasks) for tasks in (list(map(str, range(20))), ["a"] * 20)
    )
    found = [audit(one, Stratum(99, 5, 5)).psi for one in (spread, heaped)]
    assert found[0] is not None and found[1] is not None
    assert found[1].hi - found[1].lo > found[0].hi - found[0].lo


def test_sample_is_evenly_spaced_and_each_attempt_has_the_same_chance() -> None:
    drawn = sample(1000, 0.05, 3)
    assert {after - before for before, after in pairwise(drawn)} == {20}
    hits = Counter(place for seed in range(400) for place in sample(7, 0.4, seed))
    assert sorted(hits) == list(range(7)) and max(hits.values()) < 1.25 * min(hits.values())


# ---- the law of a filtered loop ----


def test_verifier_that_prefers_right_attempts_recovers_a_student_that_is_nearly_always_wrong() -> None:
    accuracy, audits = retrain(0.9, 1.0, 0.2, rounds=3, tasks=1000)
    assert accuracy == pytest.approx([0.10, 0.36, 0.74, 0.93], abs=0.04)
    assert accuracy[1:3] == pytest.approx(law(0.9, 1.0, 0.2)[1:3], abs=0.03)
    j, margin = audits[0].youden_j, audits[0].margin
    assert j is not None and margin is not None
    assert j.lo > 0, "no alarm"
    assert margin.hi < 0, "the breakdown error says the opposite, which is why nothing decides by it"


def test_verifier_that_prefers_wrong_attempts_ruins_a_student_that_is_mostly_right() -> None:
    accuracy, audits = retrain(0.2, 0.3, 0.6, rounds=8, tasks=1000)
    assert accuracy[:3] == pytest.approx([0.80, 0.66, 0.51], abs=0.03) and accuracy[-1] < 0.06
    j, margin = audits[0].youden_j, audits[0].margin
    assert j is not None and margin is not None
    assert j.hi < 0, "an alarm"
    assert margin.lo > 0


def test_sample_is_the_same_for_the_same_seed_and_at_least_one() -> None:
    assert sample(1000, 0.05, 1, "accepted") == sample(1000, 0.05, 1, "accepted")
    assert sample(1000, 0.05, 1, "accepted") != sample(1000, 0.05, 1, "rejected")
    assert len(sample(1000, 0.05, 1)) == 50
    assert len(sample(3, 0.01, 1)) == 1
    assert sample(0, 0.5, 1) == sample(10, 0.0, 1) == []
    with pytest.raises(ConfigError, match=r"share is 1\.5"):
        sample(10, 1.5, 1)


def test_stratum_counts_only_what_the_stronger_check_decided() -> None:
    words = [Outcome.PASS, Outcome.FAIL, Outcome.INVALID, Outcome.ERROR, Outcome.ABSTAIN]
    assert stratum(9, words) == Stratum(9, right=1, wrong=2)


def test_one_known_wrong_canary_that_passes_is_an_alarm() -> None:
    truth = {"a": "right", "b": "right", "c": "wrong", "d": "wrong", "e": "wrong"}
    words = {"a": Outcome.PASS, "b": Outcome.FAIL, "c": Outcome.FAIL, "d": Outcome.PASS, "e": Outcome.ERROR}
    found = canaries(truth, words | {"other": Outcome.PASS})  # type: ignore[arg-type]
    assert found.alarm
    assert (found.wrong_accepted, found.right_dropped, found.undecided) == (("d",), ("b",), 1)
    assert found.metrics()["canary/wrong_accepted"] == 1.0


def test_dropped_right_canary_is_no_alarm_and_a_lost_one_is_an_error() -> None:
    assert not canaries({"a": "right"}, {"a": Outcome.FAIL}).alarm
    with pytest.raises(DataError, match="canary a and 0 more have no outcome"):
        canaries({"a": "wrong"}, {})
