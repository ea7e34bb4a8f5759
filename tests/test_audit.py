"""The audit of a verifier: rates from two strata, intervals that hold, canaries."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfplay.errors import ConfigError, DataError
from selfplay.records import Outcome
from selfplay.seeds import rng_of
from selfplay.verify.audit_rates import Stratum, audit, canaries, sample, stratum


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


def test_verifier_that_keeps_at_random_breaks_down_at_a_half() -> None:
    found = audit(Stratum(100, 50, 50), Stratum(100, 50, 50))
    assert found.p_star is not None
    assert found.p_star.value == pytest.approx(0.5)


def test_unchecked_stratum_leaves_what_depends_on_it_out() -> None:
    found = audit(Stratum(10, 9, 1), Stratum(5, 0, 0))
    assert (found.phi, found.psi, found.p_star) == (None, None, None)
    assert found.precision is not None
    assert set(found.metrics()) == {f"collapse_quality/verifier_precision{end}" for end in ("", "_lo", "_hi")}


def test_round_without_rejected_attempts_can_be_audited() -> None:
    found = audit(Stratum(20, 18, 2), Stratum(0, 0, 0))
    assert found.phi is not None and found.psi is not None
    assert (found.phi.value, found.psi.value) == (1.0, 1.0)


def test_impossible_counts_are_refused() -> None:
    with pytest.raises(DataError, match="3 right and 2 wrong of 4"):
        Stratum(4, 3, 2)


def test_intervals_hold_the_truth_in_most_simulated_rounds() -> None:
    phi, psi, error, held, rounds = 0.8, 0.15, 0.6, [0, 0, 0], 300
    for number in range(rounds):
        rng = rng_of("audit-test", number)
        counts = {(right, kept): 0 for right in (True, False) for kept in (True, False)}
        for _ in range(2000):
            right = rng.random() > error
            counts[right, rng.random() < (phi if right else psi)] += 1
        strata = []
        for kept, share in ((True, 60), (False, 80)):
            population = [True] * counts[True, kept] + [False] * counts[False, kept]
            drawn = rng.sample(population, share)
            strata.append(Stratum(len(population), sum(drawn), share - sum(drawn)))
        found = audit(*strata)
        for place, (rate, truth) in enumerate(
            [(found.phi, phi), (found.psi, psi), (found.p_star, 1 / (1 + psi / phi))]
        ):
            assert rate is not None
            held[place] += rate.lo <= truth <= rate.hi
    assert min(held) >= 0.95 * rounds


@settings(derandomize=True, deadline=None)
@given(*[st.integers(0, 40) for _ in range(6)])
def test_rates_stay_in_their_range_and_their_interval(a: int, b: int, c: int, d: int, more: int, rest: int) -> None:
    found = audit(Stratum(a + b + more, a, b), Stratum(c + d + rest, c, d))
    for rate in (found.precision, found.missed, found.phi, found.psi, found.p_star, found.error):
        assert rate is None or 0 <= rate.lo <= rate.value <= rate.hi <= 1 + 1e-12


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
