"""The training rows of a round: shares are met with whole rows, nothing is lost, the same seed gives the same rows."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from selfplay.config.tree import Curate
from selfplay.phases.curate.mixing import ANCHOR_FLOOR, ROWS_FOR_FULL_SHARE, LevelMix, anchor_cut, mix
from selfplay.phases.curate.select import rules_of
from selfplay.records import Row


def rows(kind: Any, count: int, difficulties: tuple[int, ...] = (1,)) -> list[Row]:
    return [
        Row(input_ids=(n,), labels=(n,), kind=kind, source=f"{kind}{n}", difficulty=difficulties[n % len(difficulties)])
        for n in range(count)
    ]


def counted(found: list[Row]) -> Counter[str]:
    return Counter(row.kind for row in found)


SIZES = st.integers(0, 40)
SHARES = st.floats(0.05, 0.9)
PLAIN = settings(derandomize=True, deadline=None)


@given(SIZES, SIZES, st.integers(1, 40), SHARES, st.integers(0, 99))
@PLAIN
def test_anchor_share_is_met_or_the_whole_anchor_is_there_and_every_accepted_row_too(
    new: int, older: int, anchor: int, share: float, seed: int
) -> None:
    section = Curate(anchor_share=share, anchor_repeats=None)
    found = mix(section, rows("new", new), rows("older", older), rows("anchor", anchor), seed)
    kinds = counted(found)
    if new + older:
        assert kinds["anchor"] == anchor or abs(kinds["anchor"] - share * len(found)) <= 1
        assert kinds["anchor"] >= max(anchor, share * len(found) - 1)
        assert (kinds["new"], kinds["older"]) == (new, older)
    else:
        assert found == rows("anchor", anchor), "without an accepted row the anchor is the whole"


@given(
    SIZES,
    SIZES,
    st.integers(1, 40),
    st.sampled_from(["accumulate", "replace", "accumulate_subsample"]),
    st.integers(0, 99),
)
@PLAIN
def test_same_seed_gives_the_same_rows(new: int, older: int, anchor: int, regime: Any, seed: int) -> None:
    section = Curate(regime=regime, max_rows=20 if regime == "accumulate_subsample" else None)
    parts = rows("new", new), rows("older", older), rows("anchor", anchor)
    assert mix(section, *parts, seed) == mix(section, *parts, seed)


@given(SIZES, SIZES, st.integers(1, 40))
@PLAIN
def test_replace_is_the_newest_rows_alone(new: int, older: int, anchor: int) -> None:
    found = mix(Curate(regime="replace"), rows("new", new), rows("older", older), rows("anchor", anchor), 0)
    assert found == (rows("new", new) or rows("anchor", anchor))


@given(SIZES, SIZES, st.integers(1, 50), SHARES)
@PLAIN
def test_subsample_is_a_fixed_number_drawn_from_all_rounds_without_repeats(
    new: int, older: int, wanted: int, share: float
) -> None:
    section = Curate(regime="accumulate_subsample", max_rows=wanted, anchor_share=share)
    found = mix(section, rows("new", new), rows("older", older), rows("anchor", 30), 3)
    drawn = [row.source for row in found if row.kind != "anchor"]
    assert len(drawn) == min(wanted, new + older) and len(set(drawn)) == len(drawn)


@given(st.integers(1, 40), st.integers(1, 40), SHARES)
@example(1, 3, 0.3)
@PLAIN
def test_newest_share_is_met_by_repeating_never_by_leaving_out(new: int, older: int, share: float) -> None:
    found = mix(
        Curate(newest_share=share, anchor_share=None), rows("new", new), rows("older", older), rows("anchor", 5), 1
    )
    kinds = counted(found)
    both = kinds["new"] + kinds["older"]
    assert kinds["new"] >= new and kinds["older"] >= older and kinds["anchor"] == 5
    assert abs(kinds["new"] - share * both) <= 1
    assert len({row.source for row in found}) == new + older + 5


@given(
    st.integers(0, 30), st.integers(0, 200), st.floats(0.05, 0.95), st.none() | st.floats(0, 0.95), st.integers(1, 300)
)
@PLAIN
def test_mix_by_difficulty_has_exactly_the_rows_of_the_steps(
    known: int, above: int, share: float, anchor_share: float | None, steps: int
) -> None:
    # roll-backs add to the anchor's share, so that both together may come to more than all
    section = Curate().model_copy(update={"above_level_share": share, "anchor_share": anchor_share})
    new = [*rows("new", known, (1, 2)), *rows("new", above, (3, 4, 5))]
    found = mix(section, new, [], rows("anchor", 25), 7, LevelMix(level=2, rows=steps))
    assert len(found) == steps
    got = sum((row.difficulty or 0) > 2 for row in found)
    assert abs(got - share * min(1.0, above / ROWS_FOR_FULL_SHARE) * steps) <= 1
    if anchor_share is None and known and above >= ROWS_FOR_FULL_SHARE:
        assert counted(found)["anchor"] == min(25, steps - got), "the whole anchor, once"
    if known + above == 0:
        assert counted(found) == {"anchor": steps}


@given(st.floats(0.05, 0.6), st.floats(0.05, 0.35))
@PLAIN
def test_mix_by_difficulty_meets_both_shares_where_there_are_rows_enough(share: float, anchor_share: float) -> None:
    assume(share + anchor_share < 0.95)
    new = [*rows("new", 50, (1, 2)), *rows("new", ROWS_FOR_FULL_SHARE, (3,))]
    section = Curate(above_level_share=share, anchor_share=anchor_share)
    found = mix(section, new, [], rows("anchor", 25), 7, LevelMix(level=2, rows=200))
    assert abs(counted(found)["anchor"] - anchor_share * 200) <= 1
    assert abs(sum(row.difficulty == 3 for row in found) - share * 200) <= 1


def test_shares_that_cannot_both_be_met_are_refused() -> None:
    with pytest.raises(ValueError, match=r"above_level_share \+ anchor_share is 1\.2, over 1; lower one of them"):
        Curate(above_level_share=0.7, anchor_share=0.5)


def test_emphasis_is_handed_to_the_selection_and_refused_without_a_cap() -> None:
    assert rules_of(Curate(max_per_task=4, emphasis_floor=0.5)).emphasis_floor == 0.5
    with pytest.raises(
        ValueError, match=r"emphasis_floor is 0\.5, without effect while max_per_task is null; set max_per_task"
    ):
        Curate(max_per_task=None, emphasis_floor=0.5)


def test_one_accepted_row_does_not_shrink_the_anchor_to_a_share_of_one_row() -> None:
    found = counted(mix(Curate(anchor_share=0.2), rows("new", 1), [], rows("anchor", 12), 0))
    assert found == {"new": 1, "anchor": 12}


def test_a_large_anchor_is_held_by_its_floor_alone() -> None:
    found = counted(mix(Curate(anchor_share=0.2), rows("new", 40), [], rows("anchor", 2 * ANCHOR_FLOOR), 0))
    assert found == {"new": 40, "anchor": ANCHOR_FLOOR}


def test_an_anchor_share_of_zero_takes_no_anchor() -> None:
    assert counted(mix(Curate(anchor_share=0.0), rows("new", 3), [], rows("anchor", 9), 0)) == {"new": 3}


@given(SIZES, SIZES, st.integers(1, 40), SHARES, st.integers(1, 6), st.integers(0, 99))
@PLAIN
def test_no_anchor_row_stands_there_more_often_than_it_may_and_a_cut_is_said(
    new: int, older: int, anchor: int, share: float, most: int, seed: int
) -> None:
    section = Curate(anchor_share=share, anchor_repeats=most)
    found = mix(section, rows("new", new), rows("older", older), rows("anchor", anchor), seed)
    often = Counter(row.source for row in found if row.kind == "anchor")
    assert max(often.values()) <= most
    said = anchor_cut(section, new + older, anchor)
    short = counted(found)["anchor"] < round((new + older) * share / (1 - share))
    assert bool(said) == bool(short and new + older)


def test_an_anchor_that_is_cut_says_its_share_and_what_to_do() -> None:
    assert anchor_cut(Curate(anchor_share=0.2), 64_000, 200) == (
        "the anchor is 1% of the training rows and not 20%: it has 200 rows, each of which stands there 4 times at most "
        "(curate.anchor_repeats); give more tasks with a reference, or raise it"
    )
    for section in (
        Curate(anchor_share=None),
        Curate(anchor_share=0.2, anchor_repeats=None),
        Curate(anchor_share=0.2, regime="replace"),
        Curate(anchor_share=0.2, above_level_share=0.5),
    ):
        assert anchor_cut(section, 64_000, 200) == ""
