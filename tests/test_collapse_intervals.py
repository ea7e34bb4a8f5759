"""Intervals: what each must hold whatever the data, agreement with a second way to compute them, and their coverage in small."""

import math
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import selfplay.collapse as c
from benchmarks.interval_coverage import BAR, counted, dev_set_cells, likelihood_cells
from selfplay.collapse.estimate import FEWEST, Z95, Estimate, t975
from selfplay.errors import DataError, EmptyMetric

few = settings(derandomize=True, deadline=None, max_examples=150)
shares = st.lists(st.floats(0, 1), min_size=1, max_size=60)
numbers = st.lists(st.floats(-1e3, 1e3).map(lambda x: round(x, 3)), min_size=FEWEST, max_size=90)


def holds_its_value(e: Estimate, low: float = -math.inf, high: float = math.inf) -> None:
    assert low - 1e-9 <= e.lo <= e.value <= e.hi <= high + 1e-9
    assert e.lo < e.hi


# ---- shares ----


@given(shares, st.floats(1, 16))
@few
def test_a_bounded_mean_lies_in_its_range_has_width_and_is_mirrored(values: list[float], trials: float) -> None:
    e = c.bounded_mean(values, trials=trials)
    holds_its_value(e, 0.0, 1.0)
    assert e.value == pytest.approx(np.mean(values), abs=1e-9)
    mirrored = c.bounded_mean([1 - x for x in values], trials=trials)
    assert (mirrored.lo, mirrored.hi) == (pytest.approx(1 - e.hi, abs=1e-6), pytest.approx(1 - e.lo, abs=1e-6))
    scaled = c.bounded_mean([2 + 3 * x for x in values], low=2.0, high=5.0, trials=trials)
    assert (scaled.lo, scaled.hi) == (pytest.approx(2 + 3 * e.lo, abs=1e-6), pytest.approx(2 + 3 * e.hi, abs=1e-6))


@given(st.integers(1, 300), st.data())
@few
def test_of_zeros_and_ones_it_is_wilsons_but_for_rare_events_and_grows_with_them(n: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, n))
    e, plain = c.bounded_mean([1.0] * k + [0.0] * (n - k)), c.wilson(k, n)
    if n >= 8 and (min(k, n - k) > 3 or min(k, n - k) > n / 4):
        assert (e.lo, e.hi) == (pytest.approx(plain.lo), pytest.approx(plain.hi))
    assert e.lo <= plain.lo + 1e-12 and plain.hi - 1e-12 <= e.hi
    if k < n:
        more = c.bounded_mean([1.0] * (k + 1) + [0.0] * (n - k - 1))
        assert more.lo >= e.lo and more.hi >= e.hi


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_none_or_all_solved_is_no_certainty(value: float) -> None:
    e = c.bounded_mean([value] * 32)
    assert e.hi - e.lo == pytest.approx(Z95**2 / (32 + Z95**2))
    holds_its_value(c.paired_delta([value] * 32, [value] * 32, span=1.0), -1, 1)


def test_attempts_at_one_task_do_not_count_as_tasks() -> None:
    alike, spread = [1.0] * 16 + [0.0] * 16, [0.5] * 31 + [0.25]
    assert c.bounded_mean(alike, trials=4).lo == pytest.approx(c.wilson(16, 32).lo)
    narrow = c.bounded_mean(spread, trials=4)
    assert narrow.hi - narrow.lo == pytest.approx(
        c.wilson(0.4921875 * 128, 128, t975(31)).hi * 2 - 2 * narrow.value, rel=0.05
    )


# ---- paired changes ----

counts = st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(0, 400)).filter(lambda x: sum(x) > 0)


@given(counts)
@few
def test_tango_lies_in_its_range_has_width_changes_sign_with_the_rounds_and_grows(given: tuple[int, int, int]) -> None:
    gained, lost, same = given
    n = gained + lost + same
    e, swapped = c.tango(gained, lost, n), c.tango(lost, gained, n)
    holds_its_value(e, -1.0, 1.0)
    assert (swapped.lo, swapped.value, swapped.hi) == (-e.hi, -e.value, -e.lo)
    if same:
        more = c.tango(gained + 1, lost, n)
        assert more.lo >= e.lo - 1e-9 and more.hi >= e.hi - 1e-9


def score(gained: int, lost: int, n: int, difference: float) -> float:
    """The score statistic, with the largest likelihood under the difference found on a grid."""
    only_lost = np.linspace(max(0.0, -difference), (1 - difference) / 2, 200_001)[1:-1]
    both = 1 - 2 * only_lost - difference
    with np.errstate(divide="ignore", invalid="ignore"):
        likelihood = (
            gained * np.log(only_lost + difference) + lost * np.log(only_lost) + (n - gained - lost) * np.log(both)
        )
    best = float(only_lost[np.nanargmax(likelihood)])
    return (gained - lost - n * difference) / math.sqrt(n * (2 * best + difference - difference**2))


@pytest.mark.parametrize(("gained", "lost", "n"), [(3, 35, 500), (9, 2, 32), (5, 5, 100), (1, 12, 40)])
def test_at_the_ends_of_tango_the_score_test_is_at_its_bound(gained: int, lost: int, n: int) -> None:
    e = c.tango(gained, lost, n)
    assert score(gained, lost, n, e.lo) == pytest.approx(Z95, abs=2e-3)
    assert score(gained, lost, n, e.hi) == pytest.approx(-Z95, abs=2e-3)


def test_tango_leaves_no_change_out_where_mcnemars_test_rejects_it() -> None:
    for gained, lost in product(range(12), range(12)):
        e = c.tango(gained, lost, 100)
        rejected = (gained - lost) ** 2 > Z95**2 * (gained + lost)
        assert (e.lo > 1e-9 or e.hi < -1e-9) == rejected


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=60), st.floats(1, 8))
@few
def test_a_paired_change_of_shares_holds_its_value_and_changes_sign(
    pairs: list[tuple[float, float]], trials: float
) -> None:
    now, first = zip(*pairs, strict=True)
    e = c.paired_delta(now, first, span=1.0, trials=trials)
    holds_its_value(e, -1.0, 1.0)
    back = c.paired_delta(first, now, span=1.0, trials=trials)
    assert (back.lo, back.hi) == (pytest.approx(-e.hi, abs=1e-9), pytest.approx(-e.lo, abs=1e-9))


def test_of_zeros_and_ones_it_is_tangos() -> None:
    now, first = [1.0] * 9 + [0.0] * 2 + [1.0] * 21, [0.0] * 9 + [1.0] * 2 + [1.0] * 21
    got, wanted = c.paired_delta(now, first, span=1.0), c.tango(9, 2, 32)
    assert (got.lo, got.value, got.hi) == (pytest.approx(wanted.lo), wanted.value, pytest.approx(wanted.hi))


# ---- means without a bound, quantiles ----


@given(numbers)
@few
def test_a_mean_holds_its_value_and_follows_shift_scale_and_sign(values: list[float]) -> None:
    e = c.mean_of(values)
    if not math.isfinite(e.lo):
        assert np.std(values) < 1e-8
        return
    holds_its_value(e)
    again = c.mean_of([-2 * x + 5 for x in values])
    assert again.lo == pytest.approx(-2 * e.hi + 5, rel=1e-6, abs=1e-6)
    assert again.hi == pytest.approx(-2 * e.lo + 5, rel=1e-6, abs=1e-6)


def test_without_skew_it_is_students_and_with_skew_it_reaches_towards_the_tail() -> None:
    even = np.arange(41.0)
    half = t975(40) * even.std(ddof=1) / math.sqrt(41)
    assert c.mean_of(even).hi == pytest.approx(20 + half)
    skewed = c.mean_of(np.exp(even / 8))
    assert skewed.hi - skewed.value > 1.3 * (skewed.value - skewed.lo)


def test_equal_or_few_values_have_no_interval_and_no_ends_are_written() -> None:
    for values in ([3.0] * 40, [1.0, 2.0] * 19):
        assert set(c.mean_of(values).keyed("k")) == {"k"}
    assert set(c.mean_of([1.0, 2.0] * 20).keyed("k")) == {"k", "k_lo", "k_hi"}
    assert c.mean_of([0.0] * 39 + [1.0], least=0.0).lo >= 0.0


@given(numbers, st.sampled_from([0.1, 0.5, 0.9]))
@few
def test_a_quantile_holds_its_value_and_its_ends_are_values(values: list[float], q: float) -> None:
    e = c.quantile_of(values, q)
    assert e.lo <= e.value <= e.hi
    assert not math.isfinite(e.lo) or {e.lo, e.hi} <= set(values)


@pytest.mark.parametrize(("n", "q"), [(40, 0.9), (100, 0.9), (400, 0.99), (36, 0.9), (368, 0.99)])
def test_the_ranks_of_a_quantile_leave_at_most_2_5_percent_on_each_side(n: int, q: float) -> None:
    chance = [math.comb(n, i) * q**i * (1 - q) ** (n - i) for i in range(n + 1)]
    e = c.quantile_of(range(1, n + 1), q)
    r, s = int(e.lo), int(e.hi)
    assert sum(chance[:r]) <= 0.025 < sum(chance[: r + 1])
    assert sum(chance[s:]) <= 0.025 < sum(chance[s - 1 :])
    assert not math.isfinite(c.quantile_of(range(n - 1), q).hi) or n not in (36, 368)


def test_no_duplicate_and_no_lost_word_is_no_certainty() -> None:
    texts = [f"word{i} and more" for i in range(50)]
    e = c.jackknife(0.0, [0.0] * 50, share=True)
    assert e.lo == 0.0 and e.hi == pytest.approx(c.wilson(0, 50, t975(49)).hi)
    assert c.drawn(texts, c.freeze_draws(texts, "words"))["collapse_diversity/exact_dup_rate_hi"] > 0.05
    assert set(c.jackknife(2.0, [2.0] * 50).keyed("k")) == {"k"}


# ---- bad input ----


@pytest.mark.parametrize(
    "call",
    [
        lambda: c.bounded_mean([]),
        lambda: c.bounded_mean([0.5], [0.0]),
        lambda: c.mean_of([math.nan] * 20),
        lambda: c.paired_delta([math.nan], [1.0], span=1.0),
        lambda: c.tango(0, 0, 0),
        lambda: c.quantile_of([], 0.5),
        lambda: c.ratio_of_sums([1.0], [0.0]),
    ],
)
def test_nothing_to_measure_is_said(call: Callable[[], object]) -> None:
    with pytest.raises(EmptyMetric, match="leave the metric out"):
        call()


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: c.bounded_mean([0.5, 1.5]), "from 0.5 to 1.5, must lie in 0..1"),
        (lambda: c.bounded_mean([0.5, 1.0], [1.0]), "2 values but 1 weights"),
        (lambda: c.paired_delta([1, 2], [1]), "2 against 1 units"),
        (lambda: c.tango(3, 3, 5), "of n = 5; check the counts"),
        (lambda: c.quantile_of([1.0], 1.0), "q is 1.0, must lie between 0 and 1"),
    ],
)
def test_what_cannot_be_is_refused_with_its_values(call: Callable[[], object], says: str) -> None:
    with pytest.raises(DataError, match=says):
        call()


def test_a_value_that_is_not_a_number_is_left_out_of_both_rounds() -> None:
    with_gap = c.paired_delta([1, math.nan, 0, 1], [0, 1, 0, 1], span=1.0)
    without = c.paired_delta([1, 0, 1], [0, 0, 1], span=1.0)
    assert with_gap == without and with_gap.n == 3
    assert c.mean_of([math.nan, *range(20)]).value == 9.5


@pytest.mark.parametrize("right", [0, 8, 3])
def test_a_dev_set_of_one_task_keeps_width_in_all_it_shows(right: int) -> None:
    now = c.dev_set_of(["a"], [[True] * right + [False] * (8 - right)], [list("aabbcdef")], [list("aabbcdef")])
    row = c.dev_set_metrics(now, now)
    assert "eval/pass_at_1_lo" in row and "eval/pass_at_1_delta_lo" in row
    assert all(row[key] < row[f"{key.removesuffix('_lo')}_hi"] for key in row if key.endswith("_lo"))
    assert "collapse_tails/polarisation" not in row, "spread between tasks cannot be seen on one"


def test_unequal_attempts_and_none_in_common() -> None:
    first = c.dev_set_of(["a", "b"], [[True] * 8, [False] * 3])
    now = c.dev_set_of(["b", "a"], [[True] * 5, [True, False]])
    row = c.dev_set_metrics(now, first)
    assert "eval/pass_at_2" not in row and row["eval/pass_at_n"] == pytest.approx(1.0)
    assert c.dev_set_metrics(c.dev_set_of(["z"], [[True]]), first) == {}


# ---- coverage in small: benchmarks/interval_coverage.py has the whole of it ----

ROUNDS = 120
LUCK = 0.05
"""What 120 rounds may fall short of the bar by, at worst one in 100 keys."""


@pytest.mark.parametrize(
    ("tasks", "n", "cell"),
    [(32, 4, "U 0.05 none"), (32, 4, "U 0.2 none"), (32, 4, "equal 0.97 falls"), (100, 8, "wide 0.97 falls")],
)
def test_intervals_of_the_dev_set_hold_the_truth_as_often_as_they_say(tasks: int, n: int, cell: str) -> None:
    _, truth, figures = next(dev_set_cells(tasks, n, 10_000, cell))
    held: dict[str, list[int]] = {}
    for i in range(ROUNDS):
        counted(truth, figures(np.random.default_rng([3, i])), held)
    shown = {key: hit / seen for key, (_, seen, hit) in held.items() if seen > ROUNDS / 2}
    assert len(shown) > 10
    assert {key: got for key, got in shown.items() if got < BAR - LUCK} == {}


def test_intervals_of_human_text_hold_the_truth_or_are_not_shown() -> None:
    for name, truth, figures in likelihood_cells(40, 20_000):
        held: dict[str, list[int]] = {}
        for i in range(ROUNDS):
            counted(truth, figures(np.random.default_rng([3, i])), held)
        assert held["collapse_tails/nll_p90"][1] == ROUNDS and held["collapse_tails/nll_p99"][1] == 0
        assert held["collapse_tails/nll_cvar10"][1] == 0
        low = {key: hit / seen for key, (_, seen, hit) in held.items() if seen and hit / seen < BAR - LUCK}
        assert low == {}, name
