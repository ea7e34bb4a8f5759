"""Levels of difficulty: how a round's tasks spread around the curriculum's level, and when it moves on."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfplay.config.tree import Curriculum
from selfplay.errors import DataError
from selfplay.models.scripted import Scripted
from selfplay.phases.propose import propose, too_many_filtered
from selfplay.records import Task
from selfplay.runtime.context import RoundContext, read_tasks
from selfplay.store import read_json
from selfplay.tasks import Fixed, PoolSource, draw
from selfplay.tasks.arithmetic import Arithmetic
from selfplay.tasks.levels import UNTRIED, check_curriculum, level_shares, next_level, spread, with_levels
from tests.support.rounds import first_round

CURRICULA = st.builds(
    lambda start, more, shares: Curriculum(start=start, end=start + more, next_share=shares[0], after_share=shares[1]),
    st.integers(1, 6),
    st.integers(0, 6),
    st.tuples(st.integers(0, 10), st.integers(0, 10)).map(lambda p: (p[0] / 20, p[1] / 20)),
)
ALL = range(1, 13)
PLAIN = settings(derandomize=True, deadline=None)


def task(name: str, difficulty: int | None = None) -> Task:
    tags = () if difficulty is None else (f"difficulty:{difficulty}",)
    return Task(id=name, prompt=name, check={"type": "math", "answer": "1"}, tags=tags)


# ---- the shares of a round ----


@given(CURRICULA, st.integers(0, 15))
@PLAIN
def test_shares_sum_to_one_and_none_lies_above_the_end(curriculum: Curriculum, level: int) -> None:
    shares = level_shares(curriculum, level, ALL)
    assert abs(sum(shares.values()) - 1) < 1e-9 and min(shares.values()) > 0
    assert max(shares) <= curriculum.end and min(shares) >= 1


@given(CURRICULA)
@PLAIN
def test_shares_above_the_level_are_as_asked_while_there_is_room(curriculum: Curriculum) -> None:
    level = curriculum.start
    shares = level_shares(curriculum, level, ALL)
    if level + 2 <= curriculum.end:
        assert abs(shares.get(level + 1, 0) - curriculum.next_share) < 1e-9
        assert abs(shares.get(level + 2, 0) - curriculum.after_share) < 1e-9


@given(CURRICULA, st.integers(0, 15), st.sets(st.integers(1, 15), min_size=1))
@PLAIN
def test_shares_go_to_levels_that_there_are(curriculum: Curriculum, level: int, levels: set[int]) -> None:
    if min(levels) > curriculum.end:
        with pytest.raises(DataError, match=f"no level from 1 to end = {curriculum.end}"):
            level_shares(curriculum, level, levels)
        return
    shares = level_shares(curriculum, level, levels)
    assert abs(sum(shares.values()) - 1) < 1e-9 and set(shares) <= levels


def test_the_next_level_is_the_next_that_there_is() -> None:
    curriculum = Curriculum(start=1, end=50, next_share=0.5, after_share=0.2)
    assert level_shares(curriculum, 20, {10, 20, 30, 40}) == pytest.approx({20: 0.3, 30: 0.5, 40: 0.2})
    assert level_shares(curriculum, 35, {10, 20, 30, 40}) == pytest.approx({20: 0.12, 30: 0.18, 40: 0.7})
    assert level_shares(curriculum, 1, {10, 20}) == pytest.approx({10: 0.8, 20: 0.2})


# ---- when the level moves ----

RIGHT = st.dictionaries(
    st.integers(1, 12), st.tuples(st.integers(0, 9), st.integers(0, 9)).map(lambda p: (min(p), max(p)))
)


@given(CURRICULA, st.integers(0, 15), RIGHT)
@PLAIN
def test_level_moves_on_over_what_is_mastered_and_never_back(
    curriculum: Curriculum, level: int, right: dict[int, tuple[int, int]]
) -> None:
    before = min(max(level, curriculum.start), curriculum.end)
    after = next_level(curriculum, level, right)
    assert before <= after <= curriculum.end
    tried = {n: passed / attempts for n, (passed, attempts) in right.items() if attempts and n <= curriculum.end}
    assert all(rate >= curriculum.advance_at for n, rate in tried.items() if before < n <= after)
    above = [n for n in tried if n > after]
    assert not above or tried[min(above)] < curriculum.advance_at


def test_level_of_a_round_is_what_the_rounds_before_reached_or_the_schedule() -> None:
    assert Curriculum(start=2).level_in(1, None) == 2
    assert Curriculum(start=2).level_in(3, 4) == 4
    fixed = Curriculum(levels=(1, 3, 5))
    assert [fixed.level_in(number, 6) for number in (1, 2, 3, 4)] == [1, 3, 5, 5]


# ---- finite pools ----


@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=60),
    st.dictionaries(st.integers(1, 5), st.floats(0.05, 1), min_size=1),
    st.integers(1, 60),
)
@PLAIN
def test_pool_is_drawn_without_repetition_by_shares_and_at_their_levels_alone(
    difficulties: list[int], shares: dict[int, float], count: int
) -> None:
    pool = [task(f"t{n:02d}", difficulty) for n, difficulty in enumerate(difficulties)]
    found = draw(pool, count, 5, shares)
    names, able = [one.id for one in found], [one for one in pool if one.difficulty in shares]
    assert names == sorted(set(names)) and len(names) == min(count, len(able))
    assert all(one.difficulty in shares for one in found) and found == draw(pool[::-1], count, 5, shares)
    for level, wanted in spread(shares, count).items():
        there = difficulties.count(level)
        assert sum(one.difficulty == level for one in found) >= min(wanted, there)


def test_untried_tasks_take_turns_with_tried_ones_of_the_same_level() -> None:
    old = [task(f"old{n}", 3) for n in range(20)]
    new = [one.model_copy(update={"id": f"new{n}", "tags": (*one.tags, UNTRIED)}) for n, one in enumerate(old)]
    assert sum(UNTRIED in one.tags for one in draw([*old, *new], 10, 1, {3: 1.0})) == 5
    assert sum(UNTRIED in one.tags for one in draw([*old[:2], *new], 10, 1, {3: 1.0})) == 8


# ---- tasks without a difficulty ----


def test_tasks_without_a_difficulty_get_one_from_the_rank_of_their_pass_rate() -> None:
    pool = [*(task(f"t{n}") for n in range(9)), task("tagged", 7)]
    tallies = {f"t{n}": (8 - n, 8) for n in range(8)}
    found = {one.id: one for one in with_levels(pool, tallies, Curriculum(start=1, end=4), level=2)}
    assert [found[f"t{n}"].difficulty for n in range(8)] == [1, 1, 2, 2, 3, 3, 4, 4]
    assert found["t8"].tags == ("difficulty:3", UNTRIED), "it was never attempted: drawn as one of the next level"
    assert found["tagged"].tags == ("difficulty:7",)


def test_tasks_of_equal_pass_rate_share_the_easiest_level_that_any_of_them_reaches() -> None:
    tallies = {"a": (1, 1), "b": (1, 1), "c": (0, 1), "d": (0, 1)}
    found = with_levels([task(name) for name in "abcd"], tallies, Curriculum(start=1, end=4), level=1)
    assert [one.difficulty for one in found] == [1, 1, 3, 3]


@pytest.mark.parametrize(
    ("difficulties", "says"),
    [
        ([], "tasks of this source have no difficulty; remove it"),
        ([20, 30], r"end is 6, but the easiest training task has difficulty 20; raise end"),
        ([6, 30], ""),
        ([20, None], ""),
    ],
)
def test_curriculum_without_a_level_to_draw_at_is_refused(difficulties: list[int | None], says: str) -> None:
    source = PoolSource([task(f"t{n}", one) for n, one in enumerate(difficulties)], Fixed([], [], []))
    if not says:
        return check_curriculum(Curriculum(), source)
    with pytest.raises(DataError, match=says):
        check_curriculum(Curriculum(), source)
    return None


def test_endless_source_draws_at_the_levels_of_the_curriculum(tmp_path: Path) -> None:
    source: Any = Arithmetic(source="arithmetic").open(seed=0, eval_seed=1, folder=tmp_path)
    shares = level_shares(Curriculum(start=1, end=3, next_share=0.5, after_share=0.2), 1, source.levels)
    assert {one.difficulty for one in source.propose(60, shares, 4).tasks} == {1, 2, 3}


def test_round_that_loses_most_of_its_draws_says_so() -> None:
    assert too_many_filtered(10, 10) == ""
    assert too_many_filtered(10, 11).startswith("11 of 21 drawn tasks were filtered out")


def proposed(folder: Path, **settings: Any) -> RoundContext:
    ctx = first_round(folder, [], Scripted(lambda *asked: "", identity="s"), {}, propose=settings)
    (ctx.at("propose") / "DONE").unlink()
    propose(ctx)
    return ctx


def test_round_without_a_curriculum_takes_what_the_source_gives(tmp_path: Path) -> None:
    ctx = proposed(tmp_path / "a", tasks_per_round=30)
    tasks = read_tasks(ctx.at("propose"))
    assert tasks == read_tasks(proposed(tmp_path / "b", tasks_per_round=30).at("propose"))
    assert tasks == list(ctx.resources.source.propose(30, None, ctx.seed("propose")).tasks)
    assert read_json(ctx.at("propose") / "DONE")["tasks"] == 30


def test_round_with_a_curriculum_has_its_difficulties(tmp_path: Path) -> None:
    curriculum = {"start": 1, "end": 3, "next_share": 0.5, "after_share": 0.2}
    ctx = proposed(tmp_path, tasks_per_round=60, curriculum=curriculum)
    assert sum(read_json(ctx.at("propose") / "DONE")["shares"].values()) == pytest.approx(1)
    assert {task.difficulty for task in read_tasks(ctx.at("propose"))} == {1, 2, 3}
